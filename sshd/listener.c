/*
 * The listener: sockets, the workers that wait and those at work, how many strangers may be inside
 * at once, and signals. Not a byte of a connection is read here.
 *
 * A worker is a fresh start of this program, so that each connection has an address-space layout
 * of its own. One is made ready before it is needed, and the next one when the login that took it
 * is over, so that nobody waits for a process to start.
 */
#include "listener.h"
#include "server.h"

#include <nacre/crypto.h>
#include <nacre/log.h>
#include <nacre/poller.h>
#include <nacre/process.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PREPARE_AFTER_LOGIN_MS 4   /* behind the login's own work */
#define PREPARE_AT_LATEST_MS   200 /* a login that takes its time does not hold up the next */
#define RELOADED               "NACRE_SSHD_RELOADED"

/* A worker that has not logged anybody in yet. */
struct startup {
	int control;
};

struct listener {
	struct server *server;
	struct listen_sockets sockets;
	int signals;
	int state_file;
	int waiting;         /* control of the worker that waits; -1: none */
	uint64_t prepare_at; /* UINT64_MAX: no need */
	struct startup *startups;
	size_t startup_count;
	struct pollfd *polled;
	bool throttling;
	char **argv;
};

static int
send_descriptor(int control, enum worker_message message, int fd)
{
	uint8_t byte = (uint8_t)message;

	return nacre_process_send(control, (struct nacre_span){&byte, 1}, &fd, 1);
}

/* Starts a worker; returns the control socket, or -1. */
static int
worker_start(struct listener *listener)
{
	/* The first argument is room for what ps will show. */
	char title[] = "sshd: [starting]                                                        ";
	char option[] = "--worker";
	char *arguments[] = {title, option, NULL};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	struct nacre_process_start start = {
	    .path = "/proc/self/exe",
	    .arguments = arguments,
	    .environment = environ,
	    .input = -1,
	    .output = -1,
	    .error = -1,
	    .keep = pair[1],
	};
	pid_t pid = nacre_process_start(&start);
	close(pair[1]);
	if (pid > 0 && send_descriptor(pair[0], WORKER_STATE, listener->state_file) == 0 &&
	    send_descriptor(pair[0], WORKER_KEYS, listener->server->key_file) == 0)
		return pair[0];
	nacre_log(NACRE_LOG_ERROR, "cannot start a process for a connection: %s", strerror(errno));
	close(pair[0]);
	return -1;
}

static void
prepare_by(struct listener *listener, uint64_t delay)
{
	uint64_t when = nacre_clock_ms() + delay;

	if (listener->waiting < 0 && when < listener->prepare_at)
		listener->prepare_at = when;
}

static void
prepare(struct listener *listener)
{
	listener->prepare_at = UINT64_MAX;
	if (listener->waiting < 0)
		listener->waiting = worker_start(listener);
	if (listener->waiting < 0)
		prepare_by(listener, 1000);
}

/* MaxStartups: past "begin" a connection is dropped with a chance that grows to certainty at
 * "full". */
static bool
drop_by_chance(struct listener *listener)
{
	const struct nacre_sshd_config *config = listener->server->config;
	int count = (int)listener->startup_count;
	int begin = config->max_startups_begin, full = config->max_startups_full;

	if (count < begin)
		return false;
	if (count >= full || config->max_startups_rate >= 100)
		return true;
	int chance = config->max_startups_rate +
		     (100 - config->max_startups_rate) * (count - begin) / (full - begin);
	uint32_t random;
	nacre_random(&random, sizeof random);
	return (int)(random % 100) < chance;
}

static bool
refuse_when_full(struct listener *listener, int fd)
{
	static const char text[] = "Exceeded MaxStartups\r\n";
	struct peer peer = {0};

	if (!drop_by_chance(listener)) {
		if (listener->throttling &&
		    (int)listener->startup_count < listener->server->config->max_startups_begin) {
			listener->throttling = false;
			nacre_log(NACRE_LOG_INFO, "exited MaxStartups throttling");
		}
		return false;
	}
	if (!listener->throttling)
		nacre_log(NACRE_LOG_ERROR, "beginning MaxStartups throttling");
	listener->throttling = true;
	peer_of(fd, &peer);
	nacre_log(NACRE_LOG_INFO, "drop connection #%zu from [%s]:%d on [%s]:%d past MaxStartups",
	    listener->startup_count, peer.address, peer.port, peer.local_address, peer.local_port);
	(void)send(fd, text, sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	return true;
}

static bool
add_startup(struct listener *listener, int control)
{
	size_t count = listener->startup_count + 1;
	struct startup *startups = reallocarray(listener->startups, count, sizeof *startups);

	if (startups == NULL)
		return false;
	listener->startups = startups;
	startups[listener->startup_count++].control = control;
	return true;
}

static void
hand_over(struct listener *listener, int fd)
{
	int control = listener->waiting;

	listener->waiting = -1;
	if (control < 0 || send_descriptor(control, WORKER_CONNECTION, fd) != 0) {
		/* A burst, or the worker has died: start one for this connection. */
		if (control >= 0)
			close(control);
		control = worker_start(listener);
		if (control >= 0 && send_descriptor(control, WORKER_CONNECTION, fd) != 0) {
			close(control);
			control = -1;
		}
	}
	if (control >= 0 && !add_startup(listener, control))
		close(control);
	prepare_by(listener, PREPARE_AT_LATEST_MS);
}

static void
accept_one(struct listener *listener, int socket)
{
	int fd = accept4(socket, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE) {
			nacre_log(NACRE_LOG_ERROR, "accept: %s", strerror(errno));
			usleep(100000);
		}
		return;
	}
	if (!refuse_when_full(listener, fd))
		hand_over(listener, fd);
	close(fd);
}

/* A worker has something to say, or is gone. */
static void
startup_ready(struct listener *listener, size_t which)
{
	struct worker_report report;

	if (recv(listener->startups[which].control, &report, sizeof report, MSG_DONTWAIT) ==
		sizeof report &&
	    report.event == WORKER_ASKED)
		return;
	close(listener->startups[which].control);
	listener->startups[which] = listener->startups[--listener->startup_count];
	prepare_by(listener, PREPARE_AFTER_LOGIN_MS);
}

static int
open_signals(void)
{
	sigset_t set;

	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The new configuration is tried before the old one is given up. */
static bool
new_configuration_works(const struct listener *listener)
{
	struct server fresh = {.key_file = -1,
	    .running = true,
	    .privileged = listener->server->privileged,
	    .command_line = listener->server->command_line};
	bool works = server_configure(&fresh) == 0 && host_keys_load(&fresh) == 0;

	server_free(&fresh);
	server_log_open(listener->server);
	return works;
}

static void
reload(struct listener *listener)
{
	sigset_t none;

	nacre_log(NACRE_LOG_INFO, "Received SIGHUP; restarting.");
	if (!new_configuration_works(listener)) {
		nacre_log(NACRE_LOG_ERROR,
		    "The configuration has errors: going on with the one in force. Try: sshd -t");
		return;
	}
	listen_sockets_keep(&listener->sockets);
	setenv(RELOADED, "1", 1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(listener_program(), listener->argv);
	nacre_fatal("RESTART FAILED: %s: %s", listener_program(), strerror(errno));
}

/* Returns true when the listener is to end with *status. */
static bool
signal_arrived(struct listener *listener, int *status)
{
	struct signalfd_siginfo info;

	if (read(listener->signals, &info, sizeof info) != sizeof info)
		return false;
	if (info.ssi_signo == SIGCHLD) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		return false;
	}
	if (info.ssi_signo == SIGHUP) {
		reload(listener);
		return false;
	}
	nacre_log(NACRE_LOG_INFO, "Received signal %u; terminating.", info.ssi_signo);
	*status = info.ssi_signo == SIGTERM ? 0 : 255;
	return true;
}

static size_t
fill_polled(struct listener *listener)
{
	size_t count = 0;
	size_t most = 2 + listener->sockets.count + listener->startup_count;
	struct pollfd *polled = reallocarray(listener->polled, most, sizeof *polled);

	if (polled == NULL)
		return 0;
	listener->polled = polled;
	polled[count++] = (struct pollfd){.fd = listener->signals, .events = POLLIN};
	polled[count++] = (struct pollfd){.fd = listener->waiting, .events = POLLIN};
	for (size_t i = 0; i < listener->sockets.count; i++)
		polled[count++] = (struct pollfd){.fd = listener->sockets.fds[i], .events = POLLIN};
	for (size_t i = 0; i < listener->startup_count; i++)
		polled[count++] =
		    (struct pollfd){.fd = listener->startups[i].control, .events = POLLIN};
	return count;
}

static int
wait_time(const struct listener *listener)
{
	uint64_t now = nacre_clock_ms();

	if (listener->prepare_at == UINT64_MAX)
		return -1;
	return listener->prepare_at > now ? (int)(listener->prepare_at - now) : 0;
}

static void
handle_ready(struct listener *listener, size_t count)
{
	size_t sockets = listener->sockets.count, first = 2 + sockets;

	if (listener->polled[1].revents != 0 && listener->waiting >= 0) {
		close(listener->waiting);
		listener->waiting = -1;
		prepare_by(listener, 1000);
	}
	/* From the end, because a startup that is through is replaced by the last one. */
	for (size_t i = count; i-- > first;)
		if (listener->polled[i].revents != 0)
			startup_ready(listener, i - first);
	for (size_t i = 0; i < sockets; i++)
		if (listener->polled[2 + i].revents != 0)
			accept_one(listener, listener->sockets.fds[i]);
}

static int
serve(struct listener *listener)
{
	int status = 0;

	for (;;) {
		size_t count = fill_polled(listener);
		if (count == 0)
			nacre_fatal("out of memory");
		int ready = poll(listener->polled, count, wait_time(listener));
		if (ready > 0 && listener->polled[0].revents != 0 &&
		    signal_arrived(listener, &status))
			return status;
		if (ready > 0)
			handle_ready(listener, count);
		if (listener->prepare_at <= nacre_clock_ms())
			prepare(listener);
	}
}

/* -d: one connection, in this process. */
static _Noreturn void
serve_one(struct listener *listener)
{
	struct pollfd polled[64];
	size_t count = listener->sockets.count < 64 ? listener->sockets.count : 64;
	sigset_t none;

	for (size_t i = 0; i < count; i++)
		polled[i] = (struct pollfd){.fd = listener->sockets.fds[i], .events = POLLIN};
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGCHLD, SIG_DFL);
	int fd = -1;
	while (fd < 0 && poll(polled, count, -1) > 0)
		for (size_t i = 0; i < count && fd < 0; i++)
			if (polled[i].revents != 0)
				fd = accept4(polled[i].fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		nacre_fatal("accept: %s", strerror(errno));
	listen_sockets_close(&listener->sockets);
	worker_serve(listener->server, fd, fd);
}

static int
write_state(struct listener *listener)
{
	struct nacre_buffer state = {0};
	int error = server_encode(listener->server, &state);

	if (error == 0)
		error = nacre_process_memory_file(
		    "sshd-state", nacre_buffer_span(&state), &listener->state_file);
	nacre_buffer_free(&state);
	return error;
}

/* Nothing that an administrator wrote is passed over in silence. */
static void
say_what_is_not_in_force(const struct nacre_sshd_config *config)
{
	const struct {
		const char *keyword;
		bool set;
	} rows[] = {
	    {"HostbasedAuthentication", config->hostbased_authentication},
	    {"X11Forwarding", config->x11_forwarding},
	    {"PermitTunnel", config->permit_tunnel != NACRE_TUNNEL_NO},
	    {"ExposeAuthInfo", config->expose_auth_info},
	    {"ChannelTimeout", config->channel_timeout_count > 0},
	    {"UnusedConnectionTimeout", config->unused_connection_timeout > 0},
	    {"PerSourceMaxStartups", config->per_source_max_startups != INT_MAX},
	    {"MetricsListen", config->metrics_listen != NULL},
	    {"ProxyProtocol", config->proxy_protocol.count > 0},
	};

	for (size_t i = 0; i < MEMBERS(rows); i++)
		if (rows[i].set)
			nacre_log(NACRE_LOG_INFO, "%s is set, but has no effect in this version",
			    rows[i].keyword);
}

static void
say_what_is_given_up(const struct server *server)
{
	if (!server->privileged)
		nacre_log(NACRE_LOG_INFO,
		    "Not running as root: only this user can log in, by public key; the process "
		    "that talks to strangers has this user's identity and sees the file system's "
		    "root, a system-call filter confines it.");
	else if (server->config->use_pam)
		nacre_log(NACRE_LOG_INFO,
		    "UsePAM: accounts and passwords are checked with the shadow file.");
}

int
listener_run(struct server *server, int argc, char **argv)
{
	/* Reachable to the end. */
	static struct listener listener = {
	    .state_file = -1, .waiting = -1, .prepare_at = UINT64_MAX};
	const char *pid_file = server->config->pid_file;
	bool reloaded = getenv(RELOADED) != NULL;

	(void)argc;
	listener.server = server;
	listener.argv = argv;
	unsetenv(RELOADED);
	listener_program();
	if (listen_sockets_open(&listener.sockets, server->config) != 0)
		nacre_fatal("Cannot bind any address.");
	listener.signals = open_signals();
	if (server->command_line.debug > 0)
		serve_one(&listener);
	if (!server->command_line.foreground && !reloaded && nacre_process_daemonise() != 0)
		nacre_fatal("daemon() failed: %s", strerror(errno));
	if (pid_file != NULL && nacre_process_write_pid(pid_file) != 0)
		nacre_log(NACRE_LOG_ERROR, "Couldn't create pid file \"%s\": %s", pid_file,
		    strerror(errno));
	say_what_is_given_up(server);
	say_what_is_not_in_force(server->config);
	if (write_state(&listener) != 0)
		nacre_fatal("cannot make a memory file: %s", strerror(errno));
	prepare(&listener);
	int status = serve(&listener);
	if (pid_file != NULL)
		unlink(pid_file);
	return status;
}
