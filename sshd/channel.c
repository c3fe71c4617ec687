/*
 * Joins a channel to descriptors. Data is read straight into the packet that will carry it and
 * written straight from the buffer that it was decrypted in.
 */
#include "user_session.h"

#include <nacre/log.h>

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS_MOST 16 /* packets from one source before others are looked at */
#define FLUSH_AT    ((size_t)32 * 1024)
/* How long a program that does not take its input is waited for before the data is set aside. */
#define SINK_PATIENCE_MS 50

struct channel *
channel_add(struct user_session *user, uint32_t number)
{
	struct channel *channel = calloc(1, sizeof *channel);

	if (channel == NULL)
		nacre_fatal("out of memory");
	channel->user = user;
	channel->number = number;
	channel->child = channel->terminal = -1;
	for (size_t i = 0; i < CHANNEL_ENDPOINTS; i++) {
		endpoint_init(&channel->endpoints[i]);
		channel->endpoints[i].channel = channel;
		channel->endpoints[i].ready = channel_endpoint_ready;
	}
	channel->next = user->channels;
	user->channels = channel;
	user->channels_opened++;
	nacre_channel_set_context(user->session, number, channel);
	return channel;
}

void
channel_is_bulk(struct channel *channel)
{
	channel->user->bulk_channels += !channel->bulk;
	channel->bulk = true;
	user_mark_packets(channel->user);
}

/* What the channel is joined to. */
static void
release(struct channel *channel)
{
	if (channel->sftp != NULL)
		endpoint_forget(channel->user, &channel->endpoints[0]);
	for (size_t i = 0; i < CHANNEL_ENDPOINTS; i++)
		endpoint_close(channel->user, &channel->endpoints[i]);
	nacre_sftp_thread_stop(channel->sftp);
	channel->sftp = NULL;
}

void
channel_remove(struct channel *channel)
{
	struct user_session *user = channel->user;

	if (channel->gone)
		return;
	channel->gone = user->something_gone = true;
	if (channel->bulk) {
		user->bulk_channels--;
		user_mark_packets(user);
	}
	release(channel);
	x11_end(channel);
	terminal_release(channel);
	if (channel->terminal >= 0)
		close(channel->terminal);
	channel->terminal = -1;
	if (channel->is_session)
		user->session_count--;
}

static void
channel_free(struct channel *channel)
{
	environment_free(&channel->environment);
	free(channel->term);
	free(channel->target);
	if (channel->addresses != NULL)
		freeaddrinfo(channel->addresses);
	free(channel);
}

void
channel_free_gone(struct user_session *user)
{
	struct channel **at = &user->channels;

	while (*at != NULL) {
		struct channel *channel = *at;
		if (!channel->gone) {
			at = &channel->next;
			continue;
		}
		*at = channel->next;
		channel_free(channel);
	}
}

struct channel *
channel_by_child(struct user_session *user, pid_t child)
{
	for (struct channel *channel = user->channels; channel != NULL; channel = channel->next)
		if (channel->child == child && !channel->gone)
			return channel;
	return NULL;
}

static bool
has_source(const struct channel *channel)
{
	for (size_t i = 0; i < CHANNEL_ENDPOINTS; i++)
		if (channel->endpoints[i].source)
			return true;
	return false;
}

void
channel_settle(struct channel *channel)
{
	struct nacre_session *session = channel->user->session;

	if (channel->gone || !channel->opened || has_source(channel) || channel->sftp != NULL)
		return;
	if (channel->is_session && !channel->started)
		return;
	/* Some clients (dropbear's) close as soon as both sides have sent EOF, and the exit status
	 * would be too late: it comes first. */
	if (channel->is_session && channel->child >= 0 &&
	    nacre_channel_at_eof(session, channel->number, true))
		return;
	if (!channel->eof_sent)
		nacre_channel_eof(session, channel->number);
	channel->eof_sent = true;
	/* A program's end is the channel's; a forwarded connection has two halves. */
	if (channel->is_session ? channel->child < 0 : !channel->endpoints[0].sink)
		channel_close(channel);
}

void
channel_close(struct channel *channel)
{
	channel->closing = true;
	nacre_channel_close(channel->user->session, channel->number);
	release(channel);
}

static void
want_more(struct endpoint *endpoint, unsigned what)
{
	endpoint_want(endpoint->channel->user, endpoint, endpoint->wanted | what);
}

static void
want_less(struct endpoint *endpoint, unsigned what)
{
	endpoint_want(endpoint->channel->user, endpoint, endpoint->wanted & ~what);
}

static void
drop_half(struct endpoint *endpoint, bool *half, unsigned what)
{
	*half = false;
	want_less(endpoint, what);
	if (!endpoint->source && !endpoint->sink)
		endpoint_close(endpoint->channel->user, endpoint);
}

/* The halves of a connection ----------------------------------------------------------- */

static void
sink_ended(struct channel *channel)
{
	struct endpoint *endpoint = &channel->endpoints[0];
	bool socket = endpoint->source && !channel->has_terminal;

	if (channel->has_terminal)
		return;
	if (socket)
		shutdown(endpoint->fd, SHUT_WR);
	drop_half(endpoint, &endpoint->sink, NACRE_POLL_WRITE);
	channel_settle(channel);
}

/* Nobody reads it any more: the peer may stop sending. */
static void
sink_broken(struct channel *channel)
{
	struct nacre_session *session = channel->user->session;

	nacre_channel_discard(session, channel->number);
	if (channel->is_session)
		nacre_channel_request_eow(session, channel->number);
	sink_ended(channel);
}

/* Nobody is at the other end of a connection, not even to read. */
static bool
hung_up(int fd)
{
	struct pollfd polled = {.fd = fd};

	return poll(&polled, 1, 0) > 0 && (polled.revents & (POLLHUP | POLLERR)) != 0;
}

static void
source_ended(struct endpoint *endpoint)
{
	struct channel *channel = endpoint->channel;
	bool both = !channel->is_session && endpoint->sink && hung_up(endpoint->fd);

	/* A terminal that was hung up takes nothing any more either. */
	if (channel->has_terminal)
		endpoint->sink = false;
	drop_half(endpoint, &endpoint->source, NACRE_POLL_READ);
	if (both)
		sink_broken(channel);
	else
		channel_settle(channel);
}

/* From a descriptor to the channel ----------------------------------------------------------- */

/* One packet; false when there is nothing to read, no room, or the end. */
static bool
send_packet(struct endpoint *endpoint)
{
	struct channel *channel = endpoint->channel;
	struct nacre_session *session = channel->user->session;
	size_t length;
	uint8_t *room = nacre_channel_room(session, channel->number, endpoint->stream, &length);

	if (room == NULL) {
		want_less(endpoint, NACRE_POLL_READ); /* CHANNEL_WRITABLE will come */
		return false;
	}
	ssize_t count = read(endpoint->fd, room, length);
	int error = errno;
	nacre_channel_commit(session, channel->number, count > 0 ? (size_t)count : 0);
	if (count > 0) {
		timeout_reset(channel);
		return (size_t)count == length;
	}
	if (count == 0 || (error != EAGAIN && error != EINTR))
		source_ended(endpoint);
	return false;
}

static void
pump_out(struct endpoint *endpoint)
{
	struct user_session *user = endpoint->channel->user;
	bool more = true;

	want_more(endpoint, NACRE_POLL_READ);
	for (int round = 0; more && round < ROUNDS_MOST; round++) {
		more = send_packet(endpoint);
		if (nacre_session_output(user->session).length >= FLUSH_AT)
			user_flush(user);
	}
}

/* From the channel to a descriptor ----------------------------------------------------------- */

/* A program that reads a little more slowly than the network delivers is waited for, so that the
 * data stays where it is; the network waits meanwhile. Not when there is other work, and not again
 * for one that stands still. */
static bool
await_sink(struct channel *channel)
{
	struct user_session *user = channel->user;
	int sources[CHANNEL_ENDPOINTS];
	size_t count = 0;

	if (channel->stalled || channel->has_terminal ||
	    nacre_session_channel_count(user->session) != 1)
		return false;
	for (size_t i = 0; i < CHANNEL_ENDPOINTS; i++)
		if (channel->endpoints[i].source)
			sources[count++] = channel->endpoints[i].fd;
	user_flush(user);
	channel->stalled =
	    !nacre_poller_wait_writable(channel->endpoints[0].fd, sources, count, SINK_PATIENCE_MS);
	return !channel->stalled;
}

static void
pump_in(struct channel *channel)
{
	struct endpoint *endpoint = &channel->endpoints[0];
	struct nacre_session *session = channel->user->session;
	struct nacre_span data;

	while (
	    endpoint->sink && !channel->connecting &&
	    (data = nacre_channel_data(session, channel->number, NACRE_STREAM_DATA)).length > 0) {
		ssize_t count = write(endpoint->fd, data.data, data.length);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0 && errno == EAGAIN) {
			if (await_sink(channel))
				continue;
			want_more(endpoint, NACRE_POLL_WRITE);
			return;
		}
		if (count < 0) {
			sink_broken(channel);
			return;
		}
		timeout_reset(channel);
		nacre_channel_consume(session, channel->number, NACRE_STREAM_DATA, (size_t)count);
	}
	if (endpoint->sink && !channel->connecting) {
		channel->stalled = false;
		want_less(endpoint, NACRE_POLL_WRITE);
		if (channel->peer_eof)
			sink_ended(channel);
	}
}

void
channel_endpoint_ready(struct user_session *user, struct endpoint *endpoint, unsigned what)
{
	struct channel *channel = endpoint->channel;
	(void)user;

	if (channel->gone)
		return;
	if (endpoint->sink && (what & (NACRE_POLL_WRITE | NACRE_POLL_HANGUP)) != 0)
		pump_in(channel);
	if (endpoint->source && (what & (NACRE_POLL_READ | NACRE_POLL_HANGUP)) != 0)
		pump_out(endpoint);
}

/* Events of the channel ---------------------------------------------------------------------- */

void
channel_start(struct channel *channel)
{
	if (!channel->opened || channel->gone || channel->sftp != NULL)
		return;
	for (size_t i = 0; i < CHANNEL_ENDPOINTS; i++)
		if (channel->endpoints[i].source)
			want_more(&channel->endpoints[i], NACRE_POLL_READ);
	pump_in(channel);
	channel_settle(channel);
}

void
channel_received(struct channel *channel)
{
	struct nacre_session *session = channel->user->session;

	if (channel->tunnel_mode != 0)
		tunnel_received(channel);
	else if (channel->sftp != NULL)
		sftp_received(channel);
	else if (channel->endpoints[0].sink)
		pump_in(channel);
	else if (channel->started)
		nacre_channel_discard(session, channel->number);
	/* The other direction of standard error has no reader. */
	struct nacre_span extended =
	    nacre_channel_data(session, channel->number, NACRE_STREAM_STDERR);
	if (extended.length > 0)
		nacre_channel_consume(
		    session, channel->number, NACRE_STREAM_STDERR, extended.length);
}

void
channel_writable(struct channel *channel)
{
	if (channel->tunnel_mode != 0)
		tunnel_writable(channel);
	if (channel->sftp != NULL)
		sftp_writable(channel);
	for (size_t i = 0; i < CHANNEL_ENDPOINTS; i++)
		if (channel->endpoints[i].source)
			pump_out(&channel->endpoints[i]);
}

void
channel_peer_eof(struct channel *channel)
{
	channel->peer_eof = true;
	if (channel->tunnel_mode != 0)
		channel_close(channel);
	else if (channel->sftp != NULL)
		nacre_sftp_thread_end_input(channel->sftp);
	else if (channel->endpoints[0].sink && !channel->connecting)
		sink_ended(channel);
}
