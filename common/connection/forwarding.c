/*
 * What is said about forwarded connections: the types of channels and the global requests of RFC
 * 4254 sections 6.3 and 7, and those of OpenSSH for Unix sockets and tunnels; decoded for events,
 * and encoded for the calls that open and ask. Requests in a channel are in request.c.
 */
#include <connection/channel.h>
#include <connection/session.h>

/* Channels of the peer ------------------------------------------------------------------------ */

static void
decode_originator(struct nacre_reader *reader, struct nacre_event *event)
{
	event->u.channel_open.originator = nacre_get_string(reader);
	event->u.channel_open.originator_port = nacre_get_u32(reader);
}

static void
decode_tcpip(struct nacre_reader *reader, struct nacre_event *event)
{
	event->u.channel_open.host = nacre_get_string(reader);
	event->u.channel_open.port = nacre_get_u32(reader);
	decode_originator(reader, event);
}

static void
decode_direct_path(struct nacre_reader *reader, struct nacre_event *event)
{
	event->u.channel_open.host = nacre_get_string(reader);
	nacre_get_string(reader); /* reserved */
	nacre_get_u32(reader);
}

static void
decode_forwarded_path(struct nacre_reader *reader, struct nacre_event *event)
{
	event->u.channel_open.host = nacre_get_string(reader);
	nacre_get_string(reader); /* reserved */
}

static void
decode_tunnel(struct nacre_reader *reader, struct nacre_event *event)
{
	event->u.channel_open.tunnel.mode = nacre_get_u32(reader);
	event->u.channel_open.tunnel.unit = nacre_get_u32(reader);
}

static const struct {
	const char *name;
	enum nacre_channel_kind kind;
	void (*decode)(struct nacre_reader *, struct nacre_event *);
} channel_types[] = {
    {"session", NACRE_CHANNEL_SESSION, decode_other},
    {"direct-tcpip", NACRE_CHANNEL_DIRECT_TCPIP, decode_tcpip},
    {"forwarded-tcpip", NACRE_CHANNEL_FORWARDED_TCPIP, decode_tcpip},
    {"direct-streamlocal@openssh.com", NACRE_CHANNEL_DIRECT_STREAMLOCAL, decode_direct_path},
    {"forwarded-streamlocal@openssh.com", NACRE_CHANNEL_FORWARDED_STREAMLOCAL,
	decode_forwarded_path},
    {"x11", NACRE_CHANNEL_X11, decode_originator},
    {"auth-agent@openssh.com", NACRE_CHANNEL_AGENT, decode_nothing},
    {"auth-agent", NACRE_CHANNEL_AGENT, decode_nothing},
    {"agent-connect", NACRE_CHANNEL_AGENT, decode_nothing},
    {"tun@openssh.com", NACRE_CHANNEL_TUNNEL, decode_tunnel},
};

bool
open_decode(struct nacre_event *event)
{
	struct nacre_reader reader = nacre_reader_of(event->u.channel_open.payload);

	for (size_t i = 0; i < sizeof channel_types / sizeof channel_types[0]; i++) {
		if (!nacre_span_equals(event->u.channel_open.type, channel_types[i].name))
			continue;
		event->u.channel_open.kind = channel_types[i].kind;
		channel_types[i].decode(&reader, event);
		return nacre_reader_done(&reader);
	}
	return true;
}

/* Global requests of the peer ----------------------------------------------------------------- */

static void
decode_address(struct nacre_reader *reader, struct nacre_event *event)
{
	event->u.global_request.host = nacre_get_string(reader);
	event->u.global_request.port = nacre_get_u32(reader);
}

static void
decode_path(struct nacre_reader *reader, struct nacre_event *event)
{
	event->u.global_request.host = nacre_get_string(reader);
}

static const struct {
	const char *name;
	enum nacre_global_kind kind;
	void (*decode)(struct nacre_reader *, struct nacre_event *);
} global_types[] = {
    {"tcpip-forward", NACRE_GLOBAL_TCPIP_FORWARD, decode_address},
    {"cancel-tcpip-forward", NACRE_GLOBAL_CANCEL_TCPIP_FORWARD, decode_address},
    {"streamlocal-forward@openssh.com", NACRE_GLOBAL_STREAMLOCAL_FORWARD, decode_path},
    {"cancel-streamlocal-forward@openssh.com", NACRE_GLOBAL_CANCEL_STREAMLOCAL_FORWARD,
	decode_path},
};

bool
global_decode(struct nacre_event *event)
{
	struct nacre_reader reader = nacre_reader_of(event->u.global_request.payload);

	for (size_t i = 0; i < sizeof global_types / sizeof global_types[0]; i++) {
		if (!nacre_span_equals(event->u.global_request.name, global_types[i].name))
			continue;
		event->u.global_request.kind = global_types[i].kind;
		global_types[i].decode(&reader, event);
		return nacre_reader_done(&reader);
	}
	return true;
}

/* Channels of ours ---------------------------------------------------------------------------- */

static int
open_with(struct nacre_session *session, const char *type, struct nacre_buffer *payload,
    uint32_t *channel)
{
	int error = NACRE_ERROR_MEMORY;

	if (!payload->failed)
		error = nacre_channel_open(session, type, nacre_buffer_span(payload), channel);
	nacre_buffer_free(payload);
	return error;
}

static int
open_tcpip(struct nacre_session *session, const char *type, const char *host, uint16_t port,
    const char *originator, uint16_t originator_port, uint32_t *channel)
{
	struct nacre_buffer payload = {0};

	nacre_put_cstring(&payload, host);
	nacre_put_u32(&payload, port);
	nacre_put_cstring(&payload, originator);
	nacre_put_u32(&payload, originator_port);
	return open_with(session, type, &payload, channel);
}

int
nacre_channel_open_session(struct nacre_session *session, uint32_t *channel)
{
	return nacre_channel_open(session, "session", (struct nacre_span){NULL, 0}, channel);
}

int
nacre_channel_open_direct_tcpip(struct nacre_session *session, const char *host, uint16_t port,
    const char *originator, uint16_t originator_port, uint32_t *channel)
{
	return open_tcpip(
	    session, "direct-tcpip", host, port, originator, originator_port, channel);
}

int
nacre_channel_open_forwarded_tcpip(struct nacre_session *session, const char *host, uint16_t port,
    const char *originator, uint16_t originator_port, uint32_t *channel)
{
	return open_tcpip(
	    session, "forwarded-tcpip", host, port, originator, originator_port, channel);
}

int
nacre_channel_open_direct_streamlocal(
    struct nacre_session *session, const char *path, uint32_t *channel)
{
	struct nacre_buffer payload = {0};

	nacre_put_cstring(&payload, path);
	nacre_put_cstring(&payload, ""); /* reserved */
	nacre_put_u32(&payload, 0);
	return open_with(session, "direct-streamlocal@openssh.com", &payload, channel);
}

int
nacre_channel_open_forwarded_streamlocal(
    struct nacre_session *session, const char *path, uint32_t *channel)
{
	struct nacre_buffer payload = {0};

	nacre_put_cstring(&payload, path);
	nacre_put_cstring(&payload, ""); /* reserved */
	return open_with(session, "forwarded-streamlocal@openssh.com", &payload, channel);
}

int
nacre_channel_open_x11(struct nacre_session *session, const char *originator,
    uint16_t originator_port, uint32_t *channel)
{
	struct nacre_buffer payload = {0};

	nacre_put_cstring(&payload, originator);
	nacre_put_u32(&payload, originator_port);
	return open_with(session, "x11", &payload, channel);
}

int
nacre_channel_open_agent(struct nacre_session *session, uint32_t *channel)
{
	return nacre_channel_open(
	    session, "auth-agent@openssh.com", (struct nacre_span){NULL, 0}, channel);
}

int
nacre_channel_open_tunnel(
    struct nacre_session *session, enum nacre_tunnel_mode mode, uint32_t unit, uint32_t *channel)
{
	struct nacre_buffer payload = {0};

	nacre_put_u32(&payload, mode);
	nacre_put_u32(&payload, unit);
	return open_with(session, "tun@openssh.com", &payload, channel);
}

/* Global requests of ours --------------------------------------------------------------------- */

static int
ask_with(struct nacre_session *session, const char *name, struct nacre_buffer *payload)
{
	int error = NACRE_ERROR_MEMORY;

	if (!payload->failed)
		error = nacre_global_request(session, name, true, nacre_buffer_span(payload));
	nacre_buffer_free(payload);
	return error;
}

static int
ask_address(struct nacre_session *session, const char *name, const char *host, uint16_t port)
{
	struct nacre_buffer payload = {0};

	nacre_put_cstring(&payload, host);
	nacre_put_u32(&payload, port);
	return ask_with(session, name, &payload);
}

static int
ask_path(struct nacre_session *session, const char *name, const char *path)
{
	struct nacre_buffer payload = {0};

	nacre_put_cstring(&payload, path);
	return ask_with(session, name, &payload);
}

int
nacre_global_tcpip_forward(struct nacre_session *session, const char *host, uint16_t port)
{
	return ask_address(session, "tcpip-forward", host, port);
}

int
nacre_global_cancel_tcpip_forward(struct nacre_session *session, const char *host, uint16_t port)
{
	return ask_address(session, "cancel-tcpip-forward", host, port);
}

int
nacre_global_streamlocal_forward(struct nacre_session *session, const char *path)
{
	return ask_path(session, "streamlocal-forward@openssh.com", path);
}

int
nacre_global_cancel_streamlocal_forward(struct nacre_session *session, const char *path)
{
	return ask_path(session, "cancel-streamlocal-forward@openssh.com", path);
}
