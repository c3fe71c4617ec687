/*
 * Message authentication codes (RFC 4253 section 6.4, RFC 6668, umac, the -etm variants).
 */
#ifndef CRYPTO_MAC_H
#define CRYPTO_MAC_H

#include <nacre/error.h>
#include <nacre/wire.h>

#define MAC_LENGTH_MAX 64

struct mac;

struct mac_algorithm {
	const char *name;
	size_t key_length;
	size_t tag_length;
	bool encrypt_then_mac;
	bool by_default_server;   /* a client offers all by default */
	bool is_umac;             /* from nettle; else HMAC, from OpenSSL */
	const char *backend_name; /* its name there */
};

const struct mac_algorithm *mac_find(struct nacre_span name);
const struct mac_algorithm *mac_table(size_t *count);

int mac_new(const struct mac_algorithm *algorithm, const uint8_t *key, struct mac **mac);
void mac_free(struct mac *mac);
/* MAC over the 32-bit sequence number and "data" (umac: the sequence number is the nonce). */
int mac_compute(struct mac *mac, uint32_t sequence, struct nacre_span data, uint8_t *tag);
/* Constant-time comparison with "tag"; 0 or NACRE_ERROR_INTEGRITY. */
int mac_verify(struct mac *mac, uint32_t sequence, struct nacre_span data, const uint8_t *tag);

#endif
