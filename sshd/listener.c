/*
 * The listener: sockets, the worker that waits, and signals. Who may come in is decided in
 * admission.c. Nothing of the protocol is here.
 *
 * A worker is a fresh start of this program, so that each connection has an address-space layout
 * of its own. One is made ready before it is needed, and the next one when the login that took it
 * is over, so that nobody waits for a process to start.
 */
#include "listener.h"
#include "metrics.h"
#include "server.h"
#include "service.h"

#include <nacre/log.h>
#include <nacre/poller.h>
#include <nacre/process.h>
#include <nacre/sandbox.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
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
#define OUT_OF_DESCRIPTORS_US  10000
#define READY_MOST             16
#define ACCEPT_MOST            64
#define OTHER_DESCRIPTORS      512 /* those at the door among them */
#define RELOADED               "NACRE_SSHD_RELOADED"

static int
send_descriptor(int control, enum worker_message message, int fd)
{
	uint8_t byte = (uint8_t)message;

	return nacre_process_send(control, (struct nacre_span){&byte, 1}, &fd, 1);
}

/* Starts a worker; its control is -1 when that cannot be. */
static struct worker
worker_start(struct listener *listener)
{
	/* The first argument is room for what ps will show. */
	char title[] = "sshd: [starting]                                                        ";
	char option[] = "--worker";
	char *arguments[] = {title, option, NULL};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return (struct worker){.control = -1};
	struct nacre_process_start start = {
	    .path = "/proc/self/exe",
	    .arguments = arguments,
	    .environment = environ,
	    .input = -1,
	    .output = -1,
	    .error = -1,
	    .keep = pair[1],
	    .descriptor_limit = &listener->descriptors,
	};
	pid_t pid = nacre_process_start(&start);
	close(pair[1]);
	if (pid > 0 && send_descriptor(pair[0], WORKER_STATE, listener->state_file) == 0 &&
	    send_descriptor(pair[0], WORKER_KEYS, listener->server->key_file) == 0 &&
	    (metrics_reporting() < 0 ||
		send_descriptor(pair[0], WORKER_METRICS, metrics_reporting()) == 0))
		return (struct worker){pair[0], pid};
	nacre_log(NACRE_LOG_ERROR, "cannot start a process for a connection: %s", strerror(errno));
	close(pair[0]);
	return (struct worker){.control = -1};
}

static void
prepare_by(struct listener *listener, uint64_t delay)
{
	uint64_t when = nacre_clock_ms() + delay;

	if (listener->waiting.control < 0 && when < listener->prepare_at)
		listener->prepare_at = when;
}

void
listener_prepare_soon(struct listener *listener)
{
	prepare_by(listener, PREPARE_AFTER_LOGIN_MS);
}

static void
prepare(struct listener *listener)
{
	static enum watched watched = WATCHED_WAITING;

	listener->prepare_at = UINT64_MAX;
	if (listener->waiting.control < 0)
		listener->waiting = worker_start(listener);
	if (listener->waiting.control < 0)
		prepare_by(listener, 1000);
	else if (nacre_poller_set(
		     listener->poller, listener->waiting.control, NACRE_POLL_READ, &watched) != 0)
		nacre_fatal("poller: %s", strerror(errno));
}

/* Takes the worker that waits, if there is one. */
static struct worker
take_waiting(struct listener *listener)
{
	struct worker worker = listener->waiting;

	if (worker.control >= 0)
		(void)nacre_poller_set(listener->poller, worker.control, 0, NULL);
	listener->waiting.control = -1;
	return worker;
}

bool
listener_hand_over(struct listener *listener, int connection, struct worker *worker)
{
	*worker = take_waiting(listener);
	prepare_by(listener, PREPARE_AT_LATEST_MS);
	if (worker->control >= 0 &&
	    send_descriptor(worker->control, WORKER_CONNECTION, connection) == 0)
		return true;
	/* A burst, or the worker has died: start one for this connection. */
	if (worker->control >= 0)
		close(worker->control);
	*worker = worker_start(listener);
	if (worker->control >= 0 &&
	    send_descriptor(worker->control, WORKER_CONNECTION, connection) == 0)
		return true;
	if (worker->control >= 0)
		close(worker->control);
	return false;
}

/* Accepts a connection; false when none is left. */
static bool
accept_one(struct listener *listener, int socket)
{
	struct sockaddr_storage address = {0};
	socklen_t length = sizeof address;
	int fd = accept4(socket, (struct sockaddr *)&address, &length, SOCK_CLOEXEC);

	if (fd >= 0) {
		admission_accepted(listener, fd, &address);
		return true;
	}
	if (errno != EMFILE && errno != ENFILE)
		return errno == ECONNABORTED || errno == EINTR;
	if (admission_make_room(listener))
		return true;
	nacre_log(NACRE_LOG_ERROR, "accept: %s", strerror(errno));
	usleep(OUT_OF_DESCRIPTORS_US);
	return false;
}

/* A burst is taken in together: to those who wait longest in the queue it is the end of waiting. */
static void
accept_some(struct listener *listener, int socket)
{
	for (int i = 0; i < ACCEPT_MOST && accept_one(listener, socket); i++)
		;
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
	service_reloading();
	if (!new_configuration_works(listener)) {
		nacre_log(NACRE_LOG_ERROR,
		    "The configuration has errors: going on with the one in force. Try: sshd -t");
		service_goes_on("The configuration has errors: going on with the one before");
		return;
	}
	listen_sockets_keep(&listener->sockets);
	metrics_keep();
	reload_keep(listener);
	(void)setrlimit(RLIMIT_NOFILE, &listener->descriptors);
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
		pid_t pid;
		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			metrics_child_ended(pid);
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

static int64_t
wait_time(const struct listener *listener)
{
	uint64_t now = nacre_clock_ms(), due = admission_deadline(listener);

	if (listener->prepare_at < due)
		due = listener->prepare_at;
	if (due == UINT64_MAX)
		return -1;
	return due > now ? (int64_t)(due - now) : 0;
}

/* Returns true when the listener is to end with *status. */
static bool
handle_ready(struct listener *listener, const struct nacre_ready *ready, int *status)
{
	switch (*(const enum watched *)ready->context) {
	case WATCHED_SIGNALS:
		return signal_arrived(listener, status);
	case WATCHED_WAITING:
		/* It has nothing to say but that it is gone. */
		if (listener->waiting.control == ready->fd) {
			close(take_waiting(listener).control);
			prepare_by(listener, 1000);
		}
		return false;
	case WATCHED_SOCKET:
		accept_some(listener, ready->fd);
		return false;
	case WATCHED_STRANGER:
		admission_ready(listener, ready->context);
		return false;
	case WATCHED_METRICS:
		metrics_read_reports();
		return false;
	}
	return false;
}

static int
serve(struct listener *listener)
{
	struct nacre_ready ready[READY_MOST];
	int status = 0;

	for (;;) {
		int count =
		    nacre_poller_wait(listener->poller, wait_time(listener), ready, READY_MOST);
		for (int i = 0; i < count; i++)
			if (handle_ready(listener, &ready[i], &status))
				return status;
		admission_tick(listener);
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
		polled[i] = (struct pollfd){.fd = listener->sockets.all[i].fd, .events = POLLIN};
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

static void
say_what_is_given_up(const struct server *server)
{
	if (server->privileged && getpwnam("sshd") == NULL)
		nacre_log(NACRE_LOG_INFO,
		    "Privilege separation user sshd does not exist: the process that talks to "
		    "strangers runs as nobody, whom other programs may run as, too.");
	if (!nacre_sandbox_filters())
		nacre_log(NACRE_LOG_INFO,
		    "There is no system-call filter for this architecture: the process that talks "
		    "to strangers is confined by its user, its root directory and limits alone.");
	if (!server->privileged)
		nacre_log(NACRE_LOG_INFO,
		    "Not running as root: only this user can log in, by public key; the process "
		    "that talks to strangers has this user's identity and sees the file system's "
		    "root, a system-call filter confines it.");
}

/* One descriptor for each stranger, and some. Workers get the limit that was there before. */
static void
raise_descriptor_limit(struct listener *listener)
{
	rlim_t wanted = (rlim_t)listener->server->config->max_startups_full + OTHER_DESCRIPTORS;

	if (getrlimit(RLIMIT_NOFILE, &listener->descriptors) != 0)
		nacre_fatal("getrlimit: %s", strerror(errno));
	struct rlimit raised = listener->descriptors;
	if (wanted > raised.rlim_max)
		wanted = raised.rlim_max;
	if (wanted <= raised.rlim_cur)
		return;
	raised.rlim_cur = wanted;
	if (setrlimit(RLIMIT_NOFILE, &raised) != 0)
		nacre_log(NACRE_LOG_DEBUG1, "setrlimit: %s", strerror(errno));
}

static void
watch(struct listener *listener)
{
	static enum watched signals = WATCHED_SIGNALS, reports = WATCHED_METRICS;
	bool good =
	    nacre_poller_new(&listener->poller) == 0 &&
	    nacre_poller_set(listener->poller, listener->signals, NACRE_POLL_READ, &signals) == 0 &&
	    (metrics_reports() < 0 || nacre_poller_set(listener->poller, metrics_reports(),
					  NACRE_POLL_READ, &reports) == 0) &&
	    admission_init(listener) == 0;

	for (size_t i = 0; good && i < listener->sockets.count; i++) {
		struct listen_socket *socket = &listener->sockets.all[i];
		good = nacre_poller_set(listener->poller, socket->fd, NACRE_POLL_READ, socket) == 0;
	}
	if (!good)
		nacre_fatal("cannot wait for connections: %s", strerror(errno));
}

int
listener_run(struct server *server, int argc, char **argv)
{
	/* Reachable to the end. */
	static struct listener listener = {
	    .state_file = -1, .waiting = {.control = -1}, .prepare_at = UINT64_MAX};
	const char *pid_file = server->config->pid_file;
	bool reloaded = getenv(RELOADED) != NULL;

	title_prepare(argc, argv);
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
	if (write_state(&listener) != 0)
		nacre_fatal("cannot make a memory file: %s", strerror(errno));
	metrics_start(server->config);
	raise_descriptor_limit(&listener);
	watch(&listener);
	prepare(&listener);
	service_ready();
	int status = serve(&listener);
	service_stopping();
	metrics_stop();
	if (pid_file != NULL)
		unlink(pid_file);
	return status;
}
