/* LocalForward and DynamicForward: sockets here, each connection of which becomes a channel. */
#include "ssh/forward.h"

#include <nacre/log.h>
#include <nacre/socket.h>

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACCEPT_MOST 32   /* connections before others are looked at */
#define PAUSE_MS    1000 /* when there are no descriptors left */

struct listener {
	struct listener *next;
	struct connection *connection;
	struct nacre_watch watch;
	struct nacre_forward *forward;
	unsigned port; /* 0: a path */
	struct nacre_socket_file file;
};

static const struct channel_kind tcp_kind = {.name = "direct-tcpip", RELAYED};
static const struct channel_kind path_kind = {.name = "direct-streamlocal@openssh.com", RELAYED};

/* Connections --------------------------------------------------------------------------------- */

static int
open_channel(const struct listener *listener, const char *originator, unsigned originator_port,
    uint32_t *number)
{
	const struct nacre_endpoint *const target = &listener->forward->connect;
	struct nacre_session *const session = listener->connection->session;

	if (target->path != NULL)
		return nacre_channel_open_direct_streamlocal(session, target->path, number);
	return nacre_channel_open_direct_tcpip(session, target->host, (uint16_t)target->port,
	    originator, (uint16_t)originator_port, number);
}

static void
log_connection(const struct listener *listener)
{
	const struct nacre_forward *const forward = listener->forward;
	char *const target = forward_target_text(forward);

	if (forward->listen.path != NULL)
		nacre_log(NACRE_LOG_DEBUG1, "Connection to path %s forwarding to %s requested.",
		    forward->listen.path, target);
	else if (forward->dynamic)
		nacre_log(NACRE_LOG_DEBUG1,
		    "Connection to port %u forwarding to socks port 0 requested.", listener->port);
	else if (forward->connect.path != NULL)
		nacre_log(NACRE_LOG_DEBUG1,
		    "Connection to port %u forwarding to path %s requested.", listener->port,
		    forward->connect.path);
	else
		nacre_log(NACRE_LOG_DEBUG1,
		    "Connection to port %u forwarding to %s port %d requested.", listener->port,
		    forward->connect.host, forward->connect.port);
	free(target);
}

static void
add_channel(
    const struct listener *listener, uint32_t number, int fd, const char *originator, unsigned port)
{
	const struct nacre_endpoint *const target = &listener->forward->connect;
	const struct channel_kind *const kind = target->path != NULL ? &path_kind : &tcp_kind;
	char *text = NULL;
	int length;

	nacre_log(NACRE_LOG_DEBUG1, "channel %u: new %s [%s]", number, kind->name, kind->name);
	struct relayed *const relayed = relayed_add(listener->connection, kind, number, fd, true);
	if (target->path != NULL)
		length = asprintf(&text, "%s: %s for %s", kind->name,
		    listener->forward->listen.path != NULL ? listener->forward->listen.path
							   : "port",
		    target->path);
	else
		length =
		    asprintf(&text, "%s: listening port %u for %s port %d, connect from %s port %u",
			kind->name, listener->port, target->host, target->port, originator, port);
	relayed->channel.description = length >= 0 ? text : NULL;
}

static void
accepted(
    struct listener *listener, int fd, const struct sockaddr_storage *address, socklen_t length)
{
	char originator[NACRE_ADDRESS_ROOM];
	unsigned port = nacre_address_text(address, length, originator);
	uint32_t number;

	/* What to say of a Unix socket is left open by RFC 4254. */
	if (originator[0] == '\0') {
		snprintf(originator, sizeof originator, "127.0.0.1");
		port = 65535;
	}
	log_connection(listener);
	if (listener->forward->dynamic) {
		dynamic_accept(listener->connection, fd, originator, port, listener->port);
		return;
	}
	if (open_channel(listener, originator, port, &number) != 0) {
		close(fd);
		return;
	}
	add_channel(listener, number, fd, originator, port);
}

/* Without descriptors nobody is accepted until one has become free. */
static void
resume(struct connection *connection, struct timer *timer)
{
	(void)timer;
	for (struct listener *at = connection->listeners; at != NULL; at = at->next)
		nacre_watch_want(&at->watch, NACRE_POLL_READ);
}

static void
pause_all(struct connection *connection)
{
	static struct timer timer = {.due = resume};

	nacre_log(NACRE_LOG_ERROR, "accept: %s: waiting for a connection to end", strerror(errno));
	for (struct listener *at = connection->listeners; at != NULL; at = at->next)
		nacre_watch_want(&at->watch, 0);
	connection_timer_set(connection, &timer, nacre_clock_ms() + PAUSE_MS);
}

/* False when nobody waits any more. */
static bool
accept_one(struct listener *listener)
{
	struct sockaddr_storage address;
	socklen_t length;
	const int fd = nacre_accept(listener->watch.fd, &address, &length);

	if (fd >= 0) {
		accepted(listener, fd, &address, length);
		return true;
	}
	if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
		pause_all(listener->connection);
	return errno == EINTR || errno == ECONNABORTED;
}

static void
ready(struct nacre_watch *watch, unsigned what)
{
	(void)what;
	for (int i = 0; i < ACCEPT_MOST && accept_one(watch->owner); i++)
		;
}

/* Listening ----------------------------------------------------------------------------------- */

static struct listener *
add(struct connection *connection, const struct nacre_forward *forward, int fd)
{
	struct listener *const listener = calloc(1, sizeof *listener);

	if (listener == NULL)
		nacre_fatal("out of memory");
	listener->connection = connection;
	listener->forward = forward_copy(forward);
	listener->port = nacre_bound_port(fd);
	nacre_watch_init(
	    &listener->watch, connection_host(connection)->poller, fd, ready, listener);
	nacre_watch_want(&listener->watch, NACRE_POLL_READ);
	listener->next = connection->listeners;
	connection->listeners = listener;
	return listener;
}

static bool
listen_path(struct connection *connection, const struct nacre_forward *forward)
{
	const struct nacre_ssh_config *const config = connection->plan->config;
	const char *const path = forward->listen.path;

	nacre_log(NACRE_LOG_DEBUG1, "Local forwarding listening on path %s.", path);
	if (config->stream_local_bind_unlink)
		nacre_socket_path_clear(path);
	const int fd = nacre_socket_listen_path(
	    path, (mode_t)config->stream_local_bind_mask, NACRE_LISTEN_BACKLOG);
	if (fd < 0) {
		nacre_log(NACRE_LOG_ERROR, "unix_listener: cannot bind to path %s: %s", path,
		    strerror(errno));
		return false;
	}
	struct listener *const listener = add(connection, forward, fd);
	nacre_socket_file_note(&listener->file, path);
	return true;
}

/* The last address that fails is the one that people are told of. */
static bool
listen_address(
    struct connection *connection, const struct nacre_forward *forward, const struct addrinfo *at)
{
	struct sockaddr_storage address = {0};
	char text[NACRE_ADDRESS_ROOM];

	memcpy(&address, at->ai_addr, at->ai_addrlen);
	const unsigned port = nacre_address_text(&address, at->ai_addrlen, text);
	nacre_log(NACRE_LOG_DEBUG1, "Local forwarding listening on %s port %u.", text, port);
	const int fd = nacre_socket_listen(at, NACRE_LISTEN_BACKLOG);
	if (fd < 0) {
		nacre_log(at->ai_next == NULL ? NACRE_LOG_ERROR : NACRE_LOG_VERBOSE,
		    "bind [%s]:%u: %s", text, port, strerror(errno));
		return false;
	}
	nacre_log(NACRE_LOG_DEBUG1, "channel: new port-listener [port listener]");
	add(connection, forward, fd);
	return true;
}

/* Which interfaces: NULL for all of them or, unless *passive, the loopback. */
static const char *
interface_of(
    const struct connection *connection, const struct nacre_endpoint *listen, bool *passive)
{
	const char *const host = listen->host;

	if (host == NULL) {
		*passive = connection->plan->config->gateway_ports;
		return NULL;
	}
	*passive = host[0] == '\0' || strcmp(host, "*") == 0;
	return *passive || strcmp(host, "localhost") == 0 ? NULL : host;
}

static bool
listen_tcp(struct connection *connection, const struct nacre_forward *forward)
{
	struct addrinfo hints = {
	    .ai_socktype = SOCK_STREAM, .ai_family = connection->plan->config->address_family};
	struct addrinfo *list = NULL;
	char service[16];
	bool passive, any = false;
	const char *const host = interface_of(connection, &forward->listen, &passive);

	hints.ai_flags = passive ? AI_PASSIVE : 0;
	snprintf(service, sizeof service, "%d", forward->listen.port);
	const int error = getaddrinfo(host, service, &hints, &list);
	if (error != 0) {
		nacre_log(NACRE_LOG_ERROR, "channel_setup_fwd_listener_tcpip: getaddrinfo(%s): %s",
		    host != NULL ? host : "<any>", gai_strerror(error));
		return false;
	}
	for (const struct addrinfo *at = list; at != NULL; at = at->ai_next)
		any |= listen_address(connection, forward, at);
	freeaddrinfo(list);
	if (!any)
		nacre_log(NACRE_LOG_ERROR,
		    "channel_setup_fwd_listener_tcpip: cannot listen to port: %d",
		    forward->listen.port);
	return any;
}

bool
forward_listen(struct connection *connection, const struct nacre_forward *forward)
{
	return forward->listen.path != NULL ? listen_path(connection, forward)
					    : listen_tcp(connection, forward);
}

/* The end ------------------------------------------------------------------------------------- */

static void
end(struct listener *listener)
{
	nacre_watch_close(&listener->watch);
	if (listener->forward->listen.path != NULL)
		nacre_socket_file_remove(&listener->file, listener->forward->listen.path);
	forward_free(listener->forward);
	connection_retire(listener->connection, listener);
}

bool
forward_listen_cancel(
    struct connection *connection, const struct nacre_endpoint *listen, bool dynamic)
{
	struct listener **at = &connection->listeners;
	bool found = false;

	while (*at != NULL) {
		struct listener *const listener = *at;

		if (listener->forward->dynamic != dynamic ||
		    !forward_same_place(&listener->forward->listen, listen)) {
			at = &listener->next;
			continue;
		}
		*at = listener->next;
		end(listener);
		found = true;
	}
	return found;
}

void
forward_listen_end(struct connection *connection)
{
	while (connection->listeners != NULL) {
		struct listener *const listener = connection->listeners;

		connection->listeners = listener->next;
		end(listener);
	}
}
