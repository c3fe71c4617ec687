/* What the configuration has forwarded, and how forwardings are written in messages. */
#include "ssh/forward.h"

#include <nacre/log.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Texts --------------------------------------------------------------------------------------- */

static char *
format_place(const char *host, int port)
{
	char *text = NULL;

	if (asprintf(&text, "%s:%d", host, port) < 0)
		nacre_fatal("out of memory");
	return text;
}

char *
forward_listen_text(const struct nacre_forward *forward, bool gateway)
{
	const struct nacre_endpoint *const listen = &forward->listen;

	if (listen->path != NULL)
		return format_place(listen->path, -2);
	return format_place(listen->host != NULL ? listen->host
			    : gateway            ? "*"
						 : "LOCALHOST",
	    listen->port);
}

char *
forward_target_text(const struct nacre_forward *forward)
{
	if (forward->dynamic)
		return format_place("socks", 0);
	if (forward->connect.path != NULL)
		return format_place(forward->connect.path, -2);
	return format_place(forward->connect.host, forward->connect.port);
}

static bool
same_text(const char *one, const char *other)
{
	return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

bool
forward_same_place(const struct nacre_endpoint *one, const struct nacre_endpoint *other)
{
	return one->port == other->port && same_text(one->host, other->host) &&
	       same_text(one->path, other->path);
}

static char *
copy_text(const char *text)
{
	char *const copy = text != NULL ? strdup(text) : NULL;

	if (text != NULL && copy == NULL)
		nacre_fatal("out of memory");
	return copy;
}

struct nacre_forward *
forward_copy(const struct nacre_forward *forward)
{
	struct nacre_forward *const copy = malloc(sizeof *copy);

	if (copy == NULL)
		nacre_fatal("out of memory");
	*copy = *forward;
	copy->listen.host = copy_text(forward->listen.host);
	copy->listen.path = copy_text(forward->listen.path);
	copy->connect.host = copy_text(forward->connect.host);
	copy->connect.path = copy_text(forward->connect.path);
	return copy;
}

void
forward_free(struct nacre_forward *forward)
{
	nacre_forward_free(forward);
	free(forward);
}

/* The configuration's -------------------------------------------------------------------------- */

static void
log_wanted(const char *direction, const char *where, const struct nacre_forward *forward,
    bool gateway, const char *target_kind)
{
	char *const listen = forward_listen_text(forward, gateway);
	char *const target = forward_target_text(forward);

	nacre_log(NACRE_LOG_DEBUG1, "%s connections %s %s forwarded to %s address %s", direction,
	    where, listen, target_kind, target);
	free(listen);
	free(target);
}

static void
start_local(struct connection *connection)
{
	const struct nacre_ssh_config *const config = connection->plan->config;
	bool all = true;

	for (size_t i = 0; i < config->local_forward.count; i++) {
		const struct nacre_forward *const forward = &config->local_forward.forwards[i];

		log_wanted("Local", "to", forward, config->gateway_ports, "remote");
		all &= forward_listen(connection, forward);
	}
	if (all)
		return;
	nacre_log(NACRE_LOG_ERROR, "Could not request local forwarding.");
	if (config->exit_on_forward_failure)
		connection_finish(connection, EXIT_OWN_ERROR);
}

static void
log_failure(const struct connection *connection, const struct nacre_forward *forward)
{
	const bool fatal = connection->plan->config->exit_on_forward_failure;
	const char *const word = fatal ? "Error" : "Warning";

	if (forward->listen.path != NULL)
		nacre_log(NACRE_LOG_INFO, "%s: remote port forwarding failed for listen path %s",
		    word, forward->listen.path);
	else
		nacre_log(NACRE_LOG_INFO, "%s: remote port forwarding failed for listen port %d",
		    word, forward->listen.port);
}

/* One of the configuration's was answered. */
static void
on_answer(struct connection *connection, void *context, const struct nacre_forward *forward,
    bool success, unsigned port)
{
	(void)context;
	(void)port;
	connection->forwards_pending--;
	if (!success) {
		log_failure(connection, forward);
		if (connection->plan->config->exit_on_forward_failure)
			connection_finish(connection, EXIT_OWN_ERROR);
	}
	if (connection->forwards_pending == 0)
		nacre_log(NACRE_LOG_DEBUG1,
		    "forwarding_success: all expected forwarding replies received");
}

static void
start_remote(struct connection *connection)
{
	const struct nacre_forwards *const forwards = &connection->plan->config->remote_forward;

	for (size_t i = 0; i < forwards->count; i++) {
		const struct nacre_forward *const forward = &forwards->forwards[i];

		log_wanted("Remote", "from", forward, false, "local");
		if (forward_request(connection, forward, on_answer, NULL))
			connection->forwards_pending++;
	}
}

/* A thousand forwarded connections are more than what programs are usually given. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

void
forward_start(struct connection *connection)
{
	const struct nacre_ssh_config *const config = connection->plan->config;

	if (config->clear_all_forwardings ||
	    config->local_forward.count + config->remote_forward.count == 0)
		return;
	raise_descriptor_limit();
	start_local(connection);
	if (!connection->finished)
		start_remote(connection);
}

void
forward_end(struct connection *connection)
{
	forward_listen_end(connection);
	forward_request_end(connection);
	dynamic_end(connection);
	connect_to_end(connection);
}
