/* Ciphers of OpenSSL behind the table struct backend_ciphers. */
#include <crypto/backend.h>

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define TAG_LENGTH 16

struct backend_cipher {
	EVP_CIPHER_CTX *context;
	EVP_MAC_CTX *poly1305; /* beside ChaCha20 */
};

static void
cipher_destroy(struct backend_cipher *cipher)
{
	if (cipher == NULL)
		return;
	EVP_CIPHER_CTX_free(cipher->context);
	EVP_MAC_CTX_free(cipher->poly1305);
	free(cipher);
}

static bool
cipher_initialise(struct backend_cipher *cipher, const char *name, bool encrypt, const uint8_t *key,
    const uint8_t *iv)
{
	EVP_CIPHER *algorithm = EVP_CIPHER_fetch(NULL, name, NULL);
	bool done;

	cipher->context = EVP_CIPHER_CTX_new();
	done = algorithm != NULL && cipher->context != NULL &&
	       EVP_CipherInit_ex2(cipher->context, algorithm, key, iv, encrypt, NULL) == 1 &&
	       EVP_CIPHER_CTX_set_padding(cipher->context, 0) == 1;
	EVP_CIPHER_free(algorithm);
	return done;
}

static struct backend_cipher *
cipher_create(const char *name, bool encrypt, const uint8_t *key, const uint8_t *iv)
{
	struct backend_cipher *cipher = calloc(1, sizeof *cipher);

	if (cipher == NULL)
		return NULL;
	/* GCM gets its IV with each packet. */
	if (strstr(name, "GCM") != NULL)
		iv = NULL;
	if (!cipher_initialise(cipher, name, encrypt, key, iv)) {
		cipher_destroy(cipher);
		return NULL;
	}
	return cipher;
}

static int
cipher_crypt(struct backend_cipher *cipher, uint8_t *data, size_t length)
{
	int written;

	if (length > INT_MAX ||
	    EVP_CipherUpdate(cipher->context, data, &written, data, (int)length) != 1 ||
	    (size_t)written != length)
		return NACRE_ERROR_LIBRARY;
	return 0;
}

/* New IV, associated data, data: the key schedule stays. */
static int
gcm_run(
    struct backend_cipher *cipher, const uint8_t *iv, uint8_t *data, size_t length, size_t clear)
{
	int written;

	if (length > INT_MAX || clear > length)
		return NACRE_ERROR_ARGUMENT;
	if (EVP_CipherInit_ex2(cipher->context, NULL, NULL, iv, -1, NULL) != 1)
		return NACRE_ERROR_LIBRARY;
	if (clear > 0 && EVP_CipherUpdate(cipher->context, NULL, &written, data, (int)clear) != 1)
		return NACRE_ERROR_LIBRARY;
	return cipher_crypt(cipher, data + clear, length - clear);
}

static int
gcm_seal(
    struct backend_cipher *cipher, const uint8_t *iv, uint8_t *data, size_t length, size_t clear)
{
	uint8_t none[1];
	int result, written;

	if ((result = gcm_run(cipher, iv, data, length, clear)) != 0)
		return result;
	if (EVP_EncryptFinal_ex(cipher->context, none, &written) != 1 ||
	    EVP_CIPHER_CTX_ctrl(
		cipher->context, EVP_CTRL_AEAD_GET_TAG, TAG_LENGTH, data + length) != 1)
		return NACRE_ERROR_LIBRARY;
	return 0;
}

static int
gcm_open(
    struct backend_cipher *cipher, const uint8_t *iv, uint8_t *data, size_t length, size_t clear)
{
	uint8_t none[1];
	int result, written;

	if ((result = gcm_run(cipher, iv, data, length, clear)) != 0)
		return result;
	if (EVP_CIPHER_CTX_ctrl(
		cipher->context, EVP_CTRL_AEAD_SET_TAG, TAG_LENGTH, data + length) != 1)
		return NACRE_ERROR_LIBRARY;
	if (EVP_DecryptFinal_ex(cipher->context, none, &written) != 1)
		return NACRE_ERROR_INTEGRITY;
	return 0;
}

static struct backend_cipher *
chacha20_create(const uint8_t *key)
{
	static const uint8_t iv[16];
	struct backend_cipher *cipher = cipher_create("ChaCha20", true, key, iv);
	EVP_MAC *poly1305 = EVP_MAC_fetch(NULL, "POLY1305", NULL);

	if (cipher != NULL && poly1305 != NULL)
		cipher->poly1305 = EVP_MAC_CTX_new(poly1305);
	EVP_MAC_free(poly1305);
	if (cipher != NULL && cipher->poly1305 == NULL) {
		cipher_destroy(cipher);
		return NULL;
	}
	return cipher;
}

/* OpenSSL's IV is the four words that change: the counter, little-endian, and the nonce. */
static int
chacha20_xor(struct backend_cipher *cipher, const uint8_t nonce[8], uint64_t counter, uint8_t *data,
    size_t length)
{
	uint8_t iv[16];

	for (size_t i = 0; i < 8; i++)
		iv[i] = (uint8_t)(counter >> (8 * i));
	memcpy(iv + 8, nonce, 8);
	if (EVP_CipherInit_ex2(cipher->context, NULL, NULL, iv, -1, NULL) != 1)
		return NACRE_ERROR_LIBRARY;
	return cipher_crypt(cipher, data, length);
}

static int
poly1305(struct backend_cipher *cipher, const uint8_t key[32], const uint8_t *data, size_t length,
    uint8_t tag[16])
{
	size_t written;

	if (EVP_MAC_init(cipher->poly1305, key, 32, NULL) != 1 ||
	    EVP_MAC_update(cipher->poly1305, data, length) != 1 ||
	    EVP_MAC_final(cipher->poly1305, tag, &written, TAG_LENGTH) != 1)
		return NACRE_ERROR_LIBRARY;
	return 0;
}

const struct backend_ciphers backend_ciphers = {
    .create = cipher_create,
    .destroy = cipher_destroy,
    .crypt = cipher_crypt,
    .seal = gcm_seal,
    .open = gcm_open,
    .chacha20_create = chacha20_create,
    .chacha20_xor = chacha20_xor,
    .poly1305 = poly1305,
};
