/*
 * tun@openssh.com: joins a network interface of ours to one of the client's. The device is opened
 * with the rights of the user: an interface that root has not made for the user is for root alone.
 */
#include "user_session.h"

#include <nacre/log.h>
#include <nacre/tunnel.h>

#include <errno.h>
#include <string.h>

#define ROUNDS_MOST 64 /* packets before others are looked at */

static enum nacre_tunnel_mode
mode_of(const struct channel *channel)
{
	return (enum nacre_tunnel_mode)channel->tunnel_mode;
}

/* From the interface to the client ------------------------------------------------------------- */

static bool
send_one(struct channel *channel)
{
	struct endpoint *endpoint = &channel->endpoints[0];
	enum nacre_tunnel_result result = nacre_tunnel_send(
	    channel->user->session, channel->number, endpoint->fd, mode_of(channel));

	if (result == NACRE_TUNNEL_SENT)
		timeout_reset(channel);
	else if (result == NACRE_TUNNEL_NO_ROOM)
		endpoint_want(channel->user, endpoint, 0);
	else if (result == NACRE_TUNNEL_ENDED)
		channel_close(channel);
	return result == NACRE_TUNNEL_SENT;
}

static void
device_ready(struct user_session *user, struct endpoint *endpoint, unsigned what)
{
	(void)what;
	if (endpoint->channel->gone)
		return;
	for (int i = 0; i < ROUNDS_MOST && send_one(endpoint->channel); i++)
		;
	user_flush(user);
}

void
tunnel_writable(struct channel *channel)
{
	endpoint_want(channel->user, &channel->endpoints[0], NACRE_POLL_READ);
}

/* From the client to the interface ------------------------------------------------------------- */

void
tunnel_received(struct channel *channel)
{
	nacre_tunnel_receive(
	    channel->user->session, channel->number, channel->endpoints[0].fd, mode_of(channel));
	timeout_reset(channel);
}

/* Opening -------------------------------------------------------------------------------------- */

/* PermitTunnel, and tunnel= of the key, which also says which interface it is. */
static bool
permitted(const struct user_session *user, uint32_t mode, uint32_t *unit)
{
	int forced = user->login->authentication.options.tunnel;
	int kind = mode == NACRE_TUNNEL_MODE_PACKETS  ? NACRE_TUNNEL_POINT_TO_POINT
		   : mode == NACRE_TUNNEL_MODE_FRAMES ? NACRE_TUNNEL_ETHERNET
						      : 0;

	if (!user->permit_tunnel || kind == 0 || (user->config->permit_tunnel & kind) == 0)
		return false;
	if (!user->login->authentication.has_options || forced < 0)
		return true;
	if (*unit != NACRE_TUNNEL_UNIT_ANY && *unit != (uint32_t)forced)
		return false;
	*unit = (uint32_t)forced;
	return true;
}

void
tunnel_open(struct user_session *user, const struct nacre_event *event)
{
	uint32_t mode = event->u.channel_open.tunnel.mode;
	uint32_t unit = event->u.channel_open.tunnel.unit;
	char name[NACRE_TUNNEL_NAME_ROOM] = "";

	if (!permitted(user, mode, &unit)) {
		nacre_log(NACRE_LOG_INFO,
		    "Received request from %.100s port %d for a tunnel, but the request was "
		    "denied.",
		    user->login->peer.address, user->login->peer.port);
		nacre_channel_refuse(user->session, event->channel,
		    NACRE_OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed");
		return;
	}
	int fd = nacre_tunnel_open((enum nacre_tunnel_mode)mode, unit, name);
	if (fd < 0) {
		nacre_log(NACRE_LOG_ERROR,
		    "cannot open a tunnel at %s as user %s: %s (ip-tuntap(8) makes one for a user)",
		    NACRE_TUNNEL_DEVICE, user->login->account.name, strerror(errno));
		nacre_channel_refuse(
		    user->session, event->channel, NACRE_OPEN_CONNECT_FAILED, "open failed");
		return;
	}
	struct channel *channel = channel_add(user, event->channel);
	channel->tunnel_mode = mode;
	channel->opened = true;
	channel_is_bulk(channel);
	channel->endpoints[0].fd = fd;
	channel->endpoints[0].ready = device_ready;
	timeout_set(channel, "tun-connection");
	nacre_channel_accept(user->session, event->channel);
	nacre_log(NACRE_LOG_INFO, "Tunnel forwarding using interface %s", name);
	endpoint_want(user, &channel->endpoints[0], NACRE_POLL_READ);
}
