/*
 * RSA keys with rsa-sha2-512, rsa-sha2-256 (RFC 8332) and, by name only, ssh-rsa, over the backend.
 */
#include <key/key.h>

#include <stdatomic.h>

/* Where the numbers stand in a key. */
enum { RSA_N, RSA_E, RSA_PUBLIC };
enum { RSA_D, RSA_IQMP, RSA_P, RSA_Q, RSA_SECRET };

struct backend_rsa
rsa_numbers(const struct nacre_key *key)
{
	return (struct backend_rsa){
	    .n = key->public[RSA_N],
	    .e = key->public[RSA_E],
	    .d = key->secret[RSA_D],
	    .p = key->secret[RSA_P],
	    .q = key->secret[RSA_Q],
	    .iqmp = key->secret[RSA_IQMP],
	};
}

static bool
is_odd(struct nacre_span number)
{
	return number.length > 0 && (number.data[number.length - 1] & 1) != 0;
}

static int
rsa_set_public(struct nacre_key *key, struct nacre_span n, struct nacre_span e)
{
	struct nacre_span numbers[RSA_PUBLIC] = {[RSA_N] = n, [RSA_E] = e};

	if (!is_odd(n) || !is_odd(e) || n.length < 2 || e.length > n.length)
		return NACRE_ERROR_FORMAT;
	return key_set_public(key, numbers, RSA_PUBLIC);
}

static int
rsa_read_public(struct nacre_key *key, struct nacre_reader *reader)
{
	struct nacre_span e = nacre_get_mpint(reader), n = nacre_get_mpint(reader);

	return reader->failed ? NACRE_ERROR_FORMAT : rsa_set_public(key, n, e);
}

static void
put_number(struct nacre_buffer *buffer, struct nacre_span number)
{
	nacre_put_mpint(buffer, number.data, number.length);
}

static void
rsa_write_public(const struct nacre_key *key, struct nacre_buffer *blob)
{
	put_number(blob, key->public[RSA_E]);
	put_number(blob, key->public[RSA_N]);
}

static int
rsa_read_private_public(struct nacre_key *key, struct nacre_reader *reader)
{
	struct nacre_span n = nacre_get_mpint(reader), e = nacre_get_mpint(reader);

	return reader->failed ? NACRE_ERROR_FORMAT : rsa_set_public(key, n, e);
}

static int
rsa_read_private(struct nacre_key *key, struct nacre_reader *reader)
{
	const struct backend_keys *backend = key_backend();
	int error = key->public_memory != NULL ? 0 : rsa_read_private_public(key, reader);
	struct nacre_span secret[RSA_SECRET];
	struct backend_rsa numbers;

	if (error != 0)
		return error;
	for (size_t i = 0; i < RSA_SECRET; i++)
		secret[i] = nacre_get_mpint(reader);
	if (reader->failed)
		return NACRE_ERROR_FORMAT;
	if (backend == NULL)
		return NACRE_ERROR_LIBRARY;
	if ((error = key_set_secret(key, secret, RSA_SECRET)) != 0)
		return error;
	numbers = rsa_numbers(key);
	return backend->rsa_check(&numbers);
}

static void
rsa_write_private(const struct nacre_key *key, struct nacre_buffer *buffer)
{
	if (key->certificate == NULL) {
		put_number(buffer, key->public[RSA_N]);
		put_number(buffer, key->public[RSA_E]);
	}
	for (size_t i = 0; i < RSA_SECRET; i++)
		put_number(buffer, key->secret[i]);
}

int
rsa_of_backend(struct nacre_key *key, const struct backend_key *source)
{
	struct nacre_span secret[RSA_SECRET] = {
	    [RSA_D] = nacre_buffer_span(&source->d),
	    [RSA_IQMP] = nacre_buffer_span(&source->iqmp),
	    [RSA_P] = nacre_buffer_span(&source->p),
	    [RSA_Q] = nacre_buffer_span(&source->q),
	};
	int error =
	    rsa_set_public(key, nacre_buffer_span(&source->n), nacre_buffer_span(&source->e));

	if (error != 0 || !source->is_private)
		return error;
	return key_set_secret(key, secret, RSA_SECRET);
}

static int
rsa_generate(struct nacre_key *key, unsigned bits)
{
	const struct backend_keys *backend = key_backend();
	SCOPED(backend_key_free) struct backend_key made = {.kind = BACKEND_KEY_RSA};
	int error;

	if (backend == NULL)
		return NACRE_ERROR_LIBRARY;
	error = backend->rsa_generate(bits, &made);
	return error != 0 ? error : rsa_of_backend(key, &made);
}

void
rsa_forget_signer(struct nacre_key *key)
{
	struct backend_rsa_signer *signer = atomic_exchange(&key->signer, NULL);

	if (signer != NULL)
		key_backend()->rsa_release(signer);
}

/* The key as the backend wants it, imported once. To callers a key that has signed is the same key,
 * hence const; threads that come here at once agree on one of theirs. */
static struct backend_rsa_signer *
rsa_signer(const struct nacre_key *key, const struct backend_keys *backend)
{
	_Atomic(struct backend_rsa_signer *) *place = &((struct nacre_key *)key)->signer;
	struct backend_rsa_signer *signer = atomic_load(place), *made;
	struct backend_rsa numbers = rsa_numbers(key);

	if (signer != NULL || (made = backend->rsa_import(&numbers)) == NULL)
		return signer;
	if (atomic_compare_exchange_strong(place, &signer, made))
		return made;
	backend->rsa_release(made);
	return signer;
}

static int
rsa_sign(const struct nacre_key *key, const struct signature_algorithm *algorithm,
    struct nacre_span data, struct nacre_buffer *signature)
{
	const struct backend_keys *backend = key_backend();
	struct backend_rsa_signer *signer = backend != NULL ? rsa_signer(key, backend) : NULL;
	size_t mark;
	int error;

	if (signer == NULL)
		return NACRE_ERROR_LIBRARY;
	mark = nacre_put_string_begin(signature);
	error = backend->rsa_sign(signer, algorithm->hash, data, signature);
	nacre_put_string_end(signature, mark);
	return error;
}

static int
rsa_verify(const struct nacre_key *key, const struct signature_algorithm *algorithm,
    struct nacre_reader *signature, struct nacre_span data, struct nacre_signature_details *details)
{
	const struct backend_keys *backend = key_backend();
	struct backend_rsa numbers = {.n = key->public[RSA_N], .e = key->public[RSA_E]};
	struct nacre_span bytes = nacre_get_string(signature);

	(void)details;
	if (!nacre_reader_done(signature))
		return NACRE_ERROR_FORMAT;
	if (backend == NULL)
		return NACRE_ERROR_LIBRARY;
	return backend->rsa_verify(&numbers, algorithm->hash, data, bytes);
}

const struct key_functions rsa_functions = {
    .read_public = rsa_read_public,
    .write_public = rsa_write_public,
    .read_private = rsa_read_private,
    .write_private = rsa_write_private,
    .generate = rsa_generate,
    .sign = rsa_sign,
    .verify = rsa_verify,
};
