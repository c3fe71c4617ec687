/*
 * Passengers of a shared connection: a channel of ours on the descriptors of another process, which
 * learns from its control socket how it ends.
 *
 * A session in reserve, open already, lets the next passenger's requests leave at once: one round
 * trip instead of two.
 */
#include "ssh/mux_master.h"

#include <nacre/log.h>
#include <nacre/terminal.h>
#include <nacre/terminal_modes.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT(span) (int)(span).length, (const char *)(span).data

struct mux_passenger {
	struct channel channel;
	struct nacre_relay relay;
	struct mux_peer *peer; /* NULL: it is gone */
	uint32_t request;      /* its number for what it asked for */
	bool stdio;            /* a forwarding, no session */
	bool terminal, agent, subsystem;
	char *term, *command;
	struct nacre_buffer environment;
	int descriptors[NACRE_MUX_DESCRIPTORS]; /* as they came; -1: handed to the relay */
	size_t descriptor_count;
	int terminal_fd; /* to ask for its size; -1: none */
	struct termios settings;
	bool settings_known;
	enum expected_reply replies[2];
	size_t reply_count;
	/* What is typed, where an escape character means something. */
	struct escape escape;
	struct nacre_watch typing;
	struct nacre_buffer typed; /* filtered, not sent yet */
	int message_fd;            /* where escape sequences are answered */
};

static struct nacre_session *
session_of(const struct mux_passenger *passenger)
{
	return passenger->channel.connection->session;
}

static struct mux_passenger *
passenger_of(struct channel *channel)
{
	return (struct mux_passenger *)channel;
}

/* Descriptors --------------------------------------------------------------------------------- */

/* A description of our own that does not block, so that those who share the passenger's do not find
 * theirs changed. Sockets have no other way, and nobody else reads what is a socket here. */
static int
without_blocking(int fd, int access)
{
	char path[32];
	struct stat status;
	int own = -1;

	if (fstat(fd, &status) != 0 || S_ISREG(status.st_mode))
		return fd;
	if (S_ISSOCK(status.st_mode)) {
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		return fd;
	}
	if (S_ISFIFO(status.st_mode) || isatty(fd)) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		own = open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	if (own < 0)
		return fd;
	close(fd);
	return own;
}

static bool
same_socket(int a, int b)
{
	struct stat one, other;

	return fstat(a, &one) == 0 && fstat(b, &other) == 0 && S_ISSOCK(one.st_mode) &&
	       one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* Output goes to the relay, and input as well unless it is looked through for escape sequences. */
static void
join_descriptors(struct mux_passenger *passenger)
{
	int *const given = passenger->descriptors;
	const bool joined = passenger->descriptor_count == 2 && same_socket(given[0], given[1]);
	const int input = without_blocking(given[0], O_RDONLY);

	nacre_relay_init(&passenger->relay, connection_host(passenger->channel.connection),
	    passenger->channel.number);
	passenger->relay.is_session = !passenger->stdio;
	if (passenger->escape.character != NACRE_ESCAPE_NONE)
		passenger->typing.fd = input;
	else
		nacre_relay_add(&passenger->relay, 0, input, true, joined, NACRE_STREAM_DATA);
	if (joined)
		close(given[1]);
	else
		nacre_relay_add(&passenger->relay, 1, without_blocking(given[1], O_WRONLY), false,
		    true, NACRE_STREAM_DATA);
	if (passenger->descriptor_count > 2)
		nacre_relay_add(&passenger->relay, 2, without_blocking(given[2], O_WRONLY), false,
		    true, NACRE_STREAM_STDERR);
	passenger->descriptor_count = 0;
}

/* Typing -------------------------------------------------------------------------------------- */

static void
typing_over(struct mux_passenger *passenger)
{
	if (passenger->typing.fd < 0)
		return;
	nacre_watch_close(&passenger->typing);
	if (!passenger->relay.closing)
		nacre_channel_eof(session_of(passenger), passenger->channel.number);
}

static void
say(const struct mux_passenger *passenger, const char *text)
{
	dprintf(passenger->message_fd, "%c%s", passenger->escape.character, text);
}

static void
list_channels(const struct mux_passenger *passenger)
{
	struct nacre_buffer text = {0};

	say(passenger, "#\r\n");
	mux_report(passenger->channel.connection->master, nacre_span_of("channels"), &text);
	dprintf(passenger->message_fd, "%.*s", TEXT(nacre_buffer_span(&text)));
	nacre_buffer_free(&text);
}

static void
act_on_escape(struct mux_passenger *passenger, enum escape_action action)
{
	switch (action) {
	case ESCAPE_TERMINATE:
		say(passenger, ".\r\n");
		nacre_relay_close(&passenger->relay);
		nacre_watch_close(&passenger->typing);
		break;
	case ESCAPE_SUSPEND:
		say(passenger, "^Z [suspend not supported in multiplexed sessions]\r\n");
		break;
	case ESCAPE_LIST:
		list_channels(passenger);
		break;
	case ESCAPE_BREAK:
		say(passenger, "B\r\n");
		nacre_channel_request_break(
		    session_of(passenger), passenger->channel.number, false, 1000);
		break;
	case ESCAPE_REKEY:
		nacre_session_rekey(session_of(passenger));
		break;
	case ESCAPE_HELP:
		say(passenger, "?\r\nSupported escape sequences:\r\n");
		dprintf(passenger->message_fd,
		    " %c.   - end this session\r\n %c#   - list the connection's channels\r\n"
		    " %cB   - send a BREAK to the remote system\r\n %cR   - request rekey\r\n"
		    " %c?   - this message\r\n %c%c   - send the escape character\r\n",
		    passenger->escape.character, passenger->escape.character,
		    passenger->escape.character, passenger->escape.character,
		    passenger->escape.character, passenger->escape.character,
		    passenger->escape.character);
		break;
	case ESCAPE_BACKGROUND:
	case ESCAPE_COMMAND_LINE:
	case ESCAPE_LESS_VERBOSE:
	case ESCAPE_MORE_VERBOSE:
		dprintf(passenger->message_fd, "%c [not available to multiplexed sessions]\r\n",
		    passenger->escape.character);
		break;
	case ESCAPE_NONE:
		break;
	}
}

/* Sends what the filter let through, and waits for more input only when all of it left. */
static void
send_typed(struct mux_passenger *passenger)
{
	const struct nacre_span left = nacre_buffer_span(&passenger->typed);
	size_t room;

	if (passenger->relay.closing)
		return;
	nacre_buffer_consume(
	    &passenger->typed, nacre_channel_write(session_of(passenger), passenger->channel.number,
				   NACRE_STREAM_DATA, left));
	/* Asking for room when there is none has the event come that calls this again. */
	if (nacre_buffer_length(&passenger->typed) > 0 &&
	    nacre_channel_room(
		session_of(passenger), passenger->channel.number, NACRE_STREAM_DATA, &room) != NULL)
		nacre_channel_commit(session_of(passenger), passenger->channel.number, 0);
	nacre_watch_want(
	    &passenger->typing, nacre_buffer_length(&passenger->typed) == 0 ? NACRE_POLL_READ : 0);
}

static void
on_typing(struct nacre_watch *watch, unsigned what)
{
	struct mux_passenger *const passenger = watch->owner;
	uint8_t in[TYPED_MAX / 2], out[TYPED_MAX];
	ssize_t done = 0;

	(void)what;
	const ssize_t got = read(watch->fd, in, sizeof in);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0)
		typing_over(passenger);
	while (done < got && watch->fd >= 0) {
		size_t taken = 0, put = 0;
		const enum escape_action action = escape_filter(
		    &passenger->escape, in + done, (size_t)(got - done), &taken, out, &put);

		done += (ssize_t)taken;
		nacre_put_bytes(&passenger->typed, out, put);
		act_on_escape(passenger, action);
	}
	send_typed(passenger);
}

/* Starting ------------------------------------------------------------------------------------ */

static void
request_variables(const struct mux_passenger *passenger)
{
	const struct nacre_words *const own = &passenger->channel.connection->plan->config->set_env;
	struct nacre_reader reader = nacre_reader_of(nacre_buffer_span(&passenger->environment));

	for (size_t i = 0; i < own->count; i++)
		session_request_variable(
		    session_of(passenger), passenger->channel.number, own->words[i]);
	while (reader.length > 0) {
		char *const text = nacre_span_to_string(nacre_get_string(&reader));

		if (text != NULL)
			session_request_variable(
			    session_of(passenger), passenger->channel.number, text);
		free(text);
	}
}

static void
expect(struct mux_passenger *passenger, enum expected_reply reply)
{
	passenger->replies[passenger->reply_count++] = reply;
}

static void
request_terminal(struct mux_passenger *passenger)
{
	struct nacre_window_size size = {0};
	struct nacre_buffer modes = {0};

	if (passenger->terminal_fd >= 0)
		nacre_terminal_size(passenger->terminal_fd, &size);
	if (passenger->settings_known)
		nacre_terminal_modes_encode(&passenger->settings, &modes);
	else
		nacre_put_byte(&modes, 0);
	nacre_channel_request_pty(session_of(passenger), passenger->channel.number, true,
	    passenger->term, &size, nacre_buffer_span(&modes));
	nacre_buffer_free(&modes);
	expect(passenger, REPLY_PTY);
}

static void
request_start(struct mux_passenger *passenger)
{
	struct nacre_session *const session = session_of(passenger);
	const uint32_t number = passenger->channel.number;

	if (passenger->subsystem)
		nacre_channel_request_subsystem(session, number, true, passenger->command);
	else if (*passenger->command != '\0')
		nacre_channel_request_exec(session, number, true, passenger->command);
	else
		nacre_channel_request_shell(session, number, true);
	expect(passenger, REPLY_START);
}

static void
tell_opened(const struct mux_passenger *passenger)
{
	if (passenger->peer != NULL)
		mux_answer(
		    passenger->peer, &(struct nacre_mux_message){.kind = NACRE_MUX_SESSION_OPENED,
					 .id = passenger->request,
					 .value = passenger->channel.number});
}

/* The channel is open: its requests leave together, with the first input behind them. */
static void
start(struct mux_passenger *passenger)
{
	if (passenger->peer == NULL) {
		nacre_channel_close(session_of(passenger), passenger->channel.number);
		return;
	}
	if (passenger->agent &&
	    nacre_client_forward_agent_path(passenger->channel.connection->client) != NULL)
		nacre_channel_request_agent(
		    session_of(passenger), passenger->channel.number, false);
	if (passenger->terminal)
		request_terminal(passenger);
	if (!passenger->stdio) {
		request_variables(passenger);
		request_start(passenger);
	}
	tell_opened(passenger);
	join_descriptors(passenger);
	nacre_watch_want(&passenger->typing, NACRE_POLL_READ);
	/* The relay has no source then, and must not end the channel's input. */
	passenger->relay.eof_sent = passenger->typing.fd >= 0;
	nacre_relay_start(&passenger->relay);
}

/* Events of the channel ----------------------------------------------------------------------- */

static void
on_opened(struct channel *channel)
{
	start(passenger_of(channel));
}

static void
on_refused(struct channel *channel, const struct nacre_event *event)
{
	struct mux_passenger *const passenger = passenger_of(channel);

	channel_log_refusal(channel, event);
	if (passenger->peer == NULL)
		return;
	passenger->peer->passenger = NULL;
	mux_answer_text(
	    passenger->peer, passenger->request, NACRE_MUX_FAILURE, "Session open refused by peer");
}

static void
on_data(struct channel *channel, enum nacre_stream stream)
{
	nacre_relay_received(&passenger_of(channel)->relay, stream);
}

static void
on_room(struct channel *channel)
{
	struct mux_passenger *const passenger = passenger_of(channel);

	if (passenger->typing.fd >= 0)
		send_typed(passenger);
	else
		nacre_relay_writable(&passenger->relay);
}

static void
on_eof(struct channel *channel)
{
	nacre_relay_eof(&passenger_of(channel)->relay);
}

static void
tell_status(const struct mux_passenger *passenger, uint32_t status)
{
	if (passenger->peer != NULL)
		mux_answer(
		    passenger->peer, &(struct nacre_mux_message){.kind = NACRE_MUX_EXIT_MESSAGE,
					 .id = passenger->channel.number,
					 .value = status});
}

/* Nobody reads it at the other end. */
static void
stop_input(struct mux_passenger *passenger)
{
	typing_over(passenger);
	nacre_relay_end_sources(&passenger->relay);
}

static bool
on_request(struct channel *channel, const struct nacre_event *event)
{
	struct mux_passenger *const passenger = passenger_of(channel);
	const enum nacre_request_kind kind = event->u.channel_request.kind;

	if (kind == NACRE_REQUEST_EXIT_STATUS)
		tell_status(passenger, event->u.channel_request.exit_status);
	else if (kind == NACRE_REQUEST_EXIT_SIGNAL)
		tell_status(passenger, EXIT_OWN_ERROR);
	else if (kind == NACRE_REQUEST_EOW)
		stop_input(passenger);
	else
		return kind == NACRE_REQUEST_KEEPALIVE;
	return true;
}

static void
on_reply(struct channel *channel, bool success)
{
	struct mux_passenger *const passenger = passenger_of(channel);

	if (passenger->reply_count == 0)
		return;
	const enum expected_reply reply = passenger->replies[0];
	passenger->replies[0] = passenger->replies[1];
	passenger->reply_count--;
	if (success)
		return;
	if (reply == REPLY_PTY) {
		nacre_log(
		    NACRE_LOG_INFO, "PTY allocation request failed on channel %u", channel->number);
		if (passenger->peer != NULL)
			mux_answer(passenger->peer,
			    &(struct nacre_mux_message){
				.kind = NACRE_MUX_TTY_ALLOC_FAIL, .id = channel->number});
		return;
	}
	nacre_log(NACRE_LOG_ERROR, "%s request failed on channel %u",
	    passenger->subsystem          ? "subsystem"
	    : *passenger->command != '\0' ? "exec"
					  : "shell",
	    channel->number);
	nacre_relay_close(&passenger->relay);
}

static void
on_closed(struct channel *channel)
{
	struct mux_passenger *const passenger = passenger_of(channel);

	/* The server may have room for a session in reserve again. */
	channel->connection->master->spare_refused = false;
	nacre_relay_release(&passenger->relay);
	nacre_watch_close(&passenger->typing);
	if (passenger->peer != NULL)
		mux_peer_end(passenger->peer);
	passenger->peer = NULL;
}

static void
release(struct channel *channel)
{
	struct mux_passenger *const passenger = passenger_of(channel);

	nacre_relay_release(&passenger->relay);
	nacre_watch_close(&passenger->typing);
	for (size_t i = 0; i < passenger->descriptor_count; i++)
		close(passenger->descriptors[i]);
	if (passenger->terminal_fd >= 0)
		close(passenger->terminal_fd);
	if (passenger->message_fd >= 0)
		close(passenger->message_fd);
	if (passenger->peer != NULL)
		passenger->peer->passenger = NULL;
	nacre_buffer_free(&passenger->environment);
	nacre_buffer_free(&passenger->typed);
	free(passenger->term);
	free(passenger->command);
	free(passenger);
}

static const struct channel_kind session_kind = {
    .name = "client-session",
    .opened = on_opened,
    .refused = on_refused,
    .data = on_data,
    .room = on_room,
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
    .room = on_room,
    .eof = on_eof,
    .closed = on_closed,
    .release = release,
};

void
mux_session_abandon(struct mux_passenger *passenger)
{
	passenger->peer = NULL;
	nacre_watch_close(&passenger->typing);
	/* One that is not open yet is closed as soon as it is. */
	if (!passenger->channel.opening)
		nacre_relay_close(&passenger->relay);
}

void
mux_passenger_check_window(struct mux_passenger *passenger)
{
	struct nacre_window_size size;

	if (passenger->terminal && passenger->terminal_fd >= 0 && !passenger->channel.opening &&
	    !passenger->relay.closing && nacre_terminal_size(passenger->terminal_fd, &size) == 0)
		nacre_channel_request_window_change(
		    session_of(passenger), passenger->channel.number, &size);
}

/* A session in reserve ------------------------------------------------------------------------ */

static void
spare_gone(struct channel *channel)
{
	struct mux_master *const master = channel->connection->master;

	if (master->spare == channel)
		master->spare = NULL;
}

static void
spare_refused(struct channel *channel, const struct nacre_event *event)
{
	(void)event;
	/* Until a session ends there is no room for another one. */
	channel->connection->master->spare_refused = true;
	spare_gone(channel);
}

static void
spare_release(struct channel *channel)
{
	spare_gone(channel);
	free(channel);
}

static const struct channel_kind spare_kind = {
    .name = "client-session",
    .refused = spare_refused,
    .closed = spare_gone,
    .release = spare_release,
};

static void
add_spare(struct mux_master *master, uint32_t number, bool opening)
{
	struct channel *const channel = calloc(1, sizeof *channel);

	if (channel == NULL)
		nacre_fatal("out of memory");
	channel->idle = true;
	connection_add(master->connection, channel, &spare_kind, number, opening);
	master->spare = channel;
}

void
mux_spare_open(struct mux_master *master)
{
	uint32_t number;

	/* Others' servers may take a second session for an attack, or not know such a thing. */
	if (master->spare != NULL || master->spare_refused ||
	    !nacre_client_knows_openssh(master->connection->client))
		return;
	if (nacre_channel_open_session(master->connection->session, &number) == 0)
		add_spare(master, number, true);
}

void
mux_spare_adopt(struct mux_master *master, uint32_t number)
{
	add_spare(master, number, false);
}

/* The channel, and whether it is still to be opened. 0 or an error. */
static int
take_channel(struct mux_master *master, uint32_t *number, bool *opening)
{
	struct channel *const spare = master->spare;

	if (spare == NULL) {
		*opening = true;
		return nacre_channel_open_session(master->connection->session, number);
	}
	*number = spare->number;
	*opening = spare->opening;
	master->spare = NULL;
	spare->gone = master->connection->something_gone = true;
	return 0;
}

/* Requests ------------------------------------------------------------------------------------ */

static struct mux_passenger *
new_passenger(struct mux_peer *peer, const struct nacre_mux_message *message,
    const int *descriptors, size_t count)
{
	struct mux_passenger *const passenger = calloc(1, sizeof *passenger);

	if (passenger == NULL)
		nacre_fatal("out of memory");
	passenger->peer = peer;
	passenger->request = message->id;
	passenger->terminal_fd = passenger->message_fd = -1;
	passenger->escape = (struct escape){.character = NACRE_ESCAPE_NONE, .at_line_start = true};
	memcpy(passenger->descriptors, descriptors, count * sizeof *descriptors);
	passenger->descriptor_count = count;
	nacre_watch_init(&passenger->typing, connection_host(peer->master->connection)->poller, -1,
	    on_typing, passenger);
	return passenger;
}

static void
close_all(const int *descriptors, size_t count)
{
	for (size_t i = 0; i < count; i++)
		close(descriptors[i]);
}

static bool
may_board(struct mux_peer *peer, const struct nacre_mux_message *message, const int *descriptors,
    size_t count, const char *question)
{
	if (peer->passenger == NULL && mux_permitted(peer, message, question))
		return true;
	if (peer->passenger != NULL)
		mux_answer_text(
		    peer, message->id, NACRE_MUX_FAILURE, "Multiple sessions not supported");
	close_all(descriptors, count);
	return false;
}

/* The terminal is still as its user has it: raw mode comes after our answer. */
static void
look_at_terminal(struct mux_passenger *passenger, const struct nacre_mux_message *message)
{
	const int input = passenger->descriptors[0];

	passenger->terminal_fd = fcntl(input, F_DUPFD_CLOEXEC, 3);
	passenger->settings_known = tcgetattr(input, &passenger->settings) == 0;
	if (message->session.escape > 0xff)
		return;
	passenger->escape.character = (int)message->session.escape;
	passenger->message_fd = fcntl(passenger->descriptors[2], F_DUPFD_CLOEXEC, 3);
}

static void
board(
    struct mux_passenger *passenger, const struct channel_kind *kind, uint32_t number, bool opening)
{
	struct mux_peer *const peer = passenger->peer;

	peer->passenger = passenger;
	connection_add(peer->master->connection, &passenger->channel, kind, number, opening);
	if (!opening)
		start(passenger);
}

static bool
fill_session(struct mux_passenger *passenger, const struct nacre_mux_message *message)
{
	passenger->terminal = message->session.terminal;
	passenger->agent = message->session.agent;
	passenger->subsystem = message->session.subsystem;
	passenger->term = nacre_span_to_string(message->session.term);
	passenger->command = nacre_span_to_string(message->session.command);
	nacre_put_span(&passenger->environment, message->rest);
	if (passenger->terminal)
		look_at_terminal(passenger, message);
	return passenger->term != NULL && passenger->command != NULL &&
	       !passenger->environment.failed;
}

static void
refuse(struct mux_passenger *passenger, const char *why)
{
	mux_answer_text(passenger->peer, passenger->request, NACRE_MUX_FAILURE, why);
	passenger->peer = NULL;
	release(&passenger->channel);
}

void
mux_session_new(
    struct mux_peer *peer, const struct nacre_mux_message *message, const int *descriptors)
{
	uint32_t number;
	bool opening;

	if (!may_board(peer, message, descriptors, 3, "Allow shared connection to %s? "))
		return;
	struct mux_passenger *const passenger = new_passenger(peer, message, descriptors, 3);
	if (!fill_session(passenger, message)) {
		refuse(passenger, "bad session request");
		return;
	}
	if (take_channel(peer->master, &number, &opening) != 0) {
		refuse(passenger, "no more channels");
		return;
	}
	nacre_log(NACRE_LOG_DEBUG1, "channel %u: session of a multiplexing client", number);
	board(passenger, &session_kind, number, opening);
}

void
mux_session_stdio(
    struct mux_peer *peer, const struct nacre_mux_message *message, const int *descriptors)
{
	uint32_t number;

	if (!may_board(peer, message, descriptors, 2, "Allow forward to remote host via %s? "))
		return;
	struct mux_passenger *const passenger = new_passenger(peer, message, descriptors, 2);
	char *const host = nacre_span_to_string(message->forward.connect_host);
	passenger->stdio = true;
	if (host == NULL || message->forward.connect_port > UINT16_MAX ||
	    nacre_channel_open_direct_tcpip(peer->master->connection->session, host,
		(uint16_t)message->forward.connect_port, "127.0.0.1", 65535, &number) != 0)
		refuse(passenger, "bad forwarding");
	else
		board(passenger, &stdio_kind, number, true);
	free(host);
}
