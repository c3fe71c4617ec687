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
/* Asked of an authenticator: library, device, PIN, and to sign: algorithm (SK_...), application,
 * handle, flags, data. To enroll: algorithm, application, flags, challenge, user; answered by a
 * private key's encoding and the attestation (a string). For resident keys nothing more; answered by
 * their number, and a private key's encoding and a user's identifier each. */
#define NACRE_PROVIDER_SK_SIGN     "sk-sign@nacre"
#define NACRE_PROVIDER_SK_ENROLL   "sk-enroll@nacre"
#define NACRE_PROVIDER_SK_RESIDENT "sk-resident@nacre"

/* What an authenticator answers when it does not do what it was asked for. */
enum nacre_provider_sk_error {
	NACRE_PROVIDER_SK_GENERAL = 1,
	NACRE_PROVIDER_SK_UNSUPPORTED,
	NACRE_PROVIDER_SK_PIN_REQUIRED, /* or it was wrong */
	NACRE_PROVIDER_SK_NO_DEVICE,
	NACRE_PROVIDER_SK_EXISTS
};

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

/*
 * FIDO authenticators. "provider": the library that speaks with them (OpenSSH's SSH_SK_PROVIDER);
 * NULL or "internal": ours, over USB. "device": which authenticator; NULL: any. "pin" NULL: none.
 * Errors: NACRE_ERROR_PASSPHRASE: a PIN is needed, or was wrong; NACRE_ERROR_NOT_FOUND: there is no
 * authenticator; NACRE_ERROR_STATE: it has such a resident key already; NACRE_ERROR_UNSUPPORTED;
 * NACRE_ERROR_REFUSED: anything else, an end without a touch among it.
 */
struct nacre_sk {
	const char *provider, *device, *pin;
};

enum nacre_sk_flags {
	NACRE_SK_FORCE = 0x10, /* a resident key may take the place of another */
	NACRE_SK_RESIDENT = 0x20
};

struct nacre_sk_enrollment {
	enum nacre_key_type type;    /* NACRE_KEY_ED25519_SK or NACRE_KEY_ECDSA_SK */
	const char *application;     /* NULL: "ssh:" */
	const char *user;            /* NULL: none */
	uint8_t flags;               /* NACRE_SK_USER_PRESENT, NACRE_SK_USER_VERIFIED, the above */
	struct nacre_span challenge; /* empty: random */
};
/* Makes a key in an authenticator. The caller frees *key. What the authenticator says of itself
 * (PROTOCOL.u2f, "ssh-sk-attest-v01") is appended to *attestation, which may be NULL. */
int nacre_sk_enroll(const struct nacre_sk *sk, const struct nacre_sk_enrollment *enrollment,
    struct nacre_key **key, struct nacre_buffer *attestation);

struct nacre_sk_resident {
	struct nacre_key *key;
	struct nacre_buffer user; /* its identifier; of ssh-keygen: 32 bytes of zero, or a name */
};
struct nacre_sk_residents {
	struct nacre_sk_resident *list;
	size_t count;
};
/* The keys that an authenticator keeps itself. Free with nacre_sk_residents_free(). */
int nacre_sk_load_resident(const struct nacre_sk *sk, struct nacre_sk_residents *residents);
void nacre_sk_residents_free(struct nacre_sk_residents *residents);

/*
 * From now on nacre_key_sign() has the authenticator sign for this key, which must be a private one
 * (it holds the handle). The person is told that a touch is wanted; with NACRE_PROVIDER_ASK the PIN
 * is asked for where one is needed. "name": what messages call the key; NULL: its fingerprint.
 */
int nacre_sk_delegate(
    struct nacre_key *key, const struct nacre_sk *sk, unsigned flags, const char *name);
/* The flags with which it was enrolled: NACRE_SK_USER_PRESENT ... 0 for other keys. */
uint8_t nacre_key_sk_flags(const struct nacre_key *key);
/* What an authenticator knows it by; empty for other keys and public halves. */
struct nacre_span nacre_key_sk_handle(const struct nacre_key *key);
/* Appends a request for a signature by "key" (NACRE_PROVIDER_SK_SIGN), type first. */
int nacre_sk_put_sign_request(const struct nacre_sk *sk, const struct nacre_key *key,
    struct nacre_span data, struct nacre_buffer *request);

#ifdef __cplusplus
}
#endif
#endif
