/* The end of a channel, RFC 4254 section 5.3: EOF, CLOSE, and the events that come only when all
 * data before them was read. */
#include <connection/channel.h>
#include <connection/session.h>

#define WAKE_MS 100

/* Events that are due ------------------------------------------------------------------------- */

static bool
eof_due(const struct channel *channel)
{
	return channel->eof_received && !channel->eof_told && channel->unread == 0 &&
	       !channel->close_wanted;
}

static bool
closed_due(const struct channel *channel)
{
	return channel->state == CHANNEL_OPEN && channel->close_sent && channel->close_received &&
	       channel->unread == 0;
}

void
channel_changed(struct connection *connection, struct channel *channel)
{
	if (eof_due(channel) || closed_due(channel))
		channel_list_add(connection, LIST_WORK, channel);
}

bool
channel_due(struct connection *connection, struct channel *channel, struct nacre_event *event)
{
	*event = (struct nacre_event){.channel = channel->number};
	if (eof_due(channel)) {
		event->kind = NACRE_EVENT_CHANNEL_EOF;
		channel->eof_told = true;
		return true;
	}
	channel_list_remove(connection, LIST_WORK, channel);
	if (!closed_due(channel))
		return false;
	event->kind = NACRE_EVENT_CHANNEL_CLOSED;
	channel->state = CHANNEL_GONE;
	channel_list_remove(connection, LIST_STALLED, channel);
	channel_list_add(connection, LIST_GONE, channel);
	return true;
}

/* Messages ----------------------------------------------------------------------------------- */

int
eof_message(struct connection *connection, struct nacre_reader *payload, struct nacre_event *event)
{
	static const char name[] = "CHANNEL_EOF";
	struct channel *channel = channel_of_message(connection, payload, name);

	(void)event;
	if (channel == NULL)
		return NACRE_ERROR_PROTOCOL;
	if (!nacre_reader_done(payload))
		return connection_malformed(connection, name);
	if (channel->eof_received)
		return channel_fail(connection, channel->number, name, "it came twice");
	channel->eof_received = true;
	channel_changed(connection, channel);
	return 0;
}

int
close_send(struct connection *connection, struct channel *channel)
{
	channel->close_sent = true;
	channel->wants_room = false;
	channel_list_remove(connection, LIST_STALLED, channel);
	channel_begin(connection, channel, MESSAGE_CHANNEL_CLOSE);
	return transport_end(connection->transport);
}

/*
 * dropbear's client whose standard output is slow answers our CLOSE when it has written everything,
 * but notices that no channel is left only when one more packet comes, and would wait for hours. It
 * gets one, unless it has gone by then.
 */
static void
peer_wake_later(struct connection *connection)
{
	if (connection->server && transport_peer_is(connection->transport, "dropbear_"))
		connection->wake_at = transport_now(connection->transport) + WAKE_MS;
}

int
close_wake_peer(struct connection *connection)
{
	if (transport_now(connection->transport) < connection->wake_at)
		return 0;
	connection->wake_at = UINT64_MAX;
	return transport_ignore(connection->transport, (struct nacre_span){NULL, 0});
}

/* Whatever we would still send, nobody takes: the answer leaves at once. */
int
close_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event)
{
	static const char name[] = "CHANNEL_CLOSE";
	struct channel *channel = channel_of_message(connection, payload, name);
	int error = 0;

	(void)event;
	if (channel == NULL)
		return NACRE_ERROR_PROTOCOL;
	if (!nacre_reader_done(payload))
		return connection_malformed(connection, name);
	channel->close_received = true;
	if (channel->close_sent)
		peer_wake_later(connection);
	else
		error = close_send(connection, channel);
	channel_changed(connection, channel);
	return error;
}

/* Calls -------------------------------------------------------------------------------------- */

int
nacre_channel_eof(struct nacre_session *session, uint32_t number)
{
	struct connection *connection = session->connection;
	struct channel *channel = channel_find(connection, number);

	if (channel == NULL)
		return NACRE_ERROR_NOT_FOUND;
	if (channel->state != CHANNEL_OPEN || channel->eof_sent)
		return NACRE_ERROR_STATE;
	if (channel->close_sent)
		return NACRE_ERROR_CLOSED;
	channel->eof_sent = true;
	channel->wants_room = false;
	channel_list_remove(connection, LIST_STALLED, channel);
	channel_begin(connection, channel, MESSAGE_CHANNEL_EOF);
	return transport_end(connection->transport);
}

int
nacre_channel_close(struct nacre_session *session, uint32_t number)
{
	struct connection *connection = session->connection;
	struct channel *channel = channel_find(connection, number);
	int error = 0;

	if (channel == NULL)
		return NACRE_ERROR_NOT_FOUND;
	if (channel->state == CHANNEL_ASKED || channel->state == CHANNEL_GONE)
		return NACRE_ERROR_STATE;
	if (channel->close_wanted)
		return 0;
	channel->close_wanted = channel->discard = true;
	data_drop(connection, channel);
	if (channel->state == CHANNEL_OPEN && !channel->close_sent)
		error = close_send(connection, channel);
	channel_changed(connection, channel);
	return error;
}

bool
nacre_channel_at_eof(const struct nacre_session *session, uint32_t number, bool by_peer)
{
	const struct channel *channel = channel_find(session->connection, number);

	if (channel == NULL)
		return true;
	if (by_peer)
		return channel->eof_received || channel->close_received;
	return channel->eof_sent || channel->close_sent;
}
