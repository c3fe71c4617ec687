/*
 * The content of private key files, of whichever format: openssh-key-v1 here, PEM in the backend.
 */
#include <key/key.h>

#include <crypto/backend.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define OPENSSH_LABEL "OPENSSH PRIVATE KEY"

const struct backend_keys *
key_backend(void)
{
	const struct backend *backend = backend_get();

	return backend != NULL ? backend->keys : NULL;
}

static bool
text_contains(struct nacre_span text, const char *part)
{
	return text.length > 0 && memmem(text.data, text.length, part, strlen(part)) != NULL;
}

static int
ed25519_of_backend(struct nacre_key *key, const struct backend_key *source)
{
	uint8_t point[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
	struct nacre_span public = {point, sizeof point}, private = {secret, sizeof secret};
	struct nacre_span given = nacre_buffer_span(&source->point);
	int error = 0;

	if (given.length != sizeof point)
		return NACRE_ERROR_FORMAT;
	memcpy(point, given.data, sizeof point);
	if (source->is_private) {
		if (nacre_buffer_length(&source->scalar) != crypto_sign_SEEDBYTES)
			return NACRE_ERROR_FORMAT;
		crypto_sign_seed_keypair(point, secret, nacre_buffer_span(&source->scalar).data);
		error = key_set_secret(key, &private, 1);
		sodium_memzero(secret, sizeof secret);
	}
	return error != 0 ? error : key_set_public(key, &public, 1);
}

static int
ecdsa_of_backend(struct nacre_key *key, const struct backend_key *source)
{
	struct nacre_span point = nacre_buffer_span(&source->point);
	struct nacre_span scalar = nacre_buffer_span(&source->scalar);
	int error = key_set_public(key, &point, 1);

	if (error != 0 || !source->is_private)
		return error;
	return key_set_secret(key, &scalar, 1);
}

int
key_of_backend(const struct backend_key *source, struct nacre_key **key)
{
	static const enum nacre_key_type curves[] = {
	    [BACKEND_P256] = NACRE_KEY_ECDSA_P256,
	    [BACKEND_P384] = NACRE_KEY_ECDSA_P384,
	    [BACKEND_P521] = NACRE_KEY_ECDSA_P521,
	};
	static int (*const makers[])(struct nacre_key *, const struct backend_key *) = {
	    [BACKEND_KEY_RSA] = rsa_of_backend,
	    [BACKEND_KEY_EC] = ecdsa_of_backend,
	    [BACKEND_KEY_ED25519] = ed25519_of_backend,
	};
	enum nacre_key_type type = source->kind == BACKEND_KEY_RSA  ? NACRE_KEY_RSA
				   : source->kind == BACKEND_KEY_EC ? curves[source->curve]
								    : NACRE_KEY_ED25519;
	SCOPED_KEY struct nacre_key *made = key_new(key_kind_of_type(type));
	int error;

	if (made == NULL)
		return NACRE_ERROR_MEMORY;
	if ((error = makers[source->kind](made, source)) != 0)
		return error;
	*key = made;
	made = NULL;
	return 0;
}

static int
pem_read(struct nacre_span file, struct nacre_span passphrase, bool private, struct nacre_key **key)
{
	SCOPED(backend_key_free) struct backend_key read = {.kind = BACKEND_KEY_RSA};
	const struct backend_keys *backend = key_backend();
	int error;

	if (backend == NULL)
		return NACRE_ERROR_LIBRARY;
	if ((error = backend->pem_decode(file, passphrase, &read)) != 0)
		return error;
	return read.is_private == private ? key_of_backend(&read, key) : NACRE_ERROR_FORMAT;
}

int
nacre_key_from_pem(struct nacre_span file, struct nacre_key **key)
{
	if (!text_contains(file, "PUBLIC KEY-----"))
		return NACRE_ERROR_FORMAT;
	return pem_read(file, (struct nacre_span){NULL, 0}, false, key);
}

int
nacre_key_parse_private(
    struct nacre_span file, struct nacre_span passphrase, struct nacre_key **key, char **comment)
{
	SCOPED_BUFFER struct nacre_buffer content = {0};
	int error;

	if (comment != NULL)
		*comment = NULL;
	if (text_contains(file, "-----BEGIN " OPENSSH_LABEL "-----")) {
		if ((error = armor_read(file, OPENSSH_LABEL, &content)) != 0)
			return error;
		return openssh_file_read(nacre_buffer_span(&content), passphrase, key, comment);
	}
	if (!text_contains(file, "PRIVATE KEY-----"))
		return NACRE_ERROR_FORMAT;
	error = pem_read(file, passphrase, true, key);
	if (error == 0 && comment != NULL && (*comment = strdup("")) == NULL) {
		nacre_key_free(*key);
		*key = NULL;
		return NACRE_ERROR_MEMORY;
	}
	return error;
}

int
nacre_key_parse_private_public(struct nacre_span file, struct nacre_key **key)
{
	SCOPED_BUFFER struct nacre_buffer content = {0};
	int error;

	if (!text_contains(file, "-----BEGIN " OPENSSH_LABEL "-----"))
		return NACRE_ERROR_UNSUPPORTED;
	if ((error = armor_read(file, OPENSSH_LABEL, &content)) != 0)
		return error;
	return openssh_file_read_public(nacre_buffer_span(&content), key);
}

/* The reverse of key_of_backend(), as copies that backend_key_free() wipes. */
static int
backend_of_key(const struct nacre_key *key, bool private, struct backend_key *made)
{
	struct backend_rsa rsa;

	made->is_private = private;
	made->curve = key->kind->curve;
	if (key->kind->type == NACRE_KEY_RSA) {
		rsa = rsa_numbers(key);
		made->kind = BACKEND_KEY_RSA;
		nacre_put_span(&made->n, rsa.n);
		nacre_put_span(&made->e, rsa.e);
		nacre_put_span(&made->d, rsa.d);
		nacre_put_span(&made->p, rsa.p);
		nacre_put_span(&made->q, rsa.q);
		nacre_put_span(&made->iqmp, rsa.iqmp);
		return made->iqmp.failed ? NACRE_ERROR_MEMORY : 0;
	}
	if (key->kind->functions == &security_key_functions)
		return NACRE_ERROR_UNSUPPORTED;
	made->kind = key->kind->type == NACRE_KEY_ED25519 ? BACKEND_KEY_ED25519 : BACKEND_KEY_EC;
	nacre_put_span(&made->point, key->public[0]);
	/* Of ed25519 the file holds the seed, which comes first. */
	if (private)
		nacre_put_bytes(&made->scalar, key->secret[0].data,
		    made->kind == BACKEND_KEY_ED25519 ? crypto_sign_SEEDBYTES
						      : key->secret[0].length);
	return made->scalar.failed ? NACRE_ERROR_MEMORY : 0;
}

static int
pem_write(const struct nacre_key *key, bool private, enum nacre_key_file_format format,
    struct nacre_span passphrase, struct nacre_buffer *text)
{
	SCOPED(backend_key_free) struct backend_key made = {.kind = BACKEND_KEY_RSA};
	const struct backend_keys *backend = key_backend();
	int error;

	if (backend == NULL)
		return NACRE_ERROR_LIBRARY;
	if ((error = backend_of_key(key, private, &made)) != 0)
		return error;
	return backend->pem_encode(&made,
	    format == NACRE_KEY_FILE_PEM ? BACKEND_PEM_TRADITIONAL : BACKEND_PEM_PKCS8, passphrase,
	    text);
}

int
nacre_key_put_pem(
    const struct nacre_key *key, enum nacre_key_file_format format, struct nacre_buffer *text)
{
	return pem_write(key, false, format, (struct nacre_span){NULL, 0}, text);
}

int
nacre_key_put_private(const struct nacre_key *key, const struct nacre_key_file_options *options,
    struct nacre_buffer *text)
{
	if (key->secret_memory == NULL)
		return NACRE_ERROR_STATE;
	if (options->format == NACRE_KEY_FILE_OPENSSH)
		return openssh_file_write(key, options, text);
	return pem_write(key, true, options->format, options->passphrase, text);
}
