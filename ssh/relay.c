/* Agent forwarding, the client's end: a channel that the server opens is joined to our agent. */
#include "ssh/ssh.h"

#include <nacre/agent.h>
#include <nacre/log.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int
connect_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof address.sun_path)
		return -1;
	memcpy(address.sun_path, path, strlen(path) + 1);
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
	    fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
		return fd;
	close(fd);
	return -1;
}

static struct relay *
free_entry(struct relays *relays)
{
	for (size_t i = 0; i < relays->used; i++)
		if (relays->list[i].fd < 0)
			return &relays->list[i];
	return relays->used < RELAYS_MAX ? &relays->list[relays->used++] : NULL;
}

void
relay_open(
    struct relays *relays, struct nacre_session *session, uint32_t channel, const char *agent_path)
{
	const int fd = connect_socket(agent_path);
	struct relay *const relay = fd >= 0 ? free_entry(relays) : NULL;

	if (relay == NULL) {
		if (fd >= 0)
			close(fd);
		nacre_log(NACRE_LOG_DEBUG1, "agent channel refused: the agent does not answer");
		nacre_channel_refuse(session, channel, NACRE_OPEN_CONNECT_FAILED, "no agent");
		return;
	}
	*relay = (struct relay){.channel = channel, .fd = fd};
	nacre_channel_accept(session, channel);
	nacre_log(NACRE_LOG_DEBUG1, "channel %u: new authentication agent connection", channel);
}

struct relay *
relay_find(struct relays *relays, uint32_t channel)
{
	for (size_t i = 0; i < relays->used; i++)
		if (relays->list[i].fd >= 0 && relays->list[i].channel == channel)
			return &relays->list[i];
	return NULL;
}

static void
pump_to_agent(struct relay *relay, struct nacre_session *session)
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
pump_from_agent(struct relay *relay, struct nacre_session *session)
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

void
relay_pump(struct relay *relay, struct nacre_session *session)
{
	pump_to_agent(relay, session);
	pump_from_agent(relay, session);
	if (relay->input_over)
		nacre_channel_close(session, relay->channel);
}

short
relay_wants(const struct relay *relay, struct nacre_session *session)
{
	const bool output =
	    nacre_channel_data(session, relay->channel, NACRE_STREAM_DATA).length > 0;
	const bool input =
	    !relay->input_over && nacre_channel_send_window(session, relay->channel) > 0;

	return (short)((input ? POLLIN : 0) | (output ? POLLOUT : 0));
}

void
relay_close(struct relay *relay)
{
	close(relay->fd);
	relay->fd = -1;
}
