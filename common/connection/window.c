/*
 * Flow control, RFC 4254 section 5.2. A receive window starts at 2 MiB and grows while the peer
 * fills a good part of it within a round trip, so that it is never what limits the rate. A program
 * that does not read keeps it from growing, and one that reads more slowly than the peer sends lets
 * it shrink again. All windows together have a bound: what a session can be made to keep in memory.
 */
#include <connection/channel.h>

#define WINDOW_FIRST     2097152u
#define WINDOW_LEAST     PACKET_DATA_MAX
#define WINDOW_ROUNDS    4   /* a window holds what arrives in so many round trips */
#define WINDOW_BATCH     8   /* the peer is told when one part in so many is free */
#define SESSION_WINDOWS  1   /* all windows together: so many of the largest */
#define WINDOW_SHARE     32  /* a new window is at most so small a part of what is left of that */
#define ROUND_TRIP_GUESS 100 /* milliseconds, while none was measured */

uint64_t
window_session_limit(const struct connection *connection)
{
	return (uint64_t)connection->window_limit * SESSION_WINDOWS;
}

/* New windows become smaller the more there are, so that a thousand channels fit as well. */
void
window_open(struct connection *connection, struct channel *channel)
{
	uint64_t limit = window_session_limit(connection);
	uint64_t left = limit > connection->granted ? limit - connection->granted : 0;
	uint64_t size = left / WINDOW_SHARE;

	if (size > WINDOW_FIRST)
		size = WINDOW_FIRST;
	if (size > connection->window_limit)
		size = connection->window_limit;
	if (size < WINDOW_LEAST)
		size = WINDOW_LEAST;
	channel->window_first = channel->window_size = channel->receive_window = (uint32_t)size;
	channel->granted = (uint32_t)size;
	connection->granted += size;
}

void
window_close(struct connection *connection, const struct channel *channel)
{
	connection->granted -= channel->granted;
}

/* What the channel can come to hold: of a window that shrinks, the peer has had more already. */
static void
window_account(struct connection *connection, struct channel *channel)
{
	uint32_t held = channel->receive_window + channel->unread;

	connection->granted -= channel->granted;
	channel->granted = held > channel->window_size ? held : channel->window_size;
	connection->granted += channel->granted;
}

static void
window_grow(struct connection *connection, struct channel *channel, uint64_t size)
{
	uint64_t limit = window_session_limit(connection);
	uint64_t others = connection->granted - channel->granted;

	if (size > connection->window_limit)
		size = connection->window_limit;
	if (size > limit || others > limit - size)
		size = limit > others ? limit - others : 0;
	if (size <= channel->window_size)
		return;
	channel->window_size = (uint32_t)size;
	window_account(connection, channel);
	transport_log(connection->transport, NACRE_LOG_DEBUG2,
	    "channel %u: receive window grows to %u bytes", channel->number, channel->window_size);
}

/* Milliseconds in which an answer of the peer to what we do can be there. Rounds that short paths
 * finish within the clock's resolution count as a millisecond. */
static uint32_t
window_round(const struct connection *connection)
{
	uint32_t round_trip = transport_round_trip(connection->transport);

	return (round_trip == UINT32_MAX ? ROUND_TRIP_GUESS : round_trip) + 1;
}

/* Measures what arrives in a round trip. */
static void
window_measure(struct connection *connection, struct channel *channel, size_t length)
{
	uint64_t now = transport_now(connection->transport);
	uint32_t round_trip = window_round(connection);
	uint64_t elapsed, carried;

	if (channel->epoch_bytes == 0)
		channel->epoch_start = now;
	channel->epoch_bytes += length;
	elapsed = now - channel->epoch_start;
	/* Without waiting for the round to end when it has already used up its share. */
	if (elapsed < round_trip && channel->epoch_bytes * WINDOW_ROUNDS <= channel->window_size)
		return;
	carried = elapsed <= round_trip ? channel->epoch_bytes
					: channel->epoch_bytes * round_trip / elapsed;
	channel->epoch_bytes = 0;
	if (carried * WINDOW_ROUNDS > channel->window_size)
		window_grow(connection, channel, (uint64_t)channel->window_size * 2);
}

/* Measures what the program takes in a round trip while most of the window lies unread: as long as
 * a smaller window would keep it busy, the window is halved. Nothing is taken back: the peer gets
 * no more until what is unread and what it may send fit. */
static void
window_follow_program(struct connection *connection, struct channel *channel, size_t length)
{
	uint64_t now = transport_now(connection->transport);
	uint32_t round_trip = window_round(connection);
	uint64_t elapsed, needed;

	if (channel->unread <= channel->window_size / 2) {
		channel->drain_bytes = 0;
		channel->drain_start = now;
		return;
	}
	channel->drain_bytes += length;
	elapsed = now - channel->drain_start;
	if (elapsed < round_trip)
		return;
	needed = channel->drain_bytes * round_trip / elapsed * WINDOW_ROUNDS;
	channel->drain_bytes = 0;
	channel->drain_start = now;
	if (needed > channel->window_size / 2 || channel->window_size / 2 < channel->window_first)
		return;
	channel->window_size /= 2;
	transport_log(connection->transport, NACRE_LOG_DEBUG2,
	    "channel %u: receive window shrinks to %u bytes", channel->number,
	    channel->window_size);
}

bool
window_take(struct connection *connection, struct channel *channel, size_t length)
{
	if (length > channel->receive_window)
		return false;
	channel->receive_window -= (uint32_t)length;
	if (channel->unread <= channel->window_size / 8)
		window_measure(connection, channel, length);
	channel->unread += (uint32_t)length;
	connection->unread += length;
	return true;
}

int
window_update(struct connection *connection, struct channel *channel)
{
	uint32_t held = channel->receive_window + channel->unread;
	uint32_t free_now = channel->window_size > held ? channel->window_size - held : 0;

	if (free_now < channel->window_size / WINDOW_BATCH || channel->eof_received ||
	    channel->close_sent || channel->close_received || channel->state != CHANNEL_OPEN)
		return 0;
	nacre_put_u32(channel_begin(connection, channel, MESSAGE_CHANNEL_WINDOW_ADJUST), free_now);
	channel->receive_window += free_now;
	return transport_end(connection->transport);
}

int
window_drained(struct connection *connection, struct channel *channel, size_t length)
{
	window_follow_program(connection, channel, length);
	channel->unread -= (uint32_t)length;
	connection->unread -= length;
	if (channel->granted != channel->window_size)
		window_account(connection, channel);
	return window_update(connection, channel);
}

int
window_adjust_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event)
{
	static const char name[] = "CHANNEL_WINDOW_ADJUST";
	struct channel *channel = channel_of_message(connection, payload, name);
	uint32_t more = nacre_get_u32(payload);

	(void)event;
	if (channel == NULL)
		return NACRE_ERROR_PROTOCOL;
	if (!nacre_reader_done(payload))
		return connection_malformed(connection, name);
	if (more > UINT32_MAX - channel->send_window)
		return channel_fail(
		    connection, channel->number, name, "the window exceeds 4,294,967,295 bytes");
	channel->send_window += more;
	if (channel->wants_room && channel->send_window > 0)
		channel_list_add(connection, LIST_STALLED, channel);
	return 0;
}
