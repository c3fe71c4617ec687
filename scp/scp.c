/* scp: the command line, and which way the operands are copied. */
#include <scp/scp.h>

#include <nacre/log.h>

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

void
words_add(struct words *words, const char *text)
{
	char **items = reallocarray(words->items, words->count + 2, sizeof *items);

	if (items == NULL || (items[words->count] = strdup(text)) == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	items[++words->count] = NULL;
	words->items = items;
}

static void
print_message(const char *format, va_list arguments)
{
	char *text;

	/* A meter may have left the cursor in its line. */
	if (isatty(STDOUT_FILENO)) {
		fputs("\r", stdout);
		fflush(stdout);
	}
	if (vasprintf(&text, format, arguments) < 0)
		return;
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	fprintf(stderr, "scp: %s\n", text);
	free(text);
}

void
complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_message(format, arguments);
	va_end(arguments);
}

void
die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_message(format, arguments);
	va_end(arguments);
	exit(255);
}

static _Noreturn void
usage(void)
{
	fprintf(stderr,
	    "usage: scp [-346ABCOpqRrsTv] [-c cipher] [-D sftp_server_path] [-F ssh_config]\n"
	    "           [-i identity_file] [-J destination] [-l limit] [-o ssh_option]\n"
	    "           [-P port] [-S program] [-X sftp_option] source ... target\n");
	exit(1);
}

/* Options ----------------------------------------------------------------------------------- */

/* Those that ssh has, too: what they set, and that ssh's letter differs from ours. */
static const struct {
	int option;
	const char *setting; /* a value is appended where it ends in '=' */
	const char *argument;
} passed_options[] = {
    {'4', "AddressFamily=inet", "-4"},
    {'6', "AddressFamily=inet6", "-6"},
    {'A', "ForwardAgent=yes", "-A"},
    {'B', "BatchMode=yes", "-oBatchMode=yes"},
    {'C', "Compression=yes", "-C"},
    {'J', "ProxyJump=", "-J"},
    {'P', "Port=", "-p"},
    {'c', "Ciphers=", "-c"},
    {'i', "IdentityFile=", "-i"},
    {'o', "", "-o"},
};

static bool
pass_option(struct options *options, int option, const char *value)
{
	for (size_t i = 0; i < sizeof passed_options / sizeof passed_options[0]; i++) {
		const char *setting = passed_options[i].setting;
		char *text;

		if (passed_options[i].option != option)
			continue;
		if (asprintf(&text, "%s%s", setting, value != NULL ? value : "") < 0)
			die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
		words_add(&options->settings, text);
		free(text);
		words_add(&options->arguments, passed_options[i].argument);
		if (value != NULL)
			words_add(&options->arguments, value);
		return true;
	}
	return false;
}

static uint64_t
number(const char *text, uint64_t most, const char *what)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value == 0 ||
	    value > most)
		die("Invalid %s \"%s\"", what, text);
	return value;
}

static void
set_transfer_option(struct options *options, const char *text)
{
	if (strncmp(text, "nrequests=", 10) == 0)
		options->requests = (uint32_t)number(text + 10, UINT32_MAX, "number of requests");
	else if (strncmp(text, "buffer=", 7) == 0)
		options->block = (uint32_t)number(text + 7, NACRE_SFTP_DATA_MAX, "buffer size");
	else
		die("Invalid -X option");
}

static void
be_verbose(struct options *options)
{
	char setting[32];

	options->verbose++;
	if (options->verbose > 3)
		return;
	words_add(&options->arguments, "-v");
	snprintf(setting, sizeof setting, "LogLevel=DEBUG%u", options->verbose);
	/* The first value of a keyword wins: the last -v must come first. */
	if (options->verbose == 1)
		words_add(&options->settings, setting);
	else
		for (size_t i = 0; i < options->settings.count; i++)
			if (strncmp(options->settings.items[i], "LogLevel=DEBUG", 14) == 0)
				memcpy(options->settings.items[i], setting, strlen(setting));
}

struct role {
	bool sink, source; /* -t, -f */
};

static void
apply_option(struct options *options, struct role *role, int option, const char *value)
{
	switch (option) {
	case '3':
		options->direct = false;
		break;
	case 'R':
		options->direct = true;
		break;
	case 'D':
		options->sftp_server = value;
		break;
	case 'F':
		options->user_file = value;
		words_add(&options->arguments, "-F");
		words_add(&options->arguments, value);
		break;
	case 'O':
		options->legacy = true;
		break;
	case 's':
		options->legacy = false;
		break;
	case 'S':
		options->program = value;
		break;
	case 'T':
		options->trust_names = true;
		break;
	case 'X':
		set_transfer_option(options, value);
		break;
	case 'l':
		/* Kilobits of 1,024 bits, as the manual page has it. */
		options->rate = number(value, 100 * 1024 * 1024, "bandwidth limit") * 1024 / 8;
		break;
	case 'p':
		options->preserve = true;
		break;
	case 'q':
		options->quiet = true;
		words_add(&options->settings, "LogLevel=QUIET");
		words_add(&options->arguments, "-q");
		break;
	case 'r':
		options->recursive = true;
		break;
	case 'v':
		be_verbose(options);
		break;
	case 'd':
		options->to_directory = true;
		break;
	case 'f':
		role->source = true;
		break;
	case 't':
		role->sink = true;
		break;
	default:
		usage();
	}
}

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

	words_add(&words, "cp");
	if (options->recursive)
		words_add(&words, "-r");
	if (options->preserve)
		words_add(&words, "-p");
	words_add(&words, "--");
	words_add(&words, source->path);
	words_add(&words, target);
	return run_program(words.items) == 0 ? 0 : 1;
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
	for (size_t i = 0; i + 1 < count;)
		i += copy_some(options, sources + i, count - 1 - i, &target, &status);
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

static void
keep_standard_descriptors(void)
{
	int fd;

	do
		fd = dup(STDIN_FILENO);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int
main(int argc, char **argv)
{
	struct options options = {0};
	struct role role = {0};
	int option;

	keep_standard_descriptors();
	signal(SIGPIPE, SIG_IGN);
	while ((option = getopt(argc, argv, "12346ABCD:F:J:OP:RS:TX:c:dfi:l:o:pqrstv")) != -1) {
		if (!pass_option(&options, option, optarg))
			apply_option(&options, &role, option, optarg);
	}
	argc -= optind;
	argv += optind;
	nacre_log_open("scp", NACRE_LOG_STDERR, NULL, 0);
	raise_descriptor_limit();
	if (role.source || role.sink)
		return serve_rcp(&options, role.source, argv, (size_t)argc);
	if (argc < 2)
		usage();
	return copy_all(&options, argv, (size_t)argc);
}
