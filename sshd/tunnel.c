/*
 * tun@openssh.com: joins a network interface of ours to one of the client's. A message of channel
 * data is one packet, its address family before it, or one frame. The device is opened with the rights of
 * the user: an interface that root has not made for the user is for root alone.
 */
#include "user_session.h"

#include <nacre/log.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEVICE       "/dev/net/tun"
#define PACKET_MOST  ((size_t)65536)
#define ROUNDS_MOST  64 /* packets before others are looked at */
#define FAMILY_IPV4  2u
#define FAMILY_IPV6  24u
#define FAMILY_BYTES ((size_t)4)

static void
put_u32(uint8_t *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static size_t
prefix_of(const struct channel *channel)
{
	return channel->tunnel_mode == NACRE_TUNNEL_MODE_PACKETS ? FAMILY_BYTES : 0;
}

/* From the interface to the client ------------------------------------------------------------- */

/* False when there is nothing to read, no room, or the end. A packet that is larger than the room is
 * lost, as on a network that is too busy. */
static bool
send_one(struct channel *channel)
{
	struct nacre_session *session = channel->user->session;
	struct endpoint *endpoint = &channel->endpoints[0];
	size_t room_length, prefix = prefix_of(channel);
	uint8_t packet[FAMILY_BYTES + PACKET_MOST];
	uint8_t *room =
	    nacre_channel_room(session, channel->number, NACRE_STREAM_DATA, &room_length);

	if (room == NULL) {
		endpoint_want(channel->user, endpoint, 0); /* CHANNEL_WRITABLE will come */
		return false;
	}
	ssize_t count = read(endpoint->fd, packet + prefix, PACKET_MOST);
	int error = errno;
	size_t length = count > 0 ? prefix + (size_t)count : 0;
	if (count > 0 && prefix > 0)
		put_u32(packet, packet[prefix] >> 4 == 6 ? FAMILY_IPV6 : FAMILY_IPV4);
	if (length > room_length)
		length = 0;
	memcpy(room, packet, length);
	nacre_channel_commit(session, channel->number, length);
	if (length > 0)
		timeout_reset(channel);
	if (count < 0 && error != EAGAIN && error != EINTR)
		channel_close(channel);
	return count > 0;
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

/* Each message is taken at once and whole, so that packets stay apart; one that the interface does
 * not take is lost. */
void
tunnel_received(struct channel *channel)
{
	struct nacre_session *session = channel->user->session;
	struct nacre_span data = nacre_channel_data(session, channel->number, NACRE_STREAM_DATA);
	size_t prefix = prefix_of(channel);

	if (data.length > prefix)
		(void)!write(channel->endpoints[0].fd, data.data + prefix, data.length - prefix);
	nacre_channel_consume(session, channel->number, NACRE_STREAM_DATA, data.length);
	timeout_reset(channel);
}

/* Opening -------------------------------------------------------------------------------------- */

/* -1 with errno set. "name" is how the interface is called in the end. */
static int
open_device(uint32_t mode, uint32_t unit, char *name, size_t room)
{
	struct ifreq request = {0};
	const char *kind = mode == NACRE_TUNNEL_MODE_PACKETS ? "tun" : "tap";
	int fd = open(DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -1;
	request.ifr_flags =
	    (short)((mode == NACRE_TUNNEL_MODE_PACKETS ? IFF_TUN : IFF_TAP) | IFF_NO_PI);
	if (unit == NACRE_TUNNEL_UNIT_ANY)
		snprintf(request.ifr_name, sizeof request.ifr_name, "%s%%d", kind);
	else
		snprintf(request.ifr_name, sizeof request.ifr_name, "%s%u", kind, unit);
	if (ioctl(fd, TUNSETIFF, &request) == 0) {
		snprintf(name, room, "%s", request.ifr_name);
		return fd;
	}
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

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
	char name[IFNAMSIZ] = "";

	if (!permitted(user, mode, &unit)) {
		nacre_log(NACRE_LOG_INFO,
		    "Received request from %.100s port %d for a tunnel, but the request was "
		    "denied.",
		    user->login->peer.address, user->login->peer.port);
		nacre_channel_refuse(user->session, event->channel,
		    NACRE_OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed");
		return;
	}
	int fd = open_device(mode, unit, name, sizeof name);
	if (fd < 0) {
		nacre_log(NACRE_LOG_ERROR,
		    "cannot open a tunnel at %s as user %s: %s (ip-tuntap(8) makes one for a user)",
		    DEVICE, user->login->account.name, strerror(errno));
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
