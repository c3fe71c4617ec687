/* The client's side of authentication: requests leave as early as they can, several of them before
 * the first is answered, and answers are matched in order (RFC 4252 section 5.1). */
#include <userauth/state.h>

#include <stdlib.h>
#include <string.h>

static void
request_free(struct userauth_request *request)
{
	if (request == NULL)
		return;
	free(request->algorithm);
	nacre_buffer_free(&request->blob);
	nacre_buffer_free(&request->fields);
	nacre_buffer_free(&request->signed_data);
	nacre_buffer_free(&request->signature);
	free(request);
}

static void
request_pop(struct userauth *userauth)
{
	struct userauth_request *request = userauth->requests;

	userauth->requests = request->next;
	request_free(request);
}

void
userauth_client_forget(struct userauth *userauth)
{
	while (userauth->requests != NULL)
		request_pop(userauth);
}

/* Sending ------------------------------------------------------------------------------------ */

/* The fields of an unsigned request are complete; of a signed one they are those that it signed. */
static int
request_send(struct userauth *userauth, struct userauth_request *request)
{
	static const char *const names[] = {
	    [NACRE_METHOD_NONE] = "none",
	    [NACRE_METHOD_PUBLICKEY] = "publickey",
	    [NACRE_METHOD_PASSWORD] = "password",
	    [NACRE_METHOD_KEYBOARD_INTERACTIVE] = "keyboard-interactive",
	};
	struct nacre_buffer *packet =
	    transport_begin(userauth->transport, MESSAGE_USERAUTH_REQUEST);

	if (request->sign) {
		struct nacre_span signed_data = nacre_buffer_span(&request->signed_data);
		size_t skip = request->identifier_length + 1; /* and the message number */

		nacre_put_bytes(packet, signed_data.data + skip, signed_data.length - skip);
		nacre_put_string_span(packet, nacre_buffer_span(&request->signature));
	} else {
		nacre_put_cstring(packet, userauth->user);
		nacre_put_cstring(packet, SERVICE_CONNECTION);
		nacre_put_cstring(packet, names[request->method]);
		nacre_put_span(packet, nacre_buffer_span(&request->fields));
		nacre_buffer_free(&request->fields);
	}
	request->state = REQUEST_SENT;
	return transport_end(userauth->transport);
}

static bool
request_ready(const struct userauth *userauth, const struct userauth_request *request)
{
	if (request->sign)
		return request->state == REQUEST_SIGNED;
	/* A password waits until nobody can read it. */
	return request->method != NACRE_METHOD_PASSWORD || transport_encrypted(userauth->transport);
}

/* An interactive request is not over with the first answer, and another request would end it. */
static bool
request_holds_back(const struct userauth_request *request)
{
	return request->method == NACRE_METHOD_KEYBOARD_INTERACTIVE &&
	       (request->state == REQUEST_SENT || request->state == REQUEST_ASKED);
}

/* Sends what can be sent, in order. */
static int
client_flush(struct userauth *userauth)
{
	struct userauth_request *request;
	int error;

	for (request = userauth->requests; request != NULL; request = request->next) {
		if (request_holds_back(request))
			return 0;
		if (request->state == REQUEST_SENT || request->state == REQUEST_DROPPED)
			continue;
		if (!request_ready(userauth, request))
			return 0;
		if ((error = request_send(userauth, request)) != 0)
			return error;
	}
	return 0;
}

/* What a host signs: all fields of the request, RFC 4252 section 9. */
static void
put_hostbased_data(struct userauth *userauth, struct userauth_request *request)
{
	struct nacre_buffer *data = &request->signed_data;

	nacre_put_string_span(data, transport_session_identifier(userauth->transport));
	nacre_put_byte(data, MESSAGE_USERAUTH_REQUEST);
	nacre_put_cstring(data, userauth->user);
	nacre_put_cstring(data, SERVICE_CONNECTION);
	nacre_put_cstring(data, "hostbased");
	nacre_put_span(data, nacre_buffer_span(&request->fields));
}

static void
put_publickey_data(struct userauth *userauth, struct userauth_request *request)
{
	struct nacre_span identifier = transport_session_identifier(userauth->transport);
	struct nacre_span algorithm = nacre_span_of(request->algorithm);
	struct nacre_span blob = nacre_buffer_span(&request->blob);
	struct nacre_span host_key = transport_host_key(userauth->transport), value;
	bool bound = host_key.length > 0 &&
		     transport_peer_extension(
			 userauth->transport, "publickey-hostbound@openssh.com", &value) &&
		     nacre_span_equals(value, "0");

	userauth_put_signed_data(&request->signed_data, identifier, nacre_span_of(userauth->user),
	    bound ? METHOD_HOST_BOUND : "publickey", algorithm, blob, bound ? &host_key : NULL);
}

/* Asks for the signature of "request", whose data is known now. */
static int
request_ask_signature(
    struct userauth *userauth, struct userauth_request *request, struct nacre_event *event)
{
	if (request->method == NACRE_METHOD_HOSTBASED)
		put_hostbased_data(userauth, request);
	else
		put_publickey_data(userauth, request);
	if (request->signed_data.failed)
		return NACRE_ERROR_MEMORY;
	request->identifier_length = transport_session_identifier(userauth->transport).length + 4;
	request->state = REQUEST_SIGNING;
	*event = (struct nacre_event){.kind = NACRE_EVENT_SIGN};
	event->u.sign.blob = nacre_buffer_span(&request->blob);
	event->u.sign.algorithm = nacre_span_of(request->algorithm);
	event->u.sign.data = nacre_buffer_span(&request->signed_data);
	return 1;
}

static int
report_dropped(struct userauth *userauth, struct nacre_event *event)
{
	*event = (struct nacre_event){.kind = NACRE_EVENT_AUTH_REPLY};
	event->u.auth_reply.request = userauth->requests->number;
	event->u.auth_reply.result = NACRE_AUTH_FAILURE;
	request_pop(userauth);
	return 1;
}

int
userauth_client_pending(struct userauth *userauth, struct nacre_event *event)
{
	struct userauth_request *request;
	int error;

	if (userauth->requests->state == REQUEST_DROPPED)
		return report_dropped(userauth, event);
	if (!transport_established(userauth->transport))
		return 0;
	if ((error = client_flush(userauth)) != 0)
		return error;
	for (request = userauth->requests; request != NULL; request = request->next) {
		if (request_holds_back(request))
			return 0;
		if (request->sign && request->state == REQUEST_WAITING)
			return request_ask_signature(userauth, request, event);
	}
	return 0;
}

int
userauth_signature(struct userauth *userauth, struct nacre_span signature)
{
	struct userauth_request *request = userauth->requests;

	if (userauth->done) /* another request succeeded meanwhile */
		return 0;
	while (request != NULL && request->state != REQUEST_SIGNING)
		request = request->next;
	if (request == NULL)
		return NACRE_ERROR_STATE;
	if (signature.length == 0) {
		request->state = REQUEST_DROPPED;
		return client_flush(userauth);
	}
	nacre_put_span(&request->signature, signature);
	if (request->signature.failed)
		return NACRE_ERROR_MEMORY;
	request->state = REQUEST_SIGNED;
	return client_flush(userauth);
}

/* Calls of the program ----------------------------------------------------------------------- */

int
userauth_client_user(struct userauth *userauth, const char *user)
{
	char *copy;

	if (userauth->server || userauth->done || userauth->next_number != 0)
		return NACRE_ERROR_STATE;
	if ((copy = strdup(user)) == NULL)
		return NACRE_ERROR_MEMORY;
	free(userauth->user);
	userauth->user = copy;
	if (userauth->service)
		return 0;
	userauth->service = true;
	nacre_put_cstring(
	    transport_begin(userauth->transport, MESSAGE_SERVICE_REQUEST), SERVICE_USERAUTH);
	return transport_end(userauth->transport);
}

static struct userauth_request *
request_new(struct userauth *userauth, enum nacre_auth_method method)
{
	struct userauth_request *request = calloc(1, sizeof *request);

	if (request == NULL)
		return NULL;
	request->method = method;
	request->number = userauth->next_number;
	return request;
}

static bool
client_may_request(const struct userauth *userauth)
{
	return !userauth->server && !userauth->done && userauth->user != NULL;
}

/* Puts a complete request, which may be NULL for want of memory, behind the others. */
static int
request_add(struct userauth *userauth, struct userauth_request *request, uint32_t *number)
{
	struct userauth_request **last = &userauth->requests;

	if (request == NULL || request->fields.failed || request->blob.failed) {
		request_free(request);
		return NACRE_ERROR_MEMORY;
	}
	while (*last != NULL)
		last = &(*last)->next;
	*last = request;
	userauth->next_number++;
	if (number != NULL)
		*number = request->number;
	return client_flush(userauth);
}

int
userauth_client_none(struct userauth *userauth, uint32_t *number)
{
	if (!client_may_request(userauth))
		return NACRE_ERROR_STATE;
	return request_add(userauth, request_new(userauth, NACRE_METHOD_NONE), number);
}

int
userauth_client_publickey(struct userauth *userauth, bool sign, const char *algorithm,
    struct nacre_span blob, uint32_t *number)
{
	struct userauth_request *request;

	if (!client_may_request(userauth))
		return NACRE_ERROR_STATE;
	if ((request = request_new(userauth, NACRE_METHOD_PUBLICKEY)) == NULL ||
	    (request->algorithm = strdup(algorithm)) == NULL) {
		request_free(request);
		return NACRE_ERROR_MEMORY;
	}
	request->sign = sign;
	nacre_put_span(&request->blob, blob);
	if (!sign) {
		nacre_put_boolean(&request->fields, false);
		nacre_put_cstring(&request->fields, algorithm);
		nacre_put_string_span(&request->fields, blob);
	}
	return request_add(userauth, request, number);
}

int
userauth_client_hostbased(struct userauth *userauth, const char *algorithm, struct nacre_span blob,
    const char *client_host, const char *client_user, uint32_t *number)
{
	struct userauth_request *request;

	if (!client_may_request(userauth))
		return NACRE_ERROR_STATE;
	if ((request = request_new(userauth, NACRE_METHOD_HOSTBASED)) == NULL ||
	    (request->algorithm = strdup(algorithm)) == NULL) {
		request_free(request);
		return NACRE_ERROR_MEMORY;
	}
	request->sign = true;
	nacre_put_span(&request->blob, blob);
	nacre_put_cstring(&request->fields, algorithm);
	nacre_put_string_span(&request->fields, blob);
	nacre_put_cstring(&request->fields, client_host);
	nacre_put_cstring(&request->fields, client_user);
	return request_add(userauth, request, number);
}

int
userauth_client_password(
    struct userauth *userauth, const char *password, const char *new_password, uint32_t *number)
{
	struct userauth_request *request;

	if (!client_may_request(userauth))
		return NACRE_ERROR_STATE;
	if ((request = request_new(userauth, NACRE_METHOD_PASSWORD)) == NULL)
		return NACRE_ERROR_MEMORY;
	nacre_put_boolean(&request->fields, new_password != NULL);
	nacre_put_cstring(&request->fields, password);
	if (new_password != NULL)
		nacre_put_cstring(&request->fields, new_password);
	return request_add(userauth, request, number);
}

int
userauth_client_keyboard_interactive(
    struct userauth *userauth, const char *devices, uint32_t *number)
{
	struct userauth_request *request;

	if (!client_may_request(userauth))
		return NACRE_ERROR_STATE;
	if ((request = request_new(userauth, NACRE_METHOD_KEYBOARD_INTERACTIVE)) == NULL)
		return NACRE_ERROR_MEMORY;
	nacre_put_cstring(&request->fields, ""); /* language, deprecated by RFC 4256 */
	nacre_put_cstring(&request->fields, devices != NULL ? devices : "");
	return request_add(userauth, request, number);
}

bool
userauth_signed_request_sent(const struct userauth *userauth)
{
	const struct userauth_request *const request = userauth->requests;

	return !userauth->server && !userauth->done && request != NULL && request->next == NULL &&
	       request->sign && request->state == REQUEST_SENT;
}

int
userauth_client_respond(struct userauth *userauth, const struct nacre_span *responses, size_t count)
{
	struct userauth_request *request = userauth->requests;
	struct nacre_buffer *packet;

	if (userauth->server || request == NULL || request->state != REQUEST_ASKED)
		return NACRE_ERROR_STATE;
	if (count != userauth->prompt_count)
		return NACRE_ERROR_ARGUMENT;
	packet = transport_begin(userauth->transport, MESSAGE_USERAUTH_INFO_RESPONSE);
	nacre_put_u32(packet, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		nacre_put_string_span(packet, responses[i]);
	request->state = REQUEST_SENT;
	return transport_end(userauth->transport);
}

/* Answers of the server ---------------------------------------------------------------------- */

/* The oldest request that has left, moved to the head: the one that an answer is for. Those before
 * it that were dropped are still to be reported. */
static struct userauth_request *
oldest_sent(struct userauth *userauth)
{
	struct userauth_request **link = &userauth->requests, *request;

	while (*link != NULL && (*link)->state == REQUEST_DROPPED)
		link = &(*link)->next;
	request = *link;
	if (request == NULL || (request->state != REQUEST_SENT && request->state != REQUEST_ASKED))
		return NULL;
	*link = request->next;
	request->next = userauth->requests;
	userauth->requests = request;
	return request;
}

static void
reply_begin(struct userauth *userauth, enum nacre_auth_result result, struct nacre_event *event)
{
	*event = (struct nacre_event){.kind = NACRE_EVENT_AUTH_REPLY};
	event->u.auth_reply.request = userauth->requests->number;
	event->u.auth_reply.result = result;
}

static int
client_failure(struct userauth *userauth, struct nacre_reader *payload, struct nacre_event *event)
{
	if (oldest_sent(userauth) == NULL)
		return userauth_unexpected(userauth, "USERAUTH_FAILURE");
	reply_begin(userauth, NACRE_AUTH_FAILURE, event);
	event->u.auth_reply.methods = nacre_get_string(payload);
	event->u.auth_reply.partial_success = nacre_get_boolean(payload);
	if (!nacre_reader_done(payload))
		return userauth_malformed(userauth, "USERAUTH_FAILURE");
	request_pop(userauth);
	return 1;
}

/* The server ignores the requests that are behind the one that succeeded. */
static int
client_success(struct userauth *userauth, struct nacre_reader *payload, struct nacre_event *event)
{
	int error;

	if (oldest_sent(userauth) == NULL)
		return userauth_unexpected(userauth, "USERAUTH_SUCCESS");
	if (!nacre_reader_done(payload))
		return userauth_malformed(userauth, "USERAUTH_SUCCESS");
	reply_begin(userauth, NACRE_AUTH_SUCCESS, event);
	userauth_client_forget(userauth);
	if ((error = userauth_succeed(userauth)) != 0)
		return error;
	return 1;
}

static int
client_banner(struct userauth *userauth, struct nacre_reader *payload, struct nacre_event *event)
{
	if (!userauth->service)
		return userauth_unexpected(userauth, "USERAUTH_BANNER");
	*event = (struct nacre_event){.kind = NACRE_EVENT_BANNER};
	event->u.text = nacre_get_string(payload);
	nacre_get_string(payload); /* language */
	if (!nacre_reader_done(payload))
		return userauth_malformed(userauth, "USERAUTH_BANNER");
	return 1;
}

static int
client_publickey_ok(
    struct userauth *userauth, struct nacre_reader *payload, struct nacre_event *event)
{
	if (userauth->requests->sign)
		return userauth_unexpected(userauth, "USERAUTH_PK_OK");
	reply_begin(userauth, NACRE_AUTH_PUBLICKEY_OK, event);
	event->u.auth_reply.algorithm = nacre_get_string(payload);
	event->u.auth_reply.blob = nacre_get_string(payload);
	if (!nacre_reader_done(payload))
		return userauth_malformed(userauth, "USERAUTH_PK_OK");
	if (!nacre_span_equal(
		event->u.auth_reply.blob, nacre_buffer_span(&userauth->requests->blob)))
		return transport_fail(userauth->transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR,
		    "USERAUTH_PK_OK is for another key than was asked about");
	request_pop(userauth);
	return 1;
}

static int
client_change_password(
    struct userauth *userauth, struct nacre_reader *payload, struct nacre_event *event)
{
	reply_begin(userauth, NACRE_AUTH_CHANGE_PASSWORD, event);
	event->u.auth_reply.prompt = nacre_get_string(payload);
	nacre_get_string(payload); /* language */
	if (!nacre_reader_done(payload))
		return userauth_malformed(userauth, "USERAUTH_PASSWD_CHANGEREQ");
	request_pop(userauth);
	return 1;
}

static int
client_info_request(
    struct userauth *userauth, struct nacre_reader *payload, struct nacre_event *event)
{
	uint32_t count;

	if (userauth->requests->state != REQUEST_SENT)
		return userauth_unexpected(userauth, "USERAUTH_INFO_REQUEST");
	reply_begin(userauth, NACRE_AUTH_INFO_REQUEST, event);
	event->u.auth_reply.name = nacre_get_string(payload);
	event->u.auth_reply.instruction = nacre_get_string(payload);
	nacre_get_string(payload); /* language */
	count = nacre_get_u32(payload);
	if (count > NACRE_AUTH_PROMPTS)
		return userauth_malformed(userauth, "USERAUTH_INFO_REQUEST (too many prompts)");
	for (uint32_t i = 0; i < count; i++) {
		userauth->prompts[i].text = nacre_get_string(payload);
		userauth->prompts[i].echo = nacre_get_boolean(payload);
	}
	if (!nacre_reader_done(payload))
		return userauth_malformed(userauth, "USERAUTH_INFO_REQUEST");
	event->u.auth_reply.prompts = userauth->prompts;
	event->u.auth_reply.prompt_count = userauth->prompt_count = count;
	userauth->requests->state = REQUEST_ASKED;
	return 1;
}

/* Message 60: its meaning is that of the request it answers. */
static int
client_method_message(
    struct userauth *userauth, struct nacre_reader *payload, struct nacre_event *event)
{
	if (oldest_sent(userauth) == NULL)
		return userauth_unexpected(userauth, "60 of an authentication method");
	if (userauth->requests->method == NACRE_METHOD_PUBLICKEY)
		return client_publickey_ok(userauth, payload, event);
	if (userauth->requests->method == NACRE_METHOD_PASSWORD)
		return client_change_password(userauth, payload, event);
	if (userauth->requests->method == NACRE_METHOD_KEYBOARD_INTERACTIVE)
		return client_info_request(userauth, payload, event);
	return userauth_unexpected(userauth, "60 of an authentication method");
}

int
userauth_client_message(struct userauth *userauth, uint8_t message, struct nacre_reader *payload,
    struct nacre_event *event)
{
	if (message == MESSAGE_USERAUTH_FAILURE)
		return client_failure(userauth, payload, event);
	if (message == MESSAGE_USERAUTH_SUCCESS)
		return client_success(userauth, payload, event);
	if (message == MESSAGE_USERAUTH_BANNER && !userauth->done)
		return client_banner(userauth, payload, event);
	if (message == MESSAGE_USERAUTH_INFO_REQUEST)
		return client_method_message(userauth, payload, event);
	if (message == MESSAGE_USERAUTH_REQUEST)
		return userauth_unexpected(userauth, "USERAUTH_REQUEST from a server");
	if (message == MESSAGE_USERAUTH_INFO_RESPONSE)
		return userauth_unexpected(userauth, "USERAUTH_INFO_RESPONSE from a server");
	transport_unimplemented(userauth->transport);
	return 0;
}
