/* exec_client CONFIG HOST COMMAND: runs a command as ssh does, with its configuration and keys. */
#include <err.h>
#include <nacre/client.h>
#include <nacre/poller.h>
#include <poll.h>
#include <stdio.h>

static const char *command;
static int exit_status = 255;

/* Acts on one event; false once the command and its channel have ended. */
static bool
handle(struct nacre_session *session, const struct nacre_event *event)
{
	enum nacre_stream stream = event->u.stream;
	struct nacre_span data;

	switch (event->kind) {
	case NACRE_EVENT_CHANNEL_DATA:
		data = nacre_channel_data(session, event->channel, stream);
		fwrite(data.data, 1, data.length, stream == NACRE_STREAM_DATA ? stdout : stderr);
		nacre_channel_consume(session, event->channel, stream, data.length);
		return true;
	case NACRE_EVENT_CHANNEL_REQUEST:
		if (event->u.channel_request.kind == NACRE_REQUEST_EXIT_STATUS)
			exit_status = (int)event->u.channel_request.exit_status;
		return true;
	case NACRE_EVENT_CHANNEL_OPENED:
		nacre_channel_request_exec(session, event->channel, false, command);
		nacre_channel_eof(session, event->channel);
		return true;
	case NACRE_EVENT_CHANNEL_EOF:
		return true;
	default:
		return false;
	}
}

int
main(int argc, char **argv)
{
	static struct nacre_client_options options;
	struct nacre_ssh_config_request request = {.assemble = nacre_client_assemble};
	struct nacre_client *client;
	struct nacre_session *session;
	struct nacre_event event;
	bool going = true;
	uint32_t channel;

	if (argc != 4 || nacre_ssh_config_new(&options.config) != 0)
		errx(255, "usage: exec_client CONFIG HOST COMMAND");
	request.user_file = argv[1];
	request.host = argv[2];
	command = argv[3];
	if (nacre_ssh_config_load(options.config, &request) != 0)
		errx(255, "%.*s", (int)nacre_buffer_length(&options.config->error),
		    (const char *)nacre_buffer_span(&options.config->error).data);
	if (nacre_client_open(&options, &client) != 0)
		return 255; /* it has said why */
	session = nacre_client_session(client);
	nacre_channel_open_session(session, &channel);
	while (going) {
		while (going && nacre_session_next_event(session, nacre_clock_ms(), &event))
			going = nacre_client_event(client, &event) || handle(session, &event);
		if (going && nacre_client_flush(client) == 0)
			poll(&(struct pollfd){nacre_client_read_fd(client), POLLIN, 0}, 1, -1);
		if (going)
			nacre_client_receive(client);
	}
	nacre_client_close(client);
	nacre_ssh_config_free(options.config);
	return exit_status;
}
