/*
 * The table of MACs. All come from the backend, UMAC from nettle and HMAC from OpenSSL: they serve
 * ciphers without authentication of their own, which come from there as well.
 */
#include <crypto/backend.h>
#include <crypto/mac.h>

#include <sodium.h>
#include <stdlib.h>

struct mac {
	const struct mac_algorithm *algorithm;
	const struct backend_macs *functions;
	struct backend_mac *context;
};

/*
 * In order of preference. A client offers all of them. A server offers by default those that
 * authenticate the ciphertext with 128 bits and more; clients that know neither these nor an
 * authenticating cipher need the others named in its configuration.
 */
static const struct mac_algorithm algorithms[] = {
    {"umac-64-etm@openssh.com", 16, 8, true, false, true, "UMAC-64"},
    {"umac-128-etm@openssh.com", 16, 16, true, true, true, "UMAC-128"},
    {"hmac-sha2-256-etm@openssh.com", 32, 32, true, true, false, "SHA256"},
    {"hmac-sha2-512-etm@openssh.com", 64, 64, true, true, false, "SHA512"},
    {"hmac-sha1-etm@openssh.com", 20, 20, true, false, false, "SHA1"},
    {"umac-64@openssh.com", 16, 8, false, false, true, "UMAC-64"},
    {"umac-128@openssh.com", 16, 16, false, false, true, "UMAC-128"},
    {"hmac-sha2-256", 32, 32, false, false, false, "SHA256"},
    {"hmac-sha2-512", 64, 64, false, false, false, "SHA512"},
    {"hmac-sha1", 20, 20, false, false, false, "SHA1"},
};

const struct mac_algorithm *
mac_table(size_t *count)
{
	*count = sizeof algorithms / sizeof algorithms[0];
	return algorithms;
}

const struct mac_algorithm *
mac_find(struct nacre_span name)
{
	for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
		if (nacre_span_equals(name, algorithms[i].name))
			return &algorithms[i];
	return NULL;
}

static const struct backend_macs *
functions_of(const struct mac_algorithm *algorithm)
{
	const struct backend_nettle *nettle;
	const struct backend *openssl;

	if (algorithm->is_umac) {
		nettle = backend_nettle_get();
		return nettle != NULL ? nettle->umac : NULL;
	}
	openssl = backend_get();
	return openssl != NULL ? openssl->hmac : NULL;
}

int
mac_new(const struct mac_algorithm *algorithm, const uint8_t *key, struct mac **mac)
{
	struct mac *new = calloc(1, sizeof *new);

	*mac = NULL;
	if (new == NULL)
		return NACRE_ERROR_MEMORY;
	new->algorithm = algorithm;
	if ((new->functions = functions_of(algorithm)) != NULL)
		new->context =
		    new->functions->create(algorithm->backend_name, key, algorithm->key_length);
	if (new->context == NULL) {
		free(new);
		return NACRE_ERROR_LIBRARY;
	}
	*mac = new;
	return 0;
}

void
mac_free(struct mac *mac)
{
	if (mac == NULL)
		return;
	mac->functions->destroy(mac->context);
	free(mac);
}

int
mac_compute(struct mac *mac, uint32_t sequence, struct nacre_span data, uint8_t *tag)
{
	return mac->functions->compute(mac->context, sequence, data, tag);
}

int
mac_verify(struct mac *mac, uint32_t sequence, struct nacre_span data, const uint8_t *tag)
{
	uint8_t expected[MAC_LENGTH_MAX];
	int result = mac_compute(mac, sequence, data, expected);

	if (result == 0 && sodium_memcmp(expected, tag, mac->algorithm->tag_length) != 0)
		result = NACRE_ERROR_INTEGRITY;
	sodium_memzero(expected, sizeof expected);
	return result;
}
