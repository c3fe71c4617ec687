/* Sockets that the client has us listen at, whose connections it gets: tcpip-forward (RFC 4254
 * section 7.1), streamlocal-forward@openssh.com, and the requests that end them. */
#include "user_session.h"

#include <nacre/log.h>
#include <nacre/socket.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static const struct nacre_span nothing = {NULL, 0};

/* TCP ----------------------------------------------------------------------------------------- */

static int
open_tcp(struct user_session *user, const struct acceptor *acceptor, const char *originator,
    unsigned originator_port, uint32_t *number)
{
	return nacre_channel_open_forwarded_tcpip(user->session, acceptor->host,
	    (uint16_t)acceptor->port, originator, (uint16_t)originator_port, number);
}

/* A tcpip-forward that waits for its addresses. */
struct wanted {
	struct user_session *user;
	char *host;
	unsigned port;
	struct global_reply *reply;
};

/* Listens at every address that can be listened at; a port that the kernel chose for the first is
 * asked for at the others. The port, or 0 when there is none. */
static unsigned
listen_at(struct user_session *user, const struct addrinfo *list, const char *host, unsigned port)
{
	bool any = false;

	for (const struct addrinfo *at = list; at != NULL; at = at->ai_next) {
		nacre_address_set_port(at, port);
		int fd = nacre_socket_listen(at, NACRE_LISTEN_BACKLOG);
		if (fd < 0) {
			nacre_log(NACRE_LOG_VERBOSE, "bind to %s port %u: %s", host, port,
			    strerror(errno));
			continue;
		}
		if (port == 0)
			port = nacre_bound_port(fd);
		struct acceptor *acceptor = acceptor_add(user, fd, host, port);
		acceptor->open = open_tcp;
		acceptor->channel_type = "forwarded-tcpip";
		any = true;
	}
	return any ? port : 0;
}

static void
addresses_known(void *context, int error, struct addrinfo *list)
{
	struct wanted *wanted = context;
	struct user_session *const user = wanted->user;
	struct nacre_buffer chosen = {0};
	unsigned port = 0;

	if (error != 0)
		nacre_log(NACRE_LOG_ERROR, "tcpip-forward to %.100s port %u: %s", wanted->host,
		    wanted->port, gai_strerror(error));
	else
		port = listen_at(user, list, wanted->host, wanted->port);
	if (port == 0)
		nacre_log(NACRE_LOG_ERROR, "cannot listen at %.100s port %u for the client",
		    wanted->host, wanted->port);
	else if (wanted->port == 0)
		nacre_put_u32(&chosen, port);
	global_reply(user, wanted->reply, port != 0, nacre_buffer_span(&chosen));
	nacre_buffer_free(&chosen);
	if (list != NULL)
		freeaddrinfo(list);
	free(wanted->host);
	free(wanted);
}

static bool
may_listen(const struct user_session *user, const char *host, uint32_t port)
{
	const struct login *login = user->login;

	/* As on the machine itself, low ports are root's. */
	if (port <= UINT16_MAX && forward_permits_listen(user, host, port) &&
	    (port == 0 || port >= IPPORT_RESERVED || login->account.uid == 0))
		return true;
	nacre_log(NACRE_LOG_INFO,
	    "Received request from %.100s port %d to remote forward to host %.100s port %u, but "
	    "the request was denied.",
	    login->peer.address, login->peer.port, host, port);
	return false;
}

/* GatewayPorts: which interfaces. NULL: all of them or, unless *passive, the loopback. */
static const char *
interface_for(const struct user_session *user, const char *host, bool *passive)
{
	bool everywhere = host[0] == '\0' || strcmp(host, "*") == 0;
	bool loopback = strcmp(host, "127.0.0.1") == 0 || strcmp(host, "::1") == 0;

	*passive = user->config->gateway_ports == NACRE_GATEWAY_YES;
	if (*passive)
		return NULL;
	if (user->config->gateway_ports == NACRE_GATEWAY_NO)
		return loopback ? host : NULL;
	*passive = everywhere;
	return everywhere || strcmp(host, "localhost") == 0 ? NULL : host;
}

/* Takes "host" over. */
static void
request_tcp(struct user_session *user, char *host, uint32_t port, struct global_reply *reply)
{
	struct wanted *wanted = calloc(1, sizeof *wanted);
	bool passive;

	if (wanted == NULL)
		nacre_fatal("out of memory");
	if (!may_listen(user, host, port)) {
		global_reply(user, reply, false, nothing);
		free(host);
		free(wanted);
		return;
	}
	*wanted = (struct wanted){.user = user, .host = host, .port = port, .reply = reply};
	const char *interface = interface_for(user, host, &passive);
	resolver_ask(user, interface, port, passive, addresses_known, wanted);
}

/* Unix sockets -------------------------------------------------------------------------------- */

static int
open_path(struct user_session *user, const struct acceptor *acceptor, const char *originator,
    unsigned originator_port, uint32_t *number)
{
	(void)originator;
	(void)originator_port;
	return nacre_channel_open_forwarded_streamlocal(user->session, acceptor->host, number);
}

static bool
request_path(struct user_session *user, const char *path)
{
	if (!forward_permits_listen_path(user)) {
		nacre_log(NACRE_LOG_INFO,
		    "Received request from %.100s port %d to remote forward to path \"%.100s\", "
		    "but the request was denied.",
		    user->login->peer.address, user->login->peer.port, path);
		return false;
	}
	if (user->config->stream_local_bind_unlink)
		nacre_socket_path_clear(path);
	int fd = nacre_socket_listen_path(
	    path, (mode_t)user->config->stream_local_bind_mask, NACRE_LISTEN_BACKLOG);
	if (fd < 0) {
		nacre_log(NACRE_LOG_ERROR, "cannot listen at %.200s for the client: %s", path,
		    strerror(errno));
		return false;
	}
	struct acceptor *acceptor = acceptor_add(user, fd, path, 0);
	acceptor->open = open_path;
	acceptor->channel_type = "forwarded-streamlocal@openssh.com";
	acceptor_own_path(acceptor);
	return true;
}

/* The end ------------------------------------------------------------------------------------- */

static bool
cancel(struct user_session *user,
    int (*open)(struct user_session *, const struct acceptor *, const char *, unsigned, uint32_t *),
    const char *host, uint32_t port)
{
	bool found = false;

	for (struct acceptor *at = user->acceptors; at != NULL; at = at->next) {
		if (at->gone || at->open != open || at->port != port || strcmp(at->host, host) != 0)
			continue;
		acceptor_remove(user, at);
		found = true;
	}
	return found;
}

void
forward_request(
    struct user_session *user, const struct nacre_event *event, struct global_reply *reply)
{
	char *host = nacre_span_to_string(event->u.global_request.host);
	uint32_t port = event->u.global_request.port;
	enum nacre_global_kind kind = event->u.global_request.kind;
	bool good = false;

	if (host != NULL && kind == NACRE_GLOBAL_TCPIP_FORWARD) {
		request_tcp(user, host, port, reply);
		return;
	}
	if (host != NULL && kind == NACRE_GLOBAL_STREAMLOCAL_FORWARD)
		good = request_path(user, host);
	else if (host != NULL && kind == NACRE_GLOBAL_CANCEL_TCPIP_FORWARD)
		good = cancel(user, open_tcp, host, port);
	else if (host != NULL && kind == NACRE_GLOBAL_CANCEL_STREAMLOCAL_FORWARD)
		good = cancel(user, open_path, host, 0);
	global_reply(user, reply, good, nothing);
	free(host);
}
