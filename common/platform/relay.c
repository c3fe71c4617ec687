/* Channels and descriptors, joined: see nacre/relay.h. */
#include <nacre/relay.h>

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS_MOST 16 /* packets from one source before others are looked at */
#define FLUSH_AT    ((size_t)32 * 1024)
/* How long a reader is waited for before the data is set aside. */
#define SINK_PATIENCE_MS 50

static void end_ready(struct nacre_watch *watch, unsigned what);

void
nacre_relay_init(struct nacre_relay *relay, struct nacre_relay_host *host, uint32_t channel)
{
	*relay = (struct nacre_relay){.host = host, .channel = channel, .last_active = host->now};
	for (size_t i = 0; i < NACRE_RELAY_ENDS; i++) {
		struct nacre_relay_end *const end = &relay->ends[i];

		end->relay = relay;
		nacre_watch_init(&end->watch, host->poller, -1, end_ready, end);
	}
}

void
nacre_relay_add(struct nacre_relay *relay, size_t number, int fd, bool source, bool sink,
    enum nacre_stream stream)
{
	struct nacre_relay_end *const end = &relay->ends[number];

	end->watch.fd = fd;
	end->source = source;
	end->sink = sink;
	end->stream = stream;
}

static void
want_more(struct nacre_relay_end *end, unsigned what)
{
	nacre_watch_want(&end->watch, end->watch.wanted | what);
}

static void
want_less(struct nacre_relay_end *end, unsigned what)
{
	nacre_watch_want(&end->watch, end->watch.wanted & ~what);
}

void
nacre_relay_release(struct nacre_relay *relay)
{
	for (size_t i = 0; i < NACRE_RELAY_ENDS; i++) {
		relay->ends[i].source = relay->ends[i].sink = false;
		nacre_watch_close(&relay->ends[i].watch);
	}
}

void
nacre_relay_close(struct nacre_relay *relay)
{
	if (!relay->closing)
		nacre_channel_close(relay->host->session, relay->channel);
	relay->closing = true;
	nacre_relay_release(relay);
}

/* The ends of the two directions --------------------------------------------------------------- */

static bool
any_source(const struct nacre_relay *relay)
{
	for (size_t i = 0; i < NACRE_RELAY_ENDS; i++)
		if (relay->ends[i].source)
			return true;
	return false;
}

static bool
any_sink(const struct nacre_relay *relay)
{
	for (size_t i = 0; i < NACRE_RELAY_ENDS; i++)
		if (relay->ends[i].sink)
			return true;
	return false;
}

/* A connection has two halves, and is over with both. */
static void
settle(struct nacre_relay *relay)
{
	if (!relay->started || relay->closing || any_source(relay))
		return;
	if (!relay->eof_sent)
		nacre_channel_eof(relay->host->session, relay->channel);
	relay->eof_sent = true;
	if (!relay->is_session && !any_sink(relay))
		nacre_relay_close(relay);
}

static void
drop_half(struct nacre_relay_end *end, bool *half, unsigned what)
{
	*half = false;
	want_less(end, what);
	if (!end->source && !end->sink)
		nacre_watch_close(&end->watch);
}

static void
sink_ended(struct nacre_relay_end *end)
{
	if (end->source)
		shutdown(end->watch.fd, SHUT_WR);
	drop_half(end, &end->sink, NACRE_POLL_WRITE);
	settle(end->relay);
}

static void
drop_data(struct nacre_relay *relay, enum nacre_stream stream)
{
	struct nacre_session *const session = relay->host->session;
	struct nacre_span data;

	while ((data = nacre_channel_data(session, relay->channel, stream)).length > 0)
		nacre_channel_consume(session, relay->channel, stream, data.length);
}

/* Nobody reads it any more: the peer of a session may stop sending; what comes is dropped. */
static void
sink_broken(struct nacre_relay_end *end)
{
	struct nacre_relay *const relay = end->relay;

	if (relay->is_session && end->stream == NACRE_STREAM_DATA)
		nacre_channel_request_eow(relay->host->session, relay->channel);
	drop_data(relay, end->stream);
	sink_ended(end);
}

/* Nobody is at the other end of a connection, not even to read. */
static bool
hung_up(int fd)
{
	struct pollfd polled = {.fd = fd};

	return poll(&polled, 1, 0) > 0 && (polled.revents & (POLLHUP | POLLERR)) != 0;
}

static void
source_ended(struct nacre_relay_end *end)
{
	const bool both = !end->relay->is_session && end->sink && hung_up(end->watch.fd);

	drop_half(end, &end->source, NACRE_POLL_READ);
	if (both)
		sink_broken(end);
	else
		settle(end->relay);
}

/* From a descriptor to the channel ------------------------------------------------------------- */

/* One packet; false when there is nothing to read, no room, or the end. */
static bool
send_packet(struct nacre_relay_end *end)
{
	struct nacre_relay *const relay = end->relay;
	struct nacre_session *const session = relay->host->session;
	size_t length;
	uint8_t *const room = nacre_channel_room(session, relay->channel, end->stream, &length);

	if (room == NULL) {
		want_less(end, NACRE_POLL_READ); /* CHANNEL_WRITABLE will come */
		return false;
	}
	const ssize_t count = read(end->watch.fd, room, length);
	const int error = errno;
	nacre_channel_commit(session, relay->channel, count > 0 ? (size_t)count : 0);
	if (count > 0) {
		relay->last_active = relay->host->now;
		return (size_t)count == length;
	}
	if (count == 0 || (error != EAGAIN && error != EINTR))
		source_ended(end);
	return false;
}

static void
pump_out(struct nacre_relay_end *end)
{
	const struct nacre_relay_host *const host = end->relay->host;
	bool more = true;

	want_more(end, NACRE_POLL_READ);
	for (int round = 0; more && round < ROUNDS_MOST; round++) {
		more = send_packet(end);
		if (nacre_session_output(host->session).length >= FLUSH_AT)
			host->flush(host->context);
	}
}

/* From the channel to a descriptor ------------------------------------------------------------- */

/* A reader that is a little slower than the network is waited for, so that the data stays where it
 * is; the network waits meanwhile. Not when there is other work, and not again for one that stands
 * still. */
static bool
await_sink(struct nacre_relay_end *end)
{
	struct nacre_relay *const relay = end->relay;
	int sources[NACRE_RELAY_ENDS];
	size_t count = 0;

	if (relay->stalled || nacre_session_channel_count(relay->host->session) != 1)
		return false;
	for (size_t i = 0; i < NACRE_RELAY_ENDS; i++)
		if (relay->ends[i].source)
			sources[count++] = relay->ends[i].watch.fd;
	relay->host->flush(relay->host->context);
	relay->stalled =
	    !nacre_poller_wait_writable(end->watch.fd, sources, count, SINK_PATIENCE_MS);
	return !relay->stalled;
}

/* False when the sink takes no more for now, or for ever. */
static bool
write_some(struct nacre_relay_end *end, struct nacre_span data)
{
	struct nacre_relay *const relay = end->relay;
	const ssize_t count = write(end->watch.fd, data.data, data.length);

	if (count >= 0) {
		relay->last_active = relay->host->now;
		nacre_channel_consume(
		    relay->host->session, relay->channel, end->stream, (size_t)count);
		return true;
	}
	if (errno == EINTR)
		return true;
	if (errno != EAGAIN) {
		sink_broken(end);
		return false;
	}
	if (await_sink(end))
		return true;
	want_more(end, NACRE_POLL_WRITE);
	return false;
}

static void
pump_in(struct nacre_relay_end *end)
{
	struct nacre_relay *const relay = end->relay;
	struct nacre_span data;

	while (
	    (data = nacre_channel_data(relay->host->session, relay->channel, end->stream)).length >
	    0)
		if (!write_some(end, data))
			return;
	relay->stalled = false;
	want_less(end, NACRE_POLL_WRITE);
	if (relay->peer_eof)
		sink_ended(end);
}

static void
end_ready(struct nacre_watch *watch, unsigned what)
{
	struct nacre_relay_end *const end = watch->owner;

	if (end->sink && (what & (NACRE_POLL_WRITE | NACRE_POLL_HANGUP)) != 0)
		pump_in(end);
	if (end->source && (what & (NACRE_POLL_READ | NACRE_POLL_HANGUP)) != 0)
		pump_out(end);
}

/* Events of the channel ------------------------------------------------------------------------ */

void
nacre_relay_received(struct nacre_relay *relay, enum nacre_stream stream)
{
	bool taken = false;

	if (!relay->started || relay->closing)
		return;
	for (size_t i = 0; i < NACRE_RELAY_ENDS; i++)
		if (relay->ends[i].sink && relay->ends[i].stream == stream) {
			pump_in(&relay->ends[i]);
			taken = true;
		}
	if (!taken)
		drop_data(relay, stream);
}

void
nacre_relay_start(struct nacre_relay *relay)
{
	relay->started = true;
	relay->last_active = relay->host->now;
	for (size_t i = 0; i < NACRE_RELAY_ENDS; i++)
		if (relay->ends[i].source)
			want_more(&relay->ends[i], NACRE_POLL_READ);
	nacre_relay_received(relay, NACRE_STREAM_DATA);
	nacre_relay_received(relay, NACRE_STREAM_STDERR);
	settle(relay);
}

void
nacre_relay_writable(struct nacre_relay *relay)
{
	for (size_t i = 0; i < NACRE_RELAY_ENDS; i++)
		if (relay->started && relay->ends[i].source)
			pump_out(&relay->ends[i]);
}

void
nacre_relay_eof(struct nacre_relay *relay)
{
	relay->peer_eof = true;
	for (size_t i = 0; i < NACRE_RELAY_ENDS; i++)
		if (relay->started && relay->ends[i].sink)
			pump_in(&relay->ends[i]);
	settle(relay);
}

void
nacre_relay_end_sources(struct nacre_relay *relay)
{
	for (size_t i = 0; i < NACRE_RELAY_ENDS; i++)
		if (relay->ends[i].source)
			source_ended(&relay->ends[i]);
}
