/* The requests of the agent protocol, as a table: what a keyring answers to whom. */
#include <agent/keyring.h>

#include <stdlib.h>
#include <string.h>

/*
 * A handler reads the fields behind the message's type and appends the answer's content, type
 * first. It returns 0 when it did, NACRE_KEYRING_QUESTION when it asks, or an error, which becomes
 * a failure message.
 */
struct request {
	struct nacre_keyring_client *client;
	struct nacre_reader fields;
	uint64_t now;
	struct nacre_buffer *answer;
};

static int
answer_success(struct request *request)
{
	nacre_put_byte(request->answer, AGENT_SUCCESS);
	return 0;
}

static int
handle_list(struct request *request)
{
	const struct nacre_keyring *keyring = request->client->keyring;
	bool hidden = keyring->lock.locked;

	if (!nacre_reader_done(&request->fields))
		return NACRE_ERROR_FORMAT;
	nacre_put_byte(request->answer, AGENT_IDENTITIES_ANSWER);
	nacre_put_u32(request->answer, hidden ? 0 : (uint32_t)keyring->count);
	for (const struct keyring_entry *entry = keyring->first; entry != NULL && !hidden;
	     entry = entry->next) {
		nacre_put_string_span(request->answer, nacre_buffer_span(&entry->blob));
		nacre_put_cstring(request->answer, entry->comment);
	}
	return 0;
}

/* RSA keys sign with the hash that the flags name, and with SHA-1 as the protocol had it first. */
static const char *
signature_algorithm(const struct nacre_key *key, uint32_t flags)
{
	if (nacre_key_type(key) != NACRE_KEY_RSA)
		return NULL;
	if ((flags & NACRE_AGENT_RSA_SHA2_256) != 0)
		return "rsa-sha2-256";
	return (flags & NACRE_AGENT_RSA_SHA2_512) != 0 ? "rsa-sha2-512" : "ssh-rsa";
}

static int
answer_signature(const struct keyring_entry *entry, struct nacre_span data, uint32_t flags,
    struct nacre_buffer *answer)
{
	struct nacre_buffer signature = {0};
	int error =
	    nacre_key_sign(entry->key, signature_algorithm(entry->key, flags), data, &signature);

	if (error == 0) {
		nacre_put_byte(answer, AGENT_SIGN_RESPONSE);
		nacre_put_string_span(answer, nacre_buffer_span(&signature));
	}
	nacre_buffer_free(&signature);
	return error;
}

static void
question_end(struct nacre_keyring_client *client)
{
	client->asking = false;
	nacre_key_free(client->question_key);
	client->question_key = NULL;
	free(client->question_comment);
	client->question_comment = NULL;
	nacre_buffer_free(&client->question_blob);
	nacre_buffer_free(&client->question_data);
}

/* Keeps what is needed to sign later. The entry may be gone by then: it is looked up again. */
static int
question_begin(struct nacre_keyring_client *client, const struct keyring_entry *entry,
    struct nacre_span data, uint32_t flags)
{
	nacre_put_span(&client->question_blob, nacre_buffer_span(&entry->blob));
	nacre_put_span(&client->question_data, data);
	client->question_comment = strdup(entry->comment);
	client->question_flags = flags;
	if (client->question_comment == NULL || client->question_blob.failed ||
	    client->question_data.failed ||
	    nacre_key_copy_public(entry->key, &client->question_key) != 0) {
		question_end(client);
		return NACRE_ERROR_MEMORY;
	}
	client->asking = true;
	return NACRE_KEYRING_QUESTION;
}

static int
handle_sign(struct request *request)
{
	struct nacre_span blob = nacre_get_string(&request->fields);
	struct nacre_span data = nacre_get_string(&request->fields);
	uint32_t flags = nacre_get_u32(&request->fields);
	const struct keyring_entry *entry;

	if (!nacre_reader_done(&request->fields))
		return NACRE_ERROR_FORMAT;
	if ((entry = keyring_find(request->client->keyring, blob)) == NULL)
		return NACRE_ERROR_NOT_FOUND;
	if (entry->confirm)
		return question_begin(request->client, entry, data, flags);
	return answer_signature(entry, data, flags, request->answer);
}

/* Constraints that are not known must not be ignored: the key is refused then. */
static int
constraints_read(struct request *request, struct keyring_entry *entry)
{
	struct nacre_reader *fields = &request->fields;
	uint8_t type;

	while (fields->length > 0 && !fields->failed) {
		type = nacre_get_byte(fields);
		if (type == AGENT_CONSTRAIN_LIFETIME)
			entry->expires = request->now + (uint64_t)nacre_get_u32(fields) * 1000;
		else if (type == AGENT_CONSTRAIN_CONFIRM)
			entry->confirm = true;
		else
			return NACRE_ERROR_UNSUPPORTED;
	}
	return nacre_reader_done(fields) ? 0 : NACRE_ERROR_FORMAT;
}

static int
entry_read(struct request *request, bool constrained, struct keyring_entry *entry)
{
	uint32_t lifetime = request->client->keyring->default_lifetime;
	int error = nacre_key_read_private(&request->fields, &entry->key);

	if (error != 0)
		return error;
	/* Their private parts are in an authenticator, which this keyring does not speak with: a
	 * key that is listed must be able to sign. */
	if (nacre_key_application(entry->key).length > 0)
		return NACRE_ERROR_UNSUPPORTED;
	entry->comment = nacre_span_to_string(nacre_get_string(&request->fields));
	if (request->fields.failed || entry->comment == NULL)
		return NACRE_ERROR_FORMAT;
	if (constrained)
		error = constraints_read(request, entry);
	else if (!nacre_reader_done(&request->fields))
		error = NACRE_ERROR_FORMAT;
	if (entry->expires == UINT64_MAX && lifetime > 0)
		entry->expires = request->now + (uint64_t)lifetime * 1000;
	return error != 0 ? error : nacre_key_put_blob(entry->key, false, &entry->blob);
}

static int
add(struct request *request, bool constrained)
{
	struct keyring_entry entry = {.expires = UINT64_MAX};
	int error = entry_read(request, constrained, &entry);

	if (error == 0)
		error = keyring_insert(request->client->keyring, &entry);
	if (error == 0)
		return answer_success(request);
	nacre_key_free(entry.key);
	nacre_buffer_free(&entry.blob);
	free(entry.comment);
	return error;
}

static int
handle_add(struct request *request)
{
	return add(request, false);
}

static int
handle_add_constrained(struct request *request)
{
	return add(request, true);
}

static int
handle_remove(struct request *request)
{
	struct nacre_span blob = nacre_get_string(&request->fields);

	if (!nacre_reader_done(&request->fields))
		return NACRE_ERROR_FORMAT;
	if (!keyring_remove(request->client->keyring, blob))
		return NACRE_ERROR_NOT_FOUND;
	return answer_success(request);
}

static int
handle_remove_all(struct request *request)
{
	if (!nacre_reader_done(&request->fields))
		return NACRE_ERROR_FORMAT;
	nacre_keyring_remove_all(request->client->keyring);
	return answer_success(request);
}

static int
handle_lock(struct request *request)
{
	struct nacre_span passphrase = nacre_get_string(&request->fields);
	int error;

	if (!nacre_reader_done(&request->fields))
		return NACRE_ERROR_FORMAT;
	error = keyring_lock(&request->client->keyring->lock, passphrase);
	return error != 0 ? error : answer_success(request);
}

static int
handle_unlock(struct request *request)
{
	struct nacre_span passphrase = nacre_get_string(&request->fields);
	uint64_t delay = 0;
	int error;

	if (!nacre_reader_done(&request->fields))
		return NACRE_ERROR_FORMAT;
	error = keyring_unlock(&request->client->keyring->lock, passphrase, &delay);
	if (error == 0)
		return answer_success(request);
	request->client->not_before = request->now + delay;
	return error;
}

static int
extension_bind(struct request *request)
{
	int error = keyring_bind(request->client, &request->fields);

	return error != 0 ? error : answer_success(request);
}

static int extension_query(struct request *request);

static const struct {
	const char *name;
	int (*handle)(struct request *request);
} extensions[] = {
    {AGENT_QUERY, extension_query},
    {AGENT_SESSION_BIND, extension_bind},
};
#define EXTENSION_COUNT (sizeof extensions / sizeof extensions[0])

static int
extension_query(struct request *request)
{
	if (!nacre_reader_done(&request->fields))
		return NACRE_ERROR_FORMAT;
	nacre_put_byte(request->answer, AGENT_EXTENSION_RESPONSE);
	nacre_put_cstring(request->answer, AGENT_QUERY);
	for (size_t i = 0; i < EXTENSION_COUNT; i++)
		nacre_put_cstring(request->answer, extensions[i].name);
	return 0;
}

/* An unknown extension gets failure, one that failed extension-failure. */
static int
handle_extension(struct request *request)
{
	struct nacre_span name = nacre_get_string(&request->fields);
	size_t before = nacre_buffer_length(request->answer);

	for (size_t i = 0; i < EXTENSION_COUNT; i++) {
		if (!nacre_span_equals(name, extensions[i].name))
			continue;
		if (extensions[i].handle(request) != 0) {
			nacre_buffer_truncate(request->answer, before);
			nacre_put_byte(request->answer, AGENT_EXTENSION_FAILURE);
		}
		return 0;
	}
	return NACRE_ERROR_UNSUPPORTED;
}

static const struct {
	enum agent_message type;
	bool while_locked;
	int (*handle)(struct request *request);
} requests[] = {
    {AGENT_REQUEST_IDENTITIES, true, handle_list},
    {AGENT_SIGN_REQUEST, false, handle_sign},
    {AGENT_ADD_IDENTITY, false, handle_add},
    {AGENT_ADD_ID_CONSTRAINED, false, handle_add_constrained},
    {AGENT_REMOVE_IDENTITY, false, handle_remove},
    {AGENT_REMOVE_ALL_IDENTITIES, false, handle_remove_all},
    {AGENT_LOCK, false, handle_lock},
    {AGENT_UNLOCK, true, handle_unlock},
    {AGENT_EXTENSION, false, handle_extension},
};

static int
dispatch(struct request *request)
{
	uint8_t type = nacre_get_byte(&request->fields);

	if (request->fields.failed)
		return NACRE_ERROR_FORMAT;
	for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
		if (requests[i].type != type)
			continue;
		if (request->client->keyring->lock.locked && !requests[i].while_locked)
			return NACRE_ERROR_REFUSED;
		return requests[i].handle(request);
	}
	return NACRE_ERROR_UNSUPPORTED;
}

/* Frames what a handler put behind "mark", or a failure in place of it. */
static int
answer_end(struct nacre_buffer *answer, size_t mark, int result)
{
	if (result < 0) {
		nacre_buffer_truncate(answer, mark + 4);
		nacre_put_byte(answer, AGENT_FAILURE);
	}
	nacre_put_string_end(answer, mark);
	return answer->failed ? (int)NACRE_ERROR_MEMORY : (int)NACRE_KEYRING_ANSWERED;
}

int
nacre_keyring_handle(struct nacre_keyring_client *client, struct nacre_span message, uint64_t now,
    struct nacre_buffer *answer)
{
	struct request request = {client, nacre_reader_of(message), now, answer};
	size_t mark;
	int result;

	if (client->asking)
		return NACRE_ERROR_STATE;
	nacre_keyring_expire(client->keyring, now);
	mark = nacre_put_string_begin(answer);
	result = dispatch(&request);
	if (result == NACRE_KEYRING_QUESTION) {
		nacre_buffer_truncate(answer, mark);
		return answer->failed ? NACRE_ERROR_MEMORY : result;
	}
	return answer_end(answer, mark, result);
}

bool
nacre_keyring_question(
    const struct nacre_keyring_client *client, struct nacre_keyring_question *question)
{
	if (!client->asking)
		return false;
	*question = (struct nacre_keyring_question){client->question_key, client->question_comment};
	return true;
}

int
nacre_keyring_confirm(
    struct nacre_keyring_client *client, bool allowed, uint64_t now, struct nacre_buffer *answer)
{
	const struct keyring_entry *entry;
	int result = NACRE_ERROR_REFUSED;
	size_t mark;

	if (!client->asking)
		return NACRE_ERROR_STATE;
	nacre_keyring_expire(client->keyring, now);
	mark = nacre_put_string_begin(answer);
	entry = keyring_find(client->keyring, nacre_buffer_span(&client->question_blob));
	if (allowed && entry != NULL && !client->keyring->lock.locked)
		result = answer_signature(entry, nacre_buffer_span(&client->question_data),
		    client->question_flags, answer);
	question_end(client);
	return answer_end(answer, mark, result);
}

int
nacre_keyring_client_new(struct nacre_keyring *keyring, struct nacre_keyring_client **client)
{
	struct nacre_keyring_client *made = calloc(1, sizeof *made);

	if (made == NULL)
		return NACRE_ERROR_MEMORY;
	made->keyring = keyring;
	*client = made;
	return 0;
}

void
nacre_keyring_client_free(struct nacre_keyring_client *client)
{
	if (client == NULL)
		return;
	question_end(client);
	keyring_bindings_free(client);
	free(client);
}

uint64_t
nacre_keyring_client_not_before(const struct nacre_keyring_client *client)
{
	return client->not_before;
}
