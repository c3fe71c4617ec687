/* What the files of the key functions in the module share. */
#ifndef CRYPTO_BACKEND_BACKEND_KEYS_H
#define CRYPTO_BACKEND_BACKEND_KEYS_H

#include <crypto/backend_keys.h>

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

int ecdsa_check(enum backend_curve curve, struct nacre_span point, struct nacre_span scalar);
int ecdsa_generate(
    enum backend_curve curve, struct nacre_buffer *point, struct nacre_buffer *scalar);
int ecdsa_sign(enum backend_curve curve, struct nacre_span point, struct nacre_span scalar,
    struct nacre_span data, struct nacre_buffer *r, struct nacre_buffer *s);
int ecdsa_verify(enum backend_curve curve, struct nacre_span point, struct nacre_span r,
    struct nacre_span s, struct nacre_span data);
int rsa_check(const struct backend_rsa *key);
int rsa_generate(unsigned bits, struct backend_key *key);
struct backend_rsa_signer *rsa_import(const struct backend_rsa *key);
void rsa_release(struct backend_rsa_signer *signer);
int rsa_sign(struct backend_rsa_signer *signer, const struct hash_algorithm *hash,
    struct nacre_span data, struct nacre_buffer *signature);
int rsa_verify(const struct backend_rsa *key, const struct hash_algorithm *hash,
    struct nacre_span data, struct nacre_span signature);
/* Registers what PEM files name; called before anything else of OpenSSL. */
void pem_initialise(void);
int pem_decode(struct nacre_span text, struct nacre_span passphrase, struct backend_key *key);
int pem_encode(const struct backend_key *key, enum backend_pem_format format,
    struct nacre_span passphrase, struct nacre_buffer *text);
int cipher_whole(const char *name, bool encrypt, const uint8_t *key, const uint8_t *iv,
    uint8_t *text, size_t length, uint8_t *tag);

/* OpenSSL's object for a key; NULL when the numbers make none. The caller frees it. */
EVP_PKEY *ecdsa_pkey(enum backend_curve curve, struct nacre_span point, struct nacre_span scalar);
EVP_PKEY *rsa_pkey(const struct backend_rsa *key);
/* The numbers out of OpenSSL's object. */
int ecdsa_numbers(const EVP_PKEY *pkey, struct backend_key *key);
int rsa_numbers_get(const EVP_PKEY *pkey, struct backend_key *key);

/* A key of OpenSSL's "type" from its parameters, of which "selection" says what they make. */
EVP_PKEY *pkey_of_parameters(const char *type, OSSL_PARAM_BLD *build, int selection);
/* A signature over data with a hash by name: DER for ECDSA, a plain number for RSA; appended. */
int pkey_sign(EVP_PKEY *pkey, const char *hash, struct nacre_span data, struct nacre_buffer *der);
int pkey_verify(
    EVP_PKEY *pkey, const char *hash, struct nacre_span data, struct nacre_span signature);
/* Appends the magnitude of one of a key's numbers. */
int pkey_number(const EVP_PKEY *pkey, const char *name, struct nacre_buffer *number);
/* Appends a magnitude; with "length" not 0, in so many bytes. */
int number_put(const BIGNUM *number, size_t length, struct nacre_buffer *buffer);
BIGNUM *number_get(struct nacre_span magnitude);

#endif
