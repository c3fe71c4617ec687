/* What a session asks for when it begins: a terminal, variables, and what is to run. */
#include "ssh/ssh.h"
#include "ssh/x11.h"

#include <nacre/log.h>
#include <nacre/pattern.h>
#include <nacre/terminal.h>
#include <nacre/terminal_modes.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

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

void
session_request_variable(struct nacre_session *session, uint32_t channel, const char *text)
{
	request_variable(session, channel, text, NULL);
}

static void
request_environment(
    struct nacre_session *session, uint32_t channel, const struct nacre_ssh_config *config)
{
	if (config->send_env.count > 0)
		for (char **variable = environ; *variable != NULL; variable++)
			request_variable(session, channel, *variable, &config->send_env);
	for (size_t i = 0; i < config->set_env.count; i++)
		session_request_variable(session, channel, config->set_env.words[i]);
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

	if (plan->x11 != NULL)
		x11_request(plan->x11, session, channel);
	if (nacre_client_forward_agent_path(client) != NULL) {
		nacre_log(NACRE_LOG_DEBUG1, "Requesting authentication agent forwarding.");
		nacre_channel_request_agent(session, channel, false);
	}
	if (plan->terminal)
		request_terminal(session, channel);
	request_environment(session, channel, plan->config);
	request_start(session, channel, plan);
}
