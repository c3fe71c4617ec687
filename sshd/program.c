/* Starting a user's program: what it is, what it gets, and the descriptors between it and us. */
#include "user_session.h"

#include <nacre/log.h>
#include <nacre/process.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIPE_BYTES   (256 * 1024)
#define INTERNAL     "internal-sftp"
#define REFUSED_EXIT 254
#define SFTP_ONLY    "This service allows sftp connections only.\n"
#define PASSWD       "/usr/bin/passwd"

/* What is to be run once ForceCommand and command= have had their say. */
struct program {
	const char *command;  /* NULL: a login shell */
	const char *original; /* what was asked for, if something else is run */
	const char *subsystem;
	const char *forced_by; /* for the log, or NULL */
	bool sftp;
	bool sftp_only;       /* but something else was asked for */
	bool change_password; /* in place of all that */
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
	program->sftp = program->subsystem != NULL && is_internal(program->command);
	program->sftp_only = forced != NULL && !program->sftp && is_internal(forced);
}

/* Under the names that ChannelTimeout has for it. */
static void
set_timeout(struct channel *channel, const char *command, const char *subsystem)
{
	char type[300];

	snprintf(type, sizeof type, "session:%s%.200s",
	    subsystem != NULL ? "subsystem:"
	    : command != NULL ? "command"
			      : "shell",
	    subsystem != NULL ? subsystem : "");
	timeout_set(channel, type);
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

/* What is the same for the program and the script before it. */
static struct nacre_process_start
start_of(const struct channel *channel, const int *theirs, char *const *environment)
{
	const struct login *login = channel->user->login;

	return (struct nacre_process_start){
	    .path = login->account.shell,
	    .environment = environment,
	    .directory = login->account.home,
	    .directory_optional = login->config->chroot_directory != NULL,
	    .input = theirs[0],
	    .output = theirs[1],
	    .error = theirs[2],
	    .new_session = true,
	    .controlling_terminal = channel->has_terminal,
	    .keep = -1,
	    .descriptor_limit = &channel->user->descriptors,
	};
}

static pid_t
start_program(const struct channel *channel, const struct program *program, const int *theirs,
    char *const *environment, const struct nacre_process_start *first)
{
	struct nacre_process_start start = start_of(channel, theirs, environment);
	bool login_shell = program->command == NULL;
	char name[256], passwd[] = "passwd", option[] = "-c";
	char *const shell_arguments[] = {
	    name, login_shell ? NULL : option, (char *)program->command, NULL};
	char *const passwd_arguments[] = {passwd, NULL};

	snprintf(name, sizeof name, "%s%.200s", login_shell ? "-" : "", last_part(start.path));
	start.arguments = program->change_password ? passwd_arguments : shell_arguments;
	if (program->change_password)
		start.path = PASSWD;
	start.first = first;
	return nacre_process_start(&start);
}

/* The program after another one, which reads "input"; that is freed. */
static pid_t
start_after(const struct channel *channel, const struct program *program, const int *theirs,
    struct nacre_process_start *first, struct nacre_buffer *input)
{
	first->new_session = first->controlling_terminal = false;
	first->directory_optional = true;
	if (input->failed ||
	    nacre_process_memory_file("login script", nacre_buffer_span(input), &first->input) != 0)
		first->input = -1;
	pid_t child = start_program(channel, program, theirs, first->environment, first);
	if (first->input >= 0)
		close(first->input);
	nacre_buffer_free(input);
	return child;
}

/* Through the user's shell, so that one that lets nobody in does not let a script in either. */
static pid_t
start_with_script(const struct channel *channel, const struct program *program, const int *theirs,
    char *const *environment, const char *command)
{
	struct nacre_process_start script = start_of(channel, theirs, environment);
	char name[256], option[] = "-c";
	char *const arguments[] = {name, option, (char *)command, NULL};
	struct nacre_buffer input = {0};

	snprintf(name, sizeof name, "%.200s", last_part(script.path));
	script.arguments = arguments;
	x11_for_script(channel, &input);
	return start_after(channel, program, theirs, &script, &input);
}

/* Where no script does it, xauth learns of a forwarded display. */
static pid_t
start_with_xauth(const struct channel *channel, const struct program *program, const int *theirs,
    char *const *environment)
{
	struct nacre_process_start xauth = start_of(channel, theirs, environment);
	char name[] = "xauth", quiet[] = "-q", from_input[] = "-";
	char *const arguments[] = {name, quiet, from_input, NULL};
	struct nacre_buffer input = {0};

	xauth.path = channel->user->config->xauth_location;
	xauth.arguments = arguments;
	x11_for_xauth(channel, &input);
	return start_after(channel, program, theirs, &xauth, &input);
}

static pid_t
start_with_first(const struct channel *channel, const struct program *program, const int *theirs,
    char *const *environment)
{
	struct nacre_buffer command = {0};
	pid_t child;

	if (program->change_password)
		return start_program(channel, program, theirs, environment, NULL);
	if (login_script_command(channel, program->subsystem != NULL, &command))
		child = start_with_script(channel, program, theirs, environment,
		    (const char *)command.data + command.start);
	else if (x11_display(channel) != NULL)
		child = start_with_xauth(channel, program, theirs, environment);
	else
		child = start_program(channel, program, theirs, environment, NULL);
	nacre_buffer_free(&command);
	return child;
}

/* Where no program is behind it, there is nobody that it could write to. */
static void
run_script_alone(struct channel *channel, const struct program *program)
{
	const struct program nothing = {.command = ":", .subsystem = program->subsystem};
	struct environment environment = {0};
	struct nacre_buffer command = {0};
	int nowhere = -1;
	pid_t child = -1;

	if (login_script_command(channel, true, &command) &&
	    nacre_process_memory_file("nowhere", (struct nacre_span){NULL, 0}, &nowhere) == 0) {
		const int theirs[3] = {nowhere, nowhere, nowhere};
		environment_make(channel, program->original, &environment);
		child = start_with_script(channel, &nothing, theirs, environment.entries,
		    (const char *)command.data + command.start);
		close(nowhere);
	}
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	environment_free(&environment);
	nacre_buffer_free(&command);
}

static bool
start_with(struct channel *channel, const struct program *program, const int *theirs)
{
	struct environment environment = {0};

	environment_make(channel, program->original, &environment);
	channel->child = start_with_first(channel, program, theirs, environment.entries);
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

/* In place of a program there was only something to say. */
static bool
end_at_once(struct channel *channel, int status)
{
	channel->started = true;
	session_child_ended(channel, status << 8);
	return true;
}

/* What is said before the program starts; a login on a terminal is recorded. */
static void
greet(struct channel *channel, const struct program *program)
{
	struct nacre_buffer last = {0};

	if (program->command == NULL)
		greeting_show(channel);
	else if (channel->has_terminal)
		terminal_record(channel, &last);
	nacre_buffer_free(&last);
}

bool
program_start(struct channel *channel, const char *command, const char *subsystem)
{
	struct program program = {.command = command, .subsystem = subsystem};

	if (channel->started || channel->sftp != NULL)
		return false;
	decide(channel, &program);
	log_start(channel, &program);
	set_timeout(channel, command, subsystem);
	if (greeting_refuses(channel))
		return end_at_once(channel, REFUSED_EXIT);
	greet(channel, &program);
	program.change_password = channel->user->login->password_expired;
	if (program.change_password && !greeting_asks_for_password(channel))
		return end_at_once(channel, 1);
	if (channel->has_terminal)
		user_mark_packets(channel->user);
	else
		channel_is_bulk(channel);
	program.sftp = program.sftp && !program.change_password;
	program.sftp_only = program.sftp_only && !program.change_password;
	if (program.sftp) {
		run_script_alone(channel, &program);
		return sftp_start(channel, program.command);
	}
	if (program.sftp_only) {
		greeting_say(channel, nacre_span_of(SFTP_ONLY), NACRE_STREAM_DATA);
		return end_at_once(channel, 1);
	}
	channel->started = channel->has_terminal ? start_on_terminal(channel, &program)
						 : start_on_pipes(channel, &program);
	return channel->started;
}
