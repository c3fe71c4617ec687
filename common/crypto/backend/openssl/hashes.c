/* Digests and HMAC (RFC 2104) by OpenSSL. */
#include <crypto/backend.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

static bool
digest_run(EVP_MD_CTX *context, const EVP_MD *algorithm, const struct nacre_span *spans,
    size_t count, uint8_t *digest)
{
	if (EVP_DigestInit_ex2(context, algorithm, NULL) != 1)
		return false;
	for (size_t i = 0; i < count; i++)
		if (EVP_DigestUpdate(context, spans[i].data, spans[i].length) != 1)
			return false;
	return EVP_DigestFinal_ex(context, digest, NULL) == 1;
}

static int
hash_digest(const char *name, const struct nacre_span *spans, size_t count, uint8_t *digest)
{
	EVP_MD *algorithm = EVP_MD_fetch(NULL, name, NULL);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool done = algorithm != NULL && context != NULL &&
		    digest_run(context, algorithm, spans, count, digest);

	EVP_MD_CTX_free(context);
	EVP_MD_free(algorithm);
	return done ? 0 : NACRE_ERROR_LIBRARY;
}

const struct backend_hashes backend_hashes = {
    .digest = hash_digest,
};

struct backend_mac {
	EVP_MAC_CTX *context;
};

static void
hmac_destroy(struct backend_mac *mac)
{
	if (mac == NULL)
		return;
	EVP_MAC_CTX_free(mac->context);
	free(mac);
}

static bool
hmac_initialise(struct backend_mac *mac, const char *hash, const uint8_t *key, size_t key_length)
{
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	char name[16] = {0};
	OSSL_PARAM parameters[2] = {
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
	    OSSL_PARAM_construct_end(),
	};

	strncpy(name, hash, sizeof name - 1);
	mac->context = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;
	EVP_MAC_free(hmac);
	return mac->context != NULL && EVP_MAC_init(mac->context, key, key_length, parameters) == 1;
}

static struct backend_mac *
hmac_create(const char *name, const uint8_t *key, size_t key_length)
{
	struct backend_mac *mac = calloc(1, sizeof *mac);

	if (mac != NULL && !hmac_initialise(mac, name, key, key_length)) {
		hmac_destroy(mac);
		return NULL;
	}
	return mac;
}

static int
hmac_compute(struct backend_mac *mac, uint64_t sequence, struct nacre_span data, uint8_t *tag)
{
	const uint8_t bytes[4] = {(uint8_t)(sequence >> 24), (uint8_t)(sequence >> 16),
	    (uint8_t)(sequence >> 8), (uint8_t)sequence};
	size_t written;

	/* Without a key the one of the last run stays. */
	if (EVP_MAC_init(mac->context, NULL, 0, NULL) != 1 ||
	    EVP_MAC_update(mac->context, bytes, sizeof bytes) != 1 ||
	    EVP_MAC_update(mac->context, data.data, data.length) != 1 ||
	    EVP_MAC_final(mac->context, tag, &written, EVP_MAX_MD_SIZE) != 1)
		return NACRE_ERROR_LIBRARY;
	return 0;
}

const struct backend_macs backend_hmac = {
    .create = hmac_create,
    .destroy = hmac_destroy,
    .compute = hmac_compute,
};
