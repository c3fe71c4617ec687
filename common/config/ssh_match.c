/* Host and Match of ssh_config(5): which blocks apply. */
#include "ssh_private.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void
block_begin(struct ssh_parse *run, bool matches)
{
	run->active = matches && run->enclosing;
	run->parse.store = false;
}

static int
host_read(struct parse *parse, const struct keyword *keyword)
{
	struct ssh_parse *run = (struct ssh_parse *)(void *)parse;
	bool found = false, negated = false;

	(void)keyword;
	if (parse_first(parse) == NULL)
		return NACRE_ERROR_FORMAT;
	for (size_t i = 1; i <= parse_arguments(parse) && run->host != NULL; i++) {
		const char *pattern = parse->line.words[i];
		bool negative = pattern[0] == '!';

		if (!nacre_pattern_match(
			nacre_span_of(run->host), nacre_span_of(pattern + (negative ? 1 : 0))))
			continue;
		if (negative)
			negated = true;
		else
			found = true;
	}
	block_begin(run, found && !negated);
	return 0;
}

static void
host_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	const char *host = *MEMBER_CONST(config, keyword, char *);

	if (host != NULL)
		nacre_put_format(text, "host %s\n", host);
}

const struct value_type value_ssh_host = {host_read, host_print};

/* Match exec: the shell's exit status decides. */
static bool
shell_succeeds(const char *command)
{
	const char *shell = getenv("SHELL");
	char *arguments[] = {NULL, "-c", NULL, NULL};
	posix_spawn_file_actions_t actions;
	int status = -1;
	pid_t child;

	if (shell == NULL || shell[0] != '/')
		shell = "/bin/sh";
	arguments[0] = strdup(shell);
	arguments[2] = strdup(command);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
	if (arguments[0] != NULL && arguments[2] != NULL &&
	    posix_spawn(&child, shell, &actions, NULL, arguments, environ) == 0)
		while (waitpid(child, &status, 0) < 0)
			;
	posix_spawn_file_actions_destroy(&actions);
	free(arguments[0]);
	free(arguments[2]);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* A criterion: 1 when it holds, 0 when not, or an error after parse_fail(). */
struct criterion {
	const char *name;
	int (*holds)(struct ssh_parse *run, const char *value);
	bool alone; /* takes no value */
};

static int
all_holds(struct ssh_parse *run, const char *value)
{
	(void)run;
	(void)value;
	return 1;
}

static int
canonical_holds(struct ssh_parse *run, const char *value)
{
	(void)value;
	return run->canonical;
}

static int
final_holds(struct ssh_parse *run, const char *value)
{
	(void)value;
	run->want_final = true;
	return run->final;
}

static int
host_holds(struct ssh_parse *run, const char *value)
{
	const char *name = run->host == NULL ? NULL : ssh_hostname(run->config, run->host);

	return match_list(name, value, true);
}

static int
original_host_holds(struct ssh_parse *run, const char *value)
{
	return match_list(run->config->host, value, true);
}

static int
user_holds(struct ssh_parse *run, const char *value)
{
	const char *user = run->config->user;

	return match_list(user != NULL ? user : run->config->internal->local_user, value, false);
}

static int
local_user_holds(struct ssh_parse *run, const char *value)
{
	return match_list(run->config->internal->local_user, value, false);
}

static int
tagged_holds(struct ssh_parse *run, const char *value)
{
	return match_list(run->config->tag != NULL ? run->config->tag : "", value, false);
}

/* An empty argument means no command. */
static int
command_holds(struct ssh_parse *run, const char *value)
{
	const char *command = run->config->remote_command != NULL ? run->config->remote_command
								  : run->config->internal->command;

	if (value[0] == '\0')
		return command == NULL || command[0] == '\0';
	return match_list(command, value, false);
}

static int
version_holds(struct ssh_parse *run, const char *value)
{
	return match_list(run->config->internal->version, value, false);
}

static int
session_type_holds(struct ssh_parse *run, const char *value)
{
	return match_list(run->config->internal->session_type, value, true);
}

static bool
interface_matches(const struct ifaddrs *interface, const char *list)
{
	char text[INET6_ADDRSTRLEN];
	const void *address;
	const struct sockaddr *name = interface->ifa_addr;

	if (name == NULL || (interface->ifa_flags & IFF_UP) == 0 ||
	    (interface->ifa_flags & IFF_LOOPBACK) != 0)
		return false;
	if (name->sa_family == AF_INET)
		address = &((const struct sockaddr_in *)(const void *)name)->sin_addr;
	else if (name->sa_family == AF_INET6)
		address = &((const struct sockaddr_in6 *)(const void *)name)->sin6_addr;
	else
		return false;
	return inet_ntop(name->sa_family, address, text, sizeof text) != NULL &&
	       nacre_address_list_strict(text, nacre_span_of(list)) == NACRE_MATCH_FOUND;
}

static int
local_network_holds(struct ssh_parse *run, const char *value)
{
	struct ifaddrs *interfaces = NULL;
	int holds = 0;

	if (nacre_address_list_strict(NULL, nacre_span_of(value)) < 0)
		return parse_fail(&run->parse, "Invalid network list argument '%s'", value);
	if (getifaddrs(&interfaces) != 0)
		return 0;
	for (const struct ifaddrs *at = interfaces; at != NULL && holds == 0; at = at->ifa_next)
		holds = interface_matches(at, value);
	freeifaddrs(interfaces);
	return holds;
}

static int
exec_holds(struct ssh_parse *run, const char *value)
{
	char *hostname, *command;
	char *known = run->config->hostname;
	int holds;

	if (run->config->internal->no_exec || run->host == NULL)
		return parse_fail(&run->parse, "Match exec is not allowed here");
	hostname = ssh_hostname(run->config, run->host);
	if (hostname == NULL)
		return NACRE_ERROR_FORMAT;
	run->config->hostname = hostname;
	command = nacre_ssh_config_expand(run->config, "Match exec", value, NULL, 0);
	run->config->hostname = known;
	if (command == NULL) {
		run->parse.bad++;
		return NACRE_ERROR_FORMAT;
	}
	holds = shell_succeeds(command);
	parse_note(
	    &run->parse, "command returned %s: '%s'", holds ? "success" : "failure", command);
	free(command);
	return holds;
}

static const struct criterion criteria[] = {{"all", all_holds, true},
    {"canonical", canonical_holds, true}, {"final", final_holds, true}, {"exec", exec_holds, false},
    {"host", host_holds, false}, {"originalhost", original_host_holds, false},
    {"user", user_holds, false}, {"localuser", local_user_holds, false},
    {"tagged", tagged_holds, false}, {"command", command_holds, false},
    {"version", version_holds, false}, {"sessiontype", session_type_holds, false},
    {"localnetwork", local_network_holds, false}};

static const struct criterion *
criterion_find(const char *name)
{
	for (size_t i = 0; i < sizeof criteria / sizeof criteria[0]; i++)
		if (strcasecmp(criteria[i].name, name) == 0)
			return &criteria[i];
	return NULL;
}

/* The state of one Match line. */
struct match {
	size_t at; /* the next word */
	bool holds;
};

/* "all" ends its line: no other criterion stands behind it. */
static int
match_all_check(struct ssh_parse *run, const struct match *match, const struct criterion *criterion)
{
	if (criterion->holds != all_holds || match->at >= run->parse.line.count)
		return 0;
	nacre_put_format(run->parse.error,
	    "%s line %u: 'all' cannot be combined with other Match attributes\n", run->parse.file,
	    run->parse.number);
	return parse_fail(&run->parse, "Bad Match condition");
}

/* One criterion with its value; criteria behind one that failed are checked, not asked. */
static int
match_step(struct ssh_parse *run, struct match *match)
{
	bool negated;
	char *value;
	const char *name = match_name(&run->parse, &match->at, &negated, &value);
	const struct criterion *criterion = criterion_find(name);
	int holds;

	if (criterion == NULL)
		return match_bad(&run->parse, "Unsupported Match attribute %s", name);
	if (match_all_check(run, match, criterion) != 0)
		return NACRE_ERROR_FORMAT;
	if (!criterion->alone &&
	    (value = match_value(&run->parse, &match->at, name, value)) == NULL)
		return NACRE_ERROR_FORMAT;
	if ((!match->holds || !run->enclosing) && criterion->holds != final_holds)
		return 0;
	holds = criterion->holds(run, value);
	if (holds < 0)
		return holds;
	if ((holds != 0) == negated)
		match->holds = false;
	return 0;
}

static int
match_read(struct parse *parse, const struct keyword *keyword)
{
	struct ssh_parse *run = (struct ssh_parse *)(void *)parse;
	struct match match = {.at = 1, .holds = true};
	int error = 0;

	(void)keyword;
	if (parse_first(parse) == NULL)
		return NACRE_ERROR_FORMAT;
	while (match.at < parse->line.count && error == 0)
		error = match_step(run, &match);
	block_begin(run, error == 0 && match.holds);
	return error;
}

const struct value_type value_ssh_match = {match_read, NULL};
