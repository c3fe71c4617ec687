/*
 * A session once the server has let us in: its channel, the terminal, standard input and output,
 * forwarded agents, escape sequences and signals, in one loop.
 */
#include "ssh/ssh.h"

#include <nacre/crypto.h>
#include <nacre/log.h>
#include <nacre/pattern.h>
#include <nacre/poller.h>
#include <nacre/relay.h>
#include <nacre/terminal.h>
#include <nacre/terminal_modes.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_OWN_ERROR 255
#define TEXT(span)     (int)(span).length, (const char *)(span).data

/* Rounds of bulk data between two looks at everything else. */
#define BULK_ROUNDS 16
/* A read that brings less than this was the last for now. */
#define BULK_READ 16384
#define TYPED_MAX 8192

extern char **environ;

enum expected_reply { REPLY_PTY, REPLY_START, REPLY_BREAK };
#define REPLIES_MAX 32

/* How long a reader of our output is waited for before the data is set aside. */
#define OUTPUT_PATIENCE_MS 50

struct session_state {
	struct nacre_client *client;
	struct nacre_session *session;
	const struct session_plan *plan;
	uint32_t channel;
	bool channel_open, started, settled;
	bool finished;
	int status;
	struct stream input, streams[2]; /* by enum nacre_stream */
	bool input_over;                 /* nothing more is read from it */
	bool output_lost;                /* it could not be written */
	struct escape escape;
	uint8_t typed[TYPED_MAX + 1]; /* filtered, not sent yet */
	size_t typed_start, typed_end;
	struct nacre_relays relays;
	enum expected_reply replies[REPLIES_MAX];
	size_t reply_count;
	bool raw;
	struct pollfd waits[4 + NACRE_RELAYS_MAX];
	size_t wait_count;
};

/* Signals ------------------------------------------------------------------------------------- */

static volatile sig_atomic_t window_changed, end_signal;

static void
on_window_change(int number)
{
	(void)number;
	window_changed = 1;
}

static void
on_end_signal(int number)
{
	end_signal = number;
}

/* They strike only while ppoll() waits with *mask. */
static void
catch_signals(sigset_t *mask)
{
	static const int ends[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
	struct sigaction action = {.sa_handler = on_end_signal}, before;
	sigset_t block;

	sigemptyset(&block);
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		sigaction(ends[i], NULL, &before);
		if (before.sa_handler == SIG_IGN)
			continue;
		sigaction(ends[i], &action, NULL);
		sigaddset(&block, ends[i]);
	}
	action.sa_handler = on_window_change;
	sigaction(SIGWINCH, &action, NULL);
	sigaddset(&block, SIGWINCH);
	sigprocmask(SIG_BLOCK, &block, mask);
}

/* Starting the session ------------------------------------------------------------------------ */

static void
expect_reply(struct session_state *state, enum expected_reply reply)
{
	if (state->reply_count < REPLIES_MAX)
		state->replies[state->reply_count++] = reply;
}

static void
request_terminal(struct nacre_session *session, uint32_t channel)
{
	const char *const term = getenv("TERM");
	struct nacre_window_size size;
	struct nacre_buffer modes = {0};
	struct termios settings;

	nacre_terminal_size(STDIN_FILENO, &size);
	if (nacre_terminal_settings(STDIN_FILENO, &settings) == 0)
		nacre_terminal_modes_encode(&settings, &modes);
	else
		nacre_put_byte(&modes, 0);
	nacre_channel_request_pty(
	    session, channel, true, term != NULL ? term : "", &size, nacre_buffer_span(&modes));
	nacre_buffer_free(&modes);
}

static bool
variable_wanted(const struct nacre_words *patterns, struct nacre_span name)
{
	bool wanted = false;

	for (size_t i = 0; i < patterns->count; i++)
		wanted |= nacre_pattern_match(name, nacre_span_of(patterns->words[i]));
	return wanted;
}

/* "NAME=VALUE"; "only" (may be NULL) are the patterns of names that are sent. */
static void
request_variable(struct nacre_session *session, uint32_t channel, const char *text,
    const struct nacre_words *only)
{
	const char *const equals = strchr(text, '=');
	const struct nacre_span span = {
	    (const uint8_t *)text, equals != NULL ? (size_t)(equals - text) : 0};
	char *name;

	if (equals == NULL || (only != NULL && !variable_wanted(only, span)) ||
	    (name = nacre_span_to_string(span)) == NULL)
		return;
	nacre_log(
	    NACRE_LOG_DEBUG1, "channel %u: setting env %s = \"%s\"", channel, name, equals + 1);
	nacre_channel_request_env(session, channel, name, equals + 1);
	free(name);
}

static void
request_environment(
    struct nacre_session *session, uint32_t channel, const struct nacre_ssh_config *config)
{
	if (config->send_env.count > 0)
		for (char **variable = environ; *variable != NULL; variable++)
			request_variable(session, channel, *variable, &config->send_env);
	for (size_t i = 0; i < config->set_env.count; i++)
		request_variable(session, channel, config->set_env.words[i], NULL);
}

static void
request_start(struct nacre_session *session, uint32_t channel, const struct session_plan *plan)
{
	const char *const command = plan->command;

	if (plan->config->session_type == NACRE_SESSION_SUBSYSTEM) {
		nacre_log(NACRE_LOG_DEBUG1, "Sending subsystem: %s", command);
		nacre_channel_request_subsystem(session, channel, true, command);
	} else if (command != NULL) {
		nacre_log(NACRE_LOG_DEBUG1, "Sending command: %s", command);
		nacre_channel_request_exec(session, channel, true, command);
	} else {
		nacre_channel_request_shell(session, channel, true);
	}
}

void
session_request(void *context, struct nacre_client *client, uint32_t channel)
{
	const struct session_plan *const plan = context;
	struct nacre_session *const session = nacre_client_session(client);

	if (nacre_client_forward_agent_path(client) != NULL) {
		nacre_log(NACRE_LOG_DEBUG1, "Requesting authentication agent forwarding.");
		nacre_channel_request_agent(session, channel, false);
	}
	if (plan->terminal)
		request_terminal(session, channel);
	request_environment(session, channel, plan->config);
	request_start(session, channel, plan);
}

static void
enter_raw(struct session_state *state)
{
	state->raw =
	    state->plan->terminal && isatty(STDIN_FILENO) && nacre_terminal_raw(STDIN_FILENO) == 0;
}

/* All requests leave together, and with them the first input. */
static void
session_opened(struct session_state *state, bool early)
{
	struct nacre_client *const client = state->client;

	/* One is all that we want; who takes over this process gets no other. */
	if (nacre_client_knows_openssh(client))
		nacre_session_no_more_sessions(state->session);
	if (!early)
		session_request((void *)state->plan, client, state->channel);
	if (state->plan->terminal)
		expect_reply(state, REPLY_PTY);
	expect_reply(state, REPLY_START);
	enter_raw(state);
}

static int
open_channel(struct session_state *state)
{
	const struct session_plan *const plan = state->plan;
	int error;

	if (nacre_client_early_channel(state->client, &state->channel)) {
		state->channel_open = state->started = true;
		session_opened(state, true);
		return 0;
	}
	if (plan->stdio_host != NULL)
		error = nacre_channel_open_direct_tcpip(state->session, plan->stdio_host,
		    (uint16_t)plan->stdio_port, "127.0.0.1", 65535, &state->channel);
	else if (plan->config->session_type == NACRE_SESSION_NONE)
		return 0;
	else
		error = nacre_channel_open_session(state->session, &state->channel);
	if (error == 0) {
		state->channel_open = true;
		nacre_log(NACRE_LOG_DEBUG1, "channel %u: new session [%s]", state->channel,
		    plan->stdio_host != NULL ? "direct-tcpip" : "client-session");
	}
	return error;
}

/* Events -------------------------------------------------------------------------------------- */

static void
finish(struct session_state *state, int status)
{
	state->finished = true;
	if (state->status < 0)
		state->status = status;
}

static void
on_opened(struct session_state *state, const struct nacre_event *event)
{
	if (event->channel != state->channel)
		return;
	state->started = true;
	if (state->plan->stdio_host == NULL)
		session_opened(state, false);
}

static void
on_refused(struct session_state *state, const struct nacre_event *event)
{
	static const char *const reasons[] = {"unknown reason", "administratively prohibited",
	    "connect failed", "unknown channel type", "resource shortage"};
	const uint32_t reason = event->u.refused.reason;

	nacre_log(NACRE_LOG_ERROR, "channel %u: open failed: %s: %.*s", event->channel,
	    reasons[reason < sizeof reasons / sizeof *reasons ? reason : 0],
	    TEXT(event->u.refused.text));
	if (state->plan->stdio_host != NULL)
		nacre_log(NACRE_LOG_ERROR, "stdio forwarding failed");
	state->channel_open = false;
	finish(state, EXIT_OWN_ERROR);
}

/* Nobody takes our output any more: the remote command learns it, the rest is dropped. Whoever
 * closed a pipe knows; a full disk must not pass for success. */
static void
output_broken(struct session_state *state, enum nacre_stream stream, int error)
{
	if (error != EPIPE) {
		nacre_log(NACRE_LOG_ERROR, "write to %s: %s",
		    stream == NACRE_STREAM_DATA ? "standard output" : "standard error",
		    strerror(error));
		state->output_lost = true;
	}
	stream_close(&state->streams[stream]);
	if (stream == NACRE_STREAM_DATA)
		nacre_channel_request_eow(state->session, state->channel);
}

/* A reader that is a little slower than the network is waited for, so that the data stays where it
 * is; the network waits meanwhile. Not when there is other work, and not again for one that stands
 * still. */
static bool
await_output(struct session_state *state, struct stream *out)
{
	if (out->stalled || state->raw || nacre_session_channel_count(state->session) != 1)
		return false;
	nacre_client_flush(state->client);
	out->stalled = !nacre_poller_wait_writable(
	    out->fd, &state->input.fd, state->input_over ? 0 : 1, OUTPUT_PATIENCE_MS);
	return !out->stalled;
}

static void
pump_output(struct session_state *state, enum nacre_stream stream)
{
	struct stream *const out = &state->streams[stream];
	struct nacre_span data;

	if (!state->channel_open)
		return;
	while ((data = nacre_channel_data(state->session, state->channel, stream)).length > 0) {
		size_t consumed = data.length;

		if (out->fd >= 0) {
			const ssize_t put = stream_write(out, data.data, data.length);

			if (put < 0 && errno == EAGAIN) {
				if (await_output(state, out))
					continue;
				return;
			}
			if (put < 0)
				output_broken(state, stream, errno);
			else
				consumed = (size_t)put;
		}
		nacre_channel_consume(state->session, state->channel, stream, consumed);
	}
	out->stalled = false;
}

static void
on_data(struct session_state *state, const struct nacre_event *event)
{
	if (event->channel == state->channel)
		pump_output(state, event->u.stream);
}

/* A reader behind us in a pipeline sees the end, even if we stay for others. */
static void
on_eof(struct session_state *state, const struct nacre_event *event)
{
	if (event->channel == state->channel)
		stream_close(&state->streams[NACRE_STREAM_DATA]);
}

static void
on_closed(struct session_state *state, const struct nacre_event *event)
{
	if (event->channel != state->channel)
		return;
	state->channel_open = false;
	finish(state, state->plan->stdio_host != NULL ? EXIT_SUCCESS : EXIT_OWN_ERROR);
}

static void
on_request(struct session_state *state, const struct nacre_event *event)
{
	const enum nacre_request_kind kind = event->u.channel_request.kind;
	bool known = true;

	nacre_log(NACRE_LOG_DEBUG1, "client_input_channel_req: channel %u rtype %.*s reply %d",
	    event->channel, TEXT(event->u.channel_request.name),
	    event->u.channel_request.want_reply);
	if (event->channel != state->channel) {
		known = false;
	} else if (kind == NACRE_REQUEST_EXIT_STATUS) {
		state->status = (int)(event->u.channel_request.exit_status & 0xff);
	} else if (kind == NACRE_REQUEST_EXIT_SIGNAL) {
		state->status = EXIT_OWN_ERROR;
		nacre_log(NACRE_LOG_VERBOSE, "Remote command died of signal %.*s%s",
		    TEXT(event->u.channel_request.exit_signal.name),
		    event->u.channel_request.exit_signal.core_dumped ? " (core dumped)" : "");
	} else if (kind == NACRE_REQUEST_EOW) {
		state->input_over = true;
	} else {
		known = kind == NACRE_REQUEST_KEEPALIVE;
	}
	if (event->u.channel_request.want_reply)
		nacre_channel_request_reply(state->session, event->channel, known);
}

static void
reply_failed(struct session_state *state, enum expected_reply reply)
{
	const struct session_plan *const plan = state->plan;

	if (reply == REPLY_BREAK)
		return;
	if (reply == REPLY_PTY) {
		nacre_log(
		    NACRE_LOG_INFO, "PTY allocation request failed on channel %u", state->channel);
		nacre_terminal_restore();
		state->raw = false;
		return;
	}
	nacre_log(NACRE_LOG_ERROR, "%s request failed on channel %u",
	    plan->config->session_type == NACRE_SESSION_SUBSYSTEM ? "subsystem"
	    : plan->command != NULL                               ? "exec"
								  : "shell",
	    state->channel);
	finish(state, EXIT_OWN_ERROR);
}

static void
on_reply(struct session_state *state, const struct nacre_event *event)
{
	if (event->channel != state->channel || state->reply_count == 0)
		return;
	const enum expected_reply reply = state->replies[0];
	memmove(state->replies, state->replies + 1, --state->reply_count * sizeof *state->replies);
	if (!event->u.channel_reply.success)
		reply_failed(state, reply);
}

static void
on_open(struct session_state *state, const struct nacre_event *event)
{
	nacre_log(NACRE_LOG_ERROR,
	    "WARNING: Server requests a channel (%.*s) that was not asked for; refused.",
	    TEXT(event->u.channel_open.type));
	nacre_channel_refuse(state->session, event->channel, NACRE_OPEN_ADMINISTRATIVELY_PROHIBITED,
	    "not requested");
}

static void
on_disconnected(struct session_state *state, const struct nacre_event *event)
{
	(void)event;
	state->channel_open = false;
	finish(state, EXIT_OWN_ERROR);
}

static void (*const handlers[])(struct session_state *, const struct nacre_event *) = {
    [NACRE_EVENT_CHANNEL_OPEN] = on_open,
    [NACRE_EVENT_CHANNEL_OPENED] = on_opened,
    [NACRE_EVENT_CHANNEL_REFUSED] = on_refused,
    [NACRE_EVENT_CHANNEL_DATA] = on_data,
    [NACRE_EVENT_CHANNEL_EOF] = on_eof,
    [NACRE_EVENT_CHANNEL_REQUEST] = on_request,
    [NACRE_EVENT_CHANNEL_REPLY] = on_reply,
    [NACRE_EVENT_CHANNEL_CLOSED] = on_closed,
    [NACRE_EVENT_DISCONNECTED] = on_disconnected,
};

static void
take_events(struct session_state *state)
{
	struct nacre_event event;

	while (
	    !state->finished && nacre_session_next_event(state->session, nacre_clock_ms(), &event))
		if (!nacre_client_event(state->client, &event) &&
		    !nacre_relays_event(&state->relays, state->client, &event) &&
		    (size_t)event.kind < sizeof handlers / sizeof *handlers &&
		    handlers[event.kind] != NULL)
			handlers[event.kind](state, &event);
}

/* Input --------------------------------------------------------------------------------------- */

static void
input_ended(struct session_state *state)
{
	state->input_over = true;
	nacre_channel_eof(state->session, state->channel);
}

/* One packet's worth straight from standard input. True when there may be more at once. */
static bool
pump_plain(struct session_state *state)
{
	size_t length;
	uint8_t *const room =
	    nacre_channel_room(state->session, state->channel, NACRE_STREAM_DATA, &length);

	if (room == NULL)
		return false;
	const ssize_t got = stream_read(&state->input, room, length);
	const int error = errno;
	nacre_channel_commit(state->session, state->channel, got > 0 ? (size_t)got : 0);
	if (got == 0 || (got < 0 && error != EAGAIN))
		input_ended(state);
	return got > 0 && ((size_t)got == length || got >= 4096);
}

static void
suspend(struct session_state *state)
{
	nacre_terminal_restore();
	dprintf(STDERR_FILENO, "%c^Z [suspend ssh]\r\n", state->escape.character);
	kill(getpid(), SIGTSTP);
	enter_raw(state);
	window_changed = 1;
}

static void
change_verbosity(int step)
{
	const int level = (int)nacre_log_level_get() + step;

	if (level >= NACRE_LOG_QUIET && level <= NACRE_LOG_DEBUG3)
		nacre_log_level_set((enum nacre_log_level)level);
	dprintf(STDERR_FILENO, "[LogLevel %s]\r\n", nacre_log_level_name(nacre_log_level_get()));
}

static void
list_connections(const struct session_state *state)
{
	dprintf(STDERR_FILENO, "%c#\r\nThe following connections are open:\r\n",
	    state->escape.character);
	if (state->channel_open)
		dprintf(STDERR_FILENO, "  #%u client-session\r\n", state->channel);
	for (size_t i = 0; i < state->relays.used; i++)
		if (state->relays.list[i].fd >= 0)
			dprintf(STDERR_FILENO, "  #%u auth-agent@openssh.com\r\n",
			    state->relays.list[i].channel);
}

static void
escape_act(struct session_state *state, enum escape_action action)
{
	switch (action) {
	case ESCAPE_NONE:
		break;
	case ESCAPE_TERMINATE:
		dprintf(STDERR_FILENO, "%c.\r\n", state->escape.character);
		finish(state, EXIT_OWN_ERROR);
		state->status = EXIT_OWN_ERROR;
		break;
	case ESCAPE_SUSPEND:
		suspend(state);
		break;
	case ESCAPE_LIST:
		list_connections(state);
		break;
	case ESCAPE_HELP:
		escape_print_help(&state->escape);
		break;
	case ESCAPE_BREAK:
		dprintf(STDERR_FILENO, "%cB\r\n", state->escape.character);
		if (nacre_channel_request_break(state->session, state->channel, true, 1000) == 0)
			expect_reply(state, REPLY_BREAK);
		break;
	case ESCAPE_REKEY:
		nacre_session_rekey(state->session);
		break;
	case ESCAPE_LESS_VERBOSE:
		change_verbosity(-1);
		break;
	case ESCAPE_MORE_VERBOSE:
		change_verbosity(1);
		break;
	case ESCAPE_COMMAND_LINE:
		dprintf(STDERR_FILENO, "%cC\r\ncommandline disabled\r\n", state->escape.character);
		break;
	}
}

/* Sends what the filter let through; false while some of it waits for the peer. */
static bool
send_typed(struct session_state *state)
{
	const struct nacre_span left = {
	    state->typed + state->typed_start, state->typed_end - state->typed_start};

	state->typed_start +=
	    nacre_channel_write(state->session, state->channel, NACRE_STREAM_DATA, left);
	return state->typed_start == state->typed_end;
}

static bool
pump_typed(struct session_state *state)
{
	uint8_t in[TYPED_MAX];
	size_t done = 0;

	if (!send_typed(state))
		return false;
	const ssize_t got = stream_read(&state->input, in, sizeof in / 2);
	if (got <= 0) {
		if (got == 0 || errno != EAGAIN)
			input_ended(state);
		return false;
	}
	state->typed_start = state->typed_end = 0;
	while (done < (size_t)got && !state->finished) {
		size_t taken = 0, put = 0;
		const enum escape_action action = escape_filter(&state->escape, in + done,
		    (size_t)got - done, &taken, state->typed + state->typed_end, &put);

		done += taken;
		state->typed_end += put;
		escape_act(state, action);
	}
	nacre_wipe(in, sizeof in);
	return send_typed(state) && !state->finished;
}

static bool
input_possible(const struct session_state *state)
{
	return state->channel_open && state->started && !state->input_over && !state->finished;
}

/* Reads and sends while that goes without waiting. True when it went to its bound. */
static bool
pump_input(struct session_state *state)
{
	bool (*const pump)(struct session_state *) =
	    state->escape.character != NACRE_ESCAPE_NONE ? pump_typed : pump_plain;

	for (int i = 0; i < BULK_ROUNDS; i++) {
		if (!input_possible(state) || !pump(state))
			return false;
		if (nacre_client_flush(state->client) != 0)
			return false;
	}
	return true;
}

/* Waiting ------------------------------------------------------------------------------------- */

static void
send_window_size(struct session_state *state)
{
	struct nacre_window_size size;

	window_changed = 0;
	if (state->channel_open && state->started && state->plan->terminal &&
	    nacre_terminal_size(STDIN_FILENO, &size) == 0)
		nacre_channel_request_window_change(state->session, state->channel, &size);
}

static void
wait_for(struct session_state *state, int fd, int events)
{
	if (events != 0)
		state->waits[state->wait_count++] = (struct pollfd){fd, (short)events, 0};
}

static bool
output_waits(const struct session_state *state, enum nacre_stream stream)
{
	return state->channel_open && state->streams[stream].fd >= 0 &&
	       nacre_channel_data(state->session, state->channel, stream).length > 0;
}

/* Standard input is looked at only while the channel has room for it. */
static bool
input_waits(const struct session_state *state)
{
	return input_possible(state) && state->typed_start == state->typed_end &&
	       nacre_channel_send_window(state->session, state->channel) > 0;
}

static void
collect_waits(struct session_state *state, bool network_full)
{
	size_t room;

	state->wait_count = 0;
	const bool reads = nacre_session_input_room(state->session, &room) != NULL;
	wait_for(state, nacre_client_read_fd(state->client),
	    (reads ? POLLIN : 0) | (network_full ? POLLOUT : 0));
	if (!network_full && input_waits(state))
		wait_for(state, state->input.fd, POLLIN);
	for (int stream = 0; stream < 2; stream++)
		if (output_waits(state, (enum nacre_stream)stream))
			wait_for(state, state->streams[stream].fd, POLLOUT);
	state->wait_count +=
	    nacre_relays_poll(&state->relays, state->session, state->waits + state->wait_count);
}

static int64_t
wait_time(const struct session_state *state)
{
	const uint64_t deadline = nacre_client_deadline(state->client);
	const uint64_t now = nacre_clock_ms();

	if (deadline == UINT64_MAX)
		return -1;
	return deadline <= now ? 0 : (int64_t)(deadline - now);
}

static void
wait_for_something(struct session_state *state, int64_t milliseconds, const sigset_t *mask)
{
	const struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};

	for (size_t i = 0; i < state->wait_count; i++)
		state->waits[i].revents = 0;
	ppoll(state->waits, (nfds_t)state->wait_count, milliseconds < 0 ? NULL : &time, mask);
}

/* Everything that the socket holds, in bounds, and what follows from it. */
static void
pump_network(struct session_state *state)
{
	for (int i = 0; i < BULK_ROUNDS && !state->finished; i++) {
		const ssize_t got = nacre_client_receive(state->client);

		if (got == 0 || got == NACRE_ERROR_STATE)
			return;
		take_events(state);
		/* What is to be sent now leaves together with the input that may be there. */
		if (got < BULK_READ || nacre_client_flush(state->client) < 0)
			return;
	}
}

static void
act_on_readiness(struct session_state *state)
{
	const int network = nacre_client_read_fd(state->client);

	for (size_t i = 0; i < state->wait_count && !state->finished; i++) {
		const struct pollfd *const wait = &state->waits[i];

		if (wait->revents == 0)
			continue;
		if (wait->fd == network && (wait->revents & ~POLLOUT) != 0)
			pump_network(state);
	}
	if (!state->finished)
		nacre_relays_ready(&state->relays, state->session, state->waits, state->wait_count);
	for (int stream = 0; stream < 2 && !state->finished; stream++)
		pump_output(state, (enum nacre_stream)stream);
}

/* Once there is nothing to do but to wait for the server: what is left of the login. */
static void
settle(struct session_state *state)
{
	if (!state->settled && (state->started || !state->channel_open))
		nacre_client_settle(state->client);
	state->settled |= state->started || !state->channel_open;
}

/* One turn of the loop. */
static void
turn(struct session_state *state, const sigset_t *mask)
{
	take_events(state);
	const bool more = pump_input(state);
	const int flushed = nacre_client_flush(state->client);
	if (state->finished)
		return;
	settle(state);
	collect_waits(state, flushed == 1);
	wait_for_something(state, more && flushed == 0 ? 0 : wait_time(state), mask);
	if (end_signal != 0) {
		nacre_log(NACRE_LOG_VERBOSE, "Killed by signal %d.", (int)end_signal);
		state->status = EXIT_OWN_ERROR;
		finish(state, EXIT_OWN_ERROR);
		return;
	}
	if (window_changed)
		send_window_size(state);
	act_on_readiness(state);
	if (!state->finished && nacre_client_tick(state->client, nacre_clock_ms()) != 0)
		finish(state, EXIT_OWN_ERROR);
}

static void
log_end(const struct session_state *state)
{
	uint64_t sent, received;

	nacre_session_traffic(state->session, &sent, &received);
	if (state->plan->terminal)
		nacre_log(
		    NACRE_LOG_INFO, "Connection to %s closed.", state->plan->config->hostname);
	nacre_log(NACRE_LOG_VERBOSE, "Transferred: sent %llu, received %llu bytes",
	    (unsigned long long)sent, (unsigned long long)received);
	nacre_log(NACRE_LOG_DEBUG1, "Exit status %d", state->status);
}

int
session_run(struct nacre_client *client, const struct session_plan *plan)
{
	struct session_state *const state = calloc(1, sizeof *state);
	sigset_t mask;

	if (state == NULL)
		return EXIT_OWN_ERROR;
	state->client = client;
	state->session = nacre_client_session(client);
	state->plan = plan;
	state->status = -1;
	state->escape = (struct escape){
	    .character = plan->terminal ? plan->config->escape_char : NACRE_ESCAPE_NONE,
	    .at_line_start = true};
	if (open_channel(state) != 0)
		finish(state, EXIT_OWN_ERROR);
	nacre_client_flush(client);
	/* While the server opens the channel: */
	catch_signals(&mask);
	stream_open(&state->input, STDIN_FILENO);
	stream_open(&state->streams[NACRE_STREAM_DATA], STDOUT_FILENO);
	stream_open(&state->streams[NACRE_STREAM_STDERR], STDERR_FILENO);
	while (!state->finished)
		turn(state, &mask);
	nacre_terminal_restore();
	log_end(state);
	const int status =
	    state->output_lost && state->status == 0 ? EXIT_OWN_ERROR : state->status;
	free(state);
	return status;
}
