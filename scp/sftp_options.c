/* The command line of sftp. */
#include <scp/sftp.h>

#include <nacre/ssh_config.h>

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LETTERS "1246AB:CD:F:J:NP:R:S:X:ab:c:fhi:l:o:pqrs:v"

static _Noreturn void
sftp_usage(void)
{
	fprintf(stderr, "usage: sftp [-46AaCfNpqrv] [-B buffer_size] [-b batchfile] [-c cipher]\n"
			"            [-D sftp_server_command] [-F ssh_config] [-i identity_file]\n"
			"            [-J destination] [-l limit] [-o ssh_option] [-P port]\n"
			"            [-R num_requests] [-S program] [-s subsystem | sftp_server]\n"
			"            [-X sftp_option] destination\n");
	exit(1);
}

static void
set_block(struct sftp_options *options, const char *text)
{
	options->connection.block =
	    (uint32_t)option_number(text, NACRE_SFTP_DATA_MAX, "buffer size");
}

static void
set_requests(struct sftp_options *options, const char *text)
{
	options->connection.requests =
	    (uint32_t)option_number(text, UINT32_MAX, "number of requests");
}

static void
set_batch(struct sftp_options *options, const char *path)
{
	if (options->batch_file != NULL)
		die("Batch file already specified.");
	options->batch_file = path;
	options->quiet = true;
	option_pass(&options->connection, 'o', "BatchMode=yes");
}

static void
set_transfer_option(struct sftp_options *options, const char *text)
{
	static const char *const overlaps[] = {
	    [OVERLAP_MARKED] = "marked", [OVERLAP_ALL] = "all", [OVERLAP_NONE] = "none"};

	if (strncmp(text, "overlap=", 8) != 0) {
		option_set_transfer_option(&options->connection, text);
		return;
	}
	for (size_t i = 0; i < sizeof overlaps / sizeof *overlaps; i++)
		if (strcmp(text + 8, overlaps[i]) == 0) {
			options->overlap = (enum overlap)i;
			return;
		}
	die("Invalid overlap \"%s\": it is \"marked\", \"all\" or \"none\"", text + 8);
}

static void
set_server(struct sftp_options *options, const char *command)
{
	options->connection.sftp_server = command;
}

static void
set_program(struct sftp_options *options, const char *path)
{
	options->connection.program = path;
}

static void
set_subsystem(struct sftp_options *options, const char *name)
{
	options->connection.subsystem = name;
}

static void
be_quiet(struct sftp_options *options, const char *unused)
{
	options->quiet = true;
	option_be_quiet(&options->connection, unused);
}

/* A flag that is set, or a function that takes the option's argument. */
static const struct {
	int option;
	size_t flag;
	void (*apply)(struct sftp_options *options, const char *argument);
} own_options[] = {
    {'B', 0, set_block},
    {'D', 0, set_server},
    {'N', offsetof(struct sftp_options, talkative), NULL},
    {'R', 0, set_requests},
    {'S', 0, set_program},
    {'X', 0, set_transfer_option},
    {'a', offsetof(struct sftp_options, resume), NULL},
    {'b', 0, set_batch},
    {'f', offsetof(struct sftp_options, flush), NULL},
    {'p', offsetof(struct sftp_options, preserve), NULL},
    {'q', 0, be_quiet},
    {'r', offsetof(struct sftp_options, recursive), NULL},
    {'s', 0, set_subsystem},
};

/* Those that do the same in scp. */
static const struct {
	int option;
	void (*apply)(struct options *options, const char *argument);
} shared_options[] = {
    {'1', option_refuse_version_1},
    {'2', option_accept_version_2},
    {'F', option_set_user_file},
    {'l', option_set_limit},
    {'v', option_be_verbose},
};

static void
apply_option(struct sftp_options *options, int option, const char *argument)
{
	for (size_t i = 0; i < sizeof shared_options / sizeof *shared_options; i++)
		if (shared_options[i].option == option) {
			shared_options[i].apply(&options->connection, argument);
			return;
		}
	for (size_t i = 0; i < sizeof own_options / sizeof *own_options; i++) {
		if (own_options[i].option != option)
			continue;
		if (own_options[i].apply != NULL)
			own_options[i].apply(options, argument);
		else
			*(bool *)((char *)options + own_options[i].flag) = true;
		return;
	}
	sftp_usage();
}

/* "[user@]host[:path]" or "sftp://[user@]host[:port][/path]". */
static void
parse_destination(struct sftp_options *options, const char *text)
{
	struct location location;

	if (strncmp(text, "sftp://", 7) == 0) {
		if (nacre_parse_destination(text, "sftp", &options->user, &options->host,
			&options->port, &options->path) != 0 ||
		    options->host == NULL)
			die("Invalid URI.");
		return;
	}
	location_parse(&location, text);
	if (location.remote) {
		options->user = location.user;
		options->host = location.host;
		options->path = location.path;
		return;
	}
	/* Without a path. */
	if (nacre_parse_destination(
		text, "sftp", &options->user, &options->host, &options->port, NULL) != 0)
		die("%s: no host name", text);
	location_free(&location);
}

void
sftp_options_read(struct sftp_options *options, int argc, char **argv)
{
	int option;

	options->port = -1;
	while ((option = getopt(argc, argv, LETTERS)) != -1)
		if (!option_pass(&options->connection, option, optarg))
			apply_option(options, option, optarg);
	if (options->talkative)
		options->quiet = false;
	if (options->connection.sftp_server != NULL) {
		if (optind < argc)
			sftp_usage();
		return;
	}
	if (argc - optind < 1 || argc - optind > 2)
		sftp_usage();
	parse_destination(options, argv[optind]);
	if (optind + 1 < argc)
		options->target = argv[optind + 1];
}
