/*
 * ssh(1): reads the command line and the configuration, logs in, runs the session, and exits with
 * the remote command's status.
 */
#include "ssh/ssh.h"
#include "ssh/x11.h"

#include <nacre/crypto.h>
#include <nacre/log.h>
#include <nacre/process.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_OWN_ERROR 255

static void
print_span(FILE *file, struct nacre_span text)
{
	if (text.length > 0) /* an empty span may point nowhere */
		fwrite(text.data, 1, text.length, file);
}

static const char *
session_type(const struct command_line *line)
{
	if (line->config->session_type == NACRE_SESSION_NONE || line->stdio_host != NULL)
		return "none";
	if (line->config->session_type == NACRE_SESSION_SUBSYSTEM)
		return "subsystem";
	return line->command != NULL ? "exec" : "shell";
}

static void
load_configuration(struct command_line *line)
{
	const struct nacre_ssh_config_request request = {
	    .host = line->host,
	    .command = line->command,
	    .session_type = session_type(line),
	    .version = "Nacre_" NACRE_VERSION,
	    .user_file = line->user_file,
	    .assemble = nacre_client_assemble,
	    .canonicalize = nacre_client_canonicalize,
	};

	if (nacre_ssh_config_load(line->config, &request) == 0) {
		print_span(stderr, nacre_buffer_span(&line->config->warnings));
		return;
	}
	const struct nacre_span error = nacre_buffer_span(&line->config->error);
	print_span(stderr, error);
	if (error.length == 0 || error.data[error.length - 1] != '\n')
		fputc('\n', stderr);
	exit(EXIT_OWN_ERROR);
}

static void
log_notes(const struct nacre_ssh_config *config)
{
	struct nacre_span notes = nacre_buffer_span(&config->notes);

	while (notes.length > 0) {
		const uint8_t *const end = memchr(notes.data, '\n', notes.length);
		const size_t length = end != NULL ? (size_t)(end - notes.data) : notes.length;
		const size_t step = end != NULL ? length + 1 : length;

		nacre_log(NACRE_LOG_DEBUG1, "%.*s", (int)length, (const char *)notes.data);
		notes.data += step;
		notes.length -= step;
	}
}

static void
open_log(const struct command_line *line)
{
	const struct nacre_ssh_config *const config = line->config;

	if (line->log_file != NULL &&
	    nacre_log_open("ssh", NACRE_LOG_FILE, line->log_file, config->syslog_facility) != 0) {
		perror(line->log_file);
		exit(EXIT_OWN_ERROR);
	}
	if (line->log_to_syslog && line->log_file == NULL)
		nacre_log_open("ssh", NACRE_LOG_SYSLOG, NULL, config->syslog_facility);
	nacre_log_level_set((enum nacre_log_level)config->log_level);
	nacre_log_verbose_set(config->log_verbose.words, config->log_verbose.count);
	nacre_log(NACRE_LOG_DEBUG1, "Nacre_" NACRE_VERSION ", %s", nacre_crypto_versions(false));
	log_notes(config);
}

static void
print_configuration(const struct command_line *line)
{
	struct nacre_buffer text = {0};

	nacre_ssh_config_print(line->config, &text);
	print_span(stdout, nacre_buffer_span(&text));
	nacre_buffer_free(&text);
}

/* Whether the session gets a terminal, as RequestTTY and standard input say. */
static bool
wants_terminal(const struct command_line *line)
{
	const struct nacre_ssh_config *const config = line->config;
	const bool wanted = config->request_tty == NACRE_YES ||
			    config->request_tty == NACRE_FORCE ||
			    (config->request_tty == NACRE_AUTO && line->command == NULL);

	if (!wanted || line->mux_command != MUX_COMMAND_NONE || line->stdio_host != NULL ||
	    config->session_type == NACRE_SESSION_NONE)
		return false;
	if (config->request_tty == NACRE_FORCE || (isatty(STDIN_FILENO) && !config->stdin_null))
		return true;
	nacre_log(NACRE_LOG_INFO,
	    "Pseudo-terminal will not be allocated because stdin is not a terminal.");
	return false;
}

/* RemoteCommand stands in for a command on the command line. */
static void
choose_command(struct command_line *line)
{
	struct nacre_ssh_config *const config = line->config;

	if (config->remote_command == NULL)
		return;
	if (line->command != NULL)
		nacre_fatal("Cannot execute command-line and remote command.");
	line->command =
	    nacre_ssh_config_expand(config, "RemoteCommand", config->remote_command, NULL, 0);
	if (line->command == NULL)
		nacre_fatal("RemoteCommand: %s", config->remote_command);
}

static void
check_plan(const struct session_plan *plan)
{
	const struct nacre_ssh_config *const config = plan->config;
	if (config->fork_after_authentication && plan->command == NULL &&
	    config->session_type != NACRE_SESSION_NONE)
		nacre_fatal("Cannot fork into background without a command to execute.");
	if (config->session_type == NACRE_SESSION_SUBSYSTEM && plan->command == NULL)
		nacre_fatal("You must specify a subsystem to invoke.");
	if (config->refuse_connection != NULL)
		nacre_fatal("%s", config->refuse_connection);
}

/* The command may rely on what is forwarded for it. */
static bool
forwards_first(const struct nacre_ssh_config *config)
{
	return !config->clear_all_forwardings &&
	       (config->remote_forward.count > 0 || config->tunnel != NACRE_TUNNEL_NO ||
		   (config->local_forward.count > 0 && config->exit_on_forward_failure));
}

/* A session that nothing stands before: no other channel, no command of ours, no parting. */
static bool
starts_at_once(const struct session_plan *plan)
{
	const struct nacre_ssh_config *const config = plan->config;

	return plan->stdio_host == NULL && config->session_type != NACRE_SESSION_NONE &&
	       !config->fork_after_authentication && !forwards_first(config) &&
	       !(config->permit_local_command && config->local_command != NULL);
}

static void
use_null(int standard)
{
	const int fd = open("/dev/null", O_RDWR);

	if (fd >= 0 && fd != standard) {
		dup2(fd, standard);
		close(fd);
	}
}

/* LocalCommand runs, and ends, before the session starts. */
static void
run_local_command(struct nacre_ssh_config *config)
{
	if (!config->permit_local_command || config->local_command == NULL)
		return;
	char *const command =
	    nacre_ssh_config_expand(config, "LocalCommand", config->local_command, NULL, 0);
	if (command == NULL)
		nacre_fatal("LocalCommand: %s", config->local_command);
	nacre_log(NACRE_LOG_DEBUG1, "Executing local command: %s", command);
	if (system(command) != 0)
		nacre_log(NACRE_LOG_DEBUG1, "Local command failed: %s", command);
	free(command);
}

/* -f: the caller gets its shell back; the session goes on without a terminal of its own. */
void
go_to_background(struct nacre_client *client)
{
	const pid_t pid = fork();

	if (pid < 0)
		nacre_fatal("fork: cannot go to the background");
	if (pid > 0) {
		nacre_client_free(client);
		exit(EXIT_SUCCESS);
	}
	setsid();
}

static bool
shares(const struct nacre_ssh_config *config)
{
	return config->control_path != NULL && config->control_master != NACRE_NO;
}

/* What the login asks of a channel that it opens for a process that is not known yet. */
static void
request_nothing(void *context, struct nacre_client *client, uint32_t channel)
{
	(void)context;
	(void)client;
	(void)channel;
}

/* ControlPersist: the connection stays behind in a process of its own, and this one is the first to
 * share it. Returns in the other. */
static void
leave_master_behind(struct nacre_client *client, struct session_plan *plan)
{
	const pid_t pid = fork();

	if (pid < 0)
		nacre_fatal("fork: cannot leave a master behind");
	if (pid > 0) {
		nacre_client_free(client);
		mux_master_forget(plan->master);
		plan->config->control_master = NACRE_NO;
		plan->config->clear_all_forwardings = true; /* the master has them */
		const int status = mux_client_run(plan, MUX_COMMAND_NONE);
		exit(status >= 0 ? status : EXIT_OWN_ERROR);
	}
	setsid();
	plan->detached = true;
	plan->terminal = false;
}

static int
run_connection(struct nacre_client *client, struct session_plan *plan)
{
	struct nacre_ssh_config *const config = plan->config;

	run_local_command(config);
	plan->master = mux_master_new(config);
	if (plan->master != NULL && config->control_persist)
		leave_master_behind(client, plan);
	const int status = connection_run(client, plan);
	nacre_client_close(client);
	return status;
}

int
main(int argc, char **argv)
{
	static struct command_line line; /* lives as long as the process */
	static struct x11_forward x11;
	struct nacre_client *client;

	nacre_process_sanitise_descriptors();
	command_line_read(&line, argc, argv);
	load_configuration(&line);
	if (line.print_configuration) {
		print_configuration(&line);
		return EXIT_SUCCESS;
	}
	open_log(&line);
	choose_command(&line);
	struct session_plan plan = {
	    .config = line.config,
	    .command = line.command,
	    .stdio_host = line.stdio_host,
	    .stdio_port = line.stdio_port,
	    .terminal = wants_terminal(&line),
	};
	check_plan(&plan);
	plan.opens_bare = shares(line.config) && line.config->control_persist;
	if (plan.config->forward_x11 && plan.stdio_host == NULL &&
	    plan.config->session_type != NACRE_SESSION_NONE && x11_prepare(&x11, plan.config))
		plan.x11 = &x11;
	const struct nacre_client_options options = {
	    .config = line.config,
	    .user_file = line.user_file,
	    .interactive = plan.terminal,
	    .request = plan.opens_bare         ? request_nothing
		       : starts_at_once(&plan) ? session_request
					       : NULL,
	    .context = &plan,
	};
	if (line.config->stdin_null)
		use_null(STDIN_FILENO);
	const int shared = mux_client_run(&plan, line.mux_command);
	if (shared >= 0)
		return shared;
	if (nacre_client_open(&options, &client) != 0)
		return EXIT_OWN_ERROR;
	return run_connection(client, &plan);
}
