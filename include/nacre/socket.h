/* TCP sockets by an address, Unix sockets by their path; how a TCP socket is set for the path that it runs over. */
#ifndef NACRE_SOCKET_H
#define NACRE_SOCKET_H

#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct addrinfo;

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

/*
 * Listens at a TCP address (of getaddrinfo()), where at most "backlog" connections wait; IPv6 addresses
 * take no IPv4 connections. Returns a descriptor that does not block and is closed by exec, which the
 * caller closes, or -1 with errno set.
 */
int nacre_socket_listen(const struct addrinfo *address, int backlog);
/*
 * Begins to connect to a TCP address: returns a descriptor as above, whose small packets leave at once,
 * with errno EINPROGRESS while it is on its way and 0 when it is connected; or -1 with errno set.
 */
int nacre_socket_connect(const struct addrinfo *address);
/*
 * Connects to the Unix stream socket at "path". "flags" is 0 or SOCK_NONBLOCK; the descriptor is
 * closed by exec in any case. Returns the descriptor, which the caller closes, or -1 with errno set:
 * ENAMETOOLONG when the path is empty or longer than such an address can be (107 bytes), EAGAIN when
 * the listener's queue is full and the socket does not block.
 */
int nacre_socket_connect_path(const char *path, int flags);
/*
 * Listens at "path", which must not exist, for Unix stream connections; at most "backlog" of them
 * wait. The file's mode is 0777 without the bits of "mask", whatever umask(2) says (which is changed
 * meanwhile for all threads). Returns a descriptor that does not block and is closed by exec, which
 * the caller closes, or -1 with errno set, as above.
 */
int nacre_socket_listen_path(const char *path, mode_t mask, int backlog);

#ifdef __cplusplus
}
#endif
#endif
