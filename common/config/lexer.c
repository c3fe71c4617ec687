/* Lines and words of configuration files. */
#include "lexer.h"

#include <nacre/config.h>

#include <stdlib.h>
#include <string.h>

static bool
is_blank(uint8_t byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\f';
}

bool
lexer_next_line(struct nacre_span *text, struct nacre_span *line)
{
	const uint8_t *end;

	if (text->length == 0)
		return false;
	end = memchr(text->data, '\n', text->length);
	*line = *text;
	if (end == NULL) {
		text->data += text->length;
		text->length = 0;
		return true;
	}
	line->length = (size_t)(end - text->data);
	text->data += line->length + 1;
	text->length -= line->length + 1;
	return true;
}

static void
span_trim(struct nacre_span *span)
{
	while (span->length > 0 && is_blank(span->data[0])) {
		span->data++;
		span->length--;
	}
	while (span->length > 0 && is_blank(span->data[span->length - 1]))
		span->length--;
}

static int
line_add_word(struct line *line, char *word)
{
	if (line->count == line->capacity) {
		size_t capacity = line->capacity > 0 ? 2 * line->capacity : 16;
		char **words = realloc(line->words, capacity * sizeof *words);

		if (words == NULL)
			return NACRE_ERROR_MEMORY;
		line->words = words;
		line->capacity = capacity;
	}
	line->words[line->count++] = word;
	return 0;
}

/* A backslash takes the next byte literally when that is a quote or a backslash, and outside of
 * quotes a space, too. */
static bool
is_escape(struct nacre_span text, uint8_t quote)
{
	if (text.length < 2 || text.data[0] != '\\')
		return false;
	return text.data[1] == '\\' || text.data[1] == '"' || text.data[1] == '\'' ||
	       (quote == 0 && text.data[1] == ' ');
}

/* Copies one word to *out, which moves behind its NUL; false when a quote stays open. */
static bool
word_copy(struct nacre_span *text, bool keyword, char **out)
{
	uint8_t quote = 0;

	while (text->length > 0) {
		uint8_t byte = text->data[0];
		size_t used = 1;

		if (quote == 0 && (is_blank(byte) || (keyword && byte == '=')))
			break;
		if (is_escape(*text, quote)) {
			*(*out)++ = (char)text->data[1];
			used = 2;
		} else if (quote == 0 && (byte == '"' || byte == '\'')) {
			quote = byte;
		} else if (quote != 0 && byte == quote) {
			quote = 0;
		} else {
			*(*out)++ = (char)byte;
		}
		text->data += used;
		text->length -= used;
	}
	*(*out)++ = '\0';
	return quote == 0;
}

/* Words take at most their own bytes and a NUL each: twice the line is enough for all. */
static int
line_reserve(struct line *line, size_t length)
{
	size_t need = 2 * length + 2;

	line->count = 0;
	line->rest = (struct nacre_span){NULL, 0};
	if (need <= line->scratch_size)
		return 0;
	free(line->scratch);
	line->scratch_size = need < 1024 ? 1024 : need;
	line->scratch = malloc(line->scratch_size);
	if (line->scratch == NULL)
		line->scratch_size = 0;
	return line->scratch == NULL ? NACRE_ERROR_MEMORY : 0;
}

static int
line_problem(const char **problem, const char *text)
{
	*problem = text;
	return NACRE_ERROR_FORMAT;
}

int
line_split(struct line *line, struct nacre_span text, const char **problem)
{
	char *out;

	*problem = "out of memory";
	span_trim(&text);
	if (text.length > LEXER_LINE_MAX)
		return line_problem(problem, "line too long");
	if (line_reserve(line, text.length) != 0)
		return NACRE_ERROR_MEMORY;
	if (text.length == 0 || text.data[0] == '#')
		return 0;
	if (memchr(text.data, '\0', text.length) != NULL)
		return line_problem(problem, "NUL byte in line");
	out = line->scratch;
	while (text.length > 0 && (line->count == 0 || text.data[0] != '#')) {
		bool keyword = line->count == 0;
		char *word = out;

		if (!word_copy(&text, keyword, &out))
			return line_problem(problem, "invalid quotes");
		if (line_add_word(line, word) != 0)
			return NACRE_ERROR_MEMORY;
		span_trim(&text);
		if (keyword && text.length > 0 && text.data[0] == '=') {
			text.data++;
			text.length--;
			span_trim(&text);
		}
		if (keyword)
			line->rest = text;
	}
	return 0;
}

void
line_free(struct line *line)
{
	free(line->words);
	free(line->scratch);
	*line = (struct line){0};
}

int
nacre_words_split(const char *text, struct nacre_words *words)
{
	struct line line = {0};
	struct nacre_span rest = nacre_span_of(text);
	char *out;
	int error = line_reserve(&line, rest.length);

	*words = (struct nacre_words){0};
	out = line.scratch;
	for (span_trim(&rest); error == 0 && rest.length > 0; span_trim(&rest)) {
		char *word = out;

		error =
		    word_copy(&rest, false, &out) ? line_add_word(&line, word) : NACRE_ERROR_FORMAT;
	}
	if (error == 0 && line.count == 0)
		error = NACRE_ERROR_FORMAT;
	if (error == 0 && (words->words = calloc(line.count + 1, sizeof(char *))) == NULL)
		error = NACRE_ERROR_MEMORY;
	for (; error == 0 && words->count < line.count; words->count++)
		if ((words->words[words->count] = strdup(line.words[words->count])) == NULL)
			error = NACRE_ERROR_MEMORY;
	if (error != 0)
		nacre_words_free(words);
	line_free(&line);
	return error;
}

void
nacre_words_free(struct nacre_words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->words[i]);
	free(words->words);
	*words = (struct nacre_words){0};
}
