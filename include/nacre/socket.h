/* How a TCP socket is set for the path that it runs over. */
#ifndef NACRE_SOCKET_H
#define NACRE_SOCKET_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * For a connected TCP socket whose round trip is long (from 5 ms on): a send buffer that holds what
 * such a path carries, beyond the kernel's automatic limit of half of it, but little that has not
 * been sent yet, so that keystrokes do not queue behind bulk data. Others are left alone, and so
 * are sockets that are not TCP.
 */
void nacre_socket_fit_path(int socket);
/* Microseconds of the shortest round trip that the kernel has seen on a TCP socket; UINT32_MAX when
 * it has seen none or the socket is not TCP. */
uint32_t nacre_socket_round_trip(int socket);
/* Acknowledges at once what was received: a peer that has not set TCP_NODELAY holds its next small
 * packet until then. Lasts until the kernel thinks otherwise, so call it after each read that
 * another answer may follow. */
void nacre_socket_acknowledge(int socket);

#ifdef __cplusplus
}
#endif
#endif
