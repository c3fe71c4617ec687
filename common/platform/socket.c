/* TCP sockets, and long paths; Unix sockets and names of files. */
#include <nacre/socket.h>

#include <errno.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LONG_ROUND_TRIP 5000u /* microseconds */
/* The kernel lowers it to net.core.wmem_max and doubles it. */
#define SEND_BUFFER (8 * 1024 * 1024)
#define UNSENT_MAX  (1024 * 1024)
#define STREAM_KIND (SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)

uint32_t
nacre_socket_round_trip(int socket)
{
	struct tcp_info info = {.tcpi_min_rtt = UINT32_MAX};
	socklen_t length = sizeof info;

	if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0)
		return UINT32_MAX;
	return info.tcpi_min_rtt;
}

void
nacre_socket_fit_path(int socket)
{
	const uint32_t round_trip = nacre_socket_round_trip(socket);
	const int buffer = SEND_BUFFER, unsent = UNSENT_MAX;

	if (round_trip == UINT32_MAX || round_trip < LONG_ROUND_TRIP)
		return;
	setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
	setsockopt(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
}

void
nacre_socket_acknowledge(int socket)
{
	const int on = 1;

	setsockopt(socket, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

static int
close_with_error(int fd)
{
	const int error = errno;

	close(fd);
	errno = error;
	return -1;
}

int
nacre_socket_listen(const struct addrinfo *address, int backlog)
{
	const int fd = socket(address->ai_family, STREAM_KIND, 0);
	const int on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (address->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, backlog) != 0)
		return close_with_error(fd);
	return fd;
}

int
nacre_socket_connect(const struct addrinfo *address)
{
	const int fd = socket(address->ai_family, STREAM_KIND, 0);
	const int on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(fd, address->ai_addr, address->ai_addrlen) == 0) {
		errno = 0;
		return fd;
	}
	return errno == EINPROGRESS ? fd : close_with_error(fd);
}

/* Unix sockets -------------------------------------------------------------------------------- */

static int
address_of_path(const char *path, struct sockaddr_un *address)
{
	const size_t length = strlen(path);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (length == 0 || length >= sizeof address->sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address->sun_path, path, length);
	return 0;
}

int
nacre_socket_connect_path(const char *path, int flags)
{
	struct sockaddr_un address;

	if (address_of_path(path, &address) != 0)
		return -1;
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	return close_with_error(fd);
}

int
nacre_socket_listen_path(const char *path, mode_t mask, int backlog)
{
	struct sockaddr_un address;

	if (address_of_path(path, &address) != 0)
		return -1;
	const int fd = socket(AF_UNIX, STREAM_KIND, 0);
	if (fd < 0)
		return -1;
	const mode_t before = umask(mask);
	const int bound = bind(fd, (const struct sockaddr *)&address, sizeof address);
	umask(before);
	if (bound != 0 || listen(fd, backlog) != 0)
		return close_with_error(fd);
	return fd;
}
