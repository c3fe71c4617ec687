/*
 * AES-GCM (RFC 5647), and the ciphers without authentication: AES-CTR (RFC 4344), AES-CBC and 3DES
 * (RFC 4253 section 6.3). The backend computes; what is here is the state that goes from one packet
 * to the next, so that it can move to another process.
 */
#include <crypto/cipher_functions.h>

#include <string.h>

/* Adds to a big-endian number, modulo its size. */
static void
counter_add(uint8_t *counter, size_t length, uint64_t value)
{
	for (size_t i = length; i > 0 && value > 0; i--) {
		value += counter[i - 1];
		counter[i - 1] = (uint8_t)value;
		value >>= 8;
	}
}

static int
backend_start(struct cipher *cipher)
{
	if ((cipher->backend = backend_get()) == NULL)
		return NACRE_ERROR_LIBRARY;
	cipher->context = cipher->backend->ciphers->create(
	    cipher->algorithm->backend_name, cipher->encrypt, cipher->key, cipher->iv);
	return cipher->context != NULL ? 0 : NACRE_ERROR_LIBRARY;
}

/* The IV is 4 fixed bytes and a 64-bit invocation counter, RFC 5647 section 7.1. */
static void
gcm_next(struct cipher *cipher)
{
	counter_add(cipher->iv + 4, 8, 1);
}

static int
gcm_seal(struct cipher *cipher, uint32_t sequence, uint8_t *data, size_t length, size_t clear)
{
	int result =
	    cipher->backend->ciphers->seal(cipher->context, cipher->iv, data, length, clear);

	(void)sequence;
	gcm_next(cipher);
	return result;
}

static int
gcm_open(struct cipher *cipher, uint32_t sequence, uint8_t *data, size_t length, size_t clear)
{
	int result =
	    cipher->backend->ciphers->open(cipher->context, cipher->iv, data, length, clear);

	(void)sequence;
	gcm_next(cipher);
	return result;
}

static int
ctr_crypt(struct cipher *cipher, uint8_t *data, size_t length)
{
	counter_add(cipher->iv, cipher->algorithm->iv_length, length / CIPHER_BLOCK_MAX);
	return cipher->backend->ciphers->crypt(cipher->context, data, length);
}

/* The last block of ciphertext is the IV of what follows. */
static int
cbc_crypt(struct cipher *cipher, uint8_t *data, size_t length)
{
	size_t block = cipher->algorithm->block_length;
	int result;

	if (!cipher->encrypt)
		memcpy(cipher->iv, data + length - block, block);
	result = cipher->backend->ciphers->crypt(cipher->context, data, length);
	if (cipher->encrypt)
		memcpy(cipher->iv, data + length - block, block);
	return result;
}

const struct cipher_functions cipher_gcm = {
    .start = backend_start,
    .seal = gcm_seal,
    .open = gcm_open,
};

const struct cipher_functions cipher_ctr = {
    .start = backend_start,
    .crypt = ctr_crypt,
};

const struct cipher_functions cipher_cbc = {
    .start = backend_start,
    .crypt = cbc_crypt,
};
