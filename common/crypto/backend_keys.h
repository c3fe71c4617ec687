/*
 * What the key layer takes from OpenSSL: ECDSA, RSA, PEM and PKCS#8 files and the ciphers of
 * openssh-key-v1 files. All of it over raw numbers: magnitudes are big-endian without leading
 * zeros, points are SEC 1 octet strings, uncompressed. Part of the module behind backend.h.
 */
#ifndef CRYPTO_BACKEND_KEYS_H
#define CRYPTO_BACKEND_KEYS_H

#include <crypto/hash.h>
#include <nacre/error.h>
#include <nacre/wire.h>

enum backend_curve { BACKEND_P256, BACKEND_P384, BACKEND_P521 };

/* An RSA key; of a public key only n and e are set. */
struct backend_rsa {
	struct nacre_span n, e, d, p, q, iqmp;
};

/* An RSA key as OpenSSL has it. */
struct backend_rsa_signer;

/* A key as read from PEM; buffers that do not belong to the kind stay empty. */
enum backend_key_kind { BACKEND_KEY_RSA, BACKEND_KEY_EC, BACKEND_KEY_ED25519 };
struct backend_key {
	enum backend_key_kind kind;
	bool is_private;
	enum backend_curve curve;
	struct nacre_buffer point;  /* EC, ED25519 */
	struct nacre_buffer scalar; /* EC: d; ED25519: the 32-byte seed */
	struct nacre_buffer n, e, d, p, q, iqmp;
};

enum backend_pem_format { BACKEND_PEM_TRADITIONAL, BACKEND_PEM_PKCS8 };

struct backend_keys {
	/* 0 when the point is on the curve, not infinity, and belongs to the scalar (if that is
	 * not empty); NACRE_ERROR_FORMAT. */
	int (*ecdsa_check)(
	    enum backend_curve curve, struct nacre_span point, struct nacre_span scalar);
	int (*ecdsa_generate)(
	    enum backend_curve curve, struct nacre_buffer *point, struct nacre_buffer *scalar);
	/* Signs data with the curve's hash of RFC 5656 section 6.2.1; appends magnitudes. */
	int (*ecdsa_sign)(enum backend_curve curve, struct nacre_span point,
	    struct nacre_span scalar, struct nacre_span data, struct nacre_buffer *r,
	    struct nacre_buffer *s);
	int (*ecdsa_verify)(enum backend_curve curve, struct nacre_span point, struct nacre_span r,
	    struct nacre_span s, struct nacre_span data);

	/* Checks that the private numbers belong to n and e. */
	int (*rsa_check)(const struct backend_rsa *key);
	/* Fills the numbers of a new key. */
	int (*rsa_generate)(unsigned bits, struct backend_key *key);
	/* A private key made ready to sign, a third of the work of a signature: keep it. The
	 * numbers are copied, and wiped by rsa_release(). NULL on failure. */
	struct backend_rsa_signer *(*rsa_import)(const struct backend_rsa *key);
	void (*rsa_release)(struct backend_rsa_signer *signer);
	/* RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2); the signature is as long as n. Threads may
	 * share the signer. */
	int (*rsa_sign)(struct backend_rsa_signer *signer, const struct hash_algorithm *hash,
	    struct nacre_span data, struct nacre_buffer *signature);
	int (*rsa_verify)(const struct backend_rsa *key, const struct hash_algorithm *hash,
	    struct nacre_span data, struct nacre_span signature);

	/* Reads the first PEM block: private (PKCS#1, SEC 1, PKCS#8, encrypted or not) or public
	 * key. NACRE_ERROR_PASSPHRASE when it is encrypted and the passphrase empty or wrong. */
	int (*pem_decode)(
	    struct nacre_span text, struct nacre_span passphrase, struct backend_key *key);
	/* Appends PEM text. An empty passphrase: not encrypted. */
	int (*pem_encode)(const struct backend_key *key, enum backend_pem_format format,
	    struct nacre_span passphrase, struct nacre_buffer *text);

	/* En- or decrypts a whole text in place with a cipher by its SSH name; AEAD tags stand
	 * behind the text. NACRE_ERROR_INTEGRITY, NACRE_ERROR_UNSUPPORTED. */
	int (*cipher_whole)(const char *name, bool encrypt, const uint8_t *key, const uint8_t *iv,
	    uint8_t *text, size_t length, uint8_t *tag);
};

/* Wipes and frees the buffers. */
void backend_key_free(struct backend_key *key);

extern const struct backend_keys backend_keys;

#endif
