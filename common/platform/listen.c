/* Sockets of forwarded connections: see nacre/listen.h. */
#include <nacre/listen.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOCKET_KIND (SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)

static int
close_with_error(int fd)
{
	const int error = errno;

	close(fd);
	errno = error;
	return -1;
}

int
nacre_listen_address(const struct addrinfo *address)
{
	const int fd = socket(address->ai_family, SOCKET_KIND, 0);
	const int on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (address->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 ||
	    listen(fd, NACRE_LISTEN_BACKLOG) != 0)
		return close_with_error(fd);
	return fd;
}

static void
send_at_once(int fd)
{
	const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int
nacre_connect_address(const struct addrinfo *address)
{
	const int fd = socket(address->ai_family, SOCKET_KIND, 0);

	if (fd < 0)
		return -1;
	send_at_once(fd);
	if (connect(fd, address->ai_addr, address->ai_addrlen) == 0) {
		errno = 0;
		return fd;
	}
	return errno == EINPROGRESS ? fd : close_with_error(fd);
}

int
nacre_connect_next(struct addrinfo **next, bool *on_the_way, int *error)
{
	while (*next != NULL) {
		const struct addrinfo *const address = *next;

		*next = address->ai_next;
		const int fd = nacre_connect_address(address);
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
	*address = (struct sockaddr_storage){.ss_family = AF_UNIX};
	*length = sizeof *address;
	const int fd =
	    accept4(listener, (struct sockaddr *)address, length, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0 && address->ss_family != AF_UNIX)
		send_at_once(fd);
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
