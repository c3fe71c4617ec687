/* Global requests, RFC 4254 section 4: answered in order, no-more-sessions@openssh.com here. */
#include <connection/channel.h>
#include <connection/session.h>

#define NO_MORE_SESSIONS "no-more-sessions@openssh.com"

static int
send_reply(struct connection *connection, bool success, struct nacre_span payload)
{
	struct nacre_buffer *packet = transport_begin(
	    connection->transport, success ? MESSAGE_REQUEST_SUCCESS : MESSAGE_REQUEST_FAILURE);

	if (success)
		nacre_put_span(packet, payload);
	return transport_end(connection->transport);
}

int
global_request_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event)
{
	static const char name[] = "GLOBAL_REQUEST";

	*event = (struct nacre_event){.kind = NACRE_EVENT_GLOBAL_REQUEST};
	event->u.global_request.name = nacre_get_string(payload);
	event->u.global_request.want_reply = nacre_get_boolean(payload);
	event->u.global_request.payload = nacre_get_rest(payload);
	if (payload->failed || !global_decode(event))
		return connection_malformed(connection, name);
	if (connection->server &&
	    nacre_span_equals(event->u.global_request.name, NO_MORE_SESSIONS)) {
		connection->no_more_sessions = true;
		/* OpenSSH asks without want_reply; an answer out of order would mislead. */
		if (!event->u.global_request.want_reply)
			return 0;
	}
	if (event->u.global_request.want_reply &&
	    ++connection->requests_received > REQUESTS_UNANSWERED_MAX)
		return transport_fail(connection->transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR, "%s: too many requests are unanswered", name);
	return 1;
}

static int
global_reply_message(struct connection *connection, struct nacre_reader *payload, const char *name,
    bool success, struct nacre_event *event)
{
	if (connection->requests_sent == 0)
		return transport_fail(connection->transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR, "%s: there is no request to answer", name);
	connection->requests_sent--;
	*event = (struct nacre_event){.kind = NACRE_EVENT_GLOBAL_REPLY};
	event->u.global_reply.success = success;
	event->u.global_reply.payload = nacre_get_rest(payload);
	return 1;
}

int
global_success_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event)
{
	return global_reply_message(connection, payload, "REQUEST_SUCCESS", true, event);
}

int
global_failure_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event)
{
	return global_reply_message(connection, payload, "REQUEST_FAILURE", false, event);
}

int
nacre_global_request(
    struct nacre_session *session, const char *name, bool want_reply, struct nacre_span payload)
{
	struct connection *connection = session->connection;
	struct nacre_buffer *packet;

	if (!userauth_done(session->userauth))
		return NACRE_ERROR_STATE;
	packet = transport_begin(connection->transport, MESSAGE_GLOBAL_REQUEST);
	nacre_put_cstring(packet, name);
	nacre_put_boolean(packet, want_reply);
	nacre_put_span(packet, payload);
	connection->requests_sent += want_reply;
	return transport_end(connection->transport);
}

int
nacre_global_request_reply(struct nacre_session *session, bool success, struct nacre_span payload)
{
	struct connection *connection = session->connection;

	if (connection->requests_received == 0)
		return NACRE_ERROR_STATE;
	connection->requests_received--;
	return send_reply(connection, success, payload);
}

int
nacre_session_no_more_sessions(struct nacre_session *session)
{
	return nacre_global_request(session, NO_MORE_SESSIONS, false, (struct nacre_span){NULL, 0});
}
