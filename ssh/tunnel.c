/* -w: a network interface here, joined to one of the server's. */
#include "ssh/tunnel.h"
#include "ssh/connection.h"

#include <nacre/log.h>
#include <nacre/tunnel.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MOST 64 /* packets before others are looked at */

struct tunnel_channel {
	struct channel channel;
	struct nacre_watch watch;
	enum nacre_tunnel_mode mode;
};

static void
device_ready(struct nacre_watch *watch, unsigned what)
{
	struct tunnel_channel *const tunnel = watch->owner;
	struct connection *const connection = tunnel->channel.connection;
	enum nacre_tunnel_result result = NACRE_TUNNEL_SENT;

	(void)what;
	for (int i = 0; i < ROUNDS_MOST && result == NACRE_TUNNEL_SENT; i++)
		result = nacre_tunnel_send(
		    connection->session, tunnel->channel.number, watch->fd, tunnel->mode);
	if (result == NACRE_TUNNEL_NO_ROOM)
		nacre_watch_want(watch, 0);
	else if (result == NACRE_TUNNEL_ENDED)
		nacre_channel_close(connection->session, tunnel->channel.number);
	tunnel->channel.last_active = connection->host.now;
}

static void
on_opened(struct channel *channel)
{
	nacre_watch_want(&((struct tunnel_channel *)channel)->watch, NACRE_POLL_READ);
}

static void
on_refused(struct channel *channel, const struct nacre_event *event)
{
	channel_log_refusal(channel, event);
	if (channel->connection->plan->config->exit_on_forward_failure)
		connection_finish(channel->connection, EXIT_OWN_ERROR);
}

static void
on_data(struct channel *channel, enum nacre_stream stream)
{
	const struct tunnel_channel *const tunnel = (struct tunnel_channel *)channel;

	(void)stream;
	nacre_tunnel_receive(
	    channel->connection->session, channel->number, tunnel->watch.fd, tunnel->mode);
	channel->last_active = channel->connection->host.now;
}

static void
on_eof(struct channel *channel)
{
	nacre_channel_close(channel->connection->session, channel->number);
}

static void
release(struct channel *channel)
{
	nacre_watch_close(&((struct tunnel_channel *)channel)->watch);
	free(channel);
}

static const struct channel_kind tunnel_kind = {
    .name = "tun@openssh.com",
    .timeout_type = "tun-connection",
    .opened = on_opened,
    .refused = on_refused,
    .data = on_data,
    .room = on_opened,
    .eof = on_eof,
    .release = release,
};

static bool
open_channel(struct connection *connection, int fd, enum nacre_tunnel_mode mode, uint32_t remote)
{
	struct tunnel_channel *const tunnel = calloc(1, sizeof *tunnel);
	uint32_t number;

	if (tunnel == NULL)
		nacre_fatal("out of memory");
	nacre_watch_init(
	    &tunnel->watch, connection_host(connection)->poller, fd, device_ready, tunnel);
	tunnel->mode = mode;
	if (nacre_channel_open_tunnel(connection->session, mode, remote, &number) != 0) {
		nacre_watch_close(&tunnel->watch);
		free(tunnel);
		return false;
	}
	connection_add(connection, &tunnel->channel, &tunnel_kind, number, true);
	return true;
}

static uint32_t
unit_of(int number)
{
	return number == NACRE_TUNNEL_ANY ? NACRE_TUNNEL_UNIT_ANY : (uint32_t)number;
}

void
tunnel_start(struct connection *connection)
{
	const struct nacre_ssh_config *const config = connection->plan->config;
	const enum nacre_tunnel_mode mode = config->tunnel == NACRE_TUNNEL_ETHERNET
						? NACRE_TUNNEL_MODE_FRAMES
						: NACRE_TUNNEL_MODE_PACKETS;
	char name[NACRE_TUNNEL_NAME_ROOM];

	if (config->tunnel == NACRE_TUNNEL_NO || config->clear_all_forwardings)
		return;
	const int fd = nacre_tunnel_open(mode, unit_of(config->tunnel_local), name);
	if (fd < 0)
		nacre_log(NACRE_LOG_ERROR,
		    "cannot open a tunnel at %s: %s (ip-tuntap(8) makes one "
		    "for a user)",
		    NACRE_TUNNEL_DEVICE, strerror(errno));
	if (fd >= 0 && open_channel(connection, fd, mode, unit_of(config->tunnel_remote))) {
		nacre_log(NACRE_LOG_VERBOSE, "Tunnel forwarding using interface %s", name);
		return;
	}
	nacre_log(NACRE_LOG_ERROR, "Could not request tunnel forwarding.");
	if (config->exit_on_forward_failure)
		connection_finish(connection, EXIT_OWN_ERROR);
}
