/* A key's life: made, read from and written to the encodings of the protocols, compared, freed. */
#include <key/key.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define RSA_BITS_DEFAULT 3072

struct nacre_key *
key_new(const struct key_kind *kind)
{
	struct nacre_key *key = calloc(1, sizeof *key);

	if (key != NULL)
		key->kind = kind;
	return key;
}

static void
delegate_release(struct nacre_key *key)
{
	if (key->delegate.release != NULL)
		key->delegate.release(key->delegate.context);
	key->delegate = (struct nacre_key_signer){0};
}

void
nacre_key_delegate(struct nacre_key *key, const struct nacre_key_signer *signer)
{
	delegate_release(key);
	key->delegate = *signer;
}

void
nacre_key_free(struct nacre_key *key)
{
	if (key == NULL)
		return;
	rsa_forget_signer(key);
	delegate_release(key);
	free(key->public_memory);
	sodium_free(key->secret_memory);
	certificate_free(key->certificate);
	free(key);
}

void
key_scope_end(struct nacre_key **key)
{
	nacre_key_free(*key);
}

static size_t
spans_length(const struct nacre_span *spans, size_t count)
{
	size_t length = 0;

	for (size_t i = 0; i < count; i++)
		length += spans[i].length;
	return length;
}

static void
spans_copy(uint8_t *memory, const struct nacre_span *from, size_t count, struct nacre_span *to)
{
	for (size_t i = 0; i < count; i++) {
		if (from[i].length > 0)
			memcpy(memory, from[i].data, from[i].length);
		to[i] = (struct nacre_span){memory, from[i].length};
		memory += from[i].length;
	}
}

int
key_set_public(struct nacre_key *key, const struct nacre_span *numbers, size_t count)
{
	uint8_t *memory = malloc(spans_length(numbers, count) + 1);

	if (memory == NULL)
		return NACRE_ERROR_MEMORY;
	spans_copy(memory, numbers, count, key->public);
	free(key->public_memory);
	key->public_memory = memory;
	return 0;
}

int
key_set_secret(struct nacre_key *key, const struct nacre_span *numbers, size_t count)
{
	uint8_t *memory;

	if (sodium_init() < 0)
		return NACRE_ERROR_LIBRARY;
	memory = sodium_malloc(spans_length(numbers, count) + 1);
	if (memory == NULL)
		return NACRE_ERROR_MEMORY;
	spans_copy(memory, numbers, count, key->secret);
	sodium_free(key->secret_memory);
	key->secret_memory = memory;
	return 0;
}

int
nacre_key_generate(enum nacre_key_type type, unsigned bits, struct nacre_key **key)
{
	const struct key_kind *kind = key_kind_of_type(type);
	SCOPED_KEY struct nacre_key *made = NULL;
	int error;

	if (kind == NULL || kind->functions->generate == NULL)
		return NACRE_ERROR_UNSUPPORTED;
	if ((made = key_new(kind)) == NULL)
		return NACRE_ERROR_MEMORY;
	error = kind->functions->generate(made, bits > 0 ? bits : RSA_BITS_DEFAULT);
	if (error != 0)
		return error;
	*key = made;
	made = NULL;
	return 0;
}

/* Starts a key from the format name that comes first in every encoding. */
static int
key_begin(struct nacre_span name, struct nacre_key **key, bool *certified)
{
	const struct key_kind *kind = key_kind_of_format(name, certified);

	if (kind == NULL)
		return NACRE_ERROR_UNSUPPORTED;
	*key = key_new(kind);
	return *key != NULL ? 0 : NACRE_ERROR_MEMORY;
}

int
nacre_key_from_blob(struct nacre_span blob, struct nacre_key **key)
{
	struct nacre_reader reader = nacre_reader_of(blob);
	SCOPED_KEY struct nacre_key *made = NULL;
	struct nacre_span name = nacre_get_string(&reader);
	bool certified;
	int error;

	if (reader.failed)
		return NACRE_ERROR_FORMAT;
	error = key_begin(name, &made, &certified);
	if (error == 0)
		error = certified ? certificate_read(made, blob, &reader)
				  : made->kind->functions->read_public(made, &reader);
	if (error == 0 && !nacre_reader_done(&reader))
		error = NACRE_ERROR_FORMAT;
	if (error != 0)
		return error;
	*key = made;
	made = NULL;
	return 0;
}

int
nacre_key_put_blob(const struct nacre_key *key, bool plain, struct nacre_buffer *blob)
{
	if (key->certificate != NULL && !plain) {
		nacre_put_span(blob, key->certificate->blob);
	} else {
		nacre_put_cstring(blob, key->kind->name);
		key->kind->functions->write_public(key, blob);
	}
	return blob->failed ? NACRE_ERROR_MEMORY : 0;
}

int
nacre_key_read_private(struct nacre_reader *reader, struct nacre_key **key)
{
	SCOPED_KEY struct nacre_key *made = NULL;
	struct nacre_span name = nacre_get_string(reader), blob;
	bool certified;
	int error;

	if (reader->failed)
		return NACRE_ERROR_FORMAT;
	if ((error = key_begin(name, &made, &certified)) != 0)
		return error;
	if (certified) {
		blob = nacre_get_string(reader);
		nacre_key_free(made);
		made = NULL;
		error = nacre_key_from_blob(blob, &made);
		if (error == 0 && !nacre_span_equals(name, nacre_key_format(made)))
			error = NACRE_ERROR_FORMAT;
	}
	if (error == 0)
		error = made->kind->functions->read_private(made, reader);
	if (error == 0 && reader->failed)
		error = NACRE_ERROR_FORMAT;
	if (error != 0)
		return error;
	*key = made;
	made = NULL;
	return 0;
}

int
nacre_key_write_private(const struct nacre_key *key, struct nacre_buffer *buffer)
{
	if (key->secret_memory == NULL || key->shielded)
		return NACRE_ERROR_STATE;
	nacre_put_cstring(buffer, nacre_key_format(key));
	if (key->certificate != NULL)
		nacre_put_string_span(buffer, key->certificate->blob);
	key->kind->functions->write_private(key, buffer);
	return buffer->failed ? NACRE_ERROR_MEMORY : 0;
}

int
nacre_key_copy_public(const struct nacre_key *key, struct nacre_key **copy)
{
	struct nacre_key *made = key_new(key->kind);
	int error;

	if (made == NULL)
		return NACRE_ERROR_MEMORY;
	error = key_set_public(made, key->public, KEY_PUBLIC_MAX);
	if (error == 0 && key->certificate != NULL)
		error = certificate_copy(made, key->certificate);
	if (error != 0)
		nacre_key_free(made);
	else
		*copy = made;
	return error;
}

static unsigned
number_bits(struct nacre_span number)
{
	unsigned bits = (unsigned)number.length * 8;

	if (number.length == 0)
		return 0;
	for (uint8_t mask = 0x80; mask != 0 && (number.data[0] & mask) == 0; mask >>= 1)
		bits--;
	return bits;
}

unsigned
nacre_key_bits(const struct nacre_key *key)
{
	return key->kind->bits > 0 ? key->kind->bits : number_bits(key->public[0]);
}

bool
nacre_key_is_private(const struct nacre_key *key)
{
	return key->secret_memory != NULL || key->delegate.sign != NULL;
}

bool
nacre_key_is_certificate(const struct nacre_key *key)
{
	return key->certificate != NULL;
}

bool
nacre_key_equal(const struct nacre_key *a, const struct nacre_key *b)
{
	if (a->kind != b->kind)
		return false;
	for (size_t i = 0; i < KEY_PUBLIC_MAX; i++)
		if (!nacre_span_equal(a->public[i], b -> public[i]))
			return false;
	return true;
}

struct nacre_span
nacre_key_application(const struct nacre_key *key)
{
	if (key->kind->functions != &security_key_functions)
		return (struct nacre_span){NULL, 0};
	return key->public[1];
}
