/* The command line that ~C opens: forwardings are added and taken away. */
#include "ssh/forward.h"

#include <nacre/log.h>
#include <nacre/prompt.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "Commands:\r\n"
    "      -L[bind_address:]port:host:hostport    Request local forward\r\n"
    "      -R[bind_address:]port:host:hostport    Request remote forward\r\n"
    "      -D[bind_address:]port                  Request dynamic forward\r\n"
    "      -KL[bind_address:]port                 Cancel local forward\r\n"
    "      -KR[bind_address:]port                 Cancel remote forward\r\n"
    "      -KD[bind_address:]port                 Cancel dynamic forward\r\n";
static const char help_local[] =
    "      !args                                  Execute local command\r\n";

static void
say(const char *text)
{
	dprintf(STDERR_FILENO, "%s\r\n", text);
}

static void
on_remote(struct connection *connection, void *context, const struct nacre_forward *forward,
    bool success, unsigned port)
{
	(void)connection;
	(void)context;
	(void)port;
	if (success)
		return;
	if (forward->listen.path != NULL)
		nacre_log(NACRE_LOG_INFO,
		    "Warning: remote port forwarding failed for listen path %s",
		    forward->listen.path);
	else
		nacre_log(NACRE_LOG_INFO,
		    "Warning: remote port forwarding failed for listen port %d",
		    forward->listen.port);
}

static void
add(struct connection *connection, char kind, const char *specification)
{
	struct nacre_forward forward;

	if (nacre_forward_parse(specification, kind == 'D', kind == 'R', &forward) != 0) {
		say(kind == 'D'   ? "Bad dynamic forwarding specification."
		    : kind == 'R' ? "Bad remote forwarding specification."
				  : "Bad local forwarding specification.");
		return;
	}
	const bool good = kind == 'R' ? forward_request(connection, &forward, on_remote, NULL)
				      : forward_listen(connection, &forward);
	say(good ? "Forwarding port." : "Port forwarding failed.");
	nacre_forward_free(&forward);
}

/* "[bind_address:]port" or a path. */
static void
take_away(struct connection *connection, char kind, const char *specification)
{
	struct nacre_forward place;
	bool found;

	if (nacre_forward_parse(specification, true, true, &place) != 0) {
		say("Bad forwarding close specification.");
		return;
	}
	if (kind == 'R')
		found = forward_request_cancel(connection, &place.listen);
	else
		found = forward_listen_cancel(connection, &place.listen, kind == 'D');
	say(found ? "Canceled forwarding." : "Unknown port forwarding.");
	nacre_forward_free(&place);
}

static const char *
skip_blanks(const char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

static void
run_local(const struct connection *connection, const char *command)
{
	if (!connection->plan->config->permit_local_command)
		say("Invalid command.");
	else if (system(*command != '\0' ? command : "exec ${SHELL:-/bin/sh}") == -1)
		say("The command cannot be run.");
}

static void
act(struct connection *connection, const char *line)
{
	if (*line == '!') {
		run_local(connection, skip_blanks(line + 1));
		return;
	}
	if (*line == '-')
		line++;
	if (*line == 'h' || *line == 'H' || *line == '?') {
		dprintf(STDERR_FILENO, "%s%s", help,
		    connection->plan->config->permit_local_command ? help_local : "");
		return;
	}
	const bool away = *line == 'K';
	const char kind = away ? line[1] : *line;
	if (kind == '\0' || strchr("LRD", kind) == NULL) {
		say("Invalid command.");
		return;
	}
	const char *const specification = skip_blanks(line + (away ? 2 : 1));
	if (away)
		take_away(connection, kind, specification);
	else
		add(connection, kind, specification);
}

void
escape_command_line(struct connection *connection)
{
	struct nacre_buffer answer = {0};
	char *line = NULL;

	if (nacre_prompt("\r\nssh> ", NACRE_PROMPT_ECHO, &answer) == 0)
		line = nacre_span_to_string(nacre_buffer_span(&answer));
	nacre_buffer_free(&answer);
	const char *const command = line != NULL ? skip_blanks(line) : "";
	if (*command != '\0')
		act(connection, command);
	free(line);
}
