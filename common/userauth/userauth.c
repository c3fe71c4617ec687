/* The authentication protocol: what both roles share. The service that carries it, dispatch by
 * role, success, and the data under a signature. */
#include <userauth/state.h>

#include <stdlib.h>
#include <string.h>

#define SERVICE_REQUESTS_MOST 64

int
userauth_new(struct transport *transport, struct userauth **userauth)
{
	struct userauth *new = calloc(1, sizeof *new);

	if (new == NULL)
		return NACRE_ERROR_MEMORY;
	new->transport = transport;
	new->server = transport_role(transport) == NACRE_SERVER;
	*userauth = new;
	return 0;
}

void
userauth_free(struct userauth *userauth)
{
	if (userauth == NULL)
		return;
	userauth_client_forget(userauth);
	userauth_server_forget(userauth);
	nacre_buffer_free(&userauth->request);
	nacre_buffer_free(&userauth->signed_data);
	free(userauth->user);
	free(userauth);
}

bool
userauth_done(const struct userauth *userauth)
{
	return userauth->done;
}

void
userauth_set_done(struct userauth *userauth)
{
	userauth->done = userauth->service = true;
}

bool
userauth_blocked(const struct userauth *userauth)
{
	return userauth->announce || userauth->state == SERVER_QUESTION;
}

int
userauth_malformed(struct userauth *userauth, const char *message)
{
	return transport_fail(userauth->transport, NACRE_ERROR_FORMAT,
	    NACRE_DISCONNECT_PROTOCOL_ERROR, "malformed message %s", message);
}

int
userauth_unexpected(struct userauth *userauth, const char *message)
{
	return transport_fail(userauth->transport, NACRE_ERROR_PROTOCOL,
	    NACRE_DISCONNECT_PROTOCOL_ERROR, "unexpected message %s", message);
}

int
userauth_service_request(struct userauth *userauth, struct nacre_span service)
{
	if (!userauth->server)
		return userauth_unexpected(userauth, "SERVICE_REQUEST");
	if (!nacre_span_equals(service, SERVICE_USERAUTH))
		return transport_fail(userauth->transport, NACRE_ERROR_REFUSED,
		    NACRE_DISCONNECT_SERVICE_NOT_AVAILABLE, "bad service request %.*s",
		    (int)(service.length < 64 ? service.length : 64), (const char *)service.data);
	/* Some clients ask anew before each attempt. */
	if (userauth->service_requests++ >= SERVICE_REQUESTS_MOST)
		return transport_fail(userauth->transport, NACRE_ERROR_REFUSED,
		    NACRE_DISCONNECT_PROTOCOL_ERROR, "more than %u messages SERVICE_REQUEST",
		    SERVICE_REQUESTS_MOST);
	userauth->service = true;
	nacre_put_cstring(
	    transport_begin(userauth->transport, MESSAGE_SERVICE_ACCEPT), SERVICE_USERAUTH);
	return transport_end(userauth->transport);
}

int
userauth_service_accept(struct userauth *userauth, struct nacre_span service)
{
	if (userauth->server || !userauth->service)
		return userauth_unexpected(userauth, "SERVICE_ACCEPT");
	/* Old servers leave the name out. */
	if (service.length > 0 && !nacre_span_equals(service, SERVICE_USERAUTH))
		return transport_fail(userauth->transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR, "SERVICE_ACCEPT for %.*s, not asked for",
		    (int)(service.length < 64 ? service.length : 64), (const char *)service.data);
	return 0;
}

int
userauth_succeed(struct userauth *userauth)
{
	userauth->done = userauth->announce = true;
	return transport_authenticated(userauth->transport);
}

int
userauth_message(struct userauth *userauth, uint8_t message, struct nacre_reader *payload,
    struct nacre_event *event)
{
	return (userauth->server ? userauth_server_message : userauth_client_message)(
	    userauth, message, payload, event);
}

int
userauth_pending(struct userauth *userauth, struct nacre_event *event)
{
	if (userauth->announce) {
		userauth->announce = false;
		*event = (struct nacre_event){.kind = NACRE_EVENT_AUTHENTICATED};
		return 1;
	}
	if (userauth->server || userauth->requests == NULL)
		return 0;
	return userauth_client_pending(userauth, event);
}

void
userauth_put_signed_data(struct nacre_buffer *data, struct nacre_span identifier,
    struct nacre_span user, const char *method, struct nacre_span algorithm, struct nacre_span blob,
    const struct nacre_span *host_key)
{
	nacre_put_string_span(data, identifier);
	nacre_put_byte(data, MESSAGE_USERAUTH_REQUEST);
	nacre_put_string_span(data, user);
	nacre_put_cstring(data, SERVICE_CONNECTION);
	nacre_put_cstring(data, method);
	nacre_put_boolean(data, true);
	nacre_put_string_span(data, algorithm);
	nacre_put_string_span(data, blob);
	if (host_key != NULL)
		nacre_put_string_span(data, *host_key);
}
