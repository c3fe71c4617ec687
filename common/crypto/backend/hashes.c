/* Hashes and MACs: OpenSSL's digests and HMAC, nettle's UMAC. */
#include <crypto/backend.h>

#include <nettle/umac.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#define UMAC_KEY_LENGTH 16

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
	EVP_MAC_CTX *hmac; /* NULL: UMAC */
	size_t umac_length;
	union {
		struct umac64_ctx umac64;
		struct umac128_ctx umac128;
	} umac;
};

static void
mac_destroy(struct backend_mac *mac)
{
	if (mac == NULL)
		return;
	EVP_MAC_CTX_free(mac->hmac);
	OPENSSL_cleanse(mac, sizeof *mac);
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
	mac->hmac = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;
	EVP_MAC_free(hmac);
	return mac->hmac != NULL && EVP_MAC_init(mac->hmac, key, key_length, parameters) == 1;
}

static struct backend_mac *
mac_create(const char *name, const uint8_t *key, size_t key_length)
{
	struct backend_mac *mac = calloc(1, sizeof *mac);
	bool umac = strncmp(name, "UMAC-", 5) == 0;

	if (mac == NULL || (umac && key_length != UMAC_KEY_LENGTH)) {
		free(mac);
		return NULL;
	}
	if (umac && strcmp(name, "UMAC-64") == 0) {
		mac->umac_length = 8;
		umac64_set_key(&mac->umac.umac64, key);
	} else if (umac) {
		mac->umac_length = 16;
		umac128_set_key(&mac->umac.umac128, key);
	} else if (!hmac_initialise(mac, name, key, key_length)) {
		mac_destroy(mac);
		return NULL;
	}
	return mac;
}

static void
sequence_encode(uint8_t *bytes, uint32_t sequence)
{
	bytes[0] = (uint8_t)(sequence >> 24);
	bytes[1] = (uint8_t)(sequence >> 16);
	bytes[2] = (uint8_t)(sequence >> 8);
	bytes[3] = (uint8_t)sequence;
}

/* The nonce is the sequence number as a 64-bit integer. */
static void
umac_compute(struct backend_mac *mac, uint32_t sequence, struct nacre_span data, uint8_t *tag)
{
	uint8_t nonce[8] = {0};

	sequence_encode(nonce + 4, sequence);
	if (mac->umac_length == 8) {
		umac64_set_nonce(&mac->umac.umac64, sizeof nonce, nonce);
		umac64_update(&mac->umac.umac64, data.length, data.data);
		umac64_digest(&mac->umac.umac64, 8, tag);
	} else {
		umac128_set_nonce(&mac->umac.umac128, sizeof nonce, nonce);
		umac128_update(&mac->umac.umac128, data.length, data.data);
		umac128_digest(&mac->umac.umac128, 16, tag);
	}
}

static int
mac_compute(struct backend_mac *mac, uint32_t sequence, struct nacre_span data, uint8_t *tag)
{
	uint8_t bytes[4];
	size_t written;

	if (mac->hmac == NULL) {
		umac_compute(mac, sequence, data, tag);
		return 0;
	}
	sequence_encode(bytes, sequence);
	/* Without a key the one of the last run stays. */
	if (EVP_MAC_init(mac->hmac, NULL, 0, NULL) != 1 ||
	    EVP_MAC_update(mac->hmac, bytes, sizeof bytes) != 1 ||
	    EVP_MAC_update(mac->hmac, data.data, data.length) != 1 ||
	    EVP_MAC_final(mac->hmac, tag, &written, EVP_MAX_MD_SIZE) != 1)
		return NACRE_ERROR_LIBRARY;
	return 0;
}

const struct backend_macs backend_macs = {
    .create = mac_create,
    .destroy = mac_destroy,
    .compute = mac_compute,
};
