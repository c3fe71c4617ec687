/* Forwardings that those who share a connection ask for, and their end. */
#include "ssh/forward.h"
#include "ssh/mux_master.h"

#include <nacre/log.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Who waits for the server's answer: the peer may be gone by then. */
struct waiting {
	struct mux_master *master;
	uint64_t peer; /* its serial number */
	uint32_t request;
	bool any_port;
};

/* A place as the message has it. False: it makes no sense. */
static bool
read_endpoint(struct nacre_span host, uint32_t port, struct nacre_endpoint *end)
{
	char *const text = nacre_span_to_string(host);

	*end = (struct nacre_endpoint){.port = -1};
	if (text == NULL)
		return false;
	if (port == NACRE_MUX_PORT_PATH) {
		end->path = text;
		return *text != '\0';
	}
	end->port = (int)port;
	end->host = *text != '\0' ? text : NULL;
	if (end->host == NULL)
		free(text);
	return port <= UINT16_MAX;
}

static bool
is_socks(const struct nacre_mux_message *message)
{
	return message->forward.direction == NACRE_MUX_FORWARD_DYNAMIC ||
	       (message->forward.direction == NACRE_MUX_FORWARD_REMOTE &&
		   message->forward.connect_port == 0 &&
		   nacre_span_equals(message->forward.connect_host, "socks"));
}

/* False: refused. "forward" is to be freed in either case. */
static bool
read_forward(
    struct mux_peer *peer, const struct nacre_mux_message *message, struct nacre_forward *forward)
{
	const uint32_t direction = message->forward.direction;
	const bool remote = direction == NACRE_MUX_FORWARD_REMOTE;
	bool good = direction >= NACRE_MUX_FORWARD_LOCAL && direction <= NACRE_MUX_FORWARD_DYNAMIC;

	*forward = (struct nacre_forward){.dynamic = is_socks(message)};
	good &= read_endpoint(
	    message->forward.listen_host, message->forward.listen_port, &forward->listen);
	if (!forward->dynamic)
		good &= read_endpoint(message->forward.connect_host, message->forward.connect_port,
			    &forward->connect) &&
			forward->connect.port != 0 &&
			(forward->connect.host != NULL || forward->connect.path != NULL);
	good &= remote || forward->listen.port != 0;
	if (!good)
		mux_answer_text(peer, message->id, NACRE_MUX_FAILURE, "invalid forwarding request");
	return good;
}

static void
on_answer(struct connection *connection, void *context, const struct nacre_forward *forward,
    bool success, unsigned port)
{
	struct waiting *const waiting = context;
	struct mux_peer *const peer = mux_peer_find(waiting->master, waiting->peer);
	char text[256];

	(void)connection;
	if (peer == NULL) {
		free(waiting);
		return;
	}
	if (success && waiting->any_port) {
		mux_answer(peer,
		    &(struct nacre_mux_message){
			.kind = NACRE_MUX_REMOTE_PORT, .id = waiting->request, .value = port});
	} else if (success) {
		mux_answer_ok(peer, waiting->request);
	} else {
		if (forward->listen.path != NULL)
			snprintf(text, sizeof text,
			    "remote port forwarding failed for listen path %s",
			    forward->listen.path);
		else
			snprintf(text, sizeof text,
			    "remote port forwarding failed for listen port %d",
			    forward->listen.port);
		nacre_log(NACRE_LOG_ERROR, "%s", text);
		mux_answer_text(peer, waiting->request, NACRE_MUX_FAILURE, text);
	}
	free(waiting);
}

static void
open_remote(struct mux_peer *peer, const struct nacre_mux_message *message,
    const struct nacre_forward *forward)
{
	struct waiting *const waiting = malloc(sizeof *waiting);

	if (waiting == NULL)
		nacre_fatal("out of memory");
	*waiting = (struct waiting){.master = peer->master,
	    .peer = peer->serial,
	    .request = message->id,
	    .any_port = forward->listen.port == 0};
	if (forward_request(peer->master->connection, forward, on_answer, waiting))
		return;
	free(waiting);
	mux_answer_text(peer, message->id, NACRE_MUX_FAILURE, "Port forwarding failed");
}

void
mux_forward_open(
    struct mux_peer *peer, const struct nacre_mux_message *message, const int *descriptors)
{
	struct nacre_forward forward;

	(void)descriptors;
	if (read_forward(peer, message, &forward) &&
	    mux_permitted(peer, message, "Open a forwarding on the shared connection to %s? ")) {
		if (message->forward.direction == NACRE_MUX_FORWARD_REMOTE)
			open_remote(peer, message, &forward);
		else if (forward_listen(peer->master->connection, &forward))
			mux_answer_ok(peer, message->id);
		else
			mux_answer_text(
			    peer, message->id, NACRE_MUX_FAILURE, "Port forwarding failed");
	}
	nacre_forward_free(&forward);
}

void
mux_forward_close(
    struct mux_peer *peer, const struct nacre_mux_message *message, const int *descriptors)
{
	struct connection *const connection = peer->master->connection;
	struct nacre_forward forward;
	bool found;

	(void)descriptors;
	if (read_forward(peer, message, &forward)) {
		if (message->forward.direction == NACRE_MUX_FORWARD_REMOTE)
			found = forward_request_cancel(connection, &forward.listen);
		else
			found = forward_listen_cancel(connection, &forward.listen, forward.dynamic);
		if (found)
			mux_answer_ok(peer, message->id);
		else
			mux_answer_text(peer, message->id, NACRE_MUX_FAILURE, "port not forwarded");
	}
	nacre_forward_free(&forward);
}
