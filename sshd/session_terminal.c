/* The terminals of a session process, which its monitor opens and keeps the records of. */
#include "user_session.h"

#include <nacre/log.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Asks the monitor; *reader stands behind the answer's type. */
static bool
ask(struct user_session *user, struct nacre_buffer *frame, enum monitor_message answer,
    struct nacre_reader *reader, int *fds, size_t *fd_count)
{
	uint8_t type;

	return frame_send(user->monitor_fd, frame) == 0 &&
	       frame_receive_with(user->monitor_fd, frame, MONITOR_FRAME_LIMIT, &type, reader, fds,
		   fd_count) == 0 &&
	       type == answer;
}

bool
terminal_request(struct channel *channel)
{
	struct nacre_buffer frame = {0};
	struct nacre_reader reader;
	int fds[2] = {-1, -1};
	size_t count = 2;

	frame_begin(&frame, MONITOR_TERMINAL);
	if (!ask(channel->user, &frame, MONITOR_TERMINAL_OPENED, &reader, fds, &count))
		nacre_fatal("the monitor does not answer");
	struct nacre_span name = nacre_get_string(&reader);
	bool good = count == 2 && name.length > 0 && name.length < sizeof channel->terminal_name;
	if (good) {
		memcpy(channel->terminal_name, name.data, name.length);
		channel->terminal_name[name.length] = '\0';
		channel->endpoints[0].fd = fds[0];
		channel->terminal = fds[1];
		channel->has_terminal = channel->terminal_held = true;
		fcntl(fds[0], F_SETFL, O_NONBLOCK);
	}
	nacre_buffer_free(&frame);
	return good;
}

void
terminal_record(struct channel *channel, struct nacre_buffer *last)
{
	struct nacre_buffer frame = {0};
	struct nacre_reader reader;

	frame_begin(&frame, MONITOR_LOGIN);
	nacre_put_cstring(&frame, channel->terminal_name);
	if (!ask(channel->user, &frame, MONITOR_LOGIN_RECORDED, &reader, NULL, NULL))
		nacre_fatal("the monitor does not answer");
	nacre_put_span(last, nacre_get_string(&reader));
	nacre_buffer_free(&frame);
}

void
terminal_release(struct channel *channel)
{
	struct nacre_buffer frame = {0};

	if (!channel->terminal_held)
		return;
	channel->terminal_held = false;
	frame_begin(&frame, MONITOR_LOGOUT);
	nacre_put_cstring(&frame, channel->terminal_name);
	(void)frame_send(channel->user->monitor_fd, &frame);
	nacre_buffer_free(&frame);
}
