/* The table of channels: numbers, look-up, and the lists that keep the work for one event
 * independent of how many channels there are. */
#include <connection/channel.h>
#include <connection/session.h>

#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN ((size_t)8)

static int
table_grow(struct connection *connection)
{
	size_t capacity = connection->capacity > 0 ? connection->capacity * 2 : SLOTS_MIN;
	struct channel **channels;
	uint32_t *numbers;

	if (capacity > UINT32_MAX / 2)
		return NACRE_ERROR_MEMORY;
	channels = reallocarray(connection->channels, capacity, sizeof(void *));
	if (channels == NULL)
		return NACRE_ERROR_MEMORY;
	connection->channels = channels;
	numbers = reallocarray(connection->free_numbers, capacity, sizeof *numbers);
	if (numbers == NULL)
		return NACRE_ERROR_MEMORY;
	connection->free_numbers = numbers;
	connection->capacity = capacity;
	return 0;
}

/* A number is free again only when both sides have closed its channel, so that nothing under way
 * can mean the old one. */
static int
number_take(struct connection *connection, uint32_t *number)
{
	int error;

	if (connection->free_count > 0) {
		*number = connection->free_numbers[--connection->free_count];
		return 0;
	}
	if (connection->slots == connection->capacity && (error = table_grow(connection)) != 0)
		return error;
	*number = (uint32_t)connection->slots++;
	return 0;
}

int
channel_new(struct connection *connection, enum channel_state state, struct channel **channel)
{
	struct channel *new = calloc(1, sizeof *new);
	int error;

	if (new == NULL)
		return NACRE_ERROR_MEMORY;
	if ((error = number_take(connection, &new->number)) != 0) {
		free(new);
		return error;
	}
	new->state = state;
	new->by_peer = state == CHANNEL_ASKED;
	connection->channels[new->number] = new;
	connection->count++;
	connection->peer_count += new->by_peer;
	window_open(connection, new);
	*channel = new;
	return 0;
}

void
channel_free(struct connection *connection, struct channel *channel)
{
	data_drop(connection, channel);
	for (int kind = 0; kind < CHANNEL_LISTS; kind++)
		channel_list_remove(connection, (enum channel_list_kind)kind, channel);
	window_close(connection, channel);
	connection->channels[channel->number] = NULL;
	connection->free_numbers[connection->free_count++] = channel->number;
	connection->count--;
	connection->peer_count -= channel->by_peer;
	free(channel);
}

void
channel_list_add(
    struct connection *connection, enum channel_list_kind kind, struct channel *channel)
{
	struct channel_list *list = &connection->lists[kind];

	if (channel->listed[kind])
		return;
	channel->listed[kind] = true;
	channel->previous[kind] = list->last;
	channel->next[kind] = NULL;
	if (list->last != NULL)
		list->last->next[kind] = channel;
	else
		list->first = channel;
	list->last = channel;
}

void
channel_list_remove(
    struct connection *connection, enum channel_list_kind kind, struct channel *channel)
{
	struct channel_list *list = &connection->lists[kind];
	struct channel *previous = channel->previous[kind], *next = channel->next[kind];

	if (!channel->listed[kind])
		return;
	channel->listed[kind] = false;
	*(previous != NULL ? &previous->next[kind] : &list->first) = next;
	*(next != NULL ? &next->previous[kind] : &list->last) = previous;
}

struct channel *
channel_find(const struct connection *connection, uint32_t number)
{
	if (number >= connection->slots)
		return NULL;
	return connection->channels[number];
}

int
channel_fail(
    struct connection *connection, uint32_t number, const char *message, const char *problem)
{
	return transport_fail(connection->transport, NACRE_ERROR_PROTOCOL,
	    NACRE_DISCONNECT_PROTOCOL_ERROR, "%s for channel %u: %s", message, number, problem);
}

int
connection_malformed(struct connection *connection, const char *message)
{
	return transport_fail(connection->transport, NACRE_ERROR_FORMAT,
	    NACRE_DISCONNECT_PROTOCOL_ERROR, "malformed message %s", message);
}

struct channel *
channel_of_message(struct connection *connection, struct nacre_reader *payload, const char *message)
{
	uint32_t number = nacre_get_u32(payload);
	struct channel *channel;

	if (payload->failed) {
		connection_malformed(connection, message);
		return NULL;
	}
	channel = channel_find(connection, number);
	if (channel == NULL || channel->state != CHANNEL_OPEN) {
		channel_fail(connection, number, message, "there is no such channel");
		return NULL;
	}
	if (channel->close_received) {
		channel_fail(connection, number, message, "it is closed");
		return NULL;
	}
	return channel;
}

struct nacre_buffer *
channel_begin(struct connection *connection, const struct channel *channel, uint8_t message)
{
	struct nacre_buffer *packet = transport_begin(connection->transport, message);

	nacre_put_u32(packet, channel->peer_number);
	return packet;
}

void
nacre_channel_set_context(struct nacre_session *session, uint32_t number, void *context)
{
	struct channel *channel = channel_find(session->connection, number);

	if (channel != NULL)
		channel->context = context;
}

void *
nacre_channel_context(const struct nacre_session *session, uint32_t number)
{
	const struct channel *channel = channel_find(session->connection, number);

	return channel != NULL ? channel->context : NULL;
}

int
nacre_channel_peer_number(const struct nacre_session *session, uint32_t number, uint32_t *peer)
{
	const struct channel *channel = channel_find(session->connection, number);

	if (channel == NULL || channel->state != CHANNEL_OPEN)
		return NACRE_ERROR_NOT_FOUND;
	*peer = channel->peer_number;
	return 0;
}

size_t
nacre_session_channel_count(const struct nacre_session *session)
{
	return session->connection->count;
}
