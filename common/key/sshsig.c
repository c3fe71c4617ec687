/* Signatures of files (OpenSSH's PROTOCOL.sshsig): their text, their fields, what they cover. */
#include <key/key.h>
#include <nacre/sshsig.h>

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#define BEGIN    "-----BEGIN SSH SIGNATURE-----"
#define END      "-----END SSH SIGNATURE-----"
#define MAGIC    "SSHSIG"
#define VERSION  1
#define WIDTH    70
#define BLOB_MAX ((size_t)256 * 1024)
#define PIECE    ((size_t)64 * 1024)

/* The base64 between the markers, without the ends of its lines. */
static int
armor_open(struct nacre_span text, struct nacre_buffer *base64, const char **reason)
{
	static const char begin[] = BEGIN "\n", end[] = "\n" END;
	const uint8_t *last;

	*reason = "missing header";
	if (text.length < sizeof begin - 1 || memcmp(text.data, begin, sizeof begin - 1) != 0)
		return NACRE_ERROR_FORMAT;
	text.data += sizeof begin - 1;
	text.length -= sizeof begin - 1;
	*reason = "missing footer";
	last = text.length > 0 ? memmem(text.data, text.length, end, sizeof end - 1) : NULL;
	if (last == NULL)
		return NACRE_ERROR_FORMAT;
	*reason = NULL;
	for (const uint8_t *at = text.data; at < last; at++)
		if (*at != '\n' && *at != '\r')
			nacre_put_byte(base64, *at);
	return base64->failed ? NACRE_ERROR_MEMORY : 0;
}

static int
fields_read(struct nacre_sshsig *signature)
{
	struct nacre_reader reader = nacre_reader_of(nacre_buffer_span(&signature->blob));
	struct nacre_span magic = nacre_get_bytes(&reader, sizeof MAGIC - 1), key;
	uint32_t version = nacre_get_u32(&reader);

	key = nacre_get_string(&reader);
	signature->name_space = nacre_get_string(&reader);
	signature->reserved = nacre_get_string(&reader);
	signature->hash = nacre_get_string(&reader);
	signature->signature = nacre_get_string(&reader);
	if (!nacre_span_equals(magic, MAGIC))
		return NACRE_ERROR_FORMAT;
	if (version > VERSION)
		return NACRE_ERROR_UNSUPPORTED;
	if (!nacre_reader_done(&reader) || signature->name_space.length == 0)
		return NACRE_ERROR_FORMAT;
	return nacre_key_from_blob(key, &signature->key);
}

int
nacre_sshsig_read(struct nacre_span text, struct nacre_sshsig *signature, const char **reason)
{
	SCOPED_BUFFER struct nacre_buffer base64 = {.limit = 2 * BLOB_MAX};
	int error;

	*signature = (struct nacre_sshsig){.blob = {.limit = BLOB_MAX}};
	if ((error = armor_open(text, &base64, reason)) != 0)
		return error;
	error = nacre_get_base64(nacre_buffer_span(&base64), &signature->blob);
	if (error == 0)
		error = fields_read(signature);
	if (error != 0)
		nacre_sshsig_free(signature);
	return error;
}

void
nacre_sshsig_free(struct nacre_sshsig *signature)
{
	nacre_key_free(signature->key);
	nacre_buffer_free(&signature->blob);
	*signature = (struct nacre_sshsig){0};
}

int
nacre_sshsig_put(const struct nacre_key *key, const char *name_space, const char *hash,
    struct nacre_span signature, struct nacre_buffer *text)
{
	SCOPED_BUFFER struct nacre_buffer blob = {0};
	size_t mark;

	nacre_put_bytes(&blob, MAGIC, sizeof MAGIC - 1);
	nacre_put_u32(&blob, VERSION);
	mark = nacre_put_string_begin(&blob);
	nacre_key_put_blob(key, false, &blob);
	nacre_put_string_end(&blob, mark);
	nacre_put_cstring(&blob, name_space);
	nacre_put_cstring(&blob, ""); /* reserved */
	nacre_put_cstring(&blob, hash);
	nacre_put_string_span(&blob, signature);
	nacre_put_format(text, BEGIN "\n");
	armor_write_base64(nacre_buffer_span(&blob), WIDTH, text);
	nacre_put_format(text, END "\n");
	return blob.failed || text->failed ? NACRE_ERROR_MEMORY : 0;
}

/* A digest of a message that comes in pieces. */
struct digest_state {
	bool sha512;
	crypto_hash_sha256_state state256;
	crypto_hash_sha512_state state512;
};

static void
digest_begin(struct digest_state *state, bool sha512)
{
	state->sha512 = sha512;
	crypto_hash_sha256_init(&state->state256);
	crypto_hash_sha512_init(&state->state512);
}

static void
digest_add(struct digest_state *state, const uint8_t *piece, size_t length)
{
	if (state->sha512)
		crypto_hash_sha512_update(&state->state512, piece, length);
	else
		crypto_hash_sha256_update(&state->state256, piece, length);
}

static size_t
digest_end(struct digest_state *state, uint8_t *digest)
{
	if (state->sha512)
		crypto_hash_sha512_final(&state->state512, digest);
	else
		crypto_hash_sha256_final(&state->state256, digest);
	return state->sha512 ? crypto_hash_sha512_BYTES : crypto_hash_sha256_BYTES;
}

bool
nacre_sshsig_hash_known(struct nacre_span name)
{
	return nacre_span_equals(name, "sha256") || nacre_span_equals(name, "sha512");
}

int
nacre_sshsig_digest(int fd, struct nacre_span hash, uint8_t *digest, size_t *length)
{
	SCOPED_BUFFER struct nacre_buffer piece = {0};
	struct digest_state state;
	ssize_t count;

	if (!nacre_sshsig_hash_known(hash))
		return NACRE_ERROR_UNSUPPORTED;
	if (nacre_buffer_room(&piece, PIECE) == NULL)
		return NACRE_ERROR_MEMORY;
	digest_begin(&state, nacre_span_equals(hash, "sha512"));
	while ((count = read(fd, piece.data, PIECE)) != 0) {
		if (count < 0 && errno != EINTR)
			return NACRE_ERROR_SYSTEM;
		if (count > 0)
			digest_add(&state, piece.data, (size_t)count);
	}
	*length = digest_end(&state, digest);
	return 0;
}

int
nacre_sshsig_put_signed(struct nacre_span name_space, struct nacre_span hash,
    struct nacre_span digest, struct nacre_buffer *data)
{
	nacre_put_bytes(data, MAGIC, sizeof MAGIC - 1);
	nacre_put_string_span(data, name_space);
	nacre_put_cstring(data, ""); /* reserved */
	nacre_put_string_span(data, hash);
	nacre_put_string_span(data, digest);
	return data->failed ? NACRE_ERROR_MEMORY : 0;
}

int
nacre_sshsig_verify(const struct nacre_sshsig *signature, struct nacre_span digest)
{
	SCOPED_BUFFER struct nacre_buffer data = {0};
	int error = nacre_sshsig_put_signed(signature->name_space, signature->hash, digest, &data);

	return error != 0 ? error
			  : nacre_key_verify(signature->key, NULL, signature->signature,
				nacre_buffer_span(&data));
}
