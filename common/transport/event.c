/*
 * What the transport tells: a bounded queue of log lines and events, and the end of the connection.
 */
#include <transport/state.h>

#include <stdio.h>
#include <string.h>

#define EVENTS_LIMIT ((size_t)256 * 1024)
#define LINE_LENGTH  1024

void
event_put(
    struct transport *transport, enum nacre_event_kind kind, uint8_t detail, struct nacre_span text)
{
	struct nacre_buffer *events = &transport->events;

	if (kind == NACRE_EVENT_LOG &&
	    nacre_buffer_length(events) + text.length > EVENTS_LIMIT - LINE_LENGTH)
		return;
	nacre_put_byte(events, (uint8_t)kind);
	nacre_put_byte(events, detail);
	nacre_put_string_span(events, text);
}

static void
event_ended(struct transport *transport, struct nacre_event *event)
{
	transport->ending = ENDING_TOLD;
	*event = (struct nacre_event){.kind = NACRE_EVENT_DISCONNECTED};
	event->u.disconnected.by_peer = transport->end_by_peer;
	event->u.disconnected.error = transport->end_error;
	event->u.disconnected.reason = transport->end_reason;
	event->u.disconnected.text = nacre_buffer_span(&transport->end_text);
}

static void
event_host_key(struct transport *transport, struct nacre_event *event)
{
	event->u.host_key.blob = nacre_buffer_span(&transport->exchange->host_key);
	event->u.host_key.algorithm = nacre_span_of(transport->exchange->signature_name);
}

static void
event_sign(struct transport *transport, struct nacre_event *event)
{
	struct exchange *exchange = transport->exchange;

	event->u.sign.blob = nacre_buffer_span(&exchange->host_key);
	event->u.sign.algorithm = nacre_span_of(exchange->signature_name);
	event->u.sign.data =
	    (struct nacre_span){exchange->hash, exchange->chosen.kex->hash->length};
	event->u.sign.exchange_hash = true;
}

/* The text moves to a buffer of its own: lines may be added while the caller looks at it. */
static struct nacre_span
event_text(struct transport *transport, struct nacre_span text)
{
	nacre_buffer_clear(&transport->event_text);
	nacre_put_span(&transport->event_text, text);
	return nacre_buffer_span(&transport->event_text);
}

static void
event_decode(struct transport *transport, struct nacre_event *event)
{
	struct nacre_reader reader = nacre_reader_of(nacre_buffer_span(&transport->events));
	uint8_t detail;
	struct nacre_span text;
	size_t before = reader.length;

	*event = (struct nacre_event){.kind = nacre_get_byte(&reader)};
	detail = nacre_get_byte(&reader);
	text = event_text(transport, nacre_get_string(&reader));
	nacre_buffer_consume(&transport->events, before - reader.length);
	if (event->kind == NACRE_EVENT_LOG) {
		event->u.log.level = detail;
		event->u.log.text = text;
	} else if (event->kind == NACRE_EVENT_KEYS_EXCHANGED) {
		event->u.keys_exchanged.first = detail != 0;
	} else if (event->kind == NACRE_EVENT_HOST_KEY) {
		event_host_key(transport, event);
	} else if (event->kind == NACRE_EVENT_SIGN) {
		event_sign(transport, event);
	} else {
		event->u.text = text;
	}
}

/* A question that can no longer be answered is not asked. */
static bool
event_is_stale(const struct transport *transport, enum nacre_event_kind kind)
{
	return (kind == NACRE_EVENT_HOST_KEY || kind == NACRE_EVENT_SIGN) &&
	       (transport->exchange == NULL || transport->ending != ENDING_NONE);
}

bool
event_take(struct transport *transport, struct nacre_event *event)
{
	while (nacre_buffer_length(&transport->events) > 0) {
		event_decode(transport, event);
		if (!event_is_stale(transport, event->kind))
			return true;
	}
	if (transport->ending == ENDING_UNTOLD) {
		event_ended(transport, event);
		return true;
	}
	return false;
}

void
event_end(
    struct transport *transport, bool by_peer, int error, uint32_t reason, struct nacre_span text)
{
	if (transport->ending != ENDING_NONE)
		return;
	transport->ending = ENDING_UNTOLD;
	transport->end_by_peer = by_peer;
	transport->end_error = error;
	transport->end_reason = reason;
	nacre_put_span(&transport->end_text, text);
}

static void
disconnect_send(
    struct transport *transport, enum nacre_disconnect_reason reason, struct nacre_span text)
{
	struct nacre_buffer *message = transport_begin(transport, MESSAGE_DISCONNECT);

	nacre_put_u32(message, (uint32_t)reason);
	nacre_put_string_span(message, text);
	nacre_put_cstring(message, "");
	output_urgent(transport);
}

int
transport_disconnect(
    struct transport *transport, enum nacre_disconnect_reason reason, const char *text)
{
	struct nacre_span span = nacre_span_of(text);

	if (transport->ending != ENDING_NONE)
		return NACRE_ERROR_CLOSED;
	disconnect_send(transport, reason, span);
	event_end(transport, false, NACRE_ERROR_CLOSED, (uint32_t)reason, span);
	return 0;
}

int
transport_fail(struct transport *transport, int error, enum nacre_disconnect_reason reason,
    const char *format, ...)
{
	char text[LINE_LENGTH];
	va_list arguments;

	if (transport->ending != ENDING_NONE)
		return error;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	/* A peer that has not said that it speaks SSH gets no packet. */
	if (transport->peer_identification != NULL)
		disconnect_send(transport, reason, nacre_span_of(text));
	event_end(transport, false, error, (uint32_t)reason, nacre_span_of(text));
	return error;
}

bool
transport_failed(const struct transport *transport)
{
	return transport->ending != ENDING_NONE;
}

void
transport_log(struct transport *transport, enum nacre_log_level level, const char *format, ...)
{
	char text[LINE_LENGTH];
	va_list arguments;

	if (level > transport->log_level)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	event_put(transport, NACRE_EVENT_LOG, (uint8_t)level, nacre_span_of(text));
}
