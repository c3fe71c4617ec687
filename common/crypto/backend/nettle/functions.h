/* What the files of the module over nettle share. */
#ifndef CRYPTO_BACKEND_NETTLE_FUNCTIONS_H
#define CRYPTO_BACKEND_NETTLE_FUNCTIONS_H

#include <crypto/backend.h>

extern const struct backend_macs nettle_umac;
void sha1_digest_spans(const struct nacre_span *spans, size_t count, uint8_t *digest);
void hmac_sha1_once(struct nacre_span key, struct nacre_span data, uint8_t *digest);

#endif
