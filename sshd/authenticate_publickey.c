/*
 * The publickey method (RFC 4252 section 7): what is offered, whether it was signed by the key's
 * owner for this session. Whose key it is, is decided in authorize_key.c and its neighbours.
 */
#include "login.h"

#include <nacre/log.h>

#include <stdlib.h>
#include <string.h>

#define MESSAGE_REQUEST 50 /* SSH_MSG_USERAUTH_REQUEST, which a signature covers */

/* The text that the user's key has signed, made here from what we know ourselves. */
static void
put_signed_data(const struct login *login, bool host_bound, struct nacre_span algorithm,
    struct nacre_span blob, struct nacre_buffer *data)
{
	nacre_put_string_span(data, nacre_buffer_span(&login->session_identifier));
	nacre_put_byte(data, MESSAGE_REQUEST);
	nacre_put_cstring(data, login->authentication.user);
	nacre_put_cstring(data, AUTHENTICATION_SERVICE);
	nacre_put_cstring(data, host_bound ? "publickey-hostbound-v00@openssh.com" : "publickey");
	nacre_put_boolean(data, true);
	nacre_put_string_span(data, algorithm);
	nacre_put_string_span(data, blob);
	if (host_bound)
		nacre_put_string_span(data, nacre_buffer_span(&login->host_key));
}

static bool
signature_is_right(const struct login *login, const struct nacre_key *key, bool host_bound,
    struct nacre_span algorithm, struct nacre_span blob, struct nacre_span signature)
{
	struct nacre_buffer data = {0};
	char *name = nacre_span_to_string(algorithm);

	put_signed_data(login, host_bound, algorithm, blob, &data);
	bool right = name != NULL && !data.failed &&
		     nacre_key_verify(key, name, signature, nacre_buffer_span(&data)) == 0;
	free(name);
	nacre_buffer_free(&data);
	return right;
}

static bool
key_used_before(const struct authentication *authentication, const char *fingerprint)
{
	for (size_t i = 0; i < authentication->used_key_count; i++)
		if (strcmp(authentication->used_keys[i], fingerprint) == 0)
			return true;
	return false;
}

static void
remember_key(struct authentication *authentication, const char *fingerprint)
{
	size_t count = authentication->used_key_count + 1;
	char **keys = reallocarray(authentication->used_keys, count, sizeof *keys);

	if (keys == NULL)
		nacre_fatal("out of memory");
	authentication->used_keys = keys;
	keys[authentication->used_key_count++] = strdup(fingerprint);
}

/* "ED25519 SHA256:..." with a NUL behind it. */
static void
describe_key(const struct login *login, const struct nacre_key *key, struct nacre_buffer *text)
{
	nacre_buffer_clear(text);
	nacre_put_format(text, "%s ", nacre_key_type_label(key));
	nacre_key_fingerprint(
	    key, (enum nacre_fingerprint_hash)login->config->fingerprint_hash, text);
	nacre_put_byte(text, 0);
}

static void
take_options(struct authentication *authentication, struct nacre_key_options *options)
{
	if (authentication->has_options)
		nacre_key_options_free(&authentication->options);
	authentication->options = *options;
	authentication->has_options = true;
}

static enum answer_kind
try_key(struct login *login, const struct nacre_key *key, struct nacre_reader *fields,
    bool is_signed, bool host_bound, struct nacre_span algorithm, struct nacre_span blob)
{
	struct authentication *authentication = &login->authentication;
	struct nacre_key_options options = {0};

	describe_key(login, key, &authentication->key_text);
	const char *fingerprint = (const char *)authentication->key_text.data;
	if (fingerprint == NULL || !key_is_acceptable(login, algorithm, key) ||
	    key_used_before(authentication, fingerprint))
		return ANSWER_FAILURE;
	bool authorized = authentication->allowed && key_is_authorized(login, key, &options);
	bool right = !is_signed || signature_is_right(login, key, host_bound, algorithm, blob,
				       nacre_get_string(fields));
	if (is_signed && authorized && right) {
		take_options(authentication, &options);
		remember_key(authentication, fingerprint);
		return ANSWER_SUCCESS;
	}
	if (authorized)
		nacre_key_options_free(&options);
	return authorized && !is_signed ? ANSWER_PUBLICKEY_OK : ANSWER_FAILURE;
}

enum answer_kind
authenticate_publickey(struct login *login, struct nacre_reader *fields, struct answer *answer)
{
	bool is_signed = nacre_get_boolean(fields);
	bool host_bound = nacre_get_boolean(fields);
	struct nacre_span algorithm = nacre_get_string(fields);
	struct nacre_span blob = nacre_get_string(fields);
	struct nacre_key *key = NULL;
	enum answer_kind kind = ANSWER_FAILURE;

	(void)answer;
	nacre_buffer_clear(&login->authentication.key_text);
	if (nacre_key_from_blob(blob, &key) == 0 && !nacre_key_is_certificate(key))
		kind = try_key(login, key, fields, is_signed, host_bound, algorithm, blob);
	nacre_key_free(key);
	return kind;
}
