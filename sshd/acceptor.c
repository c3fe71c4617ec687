/*
 * Sockets of a user's session that programs connect to: each connection becomes a channel. What is
 * listened at and for whom is the business of forward_listen.c, agent_forward.c and x11.c.
 */
#include "record.h"
#include "user_session.h"

#include <nacre/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACCEPT_MOST 32   /* connections before others are looked at */
#define PAUSE_MS    1000 /* when there are no descriptors left */

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

static void
connected(struct user_session *user, const struct acceptor *acceptor, int fd,
    const struct sockaddr_storage *address, socklen_t length)
{
	char originator[NACRE_ADDRESS_ROOM];
	unsigned port = nacre_address_text(address, length, originator);
	uint32_t number;

	if (acceptor->open(user, acceptor, originator, port, &number) != 0) {
		close(fd);
		return;
	}
	record_forward(NACRE_LOG_DEBUG1, acceptor->channel_type, acceptor->host, "opened",
	    "channel %u: new connection to %s port %u from %s port %u", number, acceptor->host,
	    acceptor->port, originator, port);
	struct channel *channel = channel_add(user, number);
	channel->endpoints[0].fd = fd;
	channel->endpoints[0].sink = channel->endpoints[0].source = true;
	if (!acceptor->agent)
		channel_is_bulk(channel);
	timeout_set(channel, acceptor->channel_type);
}

/* False when nobody waits any more. */
static bool
accept_one(struct user_session *user, struct acceptor *acceptor)
{
	struct sockaddr_storage address;
	socklen_t length;
	int fd = nacre_accept(acceptor->endpoint.fd, &address, &length);

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

void
acceptor_own_path(struct acceptor *acceptor)
{
	nacre_socket_file_note(&acceptor->file, acceptor->host);
}

void
acceptor_remove(struct user_session *user, struct acceptor *acceptor)
{
	if (acceptor->gone)
		return;
	endpoint_close(user, &acceptor->endpoint);
	nacre_socket_file_remove(&acceptor->file, acceptor->host);
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
			nacre_socket_file_remove(&at->file, at->host);
}
