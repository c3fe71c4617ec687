/*
 * OpenSSH certificates: PROTOCOL.certkeys of OpenSSH, draft-ietf-sshm-ssh-cert. A certificate is a
 * nacre_key (see key.h) that also knows who certified it, for whom and until when.
 */
#ifndef NACRE_CERTIFICATE_H
#define NACRE_CERTIFICATE_H

#include <nacre/key.h>

#ifdef __cplusplus
extern "C" {
#endif

enum nacre_certificate_type { NACRE_CERTIFICATE_USER = 1, NACRE_CERTIFICATE_HOST = 2 };

/* The fields of a certificate; all spans point into the key that it belongs to. Its signature
 * was verified when the key was read; whether its authority is trusted is the caller's question. */
struct nacre_certificate {
	struct nacre_span blob; /* the whole certificate */
	uint64_t serial;
	uint32_t type; /* enum nacre_certificate_type */
	struct nacre_span key_id;
	/* See nacre_certificate_next_principal(); empty: none named. */
	struct nacre_span principals;
	uint64_t valid_after;               /* seconds since 1970, inclusive */
	uint64_t valid_before;              /* exclusive; UINT64_MAX: for ever */
	struct nacre_span critical_options; /* see nacre_certificate_next_option() */
	struct nacre_span extensions;
	struct nacre_span signature_algorithm; /* of the authority's signature */
	const struct nacre_key *authority;     /* the key of the certificate authority */
};

/* The certificate in a key; NULL when it holds none. */
const struct nacre_certificate *nacre_key_certificate(const struct nacre_key *key);
/* Turns a key into one that holds the certificate of "certificate", which must certify the same
 * public key (NACRE_ERROR_ARGUMENT). The private part, if any, stays. */
int nacre_key_attach_certificate(struct nacre_key *key, const struct nacre_key *certificate);

/* Iterates: start with a reader of certificate->principals; false at the end. */
bool nacre_certificate_next_principal(struct nacre_reader *reader, struct nacre_span *principal);
/* Iterates options or extensions: name, and the content of the value (its inner string when it
 * has one, empty for flags). */
bool nacre_certificate_next_option(
    struct nacre_reader *reader, struct nacre_span *name, struct nacre_span *value);
/* Finds an option or extension by name; *value (may be NULL) as above. */
bool nacre_certificate_option(
    struct nacre_span options, const char *name, struct nacre_span *value);

/*
 * Type, validity at "now" (seconds since 1970) and principal ("principal" NULL: not looked at; a
 * certificate without principals fits nobody). 0 or NACRE_ERROR_REFUSED with *reason (static, in
 * OpenSSH's words: "Certificate invalid: expired", ...). Critical options are the caller's.
 */
int nacre_certificate_check(const struct nacre_certificate *certificate,
    enum nacre_certificate_type type, const char *principal, uint64_t now, const char **reason);

/* What a certificate is going to say. Strings are borrowed. */
struct nacre_certificate_body {
	enum nacre_certificate_type type;
	uint64_t serial;
	const char *key_id;
	const char *principals; /* names with commas between them; NULL: none */
	uint64_t valid_after;   /* seconds since 1970, inclusive */
	uint64_t valid_before;  /* exclusive; UINT64_MAX: for ever */
	/* Made with nacre_certificate_put_option(), in the order of their names. */
	struct nacre_span critical_options, extensions;
};
/*
 * Appends a certificate of "key" (its public part) for "authority" up to the signature, with a new
 * nonce. The authority signs exactly these bytes; its signature, behind them as a string, makes the
 * certificate's blob. 0 or NACRE_ERROR_MEMORY.
 */
int nacre_certificate_put_body(const struct nacre_key *key, const struct nacre_key *authority,
    const struct nacre_certificate_body *body, struct nacre_buffer *blob);
/* Appends an option or extension; "value" NULL: a flag. */
void nacre_certificate_put_option(
    struct nacre_buffer *options, const char *name, const char *value);

#ifdef __cplusplus
}
#endif
#endif
