/* The server's side of authentication: one request at a time, parsed strictly, shown to the
 * program, answered by it. */
#include <userauth/state.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX ((size_t)64 * 1024) /* of one request: keys, certificates, long passwords */

void
userauth_server_forget(struct userauth *userauth)
{
	nacre_buffer_clear(&userauth->request);
	nacre_buffer_clear(&userauth->signed_data);
	userauth->algorithm = userauth->blob = (struct nacre_span){NULL, 0};
}

/* Takes the fields out of the receive buffer: a secret is wiped there now, and the event's spans
 * stay valid until the answer. */
static int
request_keep(struct userauth *userauth, struct nacre_reader *payload)
{
	struct nacre_span fields = nacre_get_rest(payload);

	userauth_server_forget(userauth);
	if (fields.length > FIELDS_MAX)
		return userauth_malformed(userauth, "USERAUTH_REQUEST (too long)");
	nacre_put_span(&userauth->request, fields);
	if (userauth->request.failed)
		return NACRE_ERROR_MEMORY;
	if (fields.length > 0)
		sodium_memzero((void *)fields.data, fields.length);
	*payload = nacre_reader_of(nacre_buffer_span(&userauth->request));
	return 0;
}

/* Methods ------------------------------------------------------------------------------------ */

static int
parse_none(struct userauth *userauth, struct nacre_reader *fields, struct nacre_event *event)
{
	(void)userauth, (void)fields, (void)event;
	return 0;
}

/* A host-bound request names the host key that the client saw: it must be ours, or the signature
 * was made for somebody else. */
static int
parse_host_key(struct userauth *userauth, struct nacre_reader *fields, struct nacre_span *host_key)
{
	*host_key = nacre_get_string(fields);
	if (fields->failed)
		return userauth_malformed(userauth, "USERAUTH_REQUEST");
	if (!nacre_span_equal(*host_key, transport_host_key(userauth->transport)))
		return transport_fail(userauth->transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR,
		    "USERAUTH_REQUEST is bound to another host key than ours");
	return 0;
}

static int
parse_publickey(struct userauth *userauth, struct nacre_reader *fields, struct nacre_event *event)
{
	bool has_signature = nacre_get_boolean(fields);
	struct nacre_span host_key = {NULL, 0};
	bool bound = event->u.auth_request.host_bound;
	int error;

	event->u.auth_request.algorithm = userauth->algorithm = nacre_get_string(fields);
	event->u.auth_request.blob = userauth->blob = nacre_get_string(fields);
	if (bound && (error = parse_host_key(userauth, fields, &host_key)) != 0)
		return error;
	userauth->query = !has_signature;
	event->u.auth_request.has_signature = has_signature;
	if (!has_signature)
		return 0;
	event->u.auth_request.signature = nacre_get_string(fields);
	userauth_put_signed_data(&userauth->signed_data,
	    transport_session_identifier(userauth->transport), event->u.auth_request.user,
	    bound ? METHOD_HOST_BOUND : "publickey", userauth->algorithm, userauth->blob,
	    bound ? &host_key : NULL);
	event->u.auth_request.signed_data = nacre_buffer_span(&userauth->signed_data);
	return userauth->signed_data.failed ? NACRE_ERROR_MEMORY : 0;
}

/* The signature of a hostbased request covers all fields before it, RFC 4252 section 9. */
static int
parse_hostbased(struct userauth *userauth, struct nacre_reader *fields, struct nacre_event *event)
{
	struct nacre_span request = nacre_buffer_span(&userauth->request);

	event->u.auth_request.algorithm = nacre_get_string(fields);
	event->u.auth_request.blob = nacre_get_string(fields);
	event->u.auth_request.client_host = nacre_get_string(fields);
	event->u.auth_request.client_user = nacre_get_string(fields);
	event->u.auth_request.has_signature = true;
	nacre_put_string_span(
	    &userauth->signed_data, transport_session_identifier(userauth->transport));
	nacre_put_byte(&userauth->signed_data, MESSAGE_USERAUTH_REQUEST);
	nacre_put_bytes(&userauth->signed_data, request.data, request.length - fields->length);
	event->u.auth_request.signature = nacre_get_string(fields);
	event->u.auth_request.signed_data = nacre_buffer_span(&userauth->signed_data);
	return userauth->signed_data.failed ? NACRE_ERROR_MEMORY : 0;
}

static int
parse_password(struct userauth *userauth, struct nacre_reader *fields, struct nacre_event *event)
{
	bool change = nacre_get_boolean(fields);

	if (!transport_encrypted(userauth->transport))
		return transport_fail(userauth->transport, NACRE_ERROR_REFUSED,
		    NACRE_DISCONNECT_PROTOCOL_ERROR, "password sent without encryption");
	event->u.auth_request.change = change;
	event->u.auth_request.password = nacre_get_string(fields);
	if (change)
		event->u.auth_request.new_password = nacre_get_string(fields);
	return 0;
}

static int
parse_interactive(struct userauth *userauth, struct nacre_reader *fields, struct nacre_event *event)
{
	(void)userauth;
	nacre_get_string(fields); /* language */
	event->u.auth_request.devices = nacre_get_string(fields);
	return 0;
}

static int
parse_other(struct userauth *userauth, struct nacre_reader *fields, struct nacre_event *event)
{
	(void)userauth, (void)event;
	nacre_get_rest(fields);
	return 0;
}

static const struct method {
	const char *name;
	enum nacre_auth_method method;
	bool host_bound;
	int (*parse)(struct userauth *, struct nacre_reader *, struct nacre_event *);
} methods[] = {
    {"none", NACRE_METHOD_NONE, false, parse_none},
    {"publickey", NACRE_METHOD_PUBLICKEY, false, parse_publickey},
    {METHOD_HOST_BOUND, NACRE_METHOD_PUBLICKEY, true, parse_publickey},
    {"password", NACRE_METHOD_PASSWORD, false, parse_password},
    {"keyboard-interactive", NACRE_METHOD_KEYBOARD_INTERACTIVE, false, parse_interactive},
    {"hostbased", NACRE_METHOD_HOSTBASED, false, parse_hostbased},
    {NULL, NACRE_METHOD_OTHER, false, parse_other},
};

static const struct method *
method_of(struct nacre_span name)
{
	const struct method *method = methods;

	while (method->name != NULL && !nacre_span_equals(name, method->name))
		method++;
	return method;
}

/* Messages ----------------------------------------------------------------------------------- */

/* The first request names the user and the service; later ones may not change them. */
static int
check_user(struct userauth *userauth, struct nacre_span user, struct nacre_span service)
{
	if (!nacre_span_equals(service, SERVICE_CONNECTION))
		return transport_fail(userauth->transport, NACRE_ERROR_REFUSED,
		    NACRE_DISCONNECT_SERVICE_NOT_AVAILABLE,
		    "USERAUTH_REQUEST for an unknown service");
	if (userauth->user == NULL) {
		if ((userauth->user = nacre_span_to_string(user)) == NULL)
			return userauth_malformed(userauth, "USERAUTH_REQUEST (user name)");
		return 0;
	}
	if (!nacre_span_equals(user, userauth->user))
		return transport_fail(userauth->transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR,
		    "Change of username or service not allowed: "
		    "(%.64s," SERVICE_CONNECTION ") -> (%.*s," SERVICE_CONNECTION ")",
		    userauth->user, (int)(user.length < 64 ? user.length : 64),
		    (const char *)user.data);
	return 0;
}

static int
server_request(struct userauth *userauth, struct nacre_reader *payload, struct nacre_event *event)
{
	const struct method *method;
	int error;

	if (!userauth->service)
		return userauth_unexpected(userauth, "USERAUTH_REQUEST before SERVICE_REQUEST");
	if ((error = request_keep(userauth, payload)) != 0)
		return error;
	*event = (struct nacre_event){.kind = NACRE_EVENT_AUTH_REQUEST};
	event->u.auth_request.user = nacre_get_string(payload);
	event->u.auth_request.service = nacre_get_string(payload);
	event->u.auth_request.method_name = nacre_get_string(payload);
	if (payload->failed)
		return userauth_malformed(userauth, "USERAUTH_REQUEST");
	if ((error = check_user(
		 userauth, event->u.auth_request.user, event->u.auth_request.service)) != 0)
		return error;
	method = method_of(event->u.auth_request.method_name);
	event->u.auth_request.method = userauth->method = method->method;
	event->u.auth_request.host_bound = method->host_bound;
	userauth->query = false;
	if ((error = method->parse(userauth, payload, event)) != 0)
		return error;
	if (!nacre_reader_done(payload))
		return userauth_malformed(userauth, "USERAUTH_REQUEST");
	userauth->state = SERVER_QUESTION;
	return 1;
}

static int
server_responses(struct userauth *userauth, struct nacre_reader *payload, struct nacre_event *event)
{
	uint32_t count;
	int error;

	if (userauth->state != SERVER_ASKED)
		return userauth_unexpected(userauth, "USERAUTH_INFO_RESPONSE");
	if ((error = request_keep(userauth, payload)) != 0)
		return error;
	count = nacre_get_u32(payload);
	if (payload->failed || count != userauth->prompt_count)
		return userauth_malformed(userauth, "USERAUTH_INFO_RESPONSE (number of responses)");
	for (uint32_t i = 0; i < count; i++)
		userauth->responses[i] = nacre_get_string(payload);
	if (!nacre_reader_done(payload))
		return userauth_malformed(userauth, "USERAUTH_INFO_RESPONSE");
	*event = (struct nacre_event){.kind = NACRE_EVENT_AUTH_RESPONSES};
	event->u.auth_responses.responses = userauth->responses;
	event->u.auth_responses.count = count;
	userauth->state = SERVER_QUESTION;
	return 1;
}

int
userauth_server_message(struct userauth *userauth, uint8_t message, struct nacre_reader *payload,
    struct nacre_event *event)
{
	if (message == MESSAGE_USERAUTH_REQUEST)
		/* Requests that were under way when one succeeded: RFC 4252 section 5.1. */
		return userauth->done ? 0 : server_request(userauth, payload, event);
	if (message == MESSAGE_USERAUTH_INFO_RESPONSE)
		return server_responses(userauth, payload, event);
	if (message == MESSAGE_USERAUTH_FAILURE)
		return userauth_unexpected(userauth, "USERAUTH_FAILURE from a client");
	if (message == MESSAGE_USERAUTH_SUCCESS)
		return userauth_unexpected(userauth, "USERAUTH_SUCCESS from a client");
	if (message == MESSAGE_USERAUTH_BANNER)
		return userauth_unexpected(userauth, "USERAUTH_BANNER from a client");
	if (message == MESSAGE_USERAUTH_INFO_REQUEST)
		return userauth_unexpected(userauth, "60 from a client");
	transport_unimplemented(userauth->transport);
	return 0;
}

/* Answers of the program --------------------------------------------------------------------- */

int
userauth_server_accept(struct userauth *userauth)
{
	int error;

	if (userauth->state != SERVER_QUESTION)
		return NACRE_ERROR_STATE;
	userauth->state = SERVER_IDLE;
	userauth_server_forget(userauth);
	transport_begin(userauth->transport, MESSAGE_USERAUTH_SUCCESS);
	if ((error = transport_end(userauth->transport)) != 0)
		return error;
	return userauth_succeed(userauth);
}

bool
userauth_signed_request_refused(const struct userauth *userauth)
{
	return userauth->signed_request_refused;
}

int
userauth_server_reject(struct userauth *userauth, const char *methods_left, bool partial_success)
{
	struct nacre_buffer *packet;

	if (userauth->state != SERVER_QUESTION)
		return NACRE_ERROR_STATE;
	userauth->state = SERVER_IDLE;
	userauth->signed_request_refused |=
	    userauth->method == NACRE_METHOD_PUBLICKEY && !userauth->query;
	userauth_server_forget(userauth);
	packet = transport_begin(userauth->transport, MESSAGE_USERAUTH_FAILURE);
	nacre_put_cstring(packet, methods_left);
	nacre_put_boolean(packet, partial_success);
	return transport_end(userauth->transport);
}

int
userauth_server_publickey_ok(struct userauth *userauth)
{
	struct nacre_buffer *packet;

	if (userauth->state != SERVER_QUESTION || userauth->method != NACRE_METHOD_PUBLICKEY ||
	    !userauth->query)
		return NACRE_ERROR_STATE;
	userauth->state = SERVER_IDLE;
	packet = transport_begin(userauth->transport, MESSAGE_USERAUTH_PK_OK);
	nacre_put_string_span(packet, userauth->algorithm);
	nacre_put_string_span(packet, userauth->blob);
	userauth_server_forget(userauth);
	return transport_end(userauth->transport);
}

int
userauth_server_change_password(struct userauth *userauth, const char *prompt)
{
	struct nacre_buffer *packet;

	if (userauth->state != SERVER_QUESTION || userauth->method != NACRE_METHOD_PASSWORD)
		return NACRE_ERROR_STATE;
	userauth->state = SERVER_IDLE;
	userauth_server_forget(userauth);
	packet = transport_begin(userauth->transport, MESSAGE_USERAUTH_PASSWD_CHANGEREQ);
	nacre_put_cstring(packet, prompt);
	nacre_put_cstring(packet, ""); /* language */
	return transport_end(userauth->transport);
}

int
userauth_server_ask(struct userauth *userauth, const char *name, const char *instruction,
    const struct nacre_auth_prompt *prompts, size_t count)
{
	struct nacre_buffer *packet;

	if (userauth->state != SERVER_QUESTION ||
	    userauth->method != NACRE_METHOD_KEYBOARD_INTERACTIVE)
		return NACRE_ERROR_STATE;
	if (count > NACRE_AUTH_PROMPTS)
		return NACRE_ERROR_ARGUMENT;
	userauth->state = SERVER_ASKED;
	userauth->prompt_count = count;
	userauth_server_forget(userauth);
	packet = transport_begin(userauth->transport, MESSAGE_USERAUTH_INFO_REQUEST);
	nacre_put_cstring(packet, name);
	nacre_put_cstring(packet, instruction);
	nacre_put_cstring(packet, ""); /* language */
	nacre_put_u32(packet, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		nacre_put_string_span(packet, prompts[i].text);
		nacre_put_boolean(packet, prompts[i].echo);
	}
	return transport_end(userauth->transport);
}

int
userauth_server_banner(struct userauth *userauth, struct nacre_span text)
{
	struct nacre_buffer *packet;

	if (!userauth->server || !userauth->service || userauth->done)
		return NACRE_ERROR_STATE;
	packet = transport_begin(userauth->transport, MESSAGE_USERAUTH_BANNER);
	nacre_put_string_span(packet, text);
	nacre_put_cstring(packet, ""); /* language */
	return transport_end(userauth->transport);
}
