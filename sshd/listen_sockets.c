/* Listening sockets: made, taken over across a reload, closed. */
#include "listener.h"
#include "service.h"

#include <nacre/log.h>
#include <nacre/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG   1024 /* a burst; whoever finds it full tries again a second later */
#define INHERITED "NACRE_SSHD_LISTENERS"

const char *
listener_program(void)
{
	static char path[4096];

	if (path[0] == '\0') {
		ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
		path[length > 0 ? length : 0] = '\0';
	}
	return path;
}

static bool
same_address(int fd, const struct addrinfo *wanted)
{
	struct sockaddr_storage bound;
	socklen_t length = sizeof bound;

	return getsockname(fd, (struct sockaddr *)&bound, &length) == 0 &&
	       length == wanted->ai_addrlen && memcmp(&bound, wanted->ai_addr, length) == 0;
}

/* A socket of our former self with this address, or -1. It is taken out of the list. */
static int
take_inherited(const struct addrinfo *wanted)
{
	char *list = getenv(INHERITED);
	char rest[256] = "";
	int found = -1;

	if (list == NULL)
		return -1;
	for (char *at = list, *next; *at != '\0'; at = next) {
		int fd = (int)strtol(at, &next, 10);
		next += *next == ' ';
		if (next == at)
			break;
		size_t used = strlen(rest);
		if (found < 0 && fd > 2 && same_address(fd, wanted))
			found = fd;
		else
			snprintf(rest + used, sizeof rest - used, "%d ", fd);
	}
	setenv(INHERITED, rest, 1);
	if (found >= 0)
		fcntl(found, F_SETFD, FD_CLOEXEC);
	return found;
}

static void
close_inherited(void)
{
	char *list = getenv(INHERITED);

	for (char *at = list, *next; at != NULL && *at != '\0'; at = next) {
		int fd = (int)strtol(at, &next, 10);
		next += *next == ' ';
		if (next == at)
			break;
		if (fd > 2)
			close(fd);
	}
	unsetenv(INHERITED);
}

static bool
keep_socket(struct listen_sockets *sockets, int fd)
{
	struct listen_socket *all = reallocarray(sockets->all, sockets->count + 1, sizeof *all);

	if (all == NULL) {
		close(fd);
		return false;
	}
	sockets->all = all;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	all[sockets->count++] = (struct listen_socket){WATCHED_SOCKET, fd};
	return true;
}

static void
add_socket(struct listen_sockets *sockets, const struct addrinfo *wanted)
{
	char host[NI_MAXHOST] = "?", port[NI_MAXSERV] = "?";

	getnameinfo(wanted->ai_addr, wanted->ai_addrlen, host, sizeof host, port, sizeof port,
	    NI_NUMERICHOST | NI_NUMERICSERV);
	int fd = take_inherited(wanted);
	if (fd < 0)
		fd = nacre_socket_listen(wanted, BACKLOG);
	if (fd < 0) {
		/* A host without IPv6 is no reason to complain about the wildcard address. */
		if (errno != EAFNOSUPPORT)
			nacre_log(NACRE_LOG_ERROR, "Bind to port %s on %s failed: %s.", port, host,
			    strerror(errno));
		return;
	}
	if (keep_socket(sockets, fd))
		nacre_log(NACRE_LOG_INFO, "Server listening on %s port %s.", host, port);
}

static void
open_address(struct listen_sockets *sockets, const struct nacre_listen_address *address, int family)
{
	struct addrinfo hints = {.ai_family = family,
	    .ai_socktype = SOCK_STREAM,
	    .ai_flags = address->host == NULL ? AI_PASSIVE : 0};
	struct addrinfo *list;
	char port[16];

	snprintf(port, sizeof port, "%d", address->port);
	int error = getaddrinfo(address->host, port, &hints, &list);
	if (error != 0) {
		nacre_log(NACRE_LOG_ERROR, "bad addr or host: %s (%s)",
		    address->host != NULL ? address->host : "<any>", gai_strerror(error));
		return;
	}
	for (struct addrinfo *at = list; at != NULL; at = at->ai_next)
		add_socket(sockets, at);
	freeaddrinfo(list);
}

/* From the service manager; it knows what it listens on, and our configuration is not asked. */
static void
add_passed(struct listen_sockets *sockets, int fd)
{
	struct peer ends;
	int listens = 0;
	socklen_t length = sizeof listens;

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0 || !listens) {
		nacre_log(NACRE_LOG_ERROR,
		    "descriptor %d from the service manager is no socket that listens: is "
		    "Accept=yes set? Then start sshd with -i",
		    fd);
		return;
	}
	if (!keep_socket(sockets, fd))
		return;
	peer_of(fd, &ends);
	nacre_log(
	    NACRE_LOG_INFO, "Server listening on %s port %d.", ends.local_address, ends.local_port);
}

int
listen_sockets_open(struct listen_sockets *sockets, const struct nacre_sshd_config *config)
{
	size_t passed = service_sockets();

	*sockets = (struct listen_sockets){0};
	for (size_t i = 0; i < passed; i++)
		add_passed(sockets, SERVICE_FIRST_SOCKET + (int)i);
	if (passed > 0)
		return sockets->count > 0 ? 0 : NACRE_ERROR_SYSTEM;
	for (size_t i = 0; i < config->listen_address_count; i++)
		open_address(sockets, &config->listen_addresses[i], config->address_family);
	close_inherited();
	return sockets->count > 0 ? 0 : NACRE_ERROR_SYSTEM;
}

void
listen_sockets_keep(const struct listen_sockets *sockets)
{
	char list[256] = "";

	for (size_t i = 0; i < sockets->count; i++) {
		size_t used = strlen(list);
		if (used + 16 > sizeof list)
			break; /* the rest is bound anew */
		snprintf(list + used, sizeof list - used, "%d ", sockets->all[i].fd);
		fcntl(sockets->all[i].fd, F_SETFD, 0);
	}
	/* Those of the service manager it names itself. */
	if (service_sockets() == 0)
		setenv(INHERITED, list, 1);
}

void
listen_sockets_close(struct listen_sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++)
		close(sockets->all[i].fd);
	free(sockets->all);
	*sockets = (struct listen_sockets){0};
}

struct sockaddr_storage
address_make(uint8_t family, const uint8_t *bytes, uint16_t port)
{
	struct sockaddr_storage address = {0};
	struct sockaddr_in *four = (struct sockaddr_in *)&address;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;

	if (family == 6) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(port);
		memcpy(&six->sin6_addr, bytes, sizeof six->sin6_addr);
	} else {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		memcpy(&four->sin_addr, bytes, sizeof four->sin_addr);
	}
	return address;
}

int
address_describe(const struct sockaddr_storage *address, socklen_t length, char *host, size_t room)
{
	char port[NI_MAXSERV];
	struct sockaddr_in plain;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
	const struct sockaddr *shown = (const struct sockaddr *)address;

	/* ::ffff:1.2.3.4 is shown as the IPv4 address that it is. */
	if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
		plain = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = six->sin6_port};
		memcpy(&plain.sin_addr, &six->sin6_addr.s6_addr[12], 4);
		shown = (const struct sockaddr *)&plain;
		length = sizeof plain;
	}
	if ((shown->sa_family != AF_INET && shown->sa_family != AF_INET6) ||
	    getnameinfo(shown, length, host, (socklen_t)room, port, sizeof port,
		NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
		snprintf(host, room, "UNKNOWN");
		return 65535;
	}
	return (int)strtol(port, NULL, 10);
}

void
peer_of(int fd, struct peer *peer)
{
	struct sockaddr_storage address = {0};
	socklen_t length = sizeof address;

	if (getpeername(fd, (struct sockaddr *)&address, &length) != 0)
		address.ss_family = AF_UNSPEC;
	peer->port = address_describe(&address, length, peer->address, sizeof peer->address);
	length = sizeof address;
	if (getsockname(fd, (struct sockaddr *)&address, &length) != 0)
		address.ss_family = AF_UNSPEC;
	peer->local_port =
	    address_describe(&address, length, peer->local_address, sizeof peer->local_address);
}
