/* SHA-1 (FIPS 180-4 section 6.1) and HMAC-SHA1 (RFC 2104) by nettle. */
#include <crypto/backend/nettle/functions.h>

#include <nettle/hmac.h>
#include <nettle/sha1.h>
#include <sodium.h>

void
sha1_digest_spans(const struct nacre_span *spans, size_t count, uint8_t *digest)
{
	struct sha1_ctx context;

	sha1_init(&context);
	for (size_t i = 0; i < count; i++)
		sha1_update(&context, spans[i].length, spans[i].data);
	sha1_digest(&context, SHA1_DIGEST_SIZE, digest);
	sodium_memzero(&context, sizeof context);
}

void
hmac_sha1_once(struct nacre_span key, struct nacre_span data, uint8_t *digest)
{
	struct hmac_sha1_ctx context;

	hmac_sha1_set_key(&context, key.length, key.data);
	hmac_sha1_update(&context, data.length, data.data);
	hmac_sha1_digest(&context, SHA1_DIGEST_SIZE, digest);
	sodium_memzero(&context, sizeof context);
}
