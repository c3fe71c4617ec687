/* Inside of the keyring: its entries, its lock, and what is remembered of a connection. */
#ifndef AGENT_KEYRING_H
#define AGENT_KEYRING_H

#include <agent/agent.h>

#define LOCK_SALT_LENGTH 16
#define LOCK_HASH_LENGTH 32
#define BINDINGS_MAX     16

struct keyring_entry {
	struct keyring_entry *next;
	struct nacre_key *key;
	struct nacre_buffer blob; /* the public key or certificate */
	char *comment;
	uint64_t expires; /* UINT64_MAX: never */
	bool confirm;
};

/* The lock holds no passphrase, only what one makes of it slowly. */
struct keyring_lock {
	bool locked;
	unsigned failures; /* wrong guesses since it was locked */
	uint8_t salt[LOCK_SALT_LENGTH];
	uint8_t hash[LOCK_HASH_LENGTH];
};

struct nacre_keyring {
	struct keyring_entry *first; /* in the order of their addition */
	size_t count;
	size_t listing_length; /* bytes of the answer that lists them */
	uint32_t default_lifetime;
	struct keyring_lock lock;
};

/* A session that this connection was bound to by session-bind@openssh.com. */
struct keyring_binding {
	struct nacre_key *host_key;
	struct nacre_buffer session_identifier;
	bool forwarding;
};

struct nacre_keyring_client {
	struct nacre_keyring *keyring;
	struct keyring_binding bindings[BINDINGS_MAX];
	size_t binding_count;
	bool binding_failed; /* one was refused: this connection is not what it says */
	uint64_t not_before;
	/* The open question. */
	bool asking;
	struct nacre_key *question_key;
	char *question_comment;
	struct nacre_buffer question_blob, question_data;
	uint32_t question_flags;
};

struct keyring_entry *keyring_find(const struct nacre_keyring *keyring, struct nacre_span blob);
/* Takes the key and the comment over; replaces an entry for the same blob. */
int keyring_insert(struct nacre_keyring *keyring, const struct keyring_entry *entry);
bool keyring_remove(struct nacre_keyring *keyring, struct nacre_span blob);

int keyring_lock(struct keyring_lock *lock, struct nacre_span passphrase);
/* 0, or NACRE_ERROR_PASSPHRASE and *delay milliseconds to wait. */
int keyring_unlock(struct keyring_lock *lock, struct nacre_span passphrase, uint64_t *delay);

/* Handles the content of session-bind@openssh.com. */
int keyring_bind(struct nacre_keyring_client *client, struct nacre_reader *content);
void keyring_bindings_free(struct nacre_keyring_client *client);

#endif
