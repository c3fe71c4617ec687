/* scp: which way the operands are copied. */
#include <scp/scp.h>

#include <nacre/log.h>
#include <nacre/process.h>

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Ways ------------------------------------------------------------------------------------- */

static int
run_program(char *const *arguments)
{
	pid_t child;
	int status = 0, error = posix_spawnp(&child, arguments[0], NULL, NULL, arguments, environ);

	if (error != 0)
		die("%s: %s", arguments[0], strerror(error));
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* Between local names cp(1) does it. */
static int
copy_locally(const struct options *options, const struct location *source, const char *target)
{
	struct words words = {0};
	int status;

	words_add(&words, "cp");
	if (options->recursive)
		words_add(&words, "-r");
	if (options->preserve)
		words_add(&words, "-p");
	words_add(&words, "--");
	words_add(&words, source->path);
	words_add(&words, target);
	status = run_program(words.items);
	words_free(&words);
	return status == 0 ? 0 : 1;
}

static void
put_quoted(struct nacre_buffer *command, const char *text)
{
	nacre_put_byte(command, '\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			nacre_put_bytes(command, "'\\''", 4);
		else
			nacre_put_byte(command, (uint8_t)*text);
	}
	nacre_put_byte(command, '\'');
}

/* The command that a source host runs for -R. Its own path is left to its shell's patterns. */
static char *
direct_command(
    const struct options *options, const struct location *source, const struct location *target)
{
	struct nacre_buffer command = {0};
	char *text;

	nacre_put_format(&command, "scp%s%s%s%s%s%s -- ", options->verbose ? " -v" : "",
	    options->recursive ? " -r" : "", options->preserve ? " -p" : "",
	    options->quiet ? " -q" : "", options->legacy ? " -O" : "",
	    options->trust_names ? " -T" : "");
	nacre_put_format(&command, "%s ", source->path);
	if (target->user != NULL) {
		put_quoted(&command, target->user);
		nacre_put_byte(&command, '@');
	}
	put_quoted(&command, target->host);
	nacre_put_byte(&command, ':');
	put_quoted(&command, target->path);
	text = nacre_span_to_string(nacre_buffer_span(&command));
	nacre_buffer_free(&command);
	if (text == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	return text;
}

static int
copy_directly(
    const struct options *options, const struct location *source, const struct location *target)
{
	char *command = direct_command(options, source, target);
	struct link *link = link_open(options, source, command);
	const bool wants = true;
	struct nacre_span data;

	free(command);
	if (link == NULL)
		return 1;
	for (;;) {
		while (link_data(link, &data)) {
			fwrite(data.data, 1, data.length, stdout);
			link_consumed(link, data.length);
		}
		fflush(stdout);
		if (link_ended(link))
			break;
		link_flush(link);
		link_wait(&link, &wants, 1, -1);
	}
	return link_close(link) == 0 ? 0 : 1;
}

/* The worst is what the program ends with. */
static void
note_status(int *status, int more)
{
	if (more > *status)
		*status = more;
}

/* Takes a run of sources that go the same way; returns how many. */
static size_t
copy_some(const struct options *options, struct location *sources, size_t count,
    struct location *target, int *status)
{
	size_t same = 1;

	if (!sources[0].remote && !target->remote) {
		if (options_need_sftp(options))
			die("long options need a remote host");
		note_status(status, copy_locally(options, &sources[0], target->path));
		return 1;
	}
	if (sources[0].remote && target->remote && options->direct) {
		if (target->port != -1)
			die("target port not supported with two remote hosts and the -R option");
		note_status(status, copy_directly(options, &sources[0], target));
		return 1;
	}
	while (same < count && (target->remote || sources[same].remote))
		same++;
	note_status(status, options->legacy ? copy_by_rcp(options, sources, same, target)
					    : copy_by_sftp(options, sources, same, target));
	return same;
}

/* Several sources go to a directory only. */
static void
require_directory(const char *path)
{
	struct stat status;

	const int error = stat(path, &status) != 0 ? errno : S_ISDIR(status.st_mode) ? 0 : ENOTDIR;
	if (error == 0)
		return;
	fprintf(stderr, "%s: %s\n", path, strerror(error));
	exit(1);
}

static int
copy_all(struct options *options, char **operands, size_t count)
{
	struct location *sources = calloc(count, sizeof *sources), target;
	int status = 0;

	if (sources == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	for (size_t i = 0; i + 1 < count; i++)
		location_parse(&sources[i], operands[i]);
	location_parse(&target, operands[count - 1]);
	if (!target.remote && count > 2)
		require_directory(target.path);
	for (size_t i = 0; i + 1 < count;)
		i += copy_some(options, sources + i, count - 1 - i, &target, &status);
	for (size_t i = 0; i + 1 < count; i++)
		location_free(&sources[i]);
	location_free(&target);
	free(sources);
	return status;
}

/* Many files are open at once. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= 1024)
		return;
	limit.rlim_cur = limit.rlim_max < 1024 ? limit.rlim_max : 1024;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int
main(int argc, char **argv)
{
	static struct options options; /* reachable to the end */

	nacre_process_sanitise_descriptors();
	signal(SIGPIPE, SIG_IGN);
	message_prefix("scp: ");

	const int operand = options_read(&options, argc, argv);
	char **const operands = argv + operand;
	const size_t count = (size_t)(argc - operand);

	nacre_log_open("scp", NACRE_LOG_STDERR, NULL, 0);
	raise_descriptor_limit();
	if (options.source || options.sink)
		return serve_rcp(&options, options.source, operands, count);
	if (count < 2)
		usage();
	return copy_all(&options, operands, count);
}
