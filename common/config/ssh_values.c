/* Values that only ssh_config has. */
#include "ssh_values.h"
#include "ssh_private.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int
port_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_one(parse);
	int port;

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	if (nacre_parse_port(word, &port) != 0 || port == 0)
		return parse_fail(parse, "Bad port '%s'.", word);
	if (parse->store)
		*MEMBER(parse->config, keyword, int) = port;
	return 0;
}

const struct value_type value_port = {port_read, integer_print};

static int
attempts_read(struct parse *parse, const struct keyword *keyword)
{
	int error = value_integer.read(parse, keyword);

	if (error == 0 && parse->store && *MEMBER(parse->config, keyword, int) == 0)
		return parse_fail(parse, "Invalid number of ConnectionAttempts");
	return error;
}

const struct value_type value_attempts = {attempts_read, integer_print};

static int
escape_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_one(parse);
	int value;

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	if (strcmp(word, "none") == 0)
		value = NACRE_ESCAPE_NONE;
	else if (word[0] == '^' && (uint8_t)word[1] >= 64 && (uint8_t)word[1] < 128 &&
		 word[2] == '\0')
		value = word[1] & 31;
	else if (word[1] == '\0')
		value = (uint8_t)word[0];
	else
		return parse_fail(parse, "Bad escape character.");
	if (parse->store)
		*MEMBER(parse->config, keyword, int) = value;
	return 0;
}

static void
escape_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	int value = *MEMBER_CONST(config, keyword, int);

	print_name(keyword, text);
	if (value == NACRE_ESCAPE_NONE)
		nacre_put_format(text, "none\n");
	else if (value < 32)
		nacre_put_format(text, "\\^%c\n", value + 64);
	else
		nacre_put_format(text, "%c\n", value);
}

const struct value_type value_escape = {escape_read, escape_print};

/* yes, no, or a time during which it holds. */
static int
persist_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_one(parse);
	const struct choice *choice;
	int seconds = 0;

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	choice = choice_find(choices_yes_no, word);
	if (choice == NULL && nacre_parse_time(word, &seconds) != 0)
		return parse_fail(parse, "Bad ControlPersist argument.");
	if (parse->store) {
		*MEMBER(parse->config, keyword, bool) = choice == NULL || choice->value != 0;
		*SECOND(parse->config, keyword, int) = seconds;
	}
	return 0;
}

static void
persist_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	int seconds = *SECOND_CONST(config, keyword, int);

	if (!*MEMBER_CONST(config, keyword, bool) || seconds == 0) {
		value_boolean.print(config, keyword, text);
		return;
	}
	print_name(keyword, text);
	nacre_put_format(text, "%d\n", seconds);
}

const struct value_type value_persist = {persist_read, persist_print};

static const struct choice choices_add_keys[] = {{"true", NACRE_YES}, {"false", NACRE_NO},
    {"yes", NACRE_YES}, {"no", NACRE_NO}, {"ask", NACRE_ASK}, {"confirm", NACRE_CONFIRM},
    {NULL, 0}};

static int
add_keys_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_first(parse);
	const struct choice *choice;
	size_t count = parse_arguments(parse);
	int seconds = 0, value = NACRE_YES;

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	choice = choice_find(choices_add_keys, word);
	if (choice != NULL)
		value = choice->value;
	else if (nacre_parse_time(word, &seconds) != 0 || count > 1)
		return parse_fail(parse, "unsupported option \"%s\".", word);
	if (count > 2 || (count == 2 && value != NACRE_CONFIRM))
		return parse_fail(parse, "unsupported option");
	if (count == 2 && nacre_parse_time(parse->line.words[2], &seconds) != 0)
		return parse_fail(parse, "invalid time value.");
	if (parse->store) {
		*MEMBER(parse->config, keyword, int) = value;
		*SECOND(parse->config, keyword, int) = seconds;
	}
	return 0;
}

static void
add_keys_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	int value = *MEMBER_CONST(config, keyword, int);
	int seconds = *SECOND_CONST(config, keyword, int);

	print_name(keyword, text);
	if (value != NACRE_YES || seconds == 0)
		nacre_put_format(
		    text, "%s%s", choice_name(choices_add_keys, value), seconds != 0 ? " " : "");
	if (seconds != 0)
		nacre_put_format(text, "%d", seconds);
	nacre_put_byte(text, '\n');
}

const struct value_type value_add_keys = {add_keys_read, add_keys_print};

static bool
tunnel_unit(const char *word, size_t length, int *unit)
{
	char copy[16], *end;
	long value;

	if (length == 0 || length >= sizeof copy)
		return false;
	memcpy(copy, word, length);
	copy[length] = '\0';
	if (strcasecmp(copy, "any") == 0) {
		*unit = NACRE_TUNNEL_ANY;
		return true;
	}
	value = strtol(copy, &end, 10);
	*unit = (int)value;
	return copy[0] >= '0' && copy[0] <= '9' && *end == '\0' && value <= INT_MAX - 2;
}

static int
tunnel_device_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_one(parse);
	int here, there = NACRE_TUNNEL_ANY;
	size_t length;

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	length = strcspn(word, ":");
	if (!tunnel_unit(word, length, &here) ||
	    (word[length] == ':' &&
		!tunnel_unit(word + length + 1, strlen(word + length + 1), &there)))
		return parse_fail(parse, "Bad tun device.");
	if (parse->store) {
		*MEMBER(parse->config, keyword, int) = here;
		*SECOND(parse->config, keyword, int) = there;
	}
	return 0;
}

static void
tunnel_unit_put(int unit, struct nacre_buffer *text)
{
	if (unit == NACRE_TUNNEL_ANY)
		nacre_put_format(text, "any");
	else
		nacre_put_format(text, "%d", unit);
}

static void
tunnel_device_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	print_name(keyword, text);
	tunnel_unit_put(*MEMBER_CONST(config, keyword, int), text);
	nacre_put_byte(text, ':');
	tunnel_unit_put(*SECOND_CONST(config, keyword, int), text);
	nacre_put_byte(text, '\n');
}

const struct value_type value_tunnel_device = {tunnel_device_read, tunnel_device_print};

static bool
words_same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
endpoint_same(const struct nacre_endpoint *a, const struct nacre_endpoint *b)
{
	return a->port == b->port && words_same(a->host, b->host) && words_same(a->path, b->path);
}

static bool
forwards_contain(const struct nacre_forwards *forwards, const struct nacre_forward *forward)
{
	for (size_t i = 0; i < forwards->count; i++) {
		const struct nacre_forward *have = &forwards->forwards[i];

		if (have->dynamic == forward->dynamic &&
		    endpoint_same(&have->listen, &forward->listen) &&
		    endpoint_same(&have->connect, &forward->connect))
			return true;
	}
	return false;
}

static int
forwards_add(
    struct parse *parse, const struct keyword *keyword, const struct nacre_forward *forward)
{
	struct nacre_forwards *forwards = MEMBER(parse->config, keyword, struct nacre_forwards);
	struct nacre_forward *grown;

	if (!parse->store || forwards_contain(forwards, forward))
		return 0;
	grown = arena_grow(
	    parse->arena, forwards->forwards, forwards->count, sizeof *forwards->forwards);
	if (grown == NULL)
		return NACRE_ERROR_MEMORY;
	forwards->forwards = grown;
	forwards->forwards[forwards->count++] = *forward;
	return 0;
}

/* The details say which of the three it is. */
const struct forward_kind forward_local = {"localforward", false, false};
const struct forward_kind forward_remote = {"remoteforward", false, true};
const struct forward_kind forward_dynamic = {"dynamicforward", true, false};

static int
forward_keyword_read(struct parse *parse, const struct keyword *keyword)
{
	const struct forward_kind *kind = keyword->details;
	const char *listen = parse_first(parse), *target = NULL;
	struct nacre_forward forward = {0};
	size_t count = parse_arguments(parse);
	int error;

	if (listen == NULL)
		return NACRE_ERROR_FORMAT;
	if (count > 1)
		target = parse->line.words[2];
	if (count == 1 && !kind->dynamic && !kind->remote)
		return parse_fail(parse, "Missing target argument.");
	if (count > (kind->dynamic ? 1 : 2))
		return parse_fail(parse, "Bad forwarding specification.");
	error = forward_read(
	    parse->arena, listen, target, kind->dynamic, kind->remote && target == NULL, &forward);
	if (error != 0 && kind->remote && target != NULL)
		error = forward_read(parse->arena, listen, target, false, true, &forward);
	if (error == NACRE_ERROR_FORMAT)
		return parse_fail(parse, "Bad forwarding specification.");
	return error != 0 ? error : forwards_add(parse, keyword, &forward);
}

static void
forward_keyword_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	const struct nacre_forwards *forwards =
	    MEMBER_CONST(config, keyword, struct nacre_forwards);
	const struct forward_kind *kind = keyword->details;

	for (size_t i = 0; i < forwards->count; i++)
		if (kind->remote || forwards->forwards[i].dynamic == kind->dynamic)
			forward_print(kind->name, &forwards->forwards[i], text);
}

const struct value_type value_forward = {forward_keyword_read, forward_keyword_print};

static int
permit_open_read(struct parse *parse, const struct keyword *keyword)
{
	const char *first = parse_first(parse);
	bool single = parse_arguments(parse) == 1 && first != NULL &&
		      (strcmp(first, "any") == 0 || strcmp(first, "none") == 0);

	if (first == NULL)
		return NACRE_ERROR_FORMAT;
	for (size_t i = 1; !single && i <= parse_arguments(parse); i++)
		if (!open_pattern_valid(parse->line.words[i], false))
			return parse_fail(parse, "bad port number in %s", parse_keyword(parse));
	return value_words.read(parse, keyword);
}

const struct value_type value_permit_open = {permit_open_read, words_print};

static int
domains_read(struct parse *parse, const struct keyword *keyword)
{
	for (size_t i = 1; i <= parse_arguments(parse); i++) {
		const char *word = parse->line.words[i];
		char first = word[0];

		if (!((first | 0x20) >= 'a' && (first | 0x20) <= 'z') &&
		    !(first >= '0' && first <= '9'))
			return parse_fail(
			    parse, "domain name \"%s\" starts with invalid character", word);
	}
	return value_words.read(parse, keyword);
}

const struct value_type value_domains = {domains_read, words_print};

static int
cnames_read(struct parse *parse, const struct keyword *keyword)
{
	for (size_t i = 1; i <= parse_arguments(parse); i++) {
		const char *word = parse->line.words[i];
		const char *colon = strchr(word, ':');

		if (strcasecmp(word, "none") != 0 &&
		    (colon == NULL || colon == word || colon[1] == '\0'))
			return parse_fail(parse, "Invalid permitted CNAME \"%s\"", word);
	}
	return value_words.read(parse, keyword);
}

/* OpenSSH prints this name in such a mixture of cases. */
static void
cnames_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	size_t start = nacre_buffer_length(text);

	value_words.print(config, keyword, text);
	if (!text->failed && nacre_buffer_length(text) > start + 12)
		text->data[text->start + start + 12] = 'P';
}

const struct value_type value_cnames = {cnames_read, cnames_print};

static void
send_env_remove(struct nacre_words *words, const char *pattern)
{
	size_t kept = 0;

	for (size_t i = 0; i < words->count; i++)
		if (!nacre_pattern_match(nacre_span_of(words->words[i]), nacre_span_of(pattern)))
			words->words[kept++] = words->words[i];
	words->count = kept;
}

static int
send_env_read(struct parse *parse, const struct keyword *keyword)
{
	struct nacre_words *words = MEMBER(parse->config, keyword, struct nacre_words);

	if (parse_first(parse) == NULL)
		return NACRE_ERROR_FORMAT;
	for (size_t i = 1; i <= parse_arguments(parse); i++) {
		const char *word = parse->line.words[i];

		if (word[0] == '\0' || strchr(word, '=') != NULL)
			return parse_fail(parse, "Invalid environment name.");
		if (!parse->store)
			continue;
		if (word[0] == '-')
			send_env_remove(words, word + 1);
		else
			arena_add_word(parse->arena, words, word);
	}
	return 0;
}

const struct value_type value_send_env = {send_env_read, lines_print};

static int
proxy_command_read(struct parse *parse, const struct keyword *keyword)
{
	int error = value_rest.read(parse, keyword);

	if (error == 0 && parse->store)
		parse_mark_seen(parse, "ProxyJump");
	return error;
}

const struct value_type value_proxy_command = {proxy_command_read, string_print};

/* One hop, "[user@]host[:port]" or "ssh://...", in its plain form. */
static bool
hop_put(struct nacre_span hop, struct nacre_buffer *out)
{
	char *text = nacre_span_to_string(hop), *user = NULL, *host = NULL;
	int port = -1, error = NACRE_ERROR_MEMORY;

	if (text != NULL)
		error = nacre_parse_destination(text, "ssh", &user, &host, &port, NULL);
	free(text);
	if (error == 0 &&
	    (!nacre_host_name_is_safe(host) || (user != NULL && !nacre_user_name_is_safe(user))))
		error = NACRE_ERROR_FORMAT;
	if (error == 0) {
		bool brackets = strchr(host, ':') != NULL;

		nacre_put_format(out, "%s%s%s%s%s%s", nacre_buffer_length(out) > 0 ? "," : "",
		    user != NULL ? user : "", user != NULL ? "@" : "", brackets ? "[" : "", host,
		    brackets ? "]" : "");
		if (port > 0)
			nacre_put_format(out, ":%d", port);
	}
	free(user);
	free(host);
	return error == 0 && !out->failed;
}

static int
proxy_jump_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_one(parse);
	struct nacre_buffer hops = {0};
	bool none, more = true;
	struct nacre_span list;

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	none = strcasecmp(word, "none") == 0;
	list = nacre_span_of(word);
	while (!none && more) {
		const uint8_t *comma = memchr(list.data, ',', list.length);
		struct nacre_span hop = list;

		more = comma != NULL;
		if (more)
			hop.length = (size_t)(comma - list.data);
		if (!hop_put(hop, &hops)) {
			nacre_buffer_free(&hops);
			return parse_fail(parse, "Invalid ProxyJump \"%s\"", word);
		}
		list.data += hop.length + 1;
		list.length -= more ? hop.length + 1 : list.length;
	}
	if (parse->store) {
		*MEMBER(parse->config, keyword, char *) =
		    none ? NULL : arena_buffer(parse->arena, &hops);
		if (!none)
			parse_mark_seen(parse, "ProxyCommand");
	}
	nacre_buffer_free(&hops);
	return 0;
}

const struct value_type value_proxy_jump = {proxy_jump_read, string_print};

static int
obscure_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_one(parse);
	const struct choice *choice;
	char *end;
	long interval = 20;

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	choice = choice_find(choices_yes_no, word);
	if (choice == NULL) {
		if (strncmp(word, "interval:", 9) != 0)
			return parse_fail(parse, "unsupported option \"%s\".", word);
		interval = strtol(word + 9, &end, 10);
		if (word[9] < '0' || word[9] > '9' || *end != '\0' || interval < 1 ||
		    interval > 1000)
			return parse_fail(parse, "invalid ObscureKeystrokeTiming interval.");
	}
	if (parse->store) {
		*MEMBER(parse->config, keyword, bool) = choice == NULL || choice->value != 0;
		*SECOND(parse->config, keyword, int) = (int)interval;
	}
	return 0;
}

static void
obscure_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	int interval = *SECOND_CONST(config, keyword, int);

	if (!*MEMBER_CONST(config, keyword, bool) || interval == 20) {
		value_boolean.print(config, keyword, text);
		return;
	}
	print_name(keyword, text);
	nacre_put_format(text, "interval:%d\n", interval);
}

const struct value_type value_obscure = {obscure_read, obscure_print};

static int
timeouts_read(struct parse *parse, const struct keyword *keyword)
{
	size_t count = parse_arguments(parse);
	int seconds;

	for (size_t i = 1; i <= count; i++)
		if (timeout_split(parse->line.words[i], &seconds) == 0 &&
		    !(count == 1 && strcasecmp(parse->line.words[1], "none") == 0))
			return parse_fail(
			    parse, "invalid channel timeout %s", parse->line.words[i]);
	return value_words.read(parse, keyword);
}

const struct value_type value_timeouts = {timeouts_read, words_print};
