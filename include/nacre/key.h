/*
 * Public and private keys, signatures and key files: RFC 4253 section 6.6, RFC 5656, RFC 8332,
 * RFC 8709, OpenSSH's PROTOCOL.key and PROTOCOL.certkeys.
 */
#ifndef NACRE_KEY_H
#define NACRE_KEY_H

#include <nacre/error.h>
#include <nacre/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

enum nacre_key_type {
	NACRE_KEY_ED25519,
	NACRE_KEY_ECDSA_P256,
	NACRE_KEY_ECDSA_P384,
	NACRE_KEY_ECDSA_P521,
	NACRE_KEY_RSA,
	NACRE_KEY_ED25519_SK,
	NACRE_KEY_ECDSA_SK
};

enum nacre_fingerprint_hash { NACRE_FINGERPRINT_SHA256, NACRE_FINGERPRINT_MD5 };

/* A key: always its public part, sometimes its private part, sometimes a certificate. */
struct nacre_key;

/* Makes a new private key. "bits": RSA modulus size (0: 3,072); ignored where the type has one
 * size. The caller frees *key. */
int nacre_key_generate(enum nacre_key_type type, unsigned bits, struct nacre_key **key);
/* Wipes and frees; NULL is allowed. */
void nacre_key_free(struct nacre_key *key);

/* From a public key blob (RFC 4253 section 6.6) or a certificate blob; nothing may trail. */
int nacre_key_from_blob(struct nacre_span blob, struct nacre_key **key);
/* Appends the public key blob; for a certificate the certificate, unless "plain". */
int nacre_key_put_blob(const struct nacre_key *key, bool plain, struct nacre_buffer *blob);
/* Its type; for a certificate that of the key in it. */
enum nacre_key_type nacre_key_type(const struct nacre_key *key);
/* The name of the key's format: "ssh-ed25519", "ssh-rsa", "ssh-ed25519-cert-v01@openssh.com". */
const char *nacre_key_format(const struct nacre_key *key);
/* As ssh-keygen -l shows the type: "ED25519", "RSA", "ECDSA", "ED25519-CERT", ... */
const char *nacre_key_type_label(const struct nacre_key *key);
/* Its size in bits; whether the private half is there; whether it holds a certificate. */
unsigned nacre_key_bits(const struct nacre_key *key);
bool nacre_key_is_private(const struct nacre_key *key);
bool nacre_key_is_certificate(const struct nacre_key *key);
/* Same public key (certificates: compares the keys they certify). */
bool nacre_key_equal(const struct nacre_key *a, const struct nacre_key *b);
/* The type that a key format or signature algorithm name (as text) belongs to;
 * NACRE_ERROR_UNSUPPORTED if none. */
int nacre_key_type_of_name(struct nacre_span name, enum nacre_key_type *type);
/* A copy of the public part (with its certificate) alone. */
int nacre_key_copy_public(const struct nacre_key *key, struct nacre_key **copy);
/* The application ("ssh:") of a security key (PROTOCOL.u2f); empty for others. */
struct nacre_span nacre_key_application(const struct nacre_key *key);

/* Signature algorithms for a key in order of preference ("rsa-sha2-512,rsa-sha2-256"); for a
 * certificate the names of its certificate algorithms. Static storage. */
const char *nacre_key_signature_algorithms(const struct nacre_key *key);
/* All signature algorithms the library verifies by default, without those of certificates, as a
 * name-list (that of server-sig-algs, RFC 8308); static. */
const char *nacre_signature_algorithms_default(void);
/* What a signature is called that is made with "algorithm", itself or its -cert-v01@openssh.com
 * name: "rsa-sha2-512" for "rsa-sha2-512-cert-v01@openssh.com". Static; NULL for other names. */
const char *nacre_signature_algorithm_plain(struct nacre_span algorithm);
/* True when "algorithm" signs with keys of this type ("rsa-sha2-512" with ssh-rsa). Names with
 * -cert-v01@openssh.com fit certificates, the plain names fit keys and certificates. */
bool nacre_signature_algorithm_fits(struct nacre_span algorithm, const struct nacre_key *key);
/* Appends a signature blob over "data". "algorithm" NULL: the key's first; the name of a
 * certificate algorithm means the plain one. NACRE_ERROR_STATE without a private part,
 * NACRE_ERROR_UNSUPPORTED for a security key that nothing signs for. */
int nacre_key_sign(const struct nacre_key *key, const char *algorithm, struct nacre_span data,
    struct nacre_buffer *signature);
/*
 * A key whose private half is somewhere else, in a token or an authenticator: nacre_key_sign() asks
 * "sign", which appends the whole signature blob made with "algorithm" (never NULL, a plain name that
 * fits the key). "release" (may be NULL) is called when the key is freed. The key then counts as
 * private; its private encoding does not exist unless it has one besides.
 */
struct nacre_key_signer {
	int (*sign)(void *context, const struct nacre_key *key, const char *algorithm,
	    struct nacre_span data, struct nacre_buffer *signature);
	void (*release)(void *context);
	void *context;
};
/* Takes the signer over; one that was there before is released. */
void nacre_key_delegate(struct nacre_key *key, const struct nacre_key_signer *signer);
/*
 * Private keys kept in memory for long are shielded while nobody signs with them: encrypted in place
 * with a key that is made from a long random pad each time. A shielded key neither signs nor is
 * written (NACRE_ERROR_STATE). Public keys stay as they are. NACRE_ERROR_INTEGRITY: what was
 * shielded was changed, and is lost.
 */
struct nacre_shield;
int nacre_shield_new(struct nacre_shield **shield);
/* Keys under it are lost; NULL is allowed. */
void nacre_shield_free(struct nacre_shield *shield);
int nacre_key_shield(struct nacre_key *key, const struct nacre_shield *shield);
int nacre_key_unshield(struct nacre_key *key, const struct nacre_shield *shield);

/* Verifies a signature blob over "data"; its algorithm must be "algorithm" (or the plain one of a
 * certificate algorithm) unless that is NULL. 0, NACRE_ERROR_SIGNATURE or another error. With
 * NULL, "ssh-rsa" (SHA-1) is refused: it is verified only when asked for by name. For security
 * keys the user must have been present; see nacre_key_verify_details() for other policies. */
int nacre_key_verify(const struct nacre_key *key, const char *algorithm,
    struct nacre_span signature, struct nacre_span data);

enum { NACRE_SK_USER_PRESENT = 0x01, NACRE_SK_USER_VERIFIED = 0x04 };

/* What a security key says in its signature (OpenSSH's PROTOCOL.u2f); zero for other keys. */
struct nacre_signature_details {
	uint8_t flags; /* NACRE_SK_... */
	uint32_t counter;
};
/* As nacre_key_verify(), but any flags are taken and handed to the caller, who judges them. */
int nacre_key_verify_details(const struct nacre_key *key, const char *algorithm,
    struct nacre_span signature, struct nacre_span data, struct nacre_signature_details *details);

/* The hash that "sha256" or "md5", in any case, names; false for other names. */
bool nacre_fingerprint_hash_find(const char *name, enum nacre_fingerprint_hash *hash);
/* Appends "SHA256:..." or "MD5:aa:bb...", as ssh-keygen -l prints it. */
int nacre_key_fingerprint(
    const struct nacre_key *key, enum nacre_fingerprint_hash hash, struct nacre_buffer *text);
/* Appends the randomart picture as ssh-keygen -lv prints it, lines separated by LF. */
int nacre_key_randomart(
    const struct nacre_key *key, enum nacre_fingerprint_hash hash, struct nacre_buffer *text);

/* Appends the SHA-1 digest of the public key in BubbleBabble, as ssh-keygen -B prints it. */
int nacre_key_bubblebabble(const struct nacre_key *key, struct nacre_buffer *text);

/*
 * Appends SSHFP resource records for "name" (RFC 4255): a line for each of "hashes" (flags);
 * "generic": in the form of RFC 3597. NACRE_ERROR_UNSUPPORTED: keys of this type have no number.
 */
enum nacre_sshfp_hash { NACRE_SSHFP_SHA1 = 1, NACRE_SSHFP_SHA256 = 2 };
/* The flag of the digest that "sha1" or "sha256" names; false for other names. */
bool nacre_sshfp_hash_find(const char *name, unsigned *hash);
int nacre_key_put_sshfp(const struct nacre_key *key, const char *name, unsigned hashes,
    bool generic, struct nacre_buffer *text);

/*
 * A line of a .pub file, of known_hosts or authorized_keys from the key on: "TYPE BASE64
 * [COMMENT]". *comment (may be NULL) points into the line, trimmed.
 */
int nacre_key_from_line(struct nacre_span line, struct nacre_key **key, struct nacre_span *comment);
/* Appends "TYPE BASE64", and " COMMENT" if it is not NULL or empty; no newline. */
int nacre_key_put_line(const struct nacre_key *key, const char *comment, struct nacre_buffer *text);

/* RFC 4716 ("---- BEGIN SSH2 PUBLIC KEY ----"). *comment (may be NULL) is a string that the caller
 * frees, or NULL. */
int nacre_key_from_rfc4716(struct nacre_span file, struct nacre_key **key, char **comment);
int nacre_key_put_rfc4716(
    const struct nacre_key *key, const char *comment, struct nacre_buffer *text);

/* A public key in PEM: SubjectPublicKeyInfo ("BEGIN PUBLIC KEY", all plain types) or PKCS#1
 * ("BEGIN RSA PUBLIC KEY", which NACRE_KEY_FILE_PEM writes for RSA). */
int nacre_key_from_pem(struct nacre_span file, struct nacre_key **key);
enum nacre_key_file_format { NACRE_KEY_FILE_OPENSSH, NACRE_KEY_FILE_PEM, NACRE_KEY_FILE_PKCS8 };
int nacre_key_put_pem(
    const struct nacre_key *key, enum nacre_key_file_format format, struct nacre_buffer *text);

/*
 * A private key file's content: openssh-key-v1, PEM (RSA, EC) or PKCS#8, encrypted or not.
 * "passphrase" is an empty span for none; NACRE_ERROR_PASSPHRASE when it is needed or wrong.
 * *comment (may be NULL) is a string that the caller frees.
 */
int nacre_key_parse_private(
    struct nacre_span file, struct nacre_span passphrase, struct nacre_key **key, char **comment);
/* The public half that an openssh-key-v1 file shows without its passphrase;
 * NACRE_ERROR_UNSUPPORTED for files that do not show one. */
int nacre_key_parse_private_public(struct nacre_span file, struct nacre_key **key);

struct nacre_key_file_options {
	enum nacre_key_file_format format;
	struct nacre_span passphrase; /* empty: not encrypted */
	const char *cipher;           /* NULL: aes256-ctr */
	unsigned rounds;              /* of bcrypt-pbkdf; 0: 24 */
	const char *comment;
};
/* Appends the text of a private key file. */
int nacre_key_put_private(const struct nacre_key *key, const struct nacre_key_file_options *options,
    struct nacre_buffer *text);

/* The private key encoding of the agent protocol and of openssh-key-v1: key type and numbers,
 * without comment (for a certificate the certificate and the private numbers). Reading checks that
 * the private part belongs to the public one. */
int nacre_key_read_private(struct nacre_reader *reader, struct nacre_key **key);
int nacre_key_write_private(const struct nacre_key *key, struct nacre_buffer *buffer);

/*
 * Files (key/key_file.c; everything above does no I/O).
 *
 * Reads a private key file. NACRE_ERROR_PERMISSION when it is ours and others may read it: then
 * *mode (may be NULL) holds its permission bits for nacre_key_put_unprotected(). NACRE_ERROR_SYSTEM
 * with errno, NACRE_ERROR_PASSPHRASE when one is needed or this one is wrong, NACRE_ERROR_FORMAT
 * when it is no private key. *comment (may be NULL) is the caller's to free.
 */
int nacre_key_load_private(const char *path, struct nacre_span passphrase, struct nacre_key **key,
    char **comment, unsigned *mode);
/* The same for an open file: read once, its descriptor stays the caller's. */
int nacre_key_load_private_fd(
    int fd, struct nacre_span passphrase, struct nacre_key **key, char **comment, unsigned *mode);
/* The text that OpenSSH's users know: "WARNING: UNPROTECTED PRIVATE KEY FILE!" and what follows,
 * lines ended by LF. */
void nacre_key_put_unprotected(const char *path, unsigned mode, struct nacre_buffer *text);
/* The public key that belongs to "path": the file itself when it is a public key, else path.pub,
 * else the public half that the private file shows. *comment as above. */
int nacre_key_load_public(const char *path, struct nacre_key **key, char **comment);

#ifdef __cplusplus
}
#endif
#endif
