/* internal-sftp: the SFTP engine on a thread of its own, exchanging buffers with a channel. */
#include "user_session.h"

#include <nacre/log.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGUMENTS_MOST 64

/* Words of a command line; quotes are not known to internal-sftp's few options. */
static int
split(char *text, char **words)
{
	int count = 0;
	char *word;

	while ((word = strsep(&text, " \t")) != NULL && count < ARGUMENTS_MOST)
		if (word[0] != '\0')
			words[count++] = word;
	words[count] = NULL;
	return count;
}

static void
finish(struct channel *channel, int error)
{
	struct user_session *user = channel->user;

	endpoint_forget(user, &channel->endpoints[0]);
	nacre_sftp_thread_stop(channel->sftp);
	channel->sftp = NULL;
	session_child_ended(channel, error == 0 ? 0 : 255 << 8);
}

static void
exchange(struct channel *channel)
{
	struct nacre_session *session = channel->user->session;
	size_t length, count = 1;
	uint8_t *room;
	int error = 0;

	while (count > 0 && (room = nacre_channel_room(
				 session, channel->number, NACRE_STREAM_DATA, &length)) != NULL) {
		count = nacre_sftp_thread_output(channel->sftp, room, length);
		nacre_channel_commit(session, channel->number, count);
		if (count > 0)
			timeout_reset(channel);
	}
	user_flush(channel->user);
	sftp_received(channel);
	if (nacre_sftp_thread_finished(channel->sftp, &error))
		finish(channel, error);
}

static void
thread_ready(struct user_session *user, struct endpoint *endpoint, unsigned what)
{
	(void)user;
	(void)what;
	if (endpoint->channel->gone || endpoint->channel->sftp == NULL)
		return;
	nacre_sftp_thread_acknowledge(endpoint->channel->sftp);
	exchange(endpoint->channel);
}

void
sftp_received(struct channel *channel)
{
	struct nacre_session *session = channel->user->session;
	struct nacre_span data;
	size_t count = 1;

	while (
	    count > 0 &&
	    (data = nacre_channel_data(session, channel->number, NACRE_STREAM_DATA)).length > 0) {
		count = nacre_sftp_thread_input(channel->sftp, data);
		nacre_channel_consume(session, channel->number, NACRE_STREAM_DATA, count);
		if (count > 0)
			timeout_reset(channel);
	}
	if (channel->peer_eof)
		nacre_sftp_thread_end_input(channel->sftp);
}

void
sftp_writable(struct channel *channel)
{
	exchange(channel);
}

bool
sftp_start(struct channel *channel, const char *command)
{
	const struct login *login = channel->user->login;
	struct nacre_sftp_server_options options = {.umask = -1};
	struct endpoint *endpoint = &channel->endpoints[0];
	char *words[ARGUMENTS_MOST + 1], *text = strdup(command);
	int facility;
	bool to_stderr;

	if (text == NULL ||
	    nacre_sftp_server_arguments(split(text, words), words, login->account.name,
		login->account.home, &options, &facility, &to_stderr) != 0) {
		nacre_log(NACRE_LOG_ERROR, "cannot start: %s", command);
		free(text);
		return false;
	}
	options.user = login->account.name;
	options.home = login->account.home;
	options.peer = login->peer.address;
	options.log = nacre_log_va;
	/* As a program of the user's would; in a root directory of its own there may be no home. */
	if (chdir(login->account.home) != 0)
		(void)!chdir("/");
	int error = nacre_sftp_thread_start(&options, &channel->sftp);
	free(options.start_directory);
	free(text);
	if (error != 0)
		return false;
	channel->started = true;
	endpoint->fd = nacre_sftp_thread_fd(channel->sftp);
	endpoint->ready = thread_ready;
	endpoint_want(channel->user, endpoint, NACRE_POLL_READ);
	return true;
}
