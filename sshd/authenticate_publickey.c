/*
 * The publickey method (RFC 4252 section 7): what is offered, whether it was signed by the key's
 * owner for this session. Whose key it is, is decided in authorize_key.c and its neighbours.
 */
#include "authorize.h"
#include "record.h"

#include <nacre/log.h>

#include <stdlib.h>
#include <string.h>

#define MESSAGE_REQUEST 50 /* SSH_MSG_USERAUTH_REQUEST, which a signature covers */

/* What the peer has sent. */
struct offered_key {
	bool is_signed, host_bound;
	struct nacre_span algorithm, blob, signature;
};

/* The text that the user's key has signed, made here from what we know ourselves. */
static void
put_signed_data(const struct login *login, bool host_bound, struct nacre_span algorithm,
    struct nacre_span blob, struct nacre_buffer *data)
{
	nacre_put_string_span(data, nacre_buffer_span(&login->session_identifier));
	nacre_put_byte(data, MESSAGE_REQUEST);
	nacre_put_cstring(data, login->authentication.requested);
	nacre_put_cstring(data, AUTHENTICATION_SERVICE);
	nacre_put_cstring(data, host_bound ? "publickey-hostbound-v00@openssh.com" : "publickey");
	nacre_put_boolean(data, true);
	nacre_put_string_span(data, algorithm);
	nacre_put_string_span(data, blob);
	if (host_bound)
		nacre_put_string_span(data, nacre_buffer_span(&login->host_key));
}

static bool
signature_is_right(const struct login *login, const struct nacre_key *key,
    const struct offered_key *offered, struct nacre_signature_details *details)
{
	struct nacre_buffer data = {0};
	char *name = nacre_span_to_string(offered->algorithm);

	put_signed_data(login, offered->host_bound, offered->algorithm, offered->blob, &data);
	bool right = name != NULL && !data.failed &&
		     nacre_key_verify_details(
			 key, name, offered->signature, nacre_buffer_span(&data), details) == 0;
	free(name);
	nacre_buffer_free(&data);
	return right;
}

static bool
refuse_flags(const struct login *login, const struct nacre_key *key, const char *requirement)
{
	struct nacre_buffer fingerprint = {0};
	char user[300];

	put_fingerprint(login, key, &fingerprint);
	nacre_log(NACRE_LOG_ERROR,
	    "public key %s %s signature for %s from %.128s port %d rejected: %s requirement not "
	    "met",
	    nacre_key_type_label(key), (const char *)fingerprint.data,
	    login_user_text(login, user, sizeof user), login->peer.address, login->peer.port,
	    requirement);
	nacre_buffer_free(&fingerprint);
	return false;
}

/* What a security key's signature must say of its user. */
static bool
flags_suffice(const struct login *login, const struct nacre_key *key,
    const struct nacre_key_options *options, const struct nacre_signature_details *details)
{
	int required = login->config->pubkey_auth_options;
	bool touch = (required & NACRE_PUBKEY_TOUCH_REQUIRED) != 0 || !options->no_touch_required;
	bool verify = (required & NACRE_PUBKEY_VERIFY_REQUIRED) != 0 || options->verify_required;

	if (nacre_key_application(key).length == 0)
		return true;
	nacre_log(NACRE_LOG_DEBUG1, "security key signature: counter %u, flags 0x%02x",
	    details->counter, details->flags);
	if (touch && (details->flags & NACRE_SK_USER_PRESENT) == 0)
		return refuse_flags(login, key, "user presence (authenticator touch)");
	if (verify && (details->flags & NACRE_SK_USER_VERIFIED) == 0)
		return refuse_flags(login, key, "user verification");
	return true;
}

/* Keys that have succeeded, by the fingerprint of the plain key: each counts once. */
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

static void
take_options(struct authentication *authentication, struct nacre_key_options *options)
{
	if (authentication->has_options)
		nacre_key_options_free(&authentication->options);
	authentication->options = *options;
	authentication->has_options = true;
}

/* A key that may log in: is it what was only asked about, or has it signed as it must? */
static enum answer_kind
try_authorized(struct login *login, const struct nacre_key *key, const struct offered_key *offered,
    struct nacre_key_options *options, const char *fingerprint)
{
	struct nacre_signature_details details;

	if (!offered->is_signed) {
		nacre_key_options_free(options);
		return ANSWER_PUBLICKEY_OK;
	}
	if (!signature_is_right(login, key, offered, &details) ||
	    !flags_suffice(login, key, options, &details)) {
		nacre_key_options_free(options);
		return ANSWER_FAILURE;
	}
	take_options(&login->authentication, options);
	remember_key(&login->authentication, fingerprint);
	nacre_buffer_clear(&login->authentication.key_line);
	nacre_key_put_line(key, NULL, &login->authentication.key_line);
	return ANSWER_SUCCESS;
}

static enum answer_kind
try_key(struct login *login, const struct nacre_key *key, const struct offered_key *offered)
{
	struct authentication *authentication = &login->authentication;
	struct nacre_key_options options = {0};
	struct nacre_signature_details details;
	struct nacre_buffer fingerprint = {0};
	enum answer_kind kind = ANSWER_FAILURE;

	record_key(login, key);
	if (!key_is_acceptable(login, offered->algorithm, key))
		return ANSWER_FAILURE;
	put_fingerprint(login, key, &fingerprint);
	const char *text = (const char *)fingerprint.data;
	if (!key_used_before(authentication, text) && authentication->allowed &&
	    key_is_authorized(login, key, &options))
		kind = try_authorized(login, key, offered, &options, text);
	else if (offered->is_signed) /* takes as long for a stranger */
		(void)signature_is_right(login, key, offered, &details);
	nacre_buffer_free(&fingerprint);
	return kind;
}

enum answer_kind
authenticate_publickey(struct login *login, struct nacre_reader *fields, struct answer *answer)
{
	struct offered_key offered;
	struct nacre_key *key = NULL;
	enum answer_kind kind = ANSWER_FAILURE;

	(void)answer;
	offered.is_signed = nacre_get_boolean(fields);
	offered.host_bound = nacre_get_boolean(fields);
	offered.algorithm = nacre_get_string(fields);
	offered.blob = nacre_get_string(fields);
	offered.signature = nacre_get_string(fields);
	record_key(login, NULL);
	if (!fields->failed && nacre_key_from_blob(offered.blob, &key) == 0)
		kind = try_key(login, key, &offered);
	nacre_key_free(key);
	return kind;
}
