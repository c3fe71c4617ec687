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
change_verbosity(int step)
{
	const int level = (int)nacre_log_level_get() + step;

	if (level >= NACRE_LOG_QUIET && level <= NACRE_LOG_DEBUG3)
		nacre_log_level_set((enum nacre_log_level)level);
	dprintf(STDERR_FILENO, "[LogLevel %s]\r\n", nacre_log_level_name(nacre_log_level_get()));
}

static void
list_connections(const struct session_channel *own)
{
	dprintf(
	    STDERR_FILENO, "%c#\r\nThe following connections are open:\r\n", own->escape.character);
	for (const struct channel *at = own->channel.connection->channels; at != NULL;
	     at = at->next)
		if (!at->gone)
			dprintf(STDERR_FILENO, "  #%u %s\r\n", at->number,
			    at->description != NULL ? at->description : at->kind->name);
}

void
session_escape(struct session_channel *own, enum escape_action action)
{
	switch (action) {
	case ESCAPE_NONE:
		break;
	case ESCAPE_TERMINATE:
		dprintf(STDERR_FILENO, "%c.\r\n", own->escape.character);
		connection_finish(own->channel.connection, EXIT_OWN_ERROR);
		own->channel.connection->status = EXIT_OWN_ERROR;
		break;
	case ESCAPE_SUSPEND:
		suspend(own);
		break;
	case ESCAPE_LIST:
		list_connections(own);
		break;
	case ESCAPE_HELP:
		escape_print_help(&own->escape);
		break;
	case ESCAPE_BREAK:
		dprintf(STDERR_FILENO, "%cB\r\n", own->escape.character);
		if (nacre_channel_request_break(
			own->channel.connection->session, own->channel.number, true, 1000) == 0)
			session_expect_reply(own, REPLY_BREAK);
		break;
	case ESCAPE_REKEY:
		nacre_session_rekey(own->channel.connection->session);
		break;
	case ESCAPE_LESS_VERBOSE:
		change_verbosity(-1);
		break;
	case ESCAPE_MORE_VERBOSE:
		change_verbosity(1);
		break;
	case ESCAPE_COMMAND_LINE:
		dprintf(STDERR_FILENO, "%cC\r\ncommandline disabled\r\n", own->escape.character);
		break;
	}
}
