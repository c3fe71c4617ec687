/* The table of the module over OpenSSL, and the initialisation of OpenSSL. */
#include <crypto/backend.h>
#include <crypto/backend/openssl/keys.h>

#include <openssl/crypto.h>

/*
 * No configuration file is read, no error strings are loaded and nothing is registered to run at
 * exit: that makes it cheap, and possible in a process without files.
 */
static int
initialise(void)
{
	uint64_t options = OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS |
			   OPENSSL_INIT_NO_ADD_ALL_CIPHERS | OPENSSL_INIT_NO_ADD_ALL_DIGESTS |
			   OPENSSL_INIT_NO_ATEXIT;

	if (OPENSSL_init_crypto(options, NULL) != 1)
		return NACRE_ERROR_LIBRARY;
	pem_initialise();
	return 0;
}

static const char *
libraries(void)
{
	return OpenSSL_version(OPENSSL_VERSION);
}

const struct backend nacre_openssl_backend = {
    .module = {.version = NACRE_VERSION, .initialise = initialise, .libraries = libraries},
    .ciphers = &backend_ciphers,
    .hashes = &backend_hashes,
    .hmac = &backend_hmac,
    .agreements = &backend_agreements,
    .mlkem = &backend_mlkem,
    .keys = &backend_keys,
    .is_safe_prime = backend_is_safe_prime,
};
