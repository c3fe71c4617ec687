/* Certificates in the making (OpenSSH's PROTOCOL.certkeys): what an authority puts its signature
 * under. */
#include <key/key.h>

#include <crypto/random.h>

#define NONCE_LENGTH 32

static void
put_names(struct nacre_buffer *blob, const char *names)
{
	struct nacre_span list = nacre_span_of(names != NULL ? names : ""), name;
	size_t mark = nacre_put_string_begin(blob);

	while ((name = nacre_list_next(&list)).length > 0)
		nacre_put_string_span(blob, name);
	nacre_put_string_end(blob, mark);
}

int
nacre_certificate_put_body(const struct nacre_key *key, const struct nacre_key *authority,
    const struct nacre_certificate_body *body, struct nacre_buffer *blob)
{
	uint8_t nonce[NONCE_LENGTH];
	size_t mark;

	random_bytes(nonce, sizeof nonce);
	nacre_put_cstring(blob, key->kind->certificate_name);
	nacre_put_string(blob, nonce, sizeof nonce);
	key->kind->functions->write_public(key, blob);
	nacre_put_u64(blob, body->serial);
	nacre_put_u32(blob, body->type);
	nacre_put_cstring(blob, body->key_id);
	put_names(blob, body->principals);
	nacre_put_u64(blob, body->valid_after);
	nacre_put_u64(blob, body->valid_before);
	nacre_put_string_span(blob, body->critical_options);
	nacre_put_string_span(blob, body->extensions);
	nacre_put_cstring(blob, ""); /* reserved */
	mark = nacre_put_string_begin(blob);
	nacre_key_put_blob(authority, true, blob);
	nacre_put_string_end(blob, mark);
	return blob->failed ? NACRE_ERROR_MEMORY : 0;
}

void
nacre_certificate_put_option(struct nacre_buffer *options, const char *name, const char *value)
{
	size_t mark;

	nacre_put_cstring(options, name);
	mark = nacre_put_string_begin(options);
	if (value != NULL)
		nacre_put_cstring(options, value);
	nacre_put_string_end(options, mark);
}
