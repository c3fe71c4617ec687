/* UMAC (RFC 4418) by nettle. Its nonce is the packet's sequence number. */
#include <crypto/backend/nettle/functions.h>

#include <nettle/umac.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define KEY_LENGTH   16
#define NONCE_LENGTH 8

struct backend_mac {
	bool is_128;
	union {
		struct umac64_ctx umac64;
		struct umac128_ctx umac128;
	} context;
};

static struct backend_mac *
umac_create(const char *name, const uint8_t *key, size_t key_length)
{
	struct backend_mac *mac = key_length == KEY_LENGTH ? calloc(1, sizeof *mac) : NULL;

	if (mac == NULL)
		return NULL;
	mac->is_128 = strcmp(name, "UMAC-128") == 0;
	if (mac->is_128)
		umac128_set_key(&mac->context.umac128, key);
	else
		umac64_set_key(&mac->context.umac64, key);
	return mac;
}

static void
umac_destroy(struct backend_mac *mac)
{
	if (mac == NULL)
		return;
	sodium_memzero(mac, sizeof *mac);
	free(mac);
}

static int
umac_compute(struct backend_mac *mac, uint64_t sequence, struct nacre_span data, uint8_t *tag)
{
	uint8_t nonce[NONCE_LENGTH];

	for (size_t i = 0; i < NONCE_LENGTH; i++)
		nonce[i] = (uint8_t)(sequence >> (56 - 8 * i));
	if (mac->is_128) {
		umac128_set_nonce(&mac->context.umac128, sizeof nonce, nonce);
		umac128_update(&mac->context.umac128, data.length, data.data);
		umac128_digest(&mac->context.umac128, UMAC128_DIGEST_SIZE, tag);
	} else {
		umac64_set_nonce(&mac->context.umac64, sizeof nonce, nonce);
		umac64_update(&mac->context.umac64, data.length, data.data);
		umac64_digest(&mac->context.umac64, UMAC64_DIGEST_SIZE, tag);
	}
	return 0;
}

const struct backend_macs nettle_umac = {
    .create = umac_create,
    .destroy = umac_destroy,
    .compute = umac_compute,
};
