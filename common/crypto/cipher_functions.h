/* Between cipher.c, which knows the algorithms, and the files that implement a kind of them. */
#ifndef CRYPTO_CIPHER_FUNCTIONS_H
#define CRYPTO_CIPHER_FUNCTIONS_H

#include <crypto/backend.h>
#include <crypto/cipher.h>

#define CIPHER_KEY_MAX   64
#define CIPHER_IV_MAX    16
#define CIPHER_BLOCK_MAX 16
#define CIPHER_TAG_MAX   16

struct cipher {
	const struct cipher_algorithm *algorithm;
	const struct backend *backend; /* NULL while it is not needed */
	struct backend_cipher *context;
	bool encrypt;
	bool settled;       /* chacha20-poly1305: whether the backend takes over is decided */
	uint64_t processed; /* bytes, until the backend takes over */
	uint8_t key[CIPHER_KEY_MAX];
	uint8_t iv[CIPHER_IV_MAX]; /* the next one to use */
};

struct cipher_functions {
	/* Makes the contexts from key and iv. */
	int (*start)(struct cipher *cipher);
	/* The first "clear" bytes of "data" are the packet length (4) or nothing (0). */
	int (*seal)(
	    struct cipher *cipher, uint32_t sequence, uint8_t *data, size_t length, size_t clear);
	int (*open)(
	    struct cipher *cipher, uint32_t sequence, uint8_t *data, size_t length, size_t clear);
	void (*packet_length)(struct cipher *cipher, uint32_t sequence, uint8_t bytes[4]);
	int (*crypt)(struct cipher *cipher, uint8_t *data, size_t length);
};

extern const struct cipher_functions cipher_chacha20_poly1305, cipher_gcm, cipher_cbc, cipher_ctr;

#endif
