/*
 * ML-KEM-768 of an OpenSSL that has it (3.5 and later), through the interface that 3.0 has as well.
 */
#include <crypto/backend.h>

#include <openssl/evp.h>
#include <pthread.h>

#define NAME              "ML-KEM-768"
#define PUBLIC_LENGTH     1184
#define PRIVATE_LENGTH    2400
#define CIPHERTEXT_LENGTH 1088
#define SECRET_LENGTH     32

static bool present;

static void
look(void)
{
	EVP_KEM *kem = EVP_KEM_fetch(NULL, NAME, NULL);

	present = kem != NULL;
	EVP_KEM_free(kem);
}

static bool
mlkem_available(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, look);
	return present;
}

static int
mlkem_encapsulate(const uint8_t *public, uint8_t *ciphertext, uint8_t *secret)
{
	size_t ciphertext_length = CIPHERTEXT_LENGTH, secret_length = SECRET_LENGTH;
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key_ex(NULL, NAME, NULL, public, PUBLIC_LENGTH);
	EVP_PKEY_CTX *context = key != NULL ? EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL) : NULL;
	int result = 0;

	if (key == NULL)
		result = NACRE_ERROR_FORMAT; /* it checks the coefficients */
	else if (context == NULL || EVP_PKEY_encapsulate_init(context, NULL) != 1 ||
		 EVP_PKEY_encapsulate(
		     context, ciphertext, &ciphertext_length, secret, &secret_length) != 1)
		result = NACRE_ERROR_LIBRARY;
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(key);
	return result;
}

static int
mlkem_decapsulate(const uint8_t *private, const uint8_t *ciphertext, uint8_t *secret)
{
	size_t secret_length = SECRET_LENGTH;
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key_ex(NULL, NAME, NULL, private, PRIVATE_LENGTH);
	EVP_PKEY_CTX *context = key != NULL ? EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL) : NULL;
	int result = 0;

	if (context == NULL || EVP_PKEY_decapsulate_init(context, NULL) != 1 ||
	    EVP_PKEY_decapsulate(context, secret, &secret_length, ciphertext, CIPHERTEXT_LENGTH) !=
		1)
		result = NACRE_ERROR_LIBRARY;
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(key);
	return result;
}

const struct backend_mlkem backend_mlkem = {
    .available = mlkem_available,
    .encapsulate = mlkem_encapsulate,
    .decapsulate = mlkem_decapsulate,
};
