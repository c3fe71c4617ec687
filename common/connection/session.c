/*
 * The session: joins transport, authentication and connection into the one object of
 * <nacre/session.h>, and decides whose turn it is. The calls of the layers are in
 * session_auth.c and in the files of connection/.
 */
#include <connection/session.h>

#include <stdlib.h>

/* A channel, its environment, a terminal, a command: more is not sent behind one request. */
#define PREMATURE_MESSAGES_MAX 128
/* Channel data stops long before: so many bytes are answers that are not taken. */
#define OUTPUT_UNSENT_MOST ((size_t)8 * 1024 * 1024)

static int
session_complete(struct nacre_session *session, const struct nacre_session_options *options)
{
	int error = userauth_new(session->transport, &session->userauth);

	if (error == 0)
		error = connection_new(session->transport, options, &session->connection);
	return error;
}

static int
session_made(struct nacre_session *session, int error, struct nacre_session **result)
{
	if (error != 0) {
		nacre_session_free(session);
		session = NULL;
	}
	*result = session;
	return error;
}

int
nacre_session_new(
    const struct nacre_session_options *options, uint64_t now, struct nacre_session **result)
{
	struct nacre_session *session = calloc(1, sizeof *session);
	int error = NACRE_ERROR_MEMORY;

	if (session != NULL)
		error = transport_new(options, now, &session->transport);
	if (error == 0)
		error = session_complete(session, options);
	return session_made(session, error, result);
}

void
nacre_session_free(struct nacre_session *session)
{
	if (session == NULL)
		return;
	connection_free(session->connection);
	userauth_free(session->userauth);
	transport_free(session->transport);
	free(session);
}

/* Bytes ------------------------------------------------------------------------------------- */

uint8_t *
nacre_session_input_room(struct nacre_session *session, size_t *length)
{
	connection_settle(session->connection);
	*length = 0;
	/* A peer that asks and asks, but takes no answer, waits as well. */
	if (connection_full(session->connection) ||
	    nacre_session_output(session).length >= OUTPUT_UNSENT_MOST)
		return NULL;
	return transport_input_room(session->transport, length);
}

void
nacre_session_received(struct nacre_session *session, size_t length, uint64_t now)
{
	transport_received(session->transport, length, now);
}

struct nacre_span
nacre_session_output(const struct nacre_session *session)
{
	return transport_output(session->transport);
}

void
nacre_session_sent(struct nacre_session *session, size_t length)
{
	transport_sent(session->transport, length);
}

uint64_t
nacre_session_deadline(const struct nacre_session *session)
{
	const uint64_t transport = transport_deadline(session->transport);
	const uint64_t connection = connection_deadline(session->connection);

	return transport < connection ? transport : connection;
}

/* Events ------------------------------------------------------------------------------------ */

static int
service_request(struct nacre_session *session, struct nacre_reader *payload)
{
	struct nacre_span service = nacre_get_string(payload);

	if (!nacre_reader_done(payload) || transport_role(session->transport) != NACRE_SERVER)
		return transport_fail(session->transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR, "unexpected SERVICE_REQUEST");
	return userauth_service_request(session->userauth, service);
}

static int
service_accept(
    struct nacre_session *session, struct nacre_reader *payload, struct nacre_event *event)
{
	/* Some servers leave the name out. */
	struct nacre_span service =
	    payload->length > 0 ? nacre_get_string(payload) : nacre_span_of("ssh-userauth");
	int error;

	if (!nacre_reader_done(payload) || transport_role(session->transport) != NACRE_CLIENT)
		return transport_fail(session->transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR, "unexpected SERVICE_ACCEPT");
	transport_log(session->transport, NACRE_LOG_DEBUG2, "service_accept: %.*s",
	    (int)service.length, (const char *)service.data);
	if ((error = userauth_service_accept(session->userauth, service)) != 0)
		return error;
	*event = (struct nacre_event){.kind = NACRE_EVENT_SERVICE_ACCEPTED};
	return 1;
}

/*
 * RFC 4252 section 6 ends a connection whose client uses it before it is authenticated. A client
 * that was told otherwise (EXTENSION_EARLY_SESSION) may have sent a channel and its requests behind
 * a signed request that was refused: it is told that they were not understood, and goes on.
 */
static int
premature_message(struct nacre_session *session, uint8_t message)
{
	if (!transport_early_session_announced(session->transport) ||
	    !userauth_signed_request_refused(session->userauth) ||
	    ++session->premature_messages > PREMATURE_MESSAGES_MAX)
		return transport_fail(session->transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR, "message %u before authentication", message);
	transport_log(
	    session->transport, NACRE_LOG_DEBUG1, "message %u before authentication", message);
	transport_unimplemented(session->transport);
	return 0;
}

/* Gives a message to its layer: 1 when *event is filled. */
static int
session_message(struct nacre_session *session, uint8_t message, struct nacre_reader *payload,
    struct nacre_event *event)
{
	if (!transport_established(session->transport))
		return transport_fail(session->transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR, "message %u before keys are exchanged",
		    message);
	if (message == 5)
		return service_request(session, payload);
	if (message == 6)
		return service_accept(session, payload, event);
	if (message < 80)
		return userauth_message(session->userauth, message, payload, event);
	if (!userauth_done(session->userauth))
		return premature_message(session, message);
	return connection_message(session->connection, message, payload, event);
}

/* What the upper layers have to tell without a message. */
static int
session_pending(struct nacre_session *session, struct nacre_event *event)
{
	int result;

	if (!transport_established(session->transport) || transport_failed(session->transport))
		return 0;
	result = userauth_pending(session->userauth, event);
	if (result != 0)
		return result;
	if (userauth_done(session->userauth))
		return connection_pending(session->connection, event);
	/* The request before an early channel was refused; the channel was not understood. */
	if (!userauth_signed_request_sent(session->userauth))
		return connection_early_pending(session->connection, event);
	return 0;
}

/* An error without a reason given is one of our own: memory, for one. */
static void
session_failed(struct nacre_session *session, int error)
{
	if (!transport_failed(session->transport))
		transport_fail(session->transport, error, NACRE_DISCONNECT_BY_APPLICATION, "%s",
		    nacre_error_string(error));
}

bool
nacre_session_next_event(struct nacre_session *session, uint64_t now, struct nacre_event *event)
{
	struct transport *transport = session->transport;
	struct nacre_reader payload;
	uint8_t message;
	bool idle = false;

	connection_settle(session->connection);
	for (;;) {
		enum transport_next next;
		int result;

		transport_hold(transport, userauth_blocked(session->userauth));
		next = transport_next(transport, now, event, &message, &payload);
		if (next == TRANSPORT_EVENT)
			return true;
		/* The upper layers may have left lines for the log: one more look. */
		if (next == TRANSPORT_IDLE && idle)
			return false;
		idle = next == TRANSPORT_IDLE;
		result = idle ? session_pending(session, event)
			      : session_message(session, message, &payload, event);
		if (result > 0)
			return true;
		if (result < 0)
			session_failed(session, result);
	}
}

/* Transport --------------------------------------------------------------------------------- */

void
nacre_session_algorithms(
    const struct nacre_session *session, struct nacre_session_algorithms *algorithms)
{
	transport_algorithms(session->transport, algorithms);
}

struct nacre_span
nacre_session_peer_kex_algorithms(const struct nacre_session *session)
{
	return transport_peer_kex_algorithms(session->transport);
}

struct nacre_span
nacre_session_peer_host_key_algorithms(const struct nacre_session *session)
{
	return transport_peer_host_key_algorithms(session->transport);
}

struct nacre_span
nacre_session_host_key(const struct nacre_session *session)
{
	return transport_host_key(session->transport);
}

struct nacre_span
nacre_session_host_key_signature(const struct nacre_session *session)
{
	return transport_host_key_signature(session->transport);
}

struct nacre_span
nacre_session_identifier(const struct nacre_session *session)
{
	return transport_session_identifier(session->transport);
}

struct nacre_span
nacre_session_server_signature_algorithms(const struct nacre_session *session)
{
	struct nacre_span value = {NULL, 0};

	transport_peer_extension(session->transport, "server-sig-algs", &value);
	return value;
}

bool
nacre_session_peer_extension(
    const struct nacre_session *session, const char *name, struct nacre_span *value)
{
	return transport_peer_extension(session->transport, name, value);
}

void
nacre_session_traffic(const struct nacre_session *session, uint64_t *sent, uint64_t *received)
{
	transport_traffic(session->transport, sent, received);
}

int
nacre_session_trust_host_key(struct nacre_session *session, bool trusted)
{
	return transport_trust_host_key(session->transport, trusted);
}

int
nacre_session_signature(struct nacre_session *session, struct nacre_span signature)
{
	if (transport_role(session->transport) == NACRE_SERVER)
		return transport_signature(session->transport, signature);
	return userauth_signature(session->userauth, signature);
}

int
nacre_session_rekey(struct nacre_session *session)
{
	return transport_rekey(session->transport);
}

int
nacre_session_ignore(struct nacre_session *session, struct nacre_span data)
{
	return transport_ignore(session->transport, data);
}

int
nacre_session_debug(struct nacre_session *session, bool always_display, const char *text)
{
	return transport_debug(session->transport, always_display, text);
}

int
nacre_session_ping(struct nacre_session *session, struct nacre_span data)
{
	return transport_ping(session->transport, data);
}

int
nacre_session_disconnect(
    struct nacre_session *session, enum nacre_disconnect_reason reason, const char *text)
{
	return transport_disconnect(session->transport, reason, text);
}

uint32_t
nacre_session_round_trip(const struct nacre_session *session)
{
	return transport_round_trip(session->transport);
}

void
nacre_session_round_trip_known(struct nacre_session *session, uint32_t milliseconds)
{
	transport_round_trip_known(session->transport, milliseconds);
}

/* Moving ------------------------------------------------------------------------------------ */

int
nacre_session_export(struct nacre_session *session, struct nacre_buffer *state)
{
	if (!userauth_done(session->userauth) || userauth_blocked(session->userauth) ||
	    !connection_idle(session->connection))
		return NACRE_ERROR_STATE;
	return transport_export(session->transport, state);
}

int
nacre_session_import(const struct nacre_session_options *options, struct nacre_span state,
    uint64_t now, struct nacre_session **result)
{
	struct nacre_session *session = calloc(1, sizeof *session);
	struct nacre_reader reader = nacre_reader_of(state);
	int error = NACRE_ERROR_MEMORY;

	if (session != NULL)
		error = transport_import(options, &reader, now, &session->transport);
	if (error == 0 && !nacre_reader_done(&reader))
		error = NACRE_ERROR_FORMAT;
	if (error == 0)
		error = session_complete(session, options);
	if (error == 0)
		userauth_set_done(session->userauth);
	return session_made(session, error, result);
}
