/*
 * The text of a configuration file: lines, and words on a line. Quotes group, a backslash escapes a
 * quote, a backslash or a space, '#' before a word begins a comment, and one '=' may stand between
 * the keyword and its arguments.
 */
#ifndef CONFIG_LEXER_H
#define CONFIG_LEXER_H

#include <nacre/error.h>
#include <nacre/wire.h>

#define LEXER_LINE_MAX ((size_t)64 * 1024)
#define LEXER_FILE_MAX ((size_t)16 * 1024 * 1024)

/* The words of one line; memory is kept from line to line. Starts all zero. */
struct line {
	char **words; /* words[0] is the keyword */
	size_t count; /* 0: a blank line or a comment */
	size_t capacity;
	char *scratch; /* holds the words' bytes */
	size_t scratch_size;
	struct nacre_span rest; /* what follows the keyword, as it stands, trimmed */
};

/* Takes the next line off *text, without its end (LF or CR LF). False at the end of the text. */
bool lexer_next_line(struct nacre_span *text, struct nacre_span *line);
/* Splits a line. 0, NACRE_ERROR_MEMORY, or NACRE_ERROR_FORMAT with the reason in *problem. */
int line_split(struct line *line, struct nacre_span text, const char **problem);
void line_free(struct line *line);

#endif
