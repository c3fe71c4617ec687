/*
 * A connection through a program: ProxyCommand, or our own ssh -W for ProxyJump. Its standard input
 * and output are one socket, its standard error is ours.
 */
#include <client/client.h>

#include <nacre/process.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS_MAX 16

static _Noreturn void
proxy_child(int socket, char *const *arguments)
{
	if (dup2(socket, STDIN_FILENO) >= 0 && dup2(socket, STDOUT_FILENO) >= 0) {
		signal(SIGPIPE, SIG_DFL);
		execvp(arguments[0], arguments);
	}
	nacre_log(NACRE_LOG_ERROR, "%s: %s", arguments[0], strerror(errno));
	_exit(127);
}

/* ProxyUseFdpass: the program connects, hands the socket over with one byte, and ends. */
static int
receive_descriptor(struct nacre_client *client, int from)
{
	size_t count = 1;
	int fd = -1, status;
	char byte;

	if (nacre_process_receive(from, &byte, 1, &fd, &count) != 0 || count != 1)
		nacre_log(NACRE_LOG_FATAL, "proxy dialer did not pass back a connection");
	close(from);
	while (waitpid(client->proxy, &status, 0) < 0 && errno == EINTR)
		continue;
	client->proxy = 0;
	if (fd < 0)
		return NACRE_ERROR_CLOSED;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	client->fd = fd;
	return 0;
}

void
proxy_end(struct nacre_client *client)
{
	if (client->proxy > 0)
		kill(client->proxy, SIGHUP);
}

static int
start(struct nacre_client *client, char *const *arguments, bool passes)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return NACRE_ERROR_SYSTEM;
	client->proxy = fork();
	if (client->proxy == 0)
		proxy_child(ends[1], arguments);
	close(ends[1]);
	if (client->proxy > 0 && passes)
		return receive_descriptor(client, ends[0]);
	/* Ours alone does not block. */
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	client->fd = ends[0];
	return client->proxy < 0 ? NACRE_ERROR_SYSTEM : 0;
}

static int
start_command(struct nacre_client *client)
{
	struct nacre_ssh_config *const config = client->config;
	char *const expanded =
	    nacre_ssh_config_expand(config, "ProxyCommand", config->proxy_command, NULL, 0);
	const char *const shell = getenv("SHELL");
	struct nacre_buffer command = {0};
	int error = NACRE_ERROR_FORMAT;

	if (expanded != NULL) {
		nacre_put_format(&command, "exec %s", expanded);
		nacre_put_byte(&command, '\0');
		char *const arguments[] = {
		    (char *)(shell != NULL && *shell != '\0' ? shell : "/bin/sh"), (char *)"-c",
		    (char *)command.data, NULL};
		nacre_log(NACRE_LOG_DEBUG1, "Executing proxy command: exec %s", expanded);
		error = command.failed ? NACRE_ERROR_MEMORY
				       : start(client, arguments, config->proxy_use_fdpass);
	} else {
		nacre_log_lines(NACRE_LOG_ERROR, nacre_buffer_span(&config->error));
	}
	nacre_buffer_free(&command);
	free(expanded);
	return error;
}

/* The ssh program beside this one, so that a build folder and an installation both work. */
static char *
own_ssh_program(const struct nacre_client *client)
{
	char path[4096];

	if (client->ssh_program != NULL)
		return strdup(client->ssh_program);
	const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 5);
	if (length <= 0)
		return strdup("ssh");
	path[length] = '\0';
	char *const slash = strrchr(path, '/');
	if (slash == NULL)
		return strdup("ssh");
	snprintf(slash, sizeof path - (size_t)(slash - path), "/ssh");
	return access(path, X_OK) == 0 ? strdup(path) : strdup("ssh");
}

/* The command line of the ssh that talks to the last hop, and the strings that it is made of. */
struct jump {
	const char *arguments[ARGUMENTS_MAX];
	size_t count;
	char *program, *user, *host, *path;
	char *before;      /* the hops before the last */
	char *destination; /* of the last hop: where we want to go */
	char port[12];
};

static void
jump_put(struct jump *jump, const char *option, const char *value)
{
	if (option != NULL)
		jump->arguments[jump->count++] = option;
	if (value != NULL)
		jump->arguments[jump->count++] = value;
}

static void
jump_free(struct jump *jump)
{
	free(jump->program);
	free(jump->user);
	free(jump->host);
	free(jump->path);
	free(jump->before);
	free(jump->destination);
}

/* Verbosity as ours, one "v" a level. */
static const char *
verbosity_option(void)
{
	const int level = (int)nacre_log_level_get() - (int)NACRE_LOG_VERBOSE;

	if (nacre_log_level_get() == NACRE_LOG_QUIET)
		return "-q";
	return level >= 3 ? "-vvv" : level == 2 ? "-vv" : level == 1 ? "-v" : NULL;
}

/* The hop that talks to the target is the last; those before it are its own jumps. */
static int
jump_read(const struct nacre_client *client, struct jump *jump)
{
	const struct nacre_ssh_config *const config = client->config;
	const char *const jumps = config->proxy_jump;
	const char *const comma = strrchr(jumps, ',');
	int port = -1;

	if (nacre_parse_destination(comma != NULL ? comma + 1 : jumps, "ssh", &jump->user,
		&jump->host, &port, &jump->path) != 0) {
		nacre_log(NACRE_LOG_ERROR, "Invalid -J argument or ProxyJump \"%s\"", jumps);
		return NACRE_ERROR_FORMAT;
	}
	if (port > 0)
		snprintf(jump->port, sizeof jump->port, "%d", port);
	if (comma != NULL && (jump->before = strndup(jumps, (size_t)(comma - jumps))) == NULL)
		return NACRE_ERROR_MEMORY;
	if (asprintf(&jump->destination, "[%s]:%d", config->hostname, config->port) < 0) {
		jump->destination = NULL;
		return NACRE_ERROR_MEMORY;
	}
	return (jump->program = own_ssh_program(client)) != NULL ? 0 : NACRE_ERROR_MEMORY;
}

static void
jump_compose(const struct nacre_client *client, struct jump *jump)
{
	jump_put(jump, jump->program, NULL);
	if (jump->before != NULL)
		jump_put(jump, "-J", jump->before);
	if (jump->user != NULL)
		jump_put(jump, "-l", jump->user);
	if (*jump->port != '\0')
		jump_put(jump, "-p", jump->port);
	if (client->user_file != NULL)
		jump_put(jump, "-F", client->user_file);
	jump_put(jump, verbosity_option(), NULL);
	jump_put(jump, "-W", jump->destination);
	jump_put(jump, "--", jump->host);
}

static int
start_jump(struct nacre_client *client)
{
	struct jump jump = {0};
	int error = jump_read(client, &jump);

	if (error == 0) {
		jump_compose(client, &jump);
		nacre_log(NACRE_LOG_DEBUG1,
		    "Setting implicit ProxyCommand from ProxyJump: %s -W '%s' via %s", jump.program,
		    jump.destination, client->config->proxy_jump);
		error = start(client, (char *const *)jump.arguments, false);
	}
	jump_free(&jump);
	return error;
}

int
proxy_start(struct nacre_client *client)
{
	return client->config->proxy_command != NULL ? start_command(client) : start_jump(client);
}
