/* Small syntaxes that both files use: "host:port" patterns and "type=interval". */
#include "keyword.h"

#include <string.h>

static bool
port_pattern_valid(const char *text)
{
	int port;

	return strcmp(text, "*") == 0 || (nacre_parse_port(text, &port) == 0 && port != 0);
}

bool
open_pattern_valid(const char *word, bool listen)
{
	const char *colon = strrchr(word, ':');

	if (word[0] == '[') {
		const char *end = strchr(word, ']');

		return end != NULL && end[1] == ':' && port_pattern_valid(end + 2);
	}
	if (colon == NULL)
		return listen && port_pattern_valid(word);
	return colon != word && strchr(word, ':') == colon && port_pattern_valid(colon + 1);
}

size_t
timeout_split(const char *word, int *seconds)
{
	const char *equals = strrchr(word, '=');

	if (equals == NULL || equals == word || nacre_parse_time(equals + 1, seconds) != 0)
		return 0;
	return (size_t)(equals - word);
}
