/* The requests of the agent protocol, as a table: what a keyring answers to whom. */
#include <agent/keyring.h>

#include <stdlib.h>
#include <string.h>

static int
answer_success(struct keyring_request *request)
{
	nacre_put_byte(request->answer, AGENT_SUCCESS);
	return 0;
}

static int
handle_list(struct keyring_request *request)
{
	const struct nacre_keyring_client *client = request->client;
	const struct keyring_entry *entry = client->keyring->first;
	size_t place;
	uint32_t count = 0;

	if (!nacre_reader_done(&request->fields))
		return NACRE_ERROR_FORMAT;
	nacre_put_byte(request->answer, AGENT_IDENTITIES_ANSWER);
	place = nacre_buffer_length(request->answer);
	nacre_put_u32(request->answer, 0);
	for (; entry != NULL && !client->keyring->lock.locked; entry = entry->next) {
		if (!keyring_may_see(client, entry))
			continue;
		nacre_put_string_span(request->answer, nacre_buffer_span(&entry->blob));
		nacre_put_cstring(request->answer, entry->comment);
		count++;
	}
	if (!request->answer->failed)
		for (size_t i = 0; i < sizeof count; i++)
			request->answer->data[request->answer->start + place + i] =
			    (uint8_t)(count >> (24 - 8 * i));
	return 0;
}

static int
handle_remove(struct keyring_request *request)
{
	struct nacre_span blob = nacre_get_string(&request->fields);
	const struct keyring_entry *entry = keyring_find(request->client->keyring, blob);

	if (!nacre_reader_done(&request->fields))
		return NACRE_ERROR_FORMAT;
	if (entry == NULL || !keyring_may_see(request->client, entry))
		return NACRE_ERROR_NOT_FOUND;
	keyring_remove(request->client->keyring, blob);
	return answer_success(request);
}

static int
handle_remove_all(struct keyring_request *request)
{
	if (!nacre_reader_done(&request->fields))
		return NACRE_ERROR_FORMAT;
	nacre_keyring_remove_all(request->client->keyring);
	return answer_success(request);
}

static int
handle_lock(struct keyring_request *request)
{
	struct nacre_span passphrase = nacre_get_string(&request->fields);
	int error;

	if (!nacre_reader_done(&request->fields))
		return NACRE_ERROR_FORMAT;
	error = keyring_lock(&request->client->keyring->lock, passphrase);
	return error != 0 ? error : answer_success(request);
}

static int
handle_unlock(struct keyring_request *request)
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
extension_bind(struct keyring_request *request)
{
	int error = keyring_bind(request->client, &request->fields);

	return error != 0 ? error : answer_success(request);
}

static int extension_query(struct keyring_request *request);

static int
extension_usage(struct keyring_request *request)
{
	if (!nacre_reader_done(&request->fields))
		return NACRE_ERROR_FORMAT;
	nacre_put_byte(request->answer, AGENT_EXTENSION_RESPONSE);
	nacre_put_cstring(request->answer, NACRE_AGENT_KEY_USAGE);
	return keyring_use_list(request->client, request->answer);
}

static const struct {
	const char *name;
	int (*handle)(struct keyring_request *request);
} extensions[] = {
    {AGENT_QUERY, extension_query},
    {AGENT_SESSION_BIND, extension_bind},
    {NACRE_AGENT_KEY_USAGE, extension_usage},
};
#define EXTENSION_COUNT (sizeof extensions / sizeof extensions[0])

static int
extension_query(struct keyring_request *request)
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
handle_extension(struct keyring_request *request)
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
	int (*handle)(struct keyring_request *request);
} requests[] = {
    {AGENT_REQUEST_IDENTITIES, true, handle_list},
    {AGENT_SIGN_REQUEST, false, keyring_sign},
    {AGENT_ADD_IDENTITY, false, keyring_add},
    {AGENT_ADD_ID_CONSTRAINED, false, keyring_add_constrained},
    {AGENT_ADD_TOKEN, false, keyring_add_token},
    {AGENT_ADD_TOKEN_CONSTRAINED, false, keyring_add_token_constrained},
    {AGENT_REMOVE_TOKEN, false, keyring_remove_token},
    {AGENT_REMOVE_IDENTITY, false, handle_remove},
    {AGENT_REMOVE_ALL_IDENTITIES, false, handle_remove_all},
    {AGENT_LOCK, false, handle_lock},
    {AGENT_UNLOCK, true, handle_unlock},
    {AGENT_EXTENSION, false, handle_extension},
};

static int
dispatch(struct keyring_request *request)
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

/* Forgets what waited and what was found out for it. */
static void
wait_end(struct nacre_keyring_client *client)
{
	client->waiting = WAIT_NONE;
	client->confirmed = client->provider_known = false;
	client->pin_tries = 0;
	nacre_buffer_free(&client->message);
	nacre_buffer_free(&client->pin);
	nacre_buffer_free(&client->text);
	nacre_buffer_free(&client->errand);
	free(client->provider);
	client->provider = NULL;
	nacre_key_free(client->question_key);
	client->question_key = NULL;
	free(client->question_comment);
	client->question_comment = NULL;
}

/* Handles a message, from its beginning or going on with what is known by now. */
static int
run(struct keyring_request *request)
{
	struct nacre_keyring_client *client = request->client;
	struct nacre_buffer *answer = request->answer;
	size_t mark;
	int result;

	nacre_keyring_expire(client->keyring, request->now);
	mark = nacre_put_string_begin(answer);
	result = dispatch(request);
	if (result <= 0) {
		wait_end(client);
		return answer_end(answer, mark, result);
	}
	nacre_buffer_truncate(answer, mark);
	return answer->failed || client->message.failed ? NACRE_ERROR_MEMORY : result;
}

static int
resume(struct nacre_keyring_client *client, const struct nacre_span *reply, uint64_t now,
    struct nacre_buffer *answer)
{
	const struct nacre_span message = nacre_buffer_span(&client->message);
	struct keyring_request request = {
	    client, message, nacre_reader_of(message), reply, now, answer};

	client->waiting = WAIT_NONE;
	return run(&request);
}

/* Ends what waits with a failure. */
static int
give_up(struct nacre_keyring_client *client, struct nacre_buffer *answer)
{
	size_t mark = nacre_put_string_begin(answer);

	keyring_sign_refused(client);
	wait_end(client);
	return answer_end(answer, mark, NACRE_ERROR_REFUSED);
}

int
nacre_keyring_handle(struct nacre_keyring_client *client, struct nacre_span message, uint64_t now,
    struct nacre_buffer *answer)
{
	struct keyring_request request = {
	    client, message, nacre_reader_of(message), NULL, now, answer};

	if (client->waiting != WAIT_NONE)
		return NACRE_ERROR_STATE;
	keyring_use_forget(client);
	return run(&request);
}

int
nacre_keyring_confirm(
    struct nacre_keyring_client *client, bool allowed, uint64_t now, struct nacre_buffer *answer)
{
	if (client->waiting != WAIT_CONFIRM)
		return NACRE_ERROR_STATE;
	client->confirmed = allowed;
	return allowed ? resume(client, NULL, now, answer) : give_up(client, answer);
}

int
nacre_keyring_provider(struct nacre_keyring_client *client, const char *path, uint64_t now,
    struct nacre_buffer *answer)
{
	char *copy = path != NULL ? strdup(path) : NULL;

	if (client->waiting != WAIT_PROVIDER) {
		free(copy);
		return NACRE_ERROR_STATE;
	}
	free(client->provider);
	client->provider = copy;
	client->provider_known = true;
	return copy != NULL ? resume(client, NULL, now, answer) : give_up(client, answer);
}

int
nacre_keyring_errand_done(struct nacre_keyring_client *client, struct nacre_span reply,
    uint64_t now, struct nacre_buffer *answer)
{
	if (client->waiting != WAIT_ERRAND)
		return NACRE_ERROR_STATE;
	return resume(client, &reply, now, answer);
}

int
nacre_keyring_pin(struct nacre_keyring_client *client, struct nacre_span pin, uint64_t now,
    struct nacre_buffer *answer)
{
	if (client->waiting != WAIT_PIN)
		return NACRE_ERROR_STATE;
	if (pin.length == 0)
		return give_up(client, answer);
	nacre_buffer_free(&client->pin);
	nacre_put_span(&client->pin, pin);
	nacre_put_byte(&client->pin, '\0');
	return resume(client, NULL, now, answer);
}

void
nacre_keyring_wait(const struct nacre_keyring_client *client, struct nacre_keyring_wait *wait)
{
	static const enum nacre_keyring_outcome outcomes[] = {
	    [WAIT_NONE] = NACRE_KEYRING_ANSWERED,
	    [WAIT_CONFIRM] = NACRE_KEYRING_QUESTION,
	    [WAIT_PROVIDER] = NACRE_KEYRING_PROVIDER,
	    [WAIT_ERRAND] = NACRE_KEYRING_ERRAND,
	    [WAIT_PIN] = NACRE_KEYRING_PIN,
	};

	*wait = (struct nacre_keyring_wait){.what = outcomes[client->waiting],
	    .key = client->question_key,
	    .comment = client->question_comment,
	    .text = nacre_buffer_length(&client->text) > 0
			? (const char *)nacre_buffer_span(&client->text).data
			: NULL,
	    .provider = client->provider,
	    .kind = client->errand_kind,
	    .request = nacre_buffer_span(&client->errand)};
}

int
keyring_wait_for(struct keyring_request *request, enum keyring_wait waiting)
{
	static const int outcomes[] = {
	    [WAIT_CONFIRM] = NACRE_KEYRING_QUESTION,
	    [WAIT_PROVIDER] = NACRE_KEYRING_PROVIDER,
	    [WAIT_ERRAND] = NACRE_KEYRING_ERRAND,
	    [WAIT_PIN] = NACRE_KEYRING_PIN,
	};
	struct nacre_keyring_client *client = request->client;

	if (nacre_buffer_length(&client->message) == 0)
		nacre_put_span(&client->message, request->message);
	client->waiting = waiting;
	return outcomes[waiting];
}

int
nacre_keyring_client_process(struct nacre_keyring_client *client, pid_t pid, const char *process)
{
	free(client->process);
	client->process = process != NULL ? strdup(process) : NULL;
	client->pid = pid;
	return process == NULL || client->process != NULL ? 0 : NACRE_ERROR_MEMORY;
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
	wait_end(client);
	keyring_use_forget(client);
	keyring_bindings_free(client);
	free(client->process);
	free(client);
}

uint64_t
nacre_keyring_client_not_before(const struct nacre_keyring_client *client)
{
	return client->not_before;
}
