/*
 * Hash functions as a table. SHA-2 comes from libsodium, SHA-1 from nettle and MD5 from OpenSSL,
 * which are loaded on first use (see backend.h): only those two can fail.
 */
#ifndef CRYPTO_HASH_H
#define CRYPTO_HASH_H

#include <nacre/error.h>
#include <nacre/wire.h>

#define HASH_LENGTH_MAX 64

struct hash_algorithm {
	const char *name; /* "SHA256" */
	size_t length;    /* bytes of the digest */
	size_t block_length;
	const struct hash_functions *functions; /* private to crypto/ */
};

extern const struct hash_algorithm hash_md5, hash_sha1, hash_sha256, hash_sha384, hash_sha512;

/* Digest of the concatenation of "count" spans into "digest" (algorithm->length bytes). */
int hash_spans(const struct hash_algorithm *algorithm, const struct nacre_span *spans, size_t count,
    uint8_t *digest);
int hash_span(const struct hash_algorithm *algorithm, struct nacre_span data, uint8_t *digest);
/* HMAC (RFC 2104). */
int hash_hmac(const struct hash_algorithm *algorithm, struct nacre_span key, struct nacre_span data,
    uint8_t *digest);

#endif
