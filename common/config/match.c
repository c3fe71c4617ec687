/* Match: the words of its line, which both configurations take alike; their criteria differ. */
#include "keyword.h"

#include <string.h>

char *
match_name(struct parse *parse, size_t *at, bool *negated, char **value)
{
	char *name = parse->line.words[(*at)++], *equals = strchr(name, '=');

	*negated = name[0] == '!';
	*value = NULL;
	if (equals != NULL) {
		*equals = '\0';
		*value = equals + 1;
	}
	return name + (*negated ? 1 : 0);
}

char *
match_value(struct parse *parse, size_t *at, const char *name, char *value)
{
	if (value != NULL)
		return value;
	if (*at < parse->line.count)
		return parse->line.words[(*at)++];
	match_bad(parse, "Missing Match criteria for %s", name);
	return NULL;
}

int
match_bad(struct parse *parse, const char *format, const char *name)
{
	nacre_put_format(parse->error, format, name);
	nacre_put_byte(parse->error, '\n');
	return parse_fail(parse, "Bad Match condition");
}

bool
match_list(const char *text, const char *list, bool host)
{
	return text != NULL && nacre_pattern_list(nacre_span_of(text), nacre_span_of(list), host) ==
				   NACRE_MATCH_FOUND;
}
