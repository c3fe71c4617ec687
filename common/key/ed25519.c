/* ssh-ed25519 (RFC 8709) over libsodium. */
#include <key/key.h>

#include <sodium.h>
#include <string.h>

static int
ed25519_read_public(struct nacre_key *key, struct nacre_reader *reader)
{
	struct nacre_span point = nacre_get_string(reader);

	if (reader->failed || point.length != crypto_sign_PUBLICKEYBYTES)
		return NACRE_ERROR_FORMAT;
	return key_set_public(key, &point, 1);
}

static void
ed25519_write_public(const struct nacre_key *key, struct nacre_buffer *blob)
{
	nacre_put_string_span(blob, key->public[0]);
}

/* True when "secret" (seed, then point) makes exactly this point. */
static bool
ed25519_consistent(struct nacre_span point, struct nacre_span secret)
{
	uint8_t public[crypto_sign_PUBLICKEYBYTES], again[crypto_sign_SECRETKEYBYTES];
	bool same;

	crypto_sign_seed_keypair(public, again, secret.data);
	same = sodium_memcmp(again, secret.data, sizeof again) == 0 &&
	       memcmp(public, point.data, sizeof public) == 0;
	sodium_memzero(again, sizeof again);
	return same;
}

static int
ed25519_read_private(struct nacre_key *key, struct nacre_reader *reader)
{
	struct nacre_span point = nacre_get_string(reader), secret = nacre_get_string(reader);
	int error;

	if (reader->failed || point.length != crypto_sign_PUBLICKEYBYTES ||
	    secret.length != crypto_sign_SECRETKEYBYTES || !ed25519_consistent(point, secret))
		return NACRE_ERROR_FORMAT;
	if (key->public_memory != NULL && !nacre_span_equal(point, key->public[0]))
		return NACRE_ERROR_FORMAT;
	error = key_set_public(key, &point, 1);
	return error != 0 ? error : key_set_secret(key, &secret, 1);
}

static void
ed25519_write_private(const struct nacre_key *key, struct nacre_buffer *buffer)
{
	nacre_put_string_span(buffer, key->public[0]);
	nacre_put_string_span(buffer, key->secret[0]);
}

static int
ed25519_generate(struct nacre_key *key, unsigned bits)
{
	uint8_t point[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
	struct nacre_span public = {point, sizeof point}, private = {secret, sizeof secret};
	int error;

	(void)bits;
	if (sodium_init() < 0 || crypto_sign_keypair(point, secret) != 0)
		return NACRE_ERROR_LIBRARY;
	error = key_set_public(key, &public, 1);
	if (error == 0)
		error = key_set_secret(key, &private, 1);
	sodium_memzero(secret, sizeof secret);
	return error;
}

static int
ed25519_sign(const struct nacre_key *key, const struct signature_algorithm *algorithm,
    struct nacre_span data, struct nacre_buffer *signature)
{
	uint8_t bytes[crypto_sign_BYTES];

	(void)algorithm;
	if (crypto_sign_detached(bytes, NULL, data.data, data.length, key->secret[0].data) != 0)
		return NACRE_ERROR_LIBRARY;
	nacre_put_string(signature, bytes, sizeof bytes);
	return 0;
}

static int
ed25519_verify(const struct nacre_key *key, const struct signature_algorithm *algorithm,
    struct nacre_reader *signature, struct nacre_span data, struct nacre_signature_details *details)
{
	struct nacre_span bytes = nacre_get_string(signature);

	(void)algorithm;
	(void)details;
	if (!nacre_reader_done(signature))
		return NACRE_ERROR_FORMAT;
	if (bytes.length != crypto_sign_BYTES || crypto_sign_verify_detached(bytes.data, data.data,
						     data.length, key->public[0].data) != 0)
		return NACRE_ERROR_SIGNATURE;
	return 0;
}

const struct key_functions ed25519_functions = {
    .read_public = ed25519_read_public,
    .write_public = ed25519_write_public,
    .read_private = ed25519_read_private,
    .write_private = ed25519_write_private,
    .generate = ed25519_generate,
    .sign = ed25519_sign,
    .verify = ed25519_verify,
};
