/* Adding keys: their constraints, those that are here, and those of tokens, which others read. */
#include <agent/keyring.h>
#include <nacre/certificate.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TOKEN_KEYS_MAX 1024

struct constraints {
	uint64_t expires;
	bool confirm;
	struct nacre_span destinations, provider, certificates;
	bool certificates_only, has_certificates;
};

static int
extension_read(struct nacre_reader *fields, struct constraints *constraints)
{
	const struct nacre_span name = nacre_get_string(fields);

	if (nacre_span_equals(name, AGENT_RESTRICT_DESTINATION)) {
		constraints->destinations = nacre_get_string(fields);
		return constraints->destinations.length > 0 ? 0 : NACRE_ERROR_FORMAT;
	}
	if (nacre_span_equals(name, AGENT_SK_PROVIDER)) {
		constraints->provider = nacre_get_string(fields);
		return constraints->provider.length > 0 ? 0 : NACRE_ERROR_FORMAT;
	}
	if (nacre_span_equals(name, AGENT_ASSOCIATED_CERTS)) {
		constraints->certificates_only = nacre_get_boolean(fields);
		constraints->certificates = nacre_get_string(fields);
		constraints->has_certificates = true;
		return 0;
	}
	return NACRE_ERROR_UNSUPPORTED;
}

/* Constraints that are not known must not be ignored: the key is refused then. */
static int
constraints_read(struct keyring_request *request, struct constraints *constraints)
{
	const uint32_t lifetime = request->client->keyring->default_lifetime;
	struct nacre_reader *fields = &request->fields;
	int error = 0;

	*constraints = (struct constraints){.expires = UINT64_MAX};
	while (fields->length > 0 && !fields->failed && error == 0) {
		const uint8_t type = nacre_get_byte(fields);

		if (type == AGENT_CONSTRAIN_LIFETIME)
			constraints->expires =
			    request->now + (uint64_t)nacre_get_u32(fields) * 1000;
		else if (type == AGENT_CONSTRAIN_CONFIRM)
			constraints->confirm = true;
		else if (type == AGENT_CONSTRAIN_EXTENSION)
			error = extension_read(fields, constraints);
		else
			error = NACRE_ERROR_UNSUPPORTED;
	}
	if (constraints->expires == UINT64_MAX && lifetime > 0)
		constraints->expires = request->now + (uint64_t)lifetime * 1000;
	return error != 0 ? error : nacre_reader_done(fields) ? 0 : NACRE_ERROR_FORMAT;
}

static int
constraints_apply(const struct constraints *constraints, struct keyring_entry *entry)
{
	entry->expires = constraints->expires;
	entry->confirm = constraints->confirm;
	if (constraints->destinations.length == 0)
		return 0;
	return destinations_read(constraints->destinations, &entry->destinations);
}

static int
answer_success(struct keyring_request *request)
{
	nacre_put_byte(request->answer, AGENT_SUCCESS);
	return 0;
}

/* A library that a client names is judged first; over a forwarded connection none may be named. */
static int
provider_judge(struct keyring_request *request, struct nacre_span path)
{
	struct nacre_keyring_client *client = request->client;

	if (client->binding_count > 0 && !client->keyring->remote_providers)
		return NACRE_ERROR_REFUSED;
	if (client->provider_known)
		return 0;
	free(client->provider);
	if ((client->provider = nacre_span_to_string(path)) == NULL)
		return NACRE_ERROR_FORMAT;
	return keyring_wait_for(request, WAIT_PROVIDER);
}

/* Who asks a key of an authenticator; for other keys a library makes no sense. */
static int
entry_provider(struct keyring_request *request, const struct constraints *constraints,
    struct keyring_entry *entry)
{
	const bool named = constraints->provider.length > 0;
	const bool own = nacre_span_equals(constraints->provider, "internal");
	int result;

	if (nacre_key_application(entry->key).length == 0)
		return named ? NACRE_ERROR_ARGUMENT : 0;
	entry->home = KEY_IN_AUTHENTICATOR;
	if (named && !own && (result = provider_judge(request, constraints->provider)) != 0)
		return result;
	entry->provider = strdup(named && !own ? request->client->provider : "internal");
	return entry->provider != NULL ? 0 : NACRE_ERROR_MEMORY;
}

static int
entry_insert(struct nacre_keyring_client *client, struct keyring_entry *entry)
{
	const struct keyring_entry *old;
	int error = nacre_key_put_blob(entry->key, false, &entry->blob);

	if (error != 0)
		return error;
	old = keyring_find(client->keyring, nacre_buffer_span(&entry->blob));
	if (old != NULL && !keyring_may_see(client, old))
		return NACRE_ERROR_REFUSED;
	if (entry->home == KEY_HERE)
		nacre_key_shield(entry->key, client->keyring->shield);
	return keyring_insert(client->keyring, entry);
}

static int
entry_read(struct keyring_request *request, bool constrained, struct keyring_entry *entry)
{
	struct constraints constraints;
	int error = nacre_key_read_private(&request->fields, &entry->key);

	if (error != 0)
		return error;
	entry->comment = nacre_span_to_string(nacre_get_string(&request->fields));
	if (request->fields.failed || entry->comment == NULL ||
	    (!constrained && !nacre_reader_done(&request->fields)))
		return NACRE_ERROR_FORMAT;
	if ((error = constraints_read(request, &constraints)) != 0 ||
	    (error = constraints_apply(&constraints, entry)) != 0)
		return error;
	if (constraints.has_certificates)
		return NACRE_ERROR_ARGUMENT;
	return entry_provider(request, &constraints, entry);
}

static int
add(struct keyring_request *request, bool constrained)
{
	struct keyring_entry entry = {.expires = UINT64_MAX};
	int result = entry_read(request, constrained, &entry);

	if (result == 0)
		result = entry_insert(request->client, &entry);
	if (result == 0)
		return answer_success(request);
	keyring_entry_clear(&entry);
	return result;
}

int
keyring_add(struct keyring_request *request)
{
	return add(request, false);
}

int
keyring_add_constrained(struct keyring_request *request)
{
	return add(request, true);
}

/* Tokens ------------------------------------------------------------------------------------- */

static int
token_entry_add(struct keyring_request *request, const struct constraints *constraints,
    struct nacre_key *key, struct nacre_span label)
{
	struct nacre_keyring_client *client = request->client;
	struct keyring_entry entry = {.home = KEY_ON_TOKEN, .key = key};
	struct nacre_buffer blob = {0};
	int error = constraints_apply(constraints, &entry);

	nacre_key_put_blob(key, false, &blob);
	/* One that is here already stays as it is. */
	if (error == 0 && keyring_find(client->keyring, nacre_buffer_span(&blob)) != NULL)
		error = NACRE_ERROR_STATE;
	nacre_buffer_free(&blob);
	entry.provider = strdup(client->provider);
	entry.comment = label.length > 0 ? nacre_span_to_string(label) : strdup(client->provider);
	if (error == 0 && (entry.provider == NULL || entry.comment == NULL))
		error = NACRE_ERROR_MEMORY;
	if (error == 0)
		error = entry_insert(client, &entry);
	if (error != 0)
		keyring_entry_clear(&entry);
	return error == NACRE_ERROR_STATE ? 0 : error;
}

/* The certificates that came with the request and are for this key. How many were added. */
static size_t
certificates_add(struct keyring_request *request, const struct constraints *constraints,
    const struct nacre_key *key, struct nacre_span label)
{
	struct nacre_reader certificates = nacre_reader_of(constraints->certificates);
	size_t added = 0;

	while (certificates.length > 0 && !certificates.failed) {
		const struct nacre_span blob = nacre_get_string(&certificates);
		struct nacre_key *certificate = NULL;

		if (certificates.failed || nacre_key_from_blob(blob, &certificate) != 0)
			continue;
		if (!nacre_key_is_certificate(certificate) || !nacre_key_equal(certificate, key))
			nacre_key_free(certificate);
		else
			added += token_entry_add(request, constraints, certificate, label) == 0;
	}
	return added;
}

static size_t
token_key_add(struct keyring_request *request, const struct constraints *constraints,
    struct nacre_span blob, struct nacre_span label)
{
	struct nacre_key *key;
	size_t added;

	if (nacre_key_from_blob(blob, &key) != 0)
		return 0;
	added = certificates_add(request, constraints, key, label);
	if (constraints->certificates_only) {
		nacre_key_free(key);
		return added;
	}
	return added + (token_entry_add(request, constraints, key, label) == 0);
}

static int
token_keys_add(struct keyring_request *request, const struct constraints *constraints)
{
	struct nacre_reader reply = nacre_reader_of(*request->reply);
	size_t added = 0;
	uint32_t count;

	if (nacre_get_byte(&reply) != NACRE_PROVIDER_KEYS)
		return NACRE_ERROR_REFUSED;
	count = nacre_get_u32(&reply);
	for (uint32_t i = 0; i < count && i < TOKEN_KEYS_MAX && !reply.failed; i++) {
		const struct nacre_span blob = nacre_get_string(&reply);
		const struct nacre_span label = nacre_get_string(&reply);

		if (!reply.failed)
			added += token_key_add(request, constraints, blob, label);
	}
	return added > 0 ? answer_success(request) : NACRE_ERROR_NOT_FOUND;
}

static int
token_errand(struct keyring_request *request, uint8_t type, struct nacre_span pin)
{
	struct nacre_keyring_client *client = request->client;

	client->errand_kind = NACRE_PROVIDER_PKCS11;
	nacre_buffer_free(&client->errand);
	nacre_put_byte(&client->errand, type);
	nacre_put_cstring(&client->errand, client->provider);
	nacre_put_string_span(&client->errand, pin);
	return client->errand.failed ? NACRE_ERROR_MEMORY : keyring_wait_for(request, WAIT_ERRAND);
}

static int
add_token(struct keyring_request *request, bool constrained)
{
	const struct nacre_span path = nacre_get_string(&request->fields);
	const struct nacre_span pin = nacre_get_string(&request->fields);
	struct constraints constraints;
	int result;

	if (request->fields.failed || (!constrained && !nacre_reader_done(&request->fields)))
		return NACRE_ERROR_FORMAT;
	if ((result = constraints_read(request, &constraints)) != 0 ||
	    (result = provider_judge(request, path)) != 0)
		return result;
	if (constraints.provider.length > 0)
		return NACRE_ERROR_ARGUMENT;
	return request->reply == NULL ? token_errand(request, NACRE_PROVIDER_ADD, pin)
				      : token_keys_add(request, &constraints);
}

int
keyring_add_token(struct keyring_request *request)
{
	return add_token(request, false);
}

int
keyring_add_token_constrained(struct keyring_request *request)
{
	return add_token(request, true);
}

int
keyring_remove_token(struct keyring_request *request)
{
	const struct nacre_span path = nacre_get_string(&request->fields);
	const struct nacre_span pin = nacre_get_string(&request->fields);
	int result;

	if (!nacre_reader_done(&request->fields))
		return NACRE_ERROR_FORMAT;
	if ((result = provider_judge(request, path)) != 0)
		return result;
	if (request->reply == NULL)
		return keyring_remove_provider(request->client->keyring, request->client->provider)
			   ? token_errand(request, NACRE_PROVIDER_REMOVE, pin)
			   : NACRE_ERROR_NOT_FOUND;
	return answer_success(request);
}
