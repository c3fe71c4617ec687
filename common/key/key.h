/*
 * Inside of the key layer: what a key holds, and the table of key types. A family (ed25519, ECDSA,
 * RSA, security keys) is one struct key_functions in a file of its own; a type is a row.
 */
#ifndef KEY_KEY_H
#define KEY_KEY_H

#include <crypto/backend_keys.h>
#include <crypto/hash.h>
#include <nacre/certificate.h>
#include <nacre/key.h>

#define KEY_PUBLIC_MAX 2
#define KEY_SECRET_MAX 4

/* Frees at the end of the scope. */
#define SCOPED(free_function) __attribute__((cleanup(free_function)))

void key_scope_end(struct nacre_key **key);
#define SCOPED_KEY    SCOPED(key_scope_end)
#define SCOPED_BUFFER SCOPED(nacre_buffer_free)

/* How something is signed: the names in signature blobs and in negotiation. */
struct signature_algorithm {
	const char *name;
	const char *certificate_name;
	const struct hash_algorithm *hash; /* RSA: which; otherwise NULL */
	bool by_default;
};

/* A security key's signature as browsers make it (PROTOCOL.u2f). */
#define WEBAUTHN_ALGORITHM "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"

struct key_functions;

struct key_kind {
	enum nacre_key_type type;
	const char *name;
	const char *certificate_name;
	const char *label;
	const char *certificate_label;
	unsigned bits;                 /* 0: those of the modulus */
	enum backend_curve curve;      /* ECDSA */
	const char *curve_name;        /* RFC 5656 section 10.1; NULL for others */
	const char *algorithms;        /* of signatures, in order of preference */
	const char *certificate_names; /* the same for certificates */
	const struct key_functions *functions;
};

/*
 * The numbers of a key. Public: ed25519 {point}, ECDSA {point}, RSA {n, e}, security keys {point,
 * application}. Secret: ed25519 {seed and point}, ECDSA {scalar}, RSA {d, iqmp, p, q}, security
 * keys {flags, handle, reserved}.
 */
struct nacre_key {
	const struct key_kind *kind;
	struct nacre_span public[KEY_PUBLIC_MAX];
	uint8_t *public_memory;
	struct nacre_span secret[KEY_SECRET_MAX];
	uint8_t *secret_memory; /* guarded, locked pages; NULL for public keys */
	struct nacre_certificate *certificate;
	/* RSA: made by the first signature, for those that follow. */
	_Atomic(struct backend_rsa_signer *) signer;
	struct nacre_key_signer delegate; /* "sign" NULL: none */
	/* The secret numbers are encrypted where they are (shield.c). */
	bool shielded;
	uint8_t shield_nonce[24], shield_tag[16];
};

struct key_functions {
	/* The fields behind the name in blobs, and behind the nonce in certificates. */
	int (*read_public)(struct nacre_key *key, struct nacre_reader *reader);
	void (*write_public)(const struct nacre_key *key, struct nacre_buffer *blob);
	/* The fields behind the name (or the certificate) in private encodings; checks that they
	 * fit together. The public numbers are known beforehand for certificates. */
	int (*read_private)(struct nacre_key *key, struct nacre_reader *reader);
	void (*write_private)(const struct nacre_key *key, struct nacre_buffer *buffer);
	int (*generate)(struct nacre_key *key, unsigned bits); /* NULL: cannot */
	/* Appends the fields of a signature blob behind its name. NULL: cannot. */
	int (*sign)(const struct nacre_key *key, const struct signature_algorithm *algorithm,
	    struct nacre_span data, struct nacre_buffer *signature);
	int (*verify)(const struct nacre_key *key, const struct signature_algorithm *algorithm,
	    struct nacre_reader *signature, struct nacre_span data,
	    struct nacre_signature_details *details);
};

extern const struct key_functions ed25519_functions, ecdsa_functions, rsa_functions,
    security_key_functions;

/* An empty key of a kind. NULL without memory. */
struct nacre_key *key_new(const struct key_kind *kind);
const struct key_kind *key_kind_of_type(enum nacre_key_type type);
/* The row for a key format's name; *certified tells which of the two names it was. */
const struct key_kind *key_kind_of_format(struct nacre_span name, bool *certified);
/* The row for a signature algorithm's name, plain or certified. */
const struct signature_algorithm *signature_algorithm_find(struct nacre_span name, bool *certified);

/* Copies the numbers into memory of the key's own. */
int key_set_public(struct nacre_key *key, const struct nacre_span *numbers, size_t count);
int key_set_secret(struct nacre_key *key, const struct nacre_span *numbers, size_t count);

/* Reads a certificate behind its name; "blob" is all of it. */
int certificate_read(struct nacre_key *key, struct nacre_span blob, struct nacre_reader *reader);
int certificate_copy(struct nacre_key *key, const struct nacre_certificate *certificate);
void certificate_free(struct nacre_certificate *certificate);

/* The functions of the backend; NULL when it cannot be loaded. */
const struct backend_keys *key_backend(void);
/* RSA's numbers as the backend wants them. */
struct backend_rsa rsa_numbers(const struct nacre_key *key);
/* Releases what the first signature made, if there was one. */
void rsa_forget_signer(struct nacre_key *key);
int rsa_of_backend(struct nacre_key *key, const struct backend_key *source);
/* ECDSA's signature fields, for security keys, too. */
int ecdsa_read_signature(
    struct nacre_reader *signature, struct nacre_span *r, struct nacre_span *s);
/* A key from what was read from a PEM file. */
int key_of_backend(const struct backend_key *source, struct nacre_key **key);

/* The content of an openssh-key-v1 block (its base64 decoded). */
int openssh_file_read(struct nacre_span content, struct nacre_span passphrase,
    struct nacre_key **key, char **comment);
int openssh_file_read_public(struct nacre_span content, struct nacre_key **key);
int openssh_file_write(const struct nacre_key *key, const struct nacre_key_file_options *options,
    struct nacre_buffer *text);

/* Finds "-----BEGIN label-----" and decodes the base64 between it and its end into *content. */
int armor_read(struct nacre_span text, const char *label, struct nacre_buffer *content);
/* Appends base64 in lines of "width" columns, each ended by LF. */
void armor_write_base64(struct nacre_span content, size_t width, struct nacre_buffer *text);

#endif
