/*
 * The command line of ssh. Most options are another way to write a keyword of ssh_config(5): the
 * table says which.
 */
#include "ssh/ssh.h"

#include <nacre/crypto.h>
#include <nacre/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ":" in front: errors are reported here; "+": the first word that is no option is the host. */
#define LETTERS "+:1246AaCfGgNnqsTtVvxb:c:E:e:F:i:J:l:m:o:p:Q:W:BD:I:KkL:MO:P:R:S:Xw:yY"

#define SOURCE "command-line"

static const char usage_text[] =
    "usage: ssh [-46AaCfGgKkMNnqsTtVvXxYy] [-B bind_interface] [-b bind_address]\n"
    "           [-c cipher_spec] [-D [bind_address:]port] [-E log_file]\n"
    "           [-e escape_char] [-F configfile] [-I pkcs11] [-i identity_file]\n"
    "           [-J destination] [-L address] [-l login_name] [-m mac_spec]\n"
    "           [-O ctl_cmd] [-o option] [-P tag] [-p port] [-R address]\n"
    "           [-S ctl_path] [-W host:port] [-w local_tun[:remote_tun]]\n"
    "           destination [command [argument ...]]\n"
    "       ssh [-Q query_option]\n";

/* Options that stand for keywords; "%s" is the option's argument. */
static const struct keyword_option {
	char letter;
	const char *setting;
	const char *second; /* or NULL */
} keyword_options[] = {
    {'4', "AddressFamily inet", NULL},
    {'6', "AddressFamily inet6", NULL},
    {'A', "ForwardAgent yes", NULL},
    {'a', "ForwardAgent no", NULL},
    {'B', "BindInterface \"%s\"", NULL},
    {'b', "BindAddress \"%s\"", NULL},
    {'C', "Compression yes", NULL},
    {'c', "Ciphers %s", NULL},
    {'e', "EscapeChar %s", NULL},
    {'f', "ForkAfterAuthentication yes", "StdinNull yes"},
    {'g', "GatewayPorts yes", NULL},
    {'i', "IdentityFile \"%s\"", NULL},
    {'I', "PKCS11Provider %s", NULL},
    {'J', "ProxyJump %s", NULL},
    {'K', "GSSAPIAuthentication yes", NULL},
    {'k', "GSSAPIDelegateCredentials no", NULL},
    {'l', "User \"%s\"", NULL},
    {'m', "MACs %s", NULL},
    {'N', "SessionType none", "RequestTTY no"},
    {'n', "StdinNull yes", NULL},
    {'o', "%s", NULL},
    {'P', "Tag \"%s\"", NULL},
    {'p', "Port %s", NULL},
    {'q', "LogLevel QUIET", NULL},
    {'S', "ControlPath \"%s\"", NULL},
    {'s', "SessionType subsystem", NULL},
    {'T', "RequestTTY no", NULL},
    {'w', "TunnelDevice %s", "Tunnel point-to-point"},
    {'X', "ForwardX11 yes", NULL},
    {'x', "ForwardX11 no", NULL},
    {'Y', "ForwardX11 yes", "ForwardX11Trusted yes"},
};

static _Noreturn void
usage(void)
{
	fputs(usage_text, stderr);
	exit(255);
}

static _Noreturn void
report_config_error(const struct nacre_ssh_config *config)
{
	const struct nacre_span text = nacre_buffer_span(&config->error);

	fwrite(text.data, 1, text.length, stderr);
	if (text.length == 0 || text.data[text.length - 1] != '\n')
		fputc('\n', stderr);
	exit(255);
}

static void
set(struct command_line *line, const char *setting)
{
	if (nacre_ssh_config_set(line->config, setting, SOURCE, 0) != 0)
		report_config_error(line->config);
}

/* Sets a keyword with "%s" replaced by "argument". */
static void
set_argument(struct command_line *line, const char *setting, const char *argument)
{
	const char *const place = strstr(setting, "%s");
	char *text = NULL;

	if (place == NULL) {
		set(line, setting);
		return;
	}
	if (asprintf(&text, "%.*s%s%s", (int)(place - setting), setting, argument, place + 2) < 0)
		nacre_fatal("out of memory");
	set(line, text);
	free(text);
}

static bool
set_keyword_option(struct command_line *line, int letter, const char *argument)
{
	for (size_t i = 0; i < sizeof keyword_options / sizeof *keyword_options; i++)
		if (keyword_options[i].letter == letter) {
			set_argument(line, keyword_options[i].setting, argument);
			if (keyword_options[i].second != NULL)
				set(line, keyword_options[i].second);
			return true;
		}
	return false;
}

/* As the word of a keyword, in double quotes. */
static void
put_endpoint(struct nacre_buffer *text, const struct nacre_endpoint *end)
{
	if (end->path != NULL)
		nacre_put_format(text, " \"%s\"", end->path);
	else if (end->host != NULL)
		nacre_put_format(text, " \"[%s]:%d\"", end->host, end->port);
	else
		nacre_put_format(text, " %d", end->port);
}

static const struct forward_option {
	char letter;
	const char *keyword, *name;
	bool dynamic, remote;
} forward_options[] = {
    {'D', "DynamicForward", "dynamic", true, false},
    {'L', "LocalForward", "local", false, false},
    {'R', "RemoteForward", "remote", false, true},
};

static void
add_forward(
    struct command_line *line, const struct forward_option *option, const char *specification)
{
	struct nacre_forward forward;
	struct nacre_buffer text = {0};

	if (nacre_forward_parse(specification, option->dynamic, option->remote, &forward) != 0) {
		fprintf(
		    stderr, "Bad %s forwarding specification '%s'\n", option->name, specification);
		exit(255);
	}
	nacre_put_format(&text, "%s", option->keyword);
	put_endpoint(&text, &forward.listen);
	if (!forward.dynamic)
		put_endpoint(&text, &forward.connect);
	char *const setting = nacre_span_to_string(nacre_buffer_span(&text));
	if (setting == NULL)
		nacre_fatal("out of memory");
	set(line, setting);
	free(setting);
	nacre_buffer_free(&text);
	nacre_forward_free(&forward);
}

static bool
add_forward_option(struct command_line *line, int letter, const char *argument)
{
	for (size_t i = 0; i < sizeof forward_options / sizeof *forward_options; i++)
		if (forward_options[i].letter == letter) {
			add_forward(line, &forward_options[i], argument);
			return true;
		}
	return false;
}

/* -W host:port, [address]:port. */
static void
set_stdio_forward(struct command_line *line, const char *argument)
{
	char *text = NULL;
	struct nacre_forward forward;

	/* The grammar is that of a forwarding whose listening half is not there. */
	if (asprintf(&text, "0:%s", argument) < 0)
		nacre_fatal("out of memory");
	if (line->stdio_host != NULL || nacre_forward_parse(text, false, true, &forward) != 0 ||
	    forward.connect.host == NULL || forward.connect.port <= 0) {
		fprintf(stderr, "Bad stdio forwarding specification '%s'\n", argument);
		exit(255);
	}
	free(text);
	line->stdio_host = strdup(forward.connect.host);
	line->stdio_port = forward.connect.port;
	nacre_forward_free(&forward);
}

static _Noreturn void
print_version(void)
{
	fprintf(stderr, "Nacre_%s, %s\n", NACRE_VERSION, nacre_crypto_versions(true));
	exit(0);
}

struct option_state {
	unsigned terminal_wishes; /* -t */
	unsigned master_wishes;   /* -M */
};

static _Noreturn void
refuse_option(int kind, int letter)
{
	if (kind == ':')
		fprintf(stderr, "ssh: option requires an argument -- '%c'\n", letter);
	else
		fprintf(stderr, "ssh: invalid option -- '%c'\n", letter);
	usage();
}

/* Options that do more than set a keyword. */
static void
take_option(struct command_line *line, struct option_state *state, int letter)
{
	switch (letter) {
	case '1':
		nacre_fatal("SSH protocol v.1 is no longer supported");
	case '2': /* that there is nothing else went without saying once */
		break;
	case 'E':
		line->log_file = optarg;
		break;
	case 'F':
		line->user_file = optarg;
		break;
	case 'G':
		line->print_configuration = true;
		break;
	case 'M':
		state->master_wishes++;
		break;
	case 'O':
		line->mux_command = mux_command_read(optarg);
		if (line->mux_command == MUX_COMMAND_NONE)
			nacre_fatal("Invalid multiplex command.");
		break;
	case 'Q':
		exit(query_print(optarg));
	case 't':
		state->terminal_wishes++;
		break;
	case 'V':
		print_version();
	case 'v':
		line->verbosity++;
		break;
	case 'W':
		set_stdio_forward(line, optarg);
		break;
	case 'y':
		line->log_to_syslog = true;
		break;
	default:
		refuse_option(letter, optopt);
	}
}

/* A file that is named on the command line and missing is told before anything else. */
static void
check_identity_file(const char *path)
{
	if (*path != '~' && strchr(path, '%') == NULL && strchr(path, '$') == NULL &&
	    access(path, F_OK) != 0)
		fprintf(stderr, "Warning: Identity file %s not accessible: %s.\n", path,
		    strerror(errno));
}

static void
check_user(const char *user)
{
	if (user != NULL && !nacre_user_name_is_safe(user))
		nacre_fatal("remote username contains invalid characters");
}

static void
read_options(struct command_line *line, struct option_state *state, int argc, char **argv)
{
	int letter;

	while ((letter = getopt(argc, argv, LETTERS)) != -1) {
		if (letter == 'i')
			check_identity_file(optarg);
		if (letter == 'l')
			check_user(optarg);
		if (!set_keyword_option(line, letter, optarg) &&
		    !add_forward_option(line, letter, optarg))
			take_option(line, state, letter);
	}
}

static void
read_destination(struct command_line *line, const char *text)
{
	char *user = NULL, *host = NULL, *path = NULL;
	int port = -1;

	if (nacre_parse_destination(text, "ssh", &user, &host, &port, &path) != 0 || host == NULL ||
	    *host == '\0' || *host == '-' || (path != NULL && *path != '\0'))
		usage();
	check_user(user);
	if (!nacre_host_name_is_safe(host))
		nacre_fatal("hostname contains invalid characters");
	if (user != NULL)
		set_argument(line, "User \"%s\"", user);
	if (port > 0) {
		char setting[16];

		snprintf(setting, sizeof setting, "Port %d", port);
		set(line, setting);
	}
	free(user);
	free(path);
	line->host = host;
}

static char *
join(char **words)
{
	struct nacre_buffer text = {0};

	if (*words == NULL)
		return NULL;
	for (char **word = words; *word != NULL; word++) {
		if (word != words)
			nacre_put_byte(&text, ' ');
		nacre_put_span(&text, nacre_span_of(*word));
	}
	char *const joined = nacre_span_to_string(nacre_buffer_span(&text));
	nacre_buffer_free(&text);
	return joined;
}

static void
set_counted(struct command_line *line, const struct option_state *state)
{
	char setting[24];

	if (line->verbosity > 0) {
		snprintf(setting, sizeof setting, "LogLevel DEBUG%u",
		    line->verbosity > 3 ? 3 : line->verbosity);
		set(line, setting);
	}
	/* What -W goes with; options that say otherwise stand. */
	if (line->stdio_host != NULL) {
		set(line, "SessionType none");
		set(line, "RequestTTY no");
		set(line, "ExitOnForwardFailure yes");
		set(line, "ClearAllForwardings yes");
	}
	if (state->master_wishes > 0)
		set(line, state->master_wishes > 1 ? "ControlMaster ask" : "ControlMaster yes");
	if (state->terminal_wishes > 0)
		set(line, state->terminal_wishes > 1 ? "RequestTTY force" : "RequestTTY yes");
}

void
command_line_read(struct command_line *line, int argc, char **argv)
{
	struct option_state state = {0};

	if (nacre_ssh_config_new(&line->config) != 0)
		nacre_fatal("out of memory");
	read_options(line, &state, argc, argv);
	if (optind >= argc)
		usage();
	read_destination(line, argv[optind++]);
	/* Options may also stand between the host and the command. */
	if (optind < argc && strcmp(argv[optind - 1], "--") != 0)
		read_options(line, &state, argc, argv);
	set_counted(line, &state);
	line->command = join(argv + optind);
}
