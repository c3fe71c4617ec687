/*
 * A stream of bytes to a remote program: a channel of a session in this process, or the pipes of a
 * child (-D, -S). Neither blocks but in link_wait() and what is built on it.
 */
#include <scp/scp.h>

#include <nacre/agent_relay.h>
#include <nacre/client.h>
#include <nacre/log.h>
#include <nacre/mux.h>
#include <nacre/poller.h>
#include <nacre/session.h>
#include <nacre/ssh_config.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIPE_ROOM ((size_t)256 * 1024)
#define LINKS_MAX (2 * JOBS_MAX)

extern char **environ;

struct link {
	/* A child's, or those that a master's session has. */
	pid_t child;
	struct nacre_mux_socket shared; /* fd 0: none */
	int in, out;
	uint8_t *sending, *receiving;
	size_t send_start, send_end, receive_start, receive_end;
	/* A session's. */
	struct nacre_ssh_config *config;
	struct nacre_client *client;
	struct nacre_session *session;
	uint32_t channel;
	char *command; /* NULL: the subsystem */
	const char *subsystem;
	bool forward_agent, opened, unsent;
	struct nacre_agent_relays relays;
	/* Both. */
	bool ended, broken;
	int status;
};

static const char *
subsystem_name(const struct options *options)
{
	return options->subsystem != NULL ? options->subsystem : "sftp";
}

/* Children ---------------------------------------------------------------------------------- */

static struct link *
link_new(void)
{
	struct link *link = calloc(1, sizeof *link);

	if (link == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	link->in = link->out = -1;
	link->status = 255;
	return link;
}

static void
set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
		die("fcntl: %s", strerror(errno));
}

static void
enlarge_pipe(int fd)
{
	/* Fewer switches between the two processes; without it things work as well. */
	if (fcntl(fd, F_SETPIPE_SZ, (int)PIPE_ROOM) < 0)
		return;
}

/* Our ends of two pipes. */
static void
take_pipes(struct link *link, int in, int out)
{
	link->in = in;
	link->out = out;
	enlarge_pipe(in);
	enlarge_pipe(out);
	set_nonblocking(in);
	set_nonblocking(out);
	link->sending = malloc(PIPE_ROOM);
	link->receiving = malloc(PIPE_ROOM);
	if (link->sending == NULL || link->receiving == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
}

static struct link *
start_child(char *const *arguments)
{
	struct link *link = link_new();
	posix_spawn_file_actions_t actions;
	int to_child[2], from_child[2], error;

	if (pipe2(to_child, O_CLOEXEC) != 0 || pipe2(from_child, O_CLOEXEC) != 0)
		die("pipe: %s", strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, to_child[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, from_child[1], STDOUT_FILENO);
	error = posix_spawnp(&link->child, arguments[0], &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (error != 0)
		die("%s: %s", arguments[0], strerror(error));
	close(to_child[0]);
	close(from_child[1]);
	take_pipes(link, from_child[0], to_child[1]);
	return link;
}

struct link *
link_open_program(const char *path)
{
	char *command = strdup(path), *save = NULL, *word;
	struct words words = {0};
	struct link *link;

	/* Options may follow the path, as in "sftp-server -l debug3". */
	for (word = strtok_r(command, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save))
		words_add(&words, word);
	if (words.count == 0)
		die("-D: no program");
	link = start_child(words.items);
	free(command);
	words_free(&words);
	return link;
}

static struct link *
open_by_program(const struct options *options, const struct location *location, const char *command)
{
	struct words words = {0};
	struct link *link;
	char port[16];

	words_add(&words, options->program);
	words_add(&words, "-x");
	words_add(&words, "-oPermitLocalCommand=no");
	words_add(&words, "-oClearAllForwardings=yes");
	words_add(&words, "-oRemoteCommand=none");
	words_add(&words, "-oRequestTTY=no");
	for (size_t i = 0; i < options->arguments.count; i++)
		words_add(&words, options->arguments.items[i]);
	if (location->port != -1) {
		snprintf(port, sizeof port, "%d", location->port);
		words_add(&words, "-p");
		words_add(&words, port);
	}
	if (location->user != NULL) {
		words_add(&words, "-l");
		words_add(&words, location->user);
	}
	if (command == NULL)
		words_add(&words, "-s");
	words_add(&words, "--");
	words_add(&words, location->host);
	words_add(&words, command != NULL ? command : subsystem_name(options));
	link = start_child(words.items);
	words_free(&words);
	return link;
}

/* Sessions ---------------------------------------------------------------------------------- */

static void
report_config(struct nacre_ssh_config *config)
{
	struct nacre_span text = nacre_buffer_span(&config->error);

	while (text.length > 0 && text.data[text.length - 1] == '\n')
		text.length--;
	fprintf(stderr, "%.*s\n", (int)text.length, (const char *)text.data);
}

static void
set_option(struct nacre_ssh_config *config, const char *text)
{
	if (nacre_ssh_config_set(config, text, "command-line", 0) != 0) {
		report_config(config);
		exit(255);
	}
}

__attribute__((format(printf, 2, 3))) static void
set_format(struct nacre_ssh_config *config, const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	va_end(arguments);
	set_option(config, text);
	free(text);
}

/* What belongs to logins and not to copying is off, whatever the files say. */
static const char *const fixed_settings[] = {
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "ClearAllForwardings=yes",
    "RemoteCommand=none",
    "RequestTTY=no",
};

static struct nacre_ssh_config *
configure(const struct options *options, const struct location *location, const char *command)
{
	const struct nacre_ssh_config_request request = {
	    .host = location->host,
	    .command = command != NULL ? command : subsystem_name(options),
	    .session_type = command != NULL ? "exec" : "subsystem",
	    .version = "Nacre_" NACRE_VERSION,
	    .user_file = options->user_file,
	    .assemble = nacre_client_assemble,
	    .canonicalize = nacre_client_canonicalize,
	};
	struct nacre_ssh_config *config;

	if (nacre_ssh_config_new(&config) != 0)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	for (size_t i = 0; i < sizeof fixed_settings / sizeof fixed_settings[0]; i++)
		set_option(config, fixed_settings[i]);
	if (location->port != -1)
		set_format(config, "Port=%d", location->port);
	if (location->user != NULL)
		set_format(config, "User=%s", location->user);
	for (size_t i = 0; i < options->settings.count; i++)
		set_option(config, options->settings.items[i]);
	set_option(config, "ForwardAgent=no");
	if (nacre_ssh_config_load(config, &request) != 0 || nacre_ssh_config_check(config) != 0) {
		report_config(config);
		exit(255);
	}
	nacre_log_level_set((enum nacre_log_level)config->log_level);
	return config;
}

/* What the channel is for: nacre_client_options.request. */
static void
make_requests(void *context, struct nacre_client *client, uint32_t channel)
{
	const struct link *const link = context;
	struct nacre_session *const session = nacre_client_session(client);

	if (link->forward_agent && nacre_client_forward_agent_path(client) != NULL)
		nacre_channel_request_agent(session, channel, false);
	if (link->command != NULL)
		nacre_channel_request_exec(session, channel, true, link->command);
	else
		nacre_channel_request_subsystem(session, channel, true, link->subsystem);
}

/* The channel is there: its request leaves together with the program's first bytes. */
static void
channel_opened(struct link *link)
{
	make_requests(link, link->client, link->channel);
	link->opened = true;
}

static void
write_error_stream(struct link *link)
{
	struct nacre_span text =
	    nacre_channel_data(link->session, link->channel, NACRE_STREAM_STDERR);

	fwrite(text.data, 1, text.length, stderr);
	nacre_channel_consume(link->session, link->channel, NACRE_STREAM_STDERR, text.length);
}

static void
channel_request(struct link *link, const struct nacre_event *event)
{
	if (event->u.channel_request.kind == NACRE_REQUEST_EXIT_STATUS)
		link->status = (int)(event->u.channel_request.exit_status & 0xff);
	if (event->u.channel_request.want_reply)
		nacre_channel_request_reply(link->session, event->channel,
		    event->u.channel_request.kind == NACRE_REQUEST_EXIT_STATUS ||
			event->u.channel_request.kind == NACRE_REQUEST_EXIT_SIGNAL);
}

static void
session_event(struct link *link, const struct nacre_event *event)
{
	if (nacre_agent_relays_event(&link->relays, link->client, event))
		return;
	switch (event->kind) {
	case NACRE_EVENT_CHANNEL_OPENED:
		channel_opened(link);
		break;
	case NACRE_EVENT_CHANNEL_REFUSED:
		complain("channel open failed: %.*s", (int)event->u.refused.text.length,
		    (const char *)event->u.refused.text.data);
		link->broken = link->ended = true;
		break;
	case NACRE_EVENT_CHANNEL_REPLY:
		if (!event->u.channel_reply.success) {
			complain("%s request failed on channel %u",
			    link->command != NULL ? "exec" : "subsystem", event->channel);
			link->broken = link->ended = true;
		}
		break;
	case NACRE_EVENT_CHANNEL_DATA:
		if (event->u.stream == NACRE_STREAM_STDERR)
			write_error_stream(link);
		break;
	case NACRE_EVENT_CHANNEL_REQUEST:
		channel_request(link, event);
		break;
	case NACRE_EVENT_CHANNEL_EOF:
		link->ended = true;
		break;
	case NACRE_EVENT_CHANNEL_OPEN:
		nacre_channel_refuse(link->session, event->channel,
		    NACRE_OPEN_ADMINISTRATIVELY_PROHIBITED, "not asked for");
		break;
	case NACRE_EVENT_CHANNEL_CLOSED:
	case NACRE_EVENT_DISCONNECTED:
		link->broken = link->ended = true;
		link->opened = false;
		break;
	default:
		break;
	}
}

/* What comes in as data stays in the channel. */
static void
take_events(struct link *link)
{
	struct nacre_event event;

	while (nacre_session_next_event(link->session, nacre_clock_ms(), &event))
		if (!nacre_client_event(link->client, &event))
			session_event(link, &event);
}

/* Through the connection of a master, if there is one at ControlPath. */
static bool
open_shared(struct link *link)
{
	const struct nacre_ssh_config *const config = link->config;
	const bool subsystem = link->command == NULL;
	int to_master[2], from_master[2];

	if (config->control_path == NULL || config->control_master == NACRE_YES ||
	    config->control_master == NACRE_ASK)
		return false;
	if (pipe2(to_master, O_CLOEXEC) != 0 || pipe2(from_master, O_CLOEXEC) != 0)
		die("pipe: %s", strerror(errno));
	const int given[] = {to_master[0], from_master[1], STDERR_FILENO};
	const int error = nacre_mux_session_open(config->control_path,
	    subsystem ? link->subsystem : link->command, subsystem, given, &link->shared);
	close(to_master[0]);
	close(from_master[1]);
	if (error == 0) {
		take_pipes(link, from_master[0], to_master[1]);
		return true;
	}
	close(to_master[1]);
	close(from_master[0]);
	link->shared.fd = 0;
	return false;
}

static struct link *
open_session(const struct options *options, const struct location *location, const char *command)
{
	struct link *link = link_new();
	struct nacre_client_options client_options = {.user_file = options->user_file};

	link->config = configure(options, location, command);
	client_options.config = link->config;
	client_options.request = make_requests;
	client_options.context = link;
	link->command = command != NULL ? strdup(command) : NULL;
	link->subsystem = subsystem_name(options);
	link->forward_agent = link->config->forward_agent;
	if (open_shared(link))
		return link;
	if (nacre_client_open(&client_options, &link->client) != 0) {
		link_close(link);
		return NULL;
	}
	link->session = nacre_client_session(link->client);
	link->opened = nacre_client_early_channel(link->client, &link->channel);
	if (!link->opened && nacre_channel_open_session(link->session, &link->channel) != 0)
		die("cannot open a channel");
	/* What the server said behind its confirmation is there already. */
	if (link->opened)
		take_events(link);
	link_flush(link);
	return link;
}

struct link *
link_open(const struct options *options, const struct location *location, const char *command)
{
	location_check(location);
	if (options->program != NULL)
		return open_by_program(options, location, command);
	return open_session(options, location, command);
}

static bool
session_data(struct link *link, struct nacre_span *data)
{
	struct nacre_event event;

	if (link->opened) {
		/* What was left of the last piece. */
		*data = nacre_channel_data(link->session, link->channel, NACRE_STREAM_DATA);
		if (data->length > 0)
			return true;
	}
	while (!(link->broken && link->ended) &&
	       nacre_session_next_event(link->session, nacre_clock_ms(), &event)) {
		bool ours = event.kind == NACRE_EVENT_CHANNEL_DATA &&
			    event.channel == link->channel && event.u.stream == NACRE_STREAM_DATA;

		if (ours) {
			*data = nacre_channel_data(link->session, link->channel, NACRE_STREAM_DATA);
			if (data->length > 0)
				return true;
			continue;
		}
		if (!nacre_client_event(link->client, &event))
			session_event(link, &event);
	}
	return false;
}

/* Both -------------------------------------------------------------------------------------- */

uint8_t *
link_room(struct link *link, size_t *length)
{
	*length = 0;
	if (link->broken)
		return NULL;
	if (link->session != NULL)
		return link->opened ? nacre_channel_room(
					  link->session, link->channel, NACRE_STREAM_DATA, length)
				    : NULL;
	if (link->send_start == link->send_end)
		link->send_start = link->send_end = 0;
	if (link->out < 0 || link->send_end > PIPE_ROOM / 2)
		return NULL;
	*length = PIPE_ROOM - link->send_end;
	return link->sending + link->send_end;
}

void
link_commit(struct link *link, size_t length)
{
	if (link->session != NULL)
		nacre_channel_commit(link->session, link->channel, length);
	else
		link->send_end += length;
}

static void
flush_pipe(struct link *link)
{
	while (link->send_start < link->send_end && link->out >= 0) {
		ssize_t count = write(
		    link->out, link->sending + link->send_start, link->send_end - link->send_start);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0 && errno == EAGAIN)
			break;
		if (count <= 0) {
			link->broken = true;
			break;
		}
		link->send_start += (size_t)count;
	}
	link->unsent = link->send_start < link->send_end && !link->broken;
}

void
link_flush(struct link *link)
{
	if (link->session == NULL) {
		flush_pipe(link);
		return;
	}
	link->unsent = nacre_client_flush(link->client) == 1;
}

bool
link_data(struct link *link, struct nacre_span *data)
{
	if (link->session != NULL)
		return session_data(link, data);
	*data = (struct nacre_span){
	    link->receiving + link->receive_start, link->receive_end - link->receive_start};
	return data->length > 0;
}

void
link_consumed(struct link *link, size_t length)
{
	if (link->session != NULL)
		nacre_channel_consume(link->session, link->channel, NACRE_STREAM_DATA, length);
	else
		link->receive_start += length;
}

bool
link_ended(const struct link *link)
{
	return link->ended && (link->session != NULL || link->receive_start == link->receive_end);
}

static void
receive_pipe(struct link *link)
{
	ssize_t count;

	if (link->receive_start < link->receive_end)
		return;
	link->receive_start = link->receive_end = 0;
	count = read(link->in, link->receiving, PIPE_ROOM);
	if (count > 0)
		link->receive_end = (size_t)count;
	else if (count == 0 || (errno != EAGAIN && errno != EINTR))
		link->ended = true;
}

static void
receive(struct link *link)
{
	ssize_t count;

	if (link->session == NULL) {
		receive_pipe(link);
		return;
	}
	count = nacre_client_receive(link->client);
	if (count == NACRE_ERROR_CLOSED)
		link->broken = true;
}

/* What comes, what goes, and agents. */
#define ENTRIES 3

static void
poll_entries(const struct link *link, bool wants_input, struct pollfd *entries)
{
	int in = link->session != NULL ? nacre_client_read_fd(link->client) : link->in;
	int out = link->session != NULL ? nacre_client_write_fd(link->client) : link->out;

	/* A session says more after the end of its data: the status, and that it is closed. */
	bool more = link->session != NULL ? !link->broken : !link->ended;

	entries[0] = (struct pollfd){.fd = wants_input && more ? in : -1, .events = POLLIN};
	entries[1] = (struct pollfd){.fd = link->unsent ? out : -1, .events = POLLOUT};
	entries[2] = (struct pollfd){.fd = nacre_agent_relays_fd(&link->relays), .events = POLLIN};
}

static void
act_on_entries(struct link *link, const struct pollfd *entries)
{
	if (entries[0].revents != 0)
		receive(link);
	if (entries[2].revents != 0) {
		nacre_agent_relays_ready(&link->relays);
		link_flush(link);
	}
	if (entries[1].revents != 0)
		link_flush(link);
	if (link->session != NULL && nacre_client_tick(link->client, nacre_clock_ms()) != 0)
		link->broken = link->ended = true;
}

static int64_t
timeout_with(const struct link *link, int64_t timeout)
{
	uint64_t deadline = UINT64_MAX, now = nacre_clock_ms(), session;

	if (link->session == NULL)
		return timeout;
	deadline = nacre_client_deadline(link->client);
	session = nacre_session_deadline(link->session);
	if (session < deadline)
		deadline = session;
	if (deadline == UINT64_MAX)
		return timeout;
	deadline = deadline > now ? deadline - now : 0;
	return timeout < 0 || (int64_t)deadline < timeout ? (int64_t)deadline : timeout;
}

void
link_wait(struct link *const *links, const bool *wants_input, size_t count, int64_t timeout)
{
	struct pollfd entries[LINKS_MAX * ENTRIES];

	for (size_t i = 0; i < count; i++) {
		timeout = timeout_with(links[i], timeout);
		poll_entries(links[i], wants_input[i], entries + i * ENTRIES);
	}
	if (timeout > 60000)
		timeout = 60000;
	if (poll(entries, count * ENTRIES, (int)timeout) < 0)
		return;
	for (size_t i = 0; i < count; i++)
		act_on_entries(links[i], entries + i * ENTRIES);
}

static void
wait_alone(struct link *link, bool wants_input)
{
	link_wait(&link, &wants_input, 1, -1);
}

bool
link_read(struct link *link, void *bytes, size_t length)
{
	uint8_t *place = bytes;

	while (length > 0) {
		struct nacre_span data;
		size_t take;

		if (!link_data(link, &data)) {
			if (link->ended)
				return false;
			link_flush(link);
			wait_alone(link, true);
			continue;
		}
		take = data.length < length ? data.length : length;
		memcpy(place, data.data, take);
		link_consumed(link, take);
		place += take;
		length -= take;
	}
	return true;
}

/* Sends what waits; waits itself only while there is something to wait for. */
static void
await_room(struct link *link)
{
	size_t length;

	link_flush(link);
	if (!link->unsent) {
		if (link->session == NULL)
			return;
		take_events(link);
		if (link_room(link, &length) != NULL) {
			nacre_channel_commit(link->session, link->channel, 0);
			return;
		}
		link_flush(link);
	}
	if (!link->broken)
		wait_alone(link, link->session != NULL);
}

bool
link_write(struct link *link, const void *bytes, size_t length)
{
	const uint8_t *place = bytes;

	while (length > 0) {
		size_t room_length;
		uint8_t *room = link_room(link, &room_length);

		if (room == NULL) {
			if (link->broken)
				return false;
			await_room(link);
			continue;
		}
		if (room_length > length)
			room_length = length;
		memcpy(room, place, room_length);
		link_commit(link, room_length);
		place += room_length;
		length -= room_length;
	}
	link_flush(link);
	return !link->broken;
}

void
link_end_output(struct link *link)
{
	if (link->session != NULL) {
		if (link->opened && !nacre_channel_at_eof(link->session, link->channel, false))
			nacre_channel_eof(link->session, link->channel);
		return;
	}
	if (link->out >= 0)
		close(link->out);
	link->out = -1;
}

static void
close_child(struct link *link)
{
	int status = 0;

	if (link->in >= 0)
		close(link->in);
	while (waitpid(link->child, &status, 0) < 0 && errno == EINTR)
		;
	link->status = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* The remote program may have a word to say yet, and fails when nobody is there to take it; one that
 * goes on sending was given up. */
static void
drain(const struct link *link)
{
	struct pollfd wait = {.fd = link->in, .events = POLLIN};
	uint8_t dropped[4096];
	size_t total = 0;
	ssize_t got = 1;

	while (got != 0 && total < PIPE_ROOM) {
		if (poll(&wait, 1, -1) < 0 && errno != EINTR)
			return;
		got = read(link->in, dropped, sizeof dropped);
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			return;
		total += got > 0 ? (size_t)got : 0;
	}
}

static void
close_shared(struct link *link)
{
	if (!link->ended)
		drain(link);
	close(link->in);
	link->status = nacre_mux_session_status(&link->shared);
	/* A master may hear of the end before the status, and then tells none. What was copied is known
	 * from the protocol of the copy. */
	if (link->status == NACRE_MUX_NO_STATUS)
		link->status = 0;
	nacre_mux_close(&link->shared);
}

/* The status of a command comes when it has ended, after all that it still says. */
static void
await_status(struct link *link)
{
	struct nacre_span data;

	while (!link->broken) {
		while (link_data(link, &data))
			link_consumed(link, data.length);
		link_flush(link);
		if (!link->broken)
			wait_alone(link, true);
	}
}

int
link_close(struct link *link)
{
	int status;

	link_flush(link);
	link_end_output(link);
	if (link->child > 0)
		close_child(link);
	if (link->shared.fd > 0)
		close_shared(link);
	if (link->client != NULL) {
		if (link->opened && link->command != NULL)
			await_status(link);
		link_flush(link);
		nacre_agent_relays_close(&link->relays);
		nacre_client_close(link->client);
	}
	nacre_ssh_config_free(link->config);
	status = link->status;
	free(link->command);
	free(link->sending);
	free(link->receiving);
	free(link);
	return status;
}
