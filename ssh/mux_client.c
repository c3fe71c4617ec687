/*
 * Sharing the connection of a master: a session or a stdio forwarding whose descriptors the master
 * gets, and that this process only waits for. The commands of -O are in mux_control.c.
 *
 * All that a session needs leaves in one go; only its end is waited for. Nothing here needs the
 * cryptography that a connection of our own would load.
 */
#include "ssh/mux.h"

#include <nacre/log.h>
#include <nacre/pattern.h>
#include <nacre/terminal.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define EXIT_OWN_ERROR 255
#define TEXT(span)     (int)(span).length, (const char *)(span).data

extern char **environ;

/* Signals ------------------------------------------------------------------------------------- */

static volatile sig_atomic_t window_changed, end_signal;

static void
on_signal(int number)
{
	if (number == SIGWINCH)
		window_changed = 1;
	else
		end_signal = number;
}

/* They strike only while ppoll() waits with *mask. */
static void
catch_signals(sigset_t *mask)
{
	static const int numbers[] = {SIGHUP, SIGINT, SIGTERM, SIGWINCH};
	const struct sigaction action = {.sa_handler = on_signal};
	struct sigaction before;
	sigset_t block;

	sigemptyset(&block);
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		sigaction(numbers[i], NULL, &before);
		if (before.sa_handler == SIG_IGN)
			continue;
		sigaction(numbers[i], &action, NULL);
		sigaddset(&block, numbers[i]);
	}
	sigprocmask(SIG_BLOCK, &block, mask);
}

/* Messages ------------------------------------------------------------------------------------ */

int
mux_client_next(struct mux_client *client, struct nacre_mux_message *message)
{
	int descriptors[NACRE_MUX_DESCRIPTORS];
	int taken;

	while ((taken = nacre_mux_take(&client->socket, message, descriptors)) == 0)
		if (nacre_mux_receive(&client->socket, true) < 0)
			return NACRE_ERROR_CLOSED;
	return taken == 1 ? 0 : taken;
}

int
mux_client_answer(struct mux_client *client, uint32_t id, struct nacre_mux_message *answer)
{
	int error = mux_client_next(client, answer);

	if (error == 0 && answer->id != id)
		error = NACRE_ERROR_PROTOCOL;
	if (error != 0)
		nacre_log(NACRE_LOG_ERROR, "The master at %s gave no answer: %s", client->path,
		    nacre_error_string(error));
	return error;
}

int
mux_client_greeted(struct mux_client *client)
{
	struct nacre_mux_message hello;
	struct nacre_span version;

	if (client->greeted)
		return 0;
	if (mux_client_next(client, &hello) != 0 || hello.kind != NACRE_MUX_HELLO) {
		nacre_log(NACRE_LOG_ERROR, "%s does not answer as a multiplexing master does",
		    client->path);
		return NACRE_ERROR_PROTOCOL;
	}
	if (hello.value != NACRE_MUX_VERSION) {
		nacre_log(NACRE_LOG_ERROR,
		    "Unsupported multiplexing protocol version %u (expected %u)", hello.value,
		    NACRE_MUX_VERSION);
		return NACRE_ERROR_UNSUPPORTED;
	}
	client->tells = nacre_mux_extension(hello.rest, NACRE_MUX_INFO_EXTENSION, &version) &&
			nacre_span_equals(version, NACRE_MUX_INFO_VERSION);
	client->greeted = true;
	return 0;
}

void
mux_client_send(struct mux_client *client, const int *descriptors, size_t count)
{
	/* One that hangs up may have said why, or what it is. */
	nacre_mux_send(&client->socket, nacre_buffer_span(&client->output), descriptors, count);
	nacre_buffer_clear(&client->output);
}

/* The request --------------------------------------------------------------------------------- */

static bool
variable_wanted(const struct nacre_words *patterns, const char *variable)
{
	const struct nacre_span name = {(const uint8_t *)variable, strcspn(variable, "=")};

	for (size_t i = 0; i < patterns->count; i++)
		if (nacre_pattern_match(name, nacre_span_of(patterns->words[i])))
			return true;
	return false;
}

static void
put_environment(struct nacre_buffer *strings, const struct nacre_ssh_config *config)
{
	if (config->send_env.count > 0)
		for (char **variable = environ; *variable != NULL; variable++)
			if (variable_wanted(&config->send_env, *variable))
				nacre_put_cstring(strings, *variable);
	for (size_t i = 0; i < config->set_env.count; i++)
		nacre_put_cstring(strings, config->set_env.words[i]);
}

static void
put_session(struct mux_client *client, uint32_t id)
{
	const struct session_plan *const plan = client->plan;
	const struct nacre_ssh_config *const config = plan->config;
	const char *const term = getenv("TERM");
	struct nacre_buffer environment = {0};
	struct nacre_mux_message message = {
	    .kind = NACRE_MUX_NEW_SESSION,
	    .id = id,
	    .session = {.terminal = plan->terminal,
		.x11 = config->forward_x11,
		.agent = config->forward_agent,
		.subsystem = config->session_type == NACRE_SESSION_SUBSYSTEM,
		.escape = plan->terminal && config->escape_char != NACRE_ESCAPE_NONE
			      ? (uint32_t)config->escape_char
			      : NACRE_MUX_ESCAPE_OFF,
		.term = nacre_span_of(term != NULL ? term : ""),
		.command = nacre_span_of(plan->command != NULL ? plan->command : "")},
	};

	put_environment(&environment, config);
	message.rest = nacre_buffer_span(&environment);
	nacre_mux_put(&client->output, &message);
	nacre_buffer_free(&environment);
}

static void
put_stdio(struct mux_client *client, uint32_t id)
{
	const struct nacre_mux_message message = {
	    .kind = NACRE_MUX_STDIO_FORWARD,
	    .id = id,
	    .forward = {.connect_host = nacre_span_of(client->plan->stdio_host),
		.connect_port = (uint32_t)client->plan->stdio_port},
	};

	nacre_mux_put(&client->output, &message);
}

/* The end ------------------------------------------------------------------------------------- */

/* A session that the master has opened for us. */
struct passenger {
	uint32_t session;
	pid_t master; /* 0: not told */
	int status;   /* -1: not told yet */
	bool opened;
};

static void
leave_raw(void)
{
	nacre_terminal_restore();
}

/* 0; or the request was refused, which was logged. */
static int
take_opened(
    struct mux_client *client, struct passenger *passenger, const struct nacre_mux_message *message)
{
	if (message->kind == NACRE_MUX_ALIVE) {
		passenger->master = (pid_t)message->value;
		return 0;
	}
	if (message->kind == NACRE_MUX_SESSION_OPENED) {
		nacre_log(NACRE_LOG_DEBUG1, "mux_client: master session id: %u", message->value);
		passenger->session = message->value;
		passenger->opened = true;
		if (client->plan->terminal && isatty(STDIN_FILENO))
			nacre_terminal_raw(STDIN_FILENO);
		return 0;
	}
	if (message->kind == NACRE_MUX_PERMISSION_DENIED)
		nacre_log(
		    NACRE_LOG_ERROR, "Master refused session request: %.*s", TEXT(message->text));
	else if (message->kind == NACRE_MUX_FAILURE)
		nacre_log(NACRE_LOG_ERROR, "mux_client: session request failed: %.*s",
		    TEXT(message->text));
	else
		nacre_log(NACRE_LOG_ERROR, "mux_client: unexpected message 0x%08x", message->kind);
	return NACRE_ERROR_REFUSED;
}

static void
take_running(
    struct mux_client *client, struct passenger *passenger, const struct nacre_mux_message *message)
{
	if (message->kind == NACRE_MUX_TTY_ALLOC_FAIL) {
		leave_raw();
		nacre_log(NACRE_LOG_DEBUG1, "mux_client: the server gave no terminal");
	} else if (message->kind == NACRE_MUX_EXIT_MESSAGE && passenger->status < 0) {
		passenger->status = (int)(message->value & 0xff);
	} else {
		nacre_log(NACRE_LOG_DEBUG1, "mux_client: message 0x%08x passed over at %s",
		    message->kind, client->path);
	}
}

/* All messages that are here. 0, or an error that was logged. */
static int
take_messages(struct mux_client *client, struct passenger *passenger)
{
	struct nacre_mux_message message;
	int descriptors[NACRE_MUX_DESCRIPTORS];
	int taken, error = 0;

	while (
	    error == 0 && (taken = nacre_mux_take(&client->socket, &message, descriptors)) == 1) {
		if (passenger->opened)
			take_running(client, passenger, &message);
		else
			error = take_opened(client, passenger, &message);
	}
	if (error == 0 && taken < 0) {
		nacre_log(
		    NACRE_LOG_ERROR, "mux_client: bad message from the master at %s", client->path);
		error = taken;
	}
	return error;
}

static void
act_on_window_change(const struct passenger *passenger)
{
	window_changed = 0;
	/* The master asks the terminal, of which it has a descriptor, itself. */
	if (passenger->master > 1)
		kill(passenger->master, SIGWINCH);
}

/* Waits for the master to close the socket, which it does once all output is written. */
static void
await_end(struct mux_client *client, struct passenger *passenger)
{
	sigset_t mask;

	catch_signals(&mask);
	while (end_signal == 0) {
		struct pollfd wait = {.fd = client->socket.fd, .events = POLLIN};

		if (window_changed)
			act_on_window_change(passenger);
		if (ppoll(&wait, 1, NULL, &mask) <= 0)
			continue;
		if (nacre_mux_receive(&client->socket, false) < 0 ||
		    take_messages(client, passenger) != 0)
			break;
	}
	if (end_signal != 0) {
		nacre_log(NACRE_LOG_VERBOSE, "Killed by signal %d.", (int)end_signal);
		passenger->status = EXIT_OWN_ERROR;
	}
}

static int
end_status(const struct mux_client *client, const struct passenger *passenger)
{
	const struct session_plan *const plan = client->plan;

	if (plan->terminal && nacre_log_level_get() >= NACRE_LOG_INFO)
		nacre_log(
		    NACRE_LOG_INFO, "Shared connection to %s closed.", plan->config->hostname);
	if (passenger->status >= 0)
		return passenger->status;
	/* A forwarding has no status; nor is there one of a session whose master went away. */
	return plan->stdio_host != NULL ? EXIT_SUCCESS : EXIT_OWN_ERROR;
}

/* The passenger's whole life; -1 when the master did not take it in. */
static int
ride(struct mux_client *client, struct passenger *passenger)
{
	while (!passenger->opened) {
		if (take_messages(client, passenger) != 0)
			return -1;
		if (!passenger->opened && nacre_mux_receive(&client->socket, true) < 0) {
			nacre_log(
			    NACRE_LOG_ERROR, "mux_client: master at %s hung up", client->path);
			return -1;
		}
	}
	if (client->plan->config->fork_after_authentication)
		go_to_background(NULL);
	await_end(client, passenger);
	leave_raw();
	return end_status(client, passenger);
}

static int
run_passenger(struct mux_client *client)
{
	static const int standard[] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
	const struct session_plan *const plan = client->plan;
	struct passenger passenger = {.status = -1};

	/* The process that changes of the window are told to; an OpenSSH master answers that first. */
	if (plan->terminal) {
		const struct nacre_mux_message check = {
		    .kind = NACRE_MUX_ALIVE_CHECK, .id = client->next_id++};
		nacre_mux_put(&client->output, &check);
	}
	const uint32_t id = client->next_id++;
	if (plan->stdio_host != NULL)
		put_stdio(client, id);
	else
		put_session(client, id);
	mux_client_send(client, standard, plan->stdio_host != NULL ? 2 : 3);
	if (mux_client_greeted(client) != 0)
		return -1;
	return ride(client, &passenger);
}

/* -N: the forwardings stand; this process stays as long as the master does. */
static int
stay(struct mux_client *client)
{
	struct passenger passenger = {.opened = true, .status = -1};

	mux_client_send(client, NULL, 0);
	if (mux_client_greeted(client) != 0)
		return -1;
	if (client->plan->config->fork_after_authentication)
		go_to_background(NULL);
	await_end(client, &passenger);
	return EXIT_OWN_ERROR;
}

/* Connecting ---------------------------------------------------------------------------------- */

/* Nobody listens there any more: the next master, this process perhaps, takes its place. Not when
 * another one has meanwhile. */
static void
remove_stale(const char *path, const struct stat *seen)
{
	struct stat now;

	if (lstat(path, &now) == 0 && now.st_dev == seen->st_dev && now.st_ino == seen->st_ino)
		unlink(path);
}

/* 0 with a connection; else -1, or the exit status of a command that cannot be done. */
static int
connect_master(struct mux_client *client)
{
	const bool asks = client->plan->config->control_master != NACRE_NO;
	struct stat seen;
	const bool exists = lstat(client->path, &seen) == 0;
	const int error = nacre_mux_connect(client->path, &client->socket);

	if (error == 0)
		return 0;
	if (error == NACRE_ERROR_ARGUMENT)
		nacre_fatal("ControlPath too long ('%s' >= %zu bytes)", client->path,
		    sizeof((struct sockaddr_un *)NULL)->sun_path);
	if (error == NACRE_ERROR_PERMISSION)
		nacre_log(NACRE_LOG_ERROR,
		    "Control socket %s belongs to another user: not used. See ls -l %s",
		    client->path, client->path);
	else if (client->command != MUX_COMMAND_NONE)
		nacre_log(NACRE_LOG_ERROR, "Control socket connect(%s): %s", client->path,
		    strerror(errno));
	else if (error == NACRE_ERROR_NOT_FOUND)
		nacre_log(NACRE_LOG_DEBUG1, "Control socket \"%s\" does not exist", client->path);
	else if (error == NACRE_ERROR_REFUSED && asks && exists && S_ISSOCK(seen.st_mode)) {
		nacre_log(NACRE_LOG_DEBUG1, "Stale control socket %s, unlinking", client->path);
		remove_stale(client->path, &seen);
	} else
		nacre_log(NACRE_LOG_ERROR, "Control socket connect(%s): %s", client->path,
		    strerror(errno));
	return client->command != MUX_COMMAND_NONE ? EXIT_OWN_ERROR : -1;
}

static void
greet(struct mux_client *client)
{
	const struct nacre_mux_message hello = {
	    .kind = NACRE_MUX_HELLO, .value = NACRE_MUX_VERSION};

	nacre_mux_put(&client->output, &hello);
}

static int
run(struct mux_client *client)
{
	const struct session_plan *const plan = client->plan;

	if (client->command != MUX_COMMAND_NONE)
		return mux_control(client);
	if (mux_control_forwards(client, false) != 0)
		return -1;
	if (plan->stdio_host == NULL && plan->config->session_type == NACRE_SESSION_NONE)
		return stay(client);
	return run_passenger(client);
}

int
mux_client_run(const struct session_plan *plan, enum mux_command command)
{
	const struct nacre_ssh_config *const config = plan->config;
	struct mux_client client = {.plan = plan, .command = command, .path = config->control_path};

	if (config->control_path == NULL) {
		if (command != MUX_COMMAND_NONE)
			nacre_fatal("No ControlPath specified for \"-O\" command");
		return -1;
	}
	/* A master by order asks no other one. */
	if (command == MUX_COMMAND_NONE &&
	    (config->control_master == NACRE_YES || config->control_master == NACRE_ASK))
		return -1;
	if (command == MUX_COMMAND_NONE && config->control_master != NACRE_NO)
		nacre_log(
		    NACRE_LOG_DEBUG1, "auto-mux: Trying existing master at '%s'", client.path);
	signal(SIGPIPE, SIG_IGN);
	int status = connect_master(&client);
	if (status == 0) {
		greet(&client);
		status = run(&client);
		leave_raw();
		nacre_mux_close(&client.socket);
	}
	nacre_buffer_free(&client.output);
	return status;
}
