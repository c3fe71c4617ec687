/* Values that only sshd_config has. */
#include "sshd_values.h"
#include "sshd_private.h"

#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

static int
ports_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_one(parse);
	char number[8];
	int port;

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	if (nacre_parse_port(word, &port) != 0 || port == 0)
		return parse_fail(parse, "Badly formatted port number.");
	snprintf(number, sizeof number, "%d", port);
	if (parse->store)
		arena_add_word(
		    parse->arena, MEMBER(parse->config, keyword, struct nacre_words), number);
	return 0;
}

const struct value_type value_ports = {ports_read, lines_print};

/* ListenAddress: checked here, taken apart when all ports are known. */
static int
listen_read(struct parse *parse, const struct keyword *keyword)
{
	const struct nacre_sshd_config *config = parse->config;
	const char *word = parse_first(parse);
	char *user = NULL, *host = NULL;
	int port, error;

	(void)keyword;
	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	if (parse_arguments(parse) > 1 && strcasecmp(parse->line.words[2], "rdomain") == 0)
		return parse_fail(parse, "setting RDomain not supported on this platform.");
	if (parse_one(parse) == NULL)
		return NACRE_ERROR_FORMAT;
	error = nacre_parse_destination(word, "", &user, &host, &port, NULL);
	if (error == 0 && user != NULL)
		error = NACRE_ERROR_FORMAT;
	free(user);
	free(host);
	if (error != 0)
		return parse_fail(parse, "bad address or port number \"%s\"", word);
	if (parse->store)
		arena_add_word(parse->arena, &config->internal->listen, word);
	return 0;
}

/* Any address stands for one line a family. */
static void
listen_print_any(const struct nacre_sshd_config *config, int port, struct nacre_buffer *text)
{
	if (config->address_family != AF_INET)
		nacre_put_format(text, "listenaddress [::]:%d\n", port);
	if (config->address_family != AF_INET6)
		nacre_put_format(text, "listenaddress 0.0.0.0:%d\n", port);
}

static void
listen_print_name(const struct nacre_sshd_config *config, const struct nacre_listen_address *at,
    struct nacre_buffer *text)
{
	const struct addrinfo hints = {
	    .ai_family = config->address_family, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	char host[NI_MAXHOST];

	if (getaddrinfo(at->host, "22", &hints, &found) != 0) {
		nacre_put_format(text, "listenaddress %s:%d\n", at->host, at->port);
		return;
	}
	for (const struct addrinfo *one = found; one != NULL; one = one->ai_next) {
		if (getnameinfo(one->ai_addr, one->ai_addrlen, host, sizeof host, NULL, 0,
			NI_NUMERICHOST) != 0)
			continue;
		nacre_put_format(text,
		    one->ai_family == AF_INET6 ? "listenaddress [%s]:%d\n"
					       : "listenaddress %s:%d\n",
		    host, at->port);
	}
	freeaddrinfo(found);
}

static void
listen_print(const void *any, const struct keyword *keyword, struct nacre_buffer *text)
{
	const struct nacre_sshd_config *config = any;

	(void)keyword;
	for (size_t i = 0; i < config->listen_address_count; i++) {
		const struct nacre_listen_address *at = &config->listen_addresses[i];

		if (at->host == NULL)
			listen_print_any(config, at->port, text);
		else
			listen_print_name(config, at, text);
	}
}

const struct value_type value_listen_address = {listen_read, listen_print};

/* USER or USER@HOST, where HOST may hold networks. */
static int
user_patterns_read(struct parse *parse, const struct keyword *keyword)
{
	for (size_t i = 1; i < parse->line.count; i++) {
		const char *word = parse->line.words[i];
		const char *at = strrchr(word, '@');

		if (word[0] == '\0' || (at != NULL && (at[1] == '\0' || nacre_address_list(NULL,
									    nacre_span_of(at + 1)) <
									    NACRE_MATCH_NEGATED)))
			return parse_fail(parse, "invalid %s pattern: \"%s\"", keyword->name, word);
	}
	return value_lines.read(parse, keyword);
}

const struct value_type value_user_patterns = {user_patterns_read, lines_print};

static int
accept_env_read(struct parse *parse, const struct keyword *keyword)
{
	for (size_t i = 1; i < parse->line.count; i++)
		if (strchr(parse->line.words[i], '=') != NULL)
			return parse_fail(parse, "Invalid environment name.");
	return value_lines.read(parse, keyword);
}

const struct value_type value_accept_env = {accept_env_read, lines_print};

/* "publickey,password": each method may be followed by ":device". */
static bool
method_list_valid(struct nacre_span list)
{
	static const char *const methods[] = {"publickey", "password", "keyboard-interactive",
	    "hostbased", "none", "gssapi-with-mic"};
	bool valid = list.length > 0;

	while (list.length > 0 && valid) {
		struct nacre_span method = nacre_list_next(&list);
		const uint8_t *colon =
		    method.length > 0 ? memchr(method.data, ':', method.length) : NULL;

		if (colon != NULL)
			method.length = (size_t)(colon - method.data);
		valid = false;
		for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
			valid |= nacre_span_equals(method, methods[i]);
	}
	return valid;
}

static int
methods_read(struct parse *parse, const struct keyword *keyword)
{
	size_t count = parse_arguments(parse);

	if (parse_first(parse) == NULL)
		return NACRE_ERROR_FORMAT;
	if (count == 1 && strcmp(parse->line.words[1], "any") == 0)
		return 0;
	for (size_t i = 1; i <= count; i++) {
		const char *word = parse->line.words[i];

		if (strcmp(word, "any") == 0)
			return parse_fail(
			    parse, "\"any\" must appear alone in AuthenticationMethods");
		if (!method_list_valid(nacre_span_of(word)))
			return parse_fail(parse, "invalid AuthenticationMethods method list.");
	}
	return value_words.read(parse, keyword);
}

/* An empty list prints as the word that stands for it. */
static void
words_print_or(
    const void *config, const struct keyword *keyword, const char *word, struct nacre_buffer *text)
{
	if (MEMBER_CONST(config, keyword, struct nacre_words)->count == 0)
		print_text(keyword, word, text);
	else
		words_print(config, keyword, text);
}

static void
any_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	words_print_or(config, keyword, "any", text);
}

const struct value_type value_methods = {methods_read, any_print};

/* Decimal digits up to "end"; -1 when that is not what stands there. */
static int
decimal(const char **text, char end, int most)
{
	char *stop;
	long value;

	if (**text < '0' || **text > '9')
		return -1;
	value = strtol(*text, &stop, 10);
	if (*stop != end || value > most)
		return -1;
	*text = *stop == '\0' ? stop : stop + 1;
	return (int)value;
}

/* "full" or "begin:rate:full". */
static int
max_startups_read(struct parse *parse, const struct keyword *keyword)
{
	struct nacre_sshd_config *config = parse->config;
	const char *word = parse_one(parse);
	int begin, rate = 100, full;

	(void)keyword;
	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	if (strchr(word, ':') == NULL) {
		begin = full = decimal(&word, '\0', INT_MAX);
		rate = 30;
	} else {
		begin = decimal(&word, ':', INT_MAX);
		rate = begin < 0 ? -1 : decimal(&word, ':', 100);
		full = rate < 0 ? -1 : decimal(&word, '\0', INT_MAX);
	}
	if (begin < 1 || rate < 1 || full < begin)
		return parse_fail(parse, "Invalid MaxStartups spec.");
	if (parse->store) {
		config->max_startups_begin = begin;
		config->max_startups_rate = rate;
		config->max_startups_full = full;
	}
	return 0;
}

static void
max_startups_print(const void *any, const struct keyword *keyword, struct nacre_buffer *text)
{
	const struct nacre_sshd_config *config = any;

	print_name(keyword, text);
	nacre_put_format(text, "%d:%d:%d\n", config->max_startups_begin, config->max_startups_rate,
	    config->max_startups_full);
}

const struct value_type value_max_startups = {max_startups_read, max_startups_print};

static int
per_source_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_one(parse);
	int value = INT_MAX;

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	if (strcmp(word, "none") != 0 && (value = decimal(&word, '\0', INT_MAX)) < 0)
		return parse_fail(parse, "%s integer value invalid.", keyword->name);
	if (parse->store)
		*MEMBER(parse->config, keyword, int) = value;
	return 0;
}

static void
per_source_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	if (*MEMBER_CONST(config, keyword, int) == INT_MAX)
		print_text(keyword, "none", text);
	else
		integer_print(config, keyword, text);
}

const struct value_type value_per_source = {per_source_read, per_source_print};

static int
block_size_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_one(parse);
	int four, six = 128;

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	if (strchr(word, ':') != NULL) {
		four = decimal(&word, ':', 32);
		six = four < 0 ? -1 : decimal(&word, '\0', 128);
	} else {
		four = decimal(&word, '\0', 32);
	}
	if (four < 0 || six < 0)
		return parse_fail(parse, "Invalid PerSourceNetBlockSize spec.");
	if (parse->store) {
		*MEMBER(parse->config, keyword, int) = four;
		*SECOND(parse->config, keyword, int) = six;
	}
	return 0;
}

static void
block_size_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	print_name(keyword, text);
	nacre_put_format(text, "%d:%d\n", *MEMBER_CONST(config, keyword, int),
	    *SECOND_CONST(config, keyword, int));
}

const struct value_type value_block_size = {block_size_read, block_size_print};

/* PerSourcePenalties: "name:value" words, in the order in which they are printed. */
static const struct {
	const char *name;
	size_t offset;
	bool number; /* not a time */
} penalties[] = {{"crash", offsetof(struct nacre_penalties, crash), false},
    {"authfail", offsetof(struct nacre_penalties, authfail), false},
    {"noauth", offsetof(struct nacre_penalties, noauth), false},
    {"grace-exceeded", offsetof(struct nacre_penalties, grace_exceeded), false},
    {"refuseconnection", offsetof(struct nacre_penalties, refuseconnection), false},
    {"invaliduser", offsetof(struct nacre_penalties, invaliduser), false},
    {"max", offsetof(struct nacre_penalties, max), false},
    {"min", offsetof(struct nacre_penalties, min), false},
    {"max-sources4", offsetof(struct nacre_penalties, max_sources4), true},
    {"max-sources6", offsetof(struct nacre_penalties, max_sources6), true}};

static int *
penalty_member(struct nacre_penalties *values, size_t at)
{
	return (int *)(void *)((char *)values + penalties[at].offset);
}

static bool
overflow_take(struct nacre_penalties *values, struct nacre_span name, const char *value)
{
	bool deny = strcmp(value, "deny-all") == 0;

	if (!deny && strcmp(value, "permissive") != 0)
		return false;
	if (nacre_span_equals(name, "overflow"))
		values->overflow_deny_all = deny;
	else if (nacre_span_equals(name, "overflow6"))
		values->overflow6_deny_all = deny;
	else
		return false;
	return true;
}

static bool
penalty_take(struct nacre_penalties *values, const char *word)
{
	size_t length = strcspn(word, ":");
	struct nacre_span name = {(const uint8_t *)word, length};
	const char *value = word + length + 1;

	if (word[length] == '\0')
		return false;
	for (size_t i = 0; i < sizeof penalties / sizeof penalties[0]; i++) {
		int *member = penalty_member(values, i);

		if (!nacre_span_equals(name, penalties[i].name))
			continue;
		if (!penalties[i].number)
			return nacre_parse_time(value, member) == 0;
		*member = decimal(&value, '\0', INT_MAX);
		return *member > 0;
	}
	return overflow_take(values, name, value);
}

static int
penalties_read(struct parse *parse, const struct keyword *keyword)
{
	struct nacre_penalties values = {.enabled = true,
	    .crash = 90,
	    .authfail = 5,
	    .invaliduser = 5,
	    .refuseconnection = 10,
	    .noauth = 1,
	    .grace_exceeded = 10,
	    .min = 15,
	    .max = 600,
	    .max_sources4 = 65536,
	    .max_sources6 = 65536};
	const char *first = parse_first(parse);
	const struct choice *choice;
	bool own_overflow6 = false;

	if (first == NULL)
		return NACRE_ERROR_FORMAT;
	choice = parse_arguments(parse) == 1 ? choice_find(choices_yes_no, first) : NULL;
	if (choice != NULL)
		values.enabled = choice->value != 0;
	for (size_t i = 1; choice == NULL && i < parse->line.count; i++) {
		const char *word = parse->line.words[i];
		if (!penalty_take(&values, word))
			return parse_fail(parse, "invalid PerSourcePenalties value \"%s\"", word);
		own_overflow6 |= strncmp(word, "overflow6:", 10) == 0;
	}
	if (!own_overflow6)
		values.overflow6_deny_all = values.overflow_deny_all;
	if (parse->store)
		*MEMBER(parse->config, keyword, struct nacre_penalties) = values;
	return 0;
}

static void
penalties_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	struct nacre_penalties values = *MEMBER_CONST(config, keyword, struct nacre_penalties);

	if (!values.enabled) {
		print_text(keyword, "no", text);
		return;
	}
	print_name(keyword, text);
	for (size_t i = 0; i < sizeof penalties / sizeof penalties[0]; i++)
		nacre_put_format(text, "%s:%d ", penalties[i].name, *penalty_member(&values, i));
	nacre_put_format(text, "overflow:%s overflow6:%s\n",
	    values.overflow_deny_all ? "deny-all" : "permissive",
	    values.overflow6_deny_all ? "deny-all" : "permissive");
}

const struct value_type value_penalties = {penalties_read, penalties_print};

static int
exempt_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_one(parse);

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	if (strcmp(word, "none") != 0 &&
	    nacre_address_list_strict(NULL, nacre_span_of(word)) < NACRE_MATCH_NEGATED)
		return parse_fail(parse, "invalid address list \"%s\"", word);
	return value_string.read(parse, keyword);
}

const struct value_type value_exempt = {exempt_read, string_print};

/* PermitOpen and PermitListen: "any" is the empty list, "none" a word of it. */
static int
permissions_read(struct parse *parse, const struct keyword *keyword, bool listen)
{
	struct nacre_words *words = MEMBER(parse->config, keyword, struct nacre_words);
	size_t count = parse_arguments(parse);
	const char *first = parse_first(parse);

	if (first == NULL)
		return NACRE_ERROR_FORMAT;
	if (count == 1 && strcmp(first, "any") == 0)
		return 0;
	if (count == 1 && strcmp(first, "none") == 0)
		return value_words.read(parse, keyword);
	for (size_t i = 1; i <= count; i++) {
		const char *word = parse->line.words[i];
		struct nacre_buffer full = {0};
		char *kept;

		if (!open_pattern_valid(word, listen))
			return parse_fail(parse, "%s bad port number", keyword->name);
		if (!parse->store)
			continue;
		nacre_put_format(&full, "%s%s", strchr(word, ':') == NULL ? "*:" : "", word);
		kept = arena_buffer(parse->arena, &full);
		if (kept != NULL)
			arena_add_word(parse->arena, words, kept);
	}
	return 0;
}

static int
open_read(struct parse *parse, const struct keyword *keyword)
{
	return permissions_read(parse, keyword, false);
}

static int
listen_permission_read(struct parse *parse, const struct keyword *keyword)
{
	return permissions_read(parse, keyword, true);
}

const struct value_type value_server_open = {open_read, any_print};
const struct value_type value_server_listen = {listen_permission_read, any_print};

static const struct choice choices_pubkey_options[] = {
    {"touch-required", NACRE_PUBKEY_TOUCH_REQUIRED},
    {"verify-required", NACRE_PUBKEY_VERIFY_REQUIRED}, {NULL, 0}};

static int
pubkey_options_read(struct parse *parse, const struct keyword *keyword)
{
	const char *first = parse_first(parse);
	int value = 0;

	if (first == NULL)
		return NACRE_ERROR_FORMAT;
	for (size_t i = 1; i < parse->line.count; i++) {
		const char *word = parse->line.words[i];
		const struct choice *choice = choice_find(choices_pubkey_options, word);

		if (choice == NULL &&
		    !(parse_arguments(parse) == 1 && strcasecmp(word, "none") == 0))
			return parse_fail(parse, "unsupported PubkeyAuthOptions option %s", word);
		value |= choice != NULL ? choice->value : 0;
	}
	if (parse->store)
		*MEMBER(parse->config, keyword, int) = value;
	return 0;
}

static void
pubkey_options_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	int value = *MEMBER_CONST(config, keyword, int);

	print_name(keyword, text);
	nacre_put_format(text, "%s%s%s%s\n", value == 0 ? "none" : "",
	    value & NACRE_PUBKEY_TOUCH_REQUIRED ? "touch-required" : "",
	    value == (NACRE_PUBKEY_TOUCH_REQUIRED | NACRE_PUBKEY_VERIFY_REQUIRED) ? " " : "",
	    value & NACRE_PUBKEY_VERIFY_REQUIRED ? "verify-required" : "");
}

const struct value_type value_pubkey_options = {pubkey_options_read, pubkey_options_print};

static bool
subsystem_known(const struct nacre_sshd_config *config, const char *name)
{
	for (size_t i = 0; i < config->subsystem_count; i++)
		if (strcmp(config->subsystems[i].name, name) == 0)
			return true;
	return false;
}

/* A word as a shell and our own splitting take it for one. */
static void
word_put(const char *word, struct nacre_buffer *text)
{
	bool plain = word[0] != '\0' && strpbrk(word, " \t\"'\\") == NULL;

	if (plain) {
		nacre_put_format(text, "%s", word);
		return;
	}
	nacre_put_byte(text, '"');
	for (; *word != '\0'; word++) {
		if (*word == '"' || *word == '\\')
			nacre_put_byte(text, '\\');
		nacre_put_byte(text, (uint8_t)*word);
	}
	nacre_put_byte(text, '"');
}

/* The words behind the name. */
static char *
subsystem_command(struct parse *parse)
{
	struct nacre_buffer joined = {0};

	for (size_t i = 2; i < parse->line.count; i++) {
		if (i > 2)
			nacre_put_byte(&joined, ' ');
		word_put(parse->line.words[i], &joined);
	}
	return arena_buffer(parse->arena, &joined);
}

static int
subsystem_read(struct parse *parse, const struct keyword *keyword)
{
	struct nacre_sshd_config *config = parse->config;
	struct nacre_subsystem *grown;

	(void)keyword;
	if (parse_first(parse) == NULL)
		return NACRE_ERROR_FORMAT;
	if (parse_arguments(parse) < 2)
		return parse_fail(parse, "Missing subsystem command.");
	/* The first of a name counts, as in OpenSSH from 9.5 on. */
	if (!parse->store || subsystem_known(config, parse->line.words[1]))
		return 0;
	grown = arena_grow(
	    parse->arena, config->subsystems, config->subsystem_count, sizeof *config->subsystems);
	if (grown == NULL)
		return NACRE_ERROR_MEMORY;
	config->subsystems = grown;
	grown[config->subsystem_count].name = arena_string(parse->arena, parse->line.words[1]);
	grown[config->subsystem_count].command = subsystem_command(parse);
	if (!parse->arena->failed)
		config->subsystem_count++;
	return 0;
}

static void
subsystem_print(const void *any, const struct keyword *keyword, struct nacre_buffer *text)
{
	const struct nacre_sshd_config *config = any;

	(void)keyword;
	for (size_t i = 0; i < config->subsystem_count; i++)
		nacre_put_format(text, "subsystem %s %s\n", config->subsystems[i].name,
		    config->subsystems[i].command);
}

const struct value_type value_subsystem = {subsystem_read, subsystem_print};

static int
channel_timeout_add(struct parse *parse, const char *word)
{
	struct nacre_sshd_config *config = parse->config;
	struct nacre_channel_timeout *grown;
	int seconds;
	size_t length = timeout_split(word, &seconds);

	if (length == 0)
		return parse_fail(parse, "invalid channel timeout %s", word);
	if (!parse->store)
		return 0;
	grown = arena_grow(parse->arena, config->channel_timeouts, config->channel_timeout_count,
	    sizeof *config->channel_timeouts);
	if (grown == NULL)
		return NACRE_ERROR_MEMORY;
	config->channel_timeouts = grown;
	grown[config->channel_timeout_count] = (struct nacre_channel_timeout){
	    .type = arena_span(parse->arena, (struct nacre_span){(const uint8_t *)word, length}),
	    .seconds = seconds,
	    .written = arena_string(parse->arena, word)};
	if (!parse->arena->failed)
		config->channel_timeout_count++;
	return 0;
}

static int
channel_timeouts_read(struct parse *parse, const struct keyword *keyword)
{
	const char *first = parse_first(parse);
	int error = 0;

	(void)keyword;
	if (first == NULL)
		return NACRE_ERROR_FORMAT;
	if (parse_arguments(parse) == 1 && strcasecmp(first, "none") == 0)
		return 0;
	for (size_t i = 1; i < parse->line.count && error == 0; i++)
		error = channel_timeout_add(parse, parse->line.words[i]);
	return error;
}

static void
channel_timeouts_print(const void *any, const struct keyword *keyword, struct nacre_buffer *text)
{
	const struct nacre_sshd_config *config = any;

	if (config->channel_timeout_count == 0) {
		print_text(keyword, "none", text);
		return;
	}
	print_name(keyword, text);
	for (size_t i = 0; i < config->channel_timeout_count; i++)
		nacre_put_format(
		    text, "%s%s", i > 0 ? " " : "", config->channel_timeouts[i].written);
	nacre_put_byte(text, '\n');
}

const struct value_type value_channel_timeouts = {channel_timeouts_read, channel_timeouts_print};

static const struct choice choices_permit_tunnel[] = {
    {"point-to-point", NACRE_TUNNEL_POINT_TO_POINT}, {"ethernet", NACRE_TUNNEL_ETHERNET},
    {"yes", NACRE_TUNNEL_YES}, {"no", NACRE_TUNNEL_NO}, {NULL, 0}};

static int
permit_tunnel_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_one(parse);
	const struct choice *choice;

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	choice = choice_find(choices_permit_tunnel, word);
	if (choice == NULL)
		return parse_fail(parse, "bad PermitTunnel argument %s", word);
	if (parse->store)
		*MEMBER(parse->config, keyword, int) = choice->value;
	return 0;
}

static void
permit_tunnel_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	print_text(
	    keyword, choice_name(choices_permit_tunnel, *MEMBER_CONST(config, keyword, int)), text);
}

const struct value_type value_permit_tunnel = {permit_tunnel_read, permit_tunnel_print};

/* Where OpenSSH finds a part of its own that we have no use for; the details say why. */
static int
other_part_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_one(parse);

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	if (!parse->is_default &&
	    (keyword->fallback == NULL || strcmp(word, keyword->fallback) != 0))
		parse_warn(parse, "%s %s has no effect: %s", keyword->name, word,
		    (const char *)keyword->details);
	return value_string.read(parse, keyword);
}

const struct value_type value_other_part = {other_part_read, string_print};

/* Kerberos and GSSAPI are not in this program: what turns them off is what we do, what asks for
 * them is refused. */
static int
kerberos_read(struct parse *parse, const struct keyword *keyword)
{
	const struct choice *choice;
	const char *word = parse_first(parse);

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	choice = choice_find(choices_yes_no, word);
	if (choice == NULL || choice->value != 0)
		return parse_fail(parse,
		    "%s %s is not supported: Nacre has no Kerberos and no GSSAPI; set it to "
		    "\"no\" or remove the line",
		    keyword->name, word);
	return 0;
}

const struct value_type value_kerberos = {kerberos_read, NULL};

static int
routing_domain_read(struct parse *parse, const struct keyword *keyword)
{
	(void)keyword;
	return parse_fail(parse, "setting RDomain not supported on this platform.");
}

const struct value_type value_routing_domain = {routing_domain_read, NULL};
