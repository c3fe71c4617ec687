/*
 * What comes from OpenSSL and nettle: everything that a common login (curve25519, ML-KEM, ed25519,
 * chacha20-poly1305, SHA-2) does without. Linking libcrypto costs a process 0.7 ms and half a MiB
 * of private memory at its start and 1.5 ms more on first use, so these adapters live in modules
 * beside libnacre.so.0, each loaded when the first of its functions is needed:
 *
 *   libnacre-crypto.so.0    backend/openssl/: all but what follows
 *   libnacre-nettle.so.0    backend/nettle/: UMAC, which OpenSSL has not, and SHA-1, for hashed
 *                           host names are read by clients that need nothing else of a module
 *
 * The static library contains both.
 *
 * A process that is going to be confined calls nacre_crypto_preload() first.
 *
 * A module sees of the library only what it exports (nacre_...); the files in backend/ therefore
 * call no internal function.
 */
#ifndef CRYPTO_BACKEND_H
#define CRYPTO_BACKEND_H

#include <nacre/error.h>
#include <nacre/wire.h>

/* What the table of each module begins with. */
struct backend_module {
	const char *version; /* of Nacre; another one's module is not used */
	/* Initialises the libraries underneath; called once, before anything else. */
	int (*initialise)(void);
	/* Name and version of the library that is in use; static. */
	const char *(*libraries)(void);
};

/* A cipher in OpenSSL: AES in its modes, 3DES, ChaCha20 and Poly1305. */
struct backend_cipher;

struct backend_ciphers {
	/* "name" is OpenSSL's ("AES-128-GCM"). iv (NULL for GCM) is copied. NULL on failure. */
	struct backend_cipher *(*create)(
	    const char *name, bool encrypt, const uint8_t *key, const uint8_t *iv);
	void (*destroy)(struct backend_cipher *cipher);
	/* En- or decrypts in place: CBC and CTR. */
	int (*crypt)(struct backend_cipher *cipher, uint8_t *data, size_t length);
	/* GCM with a 12-byte IV: the first "clear" bytes of "data" are only authenticated, the
	 * others en- or decrypted in place; the 16-byte tag stands behind them. */
	int (*seal)(struct backend_cipher *cipher, const uint8_t *iv, uint8_t *data, size_t length,
	    size_t clear);
	int (*open)(struct backend_cipher *cipher, const uint8_t *iv, uint8_t *data, size_t length,
	    size_t clear);

	/* ChaCha20 as in libsodium's crypto_stream_chacha20_xor_ic(), a context for one key. */
	struct backend_cipher *(*chacha20_create)(const uint8_t *key);
	int (*chacha20_xor)(struct backend_cipher *cipher, const uint8_t nonce[8], uint64_t counter,
	    uint8_t *data, size_t length);
	/* Poly1305 of "data"; the context is one of chacha20_create(). */
	int (*poly1305)(struct backend_cipher *cipher, const uint8_t key[32], const uint8_t *data,
	    size_t length, uint8_t tag[16]);
};

struct backend_hashes {
	/* Digest of the concatenation; "name" is OpenSSL's ("MD5"). */
	int (*digest)(
	    const char *name, const struct nacre_span *spans, size_t count, uint8_t *digest);
};

/* A keyed MAC: HMAC in OpenSSL, UMAC in nettle. */
struct backend_mac;

struct backend_macs {
	/* "name" is that of HMAC's hash ("SHA256"), or "UMAC-64" or "UMAC-128". NULL on failure. */
	struct backend_mac *(*create)(const char *name, const uint8_t *key, size_t key_length);
	void (*destroy)(struct backend_mac *mac);
	/* HMAC covers the sequence number, of 32 bits, and the data; UMAC has it, as 64 bits, for
	 * its nonce. */
	int (*compute)(
	    struct backend_mac *mac, uint64_t sequence, struct nacre_span data, uint8_t *tag);
};

struct backend_agreements {
	/* ECDH on the curve with that NIST name ("P-256"). "scalar" is a random value of the
	 * field's size, big-endian, and is reduced into 1..n-1. Points are uncompressed. */
	int (*ecdh_public)(const char *curve, const uint8_t *scalar, size_t scalar_length,
	    struct nacre_buffer *point);
	/* Validates the peer's point; appends the x coordinate, in the field's size. */
	int (*ecdh_shared)(const char *curve, const uint8_t *scalar, size_t scalar_length,
	    struct nacre_span peer, struct nacre_buffer *secret);
	/* base ^ exponent mod modulus, in time independent of the values; magnitudes. The result
	 * has the modulus' length. */
	int (*power)(struct nacre_span base, struct nacre_span exponent, struct nacre_span modulus,
	    struct nacre_buffer *result);
};

/* ML-KEM-768 in an OpenSSL that has it. Keys, ciphertexts and secrets as in mlkem768.h. */
struct backend_mlkem {
	bool (*available)(void);
	int (*encapsulate)(const uint8_t *public, uint8_t *ciphertext, uint8_t *secret);
	int (*decapsulate)(const uint8_t *private, const uint8_t *ciphertext, uint8_t *secret);
};

struct backend_keys; /* see backend_keys.h */

/* OpenSSL. */
struct backend {
	struct backend_module module;
	const struct backend_ciphers *ciphers;
	const struct backend_hashes *hashes;
	const struct backend_macs *hmac;
	const struct backend_agreements *agreements;
	const struct backend_mlkem *mlkem;
	const struct backend_keys *keys;
	/* Are q and 2q + 1 primes? 1, 0 or NACRE_ERROR_LIBRARY. */
	int (*is_safe_prime)(struct nacre_span q, unsigned trials);
};

/* nettle. */
struct backend_nettle {
	struct backend_module module;
	const struct backend_macs *umac;
	/* SHA-1 of the concatenation, 20 bytes. */
	void (*sha1)(const struct nacre_span *spans, size_t count, uint8_t *digest);
	void (*hmac_sha1)(struct nacre_span key, struct nacre_span data, uint8_t *digest);
};

/* OpenSSL, loaded now if need be; NULL when it cannot be loaded (NACRE_ERROR_LIBRARY). */
const struct backend *backend_get(void);
/* OpenSSL if it is loaded and initialised already; never loads it. */
const struct backend *backend_loaded(void);
/* nettle, as backend_get(). */
const struct backend_nettle *backend_nettle_get(void);

/* Private to backend*.c: a module's table, NULL when there is no such module. */
enum backend_library { BACKEND_OPENSSL, BACKEND_NETTLE, BACKEND_MODULES };
const struct backend_module *backend_load(enum backend_library which);
/* The tables themselves, each its module's only symbol. */
extern const struct backend nacre_openssl_backend;
extern const struct backend_nettle nacre_nettle_backend;

/* The sub-tables, one file each in backend/openssl/. */
extern const struct backend_ciphers backend_ciphers;
extern const struct backend_hashes backend_hashes;
extern const struct backend_macs backend_hmac;
extern const struct backend_agreements backend_agreements;
extern const struct backend_mlkem backend_mlkem;
int backend_is_safe_prime(struct nacre_span q, unsigned trials);

#endif
