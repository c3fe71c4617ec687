/*
 * tun@openssh.com: joins a network interface here to one of the peer's. A message of channel data is
 * one packet, its address family before it, or one frame.
 */
#ifndef NACRE_TUNNEL_H
#define NACRE_TUNNEL_H

#include <nacre/session.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NACRE_TUNNEL_DEVICE    "/dev/net/tun"
#define NACRE_TUNNEL_NAME_ROOM 16

/* Opens the interface with this number (NACRE_TUNNEL_UNIT_ANY: a free one), with the rights of the
 * user: one that root has not made for the user is for root alone. "name" has room for
 * NACRE_TUNNEL_NAME_ROOM bytes. A non-blocking descriptor that the caller closes; -1 with errno
 * set. */
int nacre_tunnel_open(enum nacre_tunnel_mode mode, uint32_t unit, char *name);

enum nacre_tunnel_result {
	NACRE_TUNNEL_SENT,
	NACRE_TUNNEL_NOTHING, /* to be read for now */
	NACRE_TUNNEL_NO_ROOM, /* CHANNEL_WRITABLE will come */
	NACRE_TUNNEL_ENDED
};
/* Sends one packet of the interface's. One that is larger than the room is lost, as on a network that
 * is too busy. */
enum nacre_tunnel_result nacre_tunnel_send(
    struct nacre_session *session, uint32_t channel, int fd, enum nacre_tunnel_mode mode);
/* On CHANNEL_DATA: takes the message at once and whole, so that packets stay apart; one that the
 * interface does not take is lost. */
void nacre_tunnel_receive(
    struct nacre_session *session, uint32_t channel, int fd, enum nacre_tunnel_mode mode);

#ifdef __cplusplus
}
#endif
#endif
