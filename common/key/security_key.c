/*
 * Keys that live in a FIDO authenticator: sk-ssh-ed25519@openssh.com and
 * sk-ecdsa-sha2-nistp256@openssh.com (OpenSSH's PROTOCOL.u2f), the latter also with signatures of
 * browsers (webauthn). Signatures are verified; the authenticator makes them, see nacre/provider.h.
 */
#include <key/key.h>
#include <nacre/provider.h>

#include <sodium.h>
#include <string.h>

enum { SK_POINT, SK_APPLICATION, SK_PUBLIC };
enum { SK_FLAGS, SK_HANDLE, SK_RESERVED, SK_SECRET };

static int
security_key_read_public(struct nacre_key *key, struct nacre_reader *reader)
{
	struct nacre_span curve = {0}, numbers[SK_PUBLIC];
	size_t expected = crypto_sign_PUBLICKEYBYTES;

	if (key->kind->curve_name != NULL) {
		curve = nacre_get_string(reader);
		expected = 1 + 2 * (size_t)(key->kind->bits / 8);
	}
	numbers[SK_POINT] = nacre_get_string(reader);
	numbers[SK_APPLICATION] = nacre_get_string(reader);
	if (reader->failed || numbers[SK_POINT].length != expected)
		return NACRE_ERROR_FORMAT;
	if (key->kind->curve_name != NULL &&
	    (!nacre_span_equals(curve, key->kind->curve_name) || numbers[SK_POINT].data[0] != 0x04))
		return NACRE_ERROR_FORMAT;
	return key_set_public(key, numbers, SK_PUBLIC);
}

static void
security_key_write_public(const struct nacre_key *key, struct nacre_buffer *blob)
{
	if (key->kind->curve_name != NULL)
		nacre_put_cstring(blob, key->kind->curve_name);
	nacre_put_string_span(blob, key->public[SK_POINT]);
	nacre_put_string_span(blob, key->public[SK_APPLICATION]);
}

/* Behind a certificate only the application is repeated. */
static int
security_key_read_private(struct nacre_key *key, struct nacre_reader *reader)
{
	struct nacre_span secret[SK_SECRET], application;
	int error;

	if (key->public_memory == NULL) {
		if ((error = security_key_read_public(key, reader)) != 0)
			return error;
	} else {
		application = nacre_get_string(reader);
		if (!nacre_span_equal(application, key->public[SK_APPLICATION]))
			return NACRE_ERROR_FORMAT;
	}
	secret[SK_FLAGS] = nacre_get_bytes(reader, 1);
	secret[SK_HANDLE] = nacre_get_string(reader);
	secret[SK_RESERVED] = nacre_get_string(reader);
	return reader->failed ? NACRE_ERROR_FORMAT : key_set_secret(key, secret, SK_SECRET);
}

static void
security_key_write_private(const struct nacre_key *key, struct nacre_buffer *buffer)
{
	if (key->certificate == NULL)
		security_key_write_public(key, buffer);
	else
		nacre_put_string_span(buffer, key->public[SK_APPLICATION]);
	nacre_put_span(buffer, key->secret[SK_FLAGS]);
	nacre_put_string_span(buffer, key->secret[SK_HANDLE]);
	nacre_put_string_span(buffer, key->secret[SK_RESERVED]);
}

/* What the authenticator signed: hash of the application, flags, counter, extensions (of browsers
 * only), hash of the data. */
static int
signed_data(const struct nacre_key *key, const struct nacre_signature_details *details,
    struct nacre_span extensions, struct nacre_span data, struct nacre_buffer *text)
{
	uint8_t digest[HASH_LENGTH_MAX];
	int error = hash_span(&hash_sha256, key->public[SK_APPLICATION], digest);

	nacre_put_bytes(text, digest, hash_sha256.length);
	nacre_put_byte(text, details->flags);
	nacre_put_u32(text, details->counter);
	nacre_put_span(text, extensions);
	if (error == 0)
		error = hash_span(&hash_sha256, data, digest);
	nacre_put_bytes(text, digest, hash_sha256.length);
	return error != 0 ? error : text->failed ? NACRE_ERROR_MEMORY : 0;
}

enum { FLAG_ATTESTED_DATA = 0x40, FLAG_EXTENSIONS = 0x80 };

/* Base64 for URLs, RFC 4648 section 5, without padding. */
static void
put_base64url(struct nacre_span bytes, struct nacre_buffer *text)
{
	size_t before = nacre_buffer_length(text);

	nacre_put_base64(text, bytes);
	while (nacre_buffer_length(text) > before && text->data[text->end - 1] == '=')
		nacre_buffer_truncate(text, nacre_buffer_length(text) - 1);
	for (size_t i = before; i < nacre_buffer_length(text); i++) {
		uint8_t *byte = &text->data[text->start + i];

		*byte = *byte == '+' ? '-' : *byte == '/' ? '_' : *byte;
	}
}

/* What a browser has signed is JSON whose first members are known: it must be about our data, for
 * the origin that the signature names. */
static bool
client_data_fits(struct nacre_span client_data, struct nacre_span data, struct nacre_span origin)
{
	SCOPED_BUFFER struct nacre_buffer expected = {0};
	struct nacre_span wanted;

	if (origin.length == 0 || memchr(origin.data, '"', origin.length) != NULL ||
	    memchr(origin.data, '\\', origin.length) != NULL)
		return false;
	nacre_put_format(&expected, "{\"type\":\"webauthn.get\",\"challenge\":\"");
	put_base64url(data, &expected);
	nacre_put_format(&expected, "\",\"origin\":\"");
	nacre_put_span(&expected, origin);
	nacre_put_byte(&expected, '"');
	wanted = nacre_buffer_span(&expected);
	return !expected.failed && client_data.length > wanted.length &&
	       memcmp(client_data.data, wanted.data, wanted.length) == 0;
}

/* The fields that only browsers add; *data becomes what was signed in its place. */
static int
read_webauthn(struct nacre_reader *signature, const struct nacre_signature_details *details,
    struct nacre_span *extensions, struct nacre_span *data)
{
	struct nacre_span origin = nacre_get_string(signature);
	struct nacre_span client_data = nacre_get_string(signature);

	*extensions = nacre_get_string(signature);
	if (!nacre_reader_done(signature) || (details->flags & FLAG_ATTESTED_DATA) != 0 ||
	    ((details->flags & FLAG_EXTENSIONS) != 0) != (extensions->length > 0))
		return NACRE_ERROR_FORMAT;
	if (!client_data_fits(client_data, *data, origin))
		return NACRE_ERROR_SIGNATURE;
	*data = client_data;
	return 0;
}

static int
verify_ecdsa(const struct nacre_key *key, const struct signature_algorithm *algorithm,
    struct nacre_reader *signature, struct nacre_signature_details *details, struct nacre_span data,
    struct nacre_buffer *text)
{
	const struct backend_keys *backend = key_backend();
	struct nacre_span r, s, extensions = {NULL, 0};
	int error = ecdsa_read_signature(signature, &r, &s);

	details->flags = nacre_get_byte(signature);
	details->counter = nacre_get_u32(signature);
	if (error == 0 && strcmp(algorithm->name, WEBAUTHN_ALGORITHM) == 0)
		error = read_webauthn(signature, details, &extensions, &data);
	if (error != 0 || !nacre_reader_done(signature))
		return error != 0 ? error : NACRE_ERROR_FORMAT;
	if (backend == NULL)
		return NACRE_ERROR_LIBRARY;
	if ((error = signed_data(key, details, extensions, data, text)) != 0)
		return error;
	return backend->ecdsa_verify(
	    key->kind->curve, key->public[SK_POINT], r, s, nacre_buffer_span(text));
}

static int
verify_ed25519(const struct nacre_key *key, struct nacre_reader *signature,
    struct nacre_signature_details *details, struct nacre_span data, struct nacre_buffer *text)
{
	struct nacre_span bytes = nacre_get_string(signature), whole;
	int error;

	details->flags = nacre_get_byte(signature);
	details->counter = nacre_get_u32(signature);
	if (!nacre_reader_done(signature))
		return NACRE_ERROR_FORMAT;
	if ((error = signed_data(key, details, (struct nacre_span){NULL, 0}, data, text)) != 0)
		return error;
	whole = nacre_buffer_span(text);
	if (bytes.length != crypto_sign_BYTES || crypto_sign_verify_detached(bytes.data, whole.data,
						     whole.length, key->public[SK_POINT].data) != 0)
		return NACRE_ERROR_SIGNATURE;
	return 0;
}

static int
security_key_verify(const struct nacre_key *key, const struct signature_algorithm *algorithm,
    struct nacre_reader *signature, struct nacre_span data, struct nacre_signature_details *details)
{
	SCOPED_BUFFER struct nacre_buffer text = {0};

	return key->kind->curve_name != NULL
		   ? verify_ecdsa(key, algorithm, signature, details, data, &text)
		   : verify_ed25519(key, signature, details, data, &text);
}

uint8_t
nacre_key_sk_flags(const struct nacre_key *key)
{
	if (key->kind->functions != &security_key_functions || key->secret_memory == NULL ||
	    key->shielded)
		return 0;
	return key->secret[SK_FLAGS].data[0];
}

struct nacre_span
nacre_key_sk_handle(const struct nacre_key *key)
{
	if (key->kind->functions != &security_key_functions || key->secret_memory == NULL ||
	    key->shielded)
		return (struct nacre_span){NULL, 0};
	return key->secret[SK_HANDLE];
}

const struct key_functions security_key_functions = {
    .read_public = security_key_read_public,
    .write_public = security_key_write_public,
    .read_private = security_key_read_private,
    .write_private = security_key_write_private,
    .verify = security_key_verify,
};
