/*
 * The loop of ssh-agent: many clients, none of which can hold up another. The keyring answers; here
 * are sockets, time, signals and the question to the person at the desk, asked by a child process.
 */
#include <ssh/agent_serve.h>

#include <nacre/log.h>

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

#define READY_MOST        64
#define SPARE_DESCRIPTORS ((size_t)16)
/* Descriptors that a client takes whose key is in an authenticator and asks for consent. */
#define CLIENT_DESCRIPTORS 3

void
child_end(struct server *server, pid_t pid, int number)
{
	kill(pid, number);
	if (server->reap_count < REAP_MOST)
		server->reaped[server->reap_count++] = pid;
	else
		waitpid(pid, NULL, WNOHANG);
}

/* Takes those that have ended out of the list. */
static void
children_reap(struct server *server)
{
	size_t left = 0;

	for (size_t i = 0; i < server->reap_count; i++)
		if (waitpid(server->reaped[i], NULL, WNOHANG) == 0)
			server->reaped[left++] = server->reaped[i];
	server->reap_count = left;
}

void
client_close(struct server *server, struct client *client)
{
	nacre_poller_set(server->poller, client->fd, 0, NULL);
	provider_forget(server, client);
	client->closed = true;
}

static void
client_free(struct client *client)
{
	if (client->question >= 0)
		close(client->question);
	if (client->pin >= 0)
		close(client->pin);
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
			nacre_poller_set(server->poller, server->listener, NACRE_POLL_READ,
			    &server->listener_source);
	}
}

/* Other users have no business here, whatever the modes of the socket's directory. */
static bool
peer_is_allowed(int fd, struct ucred *peer)
{
	socklen_t length = sizeof *peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &length) != 0)
		return false;
	if (peer->uid == 0 || peer->uid == getuid())
		return true;
	nacre_log(NACRE_LOG_ERROR, "uid mismatch: peer euid %u != uid %u", (unsigned)peer->uid,
	    (unsigned)getuid());
	return false;
}

static struct client *
client_new(struct server *server, int fd)
{
	struct client *client = calloc(1, sizeof *client);

	if (client == NULL)
		return NULL;
	client->source = SOURCE_CLIENT;
	client->fd = fd;
	client->question = client->pin = -1;
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
	struct ucred peer;
	char name[64];

	if (fd < 0)
		return;
	if (!peer_is_allowed(fd, &peer) || (client = client_new(server, fd)) == NULL) {
		close(fd);
		return;
	}
	nacre_keyring_client_process(client->keyring_client, peer.pid,
	    process_name(peer.pid, name, sizeof name) ? name : NULL);
	client->next = server->clients;
	server->clients = client;
	if (++server->client_count == server->client_most)
		nacre_poller_set(server->poller, server->listener, 0, NULL);
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

/* Answers with a failure in place of what is behind "before". */
static int
answer_fail(struct client *client, size_t before)
{
	static const uint8_t failure[] = {0, 0, 0, 1, 5};

	nacre_buffer_truncate(&client->output, before);
	nacre_put_bytes(&client->output, failure, sizeof failure);
	return client->output.failed ? NACRE_ERROR_MEMORY : 0;
}

/* A signature that cannot be written down does not leave. */
static int
use_record(struct server *server, struct client *client, size_t before)
{
	struct nacre_keyring_use use;

	if (!nacre_keyring_use(client->keyring_client, &use) || audit_write(server->options, &use))
		return 0;
	return answer_fail(client, before);
}

/* Begins what the keyring waits for. Where that cannot be, the request fails. */
static int
wait_begin(struct server *server, struct client *client, uint64_t now)
{
	struct nacre_keyring_wait wait;
	struct nacre_span nothing = {NULL, 0};
	char *path;
	int result;

	nacre_keyring_wait(client->keyring_client, &wait);
	if (wait.what == NACRE_KEYRING_PROVIDER) {
		path = provider_judge(server->options, wait.provider);
		result = nacre_keyring_provider(client->keyring_client, path, now, &client->output);
		free(path);
		return result;
	}
	if (wait.what == NACRE_KEYRING_ERRAND) {
		if (provider_ask(server, client, &wait) == 0)
			return NACRE_KEYRING_ERRAND;
		return nacre_keyring_errand_done(
		    client->keyring_client, nothing, now, &client->output);
	}
	if (ask_begin(server, client, &wait) == 0)
		return wait.what;
	nacre_log(NACRE_LOG_ERROR, "cannot ask: %s", strerror(errno));
	return wait.what == NACRE_KEYRING_PIN
		   ? nacre_keyring_pin(client->keyring_client, nothing, now, &client->output)
		   : nacre_keyring_confirm(client->keyring_client, false, now, &client->output);
}

static bool
client_waits(const struct client *client)
{
	return client->question >= 0 || client->provider != NULL;
}

/* Follows the keyring until it has answered, or somebody is being asked: 0, or an error. */
static int
outcome_follow(
    struct server *server, struct client *client, int result, size_t before, uint64_t now)
{
	while (result > 0 && !client_waits(client))
		result = wait_begin(server, client, now);
	if (result == 0)
		result = use_record(server, client, before);
	return result < 0 ? result : 0;
}

void
client_outcome(
    struct server *server, struct client *client, int result, size_t before, uint64_t now)
{
	if (outcome_follow(server, client, result, before, now) < 0)
		client_close(server, client);
	else if (!client->closed)
		client_proceed(server, client, now);
}

/* Answers one message: 0, or an error that ends this client. */
static int
message_handle(
    struct server *server, struct client *client, struct nacre_span message, uint64_t now)
{
	size_t length = message.length, before = nacre_buffer_length(&client->output);
	int result;

	nacre_log(NACRE_LOG_DEBUG1, "client %d: message type %u, %zu bytes", client->fd,
	    message.data[0], length);
	result = nacre_keyring_handle(client->keyring_client, message, now, &client->output);

	nacre_buffer_consume(&client->input, HEADER_LENGTH + length);
	if (nacre_buffer_length(&client->input) == 0)
		nacre_buffer_free(&client->input); /* it held keys: wiped, and small again */
	return outcome_follow(server, client, result, before, now);
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
	return client_waits(client) ||
	       nacre_keyring_client_not_before(client->keyring_client) > now;
}

/*
 * Goes on as far as this client allows: writes, then handles the next message, and so on. While
 * there is output left nothing more is read, so that a client that does not read its answers gets
 * no further questions in.
 */
void
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
client_ready(struct server *server, struct client *client, const struct nacre_ready *ready)
{
	uint64_t now = nacre_clock_ms();

	if (client->closed && ready->fd != client->question)
		return;
	if (client->question >= 0 && ready->fd == client->question) {
		ask_end(server, client, now);
		return;
	}
	if ((ready->what & NACRE_POLL_WRITE) == 0)
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
	if (information.ssi_signo == SIGCHLD)
		return; /* it woke us: see children_reap() */
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
		const enum source *source = ready[i].context;

		if (*source == SOURCE_LISTENER)
			client_accept(server);
		else if (*source == SOURCE_SIGNALS)
			signal_read(server);
		else if (*source == SOURCE_PROVIDER)
			provider_ready(server, ready[i].context, ready[i].what);
		else
			client_ready(server, ready[i].context, &ready[i]);
	}
	clients_reap(server);
	providers_reap(server);
	children_reap(server);
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
	sigaddset(&set, SIGCHLD);
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
	return ((size_t)limit.rlim_cur - SPARE_DESCRIPTORS) / CLIENT_DESCRIPTORS;
}

static void
server_open(struct server *server, const struct agent_options *options, int listener)
{
	*server = (struct server){.listener = listener,
	    .options = options,
	    .listener_source = SOURCE_LISTENER,
	    .signals_source = SOURCE_SIGNALS,
	    .client_most = client_limit()};
	server->signals = signals_open(options);
	if (server->signals < 0 || nacre_poller_new(&server->poller) != 0 ||
	    nacre_keyring_new(&server->keyring) != 0 ||
	    nacre_poller_set(server->poller, listener, NACRE_POLL_READ, &server->listener_source) !=
		0 ||
	    nacre_poller_set(
		server->poller, server->signals, NACRE_POLL_READ, &server->signals_source) != 0)
		nacre_fatal("cannot start: %s", strerror(errno));
	nacre_keyring_default_lifetime(server->keyring, options->lifetime);
	if (options->remote_providers)
		nacre_keyring_allow_remote_providers(server->keyring);
	if ((options->any_application &&
		nacre_keyring_allow_applications(server->keyring, NULL) != 0) ||
	    (options->applications != NULL &&
		nacre_keyring_allow_applications(server->keyring, options->applications) != 0))
		nacre_fatal("out of memory");
}

static void
server_close(struct server *server)
{
	struct client *client;

	while ((client = server->clients) != NULL) {
		server->clients = client->next;
		provider_forget(server, client);
		client_free(client);
	}
	providers_free(server);
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
