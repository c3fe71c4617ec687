/*
 * ssh-keyscan: a connection to a host, as far as its host key. The first shows what kinds of keys
 * the server has; for each further kind that is wanted there is one more.
 */
#include "keyscan.h"

#include <nacre/known_hosts.h>
#include <nacre/log.h>
#include <nacre/session.h>

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READY_MOST 64
#define TEXT(span) (int)(span).length, (const char *)(span).data

/* What the connections to one host share. */
struct host {
	struct target target;
	unsigned references;
	bool surveyed; /* the server's kinds of keys are known */
};

struct connection {
	struct connection *next;
	struct host *host;
	unsigned types; /* flags */
	int fd;
	struct nacre_session *session; /* NULL: still connecting */
	struct addrinfo *resolved;
	const struct addrinfo *current;
	struct nacre_span addresses; /* of the target, behind the one that is tried */
	uint64_t deadline;           /* ms */
	bool done;                   /* it has told what it had to */
};

static const char *
names_of(const struct scan_options *options, const struct scan_type *type)
{
	return options->certificates ? type->certificate_algorithms : type->algorithms;
}

/* Life -------------------------------------------------------------------------------------- */

static void
host_release(struct host *host)
{
	if (--host->references > 0)
		return;
	target_free(&host->target);
	free(host);
}

static void
connection_free(struct scan *scan, struct connection *connection)
{
	if (connection->fd >= 0) {
		nacre_poller_set(scan->poller, connection->fd, 0, NULL);
		close(connection->fd);
	}
	nacre_session_free(connection->session);
	if (connection->resolved != NULL)
		freeaddrinfo(connection->resolved);
	host_release(connection->host);
	scan->count--;
	free(connection);
}

static struct connection *
connection_add(struct scan *scan, struct host *host, unsigned types)
{
	struct connection *const connection = calloc(1, sizeof *connection);

	if (connection == NULL)
		nacre_fatal("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	connection->host = host;
	host->references++;
	connection->types = types;
	connection->fd = -1;
	connection->addresses = nacre_span_of(host->target.addresses);
	connection->next = scan->connections;
	scan->connections = connection;
	scan->count++;
	return connection;
}

/* Reaching the host ------------------------------------------------------------------------- */

static void
complain(const struct connection *connection, const char *what, const char *why)
{
	const bool quiet = connection->host->target.of_network;

	nacre_log(quiet ? NACRE_LOG_DEBUG1 : NACRE_LOG_ERROR, "%s %s: %s", what,
	    connection->host->target.addresses, why);
}

/* Closes what failed and takes the next address: of the same name, or of the next one. */
static bool
next_address(struct scan *scan, struct connection *connection)
{
	const struct addrinfo hints = {
	    .ai_family = scan->options->family, .ai_socktype = SOCK_STREAM};
	char port[8];

	if (connection->current != NULL)
		connection->current = connection->current->ai_next;
	snprintf(port, sizeof port, "%d", scan->options->port);
	while (connection->current == NULL && connection->addresses.length > 0) {
		char *const name = nacre_span_to_string(nacre_list_next(&connection->addresses));

		if (connection->resolved != NULL)
			freeaddrinfo(connection->resolved);
		connection->resolved = NULL;
		const int error = name != NULL
				      ? getaddrinfo(name, port, &hints, &connection->resolved)
				      : EAI_MEMORY;
		if (error != 0)
			complain(connection, "getaddrinfo", gai_strerror(error));
		connection->current = connection->resolved;
		free(name);
	}
	return connection->current != NULL;
}

static bool
connect_once(struct connection *connection)
{
	const struct addrinfo *const address = connection->current;

	connection->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return connection->fd >= 0 &&
	       (connect(connection->fd, address->ai_addr, address->ai_addrlen) == 0 ||
		   errno == EINPROGRESS);
}

/* Ends the connection when no address is left. */
static void
connect_next(struct scan *scan, struct connection *connection)
{
	while (next_address(scan, connection)) {
		if (connect_once(connection)) {
			connection->deadline = nacre_clock_ms() + scan->options->timeout;
			nacre_poller_set(
			    scan->poller, connection->fd, NACRE_POLL_WRITE, connection);
			return;
		}
		complain(connection, "connect", strerror(errno));
		if (connection->fd >= 0)
			close(connection->fd);
		connection->fd = -1;
	}
	connection->done = true;
}

/* All algorithms of the wanted types, in the order of the table. */
static void
put_algorithms(const struct scan_options *options, unsigned types, struct nacre_buffer *algorithms)
{
	for (size_t i = 0; i < scan_type_count; i++)
		if ((types & scan_types[i].flag) != 0)
			nacre_put_format(algorithms, "%s%s",
			    nacre_buffer_length(algorithms) > 0 ? "," : "",
			    names_of(options, &scan_types[i]));
	nacre_put_byte(algorithms, '\0');
}

static int
start_session(const struct scan *scan, struct connection *connection)
{
	struct nacre_buffer algorithms = {0};
	int error = NACRE_ERROR_MEMORY;

	put_algorithms(scan->options, connection->types, &algorithms);
	if (!algorithms.failed) {
		const struct nacre_session_options options = {
		    .role = NACRE_CLIENT,
		    .software = "Nacre_" NACRE_VERSION,
		    .host_key_algorithms = (const char *)algorithms.data,
		    .log_level = nacre_log_level_get(),
		};
		error = nacre_session_new(&options, nacre_clock_ms(), &connection->session);
	}
	nacre_buffer_free(&algorithms);
	return error;
}

/* The socket can be written to for the first time: connected, or not. */
static void
connected(struct scan *scan, struct connection *connection)
{
	int error = 0;
	socklen_t length = sizeof error;

	if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0) {
		error = start_session(scan, connection);
		if (error != 0)
			nacre_fatal("Cannot start a session: %s", nacre_error_string(error));
		return;
	}
	complain(connection, "connect", strerror(error));
	nacre_poller_set(scan->poller, connection->fd, 0, NULL);
	close(connection->fd);
	connection->fd = -1;
	connect_next(scan, connection);
}

/* What is found ----------------------------------------------------------------------------- */

/* A certificate is no entry of known_hosts: it comes by itself, for ssh-keygen -L. */
static void
put_certificate(const struct nacre_key *key, struct nacre_buffer *text)
{
	nacre_key_put_line(key, NULL, text);
	nacre_put_byte(text, '\n');
}

static void
put_lines(const struct scan *scan, const struct connection *connection, const struct nacre_key *key,
    struct nacre_buffer *text)
{
	const struct scan_options *const options = scan->options;
	struct nacre_span left = nacre_span_of(connection->host->target.names);

	while (left.length > 0) {
		char *const name = nacre_span_to_string(nacre_list_next(&left));
		char *const known =
		    name != NULL ? nacre_known_hosts_name(name, options->port) : NULL;
		int error = NACRE_ERROR_MEMORY;

		if (known != NULL && options->records)
			error = nacre_key_put_sshfp(key, name, options->record_hashes, false, text);
		else if (known != NULL)
			error = nacre_known_hosts_put(known, key, options->hash_names, text);
		if (error != 0 && error != NACRE_ERROR_UNSUPPORTED)
			nacre_log(NACRE_LOG_ERROR, "%s: %s", name != NULL ? name : "host",
			    nacre_error_string(error));
		free(name);
		free(known);
	}
}

static void
print_key(struct scan *scan, const struct connection *connection, struct nacre_span blob)
{
	struct nacre_buffer text = {0};
	struct nacre_key *key;

	if (nacre_key_from_blob(blob, &key) != 0)
		return;
	if (nacre_key_is_certificate(key) && !scan->options->records)
		put_certificate(key, &text);
	else
		put_lines(scan, connection, key, &text);
	fwrite(text.data, 1, nacre_buffer_length(&text), stdout);
	fflush(stdout);
	scan->found++;
	nacre_buffer_free(&text);
	nacre_key_free(key);
}

/* True when one of "names" is on the server's list. */
static bool
offers_any(const struct connection *connection, const char *names)
{
	const struct nacre_span offered =
	    nacre_session_peer_host_key_algorithms(connection->session);
	struct nacre_span left = nacre_span_of(names), name;

	while ((name = nacre_list_next(&left)).length > 0)
		if (nacre_list_contains(offered, name))
			return true;
	return false;
}

static unsigned
type_of_algorithm(const struct scan_options *options, struct nacre_span algorithm)
{
	for (size_t i = 0; i < scan_type_count; i++)
		if (nacre_list_contains(
			nacre_span_of(names_of(options, &scan_types[i])), algorithm))
			return scan_types[i].flag;
	return 0;
}

/* The first key came: the server's other kinds of keys are asked for side by side. */
static void
survey(struct scan *scan, struct connection *connection)
{
	struct host *const host = connection->host;
	struct nacre_session_algorithms agreed;

	if (host->surveyed)
		return;
	host->surveyed = true;
	nacre_session_algorithms(connection->session, &agreed);
	const unsigned first = type_of_algorithm(scan->options, nacre_span_of(agreed.host_key));
	for (size_t i = 0; i < scan_type_count; i++) {
		const struct scan_type *const type = &scan_types[i];

		if ((connection->types & type->flag & ~first) != 0 &&
		    offers_any(connection, names_of(scan->options, type)))
			connect_next(scan, connection_add(scan, host, type->flag));
	}
}

static void
identified(const struct scan *scan, const struct connection *connection, struct nacre_span text)
{
	if (scan->options->quiet || connection->host->surveyed)
		return;
	nacre_log(NACRE_LOG_INFO, "%c %s:%d %.*s", scan->options->records ? ';' : '#',
	    connection->host->target.names, scan->options->port, TEXT(text));
}

static void
take_event(struct scan *scan, struct connection *connection, const struct nacre_event *event)
{
	if (event->kind == NACRE_EVENT_LOG) {
		nacre_log(event->u.log.level, "%.*s", TEXT(event->u.log.text));
	} else if (event->kind == NACRE_EVENT_IDENTIFIED) {
		identified(scan, connection, event->u.text);
	} else if (event->kind == NACRE_EVENT_HOST_KEY) {
		print_key(scan, connection, event->u.host_key.blob);
		survey(scan, connection);
		connection->done = true;
	} else if (event->kind == NACRE_EVENT_DISCONNECTED) {
		complain(connection, "no key from", "the connection has ended");
		nacre_log(NACRE_LOG_DEBUG1, "%.*s", TEXT(event->u.disconnected.text));
		connection->done = true;
	}
}

/* Input and output -------------------------------------------------------------------------- */

static void
receive(const struct scan *scan, struct connection *connection)
{
	size_t room;
	uint8_t *const place = nacre_session_input_room(connection->session, &room);
	const ssize_t got = place != NULL ? read(connection->fd, place, room) : -1;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	connection->deadline = nacre_clock_ms() + scan->options->timeout;
	nacre_session_received(connection->session, got > 0 ? (size_t)got : 0, nacre_clock_ms());
}

static void
flush_output(struct scan *scan, struct connection *connection)
{
	const struct nacre_span output = nacre_session_output(connection->session);
	const ssize_t sent =
	    output.length > 0 ? send(connection->fd, output.data, output.length, MSG_NOSIGNAL) : 0;

	if (sent > 0)
		nacre_session_sent(connection->session, (size_t)sent);
	nacre_poller_set(scan->poller, connection->fd,
	    sent < (ssize_t)output.length ? NACRE_POLL_READ | NACRE_POLL_WRITE : NACRE_POLL_READ,
	    connection);
}

static void
handle(struct scan *scan, struct connection *connection, unsigned what)
{
	struct nacre_event event;

	if (connection->session == NULL)
		connected(scan, connection);
	else if ((what & (NACRE_POLL_READ | NACRE_POLL_HANGUP)) != 0)
		receive(scan, connection);
	if (connection->session == NULL)
		return;
	while (!connection->done &&
	       nacre_session_next_event(connection->session, nacre_clock_ms(), &event))
		take_event(scan, connection, &event);
	if (!connection->done)
		flush_output(scan, connection);
}

/* Frees those that are through or too slow; milliseconds until the next one is. */
static int64_t
settle(struct scan *scan)
{
	const uint64_t now = nacre_clock_ms();
	uint64_t earliest = UINT64_MAX;
	struct connection **link = &scan->connections, *connection;

	while ((connection = *link) != NULL) {
		const bool late = !connection->done && connection->deadline <= now;

		if (late)
			complain(connection, "no key from", "timed out");
		if (late || connection->done) {
			*link = connection->next;
			connection_free(scan, connection);
			continue;
		}
		if (connection->deadline < earliest)
			earliest = connection->deadline;
		link = &connection->next;
	}
	return earliest == UINT64_MAX ? 0 : (int64_t)(earliest - now);
}

void
scan_start(struct scan *scan, struct target *target)
{
	struct host *const host = calloc(1, sizeof *host);

	if (host == NULL)
		nacre_fatal("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	host->target = *target;
	*target = (struct target){0};
	connect_next(scan, connection_add(scan, host, scan->options->types));
}

void
scan_step(struct scan *scan)
{
	struct nacre_ready ready[READY_MOST];
	const int64_t timeout = settle(scan);

	if (scan->connections == NULL)
		return;
	const int count = nacre_poller_wait(scan->poller, timeout, ready, READY_MOST);
	for (int i = 0; i < count; i++)
		handle(scan, ready[i].context, ready[i].what);
	settle(scan);
}
