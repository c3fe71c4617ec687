/*
 * The transport's own messages (RFC 4253 section 11, ping@openssh.com) and when each is allowed.
 */
#include <transport/state.h>

#include <string.h>

static int
malformed(struct transport *transport, const char *what)
{
	return transport_fail(transport, NACRE_ERROR_FORMAT, NACRE_DISCONNECT_PROTOCOL_ERROR,
	    "malformed %s message", what);
}

static int
receive_disconnect(struct transport *transport, struct nacre_reader *payload)
{
	uint32_t reason = nacre_get_u32(payload);
	struct nacre_span text = nacre_get_string(payload);

	if (payload->failed)
		return malformed(transport, "SSH2_MSG_DISCONNECT");
	event_end(transport, true, NACRE_ERROR_CLOSED, reason, text);
	return 0;
}

static int
receive_ignore(struct transport *transport, struct nacre_reader *payload)
{
	/* Nothing in it can matter, its form included. */
	(void)transport;
	(void)payload;
	return 0;
}

static int
receive_unimplemented(struct transport *transport, struct nacre_reader *payload)
{
	uint32_t sequence = nacre_get_u32(payload);

	if (!nacre_reader_done(payload))
		return malformed(transport, "SSH2_MSG_UNIMPLEMENTED");
	transport_log(
	    transport, NACRE_LOG_DEBUG1, "Received SSH2_MSG_UNIMPLEMENTED for %u", sequence);
	transport->watched_refused |= transport->watched && sequence == transport->watched_sequence;
	return 0;
}

static int
receive_debug(struct transport *transport, struct nacre_reader *payload)
{
	bool display = nacre_get_boolean(payload);
	struct nacre_span text = nacre_get_string(payload);

	nacre_get_string(payload);
	if (!nacre_reader_done(payload))
		return malformed(transport, "SSH2_MSG_DEBUG");
	transport_log(transport, display ? NACRE_LOG_INFO : NACRE_LOG_DEBUG1, "Remote: %.*s",
	    (int)text.length, (const char *)text.data);
	return 0;
}

static int
receive_newkeys(struct transport *transport, struct nacre_reader *payload)
{
	return exchange_receive_newkeys(transport, payload);
}

static int
receive_ping(struct transport *transport, struct nacre_reader *payload)
{
	struct nacre_span data = nacre_get_string(payload);

	if (!nacre_reader_done(payload))
		return malformed(transport, "SSH2_MSG_PING");
	nacre_put_string_span(transport_begin(transport, MESSAGE_PONG), data);
	return transport_end(transport);
}

static int
receive_pong(struct transport *transport, struct nacre_reader *payload)
{
	struct nacre_span data = nacre_get_string(payload);
	uint64_t waited;

	if (!nacre_reader_done(payload))
		return malformed(transport, "SSH2_MSG_PONG");
	if (transport->ping_count == 0)
		return 0;
	waited = transport->now - transport->pings[transport->ping_first];
	transport->ping_first = (transport->ping_first + 1) % PING_MAX;
	transport->ping_count--;
	if (waited < transport->round_trip)
		transport->round_trip = (uint32_t)waited;
	event_put(transport, NACRE_EVENT_PONG, 0, data);
	return 0;
}

static const struct {
	uint8_t message;
	int (*receive)(struct transport *transport, struct nacre_reader *payload);
} messages[] = {
    {MESSAGE_DISCONNECT, receive_disconnect},
    {MESSAGE_IGNORE, receive_ignore},
    {MESSAGE_UNIMPLEMENTED, receive_unimplemented},
    {MESSAGE_DEBUG, receive_debug},
    {MESSAGE_EXT_INFO, extension_receive},
    {MESSAGE_NEWKEYS, receive_newkeys},
    {MESSAGE_PING, receive_ping},
    {MESSAGE_PONG, receive_pong},
};

static int
receive_exchange(struct transport *transport, uint8_t message, struct nacre_reader *payload)
{
	struct exchange *exchange = transport->exchange;

	if (exchange == NULL)
		return transport_fail(transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR,
		    "key exchange message %u outside of a key exchange", message);
	if (exchange->ignore_next) {
		exchange->ignore_next = false;
		transport_log(transport, NACRE_LOG_DEBUG2,
		    "skipping the peer's guessed key exchange message");
		return 0;
	}
	if (transport->role == NACRE_CLIENT)
		return exchange_client_message(transport, message, payload);
	return exchange_server_message(transport, message, payload);
}

/* Between the peer's KEXINIT and its NEWKEYS only some messages are legal: RFC 4253 section 7.1,
 * and in a strict first exchange none but its own. */
static bool
message_is_legal(const struct transport *transport, uint8_t message)
{
	const struct exchange *exchange = transport->exchange;

	if (exchange == NULL || exchange->received_newkeys)
		return true;
	if ((message >= MESSAGE_KEXINIT && message <= MESSAGE_KEX_LAST) ||
	    message == MESSAGE_DISCONNECT)
		return true;
	if (exchange->step == STEP_KEXINIT)
		return !exchange->first || message < MESSAGE_SERVICE_REQUEST;
	return message < MESSAGE_SERVICE_REQUEST && !(exchange->first && transport->strict);
}

int
message_receive(struct transport *transport, struct nacre_span payload)
{
	struct nacre_reader reader = nacre_reader_of(payload);
	uint8_t message = nacre_get_byte(&reader);

	if (!message_is_legal(transport, message))
		return transport_fail(transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR, "message %u during key exchange%s", message,
		    transport->strict ? " (strict KEX violation)" : "");
	if (message == MESSAGE_KEXINIT)
		return exchange_receive_kexinit(transport, payload);
	if (message >= MESSAGE_KEX_INIT && message <= MESSAGE_KEX_LAST)
		return receive_exchange(transport, message, &reader);
	for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++)
		if (messages[i].message == message)
			return messages[i].receive(transport, &reader);
	if (message == MESSAGE_SERVICE_REQUEST || message == MESSAGE_SERVICE_ACCEPT ||
	    (message >= 50 && message <= 127))
		return 1;
	transport_unimplemented(transport);
	return 0;
}

void
transport_unimplemented(struct transport *transport)
{
	nacre_put_u32(
	    transport_begin(transport, MESSAGE_UNIMPLEMENTED), transport->receive.sequence - 1);
	transport_end(transport);
}

/* Sent on request --------------------------------------------------------------------------- */

int
transport_ignore(struct transport *transport, struct nacre_span data)
{
	nacre_put_string_span(transport_begin(transport, MESSAGE_IGNORE), data);
	return transport_end(transport);
}

int
transport_debug(struct transport *transport, bool always_display, const char *text)
{
	struct nacre_buffer *message = transport_begin(transport, MESSAGE_DEBUG);

	nacre_put_boolean(message, always_display);
	nacre_put_cstring(message, text);
	nacre_put_cstring(message, "");
	return transport_end(transport);
}

int
transport_ping(struct transport *transport, struct nacre_span data)
{
	size_t last = (transport->ping_first + transport->ping_count) % PING_MAX;

	if (!transport_peer_extension(transport, "ping@openssh.com", NULL))
		return NACRE_ERROR_UNSUPPORTED;
	if (transport->ping_count == PING_MAX)
		return NACRE_ERROR_MEMORY;
	transport->pings[last] = transport->now;
	transport->ping_count++;
	nacre_put_string_span(transport_begin(transport, MESSAGE_PING), data);
	return transport_end(transport);
}
