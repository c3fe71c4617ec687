/*
 * Private keys that are in a device: PKCS#11 tokens and FIDO authenticators. The libraries that
 * speak with those are the vendors' own, so each runs in a process of its own, ssh-pkcs11-helper or
 * ssh-sk-helper, and never in the one that holds other keys. The processes are asked in the agent's
 * protocol (nacre/agent.h): message numbers, and texts of extensions, are below.
 */
#ifndef NACRE_PROVIDER_H
#define NACRE_PROVIDER_H

#include <nacre/key.h>

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum nacre_provider_kind { NACRE_PROVIDER_PKCS11, NACRE_PROVIDER_SK };

/*
 * Starts the process; *fd is the socket to it, which closes its life when it is closed. The program
 * is that named by SSH_PKCS11_HELPER or SSH_SK_HELPER, else the one beside our own, else the one of
 * the installation. 0, or an error after a message.
 */
int nacre_provider_start(enum nacre_provider_kind kind, int *fd, pid_t *pid);

/* What the processes are asked and answer: as in the agent's protocol. */
enum nacre_provider_message {
	NACRE_PROVIDER_FAILURE = 5,
	NACRE_PROVIDER_SUCCESS = 6,
	NACRE_PROVIDER_KEYS = 12, /* number, then a blob and a label each */
	NACRE_PROVIDER_SIGN = 13, /* blob, data, flags */
	NACRE_PROVIDER_SIGNATURE = 14,
	NACRE_PROVIDER_ADD = 20,    /* path of a module, PIN */
	NACRE_PROVIDER_REMOVE = 21, /* path of a module */
	NACRE_PROVIDER_EXTENSION = 27,
	/* A FIDO authenticator's error: u32, NACRE_PROVIDER_SK_... */
	NACRE_PROVIDER_EXTENSION_FAILURE = 28,
	NACRE_PROVIDER_ANSWER = 29
};
/* Asked: a key's blob and the PIN for its token. Answered in place of an answer: a PIN is needed
 * first, for the token of this label. */
#define NACRE_PROVIDER_PIN "pin@nacre"

/* A list of keys. Free with nacre_pkcs11_keys_free(). */
struct nacre_pkcs11_key {
	struct nacre_key *key; /* signs with nacre_key_sign() */
	char *label;           /* as the token names it; may be empty */
};
struct nacre_pkcs11_keys {
	struct nacre_pkcs11_key *list;
	size_t count;
};

enum nacre_provider_flags {
	/* PINs that are needed are asked for (nacre/prompt.h), when a signature needs them. */
	NACRE_PROVIDER_ASK = 1
};

/*
 * The keys of all tokens behind the module at "path". "pin": to log in with at once; NULL or empty:
 * not before it is needed. The keys may outlive each other; the process ends with the last. 0 (also
 * when there are no keys), or an error after a message: NACRE_ERROR_REFUSED when the module cannot
 * be loaded or the PIN is wrong.
 */
int nacre_pkcs11_load(
    const char *path, const char *pin, unsigned flags, struct nacre_pkcs11_keys *keys);
void nacre_pkcs11_keys_free(struct nacre_pkcs11_keys *keys);

#ifdef __cplusplus
}
#endif
#endif
