/*
 * ecdsa-sha2-nistp256, -nistp384, -nistp521 (RFC 5656) over the backend. Reading a public key looks
 * at its form only, so that a known_hosts line does not load OpenSSL; that the point is on its
 * curve is checked before anything is computed with it, and when a private key is read.
 */
#include <key/key.h>

#define SEC1_UNCOMPRESSED 0x04

static int
ecdsa_read_public(struct nacre_key *key, struct nacre_reader *reader)
{
	struct nacre_span curve = nacre_get_string(reader), point = nacre_get_string(reader);
	size_t coordinate = (key->kind->bits + 7) / 8;

	if (reader->failed || !nacre_span_equals(curve, key->kind->curve_name) ||
	    point.length != 1 + 2 * coordinate || point.data[0] != SEC1_UNCOMPRESSED)
		return NACRE_ERROR_FORMAT;
	return key_set_public(key, &point, 1);
}

static void
ecdsa_write_public(const struct nacre_key *key, struct nacre_buffer *blob)
{
	nacre_put_cstring(blob, key->kind->curve_name);
	nacre_put_string_span(blob, key->public[0]);
}

static int
ecdsa_read_private(struct nacre_key *key, struct nacre_reader *reader)
{
	const struct backend_keys *backend = key_backend();
	struct nacre_span scalar;
	int error = key->public_memory != NULL ? 0 : ecdsa_read_public(key, reader);

	if (error != 0)
		return error;
	scalar = nacre_get_mpint(reader);
	if (reader->failed || scalar.length == 0)
		return NACRE_ERROR_FORMAT;
	if (backend == NULL)
		return NACRE_ERROR_LIBRARY;
	error = backend->ecdsa_check(key->kind->curve, key->public[0], scalar);
	return error != 0 ? error : key_set_secret(key, &scalar, 1);
}

static void
ecdsa_write_private(const struct nacre_key *key, struct nacre_buffer *buffer)
{
	if (key->certificate == NULL)
		ecdsa_write_public(key, buffer);
	nacre_put_mpint(buffer, key->secret[0].data, key->secret[0].length);
}

static int
ecdsa_generate(struct nacre_key *key, unsigned bits)
{
	const struct backend_keys *backend = key_backend();
	SCOPED_BUFFER struct nacre_buffer point = {0}, scalar = {0};
	struct nacre_span span;
	int error;

	(void)bits;
	if (backend == NULL)
		return NACRE_ERROR_LIBRARY;
	if ((error = backend->ecdsa_generate(key->kind->curve, &point, &scalar)) != 0)
		return error;
	span = nacre_buffer_span(&point);
	if ((error = key_set_public(key, &span, 1)) != 0)
		return error;
	span = nacre_buffer_span(&scalar);
	return key_set_secret(key, &span, 1);
}

static int
ecdsa_sign(const struct nacre_key *key, const struct signature_algorithm *algorithm,
    struct nacre_span data, struct nacre_buffer *signature)
{
	const struct backend_keys *backend = key_backend();
	SCOPED_BUFFER struct nacre_buffer r = {0}, s = {0};
	size_t mark;
	int error;

	(void)algorithm;
	if (backend == NULL)
		return NACRE_ERROR_LIBRARY;
	error =
	    backend->ecdsa_sign(key->kind->curve, key->public[0], key -> secret[0], data, &r, &s);
	if (error != 0)
		return error;
	mark = nacre_put_string_begin(signature);
	nacre_put_mpint(signature, nacre_buffer_span(&r).data, nacre_buffer_length(&r));
	nacre_put_mpint(signature, nacre_buffer_span(&s).data, nacre_buffer_length(&s));
	nacre_put_string_end(signature, mark);
	return 0;
}

int
ecdsa_read_signature(struct nacre_reader *signature, struct nacre_span *r, struct nacre_span *s)
{
	struct nacre_reader numbers = nacre_reader_of(nacre_get_string(signature));

	*r = nacre_get_mpint(&numbers);
	*s = nacre_get_mpint(&numbers);
	return !signature->failed && nacre_reader_done(&numbers) ? 0 : NACRE_ERROR_FORMAT;
}

static int
ecdsa_verify(const struct nacre_key *key, const struct signature_algorithm *algorithm,
    struct nacre_reader *signature, struct nacre_span data, struct nacre_signature_details *details)
{
	const struct backend_keys *backend = key_backend();
	struct nacre_span r, s;

	(void)algorithm;
	(void)details;
	if (ecdsa_read_signature(signature, &r, &s) != 0 || !nacre_reader_done(signature))
		return NACRE_ERROR_FORMAT;
	if (backend == NULL)
		return NACRE_ERROR_LIBRARY;
	return backend->ecdsa_verify(key->kind->curve, key->public[0], r, s, data);
}

const struct key_functions ecdsa_functions = {
    .read_public = ecdsa_read_public,
    .write_public = ecdsa_write_public,
    .read_private = ecdsa_read_private,
    .write_private = ecdsa_write_private,
    .generate = ecdsa_generate,
    .sign = ecdsa_sign,
    .verify = ecdsa_verify,
};
