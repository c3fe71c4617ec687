/*
 * A transport without packets, for tests of the layers above it: what one end sends, the test hands
 * to the other end, changes, or makes up. Defines all of transport_...() that those layers use, so
 * that the linker takes none of the real one.
 */
#ifndef FAKE_TRANSPORT_H
#define FAKE_TRANSPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <connection/session.h>

#define FAKE_MESSAGES 4096

struct transport {
	enum nacre_role role;
	uint64_t now;
	uint32_t round_trip;
	struct nacre_buffer packet;
	struct nacre_buffer sent[FAKE_MESSAGES]; /* type byte and payload */
	size_t sent_first, sent_count;
	uint8_t room[64 * 1024];
	bool established, encrypted, compresses, full, host_bound;
	const char *host_key;
	bool failed;
	int error;
	enum nacre_disconnect_reason reason;
	char text[512];
	unsigned authenticated, unimplemented, copied, ignores;
	const char *peer_software;
};

/* One end: a session over such a transport, and the message it looks at. */
struct end {
	struct nacre_session session;
	struct transport transport;
	uint8_t *message;
};

static inline void
fake_queue(struct transport *transport, const void *data, size_t length)
{
	struct nacre_buffer *slot;

	assert_true(transport->sent_count - transport->sent_first < FAKE_MESSAGES);
	slot = &transport->sent[transport->sent_count++ % FAKE_MESSAGES];
	nacre_buffer_clear(slot);
	nacre_put_bytes(slot, data, length);
}

enum nacre_role
transport_role(const struct transport *transport)
{
	return transport->role;
}

bool
transport_peer_is(const struct transport *transport, const char *software)
{
	return transport->peer_software != NULL && strcmp(transport->peer_software, software) == 0;
}

uint64_t
transport_now(const struct transport *transport)
{
	return transport->now;
}

uint32_t
transport_round_trip(const struct transport *transport)
{
	return transport->round_trip;
}

struct nacre_buffer *
transport_begin(struct transport *transport, uint8_t message)
{
	nacre_buffer_clear(&transport->packet);
	nacre_put_byte(&transport->packet, message);
	return &transport->packet;
}

int
transport_end(struct transport *transport)
{
	struct nacre_span packet = nacre_buffer_span(&transport->packet);

	if (transport->packet.failed)
		return NACRE_ERROR_MEMORY;
	fake_queue(transport, packet.data, packet.length);
	transport->copied++;
	return 0;
}

uint8_t *
transport_room(struct transport *transport, size_t prefix, size_t *length)
{
	if (transport->full || transport->compresses)
		return NULL;
	if (*length > sizeof transport->room - prefix)
		*length = sizeof transport->room - prefix;
	return transport->room;
}

int
transport_commit(struct transport *transport, size_t length)
{
	if (length > 0)
		fake_queue(transport, transport->room, length);
	return 0;
}

bool
transport_can_send_bulk(const struct transport *transport)
{
	return !transport->full;
}

bool
transport_compresses(const struct transport *transport)
{
	return transport->compresses;
}

int
transport_fail(struct transport *transport, int error, enum nacre_disconnect_reason reason,
    const char *format, ...)
{
	va_list arguments;

	transport->failed = true;
	transport->error = error;
	transport->reason = reason;
	va_start(arguments, format);
	vsnprintf(transport->text, sizeof transport->text, format, arguments);
	va_end(arguments);
	return error;
}

bool
transport_failed(const struct transport *transport)
{
	return transport->failed;
}

void
transport_log(struct transport *transport, enum nacre_log_level level, const char *format, ...)
{
	(void)transport, (void)level, (void)format;
}

void
transport_unimplemented(struct transport *transport)
{
	transport->unimplemented++;
}

int
transport_ignore(struct transport *transport, struct nacre_span data)
{
	(void)data;
	transport->ignores++;
	return 0;
}

bool
transport_established(const struct transport *transport)
{
	return transport->established;
}

struct nacre_span
transport_session_identifier(const struct transport *transport)
{
	return nacre_span_of(transport->established ? "session identifier" : "");
}

bool
transport_encrypted(const struct transport *transport)
{
	return transport->encrypted;
}

struct nacre_span
transport_host_key(const struct transport *transport)
{
	return nacre_span_of(transport->host_key);
}

bool
transport_peer_extension(
    const struct transport *transport, const char *name, struct nacre_span *value)
{
	*value = nacre_span_of("0");
	return transport->host_bound && strcmp(name, "publickey-hostbound@openssh.com") == 0;
}

void
transport_watch(struct transport *transport)
{
	(void)transport;
}

bool
transport_watched_refused(const struct transport *transport)
{
	(void)transport;
	return false;
}

void
transport_algorithms(const struct transport *transport, struct nacre_session_algorithms *algorithms)
{
	(void)transport;
	*algorithms = (struct nacre_session_algorithms){.compression_client_to_server = "none"};
}

int
transport_authenticated(struct transport *transport)
{
	transport->authenticated++;
	return 0;
}

/* Ends --------------------------------------------------------------------------------------- */

static inline struct end *
end_new(enum nacre_role role, uint32_t channel_limit, uint32_t window_limit)
{
	struct end *end = calloc(1, sizeof *end);
	struct nacre_session_options options = {
	    .role = role, .channel_limit = channel_limit, .window_limit = window_limit};

	assert_non_null(end);
	end->transport.role = role;
	end->transport.established = end->transport.encrypted = true;
	end->transport.host_key = "host key";
	end->transport.round_trip = 10;
	end->transport.now = 1000;
	end->session.transport = &end->transport;
	assert_int_equal(userauth_new(&end->transport, &end->session.userauth), 0);
	assert_int_equal(connection_new(&end->transport, &options, &end->session.connection), 0);
	return end;
}

static inline void
end_free(struct end *end)
{
	connection_free(end->session.connection);
	userauth_free(end->session.userauth);
	for (size_t i = 0; i < FAKE_MESSAGES; i++)
		nacre_buffer_free(&end->transport.sent[i]);
	nacre_buffer_free(&end->transport.packet);
	free(end->message);
	free(end);
}

/* How many messages wait to be taken from this end; its next one. */
static inline size_t
end_sent(const struct end *end)
{
	return end->transport.sent_count - end->transport.sent_first;
}

static inline struct nacre_span
end_peek(const struct end *end)
{
	return nacre_buffer_span(&end->transport.sent[end->transport.sent_first % FAKE_MESSAGES]);
}

static inline void
end_drop(struct end *end)
{
	assert_true(end_sent(end) > 0);
	end->transport.sent_first++;
}

/* Takes the next message of "end" and asserts its type; the payload is valid until it sends
 * FAKE_MESSAGES more. */
static inline struct nacre_reader
end_take(struct end *end, uint8_t message)
{
	struct nacre_reader reader;

	assert_true(end_sent(end) > 0);
	reader = nacre_reader_of(end_peek(end));
	assert_int_equal(nacre_get_byte(&reader), message);
	end_drop(end);
	return reader;
}

/* Hands a message to an end, in memory of exactly its size. */
static inline int
end_receive(struct end *end, struct nacre_span message, struct nacre_event *event)
{
	struct nacre_reader reader;
	uint8_t type = message.data[0];

	connection_settle(end->session.connection);
	free(end->message);
	end->message = malloc(message.length > 1 ? message.length - 1 : 1);
	assert_non_null(end->message);
	memcpy(end->message, message.data + 1, message.length - 1);
	reader = nacre_reader_of((struct nacre_span){end->message, message.length - 1});
	memset(event, 0, sizeof *event);
	if (type == 5)
		return userauth_service_request(end->session.userauth, nacre_get_string(&reader));
	if (type == 6)
		return userauth_service_accept(end->session.userauth, nacre_get_string(&reader));
	if (type < 80)
		return userauth_message(end->session.userauth, type, &reader, event);
	return connection_message(end->session.connection, type, &reader, event);
}

/* The next event of "end", whose peer is "peer": what nacre_session_next_event() does. */
static inline bool
end_next(struct end *end, struct end *peer, struct nacre_event *event)
{
	connection_settle(end->session.connection);
	for (;;) {
		if (end->transport.failed)
			return false;
		if (userauth_blocked(end->session.userauth))
			return userauth_pending(end->session.userauth, event) == 1;
		if (connection_pending(end->session.connection, event) == 1)
			return true;
		if (peer == NULL || end_sent(peer) == 0)
			return userauth_pending(end->session.userauth, event) == 1;
		peer->transport.sent_first++;
		if (end_receive(end,
			nacre_buffer_span(&peer->transport.sent[(peer->transport.sent_first - 1) %
								FAKE_MESSAGES]),
			event) == 1)
			return true;
	}
}

/* The next event, which must be of this kind. */
static inline struct nacre_event
end_expect(struct end *end, struct end *peer, enum nacre_event_kind kind)
{
	struct nacre_event event;

	if (!end_next(end, peer, &event))
		fail_msg("no event, wanted %d; error \"%s\"", kind, end->transport.text);
	assert_int_equal(event.kind, kind);
	return event;
}

static inline void
end_quiet(struct end *end, struct end *peer)
{
	struct nacre_event event;

	if (end_next(end, peer, &event))
		fail_msg("event %d, wanted none", event.kind);
	assert_string_equal(end->transport.text, "");
}

/* Hands over a made-up message that must end the session with a text that holds "text". */
static inline void
end_expect_failure(struct end *end, const struct nacre_buffer *message, const char *text)
{
	struct nacre_event event;

	assert_true(end_receive(end, nacre_buffer_span(message), &event) < 0);
	assert_true(end->transport.failed);
	if (strstr(end->transport.text, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", end->transport.text, text);
}

#endif
