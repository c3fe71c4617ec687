/* The ciphers of openssh-key-v1 files: a whole text at once. */
#include <crypto/backend/openssl/keys.h>

#include <openssl/err.h>
#include <string.h>

#define TAG_LENGTH 16

static const struct {
	const char *name, *openssl_name;
	bool authenticated;
} ciphers[] = {
    {"aes128-ctr", "AES-128-CTR", false},
    {"aes192-ctr", "AES-192-CTR", false},
    {"aes256-ctr", "AES-256-CTR", false},
    {"aes128-cbc", "AES-128-CBC", false},
    {"aes192-cbc", "AES-192-CBC", false},
    {"aes256-cbc", "AES-256-CBC", false},
    {"3des-cbc", "DES-EDE3-CBC", false},
    {"aes128-gcm@openssh.com", "AES-128-GCM", true},
    {"aes256-gcm@openssh.com", "AES-256-GCM", true},
};

static int
crypt_with(EVP_CIPHER_CTX *context, bool authenticated, bool encrypt, uint8_t *text, size_t length,
    uint8_t *tag)
{
	uint8_t none[1];
	int done = 0;

	if (authenticated && !encrypt &&
	    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_LENGTH, tag) != 1)
		return NACRE_ERROR_LIBRARY;
	EVP_CIPHER_CTX_set_padding(context, 0);
	if (EVP_CipherUpdate(context, text, &done, text, (int)length) != 1)
		return NACRE_ERROR_LIBRARY;
	if (EVP_CipherFinal_ex(context, none, &done) != 1)
		return NACRE_ERROR_INTEGRITY;
	if (authenticated && encrypt &&
	    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG_LENGTH, tag) != 1)
		return NACRE_ERROR_LIBRARY;
	return 0;
}

int
cipher_whole(const char *name, bool encrypt, const uint8_t *key, const uint8_t *iv, uint8_t *text,
    size_t length, uint8_t *tag)
{
	EVP_CIPHER_CTX *context;
	EVP_CIPHER *cipher;
	size_t i = 0;
	int error = NACRE_ERROR_LIBRARY;

	while (i < sizeof ciphers / sizeof ciphers[0] && strcmp(ciphers[i].name, name) != 0)
		i++;
	if (i == sizeof ciphers / sizeof ciphers[0] || length > INT_MAX)
		return NACRE_ERROR_UNSUPPORTED;
	cipher = EVP_CIPHER_fetch(NULL, ciphers[i].openssl_name, NULL);
	context = EVP_CIPHER_CTX_new();
	if (cipher != NULL && context != NULL &&
	    EVP_CipherInit_ex2(context, cipher, key, iv, encrypt ? 1 : 0, NULL) == 1)
		error = crypt_with(context, ciphers[i].authenticated, encrypt, text, length, tag);
	EVP_CIPHER_CTX_free(context);
	EVP_CIPHER_free(cipher);
	ERR_clear_error();
	return error;
}
