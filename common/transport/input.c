/*
 * The receive buffer: where the caller's reads go and packets are opened in place. It starts small,
 * doubles while reads fill it, and is given back when the connection is idle.
 */
#include <transport/state.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_FIRST ((size_t)8 * 1024)
#define INPUT_LAST  ((size_t)256 * 1024)
/* A complete packet of the largest size always fits. */
#define INPUT_UNREAD ((size_t)PACKET_LIMIT + 4 + MAC_LENGTH_MAX)

void
input_free(struct input *input)
{
	if (input->data != NULL)
		sodium_memzero(input->data, input->capacity);
	free(input->data);
	input->data = NULL;
	input->start = input->end = input->capacity = 0;
}

void
input_consume(struct input *input, size_t length)
{
	input->start += length;
	input->wanted = 0;
	input->packet_length = 0;
}

/* Moves the unread bytes to the front of at least "capacity" bytes. */
bool
input_reserve(struct input *input, size_t capacity)
{
	size_t held = input->end - input->start;
	uint8_t *data;

	if (capacity <= input->capacity) {
		if (held > 0)
			memmove(input->data, input->data + input->start, held);
		input->start = 0;
		input->end = held;
		return true;
	}
	if ((data = malloc(capacity)) == NULL)
		return false;
	if (held > 0)
		memcpy(data, input->data + input->start, held);
	input_free(input);
	input->data = data;
	input->capacity = capacity;
	input->end = held;
	return true;
}

/* How much memory the next read deserves. */
static size_t
input_capacity_due(struct input *input)
{
	size_t capacity = input->capacity;

	if (capacity == 0)
		return INPUT_FIRST;
	if (input->grow && capacity < INPUT_LAST)
		capacity *= 2;
	if (capacity < input->wanted)
		capacity = input->wanted;
	if (input->end - input->start == capacity && capacity < INPUT_UNREAD)
		capacity = capacity * 2 < INPUT_UNREAD ? capacity * 2 : INPUT_UNREAD;
	return capacity;
}

uint8_t *
transport_input_room(struct transport *transport, size_t *length)
{
	struct input *input = &transport->input;
	size_t capacity = input_capacity_due(input), held = input->end - input->start;

	*length = 0;
	if (transport->ending != ENDING_NONE || held >= INPUT_UNREAD)
		return NULL;
	if (held == 0)
		input->start = input->end = 0;
	/* Bytes are moved when less than half is free behind them: a packet's part at most, once
	 * for every half of the buffer read. */
	if (capacity > input->capacity || input->capacity - input->end < input->capacity / 2)
		if (!input_reserve(input, capacity))
			return NULL;
	input->grow = false;
	*length = input->capacity - input->end;
	return *length > 0 ? input->data + input->end : NULL;
}

void
transport_received(struct transport *transport, size_t length, uint64_t now)
{
	struct input *input = &transport->input;

	transport->now = now;
	transport->active = now;
	if (length == 0) {
		input->closed = true;
		return;
	}
	if (length > input->capacity - input->end)
		return;
	input->end += length;
	input->grow = input->end == input->capacity;
	transport->received_total += length;
}
