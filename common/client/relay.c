/* Agent forwarding, the client's end: a channel that the server opens is joined to our agent. */
#include <nacre/log.h>
#include <nacre/relay.h>
#include <nacre/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static int
connect_socket(const char *path)
{
	const int fd = nacre_socket_connect_path(path, 0);

	if (fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
		return fd;
	close(fd);
	return -1;
}

static struct nacre_relay *
free_entry(struct nacre_relays *relays)
{
	for (size_t i = 0; i < relays->used; i++)
		if (relays->list[i].fd < 0)
			return &relays->list[i];
	return relays->used < NACRE_RELAYS_MAX ? &relays->list[relays->used++] : NULL;
}

static void
open_relay(struct nacre_relays *relays, struct nacre_session *session, uint32_t channel,
    const char *agent_path)
{
	const int fd = connect_socket(agent_path);
	struct nacre_relay *const relay = fd >= 0 ? free_entry(relays) : NULL;

	if (relay == NULL) {
		if (fd >= 0)
			close(fd);
		nacre_log(NACRE_LOG_DEBUG1, "agent channel refused: the agent does not answer");
		nacre_channel_refuse(session, channel, NACRE_OPEN_CONNECT_FAILED, "no agent");
		return;
	}
	*relay = (struct nacre_relay){.channel = channel, .fd = fd};
	nacre_channel_accept(session, channel);
	nacre_log(NACRE_LOG_DEBUG1, "channel %u: new authentication agent connection", channel);
}

static struct nacre_relay *
find(struct nacre_relays *relays, uint32_t channel)
{
	for (size_t i = 0; i < relays->used; i++)
		if (relays->list[i].fd >= 0 && relays->list[i].channel == channel)
			return &relays->list[i];
	return NULL;
}

static void
pump_to_agent(struct nacre_relay *relay, struct nacre_session *session)
{
	struct nacre_span data;

	while ((data = nacre_channel_data(session, relay->channel, NACRE_STREAM_DATA)).length > 0) {
		const ssize_t put = send(relay->fd, data.data, data.length, MSG_NOSIGNAL);

		if (put < 0 && errno == EAGAIN)
			return;
		/* Nobody takes it any more: the channel drains and ends. */
		nacre_channel_consume(session, relay->channel, NACRE_STREAM_DATA,
		    put > 0 ? (size_t)put : data.length);
	}
	if (!relay->output_over && nacre_channel_at_eof(session, relay->channel, true)) {
		relay->output_over = true;
		shutdown(relay->fd, SHUT_WR);
	}
}

static void
pump_from_agent(struct nacre_relay *relay, struct nacre_session *session)
{
	size_t length;
	uint8_t *room;

	while (!relay->input_over && (room = nacre_channel_room(session, relay->channel,
					  NACRE_STREAM_DATA, &length)) != NULL) {
		const ssize_t got = read(relay->fd, room, length);

		nacre_channel_commit(session, relay->channel, got > 0 ? (size_t)got : 0);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			relay->input_over = true;
			nacre_channel_eof(session, relay->channel);
		}
	}
}

static void
pump(struct nacre_relay *relay, struct nacre_session *session)
{
	pump_to_agent(relay, session);
	pump_from_agent(relay, session);
	if (relay->input_over)
		nacre_channel_close(session, relay->channel);
}

static void
close_relay(struct nacre_relay *relay)
{
	close(relay->fd);
	relay->fd = -1;
}

static bool
opened_by_server(
    struct nacre_relays *relays, struct nacre_client *client, const struct nacre_event *event)
{
	const char *const agent = nacre_client_forward_agent_path(client);

	if (agent == NULL || event->u.channel_open.kind != NACRE_CHANNEL_AGENT)
		return false;
	open_relay(relays, nacre_client_session(client), event->channel, agent);
	return true;
}

bool
nacre_relays_event(
    struct nacre_relays *relays, struct nacre_client *client, const struct nacre_event *event)
{
	struct nacre_relay *relay;

	if (event->kind == NACRE_EVENT_CHANNEL_OPEN)
		return opened_by_server(relays, client, event);
	if (event->kind != NACRE_EVENT_CHANNEL_DATA && event->kind != NACRE_EVENT_CHANNEL_EOF &&
	    event->kind != NACRE_EVENT_CHANNEL_WRITABLE &&
	    event->kind != NACRE_EVENT_CHANNEL_CLOSED)
		return false;
	if ((relay = find(relays, event->channel)) == NULL)
		return false;
	if (event->kind == NACRE_EVENT_CHANNEL_CLOSED)
		close_relay(relay);
	else
		pump(relay, nacre_client_session(client));
	return true;
}

static short
wanted(const struct nacre_relay *relay, struct nacre_session *session)
{
	const bool output =
	    nacre_channel_data(session, relay->channel, NACRE_STREAM_DATA).length > 0;
	const bool input =
	    !relay->input_over && nacre_channel_send_window(session, relay->channel) > 0;

	return (short)((input ? POLLIN : 0) | (output ? POLLOUT : 0));
}

size_t
nacre_relays_poll(
    const struct nacre_relays *relays, struct nacre_session *session, struct pollfd *entries)
{
	size_t count = 0;

	for (size_t i = 0; i < relays->used; i++) {
		const struct nacre_relay *const relay = &relays->list[i];
		const short events = relay->fd >= 0 ? wanted(relay, session) : 0;

		if (events != 0)
			entries[count++] = (struct pollfd){.fd = relay->fd, .events = events};
	}
	return count;
}

static bool
is_ready(int fd, const struct pollfd *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (entries[i].fd == fd && entries[i].revents != 0)
			return true;
	return false;
}

void
nacre_relays_ready(struct nacre_relays *relays, struct nacre_session *session,
    const struct pollfd *entries, size_t count)
{
	for (size_t i = 0; i < relays->used; i++)
		if (relays->list[i].fd >= 0 && is_ready(relays->list[i].fd, entries, count))
			pump(&relays->list[i], session);
}

void
nacre_relays_close(struct nacre_relays *relays)
{
	for (size_t i = 0; i < relays->used; i++)
		if (relays->list[i].fd >= 0)
			close_relay(&relays->list[i]);
}
