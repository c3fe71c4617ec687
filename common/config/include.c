/* Include: other files are read in the place of the line; the same for both configurations. */
#include "keyword.h"

static int
read_matches(
    struct parse *parse, const char *pattern, int (*file)(struct parse *parse, const char *path))
{
	struct nacre_words files = {0};
	int error = 0;

	file_glob(parse->arena, pattern, &files);
	for (size_t i = 0; i < files.count; i++) {
		int file_error = file(parse, files.words[i]);

		if (file_error != 0)
			error = file_error;
	}
	return error;
}

int
include_read_all(struct parse *parse, char *(*pattern)(struct parse *parse, const char *word),
    int (*file)(struct parse *parse, const char *path))
{
	struct line line = parse->line;
	int error = 0;

	if (parse_first(parse) == NULL)
		return NACRE_ERROR_FORMAT;
	if (parse->depth >= INCLUDE_DEPTH_MAX)
		return parse_fail(parse, "Too many recursive configuration includes");
	parse->depth++;
	/* The files are read with a line of their own; ours is needed afterwards. */
	parse->line = (struct line){0};
	for (size_t i = 1; i < line.count && error != NACRE_ERROR_MEMORY; i++) {
		char *absolute = pattern(parse, line.words[i]);
		int word_error =
		    absolute == NULL ? NACRE_ERROR_FORMAT : read_matches(parse, absolute, file);

		if (word_error != 0)
			error = word_error;
	}
	line_free(&parse->line);
	parse->line = line;
	parse->store = false;
	parse->depth--;
	return error;
}
