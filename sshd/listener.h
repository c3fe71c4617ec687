/* The listening sockets, and who is at the other end of one that was accepted. */
#ifndef SSHD_LISTENER_H
#define SSHD_LISTENER_H

#include "server.h"

struct listen_sockets {
	int *fds;
	size_t count;
};

/* Listens on every configured address and port; those that a former self has left open are taken
 * over. 0 when there is at least one. */
int listen_sockets_open(struct listen_sockets *sockets, const struct nacre_sshd_config *config);
/* Leaves them open for the program that this process becomes. */
void listen_sockets_keep(const struct listen_sockets *sockets);
void listen_sockets_close(struct listen_sockets *sockets);

/* Addresses of both ends; "UNKNOWN" and 65535 for what is not a network socket. */
void peer_of(int fd, struct peer *peer);

/* The path of this program, from the first call on. */
const char *listener_program(void);

#endif
