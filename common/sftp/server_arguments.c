/* The options of sftp-server and internal-sftp: sftp-server(8). */
#include <nacre/log.h>
#include <sftp/server.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

struct parse {
	struct nacre_sftp_server_options *options;
	int *facility;
	bool *to_stderr;
	const char *user, *home;
};

static void
usage(FILE *stream)
{
	fprintf(stream, "usage: sftp-server [-ehR] [-d start_directory] [-f log_facility] "
			"[-l log_level]\n"
			"\t[-P denied_requests] [-p allowed_requests] [-u umask]\n"
			"       sftp-server -Q protocol_feature\n");
}

static int
print_feature(const char *feature)
{
	if (strcmp(feature, "requests") != 0) {
		fprintf(stderr, "Invalid query type\n");
		return NACRE_ERROR_ARGUMENT;
	}
	for (size_t i = 0; i < server_request_count; i++)
		printf("%s\n", server_requests[i].name);
	return 1;
}

/* Replaces %d, %u and %% in the start directory. */
static int
expand_directory(struct parse *parse, const char *text)
{
	struct nacre_buffer expanded = {0};

	for (; *text != '\0'; text++) {
		const char *value = *text != '%'     ? NULL
				    : text[1] == 'd' ? parse->home
				    : text[1] == 'u' ? parse->user
				    : text[1] == '%' ? "%"
						     : "";

		if (value == NULL) {
			nacre_put_byte(&expanded, (uint8_t)*text);
			continue;
		}
		if (value[0] == '\0') {
			fprintf(stderr, "sftp-server: unknown token in start directory: %%%c\n",
			    text[1]);
			nacre_buffer_free(&expanded);
			return NACRE_ERROR_ARGUMENT;
		}
		nacre_put_bytes(&expanded, value, strlen(value));
		text++;
	}
	nacre_put_byte(&expanded, 0);
	if (expanded.failed) {
		nacre_buffer_free(&expanded);
		return NACRE_ERROR_MEMORY;
	}
	free(parse->options->start_directory);
	parse->options->start_directory = (char *)expanded.data;
	return 0;
}

static int
set_facility(struct parse *parse, const char *name)
{
	*parse->facility = nacre_log_facility_of_name(name);
	if (*parse->facility < 0)
		fprintf(stderr, "Invalid log facility \"%s\"\n", name);
	return *parse->facility < 0 ? NACRE_ERROR_ARGUMENT : 0;
}

static int
set_level(struct parse *parse, const char *name)
{
	int level = nacre_log_level_of_name(name);

	if (level < 0) {
		fprintf(stderr, "Invalid log level \"%s\"\n", name);
		return NACRE_ERROR_ARGUMENT;
	}
	parse->options->log_level = (enum nacre_log_level)level;
	return 0;
}

static int
set_umask(struct parse *parse, const char *text)
{
	char *end;
	unsigned long mask = strtoul(text, &end, 8);

	if (*text < '0' || *text > '7' || *end != '\0' || mask > 0777) {
		fprintf(stderr, "Invalid umask \"%s\"\n", text);
		return NACRE_ERROR_ARGUMENT;
	}
	parse->options->umask = (int)mask;
	return 0;
}

static int
apply_option(struct parse *parse, int option, const char *argument)
{
	switch (option) {
	case 'Q':
		return print_feature(argument);
	case 'R':
		parse->options->read_only = true;
		return 0;
	case 'e':
		*parse->to_stderr = true;
		return 0;
	case 'd':
		return expand_directory(parse, argument);
	case 'f':
		return set_facility(parse, argument);
	case 'l':
		return set_level(parse, argument);
	case 'u':
		return set_umask(parse, argument);
	case 'p':
		parse->options->allowed = argument;
		return 0;
	case 'P':
		parse->options->denied = argument;
		return 0;
	case 'h':
		usage(stdout);
		return 1;
	default:
		usage(stderr);
		return NACRE_ERROR_ARGUMENT;
	}
}

int
nacre_sftp_server_arguments(int argc, char **argv, const char *user, const char *home,
    struct nacre_sftp_server_options *options, int *facility, bool *to_stderr)
{
	struct parse parse = {options, facility, to_stderr, user, home};
	int option, result;

	*options = (struct nacre_sftp_server_options){.umask = -1, .log_level = NACRE_LOG_ERROR};
	*facility = LOG_AUTH;
	*to_stderr = false;
	optind = 0; /* the program may have parsed a command line of its own */
	opterr = 0;
	while ((option = getopt(argc, argv, "d:f:l:P:p:Q:u:ehR")) != -1)
		if ((result = apply_option(&parse, option, optarg)) != 0) {
			free(options->start_directory);
			options->start_directory = NULL;
			return result;
		}
	return 0;
}
