/* Network interfaces that tun@openssh.com joins: see nacre/tunnel.h. */
#include <nacre/tunnel.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PACKET_MOST  ((size_t)65536)
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
prefix_of(enum nacre_tunnel_mode mode)
{
	return mode == NACRE_TUNNEL_MODE_PACKETS ? FAMILY_BYTES : 0;
}

int
nacre_tunnel_open(enum nacre_tunnel_mode mode, uint32_t unit, char *name)
{
	struct ifreq request = {0};
	const char *kind = mode == NACRE_TUNNEL_MODE_PACKETS ? "tun" : "tap";
	int fd = open(NACRE_TUNNEL_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -1;
	request.ifr_flags =
	    (short)((mode == NACRE_TUNNEL_MODE_PACKETS ? IFF_TUN : IFF_TAP) | IFF_NO_PI);
	if (unit == NACRE_TUNNEL_UNIT_ANY)
		snprintf(request.ifr_name, sizeof request.ifr_name, "%s%%d", kind);
	else
		snprintf(request.ifr_name, sizeof request.ifr_name, "%s%u", kind, unit);
	if (ioctl(fd, TUNSETIFF, &request) == 0) {
		snprintf(name, NACRE_TUNNEL_NAME_ROOM, "%s", request.ifr_name);
		return fd;
	}
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

enum nacre_tunnel_result
nacre_tunnel_send(
    struct nacre_session *session, uint32_t channel, int fd, enum nacre_tunnel_mode mode)
{
	size_t room_length, prefix = prefix_of(mode);
	uint8_t packet[FAMILY_BYTES + PACKET_MOST];
	uint8_t *room = nacre_channel_room(session, channel, NACRE_STREAM_DATA, &room_length);

	if (room == NULL)
		return NACRE_TUNNEL_NO_ROOM;
	ssize_t count = read(fd, packet + prefix, PACKET_MOST);
	int error = errno;
	size_t length = count > 0 ? prefix + (size_t)count : 0;
	if (count > 0 && prefix > 0)
		put_u32(packet, packet[prefix] >> 4 == 6 ? FAMILY_IPV6 : FAMILY_IPV4);
	if (length > room_length)
		length = 0;
	memcpy(room, packet, length);
	nacre_channel_commit(session, channel, length);
	if (count > 0)
		return NACRE_TUNNEL_SENT;
	return count < 0 && error != EAGAIN && error != EINTR ? NACRE_TUNNEL_ENDED
							      : NACRE_TUNNEL_NOTHING;
}

void
nacre_tunnel_receive(
    struct nacre_session *session, uint32_t channel, int fd, enum nacre_tunnel_mode mode)
{
	struct nacre_span data = nacre_channel_data(session, channel, NACRE_STREAM_DATA);
	size_t prefix = prefix_of(mode);

	if (data.length > prefix)
		(void)!write(fd, data.data + prefix, data.length - prefix);
	nacre_channel_consume(session, channel, NACRE_STREAM_DATA, data.length);
}
