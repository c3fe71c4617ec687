/* Match of sshd_config(5): criteria on a connection, and their test values (-C). */
#include "sshd_private.h"

#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define GROUPS_MAX 4096

/* A criterion: 1 when it holds, 0 when not, or an error after a complaint. While the file is only
 * checked there is no connection. */
struct criterion {
	const char *name;
	int (*check)(struct sshd_parse *run, const char *value);
	int (*holds)(const struct nacre_connection_spec *connection, const char *value);
	bool alone; /* takes no value */
};

static int
all_holds(const struct nacre_connection_spec *connection, const char *value)
{
	(void)connection;
	(void)value;
	return 1;
}

static int
invalid_user_holds(const struct nacre_connection_spec *connection, const char *value)
{
	(void)value;
	return connection->invalid_user;
}

static int
user_holds(const struct nacre_connection_spec *connection, const char *value)
{
	return match_list(connection->user, value, false);
}

/* Folds a group's result into that of all: a negated match ends it. */
static bool
group_ends(const char *group, const char *value, int *holds)
{
	enum nacre_match match =
	    nacre_pattern_list(nacre_span_of(group), nacre_span_of(value), false);

	if (match == NACRE_MATCH_NEGATED)
		*holds = 0;
	else if (match == NACRE_MATCH_FOUND)
		*holds = 1;
	return match == NACRE_MATCH_NEGATED;
}

/* The groups of the account database. */
static int
account_group_holds(const char *user, const char *value)
{
	const struct passwd *account = user != NULL ? getpwnam(user) : NULL;
	gid_t *groups = account != NULL ? calloc(GROUPS_MAX, sizeof *groups) : NULL;
	int count = GROUPS_MAX, holds = 0;

	if (groups == NULL || getgrouplist(user, account->pw_gid, groups, &count) < 0)
		count = 0;
	for (int i = 0; i < count; i++) {
		const struct group *group = getgrgid(groups[i]);

		if (group != NULL && group_ends(group->gr_name, value, &holds))
			break;
	}
	free(groups);
	return holds;
}

static int
group_holds(const struct nacre_connection_spec *connection, const char *value)
{
	int holds = 0;

	if (connection->groups == NULL)
		return account_group_holds(connection->user, value);
	for (size_t i = 0; i < connection->group_count; i++)
		if (group_ends(connection->groups[i], value, &holds))
			break;
	return holds;
}

static int
host_holds(const struct nacre_connection_spec *connection, const char *value)
{
	return match_list(connection->host, value, true);
}

static int
address_check(struct sshd_parse *run, const char *value)
{
	if (nacre_address_list(NULL, nacre_span_of(value)) >= NACRE_MATCH_NEGATED)
		return 0;
	return parse_fail(&run->parse, "Invalid Match address argument '%s'", value);
}

static int
address_holds(const struct nacre_connection_spec *connection, const char *value)
{
	return connection->address != NULL &&
	       nacre_address_list(connection->address, nacre_span_of(value)) == NACRE_MATCH_FOUND;
}

static int
local_address_holds(const struct nacre_connection_spec *connection, const char *value)
{
	return connection->local_address != NULL && nacre_address_list(connection->local_address,
							nacre_span_of(value)) == NACRE_MATCH_FOUND;
}

static int
local_port_check(struct sshd_parse *run, const char *value)
{
	int port;

	if (nacre_parse_port(value, &port) == 0)
		return 0;
	return match_bad(&run->parse, "Invalid LocalPort '%s' on Match line", value);
}

static int
local_port_holds(const struct nacre_connection_spec *connection, const char *value)
{
	int port;

	return nacre_parse_port(value, &port) == 0 && port == connection->local_port;
}

static int
routing_domain_check(struct sshd_parse *run, const char *value)
{
	(void)value;
	return parse_fail(&run->parse, "Match RDomain is not supported on this platform");
}

static int
version_holds(const struct nacre_connection_spec *connection, const char *value)
{
	return match_list(connection->version, value, false);
}

static const struct criterion criteria[] = {{"all", NULL, all_holds, true},
    {"invalid-user", NULL, invalid_user_holds, true}, {"user", NULL, user_holds, false},
    {"group", NULL, group_holds, false}, {"host", NULL, host_holds, false},
    {"address", address_check, address_holds, false},
    {"localaddress", address_check, local_address_holds, false},
    {"localport", local_port_check, local_port_holds, false},
    {"rdomain", routing_domain_check, all_holds, false}, {"version", NULL, version_holds, false}};

static const struct criterion *
criterion_find(const char *name)
{
	for (size_t i = 0; i < sizeof criteria / sizeof criteria[0]; i++)
		if (strcasecmp(criteria[i].name, name) == 0)
			return &criteria[i];
	return NULL;
}

/* Asks the connection. What a test does not name does not match, save that OpenSSH insists on the
 * port. */
static int
criterion_ask(
    struct sshd_parse *run, const struct criterion *criterion, const char *value, bool *holds)
{
	const struct nacre_connection_spec *connection = run->connection;

	if (connection->test && criterion->holds == local_port_holds &&
	    connection->local_port < 0) {
		nacre_put_format(run->parse.error,
		    "'Match LocalPort' in configuration but 'lport' not in connection test "
		    "specification.\n");
		return NACRE_ERROR_FORMAT;
	}
	if (*holds)
		*holds = criterion->holds(connection, value) > 0;
	return 0;
}

/* One criterion with its value off the line; *at moves behind it. */
static int
match_step(struct sshd_parse *run, size_t *at, bool *holds)
{
	bool negated;
	char *value;
	const char *name = match_name(&run->parse, at, &negated, &value);
	const struct criterion *criterion = criterion_find(name);

	if (criterion == NULL || negated)
		return match_bad(
		    &run->parse, "Unsupported Match attribute %s", negated ? name - 1 : name);
	if (criterion->holds == all_holds && criterion->alone && run->parse.line.count > 2)
		return match_bad(
		    &run->parse, "'%s' cannot be combined with other Match attributes", name);
	if (!criterion->alone && (value = match_value(&run->parse, at, name, value)) == NULL)
		return NACRE_ERROR_FORMAT;
	if (value != NULL && value[0] == '\0')
		return match_bad(&run->parse, "Missing Match criteria for %s", name);
	if (criterion->check != NULL && criterion->check(run, value) != 0)
		return NACRE_ERROR_FORMAT;
	return run->connection != NULL ? criterion_ask(run, criterion, value, holds) : 0;
}

static int
match_read(struct parse *parse, const struct keyword *keyword)
{
	struct sshd_parse *run = (struct sshd_parse *)(void *)parse;
	size_t at = 1;
	bool holds = true;
	int error = 0;

	(void)keyword;
	if (run->option)
		return parse_fail(parse, "Match directive not supported as a command-line option");
	if (parse_first(parse) == NULL)
		return NACRE_ERROR_FORMAT;
	run->config->internal->has_match = true;
	while (at < parse->line.count && error == 0)
		error = match_step(run, &at, &holds);
	run->scope.in_match = true;
	run->scope.active = holds && run->scope.enclosing;
	return error;
}

const struct value_type value_sshd_match = {match_read, NULL};

/* What -C may name. */
static const struct {
	const char *name;
	size_t offset;
} test_names[] = {{"user", offsetof(struct nacre_connection_spec, user)},
    {"host", offsetof(struct nacre_connection_spec, host)},
    {"addr", offsetof(struct nacre_connection_spec, address)},
    {"laddr", offsetof(struct nacre_connection_spec, local_address)},
    {"rdomain", offsetof(struct nacre_connection_spec, routing_domain)}};

static bool
test_string(struct arena *arena, const char *name, const char *value,
    struct nacre_connection_spec *connection)
{
	for (size_t i = 0; i < sizeof test_names / sizeof test_names[0]; i++) {
		if (strcmp(test_names[i].name, name) != 0)
			continue;
		*(const char **)(void *)((char *)connection + test_names[i].offset) =
		    arena_string(arena, value);
		return true;
	}
	return false;
}

static int
test_item(struct nacre_sshd_config *config, char *item, struct nacre_connection_spec *connection)
{
	char *value = strchr(item, '=');

	if (value == NULL && strcmp(item, "invalid-user") == 0) {
		connection->invalid_user = true;
		return 0;
	}
	if (value != NULL) {
		*value++ = '\0';
		if (test_string(&config->internal->reading.arena, item, value, connection))
			return 0;
		if (strcmp(item, "lport") == 0) {
			if (nacre_parse_port(value, &connection->local_port) == 0)
				return 0;
			nacre_put_format(&config->error,
			    "Invalid port '%s' in test mode specification lport=%s\n", value,
			    value);
			return NACRE_ERROR_FORMAT;
		}
		value[-1] = '=';
	}
	nacre_put_format(&config->error, "Invalid test mode specification %s\n", item);
	return NACRE_ERROR_FORMAT;
}

int
nacre_connection_spec_parse(
    struct nacre_sshd_config *config, const char *text, struct nacre_connection_spec *connection)
{
	struct nacre_span list = nacre_span_of(text);
	int error = 0;

	connection->test = true;
	while (list.length > 0 && error == 0) {
		struct nacre_span next = nacre_list_next(&list);
		char *item = nacre_span_to_string(next);

		if (item == NULL)
			error = NACRE_ERROR_MEMORY;
		else if (next.length > 0)
			error = test_item(config, item, connection);
		free(item);
	}
	return error;
}
