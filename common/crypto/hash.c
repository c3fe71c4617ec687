/* Hash functions over libsodium and the backend; HMAC over all of them. */
#include <crypto/backend.h>
#include <crypto/hash.h>

#include <sodium.h>
#include <string.h>

#define BLOCK_MAX 128

struct hash_functions {
	int (*digest)(const struct hash_algorithm *algorithm, const struct nacre_span *spans,
	    size_t count, uint8_t *digest);
	/* NULL: made of digests. */
	int (*hmac)(struct nacre_span key, struct nacre_span data, uint8_t *digest);
};

static int
md5_digest(const struct hash_algorithm *algorithm, const struct nacre_span *spans, size_t count,
    uint8_t *digest)
{
	const struct backend *backend = backend_get();

	return backend != NULL ? backend->hashes->digest(algorithm->name, spans, count, digest)
			       : NACRE_ERROR_LIBRARY;
}

static int
sha1_digest(const struct hash_algorithm *algorithm, const struct nacre_span *spans, size_t count,
    uint8_t *digest)
{
	const struct backend_nettle *nettle = backend_nettle_get();

	(void)algorithm;
	if (nettle == NULL)
		return NACRE_ERROR_LIBRARY;
	nettle->sha1(spans, count, digest);
	return 0;
}

/* Thousands of hashed host names are looked through in a login. */
static int
sha1_hmac(struct nacre_span key, struct nacre_span data, uint8_t *digest)
{
	const struct backend_nettle *nettle = backend_nettle_get();

	if (nettle == NULL)
		return NACRE_ERROR_LIBRARY;
	nettle->hmac_sha1(key, data, digest);
	return 0;
}

static int
sha256_digest(const struct hash_algorithm *algorithm, const struct nacre_span *spans, size_t count,
    uint8_t *digest)
{
	crypto_hash_sha256_state state;

	(void)algorithm;
	crypto_hash_sha256_init(&state);
	for (size_t i = 0; i < count; i++)
		crypto_hash_sha256_update(&state, spans[i].data, spans[i].length);
	crypto_hash_sha256_final(&state, digest);
	return 0;
}

/* SHA-384 is SHA-512 from another start, cut off (FIPS 180-4 section 5.3.4). */
static const uint64_t sha384_start[8] = {0xcbbb9d5dc1059ed8, 0x629a292a367cd507, 0x9159015a3070dd17,
    0x152fecd8f70e5939, 0x67332667ffc00b31, 0x8eb44a8768581511, 0xdb0c2e0d64f98fa7,
    0x47b5481dbefa4fa4};

static int
sha512_digest(const struct hash_algorithm *algorithm, const struct nacre_span *spans, size_t count,
    uint8_t *digest)
{
	crypto_hash_sha512_state state;
	uint8_t whole[crypto_hash_sha512_BYTES];

	crypto_hash_sha512_init(&state);
	if (algorithm->length < sizeof whole)
		memcpy(state.state, sha384_start, sizeof sha384_start);
	for (size_t i = 0; i < count; i++)
		crypto_hash_sha512_update(&state, spans[i].data, spans[i].length);
	crypto_hash_sha512_final(&state, whole);
	memcpy(digest, whole, algorithm->length);
	sodium_memzero(whole, sizeof whole);
	return 0;
}

static const struct hash_functions from_md5 = {md5_digest, NULL},
				   from_sha1 = {sha1_digest, sha1_hmac},
				   from_sha256 = {sha256_digest, NULL},
				   from_sha512 = {sha512_digest, NULL};

const struct hash_algorithm hash_md5 = {"MD5", 16, 64, &from_md5};
const struct hash_algorithm hash_sha1 = {"SHA1", 20, 64, &from_sha1};
const struct hash_algorithm hash_sha256 = {"SHA256", 32, 64, &from_sha256};
const struct hash_algorithm hash_sha384 = {"SHA384", 48, 128, &from_sha512};
const struct hash_algorithm hash_sha512 = {"SHA512", 64, 128, &from_sha512};

int
hash_spans(const struct hash_algorithm *algorithm, const struct nacre_span *spans, size_t count,
    uint8_t *digest)
{
	return algorithm->functions->digest(algorithm, spans, count, digest);
}

int
hash_span(const struct hash_algorithm *algorithm, struct nacre_span data, uint8_t *digest)
{
	return hash_spans(algorithm, &data, 1, digest);
}

/* One of the two passes of HMAC: the hash of the key, masked, and the data. */
static int
hmac_pass(const struct hash_algorithm *algorithm, const uint8_t key[BLOCK_MAX], uint8_t mask,
    struct nacre_span data, uint8_t *digest)
{
	uint8_t pad[BLOCK_MAX];
	struct nacre_span spans[2] = {{pad, algorithm->block_length}, data};
	int result;

	for (size_t i = 0; i < BLOCK_MAX; i++)
		pad[i] = key[i] ^ mask;
	result = hash_spans(algorithm, spans, 2, digest);
	sodium_memzero(pad, sizeof pad);
	return result;
}

int
hash_hmac(const struct hash_algorithm *algorithm, struct nacre_span key, struct nacre_span data,
    uint8_t *digest)
{
	uint8_t block[BLOCK_MAX] = {0}, inner[HASH_LENGTH_MAX];
	int result = 0;

	if (algorithm->functions->hmac != NULL)
		return algorithm->functions->hmac(key, data, digest);
	if (key.length > algorithm->block_length)
		result = hash_span(algorithm, key, block);
	else if (key.length > 0)
		memcpy(block, key.data, key.length);
	if (result == 0)
		result = hmac_pass(algorithm, block, 0x36, data, inner);
	if (result == 0)
		result = hmac_pass(
		    algorithm, block, 0x5c, (struct nacre_span){inner, algorithm->length}, digest);
	sodium_memzero(block, sizeof block);
	sodium_memzero(inner, sizeof inner);
	return result;
}
