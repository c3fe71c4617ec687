/*
 * A connection through a program: ProxyCommand, or our own ssh -W for ProxyJump. Its standard input
 * and output are one socket, its standard error is ours.
 */
#include <client/client.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGUMENTS_MAX 24

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

static int
start(struct nacre_client *client, char *const *arguments)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return NACRE_ERROR_SYSTEM;
	client->proxy = fork();
	if (client->proxy == 0)
		proxy_child(ends[1], arguments);
	close(ends[1]);
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
		    (char *)(uintptr_t)(shell != NULL && *shell != '\0' ? shell : "/bin/sh"),
		    (char *)(uintptr_t) "-c", (char *)command.data, NULL};
		nacre_log(NACRE_LOG_DEBUG1, "Executing proxy command: exec %s", expanded);
		error = command.failed ? NACRE_ERROR_MEMORY : start(client, arguments);
	} else {
		log_lines(NACRE_LOG_ERROR, nacre_buffer_span(&config->error));
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

struct arguments {
	char *list[ARGUMENTS_MAX];
	size_t count;
	bool failed;
};

static void
argument_put(struct arguments *arguments, char *text)
{
	if (text == NULL || arguments->count + 1 == ARGUMENTS_MAX) {
		free(text);
		arguments->failed = true;
		return;
	}
	arguments->list[arguments->count++] = text;
}

static void
argument_put_copy(struct arguments *arguments, const char *text)
{
	argument_put(arguments, strdup(text));
}

static void argument_put_format(struct arguments *arguments, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
argument_put_format(struct arguments *arguments, const char *format, ...)
{
	va_list list;
	char *text = NULL;

	va_start(list, format);
	if (vasprintf(&text, format, list) < 0)
		text = NULL;
	va_end(list);
	argument_put(arguments, text);
}

static void
arguments_free(struct arguments *arguments)
{
	for (size_t i = 0; i < arguments->count; i++)
		free(arguments->list[i]);
}

/* Verbosity as ours, one "v" a level. */
static void
put_verbosity(struct arguments *arguments)
{
	const int level = (int)nacre_log_level_get() - (int)NACRE_LOG_VERBOSE;

	if (nacre_log_level_get() == NACRE_LOG_QUIET)
		argument_put_copy(arguments, "-q");
	else if (level > 0)
		argument_put_copy(arguments, level >= 3 ? "-vvv" : level == 2 ? "-vv" : "-v");
}

/* The hop that talks to the target is the last; those before it are its own jumps. */
static int
put_jump(const struct nacre_client *client, struct arguments *arguments)
{
	const struct nacre_ssh_config *const config = client->config;
	const char *const jumps = config->proxy_jump;
	const char *const comma = strrchr(jumps, ',');
	const char *const last = comma != NULL ? comma + 1 : jumps;
	char *user = NULL, *host = NULL, *path = NULL;
	int port = -1;

	if (nacre_parse_destination(last, "ssh", &user, &host, &port, &path) != 0) {
		nacre_log(NACRE_LOG_ERROR, "Invalid -J argument or ProxyJump \"%s\"", jumps);
		return NACRE_ERROR_FORMAT;
	}
	if (comma != NULL) {
		argument_put_copy(arguments, "-J");
		argument_put(arguments, strndup(jumps, (size_t)(comma - jumps)));
	}
	if (user != NULL) {
		argument_put_copy(arguments, "-l");
		argument_put_copy(arguments, user);
	}
	if (port > 0) {
		argument_put_copy(arguments, "-p");
		argument_put_format(arguments, "%d", port);
	}
	if (client->user_file != NULL) {
		argument_put_copy(arguments, "-F");
		argument_put_copy(arguments, client->user_file);
	}
	put_verbosity(arguments);
	argument_put_copy(arguments, "-W");
	argument_put_format(arguments, "[%s]:%d", config->hostname, config->port);
	argument_put_copy(arguments, "--");
	argument_put_copy(arguments, host);
	free(user);
	free(host);
	free(path);
	return arguments->failed ? NACRE_ERROR_MEMORY : 0;
}

static int
start_jump(struct nacre_client *client)
{
	struct arguments arguments = {0};

	argument_put(&arguments, own_ssh_program(client));
	int error = put_jump(client, &arguments);
	if (error == 0) {
		nacre_log(NACRE_LOG_DEBUG1,
		    "Setting implicit ProxyCommand from ProxyJump: %s -W "
		    "'[%s]:%d' via %s",
		    arguments.list[0], client->config->hostname, client->config->port,
		    client->config->proxy_jump);
		error = start(client, arguments.list);
	}
	arguments_free(&arguments);
	return error;
}

int
proxy_start(struct nacre_client *client)
{
	return client->config->proxy_command != NULL ? start_command(client) : start_jump(client);
}
