/* The command line of scp. */
#include <scp/scp.h>

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LETTERS "12346ABCD:F:J:OP:RS:TX:c:dfi:l:o:pqrstv"

void
words_add(struct words *words, const char *text)
{
	char **items = reallocarray(words->items, words->count + 2, sizeof *items);

	if (items == NULL || (items[words->count] = strdup(text)) == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	items[++words->count] = NULL;
	words->items = items;
}

void
words_free(struct words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->items[i]);
	free(words->items);
	*words = (struct words){0};
}

_Noreturn void
usage(void)
{
	fprintf(stderr,
	    "usage: scp [-346ABCOpqRrsTv] [-c cipher] [-D sftp_server_path] [-F ssh_config]\n"
	    "           [-i identity_file] [-J destination] [-l limit] [-o ssh_option]\n"
	    "           [-P port] [-S program] [-X sftp_option] source ... target\n");
	exit(1);
}

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
be_verbose(struct options *options, const char *unused)
{
	char setting[32];

	(void)unused;
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

static void
set_limit(struct options *options, const char *text)
{
	/* Kilobits of 1,024 bits, as the manual page has it. */
	options->rate = number(text, UINT64_C(100) * 1024 * 1024, "bandwidth limit") * 1024 / 8;
}

static void
set_user_file(struct options *options, const char *path)
{
	options->user_file = path;
	words_add(&options->arguments, "-F");
	words_add(&options->arguments, path);
}

static void
set_sftp_server(struct options *options, const char *path)
{
	options->sftp_server = path;
}

static void
set_program(struct options *options, const char *path)
{
	options->program = path;
}

static void
be_quiet(struct options *options, const char *unused)
{
	(void)unused;
	options->quiet = true;
	words_add(&options->settings, "LogLevel=QUIET");
	words_add(&options->arguments, "-q");
}

static void
refuse_version_1(struct options *options, const char *unused)
{
	(void)options;
	(void)unused;
	die("SSH protocol v.1 is no longer supported");
}

/* What is said once more needs nothing done. */
static void
accept_version_2(struct options *options, const char *unused)
{
	(void)options;
	(void)unused;
}

/* Those of scp's own: a flag that is set so, or a function that takes the option's argument. */
static const struct {
	int option;
	bool value;
	size_t flag;
	void (*apply)(struct options *options, const char *argument);
} own_options[] = {
    {'1', false, 0, refuse_version_1},
    {'2', false, 0, accept_version_2},
    {'3', false, offsetof(struct options, direct), NULL},
    {'R', true, offsetof(struct options, direct), NULL},
    {'O', true, offsetof(struct options, legacy), NULL},
    {'s', false, offsetof(struct options, legacy), NULL},
    {'T', true, offsetof(struct options, trust_names), NULL},
    {'p', true, offsetof(struct options, preserve), NULL},
    {'r', true, offsetof(struct options, recursive), NULL},
    {'d', true, offsetof(struct options, to_directory), NULL},
    {'f', true, offsetof(struct options, source), NULL},
    {'t', true, offsetof(struct options, sink), NULL},
    {'D', false, 0, set_sftp_server},
    {'F', false, 0, set_user_file},
    {'S', false, 0, set_program},
    {'X', false, 0, set_transfer_option},
    {'l', false, 0, set_limit},
    {'q', false, 0, be_quiet},
    {'v', false, 0, be_verbose},
};

static void
apply_option(struct options *options, int option, const char *argument)
{
	for (size_t i = 0; i < sizeof own_options / sizeof own_options[0]; i++) {
		if (own_options[i].option != option)
			continue;
		if (own_options[i].apply != NULL)
			own_options[i].apply(options, argument);
		else
			*(bool *)((char *)options + own_options[i].flag) = own_options[i].value;
		return;
	}
	usage();
}

int
options_read(struct options *options, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, LETTERS)) != -1)
		if (!pass_option(options, option, optarg))
			apply_option(options, option, optarg);
	return optind;
}
