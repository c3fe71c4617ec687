/* What escape sequences do. */
#include "ssh/connection.h"

#include <nacre/log.h>
#include <nacre/terminal.h>

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void
suspend(struct session_channel *own)
{
	nacre_terminal_restore();
	dprintf(STDERR_FILENO, "%c^Z [suspend ssh]\r\n", own->escape.character);
	kill(getpid(), SIGTSTP);
	session_enter_raw(own);
	connection_check_window_size();
}

static void
change_verbosity(const struct session_channel *own, char sign, int step)
{
	const int level = (int)nacre_log_level_get() + step;

	if (level >= NACRE_LOG_QUIET && level <= NACRE_LOG_DEBUG3)
		nacre_log_level_set((enum nacre_log_level)level);
	dprintf(STDERR_FILENO, "%c%c [LogLevel %s]\r\n", own->escape.character, sign,
	    nacre_log_level_name(nacre_log_level_get()));
}

/* The name with what ssh(1) has always shown behind it: the state of the channel (3: opening, 4:
 * open), its type, the server's number, whether input and output are open (0) or closed (3) and what
 * waits, and descriptors. */
static void
list_channel(const struct channel *channel)
{
	struct nacre_session *const session = channel->connection->session;
	const char *const name =
	    channel->description != NULL ? channel->description : channel->kind->name;
	const char *const type =
	    channel->kind->timeout_type != NULL ? channel->kind->timeout_type : channel->kind->name;
	const bool input_over = nacre_channel_at_eof(session, channel->number, false);
	const bool output_over = nacre_channel_at_eof(session, channel->number, true);
	uint32_t peer = 0;

	nacre_channel_peer_number(session, channel->number, &peer);
	dprintf(STDERR_FILENO, "  #%u %s (t%d [%s] r%u i%d/0 o%d/%zu)\r\n", channel->number, name,
	    channel->opening ? 3 : 4, type, peer, input_over ? 3 : 0, output_over ? 3 : 0,
	    nacre_channel_data(session, channel->number, NACRE_STREAM_DATA).length);
}

/* The oldest first. */
static void
list_from(const struct channel *channel)
{
	if (channel == NULL)
		return;
	list_from(channel->next);
	if (!channel->gone)
		list_channel(channel);
}

static void
list_connections(struct session_channel *own)
{
	dprintf(
	    STDERR_FILENO, "%c#\r\nThe following connections are open:\r\n", own->escape.character);
	list_from(own->channel.connection->channels);
}

/* The remote shell is told that nothing more will be typed; the process stays for the connections. */
static void
background(struct session_channel *own)
{
	static const uint8_t end_of_file[] = {4};
	const struct nacre_span typed = {end_of_file, sizeof end_of_file};

	nacre_terminal_restore();
	dprintf(STDERR_FILENO, "%c& [backgrounded]\r\n", own->escape.character);
	go_to_background(own->channel.connection->client);
	own->raw = false;
	own->input_over = true;
	nacre_channel_write(
	    own->channel.connection->session, own->channel.number, NACRE_STREAM_DATA, typed);
}

static void
command_line(struct session_channel *own)
{
	struct connection *const connection = own->channel.connection;

	if (!connection->plan->config->enable_escape_commandline) {
		dprintf(STDERR_FILENO, "commandline disabled\r\n");
		return;
	}
	nacre_terminal_restore();
	escape_command_line(connection);
	session_enter_raw(own);
}

static void
terminate(struct session_channel *own)
{
	dprintf(STDERR_FILENO, "%c.\r\n", own->escape.character);
	connection_finish(own->channel.connection, EXIT_OWN_ERROR);
	own->channel.connection->status = EXIT_OWN_ERROR;
}

static void
send_break(struct session_channel *own)
{
	dprintf(STDERR_FILENO, "%cB\r\n", own->escape.character);
	if (nacre_channel_request_break(
		own->channel.connection->session, own->channel.number, true, 1000) == 0)
		session_expect_reply(own, REPLY_BREAK);
}

static void
rekey(struct session_channel *own)
{
	nacre_session_rekey(own->channel.connection->session);
}

static void
less_verbose(struct session_channel *own)
{
	change_verbosity(own, 'V', -1);
}

static void
more_verbose(struct session_channel *own)
{
	change_verbosity(own, 'v', 1);
}

static void
print_help(struct session_channel *own)
{
	escape_print_help(&own->escape);
}

static void (*const actions[])(struct session_channel *own) = {
    [ESCAPE_TERMINATE] = terminate,
    [ESCAPE_SUSPEND] = suspend,
    [ESCAPE_LIST] = list_connections,
    [ESCAPE_BACKGROUND] = background,
    [ESCAPE_HELP] = print_help,
    [ESCAPE_BREAK] = send_break,
    [ESCAPE_REKEY] = rekey,
    [ESCAPE_LESS_VERBOSE] = less_verbose,
    [ESCAPE_MORE_VERBOSE] = more_verbose,
    [ESCAPE_COMMAND_LINE] = command_line,
};

void
session_escape(struct session_channel *own, enum escape_action action)
{
	if (actions[action] != NULL)
		actions[action](own);
}
