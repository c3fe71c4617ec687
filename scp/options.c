/* The command line of scp. */
#include <scp/scp.h>

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define LETTERS "12346ABCD:F:J:OP:RS:TX:c:dfi:l:o:pqrstv"

_Noreturn void
usage(void)
{
	fprintf(stderr,
	    "usage: scp [-346ABCOpqRrsTv] [-c cipher] [-D sftp_server_path] [-F ssh_config]\n"
	    "           [-i identity_file] [-J destination] [-l limit] [-o ssh_option]\n"
	    "           [-P port] [-S program] [-X sftp_option] source ... target\n");
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
		if (!option_pass(options, option, optarg))
			apply_option(options, option, optarg);
	return optind;
}
