/* Matching with wildcards and negated pattern lists: the PATTERNS section of ssh_config(5). */
#include <nacre/pattern.h>

static uint8_t
pattern_fold(uint8_t byte, bool fold)
{
	return fold && byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte - 'A' + 'a') : byte;
}

/* A '*' is first taken as empty; on a mismatch the newest one takes one byte more. Older stars need
 * no second try, so the time is bounded by the product of the lengths. */
static bool
pattern_walk(struct nacre_span text, struct nacre_span pattern, bool fold)
{
	size_t t = 0, p = 0, star = SIZE_MAX, resume = 0;

	while (t < text.length) {
		if (p < pattern.length && pattern.data[p] == '*') {
			star = ++p;
			resume = t;
		} else if (p < pattern.length &&
			   (pattern.data[p] == '?' || pattern_fold(pattern.data[p], fold) ==
							  pattern_fold(text.data[t], fold))) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star;
			t = ++resume;
		} else {
			return false;
		}
	}
	while (p < pattern.length && pattern.data[p] == '*')
		p++;
	return p == pattern.length;
}

bool
nacre_pattern_match(struct nacre_span text, struct nacre_span pattern)
{
	return pattern_walk(text, pattern, false);
}

bool
nacre_pattern_match_host(struct nacre_span text, struct nacre_span pattern)
{
	return pattern_walk(text, pattern, true);
}

enum nacre_match
nacre_pattern_list(struct nacre_span text, struct nacre_span list, bool host)
{
	enum nacre_match match = NACRE_MATCH_NONE;

	while (list.length > 0) {
		struct nacre_span pattern = nacre_list_next(&list);
		bool negated = pattern.length > 0 && pattern.data[0] == '!';

		if (negated) {
			pattern.data++;
			pattern.length--;
		}
		if (pattern.length == 0 || !pattern_walk(text, pattern, host))
			continue;
		if (negated)
			return NACRE_MATCH_NEGATED;
		match = NACRE_MATCH_FOUND;
	}
	return match;
}
