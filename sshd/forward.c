/* Forwarded connections that the client opens: direct-tcpip, direct-streamlocal@openssh.com. */
#include "record.h"
#include "user_session.h"

#include <nacre/log.h>
#include <nacre/socket.h>

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TCP_TYPE  "direct-tcpip"
#define PATH_TYPE "direct-streamlocal@openssh.com"

static void
refuse(struct user_session *user, uint32_t number, enum nacre_open_failure reason, const char *text)
{
	nacre_channel_refuse(user->session, number, reason, text);
}

static void
give_up(struct channel *channel, const char *why)
{
	refuse(channel->user, channel->number, NACRE_OPEN_CONNECT_FAILED, why);
	channel_remove(channel);
}

static void
established(struct channel *channel)
{
	struct endpoint *endpoint = &channel->endpoints[0];

	channel->connecting = false;
	channel->opened = true;
	endpoint->ready = channel_endpoint_ready;
	endpoint->source = endpoint->sink = true;
	endpoint_want(channel->user, endpoint, 0);
	nacre_channel_accept(channel->user->session, channel->number);
	channel_start(channel);
}

static struct channel *
add_connecting(struct user_session *user, uint32_t number, const char *type)
{
	struct channel *channel = channel_add(user, number);

	channel->connecting = true;
	channel_is_bulk(channel);
	timeout_set(channel, type);
	return channel;
}

/* TCP ----------------------------------------------------------------------------------------- */

static void
tcp_established(struct channel *channel)
{
	established(channel);
	record_forward(NACRE_LOG_DEBUG1, TCP_TYPE, channel->target, "opened",
	    "channel %u: connected to %.200s", channel->number, channel->target);
}

/* Tries address after address until a connection is there or under way. */
static void
try_next(struct channel *channel)
{
	struct endpoint *endpoint = &channel->endpoints[0];
	bool on_the_way;

	endpoint_close(channel->user, endpoint);
	endpoint->fd =
	    nacre_connect_next(&channel->next_address, &on_the_way, &channel->connect_error);
	if (endpoint->fd >= 0 && on_the_way) {
		endpoint_want(channel->user, endpoint, NACRE_POLL_WRITE);
		return;
	}
	if (endpoint->fd >= 0) {
		tcp_established(channel);
		return;
	}
	record_forward(NACRE_LOG_ERROR, TCP_TYPE, channel->target, "failed",
	    "connect_to %.100s: failed.", channel->target);
	give_up(channel, strerror(channel->connect_error));
}

static void
connected(struct user_session *user, struct endpoint *endpoint, unsigned what)
{
	struct channel *channel = endpoint->channel;
	int error = 0;
	socklen_t length = sizeof error;

	(void)user;
	(void)what;
	if (channel->gone)
		return;
	if (getsockopt(endpoint->fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0) {
		tcp_established(channel);
		return;
	}
	channel->connect_error = error;
	try_next(channel);
}

static void
addresses_known(void *context, int error, struct addrinfo *list)
{
	struct channel *channel = context;

	if (error != 0) {
		record_forward(NACRE_LOG_ERROR, TCP_TYPE, channel->target, "failed",
		    "connect_to %.100s: unknown host (%s)", channel->target, gai_strerror(error));
		give_up(channel, gai_strerror(error));
		return;
	}
	channel->addresses = channel->next_address = list;
	try_next(channel);
}

static void
open_tcp(struct user_session *user, uint32_t number, const char *host, uint32_t port)
{
	char target[300];

	snprintf(target, sizeof target, "%s port %u", host, port);
	if (port > UINT16_MAX || !forward_permits_open(user, host, port)) {
		record_forward(NACRE_LOG_INFO, TCP_TYPE, target, "refused",
		    "Received request from %.100s port %d to connect to host %.100s port %u, but "
		    "the request was denied.",
		    user->login->peer.address, user->login->peer.port, host, port);
		refuse(user, number, NACRE_OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed");
		return;
	}
	nacre_log(NACRE_LOG_DEBUG1, "channel %u: connect to %.200s port %u", number, host, port);
	struct channel *channel = add_connecting(user, number, TCP_TYPE);
	channel->endpoints[0].ready = connected;
	if (asprintf(&channel->target, "%s port %u", host, port) < 0)
		nacre_fatal("out of memory");
	resolver_ask(user, host, port, false, addresses_known, channel);
}

/* Unix sockets -------------------------------------------------------------------------------- */

static void
open_path(struct user_session *user, uint32_t number, const char *path)
{
	if (!forward_permits_open_path(user, path)) {
		record_forward(NACRE_LOG_INFO, PATH_TYPE, path, "refused",
		    "Received request from %.100s port %d to connect to path %.100s, but the "
		    "request was denied.",
		    user->login->peer.address, user->login->peer.port, path);
		refuse(user, number, NACRE_OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed");
		return;
	}
	/* A listener with a full queue refuses. */
	int fd = nacre_socket_connect_path(path, SOCK_NONBLOCK);
	if (fd < 0) {
		const char *why = strerror(errno);
		record_forward(NACRE_LOG_ERROR, PATH_TYPE, path, "failed",
		    "cannot connect to %.200s: %s", path, why);
		refuse(user, number, NACRE_OPEN_CONNECT_FAILED, why);
		return;
	}
	struct channel *channel = add_connecting(user, number, PATH_TYPE);
	channel->endpoints[0].fd = fd;
	established(channel);
	record_forward(NACRE_LOG_DEBUG1, PATH_TYPE, path, "opened",
	    "channel %u: connected to %.200s", number, path);
}

void
forward_open(struct user_session *user, const struct nacre_event *event)
{
	char *host = nacre_span_to_string(event->u.channel_open.host);

	if (host == NULL)
		refuse(user, event->channel, NACRE_OPEN_CONNECT_FAILED, "malformed request");
	else if (event->u.channel_open.kind == NACRE_CHANNEL_DIRECT_STREAMLOCAL)
		open_path(user, event->channel, host);
	else
		open_tcp(user, event->channel, host, event->u.channel_open.port);
	free(host);
}
