/*
 * The master of a shared connection: its socket, those who connect to it, and what they ask for.
 * Sessions are in mux_session.c.
 */
#include "ssh/mux_master.h"

#include <nacre/crypto.h>
#include <nacre/log.h>
#include <nacre/prompt.h>
#include <nacre/socket.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEXT(span) (int)(span).length, (const char *)(span).data

/* Answers ------------------------------------------------------------------------------------- */

static void
peer_lost(struct mux_peer *peer)
{
	if (peer->gone)
		return;
	peer->gone = peer->master->something_gone = true;
	nacre_watch_want(&peer->watch, 0);
	if (peer->passenger != NULL)
		mux_session_abandon(peer->passenger);
	peer->passenger = NULL;
}

static void
send_output(struct mux_peer *peer)
{
	while (!peer->gone && nacre_buffer_length(&peer->output) > 0) {
		const struct nacre_span left = nacre_buffer_span(&peer->output);
		const ssize_t sent =
		    send(peer->socket.fd, left.data, left.length, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0)
			nacre_buffer_consume(&peer->output, (size_t)sent);
		else if (sent < 0 && errno == EAGAIN)
			break;
		else if (sent < 0 && errno != EINTR)
			peer_lost(peer);
	}
	if (peer->gone)
		return;
	const bool waits = nacre_buffer_length(&peer->output) > 0;
	nacre_watch_want(&peer->watch, NACRE_POLL_READ | (waits ? NACRE_POLL_WRITE : 0));
	if (!waits && peer->ending)
		peer_lost(peer);
}

void
mux_answer(struct mux_peer *peer, const struct nacre_mux_message *message)
{
	if (peer->gone)
		return;
	nacre_mux_put(&peer->output, message);
	send_output(peer);
}

void
mux_answer_ok(struct mux_peer *peer, uint32_t id)
{
	mux_answer(peer, &(struct nacre_mux_message){.kind = NACRE_MUX_OK, .id = id});
}

void
mux_answer_text(struct mux_peer *peer, uint32_t id, uint32_t kind, const char *text)
{
	mux_answer(
	    peer, &(struct nacre_mux_message){.kind = kind, .id = id, .text = nacre_span_of(text)});
}

void
mux_peer_end(struct mux_peer *peer)
{
	peer->passenger = NULL;
	peer->ending = true;
	send_output(peer);
}

struct mux_peer *
mux_peer_find(const struct mux_master *master, uint64_t serial)
{
	for (struct mux_peer *at = master->peers; at != NULL; at = at->next)
		if (at->serial == serial && !at->gone)
			return at;
	return NULL;
}

/* As OpenSSH's, the connection stands still meanwhile. */
bool
mux_permitted(struct mux_peer *peer, const struct nacre_mux_message *message, const char *question)
{
	const char *const host = peer->master->connection->plan->config->host;
	char *text = NULL;

	if (!peer->master->asks)
		return true;
	if (asprintf(&text, question, host) < 0)
		nacre_fatal("out of memory");
	const bool agreed = nacre_prompt_confirm(text);
	free(text);
	if (!agreed)
		mux_answer_text(
		    peer, message->id, NACRE_MUX_PERMISSION_DENIED, "Permission denied");
	return agreed;
}

/* Listening ----------------------------------------------------------------------------------- */

static void
stop_listening(struct mux_master *master)
{
	if (master->listener.fd < 0)
		return;
	nacre_watch_close(&master->listener);
	nacre_socket_file_remove(&master->file, master->path);
}

/* Listens under another name first: whoever finds the socket can use it. -1: another master has
 * taken the place; what else goes wrong ends the program, as a user who asked for a master wants. */
static int
listen_at(const char *path, struct nacre_socket_file *file)
{
	uint32_t random[2];
	char *temporary = NULL;

	nacre_random(random, sizeof random);
	if (asprintf(&temporary, "%s.%08x%08x", path, random[0], random[1]) < 0)
		nacre_fatal("out of memory");
	int fd = nacre_socket_listen_path(temporary, 0177, NACRE_LISTEN_BACKLOG);
	if (fd < 0 && errno == ENAMETOOLONG)
		nacre_fatal(
		    "unix_listener: path \"%s\" too long for Unix domain socket", temporary);
	if (fd < 0)
		nacre_fatal(
		    "unix_listener: cannot bind to path %s: %s", temporary, strerror(errno));
	const int error = link(temporary, path) == 0 ? 0 : errno;
	unlink(temporary);
	free(temporary);
	if (error == 0) {
		nacre_socket_file_note(file, path);
		return fd;
	}
	close(fd);
	if (error != EEXIST)
		nacre_fatal("Control socket %s: %s", path, strerror(error));
	nacre_log(NACRE_LOG_ERROR, "ControlSocket %s already exists, disabling multiplexing", path);
	return -1;
}

struct mux_master *
mux_master_new(const struct nacre_ssh_config *config)
{
	struct nacre_socket_file file;

	if (config->control_path == NULL || config->control_master == NACRE_NO)
		return NULL;
	nacre_log(NACRE_LOG_DEBUG1, "setting up multiplex master socket");
	const int listener = listen_at(config->control_path, &file);
	if (listener < 0)
		return NULL;
	struct mux_master *const master = calloc(1, sizeof *master);
	if (master == NULL || (master->path = strdup(config->control_path)) == NULL)
		nacre_fatal("out of memory");
	master->file = file;
	master->listener.fd = listener;
	master->asks =
	    config->control_master == NACRE_ASK || config->control_master == NACRE_AUTO_ASK;
	master->idle_since = UINT64_MAX;
	return master;
}

void
mux_master_forget(struct mux_master *master)
{
	close(master->listener.fd);
	free(master->path);
	free(master);
}

/* Requests ------------------------------------------------------------------------------------ */

static void
on_hello(struct mux_peer *peer, const struct nacre_mux_message *message, const int *descriptors)
{
	(void)descriptors;
	if (peer->greeted || message->value != NACRE_MUX_VERSION) {
		nacre_log(NACRE_LOG_ERROR,
		    "unsupported multiplexing protocol version %u (expected %u)", message->value,
		    NACRE_MUX_VERSION);
		peer_lost(peer);
		return;
	}
	peer->greeted = true;
}

static void
on_alive(struct mux_peer *peer, const struct nacre_mux_message *message, const int *descriptors)
{
	(void)descriptors;
	mux_answer(
	    peer, &(struct nacre_mux_message){
		      .kind = NACRE_MUX_ALIVE, .id = message->id, .value = (uint32_t)getpid()});
}

static void
on_terminate(struct mux_peer *peer, const struct nacre_mux_message *message, const int *descriptors)
{
	(void)descriptors;
	if (!mux_permitted(peer, message, "Terminate shared connection to %s? "))
		return;
	mux_answer_ok(peer, message->id);
	nacre_log(NACRE_LOG_DEBUG1, "the shared connection ends by request");
	peer->master->connection->status = EXIT_OWN_ERROR;
	connection_finish(peer->master->connection, EXIT_OWN_ERROR);
}

static void
on_stop(struct mux_peer *peer, const struct nacre_mux_message *message, const int *descriptors)
{
	(void)descriptors;
	if (!mux_permitted(
		peer, message, "Disable further multiplexing on shared connection to %s? "))
		return;
	stop_listening(peer->master);
	mux_answer_ok(peer, message->id);
}

static void
on_info(struct mux_peer *peer, const struct nacre_mux_message *message, const int *descriptors)
{
	struct nacre_buffer text = {0};
	struct nacre_mux_message answer = {.kind = NACRE_MUX_INFO_REPLY, .id = message->id};

	(void)descriptors;
	answer.value = mux_report(peer->master, message->text, &text);
	answer.text = answer.value ? nacre_buffer_span(&text) : nacre_span_of("unsupported");
	mux_answer(peer, &answer);
	nacre_buffer_free(&text);
}

static const struct {
	uint32_t kind;
	void (*act)(
	    struct mux_peer *peer, const struct nacre_mux_message *message, const int *descriptors);
} requests[] = {
    {NACRE_MUX_HELLO, on_hello},
    {NACRE_MUX_NEW_SESSION, mux_session_new},
    {NACRE_MUX_STDIO_FORWARD, mux_session_stdio},
    {NACRE_MUX_ALIVE_CHECK, on_alive},
    {NACRE_MUX_TERMINATE, on_terminate},
    {NACRE_MUX_STOP_LISTENING, on_stop},
    {NACRE_MUX_OPEN_FORWARD, mux_forward_open},
    {NACRE_MUX_CLOSE_FORWARD, mux_forward_close},
    {NACRE_MUX_INFO, on_info},
};

static void
unknown_request(struct mux_peer *peer, const struct nacre_mux_message *message,
    const int *descriptors, size_t descriptor_count)
{
	for (size_t i = 0; i < descriptor_count; i++)
		close(descriptors[i]);
	nacre_log(NACRE_LOG_ERROR, "unsupported multiplex request 0x%08x", message->kind);
	mux_answer_text(peer, message->id, NACRE_MUX_FAILURE, "unsupported request");
}

static void
act(struct mux_peer *peer, const struct nacre_mux_message *message, const int *descriptors)
{
	if (!peer->greeted && message->kind != NACRE_MUX_HELLO) {
		nacre_log(NACRE_LOG_ERROR, "multiplex request 0x%08x before hello", message->kind);
		for (size_t i = 0; i < nacre_mux_descriptors(message->kind); i++)
			close(descriptors[i]);
		peer_lost(peer);
		return;
	}
	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
		if (requests[i].kind == message->kind) {
			requests[i].act(peer, message, descriptors);
			return;
		}
	unknown_request(peer, message, descriptors, nacre_mux_descriptors(message->kind));
}

static void
take_requests(struct mux_peer *peer)
{
	struct nacre_mux_message message;
	int descriptors[NACRE_MUX_DESCRIPTORS];
	int taken;

	while (!peer->gone && (taken = nacre_mux_take(&peer->socket, &message, descriptors)) != 0) {
		if (taken == 1) {
			act(peer, &message, descriptors);
		} else if (taken == NACRE_ERROR_UNSUPPORTED && peer->greeted) {
			unknown_request(peer, &message, NULL, 0);
		} else {
			nacre_log(NACRE_LOG_ERROR, "bad multiplex message: %s",
			    nacre_error_string(taken));
			peer_lost(peer);
		}
	}
}

/* Those who connect --------------------------------------------------------------------------- */

static void
peer_ready(struct nacre_watch *watch, unsigned what)
{
	struct mux_peer *const peer = watch->owner;

	if ((what & NACRE_POLL_WRITE) != 0)
		send_output(peer);
	if (peer->gone || (what & (NACRE_POLL_READ | NACRE_POLL_HANGUP)) == 0)
		return;
	const ssize_t got = nacre_mux_receive(&peer->socket, false);
	take_requests(peer);
	if (got < 0)
		peer_lost(peer);
}

static bool
is_welcome(int fd)
{
	struct ucred who;
	socklen_t length = sizeof who;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) != 0)
		return false;
	if (who.uid == 0 || who.uid == getuid())
		return true;
	nacre_log(NACRE_LOG_ERROR, "multiplex uid mismatch: peer euid %u != uid %u",
	    (unsigned)who.uid, (unsigned)getuid());
	return false;
}

static void
add_peer(struct mux_master *master, int fd)
{
	static const uint8_t extension[] = "\0\0\0\4info\0\0\0\1"
					   "0";
	struct mux_peer *const peer = calloc(1, sizeof *peer);

	if (peer == NULL)
		nacre_fatal("out of memory");
	peer->master = master;
	peer->serial = ++master->peer_count;
	peer->socket.fd = fd;
	peer->next = master->peers;
	master->peers = peer;
	nacre_watch_init(
	    &peer->watch, connection_host(master->connection)->poller, fd, peer_ready, peer);
	mux_answer(peer, &(struct nacre_mux_message){.kind = NACRE_MUX_HELLO,
			     .value = NACRE_MUX_VERSION,
			     .rest = {extension, sizeof extension - 1}});
}

static void
on_connection(struct nacre_watch *watch, unsigned what)
{
	int fd;

	(void)what;
	while ((fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		if (is_welcome(fd))
			add_peer(watch->owner, fd);
		else
			close(fd);
	}
}

/* The descriptor belongs to the watch. */
static void
free_peer(struct mux_peer *peer)
{
	nacre_watch_close(&peer->watch);
	peer->socket.fd = -1;
	nacre_mux_close(&peer->socket);
	nacre_buffer_free(&peer->output);
	free(peer);
}

static void
free_gone_peers(struct mux_master *master, bool all)
{
	struct mux_peer **at = &master->peers;

	master->something_gone = false;
	while (*at != NULL) {
		struct mux_peer *const peer = *at;

		if (!peer->gone && !all) {
			at = &peer->next;
			continue;
		}
		*at = peer->next;
		free_peer(peer);
	}
}

/* The connection's view ----------------------------------------------------------------------- */

void
mux_master_start(struct mux_master *master, struct connection *connection)
{
	master->connection = connection;
	master->started = nacre_clock_ms();
	connection->master = master;
	nacre_watch_init(&master->listener, connection_host(connection)->poller,
	    master->listener.fd, on_connection, master);
	nacre_watch_want(&master->listener, NACRE_POLL_READ);
}

void
mux_master_tend(struct mux_master *master, bool busy)
{
	const struct nacre_ssh_config *const config = master->connection->plan->config;

	if (master->something_gone)
		free_gone_peers(master, false);
	if (master->listener.fd >= 0 || master->peers != NULL)
		mux_spare_open(master);
	if (busy || !master->connection->plan->detached)
		master->idle_since = UINT64_MAX;
	else if (master->idle_since == UINT64_MAX)
		master->idle_since = nacre_clock_ms();
	if (mux_master_deadline(master) <= nacre_clock_ms()) {
		nacre_log(NACRE_LOG_DEBUG1, "ControlPersist timeout expired (%d seconds)",
		    config->control_persist_timeout);
		connection_finish(master->connection, EXIT_SUCCESS);
	}
}

uint64_t
mux_master_deadline(const struct mux_master *master)
{
	const int seconds = master->connection->plan->config->control_persist_timeout;

	if (master->idle_since == UINT64_MAX || seconds <= 0)
		return UINT64_MAX;
	return master->idle_since + (uint64_t)seconds * 1000;
}

void
mux_master_check_windows(const struct mux_master *master)
{
	for (const struct mux_peer *peer = master->peers; peer != NULL; peer = peer->next)
		if (!peer->gone && peer->passenger != NULL)
			mux_passenger_check_window(peer->passenger);
}

void
mux_master_end(struct mux_master *master)
{
	stop_listening(master);
	free_gone_peers(master, true);
	free(master->path);
	free(master);
}
