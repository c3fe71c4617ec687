/*
 * The table of MACs. All come from the backend: they serve ciphers without authentication of their
 * own, which come from there as well, and OpenSSL's are the fastest.
 */
#include <crypto/backend.h>
#include <crypto/mac.h>

#include <sodium.h>
#include <stdlib.h>

struct mac {
	const struct mac_algorithm *algorithm;
	const struct backend *backend;
	struct backend_mac *context;
};

/*
 * In order of preference. A client offers all of them. A server offers by default those that
 * authenticate the ciphertext with 128 bits and more; clients that know neither these nor an
 * authenticating cipher need the others named in its configuration.
 */
static const struct mac_algorithm algorithms[] = {
    {"umac-64-etm@openssh.com", 16, 8, true, false, "UMAC-64"},
    {"umac-128-etm@openssh.com", 16, 16, true, true, "UMAC-128"},
    {"hmac-sha2-256-etm@openssh.com", 32, 32, true, true, "SHA256"},
    {"hmac-sha2-512-etm@openssh.com", 64, 64, true, true, "SHA512"},
    {"hmac-sha1-etm@openssh.com", 20, 20, true, false, "SHA1"},
    {"umac-64@openssh.com", 16, 8, false, false, "UMAC-64"},
    {"umac-128@openssh.com", 16, 16, false, false, "UMAC-128"},
    {"hmac-sha2-256", 32, 32, false, false, "SHA256"},
    {"hmac-sha2-512", 64, 64, false, false, "SHA512"},
    {"hmac-sha1", 20, 20, false, false, "SHA1"},
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

int
mac_new(const struct mac_algorithm *algorithm, const uint8_t *key, struct mac **mac)
{
	struct mac *new = calloc(1, sizeof *new);

	*mac = NULL;
	if (new == NULL)
		return NACRE_ERROR_MEMORY;
	new->algorithm = algorithm;
	if ((new->backend = backend_get()) != NULL)
		new->context =
		    new->backend->macs->create(algorithm->backend_name, key, algorithm->key_length);
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
	mac->backend->macs->destroy(mac->context);
	free(mac);
}

int
mac_compute(struct mac *mac, uint32_t sequence, struct nacre_span data, uint8_t *tag)
{
	return mac->backend->macs->compute(mac->context, sequence, data, tag);
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
