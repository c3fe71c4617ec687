/* Braces in a remote path of the old protocol, as shells expand them: "a{b,c}" is "ab" and "ac". */
#include <scp/scp.h>

#include <stdlib.h>
#include <string.h>

#define WORDS_MOST 1024 /* what a few braces could grow to is not tried out */

/* The brace that closes the one at the start, and whether a comma lies between; NULL: none. */
static const char *
closing(const char *open, bool *comma)
{
	unsigned depth = 0;

	*comma = false;
	for (const char *p = open; *p != '\0'; p++) {
		if (*p == '\\' && p[1] != '\0')
			p++;
		else if (*p == '{')
			depth++;
		else if (*p == ',' && depth == 1)
			*comma = true;
		else if (*p == '}' && --depth == 0)
			return p;
	}
	return NULL;
}

/* The first brace that stands for several words, or NULL. */
static const char *
find_brace(const char *text, const char **close)
{
	for (const char *p = text; *p != '\0'; p++) {
		bool comma;

		if (*p == '\\' && p[1] != '\0')
			p++;
		else if (*p == '{' && (*close = closing(p, &comma)) != NULL && comma)
			return p;
	}
	return NULL;
}

/* Where the alternative that begins at "text" ends. */
static const char *
alternative_end(const char *text, const char *close)
{
	unsigned depth = 0;

	for (; text < close; text++) {
		if (*text == '\\')
			text++;
		else if (*text == '{')
			depth++;
		else if (*text == '}')
			depth--;
		else if (*text == ',' && depth == 0)
			break;
	}
	return text < close ? text : close;
}

bool
brace_expand(const char *text, struct words *words)
{
	const char *close, *open = find_brace(text, &close);

	if (open == NULL) {
		words_add(words, text);
		return words->count <= WORDS_MOST;
	}
	for (const char *p = open + 1; p <= close;) {
		const char *end = alternative_end(p, close);
		char *word;

		if (asprintf(&word, "%.*s%.*s%s", (int)(open - text), text, (int)(end - p), p,
			close + 1) < 0)
			die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
		const bool good = brace_expand(word, words);

		free(word);
		if (!good)
			return false;
		p = end + 1;
	}
	return true;
}
