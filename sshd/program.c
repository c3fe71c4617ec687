/* Starting a user's program: what it is, what it gets, and the descriptors between it and us. */
#include "user_session.h"

#include <nacre/log.h>
#include <nacre/process.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIPE_BYTES   (256 * 1024)
#define MOTD_BYTES   ((size_t)32 * 1024)
#define INTERNAL     "internal-sftp"
#define NOLOGIN_EXIT 254

/* What is to be run once ForceCommand and command= have had their say. */
struct program {
	const char *command;  /* NULL: a login shell */
	const char *original; /* what was asked for, if something else is run */
	const char *subsystem;
	const char *forced_by; /* for the log, or NULL */
	bool sftp;
};

static bool
is_internal(const char *command)
{
	size_t length = strlen(INTERNAL);

	return command != NULL && strncmp(command, INTERNAL, length) == 0 &&
	       (command[length] == '\0' || command[length] == ' ' || command[length] == '\t');
}

static void
decide(const struct channel *channel, struct program *program)
{
	const struct authentication *authentication = &channel->user->login->authentication;
	const char *forced = channel->user->config->force_command;

	if (forced != NULL)
		program->forced_by = "config";
	else if (authentication->options.command != NULL) {
		forced = authentication->options.command;
		program->forced_by = "key-option";
	}
	if (forced != NULL) {
		program->original = program->command;
		program->command = forced;
	}
	program->sftp =
	    (forced != NULL || program->subsystem != NULL) && is_internal(program->command);
}

static void
log_start(const struct channel *channel, const struct program *program)
{
	const struct login *login = channel->user->login;
	const char *what = program->command != NULL ? "command" : "shell";
	char text[300];

	if (program->forced_by != NULL)
		snprintf(text, sizeof text, "forced-command (%s) '%.200s'", program->forced_by,
		    program->command);
	else if (program->subsystem != NULL)
		snprintf(text, sizeof text, "subsystem '%.200s'", program->subsystem);
	else
		snprintf(text, sizeof text, "%s", what);
	const char *terminal =
	    channel->has_terminal ? channel->terminal_name + strlen("/dev/") : NULL;
	const struct nacre_log_field fields[] = {
	    nacre_field_number("channel", channel->number),
	    nacre_field_text("kind", program->subsystem != NULL ? "subsystem" : what),
	    nacre_field_text("subsystem", program->subsystem),
	    /* What users run is theirs: only what the administrator wrote is logged. */
	    nacre_field_text("command", program->forced_by != NULL ? program->command : NULL),
	    nacre_field_text("forced_by", program->forced_by),
	    nacre_field_text("terminal", terminal),
	};
	nacre_log_event(NACRE_LOG_VERBOSE, "session_start", fields, MEMBERS(fields),
	    "Starting session: %s%s%s for %s from %.200s port %d id %u", text,
	    terminal != NULL ? " on " : "", terminal != NULL ? terminal : "", login->account.name,
	    login->peer.address, login->peer.port, channel->number);
}

/* A file's text to the user, with the line ends of a terminal. */
static bool
show_file(const struct channel *channel, const char *path)
{
	struct nacre_buffer text = {0}, shown = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return false;
	(void)nacre_process_read_file(fd, MOTD_BYTES, &text);
	close(fd);
	struct nacre_span span = nacre_buffer_span(&text);
	for (size_t i = 0; i < span.length; i++) {
		if (span.data[i] == '\n' && channel->has_terminal)
			nacre_put_byte(&shown, '\r');
		nacre_put_byte(&shown, span.data[i]);
	}
	nacre_channel_write(channel->user->session, channel->number,
	    channel->has_terminal ? NACRE_STREAM_DATA : NACRE_STREAM_STDERR,
	    nacre_buffer_span(&shown));
	nacre_buffer_free(&text);
	nacre_buffer_free(&shown);
	return true;
}

static void
show_motd(const struct channel *channel)
{
	const struct login *login = channel->user->login;
	char hush[4096];
	struct stat status;

	snprintf(hush, sizeof hush, "%s/.hushlogin", login->account.home);
	if (channel->user->config->print_motd && stat(hush, &status) != 0)
		show_file(channel, "/etc/motd");
}

/* While /etc/nologin is there, it is all that anybody but root gets. */
static bool
nologin(struct channel *channel)
{
	if (channel->user->login->account.uid == 0 ||
	    (!show_file(channel, "/etc/nologin") && !show_file(channel, "/run/nologin")))
		return false;
	nacre_log(NACRE_LOG_INFO, "User %.100s not allowed because /etc/nologin exists",
	    channel->user->login->account.name);
	channel->started = true;
	session_child_ended(channel, NOLOGIN_EXIT << 8);
	return true;
}

/* Pipes ------------------------------------------------------------------------------------ */

struct pipes {
	int ours[3], theirs[3];
};

static bool
make_pipe(struct pipes *pipes, int number)
{
	int ends[2];
	bool inwards = number == 0; /* the program reads it */

	if (pipe2(ends, O_CLOEXEC) != 0)
		return false;
	if (number < 2)
		fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES);
	pipes->theirs[number] = ends[inwards ? 0 : 1];
	pipes->ours[number] = ends[inwards ? 1 : 0];
	fcntl(pipes->ours[number], F_SETFL, O_NONBLOCK);
	return true;
}

static void
close_all(const int *fds)
{
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static bool
make_pipes(struct pipes *pipes)
{
	*pipes = (struct pipes){{-1, -1, -1}, {-1, -1, -1}};
	for (int i = 0; i < 3; i++)
		if (!make_pipe(pipes, i)) {
			close_all(pipes->ours);
			close_all(pipes->theirs);
			return false;
		}
	return true;
}

static void
join_pipes(struct channel *channel, const struct pipes *pipes)
{
	for (int i = 0; i < 3; i++)
		channel->endpoints[i].fd = pipes->ours[i];
	channel->endpoints[0].sink = true;
	channel->endpoints[1].source = channel->endpoints[2].source = true;
	channel->endpoints[2].stream = NACRE_STREAM_STDERR;
}

/* Start ------------------------------------------------------------------------------------ */

static const char *
last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static pid_t
start_shell(const struct channel *channel, const struct program *program, const int *theirs,
    char *const *environment)
{
	const struct nacre_account *account = &channel->user->login->account;
	char name[256], option[] = "-c";
	bool login_shell = program->command == NULL;
	char *command = (char *)program->command;
	char *arguments[] = {name, login_shell ? NULL : option, command, NULL};

	snprintf(name, sizeof name, "%s%.200s", login_shell ? "-" : "", last_part(account->shell));
	const struct nacre_process_start start = {
	    .path = account->shell,
	    .arguments = arguments,
	    .environment = environment,
	    .directory = account->home,
	    .input = theirs[0],
	    .output = theirs[1],
	    .error = theirs[2],
	    .new_session = true,
	    .controlling_terminal = channel->has_terminal,
	    .keep = -1,
	};
	return nacre_process_start(&start);
}

static bool
start_with(struct channel *channel, const struct program *program, const int *theirs)
{
	struct environment environment = {0};

	environment_make(channel, program->original, &environment);
	channel->child = start_shell(channel, program, theirs, environment.entries);
	environment_free(&environment);
	if (channel->child > 0)
		return true;
	channel->child = -1;
	nacre_log(NACRE_LOG_ERROR, "fork: %s", strerror(errno));
	return false;
}

static bool
start_on_terminal(struct channel *channel, const struct program *program)
{
	int theirs[3] = {channel->terminal, channel->terminal, channel->terminal};
	bool good = start_with(channel, program, theirs);

	close(channel->terminal);
	channel->terminal = -1;
	channel->endpoints[0].sink = channel->endpoints[0].source = good;
	return good;
}

static bool
start_on_pipes(struct channel *channel, const struct program *program)
{
	struct pipes pipes;

	if (!make_pipes(&pipes))
		return false;
	bool good = start_with(channel, program, pipes.theirs);
	close_all(pipes.theirs);
	if (good)
		join_pipes(channel, &pipes);
	else
		close_all(pipes.ours);
	return good;
}

bool
program_start(struct channel *channel, const char *command, const char *subsystem)
{
	struct program program = {.command = command, .subsystem = subsystem};

	if (channel->started || channel->sftp != NULL)
		return false;
	decide(channel, &program);
	log_start(channel, &program);
	if (nologin(channel))
		return true;
	if (program.sftp)
		return sftp_start(channel, program.command);
	user_mark_packets(channel->user, channel->has_terminal);
	if (channel->has_terminal && program.command == NULL)
		show_motd(channel);
	channel->started = channel->has_terminal ? start_on_terminal(channel, &program)
						 : start_on_pipes(channel, &program);
	return channel->started;
}
