/*
 * The agent protocol, RFC 9987 (draft-ietf-sshm-ssh-agent), with OpenSSH's extensions
 * (PROTOCOL.agent): a blocking client over a Unix socket, and the keyring, which is the server
 * without I/O.
 */
#ifndef NACRE_AGENT_H
#define NACRE_AGENT_H

#include <nacre/key.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bound of a message in bytes, without its length field. */
#define NACRE_AGENT_MESSAGE_MAX ((size_t)256 * 1024)

/* Flags of a signature request. */
enum { NACRE_AGENT_RSA_SHA2_256 = 2, NACRE_AGENT_RSA_SHA2_512 = 4 };

/*
 * The client. One request at a time. Errors: NACRE_ERROR_REFUSED when the agent answers with
 * failure, NACRE_ERROR_CLOSED when it is gone, NACRE_ERROR_PROTOCOL for a malformed answer, after
 * which the connection is of no more use, NACRE_ERROR_SYSTEM with errno (ETIMEDOUT in time).
 */
struct nacre_agent;

/* Connects to the socket at "path"; NULL: the environment's SSH_AUTH_SOCK, NACRE_ERROR_NOT_FOUND
 * when that is unset or empty. */
int nacre_agent_connect(const char *path, struct nacre_agent **agent);
/* Speaks over a connected descriptor, which the agent object then owns. */
int nacre_agent_of_fd(int fd, struct nacre_agent **agent);
/* Closes; NULL is allowed. */
void nacre_agent_free(struct nacre_agent *agent);
/* The descriptor of the connection, which stays the agent's. */
int nacre_agent_fd(const struct nacre_agent *agent);
/* Milliseconds that one answer may take; 0 (the default): for ever, since a person may be asked. */
void nacre_agent_timeout_set(struct nacre_agent *agent, unsigned milliseconds);

struct nacre_agent_identity {
	struct nacre_span blob; /* as the agent told it */
	struct nacre_key *key;  /* NULL when it is of a kind that we do not know */
	char *comment;
};
struct nacre_agent_identities {
	struct nacre_agent_identity *list;
	size_t count;
	struct nacre_buffer answer; /* holds the blobs */
};
/* The keys that the agent holds. Free with nacre_agent_identities_free(), also after an error. */
int nacre_agent_list(struct nacre_agent *agent, struct nacre_agent_identities *identities);
void nacre_agent_identities_free(struct nacre_agent_identities *identities);

/* Appends the signature blob. */
int nacre_agent_sign(struct nacre_agent *agent, struct nacre_span key_blob, struct nacre_span data,
    uint32_t flags, struct nacre_buffer *signature);
/* The flags that make an agent sign with "algorithm" ("rsa-sha2-512": NACRE_AGENT_RSA_SHA2_512). */
uint32_t nacre_agent_sign_flags(struct nacre_span algorithm);

struct nacre_agent_constraints {
	uint32_t lifetime; /* seconds; 0: none */
	bool confirm;
	/* The content of restrict-destination-v00@openssh.com, or empty. */
	struct nacre_span destinations;
};
/* "constraints" NULL: none. "comment" NULL: empty. */
int nacre_agent_add(struct nacre_agent *agent, const struct nacre_key *key, const char *comment,
    const struct nacre_agent_constraints *constraints);
/* Removes one key, or all. */
int nacre_agent_remove(struct nacre_agent *agent, struct nacre_span key_blob);
int nacre_agent_remove_all(struct nacre_agent *agent);
/* Locks and unlocks with a passphrase; a wrong one is NACRE_ERROR_REFUSED. */
int nacre_agent_lock(struct nacre_agent *agent, struct nacre_span passphrase);
int nacre_agent_unlock(struct nacre_agent *agent, struct nacre_span passphrase);
/* Any extension; what follows the success byte is appended to *answer (may be NULL).
 * NACRE_ERROR_UNSUPPORTED when the agent does not know it. */
int nacre_agent_extension(struct nacre_agent *agent, const char *name, struct nacre_span content,
    struct nacre_buffer *answer);
/* session-bind@openssh.com: ties this connection to an SSH session. "forwarding": it is going to be
 * forwarded. */
int nacre_agent_session_bind(struct nacre_agent *agent, struct nacre_span host_key_blob,
    struct nacre_span session_identifier, struct nacre_span signature, bool forwarding);
/* One request and its answer, both without length field; for relays and tests. */
int nacre_agent_request(
    struct nacre_agent *agent, struct nacre_span request, struct nacre_buffer *answer);

/*
 * The keyring: request bytes in, answer bytes out. Times are milliseconds of any monotonic clock.
 */
struct nacre_keyring;
struct nacre_keyring_client; /* what is remembered of one connection */

/* An empty keyring. 0 or NACRE_ERROR_MEMORY. */
int nacre_keyring_new(struct nacre_keyring **keyring);
/* All clients must be gone. */
void nacre_keyring_free(struct nacre_keyring *keyring);
/* Lifetime of keys that are added without one, seconds; 0: none. */
void nacre_keyring_default_lifetime(struct nacre_keyring *keyring, uint32_t seconds);
/* A connection begins, or ends (NULL is allowed). */
int nacre_keyring_client_new(struct nacre_keyring *keyring, struct nacre_keyring_client **client);
void nacre_keyring_client_free(struct nacre_keyring_client *client);

enum nacre_keyring_outcome {
	NACRE_KEYRING_ANSWERED, /* the answer, with its length field, was appended */
	NACRE_KEYRING_QUESTION  /* ask, then call nacre_keyring_confirm(); nothing was appended */
};
/*
 * Handles one message (without its length field). Malformed ones are answered with failure. Returns
 * enum nacre_keyring_outcome, or NACRE_ERROR_MEMORY, or NACRE_ERROR_STATE while a question is open.
 */
int nacre_keyring_handle(struct nacre_keyring_client *client, struct nacre_span message,
    uint64_t now, struct nacre_buffer *answer);
/* The open question: may this key be used? Valid until it is answered. */
struct nacre_keyring_question {
	const struct nacre_key *key;
	const char *comment;
};
/* False when no question is open. */
bool nacre_keyring_question(
    const struct nacre_keyring_client *client, struct nacre_keyring_question *question);
/* Answers it; appends the signature or a failure. */
int nacre_keyring_confirm(
    struct nacre_keyring_client *client, bool allowed, uint64_t now, struct nacre_buffer *answer);
/* The time before which what was answered should not be sent, nor anything more read: guesses of
 * the lock's passphrase are slowed down by it. */
uint64_t nacre_keyring_client_not_before(const struct nacre_keyring_client *client);
/* The time of the next expiry; UINT64_MAX if none. */
uint64_t nacre_keyring_deadline(const struct nacre_keyring *keyring);
/* Wipes the keys whose lifetime is over. */
void nacre_keyring_expire(struct nacre_keyring *keyring, uint64_t now);
/* Wipes all keys; how many there are. */
void nacre_keyring_remove_all(struct nacre_keyring *keyring);
size_t nacre_keyring_count(const struct nacre_keyring *keyring);

#ifdef __cplusplus
}
#endif
#endif
