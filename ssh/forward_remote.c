/* RemoteForward: the server listens, and opens a channel for each connection that comes; we connect
 * it to where it is to go. RFC 4254 section 7. */
#include "ssh/forward.h"

#include <nacre/log.h>

#include <stdlib.h>
#include <string.h>

struct remote_forward {
	struct remote_forward *next;
	struct nacre_forward *forward;
	unsigned port; /* that the server listens at; 0: a path, or not known yet */
	bool asked;    /* its answer is to come */
	forward_done *done;
	void *context;
};

/* How the server is told the address to listen at. */
static const char *
bind_host(const struct nacre_endpoint *listen)
{
	if (listen->host == NULL)
		return "localhost";
	return strcmp(listen->host, "*") == 0 ? "" : listen->host;
}

/* Asking -------------------------------------------------------------------------------------- */

static void
unlink_forward(struct connection *connection, struct remote_forward *remote)
{
	struct remote_forward **at = &connection->remote_forwards;

	while (*at != remote)
		at = &(*at)->next;
	*at = remote->next;
	forward_free(remote->forward);
	free(remote);
}

static void
log_answer(const struct remote_forward *remote, bool success)
{
	const struct nacre_endpoint *const listen = &remote->forward->listen;
	char *const target = forward_target_text(remote->forward);
	const char *const host = listen->path != NULL ? listen->path : listen->host;

	nacre_log(NACRE_LOG_DEBUG1, "remote forward %s for: listen %s%s%d, connect %s",
	    success ? "success" : "failure", host != NULL ? host : "", host != NULL ? ":" : "",
	    listen->path != NULL ? -2 : listen->port, target);
	free(target);
}

/* Port 0 became one that the server chose. */
static bool
take_port(struct remote_forward *remote, struct nacre_span payload)
{
	struct nacre_reader reader = nacre_reader_of(payload);
	const uint32_t port = nacre_get_u32(&reader);

	if (reader.failed || port == 0 || port > UINT16_MAX)
		return false;
	remote->port = port;
	char *const target = forward_target_text(remote->forward);
	nacre_log(NACRE_LOG_INFO, "Allocated port %u for remote forward to %s", port, target);
	free(target);
	return true;
}

static void
on_answer(struct connection *connection, void *context, bool success, struct nacre_span payload)
{
	struct remote_forward *const remote = context;
	const struct nacre_endpoint *const listen = &remote->forward->listen;

	remote->asked = false;
	log_answer(remote, success);
	if (success && listen->path == NULL && listen->port == 0 && !take_port(remote, payload)) {
		nacre_log(NACRE_LOG_ERROR,
		    "the server did not say at which port it listens: the forwarding is unusable");
		success = false;
	}
	if (remote->done != NULL)
		remote->done(connection, remote->context, remote->forward, success, remote->port);
	if (!success)
		unlink_forward(connection, remote);
}

bool
forward_request(struct connection *connection, const struct nacre_forward *forward,
    forward_done *done, void *context)
{
	struct remote_forward *const remote = calloc(1, sizeof *remote);
	const struct nacre_endpoint *const listen = &forward->listen;

	if (remote == NULL)
		nacre_fatal("out of memory");
	const int error = listen->path != NULL
			      ? nacre_global_streamlocal_forward(connection->session, listen->path)
			      : nacre_global_tcpip_forward(
				    connection->session, bind_host(listen), (uint16_t)listen->port);
	if (error != 0) {
		free(remote);
		return false;
	}
	remote->forward = forward_copy(forward);
	remote->port = listen->path != NULL ? 0 : (unsigned)listen->port;
	remote->asked = true;
	remote->done = done;
	remote->context = context;
	remote->next = connection->remote_forwards;
	connection->remote_forwards = remote;
	connection_expect_reply(connection, on_answer, remote);
	return true;
}

static void
on_cancelled(struct connection *connection, void *context, bool success, struct nacre_span payload)
{
	(void)connection;
	(void)context;
	(void)payload;
	nacre_log(
	    NACRE_LOG_DEBUG1, "cancelling a remote forward: %s", success ? "success" : "failure");
}

bool
forward_request_cancel(struct connection *connection, const struct nacre_endpoint *listen)
{
	struct remote_forward *remote = connection->remote_forwards;

	while (remote != NULL &&
	       (remote->asked || (!forward_same_place(&remote->forward->listen, listen) &&
				     !(listen->path == NULL && listen->host == NULL &&
					 remote->port == (unsigned)listen->port))))
		remote = remote->next;
	if (remote == NULL)
		return false;
	const struct nacre_endpoint *const own = &remote->forward->listen;
	if (own->path != NULL)
		nacre_global_cancel_streamlocal_forward(connection->session, own->path);
	else
		nacre_global_cancel_tcpip_forward(
		    connection->session, bind_host(own), (uint16_t)remote->port);
	connection_expect_reply(connection, on_cancelled, NULL);
	unlink_forward(connection, remote);
	return true;
}

void
forward_request_end(struct connection *connection)
{
	while (connection->remote_forwards != NULL)
		unlink_forward(connection, connection->remote_forwards);
}

/* Connections --------------------------------------------------------------------------------- */

static const struct channel_kind tcp_kind = {.name = "forwarded-tcpip", RELAYED};
static const struct channel_kind path_kind = {.name = "forwarded-streamlocal@openssh.com", RELAYED};

static bool
matches(const struct remote_forward *remote, const struct nacre_event *event, bool exactly)
{
	const struct nacre_endpoint *const listen = &remote->forward->listen;
	const struct nacre_span host = event->u.channel_open.host;

	if (event->u.channel_open.kind == NACRE_CHANNEL_FORWARDED_STREAMLOCAL)
		return listen->path != NULL && nacre_span_equals(host, listen->path);
	return listen->path == NULL && remote->port == event->u.channel_open.port &&
	       remote->port != 0 && (!exactly || nacre_span_equals(host, bind_host(listen)));
}

/* Some servers name the address that they listen at, and not the one that they were asked for. */
static const struct remote_forward *
find(const struct connection *connection, const struct nacre_event *event)
{
	for (int exactly = 1; exactly >= 0; exactly--)
		for (const struct remote_forward *at = connection->remote_forwards; at != NULL;
		     at = at->next)
			if (matches(at, event, exactly))
				return at;
	return NULL;
}

struct opening {
	struct connection *connection;
	uint32_t channel;
	bool path;
};

static void
connected(void *context, int fd, const char *why)
{
	struct opening *const opening = context;
	struct connection *const connection = opening->connection;

	if (fd < 0) {
		nacre_channel_refuse(
		    connection->session, opening->channel, NACRE_OPEN_CONNECT_FAILED, why);
	} else {
		nacre_channel_accept(connection->session, opening->channel);
		relayed_add(connection, opening->path ? &path_kind : &tcp_kind, opening->channel,
		    fd, false);
	}
	free(opening);
}

static void
refuse_unknown(struct connection *connection, const struct nacre_event *event)
{
	const struct nacre_span host = event->u.channel_open.host;

	if (event->u.channel_open.kind == NACRE_CHANNEL_FORWARDED_STREAMLOCAL)
		nacre_log(NACRE_LOG_ERROR,
		    "WARNING: Server requests forwarding for unknown path %.*s", (int)host.length,
		    (const char *)host.data);
	else
		nacre_log(NACRE_LOG_ERROR,
		    "WARNING: Server requests forwarding for unknown listen_port %u",
		    event->u.channel_open.port);
	nacre_channel_refuse(connection->session, event->channel,
	    NACRE_OPEN_ADMINISTRATIVELY_PROHIBITED, "not requested");
}

void
forward_remote_open(struct connection *connection, const struct nacre_event *event)
{
	const struct remote_forward *const remote = find(connection, event);
	const struct nacre_span host = event->u.channel_open.host;
	struct opening *opening;

	if (remote == NULL) {
		refuse_unknown(connection, event);
		return;
	}
	nacre_log(NACRE_LOG_DEBUG1, "client_request_forwarded_tcpip: listen %.*s port %u",
	    (int)host.length, (const char *)host.data, event->u.channel_open.port);
	if (remote->forward->dynamic) {
		nacre_channel_accept(connection->session, event->channel);
		dynamic_remote(connection, event->channel);
		return;
	}
	if ((opening = calloc(1, sizeof *opening)) == NULL)
		nacre_fatal("out of memory");
	*opening = (struct opening){connection, event->channel,
	    event->u.channel_open.kind == NACRE_CHANNEL_FORWARDED_STREAMLOCAL};
	connect_to(connection, &remote->forward->connect, connected, opening);
}
