/* Sending channel requests, RFC 4254 section 6, RFC 4335 and OpenSSH's own. */
#include <connection/channel.h>
#include <connection/session.h>

/* Starts a request; NULL when the channel takes none, with *error set. */
static struct nacre_buffer *
request_begin(
    struct nacre_session *session, uint32_t number, const char *name, bool want_reply, int *error)
{
	struct connection *connection = session->connection;
	struct channel *channel = channel_find(connection, number);
	struct nacre_buffer *packet;

	*error = NACRE_ERROR_NOT_FOUND;
	if (channel == NULL)
		return NULL;
	*error = channel->close_sent ? NACRE_ERROR_CLOSED : NACRE_ERROR_STATE;
	if ((channel->state != CHANNEL_OPEN && !channel->early) || channel->close_sent)
		return NULL;
	*error = 0;
	channel->requests_sent += want_reply;
	packet = channel_begin(connection, channel, MESSAGE_CHANNEL_REQUEST);
	nacre_put_cstring(packet, name);
	nacre_put_boolean(packet, want_reply);
	return packet;
}

static int
request_end(struct nacre_session *session)
{
	return transport_end(session->connection->transport);
}

int
nacre_channel_request(struct nacre_session *session, uint32_t channel, const char *name,
    bool want_reply, struct nacre_span payload)
{
	int error;
	struct nacre_buffer *packet = request_begin(session, channel, name, want_reply, &error);

	if (packet == NULL)
		return error;
	nacre_put_span(packet, payload);
	return request_end(session);
}

static int
request_text(struct nacre_session *session, uint32_t channel, const char *name, bool want_reply,
    const char *text)
{
	int error;
	struct nacre_buffer *packet = request_begin(session, channel, name, want_reply, &error);

	if (packet == NULL)
		return error;
	nacre_put_cstring(packet, text);
	return request_end(session);
}

static int
request_number(struct nacre_session *session, uint32_t channel, const char *name, bool want_reply,
    uint32_t value)
{
	int error;
	struct nacre_buffer *packet = request_begin(session, channel, name, want_reply, &error);

	if (packet == NULL)
		return error;
	nacre_put_u32(packet, value);
	return request_end(session);
}

static int
request_bare(struct nacre_session *session, uint32_t channel, const char *name, bool want_reply)
{
	return nacre_channel_request(
	    session, channel, name, want_reply, (struct nacre_span){NULL, 0});
}

static void
put_window_size(struct nacre_buffer *packet, const struct nacre_window_size *size)
{
	nacre_put_u32(packet, size->columns);
	nacre_put_u32(packet, size->rows);
	nacre_put_u32(packet, size->width);
	nacre_put_u32(packet, size->height);
}

int
nacre_channel_request_pty(struct nacre_session *session, uint32_t channel, bool want_reply,
    const char *term, const struct nacre_window_size *size, struct nacre_span modes)
{
	int error;
	struct nacre_buffer *packet =
	    request_begin(session, channel, "pty-req", want_reply, &error);

	if (packet == NULL)
		return error;
	nacre_put_cstring(packet, term);
	put_window_size(packet, size);
	nacre_put_string_span(packet, modes);
	return request_end(session);
}

int
nacre_channel_request_env(
    struct nacre_session *session, uint32_t channel, const char *name, const char *value)
{
	int error;
	struct nacre_buffer *packet = request_begin(session, channel, "env", false, &error);

	if (packet == NULL)
		return error;
	nacre_put_cstring(packet, name);
	nacre_put_cstring(packet, value);
	return request_end(session);
}

int
nacre_channel_request_shell(struct nacre_session *session, uint32_t channel, bool want_reply)
{
	return request_bare(session, channel, "shell", want_reply);
}

int
nacre_channel_request_exec(
    struct nacre_session *session, uint32_t channel, bool want_reply, const char *command)
{
	return request_text(session, channel, "exec", want_reply, command);
}

int
nacre_channel_request_subsystem(
    struct nacre_session *session, uint32_t channel, bool want_reply, const char *name)
{
	return request_text(session, channel, "subsystem", want_reply, name);
}

int
nacre_channel_request_window_change(
    struct nacre_session *session, uint32_t channel, const struct nacre_window_size *size)
{
	int error;
	struct nacre_buffer *packet =
	    request_begin(session, channel, "window-change", false, &error);

	if (packet == NULL)
		return error;
	put_window_size(packet, size);
	return request_end(session);
}

int
nacre_channel_request_signal(struct nacre_session *session, uint32_t channel, const char *name)
{
	return request_text(session, channel, "signal", false, name);
}

int
nacre_channel_request_break(
    struct nacre_session *session, uint32_t channel, bool want_reply, uint32_t milliseconds)
{
	return request_number(session, channel, "break", want_reply, milliseconds);
}

int
nacre_channel_request_exit_status(struct nacre_session *session, uint32_t channel, uint32_t status)
{
	return request_number(session, channel, "exit-status", false, status);
}

int
nacre_channel_request_exit_signal(struct nacre_session *session, uint32_t channel, const char *name,
    bool core_dumped, const char *message)
{
	int error;
	struct nacre_buffer *packet = request_begin(session, channel, "exit-signal", false, &error);

	if (packet == NULL)
		return error;
	nacre_put_cstring(packet, name);
	nacre_put_boolean(packet, core_dumped);
	nacre_put_cstring(packet, message);
	nacre_put_cstring(packet, ""); /* language */
	return request_end(session);
}

int
nacre_channel_request_agent(struct nacre_session *session, uint32_t channel, bool want_reply)
{
	return request_bare(session, channel, "auth-agent-req@openssh.com", want_reply);
}

int
nacre_channel_request_x11(struct nacre_session *session, uint32_t channel, bool want_reply,
    bool single, const char *protocol, const char *cookie, uint32_t screen)
{
	int error;
	struct nacre_buffer *packet =
	    request_begin(session, channel, "x11-req", want_reply, &error);

	if (packet == NULL)
		return error;
	nacre_put_boolean(packet, single);
	nacre_put_cstring(packet, protocol);
	nacre_put_cstring(packet, cookie);
	nacre_put_u32(packet, screen);
	return request_end(session);
}

int
nacre_channel_request_eow(struct nacre_session *session, uint32_t channel)
{
	return request_bare(session, channel, "eow@openssh.com", false);
}
