/* The command line of scp. */
#include <scp/scp.h>

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LETTERS "12346ABCD:F:J:OP:RS:TX:c:dfi:l:o:pqrstv"

_Noreturn void
usage(void)
{
	fprintf(stderr,
	    "usage: scp [-346ABCOpqRrsTv] [-c cipher] [-D sftp_server_path] [-F ssh_config]\n"
	    "           [-i identity_file] [-J destination] [-l limit] [-o ssh_option]\n"
	    "           [-P port] [-S program] [-X sftp_option] [--resume] [--sync] [--checksum]\n"
	    "           [--delete] [--atomic] [--keep] [--dry-run] [--exclude pattern]\n"
	    "           [--bwlimit rate] [--jobs number] source ... target\n");
	exit(1);
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

/* Bytes a second, with K, M or G behind for powers of 1,024. */
static void
set_rate(struct options *options, const char *text)
{
	static const char units[] = "KMG";
	char *end;
	const char *unit;
	unsigned long long value;
	unsigned shift = 0;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (*end != '\0' && (unit = strchr(units, toupper((unsigned char)*end))) != NULL &&
	    end[1] == '\0') {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
	}
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value == 0 ||
	    value > UINT64_MAX >> 11 >> shift)
		die("Invalid rate \"%s\": bytes a second, as in 500K or 2M", text);
	options->rate = (uint64_t)value << shift;
}

static void
set_jobs(struct options *options, const char *text)
{
	options->jobs = (unsigned)option_number(text, JOBS_MAX, "number of jobs");
}

static void
add_excluded(struct options *options, const char *pattern)
{
	words_add(&options->excluded, pattern);
}

enum long_option {
	OPTION_RESUME = 256,
	OPTION_SYNC,
	OPTION_CHECKSUM,
	OPTION_DELETE,
	OPTION_ATOMIC,
	OPTION_KEEP,
	OPTION_DRY_RUN,
	OPTION_EXCLUDE,
	OPTION_BWLIMIT,
	OPTION_JOBS
};

static const struct option long_options[] = {
    {"resume", no_argument, NULL, OPTION_RESUME},
    {"sync", no_argument, NULL, OPTION_SYNC},
    {"checksum", no_argument, NULL, OPTION_CHECKSUM},
    {"delete", no_argument, NULL, OPTION_DELETE},
    {"atomic", no_argument, NULL, OPTION_ATOMIC},
    {"keep", no_argument, NULL, OPTION_KEEP},
    {"dry-run", no_argument, NULL, OPTION_DRY_RUN},
    {"exclude", required_argument, NULL, OPTION_EXCLUDE},
    {"bwlimit", required_argument, NULL, OPTION_BWLIMIT},
    {"jobs", required_argument, NULL, OPTION_JOBS},
    {NULL, 0, NULL, 0},
};

/* Those of scp's own: a flag that is set so, or a function that takes the option's argument. */
static const struct {
	int option;
	bool value;
	size_t flag;
	void (*apply)(struct options *options, const char *argument);
} own_options[] = {
    {'1', false, 0, option_refuse_version_1},
    {'2', false, 0, option_accept_version_2},
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
    {'F', false, 0, option_set_user_file},
    {'S', false, 0, set_program},
    {'X', false, 0, option_set_transfer_option},
    {'l', false, 0, option_set_limit},
    {'q', false, 0, option_be_quiet},
    {'v', false, 0, option_be_verbose},
    {OPTION_RESUME, true, offsetof(struct options, resume), NULL},
    {OPTION_SYNC, true, offsetof(struct options, sync), NULL},
    {OPTION_CHECKSUM, true, offsetof(struct options, checksum), NULL},
    {OPTION_DELETE, true, offsetof(struct options, prune), NULL},
    {OPTION_ATOMIC, true, offsetof(struct options, atomic), NULL},
    {OPTION_KEEP, true, offsetof(struct options, keep), NULL},
    {OPTION_DRY_RUN, true, offsetof(struct options, dry_run), NULL},
    {OPTION_EXCLUDE, false, 0, add_excluded},
    {OPTION_BWLIMIT, false, 0, set_rate},
    {OPTION_JOBS, false, 0, set_jobs},
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

bool
options_need_sftp(const struct options *options)
{
	return options->resume || options->sync || options->atomic || options->dry_run ||
	       options->excluded.count > 0 || options->jobs > 1;
}

static void
check_combination(const struct options *options)
{
	if (options->checksum && !options->sync && !options->resume)
		die("--checksum goes with --sync or --resume");
	if (options->prune && !(options->sync && options->recursive))
		die("--delete goes with --sync and -r");
	if (options->keep && !(options->atomic && options->recursive && !options->sync))
		die("--keep goes with --atomic and -r, and without --sync");
	if (options_need_sftp(options) && (options->legacy || options->direct))
		die("long options work by SFTP through this host: without -O and -R");
}

int
options_read(struct options *options, int argc, char **argv)
{
	int option;

	options->jobs = 1;
	/* "+": as getopt(3) is with POSIXLY_CORRECT, operands end the options. */
	while ((option = getopt_long(argc, argv, "+" LETTERS, long_options, NULL)) != -1)
		if (!option_pass(options, option, optarg))
			apply_option(options, option, optarg);
	check_combination(options);
	return optind;
}
