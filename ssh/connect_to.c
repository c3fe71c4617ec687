/* Connections that are made for the server: to a path, or to one address of a host after another. */
#include "ssh/forward.h"

#include <nacre/log.h>
#include <nacre/resolver.h>
#include <nacre/socket.h>

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct connecting {
	struct connecting *next_one, **link;
	struct connection *connection;
	struct nacre_watch watch;
	char *host;
	unsigned port;
	struct addrinfo *addresses, *next;
	int error;
	bool looking_up;
	void (*done)(void *context, int fd, const char *why); /* NULL: nobody is interested */
	void *context;
};

static void
end(struct connecting *connecting, int fd, const char *why)
{
	if (connecting->done != NULL)
		connecting->done(connecting->context, fd, why);
	else if (fd >= 0)
		close(fd);
	connecting->done = NULL;
	*connecting->link = connecting->next_one;
	if (connecting->next_one != NULL)
		connecting->next_one->link = connecting->link;
	if (connecting->addresses != NULL)
		freeaddrinfo(connecting->addresses);
	free(connecting->host);
	connection_retire(connecting->connection, connecting);
}

/* The descriptor changes hands. */
static void
established(struct connecting *connecting)
{
	end(connecting, nacre_watch_release(&connecting->watch), NULL);
}

static void
try_next(struct connecting *connecting)
{
	bool on_the_way;

	nacre_watch_close(&connecting->watch);
	connecting->watch.fd =
	    nacre_connect_next(&connecting->next, &on_the_way, &connecting->error);
	if (connecting->watch.fd < 0) {
		nacre_log(NACRE_LOG_ERROR, "connect_to %.100s port %u: failed.", connecting->host,
		    connecting->port);
		end(connecting, -1, strerror(connecting->error));
	} else if (on_the_way) {
		nacre_watch_want(&connecting->watch, NACRE_POLL_WRITE);
	} else {
		established(connecting);
	}
}

static void
ready(struct nacre_watch *watch, unsigned what)
{
	struct connecting *const connecting = watch->owner;
	int error = 0;
	socklen_t length = sizeof error;

	(void)what;
	if (getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0) {
		established(connecting);
		return;
	}
	connecting->error = error;
	try_next(connecting);
}

static void
addresses_known(void *context, int error, struct addrinfo *list)
{
	struct connecting *const connecting = context;

	connecting->looking_up = false;
	connecting->addresses = connecting->next = list;
	if (connecting->done == NULL) {
		end(connecting, -1, NULL);
	} else if (error != 0) {
		nacre_log(NACRE_LOG_ERROR, "connect_to %.100s: unknown host (%s)", connecting->host,
		    gai_strerror(error));
		end(connecting, -1, gai_strerror(error));
	} else {
		try_next(connecting);
	}
}

static void
to_path(const char *path, void (*done)(void *context, int fd, const char *why), void *context)
{
	const int fd = nacre_socket_connect_path(path, SOCK_NONBLOCK);

	const char *const why = fd < 0 ? strerror(errno) : NULL;

	if (fd < 0)
		nacre_log(NACRE_LOG_ERROR, "connect_to %.200s: %s", path, why);
	done(context, fd, why);
}

struct connecting *
connect_to(struct connection *connection, const struct nacre_endpoint *target,
    void (*done)(void *context, int fd, const char *why), void *context)
{
	struct connecting *connecting;

	if (target->path != NULL) {
		to_path(target->path, done, context);
		return NULL;
	}
	if ((connecting = calloc(1, sizeof *connecting)) == NULL ||
	    (connecting->host = strdup(target->host)) == NULL)
		nacre_fatal("out of memory");
	connecting->connection = connection;
	connecting->port = (unsigned)target->port;
	connecting->done = done;
	connecting->context = context;
	connecting->looking_up = true;
	connecting->link = &connection->connecting;
	connecting->next_one = *connecting->link;
	if (connecting->next_one != NULL)
		connecting->next_one->link = &connecting->next_one;
	*connecting->link = connecting;
	nacre_watch_init(
	    &connecting->watch, connection_host(connection)->poller, -1, ready, connecting);
	nacre_resolver_ask(connection_resolver(connection), connecting->host, connecting->port,
	    false, addresses_known, connecting);
	return connecting->done != NULL ? connecting : NULL;
}

void
connect_to_cancel(struct connecting *connecting)
{
	if (connecting == NULL)
		return;
	connecting->done = NULL;
	nacre_watch_close(&connecting->watch);
	/* While it is being looked up the answer finds nobody. */
	if (!connecting->looking_up)
		end(connecting, -1, NULL);
}

void
connect_to_end(struct connection *connection)
{
	while (connection->connecting != NULL) {
		struct connecting *const connecting = connection->connecting;

		nacre_watch_close(&connecting->watch);
		end(connecting, -1, "the connection has ended");
	}
}
