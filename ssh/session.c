/*
 * The channel that the command line asks for, on the standard descriptors: a session, or with -W a
 * connection. Its requests are in session_request.c, escape sequences in session_escape.c.
 */
#include "ssh/connection.h"
#include "ssh/mux_master.h"
#include "ssh/obscure.h"
#include "ssh/x11.h"

#include <nacre/crypto.h>
#include <nacre/log.h>
#include <nacre/terminal.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT(span) (int)(span).length, (const char *)(span).data

/* Rounds of bulk data between two looks at everything else. */
#define BULK_ROUNDS 16
/* How long a reader of our output is waited for before the data is set aside. */
#define OUTPUT_PATIENCE_MS 50

static struct nacre_session *
session_of(const struct session_channel *own)
{
	return own->channel.connection->session;
}

static const struct session_plan *
plan_of(const struct session_channel *own)
{
	return own->channel.connection->plan;
}

static bool
finished(const struct session_channel *own)
{
	return own->channel.connection->finished;
}

static void
active(struct session_channel *own)
{
	own->channel.last_active = own->channel.connection->host.now;
}

/* Starting the session ------------------------------------------------------------------------ */

void
session_expect_reply(struct session_channel *own, enum expected_reply reply)
{
	if (own->reply_count < REPLIES_MAX)
		own->replies[own->reply_count++] = reply;
}

void
session_enter_raw(struct session_channel *own)
{
	own->raw =
	    plan_of(own)->terminal && isatty(STDIN_FILENO) && nacre_terminal_raw(STDIN_FILENO) == 0;
}

/* ForwardX11Timeout counts from here. */
static void
begin_x11(struct session_channel *own)
{
	struct x11_forward *const x11 = plan_of(own)->x11;

	session_expect_reply(own, REPLY_X11);
	if (x11->timeout > 0)
		x11->refuse_at = nacre_clock_ms() + (uint64_t)x11->timeout * 1000;
}

/* All requests leave together, and with them the first input. */
static void
session_opened(struct session_channel *own, bool early)
{
	struct nacre_client *const client = own->channel.connection->client;

	if (!early)
		session_request((void *)plan_of(own), client, own->channel.number);
	if (plan_of(own)->x11 != NULL)
		begin_x11(own);
	if (plan_of(own)->terminal)
		session_expect_reply(own, REPLY_PTY);
	session_expect_reply(own, REPLY_START);
	session_enter_raw(own);
	obscure_begin(own);
}

static int
open_channel(struct connection *connection, uint32_t *number)
{
	const struct session_plan *const plan = connection->plan;
	int error;

	if (plan->stdio_host != NULL)
		error = nacre_channel_open_direct_tcpip(connection->session, plan->stdio_host,
		    (uint16_t)plan->stdio_port, "127.0.0.1", 65535, number);
	else
		error = nacre_channel_open_session(connection->session, number);
	if (error == 0)
		nacre_log(NACRE_LOG_DEBUG1, "channel %u: new session [%s]", *number,
		    plan->stdio_host != NULL ? "direct-tcpip" : "client-session");
	return error;
}

/* Output ---------------------------------------------------------------------------------------- */

/* Nobody takes our output any more: the remote command learns it, the rest is dropped. Whoever
 * closed a pipe knows; a full disk must not pass for success. */
static void
output_broken(struct session_channel *own, enum nacre_stream stream, int error)
{
	if (error != EPIPE) {
		nacre_log(NACRE_LOG_ERROR, "write to %s: %s",
		    stream == NACRE_STREAM_DATA ? "standard output" : "standard error",
		    strerror(error));
		own->output_lost = true;
	}
	stream_close(&own->streams[stream]);
	if (stream == NACRE_STREAM_DATA)
		nacre_channel_request_eow(session_of(own), own->channel.number);
}

/* A reader that is a little slower than the network is waited for, so that the data stays where it
 * is; the network waits meanwhile. Not when there is other work, and not again for one that stands
 * still. */
static bool
await_output(struct session_channel *own, struct stream *out)
{
	if (out->stalled || own->raw || nacre_session_channel_count(session_of(own)) != 1)
		return false;
	nacre_client_flush(own->channel.connection->client);
	out->stalled = !nacre_poller_wait_writable(
	    out->fd, &own->input.fd, own->input_over ? 0 : 1, OUTPUT_PATIENCE_MS);
	return !out->stalled;
}

static void
pump_output(struct session_channel *own, enum nacre_stream stream)
{
	struct stream *const out = &own->streams[stream];
	struct nacre_span data;

	if (!own->open)
		return;
	while (
	    (data = nacre_channel_data(session_of(own), own->channel.number, stream)).length > 0) {
		size_t consumed = data.length;

		if (out->fd >= 0) {
			const ssize_t put = stream_write(out, data.data, data.length);

			if (put < 0 && errno == EAGAIN) {
				if (await_output(own, out))
					continue;
				return;
			}
			if (put < 0)
				output_broken(own, stream, errno);
			else
				consumed = (size_t)put;
		}
		nacre_channel_consume(session_of(own), own->channel.number, stream, consumed);
		active(own);
	}
	out->stalled = false;
}

void
session_pump_output(struct session_channel *own)
{
	for (int stream = 0; stream < 2; stream++)
		pump_output(own, (enum nacre_stream)stream);
}

/* Events of the channel ------------------------------------------------------------------------- */

static struct session_channel *
own_of(struct channel *channel)
{
	return (struct session_channel *)channel;
}

static void
on_opened(struct channel *channel)
{
	struct session_channel *const own = own_of(channel);

	own->started = true;
	if (plan_of(own)->stdio_host == NULL)
		session_opened(own, false);
}

static void
on_refused(struct channel *channel, const struct nacre_event *event)
{
	struct session_channel *const own = own_of(channel);

	channel_log_refusal(channel, event);
	if (plan_of(own)->stdio_host != NULL)
		nacre_log(NACRE_LOG_ERROR, "stdio forwarding failed");
	own->open = false;
	connection_finish(channel->connection, EXIT_OWN_ERROR);
}

static void
on_data(struct channel *channel, enum nacre_stream stream)
{
	pump_output(own_of(channel), stream);
}

/* A reader behind us in a pipeline sees the end, even if we stay for others. */
static void
on_eof(struct channel *channel)
{
	stream_close(&own_of(channel)->streams[NACRE_STREAM_DATA]);
}

/* The process stays for connections that are open; whoever waits for them may interrupt it. */
static void
on_closed(struct channel *channel)
{
	struct session_channel *const own = own_of(channel);
	struct connection *const connection = channel->connection;

	own->open = false;
	connection->own_over = true;
	if (connection->status < 0)
		connection->status =
		    plan_of(own)->stdio_host != NULL ? EXIT_SUCCESS : EXIT_OWN_ERROR;
	if (own->output_lost && connection->status == EXIT_SUCCESS)
		connection->status = EXIT_OWN_ERROR;
	nacre_terminal_restore();
}

static void
on_exit_signal(struct session_channel *own, const struct nacre_event *event)
{
	own->channel.connection->status = EXIT_OWN_ERROR;
	nacre_log(NACRE_LOG_VERBOSE, "Remote command died of signal %.*s%s",
	    TEXT(event->u.channel_request.exit_signal.name),
	    event->u.channel_request.exit_signal.core_dumped ? " (core dumped)" : "");
}

static bool
on_request(struct channel *channel, const struct nacre_event *event)
{
	struct session_channel *const own = own_of(channel);
	const enum nacre_request_kind kind = event->u.channel_request.kind;

	if (kind == NACRE_REQUEST_EXIT_STATUS)
		channel->connection->status = (int)(event->u.channel_request.exit_status & 0xff);
	else if (kind == NACRE_REQUEST_EXIT_SIGNAL)
		on_exit_signal(own, event);
	else if (kind == NACRE_REQUEST_EOW)
		own->input_over = true;
	else
		return kind == NACRE_REQUEST_KEEPALIVE;
	return true;
}

static void
reply_failed(struct session_channel *own, enum expected_reply reply)
{
	const struct session_plan *const plan = plan_of(own);

	if (reply == REPLY_BREAK)
		return;
	if (reply == REPLY_X11) {
		nacre_log(NACRE_LOG_INFO, "X11 forwarding request failed on channel %u",
		    own->channel.number);
		if (plan->config->exit_on_forward_failure)
			connection_finish(own->channel.connection, EXIT_OWN_ERROR);
		return;
	}
	if (reply == REPLY_PTY) {
		nacre_log(NACRE_LOG_INFO, "PTY allocation request failed on channel %u",
		    own->channel.number);
		nacre_terminal_restore();
		own->raw = false;
		return;
	}
	nacre_log(NACRE_LOG_ERROR, "%s request failed on channel %u",
	    plan->config->session_type == NACRE_SESSION_SUBSYSTEM ? "subsystem"
	    : plan->command != NULL                               ? "exec"
								  : "shell",
	    own->channel.number);
	connection_finish(own->channel.connection, EXIT_OWN_ERROR);
}

static void
on_reply(struct channel *channel, bool success)
{
	struct session_channel *const own = own_of(channel);

	if (own->reply_count == 0)
		return;
	const enum expected_reply reply = own->replies[0];
	memmove(own->replies, own->replies + 1, --own->reply_count * sizeof *own->replies);
	if (!success)
		reply_failed(own, reply);
}

static void
release(struct channel *channel)
{
	channel->connection->own = NULL;
	free(channel);
}

static const struct channel_kind session_kind = {
    .name = "client-session",
    .timeout_type = "session",
    .opened = on_opened,
    .refused = on_refused,
    .data = on_data,
    .eof = on_eof,
    .request = on_request,
    .reply = on_reply,
    .closed = on_closed,
    .release = release,
};

static const struct channel_kind stdio_kind = {
    .name = "direct-tcpip",
    .opened = on_opened,
    .refused = on_refused,
    .data = on_data,
    .eof = on_eof,
    .closed = on_closed,
    .release = release,
};

int
session_open(struct connection *connection)
{
	const struct session_plan *const plan = connection->plan;
	struct session_channel *own;
	uint32_t number;
	const bool early = nacre_client_early_channel(connection->client, &number);

	if (plan->detached && early)
		mux_spare_adopt(plan->master, number);
	if (plan->detached ||
	    (plan->stdio_host == NULL && plan->config->session_type == NACRE_SESSION_NONE))
		return 0;
	const int error = early ? 0 : open_channel(connection, &number);
	if (error != 0)
		return error;
	if ((own = calloc(1, sizeof *own)) == NULL)
		nacre_fatal("out of memory");
	own->escape = (struct escape){
	    .character = plan->terminal ? plan->config->escape_char : NACRE_ESCAPE_NONE,
	    .at_line_start = true,
	    .command_line = plan->config->enable_escape_commandline};
	own->open = true;
	own->started = early;
	connection->own = own;
	connection_add(connection, &own->channel,
	    plan->stdio_host != NULL ? &stdio_kind : &session_kind, number, !early);
	if (early)
		session_opened(own, !plan->opens_bare);
	return 0;
}

void
session_take_streams(struct session_channel *own)
{
	stream_open(&own->input, STDIN_FILENO);
	stream_open(&own->streams[NACRE_STREAM_DATA], STDOUT_FILENO);
	stream_open(&own->streams[NACRE_STREAM_STDERR], STDERR_FILENO);
}

/* Input --------------------------------------------------------------------------------------- */

static void
input_ended(struct session_channel *own)
{
	own->input_over = true;
	nacre_channel_eof(session_of(own), own->channel.number);
}

/* One packet's worth straight from standard input. True when there may be more at once. */
static bool
pump_plain(struct session_channel *own)
{
	size_t length;
	uint8_t *const room =
	    nacre_channel_room(session_of(own), own->channel.number, NACRE_STREAM_DATA, &length);

	if (room == NULL)
		return false;
	const ssize_t got = stream_read(&own->input, room, length);
	const int error = errno;
	nacre_channel_commit(session_of(own), own->channel.number, got > 0 ? (size_t)got : 0);
	if (got > 0)
		active(own);
	if (got == 0 || (got < 0 && error != EAGAIN))
		input_ended(own);
	return got > 0 && ((size_t)got == length || got >= 4096);
}

/* Sends what the filter let through; false while some of it waits for the peer. */
bool
session_send_typed(struct session_channel *own)
{
	const struct nacre_span left = {
	    own->typed + own->typed_start, own->typed_end - own->typed_start};

	own->typed_start +=
	    nacre_channel_write(session_of(own), own->channel.number, NACRE_STREAM_DATA, left);
	return own->typed_start == own->typed_end;
}

static bool
pump_typed(struct session_channel *own)
{
	uint8_t in[TYPED_MAX];
	size_t done = 0;

	if (own->typed_start < own->typed_end && (obscure_holds(own) || !session_send_typed(own)))
		return false;
	const ssize_t got = stream_read(&own->input, in, sizeof in / 2);
	if (got <= 0) {
		if (got == 0 || errno != EAGAIN)
			input_ended(own);
		return false;
	}
	own->typed_start = own->typed_end = 0;
	while (done < (size_t)got && !finished(own)) {
		size_t taken = 0, put = 0;
		const enum escape_action action = escape_filter(&own->escape, in + done,
		    (size_t)got - done, &taken, own->typed + own->typed_end, &put);

		done += taken;
		own->typed_end += put;
		session_escape(own, action);
	}
	nacre_wipe(in, sizeof in);
	active(own);
	if (own->typed_start < own->typed_end && obscure_holds(own))
		return false;
	return session_send_typed(own) && !finished(own);
}

static bool
input_possible(const struct session_channel *own)
{
	return own->open && own->started && !own->input_over && !finished(own);
}

/* Reads and sends while that goes without waiting. True when it went to its bound. */
bool
session_pump_input(struct session_channel *own)
{
	bool (*const pump)(struct session_channel *) =
	    own->escape.character != NACRE_ESCAPE_NONE ? pump_typed : pump_plain;

	for (int i = 0; i < BULK_ROUNDS; i++) {
		if (!input_possible(own) || !pump(own))
			return false;
		if (nacre_client_flush(own->channel.connection->client) != 0)
			return false;
	}
	return true;
}

/* Waiting ------------------------------------------------------------------------------------- */

void
session_send_window_size(struct session_channel *own)
{
	struct nacre_window_size size;

	if (own->open && own->started && plan_of(own)->terminal &&
	    nacre_terminal_size(STDIN_FILENO, &size) == 0)
		nacre_channel_request_window_change(session_of(own), own->channel.number, &size);
}

static bool
output_waits(const struct session_channel *own, enum nacre_stream stream)
{
	return own->open && own->streams[stream].fd >= 0 &&
	       nacre_channel_data(session_of(own), own->channel.number, stream).length > 0;
}

/* Standard input is looked at only while the channel has room for it. */
static bool
input_waits(const struct session_channel *own)
{
	return input_possible(own) && own->typed_start == own->typed_end &&
	       nacre_channel_send_window(session_of(own), own->channel.number) > 0;
}

size_t
session_waits(const struct session_channel *own, bool network_full, struct pollfd *waits)
{
	size_t count = 0;

	if (!network_full && input_waits(own))
		waits[count++] = (struct pollfd){.fd = own->input.fd, .events = POLLIN};
	for (int stream = 0; stream < 2; stream++)
		if (output_waits(own, (enum nacre_stream)stream))
			waits[count++] =
			    (struct pollfd){.fd = own->streams[stream].fd, .events = POLLOUT};
	return count;
}
