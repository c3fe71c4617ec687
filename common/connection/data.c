/* Channel data, RFC 4254 section 5.2: received data is lent to the program where it was decrypted,
 * and sent data is put by the program where it will be encrypted. */
#include <connection/channel.h>
#include <connection/session.h>

#include <string.h>

#define KEPT_MEMORY_MAX ((size_t)64 * 1024) /* of an emptied buffer of unread data */
#define PREFIX_DATA     9                   /* type, recipient channel, length */
#define PREFIX_EXTENDED 13                  /* with the data type code */

/* Receiving ---------------------------------------------------------------------------------- */

static size_t
fresh_length(
    const struct connection *connection, const struct channel *channel, enum nacre_stream stream)
{
	if (connection->fresh_channel != channel || connection->fresh_stream != stream)
		return 0;
	return connection->fresh.length;
}

static void
fresh_forget(struct connection *connection)
{
	connection->fresh_channel = NULL;
	connection->fresh = (struct nacre_span){NULL, 0};
}

int
data_settle(struct connection *connection)
{
	struct channel *channel = connection->fresh_channel;
	struct nacre_buffer *kept = &channel->kept[connection->fresh_stream];

	nacre_put_span(kept, connection->fresh);
	fresh_forget(connection);
	if (!kept->failed)
		return 0;
	return transport_fail(connection->transport, NACRE_ERROR_MEMORY,
	    NACRE_DISCONNECT_BY_APPLICATION, "no memory for the data of channel %u",
	    channel->number);
}

void
data_drop(struct connection *connection, struct channel *channel)
{
	for (int stream = 0; stream < STREAMS; stream++)
		nacre_buffer_free(&channel->kept[stream]);
	if (connection->fresh_channel == channel)
		fresh_forget(connection);
	connection->unread -= channel->unread;
	channel->unread = 0;
}

/* Checks the rules and gives the data to the program or, if it wants none, back to the window. */
static int
data_arrived(struct connection *connection, struct channel *channel, enum nacre_stream stream,
    struct nacre_span data, const char *message, struct nacre_event *event)
{
	if (channel->eof_received)
		return channel_fail(connection, channel->number, message, "it came after EOF");
	if (data.length > PACKET_DATA_MAX)
		return channel_fail(
		    connection, channel->number, message, "it exceeds the maximum packet size");
	if (!window_take(connection, channel, data.length))
		return channel_fail(connection, channel->number, message, "it exceeds the window");
	if (channel->discard) {
		data_drop(connection, channel);
		return window_update(connection, channel);
	}
	if (data.length == 0)
		return 0;
	connection->fresh_channel = channel;
	connection->fresh_stream = stream;
	connection->fresh = data;
	*event = (struct nacre_event){
	    .kind = NACRE_EVENT_CHANNEL_DATA, .channel = channel->number, .u.stream = stream};
	/* Behind older data it has to queue. */
	if (nacre_buffer_length(&channel->kept[stream]) > 0 && data_settle(connection) != 0)
		return NACRE_ERROR_MEMORY;
	return 1;
}

int
data_message(struct connection *connection, struct nacre_reader *payload, struct nacre_event *event)
{
	static const char name[] = "CHANNEL_DATA";
	struct channel *channel = channel_of_message(connection, payload, name);
	struct nacre_span data = nacre_get_string(payload);

	if (channel == NULL)
		return NACRE_ERROR_PROTOCOL;
	if (!nacre_reader_done(payload))
		return connection_malformed(connection, name);
	return data_arrived(connection, channel, NACRE_STREAM_DATA, data, name, event);
}

int
extended_data_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event)
{
	static const char name[] = "CHANNEL_EXTENDED_DATA";
	struct channel *channel = channel_of_message(connection, payload, name);
	uint32_t type = nacre_get_u32(payload);
	struct nacre_span data = nacre_get_string(payload);

	if (channel == NULL)
		return NACRE_ERROR_PROTOCOL;
	if (!nacre_reader_done(payload))
		return connection_malformed(connection, name);
	if (type == EXTENDED_DATA_STDERR && !connection->server)
		return data_arrived(connection, channel, NACRE_STREAM_STDERR, data, name, event);
	if (channel->eof_received || data.length > PACKET_DATA_MAX ||
	    !window_take(connection, channel, data.length))
		return channel_fail(
		    connection, channel->number, name, "it came after EOF or exceeds the window");
	/* Data of a type that we do not know, or for which a server has no use, only passes the
	 * window. */
	return window_drained(connection, channel, data.length);
}

struct nacre_span
nacre_channel_data(struct nacre_session *session, uint32_t number, enum nacre_stream stream)
{
	struct connection *connection = session->connection;
	struct channel *channel = channel_find(connection, number);

	if (channel == NULL)
		return (struct nacre_span){NULL, 0};
	if (nacre_buffer_length(&channel->kept[stream]) > 0)
		return nacre_buffer_span(&channel->kept[stream]);
	if (fresh_length(connection, channel, stream) > 0)
		return connection->fresh;
	return (struct nacre_span){NULL, 0};
}

static void
kept_consume(struct nacre_buffer *kept, size_t length)
{
	nacre_buffer_consume(kept, length);
	if (nacre_buffer_length(kept) == 0 && kept->capacity > KEPT_MEMORY_MAX)
		nacre_buffer_free(kept);
}

int
nacre_channel_consume(
    struct nacre_session *session, uint32_t number, enum nacre_stream stream, size_t length)
{
	struct connection *connection = session->connection;
	struct channel *channel = channel_find(connection, number);
	int error;

	if (channel == NULL)
		return NACRE_ERROR_NOT_FOUND;
	if (length > nacre_channel_data(session, number, stream).length)
		return NACRE_ERROR_ARGUMENT;
	if (length == 0)
		return 0;
	if (nacre_buffer_length(&channel->kept[stream]) > 0) {
		kept_consume(&channel->kept[stream], length);
	} else {
		connection->fresh.data += length;
		connection->fresh.length -= length;
	}
	error = window_drained(connection, channel, length);
	channel_changed(connection, channel);
	return error;
}

int
nacre_channel_discard(struct nacre_session *session, uint32_t number)
{
	struct connection *connection = session->connection;
	struct channel *channel = channel_find(connection, number);

	if (channel == NULL)
		return NACRE_ERROR_NOT_FOUND;
	channel->discard = true;
	data_drop(connection, channel);
	channel_changed(connection, channel);
	return window_update(connection, channel);
}

/* Sending ------------------------------------------------------------------------------------ */

static bool
channel_takes_data(const struct channel *channel)
{
	return (channel->state == CHANNEL_OPENING || channel->state == CHANNEL_OPEN) &&
	       !channel->eof_sent && !channel->close_sent && !channel->close_wanted;
}

/* Remembers that the program is to be told when there is room. Without a window the peer's
 * adjustment brings it back; else the transport does. */
static uint8_t *
room_missing(struct connection *connection, struct channel *channel)
{
	channel->wants_room = true;
	if (channel->state == CHANNEL_OPEN && channel->send_window > 0)
		channel_list_add(connection, LIST_STALLED, channel);
	return NULL;
}

static size_t
prefix_length(enum nacre_stream stream)
{
	return stream == NACRE_STREAM_DATA ? PREFIX_DATA : PREFIX_EXTENDED;
}

static void
put_u32_at(uint8_t *bytes, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void
prefix_write(const struct connection *connection, size_t length)
{
	bool extended = connection->room_stream != NACRE_STREAM_DATA;
	uint8_t *prefix = connection->room;

	prefix[0] = extended ? MESSAGE_CHANNEL_EXTENDED_DATA : MESSAGE_CHANNEL_DATA;
	put_u32_at(prefix + 1, connection->room_channel->peer_number);
	if (extended)
		put_u32_at(prefix + 5, EXTENDED_DATA_STDERR);
	put_u32_at(prefix + (extended ? 9 : 5), (uint32_t)length);
}

/* Compressed data is produced by the compressor, so there is a copy anyhow. */
static uint8_t *
room_scratch(struct connection *connection, size_t prefix, size_t length)
{
	nacre_buffer_clear(&connection->scratch);
	return nacre_buffer_room(&connection->scratch, prefix + length);
}

uint8_t *
nacre_channel_room(
    struct nacre_session *session, uint32_t number, enum nacre_stream stream, size_t *length)
{
	struct connection *connection = session->connection;
	struct channel *channel = channel_find(connection, number);
	size_t prefix = prefix_length(stream), most;
	uint8_t *room;

	*length = 0;
	if (channel == NULL || !channel_takes_data(channel))
		return NULL;
	most = channel->send_window < channel->send_packet_max ? channel->send_window
							       : channel->send_packet_max;
	if (most == 0 || !transport_can_send_bulk(connection->transport))
		return room_missing(connection, channel);
	if (transport_compresses(connection->transport))
		room = room_scratch(connection, prefix, most);
	else
		room = transport_room(connection->transport, prefix, &most);
	if (room == NULL)
		return room_missing(connection, channel);
	connection->room_channel = channel;
	connection->room_stream = stream;
	connection->room = room;
	connection->room_length = *length = most;
	return room + prefix;
}

static int
commit_scratch(struct connection *connection, size_t length)
{
	nacre_put_bytes(transport_begin(connection->transport, connection->room[0]),
	    connection->room + 1, length - 1);
	return transport_end(connection->transport);
}

int
nacre_channel_commit(struct nacre_session *session, uint32_t number, size_t length)
{
	struct connection *connection = session->connection;
	struct channel *channel = connection->room_channel;
	size_t prefix = prefix_length(connection->room_stream);
	bool scratch;

	if (channel == NULL || channel->number != number)
		return NACRE_ERROR_STATE;
	if (length > connection->room_length)
		return NACRE_ERROR_ARGUMENT;
	scratch = transport_compresses(connection->transport);
	if (length > 0)
		prefix_write(connection, length);
	connection->room_channel = NULL;
	channel->send_window -= (uint32_t)length;
	if (scratch)
		return length > 0 ? commit_scratch(connection, prefix + length) : 0;
	return transport_commit(connection->transport, length > 0 ? prefix + length : 0);
}

size_t
nacre_channel_write(struct nacre_session *session, uint32_t number, enum nacre_stream stream,
    struct nacre_span data)
{
	size_t written = 0, length;
	uint8_t *room;

	while (written < data.length &&
	       (room = nacre_channel_room(session, number, stream, &length)) != NULL) {
		if (length > data.length - written)
			length = data.length - written;
		memcpy(room, data.data + written, length);
		if (nacre_channel_commit(session, number, length) != 0)
			return written;
		written += length;
	}
	return written;
}

uint32_t
nacre_channel_send_window(const struct nacre_session *session, uint32_t number)
{
	const struct channel *channel = channel_find(session->connection, number);

	return channel != NULL && channel->state == CHANNEL_OPEN ? channel->send_window : 0;
}
