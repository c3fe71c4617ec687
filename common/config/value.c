/* How values are read, kept and printed: the types that both keyword tables use. */
#include "keyword.h"

#include <nacre/session.h>

#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#define PATH_FLAGS (KEYWORD_FROM_HERE | KEYWORD_TILDE)

const struct choice choices_yes_no[] = {
    {"yes", 1}, {"no", 0}, {"true", 1}, {"false", 0}, {NULL, 0}};

const struct choice choices_log_level[] = {{"SILENT", NACRE_LOG_QUIET}, {"QUIET", NACRE_LOG_QUIET},
    {"FATAL", NACRE_LOG_FATAL}, {"ERROR", NACRE_LOG_ERROR}, {"INFO", NACRE_LOG_INFO},
    {"VERBOSE", NACRE_LOG_VERBOSE}, {"DEBUG", NACRE_LOG_DEBUG1}, {"DEBUG1", NACRE_LOG_DEBUG1},
    {"DEBUG2", NACRE_LOG_DEBUG2}, {"DEBUG3", NACRE_LOG_DEBUG3}, {NULL, 0}};

const struct choice choices_facility[] = {{"DAEMON", LOG_DAEMON}, {"USER", LOG_USER},
    {"AUTH", LOG_AUTH}, {"AUTHPRIV", LOG_AUTHPRIV}, {"LOCAL0", LOG_LOCAL0}, {"LOCAL1", LOG_LOCAL1},
    {"LOCAL2", LOG_LOCAL2}, {"LOCAL3", LOG_LOCAL3}, {"LOCAL4", LOG_LOCAL4}, {"LOCAL5", LOG_LOCAL5},
    {"LOCAL6", LOG_LOCAL6}, {"LOCAL7", LOG_LOCAL7}, {NULL, 0}};

const struct choice choices_address_family[] = {
    {"inet", AF_INET}, {"inet6", AF_INET6}, {"any", AF_UNSPEC}, {NULL, 0}};

/* The values are those of enum nacre_fingerprint_hash. */
const struct choice choices_fingerprint_hash[] = {{"SHA256", 0}, {"MD5", 1}, {NULL, 0}};

const struct choice *
choice_find(const struct choice *choices, const char *name)
{
	for (; choices->name != NULL; choices++)
		if (strcasecmp(choices->name, name) == 0)
			return choices;
	return NULL;
}

const char *
choice_name(const struct choice *choices, int value)
{
	for (; choices->name != NULL; choices++)
		if (choices->value == value)
			return choices->name;
	return "unknown";
}

void
print_name(const struct keyword *keyword, struct nacre_buffer *text)
{
	for (const char *at = keyword->name; *at != '\0'; at++)
		nacre_put_byte(text, (uint8_t)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at));
	nacre_put_byte(text, ' ');
}

void
print_text(const struct keyword *keyword, const char *value, struct nacre_buffer *text)
{
	print_name(keyword, text);
	nacre_put_format(text, "%s\n", value);
}

static int
choice_read(struct parse *parse, const struct choice *choices, int *value)
{
	const char *word = parse_one(parse);
	const struct choice *choice;

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	choice = choice_find(choices, word);
	if (choice != NULL) {
		*value = choice->value;
		return 0;
	}
	if (choices == choices_log_level)
		return parse_fail(parse, "unsupported log level '%s'", word);
	if (choices == choices_facility)
		return parse_fail(parse, "unsupported log facility '%s'", word);
	if (choices == choices_fingerprint_hash)
		return parse->server
			   ? parse_fail(parse, "Invalid FingerprintHash algorithm \"%s\".", word)
			   : parse_fail(parse, "Invalid hash algorithm \"%s\".", word);
	return parse_fail(parse, "unsupported option \"%s\".", word);
}

static int
boolean_read(struct parse *parse, const struct keyword *keyword)
{
	const struct choice *choices = keyword->details != NULL ? keyword->details : choices_yes_no;
	int value = 0;

	if (choice_read(parse, choices, &value) != 0)
		return NACRE_ERROR_FORMAT;
	if (parse->store)
		*MEMBER(parse->config, keyword, bool) = value != 0;
	return 0;
}

static void
boolean_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	print_text(keyword, *MEMBER_CONST(config, keyword, bool) ? "yes" : "no", text);
}

const struct value_type value_boolean = {boolean_read, boolean_print};

static int
choices_read(struct parse *parse, const struct keyword *keyword)
{
	int value = 0;

	if (choice_read(parse, keyword->details, &value) != 0)
		return NACRE_ERROR_FORMAT;
	if (parse->store)
		*MEMBER(parse->config, keyword, int) = value;
	return 0;
}

static void
choices_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	print_text(
	    keyword, choice_name(keyword->details, *MEMBER_CONST(config, keyword, int)), text);
}

const struct value_type value_choice = {choices_read, choices_print};

static int
integer_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_one(parse);
	char *end;
	long value;

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	value = strtol(word, &end, 10);
	if (*end != '\0' || word[0] < '0' || word[0] > '9' || value < 0 || value > INT_MAX)
		return parse->server ? parse_fail(parse, "%s integer value invalid.", keyword->name)
				     : parse_fail(parse, "integer value invalid.");
	if (parse->store)
		*MEMBER(parse->config, keyword, int) = (int)value;
	return 0;
}

void
integer_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	print_name(keyword, text);
	nacre_put_format(text, "%d\n", *MEMBER_CONST(config, keyword, int));
}

const struct value_type value_integer = {integer_read, integer_print};

static int
time_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_one(parse);
	int seconds = parse->server ? 0 : -1;

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	if (!((keyword->flags & KEYWORD_NONE) != 0 && strcmp(word, "none") == 0) &&
	    nacre_parse_time(word, &seconds) != 0)
		return parse_fail(parse, "invalid time value.");
	if (parse->store)
		*MEMBER(parse->config, keyword, int) = seconds;
	return 0;
}

static void
time_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	int seconds = *MEMBER_CONST(config, keyword, int);

	if (seconds < 0 || (seconds == 0 && (keyword->flags & KEYWORD_PRINT_NONE) != 0))
		print_text(keyword, "none", text);
	else
		integer_print(config, keyword, text);
}

const struct value_type value_time = {time_read, time_print};

static char *
path_from_home(struct arena *arena, const char *word)
{
	const struct passwd *account = getpwuid(getuid());
	struct nacre_buffer path = {0};

	if (nacre_expand_tilde(word, account != NULL ? account->pw_dir : NULL, &path) == 0)
		return arena_buffer(arena, &path);
	nacre_buffer_free(&path);
	return arena_string(arena, word);
}

/* sshd leaves the directory that it was started in. */
static char *
path_keep(struct arena *arena, const char *word, unsigned flags)
{
	struct nacre_buffer path = {0};
	char *here = NULL;

	if (word[0] == '~')
		return path_from_home(arena, word);
	if ((flags & KEYWORD_FROM_HERE) != 0 && word[0] != '/' && strcasecmp(word, "none") != 0)
		here = getcwd(NULL, 0);
	if (here == NULL)
		return arena_string(arena, word);
	nacre_put_format(&path, "%s/%s", here, word);
	free(here);
	return arena_buffer(arena, &path);
}

static int
string_keep(struct parse *parse, const struct keyword *keyword, const char *word)
{
	char **member = MEMBER(parse->config, keyword, char *);
	bool none = (keyword->flags & KEYWORD_NONE) != 0 && strcasecmp(word, "none") == 0;

	if ((keyword->flags & KEYWORD_ABSOLUTE) != 0 && !none && word[0] != '/')
		return parse_fail(parse, "%s must be an absolute path", keyword->name);
	if (!parse->store)
		return 0;
	if (none)
		*member = NULL;
	else if ((keyword->flags & KEYWORD_LOWER) != 0)
		*member = arena_lower(parse->arena, word);
	else if (parse->server && (keyword->flags & PATH_FLAGS) != 0)
		*member = path_keep(parse->arena, word, keyword->flags);
	else
		*member = arena_string(parse->arena, word);
	return 0;
}

static int
string_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_one(parse);

	return word == NULL ? NACRE_ERROR_FORMAT : string_keep(parse, keyword, word);
}

void
string_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	const char *value = *MEMBER_CONST(config, keyword, char *);

	if (value != NULL)
		print_text(keyword, value, text);
	else if ((keyword->flags & KEYWORD_PRINT_NONE) != 0)
		print_text(keyword, "none", text);
}

const struct value_type value_string = {string_read, string_print};

static int
rest_read(struct parse *parse, const struct keyword *keyword)
{
	char *rest;
	int error;

	if (parse_first(parse) == NULL)
		return NACRE_ERROR_FORMAT;
	rest = nacre_span_to_string(parse->line.rest);
	if (rest == NULL)
		return NACRE_ERROR_MEMORY;
	error = string_keep(parse, keyword, rest);
	free(rest);
	return error;
}

const struct value_type value_rest = {rest_read, string_print};

static bool
words_contain(const struct nacre_words *words, const char *word)
{
	for (size_t i = 0; i < words->count; i++)
		if (strcmp(words->words[i], word) == 0)
			return true;
	return false;
}

/* Keeps the arguments. */
static int
words_read(struct parse *parse, const struct keyword *keyword)
{
	struct nacre_words *words = MEMBER(parse->config, keyword, struct nacre_words);
	size_t count = parse_arguments(parse);

	if (parse_first(parse) == NULL)
		return NACRE_ERROR_FORMAT;
	for (size_t i = 1; i <= count; i++) {
		const char *word = parse->line.words[i];

		if (word[0] == '\0')
			return parse_fail(parse, "keyword %s empty argument", parse_keyword(parse));
		if (count > 1 && (keyword->flags & KEYWORD_ALONE) != 0 &&
		    strcasecmp(word, "none") == 0)
			return parse_fail(parse, "keyword %s \"none\" argument must appear alone.",
			    parse_keyword(parse));
		if (!parse->store || (count == 1 && (keyword->flags & KEYWORD_NONE) != 0 &&
					 strcasecmp(word, "none") == 0))
			continue;
		if (parse->server && (keyword->flags & PATH_FLAGS) != 0)
			word = path_keep(parse->arena, word, keyword->flags);
		if (word == NULL)
			return NACRE_ERROR_MEMORY;
		if ((keyword->flags & KEYWORD_UNIQUE) == 0 || !words_contain(words, word))
			arena_add_word(parse->arena, words, word);
	}
	return 0;
}

void
words_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	const struct nacre_words *words = MEMBER_CONST(config, keyword, struct nacre_words);

	if (words->count == 0) {
		if ((keyword->flags & KEYWORD_PRINT_NONE) != 0)
			print_text(keyword, "none", text);
		return;
	}
	print_name(keyword, text);
	for (size_t i = 0; i < words->count; i++)
		nacre_put_format(text, "%s%s", i > 0 ? " " : "", words->words[i]);
	nacre_put_byte(text, '\n');
}

void
lines_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	const struct nacre_words *words = MEMBER_CONST(config, keyword, struct nacre_words);

	for (size_t i = 0; i < words->count; i++)
		print_text(keyword, words->words[i], text);
}

/* One file a line, save that a default names all. */
static int
files_read(struct parse *parse, const struct keyword *keyword)
{
	return !parse->is_default && parse_one(parse) == NULL ? NACRE_ERROR_FORMAT
							      : words_read(parse, keyword);
}

const struct value_type value_files = {files_read, lines_print};
const struct value_type value_words = {words_read, words_print};
const struct value_type value_lines = {words_read, lines_print};
const struct value_type value_log_verbose = {words_read, words_print};

/* SetEnv: the first line counts, and on it the first value of a name. */
static bool
environment_contains(const struct nacre_words *words, const char *assignment)
{
	size_t length = strcspn(assignment, "=") + 1;

	for (size_t i = 0; i < words->count; i++)
		if (strncmp(words->words[i], assignment, length) == 0)
			return true;
	return false;
}

static int
environment_read(struct parse *parse, const struct keyword *keyword)
{
	struct nacre_words *words = MEMBER(parse->config, keyword, struct nacre_words);

	if (parse_first(parse) == NULL)
		return NACRE_ERROR_FORMAT;
	for (size_t i = 1; i <= parse_arguments(parse); i++) {
		const char *word = parse->line.words[i];

		if (word[0] == '=' || strchr(word, '=') == NULL)
			return parse_fail(
			    parse, parse->server ? "Invalid environment." : "Invalid SetEnv.");
		if (parse->store && !environment_contains(words, word))
			arena_add_word(parse->arena, words, word);
	}
	return 0;
}

const struct value_type value_environment = {environment_read, lines_print};

const struct algorithm_list list_ciphers = {NACRE_CONFIG_CIPHERS};
const struct algorithm_list list_macs = {NACRE_CONFIG_MACS};
const struct algorithm_list list_kex = {NACRE_CONFIG_KEX};
const struct algorithm_list list_host_keys = {NACRE_CONFIG_HOST_KEY_ALGORITHMS};
const struct algorithm_list list_hostbased = {NACRE_CONFIG_HOSTBASED_ALGORITHMS};
const struct algorithm_list list_pubkey = {NACRE_CONFIG_PUBKEY_ALGORITHMS};
const struct algorithm_list list_ca_signatures = {NACRE_CONFIG_CA_SIGNATURE_ALGORITHMS};

static int
algorithms_fail(struct parse *parse, const struct algorithm_list *list, const char *word)
{
	switch (list->algorithms) {
	case NACRE_CONFIG_CIPHERS:
		return parse_fail(parse, "Bad SSH2 cipher spec '%s'.", word);
	case NACRE_CONFIG_MACS:
		return parse->server ? parse_fail(parse, "Bad SSH2 mac spec '%s'.", word)
				     : parse_fail(parse, "Bad SSH2 MAC spec '%s'.", word);
	case NACRE_CONFIG_KEX:
		return parse_fail(parse, "Bad SSH2 KexAlgorithms '%s'.", word);
	default:
		return parse_fail(parse, "Bad key types '%s'.", word);
	}
}

/* Distributions' guides name GSSAPI's exchanges beside the others, which do without them. The list
 * is arena memory then. */
static const char *
without_gssapi(struct parse *parse, const char *word)
{
	struct nacre_buffer kept = {0};
	struct nacre_span list = nacre_span_of(word);

	if (strstr(word, "gss-") == NULL)
		return word;
	while (list.length > 0) {
		struct nacre_span name = nacre_list_next(&list);

		if (name.length > 4 && memcmp(name.data, "gss-", 4) == 0)
			continue;
		if (nacre_buffer_length(&kept) > 0)
			nacre_put_byte(&kept, ',');
		nacre_put_span(&kept, name);
	}
	parse_warn(parse, "%s: exchanges named gss-... are passed over: Nacre has no GSSAPI",
	    parse_keyword(parse));
	return arena_buffer(parse->arena, &kept);
}

/* Patterns take away from a list; only those of keys' algorithms may be made of them. */
static bool
patterns_misplaced(const struct algorithm_list *list, const char *word)
{
	return list->algorithms <= NACRE_CONFIG_KEX && word[0] != '-' &&
	       strpbrk(word, "*?") != NULL;
}

static int
algorithms_read(struct parse *parse, const struct keyword *keyword)
{
	const struct algorithm_list *list = keyword->details;
	const char *word = parse_one(parse);
	struct nacre_buffer assembled = {0};
	int error = 0;

	if (word != NULL && parse->server && list->algorithms == NACRE_CONFIG_KEX)
		word = without_gssapi(parse, word);
	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	if (parse->server && patterns_misplaced(list, word))
		return algorithms_fail(parse, list, word);
	if (parse->assemble != NULL)
		error = parse->assemble(list->algorithms, word, parse->server, &assembled);
	nacre_buffer_free(&assembled);
	if (error == NACRE_ERROR_MEMORY)
		return error;
	if (error != 0)
		return algorithms_fail(parse, list, word);
	return string_keep(parse, keyword, word);
}

const struct value_type value_algorithms = {algorithms_read, string_print};

static const struct choice choices_ipqos[] = {{"none", NACRE_IPQOS_NONE}, {"af11", 0x28},
    {"af12", 0x30}, {"af13", 0x38}, {"af21", 0x48}, {"af22", 0x50}, {"af23", 0x58}, {"af31", 0x68},
    {"af32", 0x70}, {"af33", 0x78}, {"af41", 0x88}, {"af42", 0x90}, {"af43", 0x98}, {"cs0", 0x00},
    {"cs1", 0x20}, {"cs2", 0x40}, {"cs3", 0x60}, {"cs4", 0x80}, {"cs5", 0xa0}, {"cs6", 0xc0},
    {"cs7", 0xe0}, {"ef", 0xb8}, {"le", 0x04}, {"lowdelay", 0x10}, {"throughput", 0x08},
    {"reliability", 0x04}, {NULL, 0}};

static bool
ipqos_parse(const char *word, int *value)
{
	const struct choice *choice = choice_find(choices_ipqos, word);
	char *end;
	long number;

	if (choice != NULL) {
		*value = choice->value;
		return true;
	}
	number = strtol(word, &end, 0);
	*value = (int)number;
	return word[0] >= '0' && word[0] <= '9' && *end == '\0' && number >= 0 && number <= 255;
}

static int
ipqos_read(struct parse *parse, const struct keyword *keyword)
{
	const char *first = parse_first(parse), *second;
	int interactive, bulk;

	if (first == NULL)
		return NACRE_ERROR_FORMAT;
	if (parse_arguments(parse) > 2)
		return parse_fail(
		    parse, "keyword %s extra arguments at end of line", parse_keyword(parse));
	second = parse_arguments(parse) == 2 ? parse->line.words[2] : first;
	if (!ipqos_parse(first, &interactive))
		return parse_fail(parse, "Bad IPQoS value: %s", first);
	if (!ipqos_parse(second, &bulk))
		return parse_fail(parse, "Bad IPQoS value: %s", second);
	if (parse->store) {
		*MEMBER(parse->config, keyword, int) = interactive;
		*SECOND(parse->config, keyword, int) = bulk;
	}
	return 0;
}

static void
ipqos_put(int value, struct nacre_buffer *text)
{
	for (const struct choice *choice = choices_ipqos; choice->name != NULL; choice++) {
		if (choice->value == value) {
			nacre_put_format(text, "%s", choice->name);
			return;
		}
	}
	nacre_put_format(text, "0x%02x", (unsigned)value);
}

static void
ipqos_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	print_name(keyword, text);
	ipqos_put(*MEMBER_CONST(config, keyword, int), text);
	nacre_put_byte(text, ' ');
	ipqos_put(*SECOND_CONST(config, keyword, int), text);
	nacre_put_byte(text, '\n');
}

const struct value_type value_ipqos = {ipqos_read, ipqos_print};

static int
rekey_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_first(parse), *interval;
	uint64_t bytes = 0;
	int seconds = 0;

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	if (parse_arguments(parse) > 2)
		return parse_fail(
		    parse, "keyword %s extra arguments at end of line", parse_keyword(parse));
	if (strcasecmp(word, "default") != 0 && nacre_parse_size(word, &bytes) != 0)
		return parse_fail(parse, "Bad %snumber '%s': Invalid argument",
		    parse->server ? "RekeyLimit " : "", word);
	if (bytes != 0 && bytes < 16)
		return parse_fail(parse, "RekeyLimit too small");
	interval = parse_arguments(parse) == 2 ? parse->line.words[2] : "none";
	if (strcasecmp(interval, "none") != 0 && nacre_parse_time(interval, &seconds) != 0)
		return parse_fail(parse, "invalid time value.");
	if (parse->store) {
		*MEMBER(parse->config, keyword, uint64_t) = bytes;
		*SECOND(parse->config, keyword, int) = seconds;
	}
	return 0;
}

static void
rekey_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	print_name(keyword, text);
	nacre_put_format(text, "%llu %d\n",
	    (unsigned long long)*MEMBER_CONST(config, keyword, uint64_t),
	    *SECOND_CONST(config, keyword, int));
}

const struct value_type value_rekey = {rekey_read, rekey_print};

static int
mask_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_one(parse);
	char *end;
	long value;

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	value = strtol(word, &end, 8);
	if (word[0] < '0' || word[0] > '7' || *end != '\0' || value < 0 || value > 0777)
		return parse_fail(
		    parse, parse->server ? "Invalid StreamLocalBindMask." : "Bad mask.");
	if (parse->store)
		*MEMBER(parse->config, keyword, int) = (int)value;
	return 0;
}

static void
mask_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	print_name(keyword, text);
	nacre_put_format(text, "0%o\n", (unsigned)*MEMBER_CONST(config, keyword, int));
}

const struct value_type value_mask = {mask_read, mask_print};

/* Rows that stand for something else, or for nothing. */

const struct value_type value_alias = {NULL, NULL};

static int
ignored_read(struct parse *parse, const struct keyword *keyword)
{
	if (parse_first(parse) == NULL)
		return NACRE_ERROR_FORMAT;
	if ((keyword->flags & KEYWORD_QUIET) == 0)
		parse_note(parse, "Deprecated option \"%s\"", parse_keyword(parse));
	return 0;
}

const struct value_type value_ignored = {ignored_read, NULL};

static int
deprecated_read(struct parse *parse, const struct keyword *keyword)
{
	(void)keyword;
	if (parse_first(parse) == NULL)
		return NACRE_ERROR_FORMAT;
	parse_warn(parse, "Deprecated option %s", parse_keyword(parse));
	return 0;
}

const struct value_type value_deprecated = {deprecated_read, NULL};

static int
unsupported_read(struct parse *parse, const struct keyword *keyword)
{
	(void)keyword;
	if (parse_first(parse) == NULL)
		return NACRE_ERROR_FORMAT;
	parse_warn(parse, parse->server ? "Unsupported option %s" : "Unsupported option \"%s\"",
	    parse_keyword(parse));
	return 0;
}

const struct value_type value_unsupported = {unsupported_read, NULL};

static int
boolean_or_text_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_one(parse);
	const struct choice *choice;

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	choice = choice_find(choices_yes_no, word);
	/* Other than the client, the server takes "YES" for a name. */
	if (choice != NULL && parse->server && strcmp(choice->name, word) != 0)
		choice = NULL;
	if (!parse->store)
		return 0;
	*MEMBER(parse->config, keyword, bool) = choice == NULL || choice->value != 0;
	*SECOND(parse->config, keyword, char *) =
	    choice == NULL ? arena_string(parse->arena, word) : NULL;
	return 0;
}

static void
boolean_or_text_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	const char *other = *SECOND_CONST(config, keyword, char *);

	if (other != NULL)
		print_text(keyword, other, text);
	else
		value_boolean.print(config, keyword, text);
}

const struct value_type value_boolean_or_text = {boolean_or_text_read, boolean_or_text_print};
