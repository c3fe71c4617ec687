/* The table of packet ciphers, and the life of a cipher object. */
#include <crypto/cipher_functions.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define GIBIBYTE ((uint64_t)1 << 30)

/* In order of preference. Ciphers with 64-bit blocks want new keys early, RFC 4344 section 3.2. */
static const struct cipher_algorithm algorithms[] = {
    {"chacha20-poly1305@openssh.com", 64, 0, 8, 16, false, true, 64 * GIBIBYTE,
	&cipher_chacha20_poly1305, NULL},
    {"aes128-gcm@openssh.com", 16, 12, 16, 16, true, true, 64 * GIBIBYTE, &cipher_gcm,
	"AES-128-GCM"},
    {"aes256-gcm@openssh.com", 32, 12, 16, 16, true, true, 64 * GIBIBYTE, &cipher_gcm,
	"AES-256-GCM"},
    {"aes128-ctr", 16, 16, 16, 0, false, true, 64 * GIBIBYTE, &cipher_ctr, "AES-128-CTR"},
    {"aes192-ctr", 24, 16, 16, 0, false, true, 64 * GIBIBYTE, &cipher_ctr, "AES-192-CTR"},
    {"aes256-ctr", 32, 16, 16, 0, false, true, 64 * GIBIBYTE, &cipher_ctr, "AES-256-CTR"},
    {"aes128-cbc", 16, 16, 16, 0, false, false, 64 * GIBIBYTE, &cipher_cbc, "AES-128-CBC"},
    {"aes192-cbc", 24, 16, 16, 0, false, false, 64 * GIBIBYTE, &cipher_cbc, "AES-192-CBC"},
    {"aes256-cbc", 32, 16, 16, 0, false, false, 64 * GIBIBYTE, &cipher_cbc, "AES-256-CBC"},
    {"3des-cbc", 24, 8, 8, 0, false, false, GIBIBYTE, &cipher_cbc, "DES-EDE3-CBC"},
};

const struct cipher_algorithm *
cipher_table(size_t *count)
{
	*count = sizeof algorithms / sizeof algorithms[0];
	return algorithms;
}

const struct cipher_algorithm *
cipher_find(struct nacre_span name)
{
	for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
		if (nacre_span_equals(name, algorithms[i].name))
			return &algorithms[i];
	return NULL;
}

int
cipher_new(const struct cipher_algorithm *algorithm, bool encrypt, const uint8_t *key,
    const uint8_t *iv, struct cipher **cipher)
{
	struct cipher *new = calloc(1, sizeof *new);
	int result;

	*cipher = NULL;
	if (new == NULL)
		return NACRE_ERROR_MEMORY;
	new->algorithm = algorithm;
	new->encrypt = encrypt;
	memcpy(new->key, key, algorithm->key_length);
	if (algorithm->iv_length > 0)
		memcpy(new->iv, iv, algorithm->iv_length);
	if ((result = algorithm->functions->start(new)) != 0) {
		cipher_free(new);
		return result;
	}
	*cipher = new;
	return 0;
}

void
cipher_free(struct cipher *cipher)
{
	if (cipher == NULL)
		return;
	if (cipher->backend != NULL)
		cipher->backend->ciphers->destroy(cipher->context);
	sodium_memzero(cipher, sizeof *cipher);
	free(cipher);
}

int
cipher_seal(struct cipher *cipher, uint32_t sequence, uint8_t *packet, size_t length)
{
	if (cipher->algorithm->tag_length == 0 || !cipher->encrypt || length < 4)
		return NACRE_ERROR_ARGUMENT;
	return cipher->algorithm->functions->seal(cipher, sequence, packet, length, 4);
}

int
cipher_open(struct cipher *cipher, uint32_t sequence, uint8_t *packet, size_t length)
{
	if (cipher->algorithm->tag_length == 0 || cipher->encrypt || length < 4)
		return NACRE_ERROR_ARGUMENT;
	return cipher->algorithm->functions->open(cipher, sequence, packet, length, 4);
}

int
cipher_seal_data(struct cipher *cipher, uint8_t *data, size_t length)
{
	if (cipher->algorithm->tag_length == 0 || !cipher->encrypt)
		return NACRE_ERROR_ARGUMENT;
	return cipher->algorithm->functions->seal(cipher, 0, data, length, 0);
}

int
cipher_open_data(struct cipher *cipher, uint8_t *data, size_t length)
{
	if (cipher->algorithm->tag_length == 0 || cipher->encrypt)
		return NACRE_ERROR_ARGUMENT;
	return cipher->algorithm->functions->open(cipher, 0, data, length, 0);
}

int
cipher_packet_length(
    struct cipher *cipher, uint32_t sequence, const uint8_t *bytes, uint32_t *packet_length)
{
	uint8_t clear[4];

	if (cipher->algorithm->tag_length == 0 || cipher->encrypt)
		return NACRE_ERROR_ARGUMENT;
	memcpy(clear, bytes, sizeof clear);
	if (cipher->algorithm->functions->packet_length != NULL)
		cipher->algorithm->functions->packet_length(cipher, sequence, clear);
	*packet_length = (uint32_t)clear[0] << 24 | (uint32_t)clear[1] << 16 |
			 (uint32_t)clear[2] << 8 | clear[3];
	return 0;
}

int
cipher_crypt(struct cipher *cipher, uint8_t *data, size_t length)
{
	if (cipher->algorithm->tag_length != 0 || length % cipher->algorithm->block_length != 0)
		return NACRE_ERROR_ARGUMENT;
	return length == 0 ? 0 : cipher->algorithm->functions->crypt(cipher, data, length);
}

int
cipher_export(const struct cipher *cipher, struct nacre_buffer *state)
{
	nacre_put_string(state, cipher->key, cipher->algorithm->key_length);
	nacre_put_string(state, cipher->iv, cipher->algorithm->iv_length);
	nacre_put_u64(state, cipher->processed);
	return state->failed ? NACRE_ERROR_MEMORY : 0;
}

int
cipher_import(const struct cipher_algorithm *algorithm, bool encrypt, struct nacre_reader *state,
    struct cipher **cipher)
{
	struct nacre_span key = nacre_get_string(state), iv = nacre_get_string(state);
	uint64_t processed = nacre_get_u64(state);
	int result;

	*cipher = NULL;
	if (state->failed || key.length != algorithm->key_length ||
	    iv.length != algorithm->iv_length)
		return NACRE_ERROR_FORMAT;
	if ((result = cipher_new(algorithm, encrypt, key.data, iv.data, cipher)) == 0)
		(*cipher)->processed = processed;
	return result;
}
