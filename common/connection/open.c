/* Opening channels, RFC 4254 section 5.1: ours and the peer's. */
#include <connection/channel.h>
#include <connection/session.h>

#include <string.h>

/* Ours --------------------------------------------------------------------------------------- */

static int
open_send(struct connection *connection, const char *type, struct nacre_span payload,
    struct channel **result)
{
	struct nacre_buffer *packet;
	struct channel *channel;
	int error;

	if (transport_failed(connection->transport))
		return NACRE_ERROR_CLOSED;
	if ((error = channel_new(connection, CHANNEL_OPENING, &channel)) != 0)
		return error;
	packet = transport_begin(connection->transport, MESSAGE_CHANNEL_OPEN);
	nacre_put_cstring(packet, type);
	nacre_put_u32(packet, channel->number);
	nacre_put_u32(packet, channel->receive_window);
	nacre_put_u32(packet, PACKET_DATA_MAX);
	nacre_put_span(packet, payload);
	if ((error = transport_end(connection->transport)) != 0) {
		channel_free(connection, channel);
		return error;
	}
	*result = channel;
	return 0;
}

int
nacre_channel_open(
    struct nacre_session *session, const char *type, struct nacre_span payload, uint32_t *number)
{
	struct channel *channel;
	int error;

	if (!userauth_done(session->userauth))
		return NACRE_ERROR_STATE;
	if ((error = open_send(session->connection, type, payload, &channel)) == 0)
		*number = channel->number;
	return error;
}

/* Compression that begins with success would begin before or behind these messages: the server
 * decides when it sends its answer, we would learn it too late. */
static bool
compression_delayed(const struct nacre_session *session)
{
	struct nacre_session_algorithms agreed;

	transport_algorithms(session->transport, &agreed);
	return strcmp(agreed.compression_client_to_server, "zlib@openssh.com") == 0;
}

int
nacre_channel_open_early(
    struct nacre_session *session, const char *type, uint32_t peer_number, uint32_t *number)
{
	struct channel *channel;
	int error;

	if (!userauth_signed_request_sent(session->userauth) || compression_delayed(session) ||
	    nacre_session_channel_count(session) > 0)
		return NACRE_ERROR_STATE;
	error = open_send(session->connection, type, (struct nacre_span){NULL, 0}, &channel);
	if (error != 0)
		return error;
	transport_watch(session->transport);
	session->connection->early_number = channel->number;
	channel->early = true;
	channel->peer_number = peer_number;
	*number = channel->number;
	return 0;
}

/* The channel of ours that an answer to CHANNEL_OPEN is for. */
static struct channel *
opening_channel(struct connection *connection, struct nacre_reader *payload, const char *message)
{
	uint32_t number = nacre_get_u32(payload);
	struct channel *channel = channel_find(connection, number);

	if (payload->failed) {
		connection_malformed(connection, message);
		return NULL;
	}
	if (channel == NULL || channel->state != CHANNEL_OPENING || channel->refused) {
		channel_fail(connection, number, message, "it is not being opened");
		return NULL;
	}
	return channel;
}

/* What the peer says of its receiving side. A maximum of 0 could never be sent to. */
static int
set_send_side(struct connection *connection, struct channel *channel, const char *message,
    uint32_t window, uint32_t packet_max)
{
	if (packet_max == 0)
		return channel_fail(
		    connection, channel->number, message, "its maximum packet size is 0");
	channel->send_window = window;
	channel->send_packet_max = packet_max < PACKET_DATA_MAX ? packet_max : PACKET_DATA_MAX;
	return 0;
}

int
open_confirmation_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event)
{
	static const char name[] = "CHANNEL_OPEN_CONFIRMATION";
	struct channel *channel = opening_channel(connection, payload, name);
	uint32_t peer_number, window, packet_max;
	int error;

	if (channel == NULL)
		return NACRE_ERROR_PROTOCOL;
	peer_number = nacre_get_u32(payload);
	window = nacre_get_u32(payload);
	packet_max = nacre_get_u32(payload);
	if (payload->failed)
		return connection_malformed(connection, name);
	/* What we sent meanwhile was for a channel that is not this one. */
	if (channel->early && channel->peer_number != peer_number)
		return transport_fail(connection->transport, NACRE_ERROR_NOT_FOUND,
		    NACRE_DISCONNECT_BY_APPLICATION,
		    "the server calls channel %u %u and not %u as before", channel->number,
		    peer_number, channel->peer_number);
	channel->peer_number = peer_number;
	if ((error = set_send_side(connection, channel, name, window, packet_max)) != 0)
		return error;
	channel->early = false;
	channel->state = CHANNEL_OPEN;
	if (channel->close_wanted)
		return close_send(connection, channel);
	if (channel->wants_room && window > 0)
		channel_list_add(connection, LIST_STALLED, channel);
	*event =
	    (struct nacre_event){.kind = NACRE_EVENT_CHANNEL_OPENED, .channel = channel->number};
	return 1;
}

static void
refused_event(const struct channel *channel, struct nacre_event *event)
{
	*event =
	    (struct nacre_event){.kind = NACRE_EVENT_CHANNEL_REFUSED, .channel = channel->number};
}

static void
refused_end(struct connection *connection, struct channel *channel, struct nacre_event *event)
{
	channel->refused = true;
	channel->early = false;
	if (channel->close_wanted)
		event->kind = NACRE_EVENT_CHANNEL_CLOSED;
	channel->state = CHANNEL_GONE;
	channel_list_add(connection, LIST_GONE, channel);
}

int
open_failure_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event)
{
	static const char name[] = "CHANNEL_OPEN_FAILURE";
	struct channel *channel = opening_channel(connection, payload, name);

	if (channel == NULL)
		return NACRE_ERROR_PROTOCOL;
	refused_event(channel, event);
	event->u.refused.reason = nacre_get_u32(payload);
	event->u.refused.text = nacre_get_string(payload);
	nacre_get_string(payload); /* language */
	if (!nacre_reader_done(payload))
		return connection_malformed(connection, name);
	refused_end(connection, channel, event);
	return 1;
}

int
connection_early_pending(struct connection *connection, struct nacre_event *event)
{
	struct channel *const channel = channel_find(connection, connection->early_number);

	if (channel == NULL || !channel->early || !transport_watched_refused(connection->transport))
		return 0;
	refused_event(channel, event);
	event->u.refused.reason = NACRE_OPEN_ADMINISTRATIVELY_PROHIBITED;
	event->u.refused.text = nacre_span_of("the message came too early");
	refused_end(connection, channel, event);
	return 1;
}

/* The peer's --------------------------------------------------------------------------------- */

static int
send_refusal(struct connection *connection, uint32_t peer_number, enum nacre_open_failure reason,
    const char *text)
{
	struct nacre_buffer *packet =
	    transport_begin(connection->transport, MESSAGE_CHANNEL_OPEN_FAILURE);

	nacre_put_u32(packet, peer_number);
	nacre_put_u32(packet, reason);
	nacre_put_cstring(packet, text);
	nacre_put_cstring(packet, ""); /* language */
	return transport_end(connection->transport);
}

int
open_message(struct connection *connection, struct nacre_reader *payload, struct nacre_event *event)
{
	static const char name[] = "CHANNEL_OPEN";
	struct nacre_span type = nacre_get_string(payload);
	uint32_t peer_number = nacre_get_u32(payload);
	uint32_t window = nacre_get_u32(payload), packet_max = nacre_get_u32(payload);
	struct channel *channel;
	int error;

	if (payload->failed)
		return connection_malformed(connection, name);
	if (connection->no_more_sessions && nacre_span_equals(type, "session"))
		return transport_fail(connection->transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR,
		    "Possible attack: attempt to open a session after additional sessions "
		    "disabled");
	if (connection->peer_count >= connection->channel_limit)
		return send_refusal(connection, peer_number, NACRE_OPEN_RESOURCE_SHORTAGE,
		    "too many channels are open");
	*event = (struct nacre_event){.kind = NACRE_EVENT_CHANNEL_OPEN};
	event->u.channel_open.type = type;
	event->u.channel_open.payload = nacre_get_rest(payload);
	if (!open_decode(event))
		return connection_malformed(connection, name);
	if ((error = channel_new(connection, CHANNEL_ASKED, &channel)) != 0)
		return error;
	event->channel = channel->number;
	channel->peer_number = peer_number;
	error = set_send_side(connection, channel, name, window, packet_max);
	return error != 0 ? error : 1;
}

int
nacre_channel_accept(struct nacre_session *session, uint32_t number)
{
	struct connection *connection = session->connection;
	struct channel *channel = channel_find(connection, number);
	struct nacre_buffer *packet;

	if (channel == NULL)
		return NACRE_ERROR_NOT_FOUND;
	if (channel->state != CHANNEL_ASKED)
		return NACRE_ERROR_STATE;
	channel->state = CHANNEL_OPEN;
	packet = channel_begin(connection, channel, MESSAGE_CHANNEL_OPEN_CONFIRMATION);
	nacre_put_u32(packet, channel->number);
	nacre_put_u32(packet, channel->receive_window);
	nacre_put_u32(packet, PACKET_DATA_MAX);
	return transport_end(connection->transport);
}

int
nacre_channel_refuse(struct nacre_session *session, uint32_t number, enum nacre_open_failure reason,
    const char *text)
{
	struct connection *connection = session->connection;
	struct channel *channel = channel_find(connection, number);
	int error;

	if (channel == NULL)
		return NACRE_ERROR_NOT_FOUND;
	if (channel->state != CHANNEL_ASKED)
		return NACRE_ERROR_STATE;
	error = send_refusal(connection, channel->peer_number, reason, text);
	channel_free(connection, channel);
	return error;
}
