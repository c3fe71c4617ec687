/*
 * The agent protocol, RFC 9987 (draft-ietf-sshm-ssh-agent), with OpenSSH's extensions
 * (PROTOCOL.agent): a blocking client over a Unix socket, and the keyring, which is the server
 * without I/O.
 */
#ifndef NACRE_AGENT_H
#define NACRE_AGENT_H

#include <nacre/key.h>
#include <nacre/provider.h>

#include <sys/types.h>

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
	const char
	    *sk_provider; /* library that speaks with a security key; NULL: the agent's own */
	/* Tokens: certificates to attach, as blobs in strings, and whether they alone are wanted. */
	struct nacre_span certificates;
	bool certificates_only;
};
/* "constraints" NULL: none. "comment" NULL: empty. */
int nacre_agent_add(struct nacre_agent *agent, const struct nacre_key *key, const char *comment,
    const struct nacre_agent_constraints *constraints);
/* Adds the keys of the tokens behind a PKCS#11 module, or removes them. */
int nacre_agent_add_token(struct nacre_agent *agent, const char *module, struct nacre_span pin,
    const struct nacre_agent_constraints *constraints);
int nacre_agent_remove_token(struct nacre_agent *agent, const char *module, struct nacre_span pin);
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
/* The same, and in the same write the list of keys, as that session may see them. Agents that do not
 * know sessions list all the same. */
int nacre_agent_bind_and_list(struct nacre_agent *agent, struct nacre_span host_key_blob,
    struct nacre_span session_identifier, struct nacre_span signature,
    struct nacre_agent_identities *identities);
/* Several requests in one write, and their answers. "answers": "count" buffers. */
int nacre_agent_requests(struct nacre_agent *agent, const struct nacre_span *requests, size_t count,
    struct nacre_buffer *answers);
/* One request and its answer, both without length field; for relays and tests. */
int nacre_agent_request(
    struct nacre_agent *agent, struct nacre_span request, struct nacre_buffer *answer);

/*
 * An extension of ours: what keys were last used for. Answered only to clients on this host. For
 * each key that was used: blob, time (u64, seconds since 1970), number of uses (u32), user, name of
 * the host, its key's blob, the client's process by name and number (u32); texts may be empty.
 */
#define NACRE_AGENT_KEY_USAGE "key-usage@nacre"

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

/* Tokens and authenticators may be added over forwarded connections, too. */
void nacre_keyring_allow_remote_providers(struct nacre_keyring *keyring);
/* Applications of security keys that sign anything, a pattern list; NULL: all do. Others sign
 * logins and files (SSHSIG) only. At first "ssh:*". */
int nacre_keyring_allow_applications(struct nacre_keyring *keyring, const char *patterns);
/* Who is at the other end of a client's connection, for the record. "process" may be NULL. */
int nacre_keyring_client_process(
    struct nacre_keyring_client *client, pid_t pid, const char *process);

enum nacre_keyring_outcome {
	NACRE_KEYRING_ANSWERED, /* the answer, with its length field, was appended */
	/* Nothing was appended; more is needed first, see nacre_keyring_wait(): */
	NACRE_KEYRING_QUESTION, /* consent: ask, then nacre_keyring_confirm() */
	NACRE_KEYRING_PROVIDER, /* judge a library's path, then nacre_keyring_provider() */
	NACRE_KEYRING_ERRAND,   /* ask another process, then nacre_keyring_errand_done() */
	NACRE_KEYRING_PIN       /* ask for a PIN, then nacre_keyring_pin() */
};
/*
 * Handles one message (without its length field). Malformed ones are answered with failure. Returns
 * enum nacre_keyring_outcome, or NACRE_ERROR_MEMORY, or NACRE_ERROR_STATE while something is waited
 * for.
 */
int nacre_keyring_handle(struct nacre_keyring_client *client, struct nacre_span message,
    uint64_t now, struct nacre_buffer *answer);

/* What a message waits for. Valid until it is answered; the fields that belong to the outcome are
 * set. */
struct nacre_keyring_wait {
	enum nacre_keyring_outcome what; /* ANSWERED: nothing is waited for */
	/* QUESTION, PIN, and ERRAND when a person has to touch something: the key, and what it is
	 * called. PIN: the prompt. ERRAND: the notice, or NULL. */
	const struct nacre_key *key;
	const char *comment, *text;
	/* PROVIDER, ERRAND: the library, as named by the client or as judged. */
	const char *provider;
	/* ERRAND: who is asked, and what (without length field). */
	enum nacre_provider_kind kind;
	struct nacre_span request;
};
void nacre_keyring_wait(const struct nacre_keyring_client *client, struct nacre_keyring_wait *wait);
/* They go on with the message that waits, and return as nacre_keyring_handle(): */
int nacre_keyring_confirm(
    struct nacre_keyring_client *client, bool allowed, uint64_t now, struct nacre_buffer *answer);
/* "path": the library's canonical path; NULL when it may not be used. */
int nacre_keyring_provider(struct nacre_keyring_client *client, const char *path, uint64_t now,
    struct nacre_buffer *answer);
/* "reply": the process's message; empty when it failed. */
int nacre_keyring_errand_done(struct nacre_keyring_client *client, struct nacre_span reply,
    uint64_t now, struct nacre_buffer *answer);
/* An empty PIN gives up. */
int nacre_keyring_pin(struct nacre_keyring_client *client, struct nacre_span pin, uint64_t now,
    struct nacre_buffer *answer);

/* What a signature was for that the last answer is about, made or refused. */
struct nacre_keyring_use {
	struct nacre_span blob; /* the key */
	const char *comment;
	const char *user;           /* to log in as; NULL: not a login */
	struct nacre_span host_key; /* of the server; empty: not known */
	const char *host;           /* its name in a constraint, or NULL */
	const char *process;        /* of the client, or NULL */
	pid_t pid;
	bool forwarded; /* over a forwarded connection */
	bool made;      /* false: refused */
};
/* True once after an answer to a request for a signature; valid until the next message. */
bool nacre_keyring_use(struct nacre_keyring_client *client, struct nacre_keyring_use *use);
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
/* True while there are keys of the tokens behind this module. */
bool nacre_keyring_has_provider(const struct nacre_keyring *keyring, const char *path);

#ifdef __cplusplus
}
#endif
#endif
