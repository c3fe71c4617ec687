/* Inside of the keyring: its entries, its lock, and what is remembered of a connection. */
#ifndef AGENT_KEYRING_H
#define AGENT_KEYRING_H

#include <agent/agent.h>
#include <agent/destination.h>

#define LOCK_SALT_LENGTH 16
#define LOCK_HASH_LENGTH 32
#define BINDINGS_MAX     16

enum keyring_home { KEY_HERE, KEY_ON_TOKEN, KEY_IN_AUTHENTICATOR };

/* The newest use of a key. */
struct keyring_use {
	uint64_t time; /* seconds since 1970; 0: never */
	uint32_t count;
	char *user, *host, *process; /* may be NULL */
	struct nacre_buffer host_key;
	pid_t pid;
};

struct keyring_entry {
	struct keyring_entry *next;
	enum keyring_home home;
	struct nacre_key *key;    /* of a token only its public half */
	char *provider;           /* library of a token or an authenticator */
	struct nacre_buffer blob; /* the public key or certificate */
	char *comment;
	uint64_t expires; /* UINT64_MAX: never */
	bool confirm;
	struct destinations destinations;
	struct keyring_use use;
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
	struct nacre_shield *shield; /* over private keys that nobody uses just now */
	bool remote_providers, any_application;
	char *applications; /* pattern list; NULL: "ssh:*" */
};

enum keyring_wait { WAIT_NONE, WAIT_CONFIRM, WAIT_PROVIDER, WAIT_ERRAND, WAIT_PIN };

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
	char *process;
	pid_t pid;
	/* A message that waits for somebody, and what is known by now. */
	enum keyring_wait waiting;
	struct nacre_buffer message;
	bool confirmed, provider_known;
	char *provider;          /* canonical; NULL: refused */
	struct nacre_buffer pin; /* NUL-terminated */
	unsigned pin_tries;
	struct nacre_buffer text; /* question or notice, NUL-terminated */
	struct nacre_key *question_key;
	char *question_comment;
	struct nacre_buffer errand;
	enum nacre_provider_kind errand_kind;
	/* The signature that was asked for last, until it is taken. */
	bool used, use_made;
	struct nacre_buffer use_blob, use_host_key;
	char *use_comment, *use_user, *use_host;
};

/*
 * A handler reads the fields behind the message's type and appends the answer's content, type
 * first. It returns 0 when it did, what keyring_wait_for() returned when somebody has to be asked
 * first, or an error, which becomes a failure message. It is called again from the start with what
 * was found out: client->confirmed, ->provider, ->pin, and here "reply", that of the errand.
 */
struct keyring_request {
	struct nacre_keyring_client *client;
	struct nacre_span message;
	struct nacre_reader fields;
	const struct nacre_span *reply; /* NULL: none yet */
	uint64_t now;
	struct nacre_buffer *answer;
};
int keyring_wait_for(struct keyring_request *request, enum keyring_wait waiting);

/* keyring_sign.c */
int keyring_sign(struct keyring_request *request);
/* A signature that waited is not made. */
void keyring_sign_refused(struct nacre_keyring_client *client);
/* keyring_add.c */
int keyring_add(struct keyring_request *request);
int keyring_add_constrained(struct keyring_request *request);
int keyring_add_token(struct keyring_request *request);
int keyring_add_token_constrained(struct keyring_request *request);
int keyring_remove_token(struct keyring_request *request);

struct keyring_entry *keyring_find(const struct nacre_keyring *keyring, struct nacre_span blob);
/* Takes the key and the comment over; replaces an entry for the same blob. */
int keyring_insert(struct nacre_keyring *keyring, const struct keyring_entry *entry);
bool keyring_remove(struct nacre_keyring *keyring, struct nacre_span blob);

/* Frees what an entry holds. */
void keyring_entry_clear(struct keyring_entry *entry);
/* Removes the keys of a token's module; false when there were none. */
bool keyring_remove_provider(struct nacre_keyring *keyring, const char *provider);

/* keyring_permit.c: may this connection see the key, or have it sign "data"? *user and *host_key
 * are what the data says, empty if nothing; *host is the name that a constraint has for the
 * destination, or NULL. */
bool keyring_may_see(const struct nacre_keyring_client *client, const struct keyring_entry *entry);
struct keyring_purpose {
	char *user;
	struct nacre_span host_key;
	const char *host;
};
bool keyring_may_sign(const struct nacre_keyring_client *client, const struct keyring_entry *entry,
    struct nacre_span data, struct keyring_purpose *purpose);

/* keyring_use.c */
void keyring_use_note(struct nacre_keyring_client *client, struct keyring_entry *entry,
    const struct keyring_purpose *purpose, bool made);
void keyring_use_free(struct keyring_use *use);
void keyring_use_forget(struct nacre_keyring_client *client);
int keyring_use_list(const struct nacre_keyring_client *client, struct nacre_buffer *answer);

int keyring_lock(struct keyring_lock *lock, struct nacre_span passphrase);
/* 0, or NACRE_ERROR_PASSPHRASE and *delay milliseconds to wait. */
int keyring_unlock(struct keyring_lock *lock, struct nacre_span passphrase, uint64_t *delay);

/* Handles the content of session-bind@openssh.com. */
int keyring_bind(struct nacre_keyring_client *client, struct nacre_reader *content);
void keyring_bindings_free(struct nacre_keyring_client *client);

#endif
