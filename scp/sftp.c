/* sftp: a connection, and the commands of a person, a file or a pipe. */
#include <scp/sftp.h>

#include <nacre/log.h>
#include <nacre/process.h>

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
connect_remote(struct sftp *sftp)
{
	struct sftp_options *const options = sftp->options;
	const struct location location = {
	    .remote = true, .user = options->user, .host = options->host, .port = options->port};
	const char *const subsystem = options->connection.subsystem;
	/* A path is a command. */
	const char *const command =
	    subsystem != NULL && strchr(subsystem, '/') != NULL ? subsystem : NULL;

	/* What interrupts a transfer must not end a child that serves it: it inherits this. */
	const bool child =
	    options->connection.sftp_server != NULL || options->connection.program != NULL;
	if (child && sftp->interactive)
		signal(SIGINT, SIG_IGN);
	if (options->connection.sftp_server != NULL)
		sftp->remote.link = link_open_program(options->connection.sftp_server);
	else
		sftp->remote.link = link_open(&options->connection, &location, command);
	if (child && sftp->interactive)
		signal(SIGINT, SIG_DFL);
	return sftp->remote.link != NULL && remote_start(&sftp->remote);
}

/* What is told when a person is there to read it. */
static void
greet(const struct sftp *sftp)
{
	const struct sftp_options *const options = sftp->options;

	if (options->quiet)
		return;
	if (options->connection.sftp_server != NULL)
		fprintf(stderr, "Attached to %s.\n", options->connection.sftp_server);
	else
		fprintf(stderr, "Connected to %s.\n", options->host);
}

static int
run_batch(struct sftp *sftp)
{
	const char *const path = sftp->options->batch_file;
	const int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("%s (%s).", strerror(errno), path);
	const int result = batch_run(sftp, fd, true);
	if (fd != STDIN_FILENO)
		close(fd);
	return result;
}

/* The path behind the destination ----------------------------------------------------------------- */

/* Its directory is entered, its file is fetched and all is done; so is a directory with a target. */
static bool
run_path(struct sftp *sftp, int *status)
{
	const struct copy_flags flags = {0};
	struct answer answer = {0};
	char *const path = remote_absolute(&sftp->remote, sftp->options->path);
	const bool there = remote_stat(&sftp->remote, path, true, &answer);
	const bool directory = there && S_ISDIR(answer.attributes.permissions);

	answer_free(&answer);
	const bool entered = directory && sftp->options->target == NULL;
	if (entered) {
		char *const real = remote_real_path(&sftp->remote, path);

		if (!sftp->options->quiet)
			say("Changing to: %s\n", path);
		if (real != NULL) {
			free(sftp->remote.directory);
			sftp->remote.directory = real;
		}
	} else {
		char *const quoted = glob_quote(path);

		*status = copy_get(sftp, &flags, quoted, sftp->options->target) != 0;
		free(quoted);
	}
	free(path);
	return !entered;
}

static int
run(struct sftp *sftp)
{
	int status = 0;

	if (sftp->options->path != NULL && *sftp->options->path != '\0' && run_path(sftp, &status))
		return status;
	if (sftp->options->batch_file != NULL)
		return run_batch(sftp);
	if (sftp->interactive)
		return edit_run(sftp);
	return batch_run(sftp, STDIN_FILENO, false);
}

int
main(int argc, char **argv)
{
	static struct sftp_options options; /* reachable to the end */
	struct sftp sftp = {.options = &options};

	nacre_process_sanitise_descriptors();
	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);
	nacre_log_open("sftp", NACRE_LOG_STDERR, NULL, 0);
	sftp_options_read(&options, argc, argv);
	sftp.interactive =
	    options.batch_file == NULL && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	sftp.show_progress = !options.quiet && isatty(STDOUT_FILENO);
	if (!connect_remote(&sftp)) {
		complain("Connection closed");
		return 255;
	}
	greet(&sftp);
	const int status = run(&sftp);
	remote_end(&sftp.remote);
	return status;
}
