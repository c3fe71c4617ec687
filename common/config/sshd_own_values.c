/* Values of the server's keywords that OpenSSH does not have: LogFormat, MetricsListen,
 * ProxyProtocol. They are printed only where they are set, so that sshd -T is comparable. */
#include "sshd_values.h"

#include <nacre/log.h>
#include <nacre/sshd_config.h>

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define LOOPBACK "127.0.0.0/8,::1"

const struct choice choices_log_format[] = {
    {"text", NACRE_LOG_TEXT}, {"json", NACRE_LOG_JSON}, {NULL, 0}};

static void
log_format_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text)
{
	if (*MEMBER_CONST(config, keyword, int) != NACRE_LOG_TEXT)
		value_choice.print(config, keyword, text);
}

static int
log_format_read(struct parse *parse, const struct keyword *keyword)
{
	return value_choice.read(parse, keyword);
}

const struct value_type value_log_format = {log_format_read, log_format_print};

/* Everybody who can connect may read the figures, and they tell of users and times: so it is this
 * machine only. */
static const char *
metrics_problem(const char *word)
{
	char *user = NULL, *host = NULL;
	int port = 0;
	const char *problem = NULL;

	if (word[0] == '/')
		return strlen(word) < sizeof((struct sockaddr_un *)NULL)->sun_path
			   ? NULL
			   : "the path is too long for a socket";
	if (nacre_parse_destination(word, "", &user, &host, &port, NULL) != 0 || port <= 0)
		problem = "expected ADDRESS:PORT or the absolute path of a socket";
	else if (nacre_address_list_strict(host, nacre_span_of(LOOPBACK)) != NACRE_MATCH_FOUND)
		problem = "not a loopback address: the metrics are for programs on this host; have "
			  "one of "
			  "them pass them on, with a login and encryption, to others";
	free(user);
	free(host);
	return problem;
}

static int
metrics_listen_read(struct parse *parse, const struct keyword *keyword)
{
	const char *word = parse_one(parse);

	if (word == NULL)
		return NACRE_ERROR_FORMAT;
	const char *problem = strcmp(word, "none") == 0 ? NULL : metrics_problem(word);
	if (problem != NULL)
		return parse_fail(parse, "MetricsListen \"%s\": %s", word, problem);
	return value_string.read(parse, keyword);
}

const struct value_type value_metrics_listen = {metrics_listen_read, string_print};

static bool
is_whole_world(const char *word)
{
	const char *slash = strchr(word, '/');

	return slash != NULL && strtoul(slash + 1, NULL, 10) == 0;
}

static int
networks_read(struct parse *parse, const struct keyword *keyword)
{
	for (size_t i = 1; i <= parse_arguments(parse); i++) {
		const char *word = parse->line.words[i];

		if (strcmp(word, "none") == 0)
			continue;
		if (nacre_address_list_strict(NULL, nacre_span_of(word)) < NACRE_MATCH_NEGATED ||
		    strchr(word, ',') != NULL)
			return parse_fail(parse,
			    "%s \"%s\": not a network, expected ADDRESS/MASKLEN", keyword->name,
			    word);
		if (is_whole_world(word))
			return parse_fail(parse,
			    "%s \"%s\": everybody could pretend to come from anywhere; name the "
			    "networks of your proxies",
			    keyword->name, word);
	}
	return value_words.read(parse, keyword);
}

const struct value_type value_networks = {networks_read, words_print};
