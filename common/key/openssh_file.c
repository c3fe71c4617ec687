/*
 * Private key files of the form openssh-key-v1 (OpenSSH's PROTOCOL.key): one key, encrypted under a
 * passphrase by bcrypt_pbkdf and a cipher, or not at all.
 */
#include <key/key.h>

#include <crypto/bcrypt_pbkdf.h>
#include <crypto/random.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static const char magic[] = "openssh-key-v1"; /* its NUL included */

#define CIPHER_DEFAULT "aes256-ctr"
#define ROUNDS_DEFAULT 24
#define ROUNDS_MAX     (1U << 20) /* some twenty minutes: a file shall not ask for more */
#define SALT_LENGTH    16
#define BLOCK_MAX      16
#define TAG_MAX        16
#define FILE_LIMIT     ((size_t)1024 * 1024)

struct file_cipher {
	const char *name;
	size_t key_length, iv_length, block_length, tag_length;
};

static const struct file_cipher ciphers[] = {
    {"none", 0, 0, 8, 0},
    {"aes256-ctr", 32, 16, 16, 0},
    {"aes192-ctr", 24, 16, 16, 0},
    {"aes128-ctr", 16, 16, 16, 0},
    {"aes256-cbc", 32, 16, 16, 0},
    {"aes192-cbc", 24, 16, 16, 0},
    {"aes128-cbc", 16, 16, 16, 0},
    {"3des-cbc", 24, 8, 8, 0},
    {"aes256-gcm@openssh.com", 32, 12, 16, 16},
    {"aes128-gcm@openssh.com", 16, 12, 16, 16},
    {"chacha20-poly1305@openssh.com", 64, 0, 8, 16},
};
#define CIPHER_CHACHA (&ciphers[sizeof ciphers / sizeof ciphers[0] - 1])

static const struct file_cipher *
file_cipher_find(struct nacre_span name)
{
	for (size_t i = 0; i < sizeof ciphers / sizeof ciphers[0]; i++)
		if (nacre_span_equals(name, ciphers[i].name))
			return &ciphers[i];
	return NULL;
}

/* chacha20-poly1305@openssh.com with sequence number 0 and no packet length: only the first of its
 * two keys is used. Block 0 is the Poly1305 key, the text starts with block 1. */
static int
chacha_crypt(bool encrypt, const uint8_t *key, uint8_t *text, size_t length, uint8_t *tag)
{
	static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
	uint8_t one_time[crypto_onetimeauth_poly1305_KEYBYTES];
	int wrong = 0;

	crypto_stream_chacha20(one_time, sizeof one_time, nonce, key);
	if (!encrypt)
		wrong = crypto_onetimeauth_poly1305_verify(tag, text, length, one_time);
	if (wrong == 0)
		crypto_stream_chacha20_xor_ic(text, text, length, nonce, 1, key);
	if (encrypt)
		crypto_onetimeauth_poly1305(tag, text, length, one_time);
	sodium_memzero(one_time, sizeof one_time);
	return wrong == 0 ? 0 : NACRE_ERROR_INTEGRITY;
}

/* How a file is encrypted: its header's fields. */
struct file_protection {
	const struct file_cipher *cipher;
	struct nacre_span salt;
	uint32_t rounds;
};

static int
file_crypt(const struct file_protection *protection, bool encrypt, struct nacre_span passphrase,
    uint8_t *text, size_t length, uint8_t *tag)
{
	const struct file_cipher *cipher = protection->cipher;
	const struct backend_keys *backend;
	uint8_t key[64 + 16];
	int error;

	if (cipher->key_length == 0)
		return 0;
	if (passphrase.length == 0)
		return NACRE_ERROR_PASSPHRASE;
	error = bcrypt_pbkdf(passphrase, protection->salt, protection->rounds, key,
	    cipher->key_length + cipher->iv_length);
	if (error == 0 && cipher == CIPHER_CHACHA) {
		error = chacha_crypt(encrypt, key, text, length, tag);
	} else if (error == 0) {
		backend = key_backend();
		error = backend == NULL ? NACRE_ERROR_LIBRARY
					: backend->cipher_whole(cipher->name, encrypt, key,
					      key + cipher->key_length, text, length, tag);
	}
	sodium_memzero(key, sizeof key);
	return error;
}

/* What stands in a file outside of its encrypted part. */
struct openssh_file {
	struct file_protection protection;
	struct nacre_span public_blob, private_part, tag;
};

static int
options_read(const struct file_cipher *cipher, struct nacre_span kdf, struct nacre_span options,
    struct file_protection *protection)
{
	struct nacre_reader reader = nacre_reader_of(options);

	protection->cipher = cipher;
	if (cipher->key_length == 0)
		return nacre_span_equals(kdf, "none") && options.length == 0 ? 0
									     : NACRE_ERROR_FORMAT;
	if (!nacre_span_equals(kdf, "bcrypt"))
		return NACRE_ERROR_UNSUPPORTED;
	protection->salt = nacre_get_string(&reader);
	protection->rounds = nacre_get_u32(&reader);
	if (!nacre_reader_done(&reader) || protection->salt.length == 0 ||
	    protection->rounds == 0 || protection->rounds > ROUNDS_MAX)
		return NACRE_ERROR_FORMAT;
	return 0;
}

static int
file_open(struct nacre_span content, struct openssh_file *file)
{
	struct nacre_reader reader = nacre_reader_of(content);
	struct nacre_span start = nacre_get_bytes(&reader, sizeof magic);
	struct nacre_span name = nacre_get_string(&reader), kdf = nacre_get_string(&reader);
	struct nacre_span options = nacre_get_string(&reader);
	uint32_t count = nacre_get_u32(&reader);
	const struct file_cipher *cipher = file_cipher_find(name);

	file->public_blob = nacre_get_string(&reader);
	file->private_part = nacre_get_string(&reader);
	file->tag = nacre_get_rest(&reader);
	if (reader.failed || memcmp(start.data, magic, sizeof magic) != 0 || count != 1)
		return NACRE_ERROR_FORMAT;
	if (cipher == NULL)
		return NACRE_ERROR_UNSUPPORTED;
	if (file->tag.length != cipher->tag_length ||
	    file->private_part.length % cipher->block_length != 0)
		return NACRE_ERROR_FORMAT;
	return options_read(cipher, kdf, options, &file->protection);
}

int
openssh_file_read_public(struct nacre_span content, struct nacre_key **key)
{
	struct openssh_file file;
	int error = file_open(content, &file);

	return error != 0 ? error : nacre_key_from_blob(file.public_blob, key);
}

/* Padding is 1, 2, 3, ... */
static bool
padding_is_right(struct nacre_span padding)
{
	for (size_t i = 0; i < padding.length; i++)
		if (padding.data[i] != (uint8_t)(i + 1))
			return false;
	return padding.length <= BLOCK_MAX;
}

/* The decrypted part: two equal numbers, the key, its comment, padding. */
static int
private_part_read(struct nacre_span part, struct nacre_span public_blob, bool encrypted,
    struct nacre_key **key, char **comment)
{
	struct nacre_reader reader = nacre_reader_of(part);
	SCOPED_KEY struct nacre_key *made = NULL, *public = NULL;
	uint32_t check = nacre_get_u32(&reader), again = nacre_get_u32(&reader);
	struct nacre_span text;
	int error;

	if (reader.failed || check != again)
		return encrypted ? NACRE_ERROR_PASSPHRASE : NACRE_ERROR_FORMAT;
	if ((error = nacre_key_read_private(&reader, &made)) != 0)
		return error;
	text = nacre_get_string(&reader);
	if (reader.failed || !padding_is_right(nacre_get_rest(&reader)))
		return NACRE_ERROR_FORMAT;
	if ((error = nacre_key_from_blob(public_blob, &public)) != 0)
		return error;
	if (!nacre_key_equal(made, public))
		return NACRE_ERROR_FORMAT;
	if (comment != NULL && (*comment = nacre_span_to_string(text)) == NULL)
		return NACRE_ERROR_FORMAT;
	*key = made;
	made = NULL;
	return 0;
}

int
openssh_file_read(
    struct nacre_span content, struct nacre_span passphrase, struct nacre_key **key, char **comment)
{
	SCOPED_BUFFER struct nacre_buffer part = {.limit = FILE_LIMIT};
	struct openssh_file file;
	uint8_t tag[TAG_MAX];
	bool encrypted;
	int error = file_open(content, &file);

	if (error != 0)
		return error;
	encrypted = file.protection.cipher->key_length > 0;
	nacre_put_span(&part, file.private_part);
	if (part.failed)
		return NACRE_ERROR_MEMORY;
	if (file.tag.length > 0)
		memcpy(tag, file.tag.data, file.tag.length);
	error = file_crypt(
	    &file.protection, false, passphrase, part.data, nacre_buffer_length(&part), tag);
	if (error == NACRE_ERROR_INTEGRITY)
		return NACRE_ERROR_PASSPHRASE;
	if (error != 0)
		return error;
	return private_part_read(
	    nacre_buffer_span(&part), file.public_blob, encrypted, key, comment);
}

static int
private_part_write(const struct nacre_key *key, const char *comment, size_t block_length,
    struct nacre_buffer *part)
{
	uint32_t check;
	int error;

	random_bytes(&check, sizeof check);
	nacre_put_u32(part, check);
	nacre_put_u32(part, check);
	if ((error = nacre_key_write_private(key, part)) != 0)
		return error;
	nacre_put_cstring(part, comment != NULL ? comment : "");
	for (uint8_t i = 1; !part->failed && nacre_buffer_length(part) % block_length != 0; i++)
		nacre_put_byte(part, i);
	return part->failed ? NACRE_ERROR_MEMORY : 0;
}

static void
header_write(const struct file_protection *protection, struct nacre_buffer *content)
{
	bool encrypted = protection->cipher->key_length > 0;
	size_t mark;

	nacre_put_bytes(content, magic, sizeof magic);
	nacre_put_cstring(content, protection->cipher->name);
	nacre_put_cstring(content, encrypted ? "bcrypt" : "none");
	mark = nacre_put_string_begin(content);
	if (encrypted) {
		nacre_put_string_span(content, protection->salt);
		nacre_put_u32(content, protection->rounds);
	}
	nacre_put_string_end(content, mark);
	nacre_put_u32(content, 1);
}

static int
content_write(const struct nacre_key *key, const struct nacre_key_file_options *options,
    const struct file_protection *protection, struct nacre_buffer *content)
{
	SCOPED_BUFFER struct nacre_buffer part = {.limit = FILE_LIMIT};
	uint8_t tag[TAG_MAX];
	size_t mark;
	int error =
	    private_part_write(key, options->comment, protection->cipher->block_length, &part);

	if (error == 0)
		error = file_crypt(protection, true, options->passphrase, part.data,
		    nacre_buffer_length(&part), tag);
	if (error != 0)
		return error;
	header_write(protection, content);
	mark = nacre_put_string_begin(content);
	nacre_key_put_blob(key, false, content);
	nacre_put_string_end(content, mark);
	nacre_put_string_span(content, nacre_buffer_span(&part));
	nacre_put_bytes(content, tag, protection->cipher->tag_length);
	return content->failed ? NACRE_ERROR_MEMORY : 0;
}

int
openssh_file_write(const struct nacre_key *key, const struct nacre_key_file_options *options,
    struct nacre_buffer *text)
{
	SCOPED_BUFFER struct nacre_buffer content = {.limit = FILE_LIMIT};
	const char *cipher = options->cipher != NULL ? options->cipher : CIPHER_DEFAULT;
	uint8_t salt[SALT_LENGTH];
	struct file_protection protection = {
	    .cipher =
		file_cipher_find(nacre_span_of(options->passphrase.length > 0 ? cipher : "none")),
	    .salt = {salt, sizeof salt},
	    .rounds = options->rounds > 0 ? options->rounds : ROUNDS_DEFAULT,
	};
	int error;

	if (protection.cipher == NULL ||
	    (options->passphrase.length > 0 && protection.cipher->key_length == 0))
		return NACRE_ERROR_UNSUPPORTED;
	random_bytes(salt, sizeof salt);
	if ((error = content_write(key, options, &protection, &content)) != 0)
		return error;
	nacre_put_format(text, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
	armor_write_base64(nacre_buffer_span(&content), 70, text);
	nacre_put_format(text, "-----END OPENSSH PRIVATE KEY-----\n");
	return text->failed ? NACRE_ERROR_MEMORY : 0;
}
