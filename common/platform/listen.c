/* Sockets of forwarded connections: see nacre/listen.h. */
#include <nacre/listen.h>
#include <nacre/socket.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int
nacre_connect_next(struct addrinfo **next, bool *on_the_way, int *error)
{
	while (*next != NULL) {
		const struct addrinfo *const address = *next;

		*next = address->ai_next;
		const int fd = nacre_socket_connect(address);
		*on_the_way = fd >= 0 && errno == EINPROGRESS;
		if (fd >= 0)
			return fd;
		*error = errno;
	}
	return -1;
}

int
nacre_accept(int listener, struct sockaddr_storage *address, socklen_t *length)
{
	const int on = 1;

	*address = (struct sockaddr_storage){.ss_family = AF_UNIX};
	*length = sizeof *address;
	const int fd =
	    accept4(listener, (struct sockaddr *)address, length, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0 && address->ss_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

unsigned
nacre_address_text(const struct sockaddr_storage *address, socklen_t length, char *text)
{
	char port[16];

	text[0] = '\0';
	if (address->ss_family == AF_UNIX ||
	    getnameinfo((const struct sockaddr *)address, length, text, NACRE_ADDRESS_ROOM, port,
		sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return 0;
	return (unsigned)strtoul(port, NULL, 10);
}

unsigned
nacre_bound_port(int socket)
{
	struct sockaddr_storage address = {.ss_family = AF_UNIX};
	socklen_t length = sizeof address;
	char text[NACRE_ADDRESS_ROOM];

	if (getsockname(socket, (struct sockaddr *)&address, &length) != 0)
		return 0;
	return nacre_address_text(&address, length, text);
}

void
nacre_address_set_port(const struct addrinfo *address, unsigned port)
{
	if (address->ai_family == AF_INET6)
		((struct sockaddr_in6 *)address->ai_addr)->sin6_port = htons((uint16_t)port);
	else
		((struct sockaddr_in *)address->ai_addr)->sin_port = htons((uint16_t)port);
}

/* Files --------------------------------------------------------------------------------------- */

void
nacre_socket_file_note(struct nacre_socket_file *file, const char *path)
{
	struct stat status;

	*file = (struct nacre_socket_file){.known = lstat(path, &status) == 0};
	if (!file->known)
		return;
	file->device = status.st_dev;
	file->inode = status.st_ino;
}

/* Not what has taken its place. */
void
nacre_socket_file_remove(const struct nacre_socket_file *file, const char *path)
{
	struct stat status;

	if (file->known && lstat(path, &status) == 0 && status.st_dev == file->device &&
	    status.st_ino == file->inode)
		unlink(path);
}

void
nacre_socket_path_clear(const char *path)
{
	struct stat status;

	if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode))
		unlink(path);
}
