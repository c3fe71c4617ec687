/* The connection protocol: its state, the dispatch of messages, and the events that are due
 * without one. */
#include <connection/channel.h>

#include <stdlib.h>

#define CHANNEL_LIMIT_DEFAULT ((uint32_t)65536)
#define WINDOW_LIMIT_DEFAULT  ((uint32_t)64 * 1024 * 1024)
#define WINDOW_LIMIT_MIN      PACKET_DATA_MAX
#define WINDOW_LIMIT_MAX      ((uint32_t)1024 * 1024 * 1024)

static uint32_t
window_limit(uint32_t wanted)
{
	if (wanted == 0)
		return WINDOW_LIMIT_DEFAULT;
	if (wanted < WINDOW_LIMIT_MIN)
		return WINDOW_LIMIT_MIN;
	return wanted < WINDOW_LIMIT_MAX ? wanted : WINDOW_LIMIT_MAX;
}

int
connection_new(struct transport *transport, const struct nacre_session_options *options,
    struct connection **connection)
{
	struct connection *new = calloc(1, sizeof *new);

	if (new == NULL)
		return NACRE_ERROR_MEMORY;
	new->transport = transport;
	new->server = transport_role(transport) == NACRE_SERVER;
	new->channel_limit =
	    options->channel_limit > 0 ? options->channel_limit : CHANNEL_LIMIT_DEFAULT;
	new->window_limit = window_limit(options->window_limit);
	new->wake_at = UINT64_MAX;
	*connection = new;
	return 0;
}

void
connection_free(struct connection *connection)
{
	if (connection == NULL)
		return;
	for (size_t i = 0; i < connection->slots; i++)
		if (connection->channels[i] != NULL)
			channel_free(connection, connection->channels[i]);
	nacre_buffer_free(&connection->scratch);
	free(connection->channels);
	free(connection->free_numbers);
	free(connection);
}

static const struct {
	uint8_t message;
	int (*handle)(struct connection *, struct nacre_reader *, struct nacre_event *);
} handlers[] = {
    {MESSAGE_CHANNEL_DATA, data_message},
    {MESSAGE_CHANNEL_EXTENDED_DATA, extended_data_message},
    {MESSAGE_CHANNEL_WINDOW_ADJUST, window_adjust_message},
    {MESSAGE_CHANNEL_OPEN, open_message},
    {MESSAGE_CHANNEL_OPEN_CONFIRMATION, open_confirmation_message},
    {MESSAGE_CHANNEL_OPEN_FAILURE, open_failure_message},
    {MESSAGE_CHANNEL_EOF, eof_message},
    {MESSAGE_CHANNEL_CLOSE, close_message},
    {MESSAGE_CHANNEL_REQUEST, request_message},
    {MESSAGE_CHANNEL_SUCCESS, request_success_message},
    {MESSAGE_CHANNEL_FAILURE, request_failure_message},
    {MESSAGE_GLOBAL_REQUEST, global_request_message},
    {MESSAGE_REQUEST_SUCCESS, global_success_message},
    {MESSAGE_REQUEST_FAILURE, global_failure_message},
};

int
connection_message(struct connection *connection, uint8_t message, struct nacre_reader *payload,
    struct nacre_event *event)
{
	for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
		if (handlers[i].message == message)
			return handlers[i].handle(connection, payload, event);
	transport_unimplemented(connection->transport);
	return 0;
}

void
connection_settle(struct connection *connection)
{
	struct channel *gone;

	if (connection->fresh.length > 0)
		data_settle(connection);
	while ((gone = connection->lists[LIST_GONE].first) != NULL)
		channel_free(connection, gone);
}

static int
event_writable(struct connection *connection, struct nacre_event *event)
{
	struct channel *channel = connection->lists[LIST_STALLED].first;

	channel_list_remove(connection, LIST_STALLED, channel);
	channel->wants_room = false;
	*event =
	    (struct nacre_event){.kind = NACRE_EVENT_CHANNEL_WRITABLE, .channel = channel->number};
	return 1;
}

int
connection_pending(struct connection *connection, struct nacre_event *event)
{
	struct channel *channel;

	while ((channel = connection->lists[LIST_WORK].first) != NULL)
		if (channel_due(connection, channel, event))
			return 1;
	if (connection_early_pending(connection, event) == 1)
		return 1;
	if (connection->lists[LIST_STALLED].first != NULL &&
	    transport_can_send_bulk(connection->transport))
		return event_writable(connection, event);
	return close_wake_peer(connection);
}

uint64_t
connection_deadline(const struct connection *connection)
{
	return connection->wake_at;
}

bool
connection_idle(const struct connection *connection)
{
	return connection->count == 0;
}

bool
connection_full(const struct connection *connection)
{
	return connection->unread >= window_session_limit(connection);
}
