/*
 * The server's configuration: reading, checking, Include, defaults, printing. What was read is kept
 * as a list of lines, which Match evaluates anew for each connection (sshd_match.c has the
 * criteria).
 */
#include "sshd_private.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

int
nacre_sshd_config_new(struct nacre_sshd_config **config)
{
	struct nacre_sshd_config *made = calloc(1, sizeof *made);

	*config = NULL;
	if (made == NULL)
		return NACRE_ERROR_MEMORY;
	made->internal = calloc(1, sizeof *made->internal);
	if (made->internal == NULL) {
		free(made);
		return NACRE_ERROR_MEMORY;
	}
	reading_begin(&made->internal->reading, sshd_keywords, sshd_keyword_count);
	*config = made;
	return 0;
}

void
nacre_sshd_config_free(struct nacre_sshd_config *config)
{
	if (config == NULL)
		return;
	reading_end(&config->internal->reading, &config->error, &config->warnings, &config->notes);
	free(config->internal);
	free(config);
}

static struct sshd_parse
run_begin(struct nacre_sshd_config *config, enum sshd_pass pass)
{
	struct sshd_parse run = {
	    .parse = parse_begin(&config->internal->reading, sshd_keywords, sshd_keyword_count),
	    .config = config,
	    .pass = pass,
	    .scope = {.active = true, .enclosing = true}};

	run.parse.config = config;
	run.parse.server = true;
	run.parse.error = &config->error;
	run.parse.warnings = &config->warnings;
	run.parse.notes = &config->notes;
	return run;
}

static void
run_end(struct sshd_parse *run)
{
	line_free(&run->parse.line);
}

/* Keeps a line for later evaluation. */
static int
statement_add(struct sshd_parse *run, enum statement_kind kind, struct nacre_span text)
{
	struct statements *list = &run->config->internal->statements;
	struct statement *grown =
	    arena_grow(run->parse.arena, list->statements, list->count, sizeof *list->statements);
	char *copy = arena_span(run->parse.arena, text);

	if (grown == NULL || copy == NULL)
		return NACRE_ERROR_MEMORY;
	list->statements = grown;
	grown[list->count++] = (struct statement){kind, run->parse.file, run->parse.number, copy};
	return 0;
}

/* The blocks that were begun in an included file end with it. */
static struct scope
scope_enter(struct sshd_parse *run)
{
	struct scope outer = run->scope;

	run->scope.enclosing = outer.active;
	run->scope.enclosed = outer.in_match;
	return outer;
}

static bool
line_wanted(const struct sshd_parse *run, const struct keyword *keyword)
{
	bool steering = keyword->type == &value_sshd_match || keyword->type == &value_sshd_include;

	if (steering || run->config->internal->kept[keyword - sshd_keywords])
		return false;
	switch (run->pass) {
	case SSHD_MATCH:
		return run->scope.in_match && run->scope.active;
	case SSHD_GLOBAL:
		return !run->scope.in_match && !run->by_match[keyword - sshd_keywords];
	default:
		return !run->scope.in_match;
	}
}

static int
unknown_keyword(struct sshd_parse *run)
{
	nacre_put_format(run->parse.error, "%s: line %u: Bad configuration option: %.200s\n",
	    run->parse.file, run->parse.number, run->parse.line.words[0]);
	run->parse.bad++;
	return NACRE_ERROR_FORMAT;
}

/* A line that has been split. */
static int
keyword_line(struct sshd_parse *run)
{
	const struct keyword *keyword = keyword_find(&run->parse, run->parse.line.words[0]);

	if (keyword == NULL)
		return unknown_keyword(run);
	if (run->scope.in_match && (keyword->flags & KEYWORD_IN_MATCH) == 0)
		return parse_fail(&run->parse, "Directive '%s' is not allowed within a Match block",
		    parse_keyword(&run->parse));
	return parse_keyword_line(&run->parse, line_wanted(run, keyword), &keyword);
}

/* Whether a line is one to evaluate later. */
static bool
line_counts(const struct sshd_parse *run, const struct keyword *keyword)
{
	return keyword != NULL && keyword->type != &value_sshd_include &&
	       !run->config->internal->kept[keyword - sshd_keywords];
}

/* Reading: checks a line and keeps it. The files of an Include follow it in the list. */
static int
read_line(struct parse *parse, struct nacre_span text)
{
	struct sshd_parse *run = (struct sshd_parse *)(void *)parse;
	const struct keyword *keyword;
	int error = parse_split(parse, text);

	if (error != 0 || run->parse.line.count == 0)
		return error;
	keyword = keyword_find(&run->parse, run->parse.line.words[0]);
	if (line_counts(run, keyword))
		error = statement_add(run, STATEMENT_LINE, text);
	return error != 0 ? error : keyword_line(run);
}

static int
read_file(struct sshd_parse *run, const char *path)
{
	struct nacre_buffer text = {0};
	const char *file = run->parse.file;
	unsigned number = run->parse.number;
	int error = file_read(path, false, &text);

	run->parse.file = arena_string(run->parse.arena, path);
	if (run->parse.file == NULL)
		error = NACRE_ERROR_MEMORY;
	if (error == 0)
		error = parse_lines(&run->parse, nacre_buffer_span(&text), read_line);
	else if (error == NACRE_ERROR_MEMORY)
		nacre_put_format(run->parse.error, "%s: file too large\n", path);
	nacre_buffer_free(&text);
	run->parse.file = file;
	run->parse.number = number;
	return error;
}

static int
include_file(struct parse *parse, const char *path)
{
	struct sshd_parse *run = (struct sshd_parse *)(void *)parse;
	const struct nacre_span nothing = {NULL, 0};
	int error = statement_add(run, STATEMENT_BEGIN, nothing), end_error;
	struct scope outer = scope_enter(run);

	if (error == 0)
		error = read_file(run, path);
	run->scope = outer;
	end_error = statement_add(run, STATEMENT_END, nothing);
	if (error == NACRE_ERROR_SYSTEM)
		error = parse_fail(parse, "%s: %s", path, strerror(errno));
	return error != 0 ? error : end_error;
}

static char *
include_pattern(struct parse *parse, const char *word)
{
	struct nacre_buffer path = {0};

	nacre_put_format(&path, "%s%s", word[0] == '/' ? "" : NACRE_SYSCONFDIR "/", word);
	return arena_buffer(parse->arena, &path);
}

static int
include_read(struct parse *parse, const struct keyword *keyword)
{
	(void)keyword;
	return include_read_all(parse, include_pattern, include_file);
}

const struct value_type value_sshd_include = {include_read, NULL};

int
nacre_sshd_config_set(
    struct nacre_sshd_config *config, const char *text, const char *source, unsigned line)
{
	struct sshd_parse run = run_begin(config, SSHD_CHECK);
	int error;

	run.parse.file = arena_string(run.parse.arena, source);
	run.parse.number = line;
	run.option = true;
	error = run.parse.file == NULL ? NACRE_ERROR_MEMORY
				       : read_line(&run.parse, nacre_span_of(text));
	run_end(&run);
	return error;
}

void
nacre_sshd_config_keep(struct nacre_sshd_config *config, const char *keyword)
{
	struct sshd_parse run = run_begin(config, SSHD_CHECK);
	const struct keyword *row = keyword_find(&run.parse, keyword);

	if (row != NULL)
		config->internal->kept[row - sshd_keywords] = true;
}

static int
listen_add(struct nacre_sshd_config *config, const char *host, int port)
{
	struct arena *arena = &config->internal->reading.arena;
	struct nacre_listen_address *grown = arena_grow(arena, config->listen_addresses,
	    config->listen_address_count, sizeof *config->listen_addresses);

	if (grown == NULL)
		return NACRE_ERROR_MEMORY;
	config->listen_addresses = grown;
	grown[config->listen_address_count++] =
	    (struct nacre_listen_address){.host = host, .port = port};
	return 0;
}

/* An address without a port of its own listens on all ports of Port. */
static int
listen_add_ports(struct nacre_sshd_config *config, const char *host)
{
	int error = 0, port;

	for (size_t i = 0; i < config->port.count && error == 0; i++)
		if (nacre_parse_port(config->port.words[i], &port) == 0)
			error = listen_add(config, host, port);
	return error;
}

static int
listen_finish(struct nacre_sshd_config *config)
{
	const struct nacre_words *listen = &config->internal->listen;
	int error = 0;

	if (listen->count == 0)
		return listen_add_ports(config, NULL);
	for (size_t i = 0; i < listen->count && error == 0; i++) {
		char *user, *host, *kept;
		int port;

		if (nacre_parse_destination(listen->words[i], "", &user, &host, &port, NULL) != 0)
			return NACRE_ERROR_FORMAT;
		kept = arena_string(&config->internal->reading.arena, host);
		error = port > 0 ? listen_add(config, kept, port) : listen_add_ports(config, kept);
		free(user);
		free(host);
	}
	return error;
}

/* Names are looked up when the server starts listening; those that are none are told of before. */
static int
listen_check(struct nacre_sshd_config *config)
{
	const struct addrinfo hints = {
	    .ai_family = config->address_family, .ai_socktype = SOCK_STREAM};

	for (size_t i = 0; i < config->listen_address_count; i++) {
		const char *host = config->listen_addresses[i].host;
		struct addrinfo *found = NULL;
		int problem = host != NULL ? getaddrinfo(host, "22", &hints, &found) : 0;

		if (found != NULL)
			freeaddrinfo(found);
		if (problem == 0)
			continue;
		nacre_put_format(
		    &config->error, "bad addr or host: %s (%s)\n", host, gai_strerror(problem));
		return NACRE_ERROR_FORMAT;
	}
	return 0;
}

/* Keywords that are of no use without another. */
static int
pairs_check(struct nacre_sshd_config *config)
{
	const char *missing = NULL;

	if (config->authorized_keys_command != NULL && config->authorized_keys_command_user == NULL)
		missing = "AuthorizedKeysCommand";
	if (config->authorized_principals_command != NULL &&
	    config->authorized_principals_command_user == NULL)
		missing = "AuthorizedPrincipalsCommand";
	if (missing == NULL)
		return 0;
	nacre_put_format(&config->error, "%s set without %sUser\n", missing, missing);
	return NACRE_ERROR_FORMAT;
}

static int
config_finish(struct nacre_sshd_config *config, struct sshd_parse *run)
{
	int error = parse_defaults(&run->parse);

	if (error == 0)
		error = listen_finish(config);
	if (error == 0)
		error = parse_assemble(&run->parse);
	if (error == 0 && (config->internal->reading.arena.failed || config->error.failed))
		error = NACRE_ERROR_MEMORY;
	return error;
}

/* Options were read before the lists could be checked. */
static int
options_check(struct nacre_sshd_config *config, struct sshd_parse *run)
{
	const struct statements *list = &config->internal->statements;
	int error = 0;

	for (size_t i = 0; i < list->count; i++) {
		const struct statement *statement = &list->statements[i];
		const struct keyword *keyword;

		run->parse.file = statement->file;
		run->parse.number = statement->line;
		if (parse_split(&run->parse, nacre_span_of(statement->text)) != 0)
			return NACRE_ERROR_FORMAT;
		keyword = keyword_find(&run->parse, run->parse.line.words[0]);
		run->parse.store = false;
		if (keyword->type == &value_algorithms &&
		    keyword->type->read(&run->parse, keyword) != 0)
			error = NACRE_ERROR_FORMAT;
	}
	return error;
}

int
nacre_sshd_config_load(
    struct nacre_sshd_config *config, const char *path, nacre_config_assemble assemble)
{
	struct sshd_parse run;
	int error;

	config->internal->reading.assemble = assemble;
	run = run_begin(config, SSHD_CHECK);
	error = options_check(config, &run);
	if (error == 0 && strcmp(path, "none") != 0)
		error = read_file(&run, path);
	if (error == NACRE_ERROR_SYSTEM)
		nacre_put_format(&config->error, "%s: %s\n", path, strerror(errno));
	else if (run.parse.bad > 0)
		nacre_put_format(&config->error, "%s: terminating, %u bad configuration options\n",
		    path, run.parse.bad);
	if (error == 0)
		error = config_finish(config, &run);
	if (error == 0)
		error = pairs_check(config);
	if (error == 0)
		error = listen_check(config);
	run_end(&run);
	return error;
}

static int
evaluate_line(struct sshd_parse *run, const struct statement *statement)
{
	int error;

	run->parse.file = statement->file;
	run->parse.number = statement->line;
	error = parse_split(&run->parse, nacre_span_of(statement->text));
	return error != 0 ? error : keyword_line(run);
}

/* Goes over all lines that were read. */
static int
evaluate(struct sshd_parse *run, const struct statements *list)
{
	struct scope outer[INCLUDE_DEPTH_MAX + 1];
	size_t depth = 0;
	int error = 0;

	run->scope = (struct scope){.active = true, .enclosing = true};
	for (size_t i = 0; i < list->count && error == 0; i++) {
		const struct statement *statement = &list->statements[i];

		if (statement->kind == STATEMENT_LINE)
			error = evaluate_line(run, statement);
		else if (statement->kind == STATEMENT_BEGIN)
			outer[depth++] = scope_enter(run);
		else
			run->scope = outer[--depth];
	}
	return error;
}

int
nacre_sshd_config_match(const struct nacre_sshd_config *config,
    const struct nacre_connection_spec *connection, struct nacre_sshd_config **matched)
{
	const struct statements *list = &config->internal->statements;
	struct nacre_sshd_config *made;
	struct sshd_parse run;
	int error = nacre_sshd_config_new(&made);

	*matched = NULL;
	if (error != 0)
		return error;
	made->internal->reading.assemble = config->internal->reading.assemble;
	made->internal->has_match = config->internal->has_match;
	run = run_begin(made, SSHD_MATCH);
	run.connection = connection;
	error = evaluate(&run, list);
	memcpy(run.by_match, made->internal->reading.seen, sizeof run.by_match);
	/* Subsystems of the global section add to those of a block. */
	for (size_t row = 0; row < sshd_keyword_count; row++)
		if (strcmp(sshd_keywords[row].name, "Subsystem") == 0)
			run.by_match[row] = false;
	run.pass = SSHD_GLOBAL;
	if (error == 0)
		error = evaluate(&run, list);
	if (error == 0)
		error = config_finish(made, &run);
	run_end(&run);
	nacre_buffer_clear(&made->warnings);
	*matched = made;
	return error;
}

int
nacre_sshd_config_export(const struct nacre_sshd_config *config, struct nacre_buffer *state)
{
	const struct statements *list = &config->internal->statements;

	nacre_put_boolean(state, config->internal->has_match);
	nacre_put_u32(state, (uint32_t)list->count);
	for (size_t i = 0; i < list->count; i++) {
		nacre_put_byte(state, (uint8_t)list->statements[i].kind);
		nacre_put_cstring(state, list->statements[i].file);
		nacre_put_u32(state, list->statements[i].line);
		nacre_put_cstring(state, list->statements[i].text);
	}
	return state->failed ? NACRE_ERROR_MEMORY : 0;
}

static int
import_statements(struct sshd_parse *run, struct nacre_reader *state)
{
	const char *file = "";
	int error = 0;

	for (uint32_t left = nacre_get_u32(state); left > 0 && error == 0; left--) {
		enum statement_kind kind = (enum statement_kind)nacre_get_byte(state);
		struct nacre_span name = nacre_get_string(state);
		run->parse.number = nacre_get_u32(state);
		struct nacre_span text = nacre_get_string(state);

		if (state->failed)
			return NACRE_ERROR_FORMAT;
		/* Most lines come from the same file as the one before. */
		if (!nacre_span_equals(name, file))
			file = arena_span(run->parse.arena, name);
		run->parse.file = file;
		error = file == NULL ? NACRE_ERROR_MEMORY : statement_add(run, kind, text);
	}
	return error;
}

int
nacre_sshd_config_import(
    struct nacre_reader *state, nacre_config_assemble assemble, struct nacre_sshd_config **config)
{
	struct nacre_sshd_config *made;
	struct sshd_parse run;
	int error = nacre_sshd_config_new(&made);

	*config = NULL;
	if (error != 0)
		return error;
	made->internal->reading.assemble = assemble;
	made->internal->has_match = nacre_get_boolean(state);
	run = run_begin(made, SSHD_GLOBAL);
	error = import_statements(&run, state);
	if (error == 0)
		error = evaluate(&run, &made->internal->statements);
	if (error == 0)
		error = config_finish(made, &run);
	run_end(&run);
	nacre_buffer_clear(&made->warnings);
	*config = made;
	return error;
}

bool
nacre_sshd_config_has_match(const struct nacre_sshd_config *config)
{
	return config->internal->has_match;
}

int
nacre_sshd_config_print(const struct nacre_sshd_config *config, struct nacre_buffer *text)
{
	return keywords_print(sshd_keywords, sshd_keyword_count, config, text);
}

const char *
nacre_sshd_config_subsystem(const struct nacre_sshd_config *config, struct nacre_span name)
{
	for (size_t i = 0; i < config->subsystem_count; i++)
		if (nacre_span_equals(name, config->subsystems[i].name))
			return config->subsystems[i].command;
	return NULL;
}

int
nacre_sshd_config_channel_timeout(const struct nacre_sshd_config *config, struct nacre_span type)
{
	const bool global = nacre_span_equals(type, "global");

	for (size_t i = 0; i < config->channel_timeout_count; i++) {
		const char *pattern = config->channel_timeouts[i].type;
		if (global ? nacre_span_equals(type, pattern)
			   : nacre_pattern_match(type, nacre_span_of(pattern)))
			return config->channel_timeouts[i].seconds;
	}
	return 0;
}
