/*
 * The send buffer: messages are built and encrypted where they leave from. While a key exchange
 * runs, what the upper layers say waits in a queue (RFC 4253 section 7.1).
 */
#include <transport/state.h>

#include <string.h>

/* Bulk data waits while so much is unsent: enough to keep a socket busy, little enough to stay in
 * the processor's cache. */
#define BULK_BOUND ((size_t)128 * 1024)
/* A peer that reads nothing while it makes us answer is given up here. */
#define UNSENT_LIMIT              ((size_t)16 * 1024 * 1024)
#define UNSENT_LIMIT_BEFORE_LOGIN ((size_t)1024 * 1024)
#define SCRATCH_KEPT              ((size_t)4096)

struct nacre_span
transport_output(const struct transport *transport)
{
	return nacre_buffer_span(&transport->output);
}

void
transport_sent(struct transport *transport, size_t length)
{
	nacre_buffer_consume(&transport->output, length);
	transport->sent_total += length;
	transport->active = transport->now;
}

bool
output_waits(const struct transport *transport)
{
	return transport->exchange != NULL && !transport->exchange->sent_newkeys &&
	       nacre_buffer_length(&transport->exchange->own_kexinit) > 0;
}

/* Those that RFC 4253 section 7.1 allows during an exchange and that we send then. */
static bool
message_may_pass(uint8_t message)
{
	return message == MESSAGE_DISCONNECT || message == MESSAGE_EXT_INFO ||
	       (message >= MESSAGE_KEXINIT && message <= MESSAGE_KEX_LAST);
}

static int
output_check(struct transport *transport)
{
	size_t unsent =
	    nacre_buffer_length(&transport->output) + nacre_buffer_length(&transport->queue);
	size_t limit = transport->authenticated ? UNSENT_LIMIT : UNSENT_LIMIT_BEFORE_LOGIN;

	if (unsent <= limit)
		return 0;
	event_end(transport, false, NACRE_ERROR_MEMORY, NACRE_DISCONNECT_BY_APPLICATION,
	    nacre_span_of("the peer does not read: too much output is unsent"));
	return NACRE_ERROR_MEMORY;
}

static int
output_failed(struct transport *transport, int error)
{
	event_end(transport, false, error, NACRE_DISCONNECT_BY_APPLICATION,
	    nacre_span_of(nacre_error_string(error)));
	return error;
}

static int
output_plain(struct transport *transport, struct nacre_span payload)
{
	uint8_t *packet = nacre_buffer_room(&transport->output, payload.length + PACKET_OVERHEAD);

	if (packet == NULL)
		return output_failed(transport, NACRE_ERROR_MEMORY);
	memcpy(packet + PACKET_HEADER, payload.data, payload.length);
	return packet_seal(transport, packet, payload.length);
}

static int
output_deflated(struct transport *transport, struct nacre_span payload)
{
	struct nacre_buffer *compressed = &transport->compressed;
	int error;

	nacre_buffer_clear(compressed);
	error = compression_deflate(&transport->send, payload, compressed);
	if (error != 0)
		return output_failed(transport, error);
	return output_plain(transport, nacre_buffer_span(compressed));
}

int
output_message(struct transport *transport, struct nacre_span payload)
{
	bool success = payload.data[0] == MESSAGE_USERAUTH_SUCCESS;
	int error = output_check(transport);

	if (error != 0)
		return error;
	error = transport->send.compressing ? output_deflated(transport, payload)
					    : output_plain(transport, payload);
	/* What a server says behind USERAUTH_SUCCESS is compressed. */
	if (success && transport->role == NACRE_SERVER)
		transport->send.compressing = transport->send.compresses;
	return error;
}

/* The scratch buffer wipes what was in it, and keeps little memory. */
static void
message_done(struct transport *transport)
{
	if (transport->message.capacity > SCRATCH_KEPT)
		nacre_buffer_free(&transport->message);
	else
		nacre_buffer_clear(&transport->message);
}

int
output_urgent(struct transport *transport)
{
	int error = NACRE_ERROR_MEMORY;

	if (!transport->message.failed && nacre_buffer_length(&transport->message) <= PAYLOAD_LIMIT)
		error = output_message(transport, nacre_buffer_span(&transport->message));
	message_done(transport);
	return error;
}

struct nacre_buffer *
transport_begin(struct transport *transport, uint8_t message)
{
	nacre_buffer_clear(&transport->message);
	nacre_put_byte(&transport->message, message);
	return &transport->message;
}

static int
output_enqueue(struct transport *transport)
{
	int error;

	nacre_put_string_span(&transport->queue, nacre_buffer_span(&transport->message));
	error = transport->queue.failed ? output_failed(transport, NACRE_ERROR_MEMORY)
					: output_check(transport);
	message_done(transport);
	return error;
}

int
transport_end(struct transport *transport)
{
	struct nacre_span payload = nacre_buffer_span(&transport->message);

	if (transport->ending != ENDING_NONE) {
		message_done(transport);
		return NACRE_ERROR_CLOSED;
	}
	if (transport->message.failed || payload.length > PAYLOAD_LIMIT) {
		message_done(transport);
		return NACRE_ERROR_MEMORY;
	}
	if (output_waits(transport) && !message_may_pass(payload.data[0]))
		return output_enqueue(transport);
	return output_urgent(transport);
}

/* Stops early when the keys are worn out before the queue is empty and an exchange begins anew. */
int
output_flush_queue(struct transport *transport)
{
	struct nacre_buffer *queue = &transport->queue;
	int error = 0;

	while (error == 0 && nacre_buffer_length(queue) > 0 && !output_waits(transport)) {
		struct nacre_reader reader = nacre_reader_of(nacre_buffer_span(queue));
		struct nacre_span payload = nacre_get_string(&reader);

		error = output_message(transport, payload);
		nacre_buffer_consume(queue, 4 + payload.length);
	}
	if (nacre_buffer_length(queue) == 0)
		nacre_buffer_free(queue);
	return error;
}

bool
transport_can_send_bulk(const struct transport *transport)
{
	return transport->ending == ENDING_NONE && !output_waits(transport) &&
	       nacre_buffer_length(&transport->output) < BULK_BOUND;
}

bool
transport_compresses(const struct transport *transport)
{
	return transport->send.compressing;
}

uint8_t *
transport_room(struct transport *transport, size_t prefix, size_t *length)
{
	size_t wanted = *length;
	uint8_t *packet;

	*length = 0;
	transport->room = 0;
	if (!transport_can_send_bulk(transport) || transport->send.compressing ||
	    prefix > PAYLOAD_LIMIT / 2)
		return NULL;
	if (wanted > PAYLOAD_LIMIT - prefix)
		wanted = PAYLOAD_LIMIT - prefix;
	packet = nacre_buffer_room(&transport->output, prefix + wanted + PACKET_OVERHEAD);
	if (packet == NULL) {
		transport->output.failed = false;
		return NULL;
	}
	transport->room = prefix + wanted;
	*length = wanted;
	return packet + PACKET_HEADER;
}

int
transport_commit(struct transport *transport, size_t length)
{
	size_t room = transport->room;

	transport->room = 0;
	if (length == 0)
		return 0;
	if (length > room)
		return NACRE_ERROR_ARGUMENT;
	return packet_seal(transport, transport->output.data + transport->output.end, length);
}
