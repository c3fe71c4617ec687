/* The client's configuration: reading files in their order, Include, defaults, printing. */
#include "ssh_private.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int
nacre_ssh_config_new(struct nacre_ssh_config **config)
{
	struct nacre_ssh_config *made = calloc(1, sizeof *made);

	*config = NULL;
	if (made == NULL)
		return NACRE_ERROR_MEMORY;
	made->internal = calloc(1, sizeof *made->internal);
	if (made->internal == NULL) {
		free(made);
		return NACRE_ERROR_MEMORY;
	}
	reading_begin(&made->internal->reading, ssh_keywords, ssh_keyword_count);
	*config = made;
	return 0;
}

void
nacre_ssh_config_free(struct nacre_ssh_config *config)
{
	if (config == NULL)
		return;
	reading_end(&config->internal->reading, &config->error, &config->warnings, &config->notes);
	free(config->internal);
	free(config);
}

struct ssh_parse
ssh_parse_begin(struct nacre_ssh_config *config)
{
	struct ssh_parse run = {
	    .parse = parse_begin(&config->internal->reading, ssh_keywords, ssh_keyword_count),
	    .config = config,
	    .active = true,
	    .enclosing = true};

	run.parse.config = config;
	run.parse.error = &config->error;
	run.parse.warnings = &config->warnings;
	run.parse.notes = &config->notes;
	return run;
}

void
ssh_parse_end(struct ssh_parse *parse)
{
	line_free(&parse->parse.line);
}

static int
unknown_keyword(struct ssh_parse *run)
{
	const char *ignored = run->config->ignore_unknown;
	char *name = arena_lower(run->parse.arena, run->parse.line.words[0]);

	if (name == NULL)
		return NACRE_ERROR_MEMORY;
	if (ignored != NULL && nacre_pattern_list(nacre_span_of(name), nacre_span_of(ignored),
				   true) == NACRE_MATCH_FOUND) {
		parse_note(&run->parse, "Ignored unknown option \"%s\"", name);
		return 0;
	}
	if (parse_arguments(&run->parse) == 0)
		return parse_fail(&run->parse, "no argument after keyword \"%s\"", name);
	nacre_put_format(run->parse.error, "%s: line %u: Bad configuration option: %.200s\n",
	    run->parse.file, run->parse.number, name);
	run->parse.bad++;
	return NACRE_ERROR_FORMAT;
}

/* Remembers where a keyword that the client does not follow yet was set. */
static void
keep_origin(struct ssh_parse *run, const struct keyword *keyword)
{
	struct origin *origin = &run->config->internal->origin[keyword - ssh_keywords];

	if (keyword->not_yet == NULL || !run->parse.store)
		return;
	origin->file = arena_string(run->parse.arena, run->parse.file);
	origin->line = run->parse.number;
}

/* A mistake was said already: the run goes on to find the others. */
static int
read_line(struct parse *parse, struct nacre_span text)
{
	struct ssh_parse *run = (struct ssh_parse *)(void *)parse;
	const struct keyword *keyword;
	int error = parse_split(parse, text);

	if (error != 0 || run->parse.line.count == 0)
		return error;
	for (char *at = run->parse.line.words[0]; *at != '\0'; at++)
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at + 32);
	error = parse_keyword_line(&run->parse, run->active, &keyword);
	if (keyword == NULL)
		return unknown_keyword(run);
	if (error == 0)
		keep_origin(run, keyword);
	return error;
}

/* Reads a file in the state of "run"; blocks in it end with it. */
static int
read_file(struct ssh_parse *run, const char *path, bool owner_checked)
{
	struct nacre_buffer text = {0};
	const char *file = run->parse.file;
	unsigned number = run->parse.number;
	bool active = run->active;
	int error = file_read(path, owner_checked, &text);

	if (error == 0) {
		nacre_put_format(run->parse.notes, "Reading configuration data %s\n", path);
		run->parse.file = arena_string(run->parse.arena, path);
		error = run->parse.file == NULL
			    ? NACRE_ERROR_MEMORY
			    : parse_lines(&run->parse, nacre_buffer_span(&text), read_line);
	} else if (error == NACRE_ERROR_PERMISSION) {
		nacre_put_format(run->parse.error, "Bad owner or permissions on %s\n", path);
	} else if (error == NACRE_ERROR_MEMORY) {
		nacre_put_format(run->parse.error, "%s: file too large\n", path);
	}
	nacre_buffer_free(&text);
	run->parse.file = file;
	run->parse.number = number;
	run->active = active;
	return error;
}

/* A file that Include named, whose blocks apply only where we are in one that applies. */
static int
include_file(struct parse *parse, const char *path)
{
	struct ssh_parse *run = (struct ssh_parse *)(void *)parse;
	bool enclosing = run->enclosing;
	int error;

	run->enclosing = run->active;
	error = read_file(run, path, run->user_file);
	run->enclosing = enclosing;
	if (error == NACRE_ERROR_SYSTEM && (errno == ENOENT || errno == EACCES))
		return 0;
	if (error == NACRE_ERROR_SYSTEM)
		return parse_fail(parse, "Can't open include file %s: %s", path, strerror(errno));
	return error;
}

/* The pattern as an absolute one: ~ in a user's file, else beside the file that includes. */
static char *
include_pattern(struct parse *parse, const char *word)
{
	const struct ssh_parse *run = (struct ssh_parse *)(void *)parse;
	const char *home = run->config->internal->home;
	struct nacre_buffer path = {0};

	if (word[0] == '~') {
		if (!run->user_file) {
			parse_fail(parse, "bad include path %s.", word);
			return NULL;
		}
		if (nacre_expand_tilde(word, home, &path) != 0) {
			nacre_buffer_free(&path);
			parse_fail(parse, "bad include path %s.", word);
			return NULL;
		}
	} else if (word[0] == '/') {
		nacre_put_format(&path, "%s", word);
	} else if (run->user_file) {
		nacre_put_format(&path, "%s/.ssh/%s", home != NULL ? home : "", word);
	} else {
		nacre_put_format(&path, NACRE_SYSCONFDIR "/%s", word);
	}
	return arena_buffer(parse->arena, &path);
}

static int
include_read(struct parse *parse, const struct keyword *keyword)
{
	(void)keyword;
	return include_read_all(parse, include_pattern, include_file);
}

const struct value_type value_ssh_include = {include_read, NULL};

int
nacre_ssh_config_set(
    struct nacre_ssh_config *config, const char *text, const char *source, unsigned line)
{
	struct ssh_parse run = ssh_parse_begin(config);
	int error;

	run.parse.file = source;
	run.parse.number = line;
	run.user_file = true;
	error = read_line(&run.parse, nacre_span_of(text));
	ssh_parse_end(&run);
	return error;
}

bool
nacre_ssh_config_is_set(const struct nacre_ssh_config *config, const char *keyword)
{
	const struct parse parse = {.table = ssh_keywords,
	    .index = config->internal->reading.index,
	    .count = ssh_keyword_count};
	const struct keyword *row = keyword_find(&parse, keyword);

	return row != NULL && config->internal->reading.seen[row - ssh_keywords];
}

const char *
nacre_ssh_config_local_user(const struct nacre_ssh_config *config)
{
	return config->internal->local_user;
}

/* Keeps what later expansion needs; the password file is asked only for what was not given. */
static int
keep_request(struct nacre_ssh_config *config, const struct nacre_ssh_config_request *request)
{
	struct nacre_ssh_config_private *internal = config->internal;
	struct arena *arena = &internal->reading.arena;
	const char *home = request->home, *user = request->local_user;
	struct passwd *account = NULL;

	if (home == NULL || user == NULL)
		account = getpwuid(getuid());
	if (home == NULL)
		home = account != NULL ? account->pw_dir : "/";
	if (user == NULL)
		user = account != NULL ? account->pw_name : "unknown";
	internal->home = arena_string(arena, home);
	internal->local_user = arena_string(arena, user);
	internal->command = request->command != NULL ? arena_string(arena, request->command) : NULL;
	internal->session_type =
	    request->session_type != NULL ? arena_string(arena, request->session_type) : NULL;
	internal->version = request->version != NULL ? arena_string(arena, request->version) : NULL;
	internal->reading.assemble = request->assemble;
	internal->canonicalize = request->canonicalize;
	internal->no_exec = request->no_exec;
	config->host = arena_string(arena, request->host);
	return arena->failed ? NACRE_ERROR_MEMORY : 0;
}

static int
finish_file(struct ssh_parse *run, const char *path, int error)
{
	if (run->parse.bad > 0)
		nacre_put_format(run->parse.error,
		    "%s: terminating, %u bad configuration options\n", path, run->parse.bad);
	return error;
}

static int
read_user_file(struct ssh_parse *run, const struct nacre_ssh_config_request *request)
{
	struct nacre_buffer usual = {0};
	const char *path = request->user_file;
	int error;

	run->user_file = true;
	if (path == NULL) {
		nacre_put_format(&usual, "%s/.ssh/config", run->config->internal->home);
		path = arena_buffer(run->parse.arena, &usual);
		if (path == NULL)
			return NACRE_ERROR_MEMORY;
	}
	error = read_file(run, path, request->user_file == NULL);
	if (error == NACRE_ERROR_SYSTEM && request->user_file == NULL)
		return 0;
	if (error == NACRE_ERROR_SYSTEM)
		nacre_put_format(run->parse.error, "Can't open user config file %.100s: %s\n", path,
		    strerror(errno));
	return finish_file(run, path, error);
}

static int
read_system_file(struct ssh_parse *run, const struct nacre_ssh_config_request *request)
{
	const char *path =
	    request->system_file != NULL ? request->system_file : NACRE_SYSCONFDIR "/ssh_config";
	int error;

	run->user_file = false;
	run->parse.bad = 0;
	error = read_file(run, path, false);
	return error == NACRE_ERROR_SYSTEM ? 0 : finish_file(run, path, error);
}

/* Both files once; with -F that one only. */
static int
read_files(struct ssh_parse *run, const struct nacre_ssh_config_request *request)
{
	int error;

	if (request->user_file != NULL && strcmp(request->user_file, "none") == 0)
		return 0;
	error = read_user_file(run, request);
	if (error == 0 && request->user_file == NULL)
		error = read_system_file(run, request);
	return error;
}

static void
defaults_adjust(struct nacre_ssh_config *config)
{
	if (config->user == NULL)
		config->user = config->internal->local_user;
	if (config->batch_mode && !nacre_ssh_config_is_set(config, "ServerAliveInterval"))
		config->server_alive_interval = 300;
	if (!nacre_ssh_config_is_set(config, "UpdateHostKeys") &&
	    (nacre_ssh_config_is_set(config, "UserKnownHostsFile") ||
		config->verify_host_key_dns != NACRE_NO))
		config->update_host_keys = NACRE_NO;
	if (config->update_host_keys == NACRE_ASK && config->control_persist)
		config->update_host_keys = NACRE_NO;
	if (config->clear_all_forwardings) {
		config->local_forward.count = 0;
		config->remote_forward.count = 0;
	}
}

static char *
expand_keep(struct nacre_ssh_config *config, const struct keyword *keyword, const char *value)
{
	char *expanded = nacre_ssh_config_expand(config, keyword->name, value, NULL, 0);
	char *kept =
	    expanded != NULL ? arena_string(&config->internal->reading.arena, expanded) : NULL;

	free(expanded);
	return kept;
}

/* Into an array of its own: the old one is kept for reading on. */
static int
words_expand(
    struct nacre_ssh_config *config, const struct keyword *keyword, struct nacre_words *words)
{
	struct nacre_words expanded = {0};

	for (size_t i = 0; i < words->count; i++) {
		char *word = expand_keep(config, keyword, words->words[i]);

		if (word == NULL)
			return NACRE_ERROR_FORMAT;
		arena_add_word(&config->internal->reading.arena, &expanded, word);
	}
	*words = expanded;
	return 0;
}

/* The values that are used as paths and commands later on, and printed expanded. */
static int
values_expand(struct nacre_ssh_config *config)
{
	for (size_t row = 0; row < ssh_keyword_count; row++) {
		const struct keyword *keyword = &ssh_keywords[row];
		char **member = MEMBER(config, keyword, char *);

		if ((keyword->flags & KEYWORD_TOKENS) == 0)
			continue;
		if (keyword->type == &value_words) {
			if (words_expand(
				config, keyword, MEMBER(config, keyword, struct nacre_words)) != 0)
				return NACRE_ERROR_FORMAT;
			continue;
		}
		if (*member == NULL ||
		    (keyword->offset == offsetof(struct nacre_ssh_config, identity_agent) &&
			((*member)[0] == '$' && (*member)[1] != '{')))
			continue;
		*member = expand_keep(config, keyword, *member);
		if (*member == NULL)
			return NACRE_ERROR_FORMAT;
	}
	return 0;
}

static int
path_expand(struct nacre_ssh_config *config, const char *name, char **path)
{
	const struct keyword keyword = {.name = name};

	*path = expand_keep(config, &keyword, *path);
	return *path == NULL ? NACRE_ERROR_FORMAT : 0;
}

/* Sockets' paths, in an array of its own, too. */
static int
forwards_expand(struct nacre_ssh_config *config, const char *name, struct nacre_forwards *forwards)
{
	struct nacre_forward *copy;

	if (forwards->count == 0)
		return 0;
	copy = arena_allocate(&config->internal->reading.arena, forwards->count * sizeof *copy);
	if (copy == NULL)
		return NACRE_ERROR_MEMORY;
	memcpy(copy, forwards->forwards, forwards->count * sizeof *copy);
	forwards->forwards = copy;
	for (size_t i = 0; i < forwards->count; i++)
		if ((copy[i].listen.path != NULL &&
			path_expand(config, name, &copy[i].listen.path) != 0) ||
		    (copy[i].connect.path != NULL &&
			path_expand(config, name, &copy[i].connect.path) != 0))
			return NACRE_ERROR_FORMAT;
	return 0;
}

static int
config_finish(struct nacre_ssh_config *config, struct ssh_parse *run)
{
	int error;

	error = parse_defaults(&run->parse);
	if (error != 0)
		return error;
	defaults_adjust(config);
	error = parse_assemble(&run->parse);
	if (error == 0)
		error = values_expand(config);
	if (error == 0)
		error = forwards_expand(config, "LocalForward", &config->local_forward);
	if (error == 0)
		error = forwards_expand(config, "RemoteForward", &config->remote_forward);
	if (error == 0 && (config->internal->reading.arena.failed || config->error.failed))
		error = NACRE_ERROR_MEMORY;
	return error;
}

/* A further reading of the files, for the name that the host turned out to have. */
static int
read_final(struct ssh_parse *run, const struct nacre_ssh_config_request *request)
{
	parse_mark_seen(&run->parse, "Hostname");
	run->host = run->config->hostname;
	run->canonical = run->final = true;
	return read_files(run, request);
}

/* The values that finding a name's canonical form needs, as they are without being set. */
static void
canonical_defaults(struct nacre_ssh_config *config, struct nacre_ssh_config *values)
{
	*values = *config;
	if (!nacre_ssh_config_is_set(config, "CanonicalizeFallbackLocal"))
		values->canonicalize_fallback_local = true;
	if (!nacre_ssh_config_is_set(config, "CanonicalizeMaxDots"))
		values->canonicalize_max_dots = 1;
	if (!nacre_ssh_config_is_set(config, "Port"))
		values->port = 22;
	if (!nacre_ssh_config_is_set(config, "AddressFamily"))
		values->address_family = AF_UNSPEC;
}

/* Puts the canonical form of the host's name in its place, if there is somebody who finds it. */
static int
find_canonical(struct nacre_ssh_config *config)
{
	struct nacre_ssh_config values;
	char *name = NULL;

	canonical_defaults(config, &values);
	if (config->internal->canonicalize == NULL || values.canonicalize_hostname == NACRE_NO)
		return 0;
	const int error = config->internal->canonicalize(&values, &name);
	config->error = values.error;
	config->notes = values.notes;
	if (error == 0 && name != NULL)
		config->hostname = arena_lower(&config->internal->reading.arena, name);
	free(name);
	return error != 0 ? error : config->hostname == NULL ? NACRE_ERROR_MEMORY : 0;
}

int
nacre_ssh_config_load(
    struct nacre_ssh_config *config, const struct nacre_ssh_config_request *request)
{
	struct ssh_parse run;
	int error = keep_request(config, request);

	if (error != 0)
		return error;
	run = ssh_parse_begin(config);
	run.host = config->host;
	error = read_files(&run, request);
	if (error == 0 && (config->hostname = ssh_hostname(config, config->host)) == NULL)
		error = NACRE_ERROR_FORMAT;
	if (error == 0)
		error = find_canonical(config);
	if (error == 0 && (run.want_final || config->canonicalize_hostname != NACRE_NO))
		error = read_final(&run, request);
	if (error == 0)
		error = config_finish(config, &run);
	ssh_parse_end(&run);
	return error;
}

int
nacre_ssh_config_print(const struct nacre_ssh_config *config, struct nacre_buffer *text)
{
	return keywords_print(ssh_keywords, ssh_keyword_count, config, text);
}

/* The value as it is printed, without the keyword. */
static struct nacre_span
printed_value(
    const struct nacre_ssh_config *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	struct nacre_span value;
	const uint8_t *space;

	keyword->type->print(config, keyword, text);
	value = nacre_buffer_span(text);
	space = value.length > 0 ? memchr(value.data, ' ', value.length) : NULL;
	if (space == NULL)
		return (struct nacre_span){NULL, 0};
	value.length -= (size_t)(space + 1 - value.data) + 1;
	value.data = space + 1;
	return value;
}

static bool
value_harmless(const struct nacre_ssh_config *config, const struct nacre_ssh_config *defaults,
    const struct keyword *keyword)
{
	struct nacre_buffer text = {0}, fallback = {0};
	struct nacre_span value = printed_value(config, keyword, &text);
	bool harmless =
	    nacre_span_equal(value, printed_value(defaults, keyword, &fallback)) ||
	    nacre_pattern_list(value, nacre_span_of(keyword->not_yet), false) == NACRE_MATCH_FOUND;

	nacre_buffer_free(&text);
	nacre_buffer_free(&fallback);
	return harmless;
}

static bool
row_refused(
    const struct nacre_ssh_config *config, const struct nacre_ssh_config *defaults, size_t row)
{
	return ssh_keywords[row].not_yet != NULL && config->internal->reading.seen[row] &&
	       !value_harmless(config, defaults, &ssh_keywords[row]);
}

int
nacre_ssh_config_check(struct nacre_ssh_config *config)
{
	struct nacre_ssh_config *defaults;
	struct ssh_parse run;
	int error = nacre_ssh_config_new(&defaults);

	if (error != 0)
		return error;
	run = ssh_parse_begin(defaults);
	error = parse_defaults(&run.parse);
	for (size_t row = 0; row < ssh_keyword_count && error != NACRE_ERROR_MEMORY; row++) {
		const struct origin *origin = &config->internal->origin[row];

		if (!row_refused(config, defaults, row))
			continue;
		nacre_put_format(&config->error,
		    "%s line %u: %s is not supported by this version of Nacre with this value: "
		    "remove the line or set %s to its default\n",
		    origin->file != NULL ? origin->file : "command-line", origin->line,
		    ssh_keywords[row].name, ssh_keywords[row].name);
		error = NACRE_ERROR_UNSUPPORTED;
	}
	ssh_parse_end(&run);
	nacre_ssh_config_free(defaults);
	return error;
}

int
nacre_ssh_config_channel_timeout(const struct nacre_ssh_config *config, struct nacre_span type)
{
	const bool global = nacre_span_equals(type, "global");

	for (size_t i = 0; i < config->channel_timeout.count; i++) {
		const char *const word = config->channel_timeout.words[i];
		int seconds;
		const struct nacre_span pattern = {
		    (const uint8_t *)word, timeout_split(word, &seconds)};

		if (pattern.length > 0 &&
		    (global ? nacre_span_equal(type, pattern) : nacre_pattern_match(type, pattern)))
			return seconds;
	}
	return 0;
}
