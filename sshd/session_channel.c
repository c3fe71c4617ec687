/* Requests in a session channel (RFC 4254 section 6), and the end of its program. */
#include "user_session.h"

#include <nacre/log.h>
#include <nacre/pattern.h>
#include <nacre/terminal_modes.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define ENVIRONMENT_MOST 128
#define VALUE_MOST       ((size_t)32 * 1024)

/* RFC 4254 section 6.9 and 6.10. */
static const struct {
	const char *name;
	int number;
} signal_names[] = {
    {"ABRT", SIGABRT},
    {"ALRM", SIGALRM},
    {"FPE", SIGFPE},
    {"HUP", SIGHUP},
    {"ILL", SIGILL},
    {"INT", SIGINT},
    {"KILL", SIGKILL},
    {"PIPE", SIGPIPE},
    {"QUIT", SIGQUIT},
    {"SEGV", SIGSEGV},
    {"TERM", SIGTERM},
    {"USR1", SIGUSR1},
    {"USR2", SIGUSR2},
    {"INFO@openssh.com", SIGUSR1},
};

static bool
request_pty(struct channel *channel, const struct nacre_event *event)
{
	const struct nacre_span modes = event->u.channel_request.pty.modes;
	struct endpoint *endpoint = &channel->endpoints[0];
	struct termios settings;

	if (!channel->user->permit_pty || channel->has_terminal || channel->started) {
		nacre_log(NACRE_LOG_DEBUG1, "Allocating a pty not permitted for this connection.");
		return false;
	}
	if (!terminal_request(channel))
		return false;
	channel->term = nacre_span_to_string(event->u.channel_request.pty.term);
	if (tcgetattr(channel->terminal, &settings) == 0) {
		(void)nacre_terminal_modes_apply(modes, &settings);
		tcsetattr(channel->terminal, TCSANOW, &settings);
	}
	nacre_pty_set_size(endpoint->fd, &event->u.channel_request.pty.size);
	title_set(
	    "%s@%s", channel->user->login->account.name, channel->terminal_name + strlen("/dev/"));
	return true;
}

static bool
accepted(const struct nacre_sshd_config *config, struct nacre_span name)
{
	for (size_t i = 0; i < config->accept_env.count; i++)
		if (nacre_pattern_match(name, nacre_span_of(config->accept_env.words[i])))
			return true;
	return false;
}

static bool
request_env(struct channel *channel, const struct nacre_event *event)
{
	struct nacre_span name_span = event->u.channel_request.env.name;
	struct nacre_span value_span = event->u.channel_request.env.value;

	if (!accepted(channel->user->config, name_span) || value_span.length > VALUE_MOST ||
	    channel->environment.count >= ENVIRONMENT_MOST)
		return false;
	char *name = nacre_span_to_string(name_span), *value = nacre_span_to_string(value_span);
	bool good = name != NULL && value != NULL && name[0] != '\0' && strchr(name, '=') == NULL;
	if (good)
		environment_put(&channel->environment, name, value);
	free(name);
	free(value);
	return good;
}

static bool
request_shell(struct channel *channel, const struct nacre_event *event)
{
	(void)event;
	return program_start(channel, NULL, NULL);
}

static bool
request_exec(struct channel *channel, const struct nacre_event *event)
{
	char *command = nacre_span_to_string(event->u.channel_request.text);
	/* An empty command is a shell, as OpenSSH has it. */
	bool good =
	    command != NULL && program_start(channel, command[0] != '\0' ? command : NULL, NULL);

	free(command);
	return good;
}

static bool
request_subsystem(struct channel *channel, const struct nacre_event *event)
{
	struct nacre_span name = event->u.channel_request.text;
	const char *command = nacre_sshd_config_subsystem(channel->user->config, name);
	const char *user = channel->user->login->account.name;

	if (command == NULL) {
		nacre_log(NACRE_LOG_INFO,
		    "subsystem request for %.*s by user %s failed, subsystem not found",
		    (int)(name.length < 100 ? name.length : 100), (const char *)name.data, user);
		return false;
	}
	nacre_log(NACRE_LOG_DEBUG1, "subsystem request for %.*s by user %s", (int)name.length,
	    (const char *)name.data, user);
	char *text = nacre_span_to_string(name);
	bool good = text != NULL && program_start(channel, command, text);
	free(text);
	return good;
}

static bool
request_window_change(struct channel *channel, const struct nacre_event *event)
{
	return channel->has_terminal && channel->endpoints[0].fd >= 0 &&
	       nacre_pty_set_size(channel->endpoints[0].fd, &event->u.channel_request.window) == 0;
}

static bool
request_signal(struct channel *channel, const struct nacre_event *event)
{
	if (channel->child <= 0)
		return false;
	for (size_t i = 0; i < MEMBERS(signal_names); i++)
		if (nacre_span_equals(event->u.channel_request.text, signal_names[i].name))
			return kill(-channel->child, signal_names[i].number) == 0;
	return false;
}

static bool
request_break(struct channel *channel, const struct nacre_event *event)
{
	(void)event;
	return channel->has_terminal && channel->endpoints[0].fd >= 0 &&
	       tcsendbreak(channel->endpoints[0].fd, 0) == 0;
}

static bool
request_agent(struct channel *channel, const struct nacre_event *event)
{
	(void)event;
	return agent_listen(channel->user);
}

/* The peer reads no more: the program's output has nowhere to go. */
static bool
request_eow(struct channel *channel, const struct nacre_event *event)
{
	struct endpoint *endpoint = &channel->endpoints[1];

	(void)event;
	if (!endpoint->source)
		return false;
	endpoint_close(channel->user, endpoint);
	channel_settle(channel);
	return true;
}

static bool (*const requests[])(struct channel *, const struct nacre_event *) = {
    [NACRE_REQUEST_PTY] = request_pty,
    [NACRE_REQUEST_X11] = x11_request,
    [NACRE_REQUEST_ENV] = request_env,
    [NACRE_REQUEST_SHELL] = request_shell,
    [NACRE_REQUEST_EXEC] = request_exec,
    [NACRE_REQUEST_SUBSYSTEM] = request_subsystem,
    [NACRE_REQUEST_WINDOW_CHANGE] = request_window_change,
    [NACRE_REQUEST_SIGNAL] = request_signal,
    [NACRE_REQUEST_BREAK] = request_break,
    [NACRE_REQUEST_AGENT] = request_agent,
    [NACRE_REQUEST_EOW] = request_eow,
};

bool
session_request(struct channel *channel, const struct nacre_event *event)
{
	size_t kind = event->u.channel_request.kind;

	return kind < MEMBERS(requests) && requests[kind] != NULL && !channel->gone &&
	       requests[kind](channel, event);
}

static const char *
signal_name(int number)
{
	for (size_t i = 0; i < MEMBERS(signal_names); i++)
		if (signal_names[i].number == number)
			return signal_names[i].name;
	return "SIG@openssh.com";
}

static void
log_end(const struct channel *channel, int status)
{
	const struct login *login = channel->user->login;
	const struct nacre_log_field fields[] = {
	    nacre_field_number("channel", channel->number),
	    WIFEXITED(status) ? nacre_field_number("exit_status", (uint64_t)WEXITSTATUS(status))
			      : nacre_field_text("exit_status", NULL),
	    nacre_field_text(
		"exit_signal", WIFSIGNALED(status) ? signal_name(WTERMSIG(status)) : NULL),
	};

	nacre_log_event(NACRE_LOG_VERBOSE, "session_end", fields, MEMBERS(fields),
	    "Close session: user %s from %.200s port %d id %u", login->account.name,
	    login->peer.address, login->peer.port, channel->number);
}

void
session_child_ended(struct channel *channel, int status)
{
	struct nacre_session *session = channel->user->session;

	channel->child = -1;
	terminal_release(channel);
	if (WIFEXITED(status))
		nacre_channel_request_exit_status(
		    session, channel->number, (uint32_t)WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		nacre_channel_request_exit_signal(
		    session, channel->number, signal_name(WTERMSIG(status)), WCOREDUMP(status), "");
	log_end(channel, status);
	/* Nobody is left to read standard input. */
	if (!channel->has_terminal && channel->endpoints[0].sink) {
		nacre_channel_discard(session, channel->number);
		endpoint_close(channel->user, &channel->endpoints[0]);
	}
	channel_settle(channel);
}
