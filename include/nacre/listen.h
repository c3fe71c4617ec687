/* Sockets of forwarded connections: to listen at, and to connect to, without waiting. (Single
 * sockets: nacre/socket.h.) */
#ifndef NACRE_LISTEN_H
#define NACRE_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct addrinfo;

/* Connections that may wait for us. */
#define NACRE_LISTEN_BACKLOG 128

/* Sockets are non-blocking and close-on-exec; -1 with errno set when there is none. */

/* Begins to connect to the first address from *next on that does not refuse at once, and moves *next
 * behind it; *on_the_way tells whether the connection is still to be awaited. -1 when none is left:
 * *error is then the errno of the newest failure, or what it was before. */
int nacre_connect_next(struct addrinfo **next, bool *on_the_way, int *error);
/* Takes a connection; its peer in *address (ss_family is AF_UNIX where there is no address). */
int nacre_accept(int listener, struct sockaddr_storage *address, socklen_t *length);

/* The address in numbers and its port; "" and 0 for Unix sockets. */
#define NACRE_ADDRESS_ROOM 64
unsigned nacre_address_text(const struct sockaddr_storage *address, socklen_t length, char *text);
/* The port that a socket is bound to; 0 for Unix sockets. */
unsigned nacre_bound_port(int socket);
/* Changes the port of a TCP address. */
void nacre_address_set_port(const struct addrinfo *address, unsigned port);

/* A file that a listening socket made, to be removed in the end if it is still the same one. */
struct nacre_socket_file {
	bool known;
	dev_t device;
	ino_t inode;
};
void nacre_socket_file_note(struct nacre_socket_file *file, const char *path);
void nacre_socket_file_remove(const struct nacre_socket_file *file, const char *path);
/* Removes what is at the path if it is a socket (StreamLocalBindUnlink). */
void nacre_socket_path_clear(const char *path);

#ifdef __cplusplus
}
#endif
#endif
