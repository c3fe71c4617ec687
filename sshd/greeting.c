/* What a user reads before the program that was asked for: messages of the login, the last login,
 * the message of the day; or why there is no session. */
#include "user_session.h"

#include <nacre/log.h>
#include <nacre/process.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES ((size_t)32 * 1024)

void
greeting_say(struct channel *channel, struct nacre_span text, enum nacre_stream stream)
{
	struct nacre_buffer shown = {0};

	/* The line ends of a terminal, which has one stream. */
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] == '\n' && channel->has_terminal)
			nacre_put_byte(&shown, '\r');
		nacre_put_byte(&shown, text.data[i]);
	}
	nacre_channel_write(channel->user->session, channel->number,
	    channel->has_terminal ? NACRE_STREAM_DATA : stream, nacre_buffer_span(&shown));
	nacre_buffer_free(&shown);
}

static bool
show_file(struct channel *channel, const char *path)
{
	struct nacre_buffer text = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return false;
	(void)nacre_process_read_file(fd, FILE_BYTES, &text);
	close(fd);
	greeting_say(channel, nacre_buffer_span(&text), NACRE_STREAM_STDERR);
	nacre_buffer_free(&text);
	return true;
}

static bool
is_hushed(const struct login *login)
{
	char path[4096];
	struct stat status;

	snprintf(path, sizeof path, "%s/.hushlogin", login->account.home);
	return stat(path, &status) == 0;
}

void
greeting_show(struct channel *channel)
{
	const struct login *login = channel->user->login;
	struct nacre_buffer last = {0};
	bool hushed = channel->has_terminal && is_hushed(login);

	if (!hushed)
		greeting_say(channel, nacre_buffer_span(&login->messages), NACRE_STREAM_DATA);
	if (!channel->has_terminal)
		return;
	terminal_record(channel, &last);
	if (!hushed && login->config->print_last_log && nacre_buffer_length(&last) > 0) {
		nacre_put_byte(&last, '\n');
		greeting_say(channel, nacre_buffer_span(&last), NACRE_STREAM_DATA);
	}
	nacre_buffer_free(&last);
	if (!hushed && login->config->print_motd)
		(void)show_file(channel, "/etc/motd");
}

bool
greeting_refuses(struct channel *channel)
{
	const struct login *login = channel->user->login;

	if (login->session_refused) {
		greeting_say(channel, nacre_buffer_span(&login->messages), NACRE_STREAM_DATA);
		return true;
	}
	/* With PAM a module says so. */
	if (login->config->use_pam || login->account.uid == 0 ||
	    (!show_file(channel, "/etc/nologin") && !show_file(channel, "/run/nologin")))
		return false;
	nacre_log(NACRE_LOG_INFO, "User %.100s not allowed because /etc/nologin exists",
	    login->account.name);
	return true;
}

bool
greeting_asks_for_password(struct channel *channel)
{
	greeting_say(
	    channel, nacre_span_of("WARNING: Your password has expired.\n"), NACRE_STREAM_STDERR);
	greeting_say(channel,
	    nacre_span_of(channel->has_terminal
			      ? "You must change your password now and login again!\n"
			      : "Password change required but no TTY available.\n"),
	    NACRE_STREAM_STDERR);
	return channel->has_terminal;
}
