/* What ssh -O asks a master for, in the words of ssh(1). */
#include "ssh/mux.h"

#include <nacre/log.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_OWN_ERROR 255
#define TEXT(span)     (int)(span).length, (const char *)(span).data

static const struct {
	const char *name;
	enum mux_command command;
} names[] = {
    {"check", MUX_COMMAND_CHECK},
    {"conninfo", MUX_COMMAND_CONNECTION},
    {"channels", MUX_COMMAND_CHANNELS},
    {"forward", MUX_COMMAND_FORWARD},
    {"cancel", MUX_COMMAND_CANCEL},
    {"exit", MUX_COMMAND_EXIT},
    {"stop", MUX_COMMAND_STOP},
};

enum mux_command
mux_command_read(const char *name)
{
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(names[i].name, name) == 0)
			return names[i].command;
	if (strcmp(name, "proxy") == 0)
		nacre_fatal("Multiplex command \"proxy\" is not supported by this version of "
			    "Nacre: share the connection without it (ssh -S)");
	return MUX_COMMAND_NONE;
}

static int
lost(const struct mux_client *client)
{
	nacre_log(NACRE_LOG_ERROR, "The master at %s hung up", client->path);
	return EXIT_OWN_ERROR;
}

/* Sends a request that has no descriptors. 0, or an error that was logged. */
static int
put_question(struct mux_client *client, struct nacre_mux_message *request)
{
	request->id = client->next_id++;
	nacre_mux_put(&client->output, request);
	mux_client_send(client, NULL, 0);
	return mux_client_greeted(client);
}

static int
ask(struct mux_client *client, struct nacre_mux_message *request, struct nacre_mux_message *answer)
{
	const int error = put_question(client, request);

	return error != 0 ? error : mux_client_answer(client, request->id, answer);
}

/* Forwardings --------------------------------------------------------------------------------- */

static void
put_endpoint(const struct nacre_endpoint *end, struct nacre_span *host, uint32_t *port)
{
	const char *const text = end->path != NULL ? end->path : end->host;

	*host = nacre_span_of(text != NULL ? text : "");
	*port = end->path != NULL ? NACRE_MUX_PORT_PATH : (uint32_t)end->port;
}

static void
compose(const struct nacre_forward *forward, bool remote, bool cancel,
    struct nacre_mux_message *message)
{
	*message = (struct nacre_mux_message){
	    .kind = cancel ? NACRE_MUX_CLOSE_FORWARD : NACRE_MUX_OPEN_FORWARD,
	    .forward.direction = remote             ? NACRE_MUX_FORWARD_REMOTE
				 : forward->dynamic ? NACRE_MUX_FORWARD_DYNAMIC
						    : NACRE_MUX_FORWARD_LOCAL,
	};
	put_endpoint(
	    &forward->listen, &message->forward.listen_host, &message->forward.listen_port);
	if (forward->dynamic)
		message->forward.connect_host = nacre_span_of("socks");
	else
		put_endpoint(&forward->connect, &message->forward.connect_host,
		    &message->forward.connect_port);
}

static void
tell_port(const struct mux_client *client, const struct nacre_forward *forward, uint32_t port)
{
	if (client->command == MUX_COMMAND_FORWARD)
		printf("%u\n", port);
	else if (forward->connect.host != NULL)
		nacre_log(NACRE_LOG_INFO, "Allocated port %u for remote forward to %s:%d", port,
		    forward->connect.host, forward->connect.port);
	else
		nacre_log(NACRE_LOG_INFO, "Allocated port %u for remote forward to %s", port,
		    forward->connect.path != NULL ? forward->connect.path : "socks");
}

static int
request_forward(
    struct mux_client *client, const struct nacre_forward *forward, bool remote, bool cancel)
{
	struct nacre_mux_message request, answer;

	compose(forward, remote, cancel, &request);
	const int error = ask(client, &request, &answer);
	if (error != 0)
		return error;
	if (answer.kind == NACRE_MUX_OK)
		return 0;
	if (answer.kind == NACRE_MUX_REMOTE_PORT && !cancel) {
		tell_port(client, forward, answer.value);
		return 0;
	}
	if (answer.kind == NACRE_MUX_PERMISSION_DENIED)
		nacre_log(
		    NACRE_LOG_ERROR, "Master refused forwarding request: %.*s", TEXT(answer.text));
	else
		nacre_log(NACRE_LOG_ERROR, "mux_client_forward: forwarding request failed: %.*s",
		    TEXT(answer.text));
	return NACRE_ERROR_REFUSED;
}

static int
request_forwards(
    struct mux_client *client, const struct nacre_forwards *list, bool remote, bool cancel)
{
	int error = 0;

	for (size_t i = 0; i < list->count; i++)
		if (request_forward(client, &list->forwards[i], remote, cancel) != 0)
			error = NACRE_ERROR_REFUSED;
	return error;
}

int
mux_control_forwards(struct mux_client *client, bool cancel)
{
	const struct nacre_ssh_config *const config = client->plan->config;

	if (config->clear_all_forwardings)
		return 0;
	const int local = request_forwards(client, &config->local_forward, false, cancel);
	const int remote = request_forwards(client, &config->remote_forward, true, cancel);

	if (local == 0 && remote == 0)
		return 0;
	nacre_log(
	    NACRE_LOG_ERROR, "muxclient: master %sforward request failed", cancel ? "cancel " : "");
	return NACRE_ERROR_REFUSED;
}

static int
forward(struct mux_client *client)
{
	return mux_control_forwards(client, false) == 0 ? EXIT_SUCCESS : EXIT_OWN_ERROR;
}

/* What is not there to be cancelled is told, and no failure: as ssh(1) has it. */
static int
cancel(struct mux_client *client)
{
	mux_control_forwards(client, true);
	return EXIT_SUCCESS;
}

/* The others ---------------------------------------------------------------------------------- */

static int
check(struct mux_client *client)
{
	struct nacre_mux_message request = {.kind = NACRE_MUX_ALIVE_CHECK}, answer;

	if (ask(client, &request, &answer) != 0)
		return EXIT_OWN_ERROR;
	if (answer.kind != NACRE_MUX_ALIVE)
		nacre_fatal("mux_client: master alive check failed");
	fprintf(stderr, "Master running (pid=%u)\r\n", answer.value);
	return EXIT_SUCCESS;
}

static int
order(struct mux_client *client, uint32_t kind, const char *what, const char *done)
{
	struct nacre_mux_message request = {.kind = kind}, answer = {.kind = NACRE_MUX_OK};
	const int error = put_question(client, &request);

	/* The master may be gone before it has answered. */
	if (error == 0 && mux_client_next(client, &answer) != 0 && kind != NACRE_MUX_TERMINATE)
		return lost(client);
	if (error != 0)
		return EXIT_OWN_ERROR;
	if (answer.kind == NACRE_MUX_PERMISSION_DENIED)
		nacre_fatal("Master refused %s request: %.*s", what, TEXT(answer.text));
	if (answer.kind != NACRE_MUX_OK)
		nacre_fatal("mux_client: %s request failed: %.*s", what, TEXT(answer.text));
	fprintf(stderr, "%s request sent.\r\n", done);
	return EXIT_SUCCESS;
}

static int
leave(struct mux_client *client)
{
	return order(client, NACRE_MUX_TERMINATE, "termination", "Exit");
}

static int
stop(struct mux_client *client)
{
	return order(client, NACRE_MUX_STOP_LISTENING, "stop listening", "Stop listening");
}

static int
report(struct mux_client *client, const char *what)
{
	struct nacre_mux_message request = {.kind = NACRE_MUX_INFO, .text = nacre_span_of(what)};
	struct nacre_mux_message answer;

	mux_client_send(client, NULL, 0);
	if (mux_client_greeted(client) != 0)
		return EXIT_OWN_ERROR;
	if (!client->tells)
		nacre_fatal("mux server does not support info request");
	if (ask(client, &request, &answer) != 0)
		return EXIT_OWN_ERROR;
	if (answer.kind != NACRE_MUX_INFO_REPLY || answer.value != 1)
		nacre_fatal("mux_client: info request failed: %.*s", TEXT(answer.text));
	fwrite(answer.text.data, 1, answer.text.length, stdout);
	return EXIT_SUCCESS;
}

static int
report_connection(struct mux_client *client)
{
	return report(client, "connection");
}

static int
report_channels(struct mux_client *client)
{
	return report(client, "channels");
}

static int (*const commands[])(struct mux_client *) = {
    [MUX_COMMAND_CHECK] = check,
    [MUX_COMMAND_CONNECTION] = report_connection,
    [MUX_COMMAND_CHANNELS] = report_channels,
    [MUX_COMMAND_FORWARD] = forward,
    [MUX_COMMAND_CANCEL] = cancel,
    [MUX_COMMAND_EXIT] = leave,
    [MUX_COMMAND_STOP] = stop,
};

int
mux_control(struct mux_client *client)
{
	return commands[client->command](client);
}
