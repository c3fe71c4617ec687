/* Options that scp and sftp share: those that are ssh's, and what they do to a connection. */
#include <scp/scp.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

bool
option_pass(struct options *options, int option, const char *value)
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

uint64_t
option_number(const char *text, uint64_t most, const char *what)
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

void
option_set_transfer_option(struct options *options, const char *text)
{
	if (strncmp(text, "nrequests=", 10) == 0)
		options->requests =
		    (uint32_t)option_number(text + 10, UINT32_MAX, "number of requests");
	else if (strncmp(text, "buffer=", 7) == 0)
		options->block =
		    (uint32_t)option_number(text + 7, NACRE_SFTP_DATA_MAX, "buffer size");
	else
		die("Invalid -X option");
}

void
option_be_verbose(struct options *options, const char *unused)
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

void
option_set_limit(struct options *options, const char *text)
{
	/* Kilobits of 1,024 bits, as the manual page has it. */
	options->rate =
	    option_number(text, UINT64_C(100) * 1024 * 1024, "bandwidth limit") * 1024 / 8;
}

void
option_set_user_file(struct options *options, const char *path)
{
	options->user_file = path;
	words_add(&options->arguments, "-F");
	words_add(&options->arguments, path);
}

void
option_be_quiet(struct options *options, const char *unused)
{
	(void)unused;
	options->quiet = true;
	words_add(&options->settings, "LogLevel=QUIET");
	words_add(&options->arguments, "-q");
}

void
option_refuse_version_1(struct options *options, const char *unused)
{
	(void)options;
	(void)unused;
	die("SSH protocol v.1 is no longer supported");
}

/* What is said once more needs nothing done. */
void
option_accept_version_2(struct options *options, const char *unused)
{
	(void)options;
	(void)unused;
}
