/* Channel requests of the peer and the answers to ours, RFC 4254 sections 5.4 and 6. */
#include <connection/channel.h>
#include <connection/session.h>

/* Typed requests ----------------------------------------------------------------------------- */

static void
get_window_size(struct nacre_reader *reader, struct nacre_window_size *size)
{
	size->columns = nacre_get_u32(reader);
	size->rows = nacre_get_u32(reader);
	size->width = nacre_get_u32(reader);
	size->height = nacre_get_u32(reader);
}

void
decode_nothing(struct nacre_reader *reader, struct nacre_event *event)
{
	(void)reader, (void)event;
}

void
decode_other(struct nacre_reader *reader, struct nacre_event *event)
{
	(void)event;
	nacre_get_rest(reader);
}

static void
decode_text(struct nacre_reader *reader, struct nacre_event *event)
{
	event->u.channel_request.text = nacre_get_string(reader);
}

static void
decode_pty(struct nacre_reader *reader, struct nacre_event *event)
{
	event->u.channel_request.pty.term = nacre_get_string(reader);
	get_window_size(reader, &event->u.channel_request.pty.size);
	event->u.channel_request.pty.modes = nacre_get_string(reader);
}

static void
decode_x11(struct nacre_reader *reader, struct nacre_event *event)
{
	event->u.channel_request.x11.single = nacre_get_boolean(reader);
	event->u.channel_request.x11.protocol = nacre_get_string(reader);
	event->u.channel_request.x11.cookie = nacre_get_string(reader);
	event->u.channel_request.x11.screen = nacre_get_u32(reader);
}

static void
decode_env(struct nacre_reader *reader, struct nacre_event *event)
{
	event->u.channel_request.env.name = nacre_get_string(reader);
	event->u.channel_request.env.value = nacre_get_string(reader);
}

static void
decode_window_change(struct nacre_reader *reader, struct nacre_event *event)
{
	get_window_size(reader, &event->u.channel_request.window);
}

static void
decode_xon_xoff(struct nacre_reader *reader, struct nacre_event *event)
{
	event->u.channel_request.client_can_do = nacre_get_boolean(reader);
}

static void
decode_break(struct nacre_reader *reader, struct nacre_event *event)
{
	event->u.channel_request.break_length = nacre_get_u32(reader);
}

static void
decode_exit_status(struct nacre_reader *reader, struct nacre_event *event)
{
	event->u.channel_request.exit_status = nacre_get_u32(reader);
}

static void
decode_exit_signal(struct nacre_reader *reader, struct nacre_event *event)
{
	event->u.channel_request.exit_signal.name = nacre_get_string(reader);
	event->u.channel_request.exit_signal.core_dumped = nacre_get_boolean(reader);
	event->u.channel_request.exit_signal.message = nacre_get_string(reader);
	nacre_get_string(reader); /* language */
}

static const struct request_type {
	const char *name;
	enum nacre_request_kind kind;
	void (*decode)(struct nacre_reader *, struct nacre_event *);
} request_types[] = {
    {"pty-req", NACRE_REQUEST_PTY, decode_pty},
    {"x11-req", NACRE_REQUEST_X11, decode_x11},
    {"env", NACRE_REQUEST_ENV, decode_env},
    {"shell", NACRE_REQUEST_SHELL, decode_nothing},
    {"exec", NACRE_REQUEST_EXEC, decode_text},
    {"subsystem", NACRE_REQUEST_SUBSYSTEM, decode_text},
    {"window-change", NACRE_REQUEST_WINDOW_CHANGE, decode_window_change},
    {"xon-xoff", NACRE_REQUEST_XON_XOFF, decode_xon_xoff},
    {"signal", NACRE_REQUEST_SIGNAL, decode_text},
    {"break", NACRE_REQUEST_BREAK, decode_break},
    {"exit-status", NACRE_REQUEST_EXIT_STATUS, decode_exit_status},
    {"exit-signal", NACRE_REQUEST_EXIT_SIGNAL, decode_exit_signal},
    {"auth-agent-req@openssh.com", NACRE_REQUEST_AGENT, decode_nothing},
    {"agent-req", NACRE_REQUEST_AGENT, decode_nothing},
    {"eow@openssh.com", NACRE_REQUEST_EOW, decode_nothing},
    {"keepalive@openssh.com", NACRE_REQUEST_KEEPALIVE, decode_other},
    {NULL, NACRE_REQUEST_OTHER, decode_other},
};

static const struct request_type *
request_type_of(struct nacre_span name)
{
	const struct request_type *type = request_types;

	while (type->name != NULL && !nacre_span_equals(name, type->name))
		type++;
	return type;
}

/* Messages ----------------------------------------------------------------------------------- */

int
request_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event)
{
	static const char name[] = "CHANNEL_REQUEST";
	struct channel *channel = channel_of_message(connection, payload, name);
	const struct request_type *type;

	if (channel == NULL)
		return NACRE_ERROR_PROTOCOL;
	*event =
	    (struct nacre_event){.kind = NACRE_EVENT_CHANNEL_REQUEST, .channel = channel->number};
	event->u.channel_request.name = nacre_get_string(payload);
	event->u.channel_request.want_reply = nacre_get_boolean(payload);
	event->u.channel_request.payload = (struct nacre_span){payload->data, payload->length};
	if (payload->failed)
		return connection_malformed(connection, name);
	type = request_type_of(event->u.channel_request.name);
	event->u.channel_request.kind = type->kind;
	type->decode(payload, event);
	if (!nacre_reader_done(payload))
		return transport_fail(connection->transport, NACRE_ERROR_FORMAT,
		    NACRE_DISCONNECT_PROTOCOL_ERROR,
		    "malformed CHANNEL_REQUEST \"%s\" for channel %u", type->name, channel->number);
	if (channel->close_sent) /* it cannot be answered any more */
		return 0;
	if (event->u.channel_request.want_reply &&
	    ++channel->requests_received > REQUESTS_UNANSWERED_MAX)
		return channel_fail(
		    connection, channel->number, name, "too many requests are unanswered");
	return 1;
}

static int
request_reply_message(struct connection *connection, struct nacre_reader *payload, const char *name,
    bool success, struct nacre_event *event)
{
	struct channel *channel = channel_of_message(connection, payload, name);

	if (channel == NULL)
		return NACRE_ERROR_PROTOCOL;
	if (!nacre_reader_done(payload))
		return connection_malformed(connection, name);
	if (channel->requests_sent == 0)
		return channel_fail(
		    connection, channel->number, name, "there is no request to answer");
	channel->requests_sent--;
	if (channel->close_wanted)
		return 0;
	*event =
	    (struct nacre_event){.kind = NACRE_EVENT_CHANNEL_REPLY, .channel = channel->number};
	event->u.channel_reply.success = success;
	return 1;
}

int
request_success_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event)
{
	return request_reply_message(connection, payload, "CHANNEL_SUCCESS", true, event);
}

int
request_failure_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event)
{
	return request_reply_message(connection, payload, "CHANNEL_FAILURE", false, event);
}

int
nacre_channel_request_reply(struct nacre_session *session, uint32_t number, bool success)
{
	struct connection *connection = session->connection;
	struct channel *channel = channel_find(connection, number);

	if (channel == NULL)
		return NACRE_ERROR_NOT_FOUND;
	if (channel->requests_received == 0)
		return NACRE_ERROR_STATE;
	channel->requests_received--;
	if (channel->close_sent)
		return NACRE_ERROR_CLOSED;
	channel_begin(
	    connection, channel, success ? MESSAGE_CHANNEL_SUCCESS : MESSAGE_CHANNEL_FAILURE);
	return transport_end(connection->transport);
}
