/* sshd: the command line, and which of its lives a process leads. */
#include "server.h"

#include <nacre/crypto.h>
#include <nacre/log.h>
#include <nacre/process.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPTIONS "46C:DE:GTVb:c:def:g:h:io:p:qtu:"

static _Noreturn void
usage(void)
{
	fprintf(stderr, SERVER_SOFTWARE
	    "\n"
	    "usage: sshd [-46DdeGiqTtV] [-C connection_spec] [-c host_cert_file] [-E log_file]\n"
	    "            [-f config_file] [-g login_grace_time] [-h host_key_file] [-o option]\n"
	    "            [-p port] [-u len]\n");
	exit(1);
}

static void
add_option(struct command_line *line, const char *keyword, const char *value)
{
	char **options = reallocarray(line->options, line->option_count + 1, sizeof *line->options);
	char *text;

	if (options == NULL || asprintf(&text, "%s%s%s", keyword, keyword[0] ? " " : "", value) < 0)
		nacre_fatal("out of memory");
	line->options = options;
	line->options[line->option_count++] = text;
}

static void
add_specification(struct command_line *line, const char *specification)
{
	const char **all = reallocarray(
	    line->specifications, line->specification_count + 1, sizeof *line->specifications);

	if (all == NULL)
		nacre_fatal("out of memory");
	line->specifications = all;
	line->specifications[line->specification_count++] = specification;
}

/* Options that are a keyword's other spelling. */
static const struct {
	char letter;
	const char *keyword;
	const char *value; /* NULL: the option's argument */
} spellings[] = {
    {'4', "AddressFamily", "inet"},
    {'6', "AddressFamily", "inet6"},
    {'c', "HostCertificate", NULL},
    {'g', "LoginGraceTime", NULL},
    {'h', "HostKey", NULL},
    {'o', "", NULL},
};

static bool
take_spelling(struct command_line *line, int letter)
{
	for (size_t i = 0; i < MEMBERS(spellings); i++)
		if (spellings[i].letter == letter) {
			add_option(line, spellings[i].keyword,
			    spellings[i].value != NULL ? spellings[i].value : optarg);
			return true;
		}
	return false;
}

static bool *
flag_of(struct command_line *line, int letter)
{
	switch (letter) {
	case 'D':
		return &line->foreground;
	case 'e':
		return &line->log_stderr;
	case 'G':
		return &line->parse_only;
	case 'i':
		return &line->inetd;
	case 'q':
		return &line->quiet;
	case 'T':
		return &line->print;
	case 't':
		return &line->test;
	default:
		return NULL;
	}
}

static void
take_option(struct command_line *line, int letter)
{
	bool *flag = flag_of(line, letter);

	if (flag != NULL)
		*flag = true;
	else if (letter == 'd' && line->debug < 3)
		line->debug++;
	else if (letter == 'E')
		line->log_file = optarg;
	else if (letter == 'f')
		line->config_path = optarg;
	else if (letter == 'C')
		add_specification(line, optarg);
	else if (letter == 'p') {
		add_option(line, "Port", optarg);
		line->port_given = true;
	} else if (letter == 'V') {
		fprintf(stderr, SERVER_SOFTWARE "\n");
		exit(0);
	} else if (letter != 'd' && letter != 'b' && letter != 'u' && !take_spelling(line, letter))
		usage();
}

static void
parse_command_line(struct command_line *line, int argc, char **argv)
{
	int letter;

	*line = (struct command_line){.config_path = NACRE_SYSCONFDIR "/sshd_config"};
	while ((letter = getopt(argc, argv, OPTIONS)) != -1)
		take_option(line, letter);
	if (optind < argc) {
		fprintf(stderr, "Extra argument %s.\n", argv[optind]);
		exit(1);
	}
	if (line->specification_count > 0 && !line->print && !line->parse_only) {
		fprintf(stderr, "Config test connection parameter (-C) provided without test mode "
				"(-T)\n");
		exit(255);
	}
	if (line->log_file != NULL)
		line->log_stderr = false;
	else if (line->debug > 0 || line->test || line->print || line->parse_only)
		line->log_stderr = true;
}

int
main(int argc, char **argv)
{
	static struct server server = {.key_file = -1}; /* reachable to the end */

	server.privileged = geteuid() == 0;
	nacre_process_sanitise_descriptors();
	if (argc == 2 && strcmp(argv[1], "--worker") == 0)
		worker_main(3, argc, argv);
	parse_command_line(&server.command_line, argc, argv);
	server_log_open(&server);
	if (server_configure(&server) != 0)
		return 255;
	if (server.command_line.parse_only)
		return server_print(&server);
	if (host_keys_load(&server) != 0)
		return 1;
	if (server.command_line.print)
		return server_print(&server);
	if (server.command_line.test)
		return 0;
	server_read_moduli(&server);
	if (server.command_line.inetd)
		worker_serve(&server, STDIN_FILENO, STDOUT_FILENO);
	return listener_run(&server, argc, argv);
}
