/*
 * sftp: how a command line is cut into words. Quotes of both kinds group; a backslash takes the
 * meaning from what follows it. A wildcard that has none any more keeps a backslash in front, for
 * glob(7); so does a backslash itself.
 */
#include <scp/sftp.h>

#include <stdlib.h>
#include <string.h>

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool
is_special(char c)
{
	return c == '*' || c == '?' || c == '[' || c == '\\';
}

struct splitter {
	char *word;
	size_t length;
	bool begun;
	char quote;
};

static void
put(struct splitter *splitter, char c, bool literal)
{
	if (literal && is_special(c))
		splitter->word[splitter->length++] = '\\';
	splitter->word[splitter->length++] = c;
	splitter->begun = true;
}

/* One character, or two behind a backslash; returns how many. */
static size_t
step(struct splitter *splitter, const char *text)
{
	const char c = text[0];

	/* Within quotes a backslash stands for itself unless it is before what it could quote. */
	if (c == '\\' && text[1] != '\0') {
		const bool kept =
		    splitter->quote != 0 && text[1] != splitter->quote && text[1] != '\\';

		if (kept)
			put(splitter, c, true);
		put(splitter, text[1], true);
		return 2;
	}
	if (splitter->quote != 0 && c == splitter->quote) {
		splitter->quote = 0;
	} else if (splitter->quote == 0 && (c == '"' || c == '\'')) {
		splitter->quote = c;
		splitter->begun = true;
	} else {
		put(splitter, c, splitter->quote != 0);
	}
	return 1;
}

static void
end_word(struct splitter *splitter, struct words *words)
{
	if (!splitter->begun)
		return;
	splitter->word[splitter->length] = '\0';
	words_add(words, splitter->word);
	splitter->length = 0;
	splitter->begun = false;
}

int
line_split(const char *line, struct words *words)
{
	struct splitter splitter = {.word = malloc(2 * strlen(line) + 3)};

	if (splitter.word == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	while (*line != '\0') {
		if (splitter.quote == 0 && is_blank(*line)) {
			end_word(&splitter, words);
			line++;
		} else if (splitter.quote == 0 && *line == '#' && !splitter.begun) {
			break;
		} else {
			line += step(&splitter, line);
		}
	}
	end_word(&splitter, words);
	free(splitter.word);
	if (splitter.quote == 0)
		return 0;
	complain("Unterminated quoted argument");
	return -1;
}

void
line_last_word(const char *line, size_t length, size_t *start, char *quote)
{
	*start = 0;
	*quote = 0;
	for (size_t i = 0; i < length; i++) {
		if (line[i] == '\\' && i + 1 < length)
			i++;
		else if (*quote != 0 && line[i] == *quote)
			*quote = 0;
		else if (*quote == 0 && (line[i] == '"' || line[i] == '\''))
			*quote = line[i];
		else if (*quote == 0 && is_blank(line[i]))
			*start = i + 1;
	}
}
