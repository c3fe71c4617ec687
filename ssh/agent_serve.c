/*
 * The loop of ssh-agent: many clients, none of which can hold up another. The keyring answers; here
 * are sockets, time, signals and the question to the person at the desk, asked by a child process.
 */
#include <ssh/agent.h>

#include <nacre/log.h>
#include <nacre/poller.h>
#include <nacre/process.h>
#include <nacre/prompt.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_SIZE         4096
#define HEADER_LENGTH     4
#define READY_MOST        64
#define SPARE_DESCRIPTORS ((size_t)16)

struct client {
	struct client *next;
	int fd;
	struct nacre_keyring_client *keyring_client;
	struct nacre_buffer input, output;
	int question; /* pidfd of the child that asks; -1: none */
	pid_t asker;
	bool closed; /* freed when the round is over */
};

struct server {
	struct nacre_poller *poller;
	struct nacre_keyring *keyring;
	struct client *clients;
	size_t client_count, client_most;
	enum nacre_fingerprint_hash fingerprint_hash;
	int listener, signals;
	bool done;
};

static void
client_close(struct server *server, struct client *client)
{
	nacre_poller_set(server->poller, client->fd, 0, NULL);
	client->closed = true;
}

static void
client_free(struct client *client)
{
	if (client->question >= 0)
		close(client->question);
	close(client->fd);
	nacre_keyring_client_free(client->keyring_client);
	nacre_buffer_free(&client->input);
	nacre_buffer_free(&client->output);
	free(client);
}

/* Frees closed clients, but not one whose question is still on the screen. */
static void
clients_reap(struct server *server)
{
	struct client **link = &server->clients, *client;

	while ((client = *link) != NULL) {
		if (!client->closed || client->question >= 0) {
			link = &client->next;
			continue;
		}
		*link = client->next;
		client_free(client);
		if (server->client_count-- == server->client_most)
			nacre_poller_set(
			    server->poller, server->listener, NACRE_POLL_READ, &server->listener);
	}
}

/* Other users have no business here, whatever the modes of the socket's directory. */
static bool
peer_is_allowed(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
		return false;
	if (peer.uid == 0 || peer.uid == getuid())
		return true;
	nacre_log(NACRE_LOG_ERROR, "uid mismatch: peer euid %u != uid %u", (unsigned)peer.uid,
	    (unsigned)getuid());
	return false;
}

static struct client *
client_new(struct server *server, int fd)
{
	struct client *client = calloc(1, sizeof *client);

	if (client == NULL)
		return NULL;
	client->fd = fd;
	client->question = -1;
	client->input.limit = NACRE_AGENT_MESSAGE_MAX + READ_SIZE + HEADER_LENGTH;
	client->output.limit = NACRE_AGENT_MESSAGE_MAX + HEADER_LENGTH;
	if (nacre_keyring_client_new(server->keyring, &client->keyring_client) != 0 ||
	    nacre_poller_set(server->poller, fd, NACRE_POLL_READ, client) != 0) {
		nacre_keyring_client_free(client->keyring_client);
		free(client);
		return NULL;
	}
	return client;
}

static void
client_accept(struct server *server)
{
	int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *client;

	if (fd < 0)
		return;
	if (!peer_is_allowed(fd) || (client = client_new(server, fd)) == NULL) {
		close(fd);
		return;
	}
	client->next = server->clients;
	server->clients = client;
	if (++server->client_count == server->client_most)
		nacre_poller_set(server->poller, server->listener, 0, NULL);
}

/* In the child: no keys, nothing of the agent's but the question. Never returns. */
static _Noreturn void
question_ask(struct nacre_keyring *keyring, const char *text)
{
	sigset_t none;

	nacre_keyring_remove_all(keyring);
	sigemptyset(&none);
	nacre_process_reset_signals();
	sigprocmask(SIG_SETMASK, &none, NULL);
	_exit(nacre_prompt_confirm(text) ? 0 : 1);
}

/* Asks in a child process, which is waited for like a descriptor. */
static int
question_begin(struct server *server, struct client *client)
{
	struct nacre_keyring_question question;
	struct nacre_buffer text = {0};

	if (!nacre_keyring_question(client->keyring_client, &question))
		return NACRE_ERROR_STATE;
	nacre_put_format(&text, "Allow use of key %s?\nKey fingerprint ", question.comment);
	nacre_key_fingerprint(question.key, server->fingerprint_hash, &text);
	nacre_put_format(&text, ".");
	nacre_put_byte(&text, '\0');
	if (text.failed)
		return NACRE_ERROR_MEMORY;
	client->asker = fork();
	if (client->asker == 0)
		question_ask(server->keyring, (const char *)nacre_buffer_span(&text).data);
	nacre_buffer_free(&text);
	if (client->asker < 0)
		return NACRE_ERROR_SYSTEM;
	client->question = (int)syscall(SYS_pidfd_open, client->asker, 0);
	if (client->question < 0 ||
	    nacre_poller_set(server->poller, client->question, NACRE_POLL_READ, client) != 0)
		return NACRE_ERROR_SYSTEM;
	nacre_poller_set(server->poller, client->fd, 0, NULL);
	return 0;
}

static bool
message_complete(struct client *client, struct nacre_span *message, bool *bad)
{
	struct nacre_reader reader = nacre_reader_of(nacre_buffer_span(&client->input));
	uint32_t length = nacre_get_u32(&reader);

	*bad = !reader.failed && (length == 0 || length > NACRE_AGENT_MESSAGE_MAX);
	if (reader.failed || *bad || reader.length < length)
		return false;
	*message = nacre_get_bytes(&reader, length);
	return true;
}

/* Answers one message: 0, or an error that ends this client. */
static int
message_handle(
    struct server *server, struct client *client, struct nacre_span message, uint64_t now)
{
	size_t length = message.length;
	int result;

	nacre_log(NACRE_LOG_DEBUG1, "client %d: message type %u, %zu bytes", client->fd,
	    message.data[0], length);
	result = nacre_keyring_handle(client->keyring_client, message, now, &client->output);

	nacre_buffer_consume(&client->input, HEADER_LENGTH + length);
	if (nacre_buffer_length(&client->input) == 0)
		nacre_buffer_free(&client->input); /* it held keys: wiped, and small again */
	if (result != NACRE_KEYRING_QUESTION)
		return result;
	if (question_begin(server, client) == 0)
		return 0;
	nacre_log(NACRE_LOG_ERROR, "cannot ask for confirmation: %s", strerror(errno));
	return nacre_keyring_confirm(client->keyring_client, false, now, &client->output);
}

/* Writes what can be written; 0, or an error. */
static int
client_write(struct client *client)
{
	struct nacre_span span = nacre_buffer_span(&client->output);
	ssize_t count;

	while (span.length > 0) {
		count = send(client->fd, span.data, span.length, MSG_NOSIGNAL);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return errno == EAGAIN ? 0 : NACRE_ERROR_CLOSED;
		nacre_buffer_consume(&client->output, (size_t)count);
		span = nacre_buffer_span(&client->output);
	}
	return 0;
}

static bool
client_is_held(const struct client *client, uint64_t now)
{
	return client->question >= 0 ||
	       nacre_keyring_client_not_before(client->keyring_client) > now;
}

/*
 * Goes on as far as this client allows: writes, then handles the next message, and so on. While
 * there is output left nothing more is read, so that a client that does not read its answers gets
 * no further questions in.
 */
static void
client_proceed(struct server *server, struct client *client, uint64_t now)
{
	struct nacre_span message;
	bool bad = false;
	int error = 0;

	while (error == 0 && !client_is_held(client, now)) {
		if ((error = client_write(client)) != 0 ||
		    nacre_buffer_length(&client->output) > 0 ||
		    !message_complete(client, &message, &bad))
			break;
		error = message_handle(server, client, message, now);
	}
	if (error < 0 || bad)
		client_close(server, client);
	else if (client_is_held(client, now))
		nacre_poller_set(server->poller, client->fd, 0, NULL);
	else
		nacre_poller_set(server->poller, client->fd,
		    nacre_buffer_length(&client->output) > 0 ? NACRE_POLL_WRITE : NACRE_POLL_READ,
		    client);
}

static void
client_read(struct server *server, struct client *client)
{
	uint8_t *room = nacre_buffer_room(&client->input, READ_SIZE);
	ssize_t count = room == NULL ? 0 : recv(client->fd, room, READ_SIZE, 0);

	if (count > 0)
		nacre_buffer_added(&client->input, (size_t)count);
	else if (count == 0 || (errno != EAGAIN && errno != EINTR))
		client_close(server, client);
}

static void
client_answered(struct server *server, struct client *client, uint64_t now)
{
	int status = 0;
	bool allowed;

	if (waitpid(client->asker, &status, WNOHANG) == 0)
		return;
	allowed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	nacre_poller_set(server->poller, client->question, 0, NULL);
	close(client->question);
	client->question = -1;
	if (nacre_keyring_confirm(client->keyring_client, allowed, now, &client->output) < 0)
		client_close(server, client);
}

static void
client_ready(struct server *server, struct client *client, const struct nacre_ready *ready)
{
	uint64_t now = nacre_clock_ms();

	if (client->closed && ready->fd != client->question)
		return;
	if (client->question >= 0 && ready->fd == client->question)
		client_answered(server, client, now);
	else if ((ready->what & NACRE_POLL_WRITE) == 0)
		client_read(server, client);
	if (!client->closed)
		client_proceed(server, client, now);
}

static void
signal_read(struct server *server)
{
	struct signalfd_siginfo information;

	if (read(server->signals, &information, sizeof information) != sizeof information)
		return;
	if (information.ssi_signo == SIGUSR1) {
		nacre_log(NACRE_LOG_VERBOSE, "received SIGUSR1: removing all keys");
		nacre_keyring_remove_all(server->keyring);
	} else {
		nacre_log(NACRE_LOG_DEBUG1, "exiting on signal %u", information.ssi_signo);
		server->done = true;
	}
}

/* Clients that were held back for a wrong passphrase go on when their time has come. */
static uint64_t
held_clients(struct server *server, uint64_t now)
{
	uint64_t deadline = UINT64_MAX, until;

	for (struct client *client = server->clients; client != NULL; client = client->next) {
		until = nacre_keyring_client_not_before(client->keyring_client);
		if (client->closed || until == 0)
			continue;
		if (until > now)
			deadline = until < deadline ? until : deadline;
		else if (nacre_buffer_length(&client->output) > 0 && client->question < 0)
			client_proceed(server, client, now);
	}
	return deadline;
}

static int64_t
timeout_until(const struct server *server, uint64_t held, uint64_t now)
{
	uint64_t deadline = nacre_keyring_deadline(server->keyring);

	if (held < deadline)
		deadline = held;
	if (deadline == UINT64_MAX)
		return -1;
	return deadline > now ? (int64_t)(deadline - now) : 0;
}

static void
serve_round(struct server *server)
{
	struct nacre_ready ready[READY_MOST];
	uint64_t now = nacre_clock_ms();
	uint64_t held = held_clients(server, now);
	int count;

	count =
	    nacre_poller_wait(server->poller, timeout_until(server, held, now), ready, READY_MOST);
	nacre_keyring_expire(server->keyring, nacre_clock_ms());
	for (int i = 0; i < count; i++) {
		if (ready[i].context == &server->listener)
			client_accept(server);
		else if (ready[i].context == &server->signals)
			signal_read(server);
		else
			client_ready(server, ready[i].context, &ready[i]);
	}
	clients_reap(server);
}

/* The signals that matter come as a descriptor: no handler, no race. */
static int
signals_open(const struct agent_options *options)
{
	bool interactive = options->foreground || options->debug;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	if (interactive)
		sigaddset(&set, SIGINT);
	else
		signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static size_t
client_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < 2 * SPARE_DESCRIPTORS)
		return SPARE_DESCRIPTORS;
	/* A client whose key asks for confirmation takes a second descriptor. */
	return ((size_t)limit.rlim_cur - SPARE_DESCRIPTORS) / 2;
}

static void
server_open(struct server *server, const struct agent_options *options, int listener)
{
	*server = (struct server){.listener = listener,
	    .fingerprint_hash = options->fingerprint_hash,
	    .client_most = client_limit()};
	server->signals = signals_open(options);
	if (server->signals < 0 || nacre_poller_new(&server->poller) != 0 ||
	    nacre_keyring_new(&server->keyring) != 0 ||
	    nacre_poller_set(server->poller, listener, NACRE_POLL_READ, &server->listener) != 0 ||
	    nacre_poller_set(server->poller, server->signals, NACRE_POLL_READ, &server->signals) !=
		0)
		nacre_fatal("cannot start: %s", strerror(errno));
	nacre_keyring_default_lifetime(server->keyring, options->lifetime);
}

static void
server_close(struct server *server)
{
	struct client *client;

	while ((client = server->clients) != NULL) {
		server->clients = client->next;
		client_free(client);
	}
	nacre_keyring_free(server->keyring);
	nacre_poller_free(server->poller);
	close(server->signals);
}

void
agent_serve(const struct agent_options *options, const struct agent_socket *listener, pid_t parent)
{
	struct server server;

	server_open(&server, options, listener->fd);
	if (parent != 0) {
		/* The signal may have been missed between the fork and here. */
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		server.done = getppid() != parent;
	}
	while (!server.done)
		serve_round(&server);
	server_close(&server);
	agent_socket_remove(listener);
}
