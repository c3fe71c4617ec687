/*
 * Sockets of a user's session that programs connect to: each connection becomes a channel. What is
 * listened at and for whom is the business of forward_listen.c, agent_forward.c and x11.c.
 */
#include "record.h"
#include "user_session.h"

#include <nacre/log.h>
#include <nacre/socket.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG      128
#define ACCEPT_MOST  32   /* connections before others are looked at */
#define PAUSE_MS     1000 /* when there are no descriptors left */
#define ADDRESS_ROOM 64

/* Connections --------------------------------------------------------------------------------- */

static void
pause_all(struct user_session *user)
{
	nacre_log(NACRE_LOG_ERROR, "accept: %s: waiting for a connection to end", strerror(errno));
	user->acceptors_paused = user->now + PAUSE_MS;
	for (struct acceptor *at = user->acceptors; at != NULL; at = at->next)
		endpoint_want(user, &at->endpoint, 0);
}

void
acceptor_resume(struct user_session *user)
{
	user->acceptors_paused = 0;
	for (struct acceptor *at = user->acceptors; at != NULL; at = at->next)
		endpoint_want(user, &at->endpoint, NACRE_POLL_READ);
}

static unsigned
originator_of(const struct sockaddr_storage *address, socklen_t length, char *text, size_t room)
{
	char port[16];

	text[0] = '\0';
	if (address->ss_family == AF_UNIX ||
	    getnameinfo((const struct sockaddr *)address, length, text, (socklen_t)room, port,
		sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return 0;
	return (unsigned)strtoul(port, NULL, 10);
}

static void
connected(struct user_session *user, const struct acceptor *acceptor, int fd,
    const struct sockaddr_storage *address, socklen_t length)
{
	char originator[ADDRESS_ROOM];
	unsigned port = originator_of(address, length, originator, sizeof originator);
	uint32_t number;
	int on = 1;

	if (acceptor->open(user, acceptor, originator, port, &number) != 0) {
		close(fd);
		return;
	}
	if (address->ss_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	record_forward(NACRE_LOG_DEBUG1, acceptor->channel_type, acceptor->host, "opened",
	    "channel %u: new connection to %s port %u from %s port %u", number, acceptor->host,
	    acceptor->port, originator, port);
	struct channel *channel = channel_add(user, number);
	channel->endpoints[0].fd = fd;
	channel->endpoints[0].sink = channel->endpoints[0].source = true;
	timeout_set(channel, acceptor->channel_type);
}

/* False when nobody waits any more. */
static bool
accept_one(struct user_session *user, struct acceptor *acceptor)
{
	struct sockaddr_storage address = {.ss_family = AF_UNIX};
	socklen_t length = sizeof address;
	int fd = accept4(acceptor->endpoint.fd, (struct sockaddr *)&address, &length,
	    SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0) {
		connected(user, acceptor, fd, &address, length);
		return !acceptor->gone;
	}
	if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
		pause_all(user);
	return errno == EINTR || errno == ECONNABORTED;
}

static void
ready(struct user_session *user, struct endpoint *endpoint, unsigned what)
{
	struct acceptor *acceptor = endpoint->acceptor;

	(void)what;
	if (acceptor->gone)
		return;
	for (int i = 0; i < ACCEPT_MOST && accept_one(user, acceptor); i++)
		;
}

/* Sockets ------------------------------------------------------------------------------------- */

struct acceptor *
acceptor_add(struct user_session *user, int fd, const char *host, unsigned port)
{
	struct acceptor *acceptor = calloc(1, sizeof *acceptor);

	if (acceptor == NULL || (acceptor->host = strdup(host)) == NULL)
		nacre_fatal("out of memory");
	endpoint_init(&acceptor->endpoint);
	acceptor->endpoint.fd = fd;
	acceptor->endpoint.acceptor = acceptor;
	acceptor->endpoint.ready = ready;
	acceptor->port = port;
	acceptor->next = user->acceptors;
	user->acceptors = acceptor;
	if (user->acceptors_paused == 0)
		endpoint_want(user, &acceptor->endpoint, NACRE_POLL_READ);
	return acceptor;
}

static int
close_with_error(int fd)
{
	int error = errno;

	close(fd);
	errno = error;
	return -1;
}

int
acceptor_bind_path(const char *path, mode_t mask)
{
	return nacre_socket_listen_path(path, mask, BACKLOG);
}

int
acceptor_bind_address(const struct addrinfo *address)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (address->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)
		return close_with_error(fd);
	return fd;
}

void
acceptor_own_path(struct acceptor *acceptor)
{
	struct stat status;

	acceptor->removes = lstat(acceptor->host, &status) == 0;
	if (!acceptor->removes)
		return;
	acceptor->device = status.st_dev;
	acceptor->inode = status.st_ino;
}

/* Not what has taken its place. */
static void
remove_file(const struct acceptor *acceptor)
{
	struct stat status;

	if (acceptor->removes && lstat(acceptor->host, &status) == 0 &&
	    status.st_dev == acceptor->device && status.st_ino == acceptor->inode)
		unlink(acceptor->host);
}

void
acceptor_remove(struct user_session *user, struct acceptor *acceptor)
{
	if (acceptor->gone)
		return;
	endpoint_close(user, &acceptor->endpoint);
	remove_file(acceptor);
	acceptor->gone = user->something_gone = true;
}

void
acceptor_free_gone(struct user_session *user)
{
	struct acceptor **at = &user->acceptors;

	while (*at != NULL) {
		struct acceptor *acceptor = *at;
		if (!acceptor->gone) {
			at = &acceptor->next;
			continue;
		}
		*at = acceptor->next;
		free(acceptor->host);
		free(acceptor);
	}
}

void
acceptor_remove_files(const struct user_session *user)
{
	for (const struct acceptor *at = user->acceptors; at != NULL; at = at->next)
		if (!at->gone)
			remove_file(at);
}
