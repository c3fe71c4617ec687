/* Keyword tables: finding a row, complaining about a line. */
#include "keyword.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static size_t
keyword_hash(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name != '\0'; name++) {
		uint8_t byte = (uint8_t)*name;

		if (byte >= 'A' && byte <= 'Z')
			byte = (uint8_t)(byte + 32);
		hash = (hash ^ byte) * 16777619u;
	}
	return (hash ^ hash >> 16) % KEYWORD_INDEX_SIZE;
}

void
reading_begin(struct reading *reading, const struct keyword *table, size_t count)
{
	uint16_t *index = reading->index;

	for (size_t row = 0; row < count; row++) {
		size_t slot = keyword_hash(table[row].name);

		while (index[slot] != 0)
			slot = (slot + 1) % KEYWORD_INDEX_SIZE;
		index[slot] = (uint16_t)(row + 1);
	}
}

void
reading_end(struct reading *reading, struct nacre_buffer *error, struct nacre_buffer *warnings,
    struct nacre_buffer *notes)
{
	arena_free(&reading->arena);
	nacre_buffer_free(error);
	nacre_buffer_free(warnings);
	nacre_buffer_free(notes);
}

struct parse
parse_begin(struct reading *reading, const struct keyword *table, size_t count)
{
	return (struct parse){.arena = &reading->arena,
	    .table = table,
	    .count = count,
	    .index = reading->index,
	    .seen = reading->seen,
	    .assemble = reading->assemble};
}

static const struct keyword *
keyword_row(const struct parse *parse, const char *name)
{
	size_t slot = keyword_hash(name);

	for (; parse->index[slot] != 0; slot = (slot + 1) % KEYWORD_INDEX_SIZE)
		if (strcasecmp(parse->table[parse->index[slot] - 1].name, name) == 0)
			return &parse->table[parse->index[slot] - 1];
	return NULL;
}

const struct keyword *
keyword_find(const struct parse *parse, const char *name)
{
	const struct keyword *keyword = keyword_row(parse, name);

	if (keyword != NULL && keyword->type == &value_alias)
		return keyword_row(parse, keyword->details);
	return keyword;
}

static void
parse_say(struct parse *parse, struct nacre_buffer *to, const char *format, va_list arguments)
{
	char message[1024];
	size_t length;

	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): every caller starts it */
	vsnprintf(message, sizeof message, format, arguments);
	for (length = 0; message[length] != '\0'; length++)
		if ((uint8_t)message[length] < ' ' || message[length] == 0x7f)
			message[length] = '?';
	nacre_put_format(to, "%s line %u: %s\n", parse->file, parse->number, message);
}

int
parse_fail(struct parse *parse, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	parse_say(parse, parse->error, format, arguments);
	va_end(arguments);
	parse->bad++;
	return NACRE_ERROR_FORMAT;
}

void
parse_warn(struct parse *parse, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	parse_say(parse, parse->warnings, format, arguments);
	va_end(arguments);
}

void
parse_note(struct parse *parse, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	parse_say(parse, parse->notes, format, arguments);
	va_end(arguments);
}

size_t
parse_arguments(const struct parse *parse)
{
	return parse->line.count - 1;
}

const char *
parse_keyword(const struct parse *parse)
{
	return parse->line.words[0];
}

const char *
parse_first(struct parse *parse)
{
	if (parse_arguments(parse) > 0 && parse->line.words[1][0] != '\0')
		return parse->line.words[1];
	parse_fail(parse, "no argument after keyword \"%s\"", parse_keyword(parse));
	return NULL;
}

const char *
parse_one(struct parse *parse)
{
	const char *word = parse_first(parse);

	if (word == NULL || parse_arguments(parse) == 1)
		return word;
	parse_fail(parse, "keyword %s extra arguments at end of line", parse_keyword(parse));
	return NULL;
}

void
parse_mark_seen(struct parse *parse, const char *name)
{
	const struct keyword *keyword = keyword_find(parse, name);

	if (keyword != NULL)
		parse->seen[keyword - parse->table] = true;
}

int
parse_keyword_line(struct parse *parse, bool active, const struct keyword **found)
{
	const struct keyword *keyword = keyword_find(parse, parse->line.words[0]);
	size_t row;
	int error;

	*found = keyword;
	if (keyword == NULL)
		return NACRE_ERROR_NOT_FOUND;
	row = (size_t)(keyword - parse->table);
	parse->store = active && (!parse->seen[row] || (keyword->flags & KEYWORD_APPENDS) != 0);
	error = keyword->type->read(parse, keyword);
	if (error == 0 && parse->store)
		parse->seen[row] = true;
	if (error == 0 && parse->arena->failed)
		return NACRE_ERROR_MEMORY;
	return error;
}

int
parse_split(struct parse *parse, struct nacre_span text)
{
	const char *problem;
	int error = line_split(&parse->line, text, &problem);

	if (error == NACRE_ERROR_FORMAT)
		parse_fail(parse, "%s", problem);
	return error;
}

int
parse_lines(struct parse *parse, struct nacre_span text,
    int (*read_line)(struct parse *parse, struct nacre_span line))
{
	struct nacre_span line;
	int error = 0;

	for (parse->number = 1; lexer_next_line(&text, &line); parse->number++) {
		int line_error = read_line(parse, line);

		if (line_error == NACRE_ERROR_MEMORY)
			return line_error;
		if (line_error != 0)
			error = line_error;
	}
	return error;
}

static int
row_assemble(struct parse *parse, const struct keyword *row)
{
	const struct algorithm_list *list = row->details;
	char **member = MEMBER(parse->config, row, char *);
	struct nacre_buffer text = {0};
	int error = parse->assemble(list->algorithms, *member, parse->server, &text);

	if (error == 0)
		*member = arena_buffer(parse->arena, &text);
	nacre_buffer_free(&text);
	if (error == 0 && *member != NULL)
		return 0;
	nacre_put_format(parse->error, "Bad %s \"%s\": none of it is supported\n", row->name,
	    *member != NULL ? *member : "");
	return error != 0 ? error : NACRE_ERROR_MEMORY;
}

int
parse_assemble(struct parse *parse)
{
	int error = 0;

	for (size_t i = 0; i < parse->count && error == 0 && parse->assemble != NULL; i++)
		if (parse->table[i].type == &value_algorithms)
			error = row_assemble(parse, &parse->table[i]);
	return error;
}

int
keywords_print(
    const struct keyword *table, size_t count, const void *config, struct nacre_buffer *text)
{
	for (size_t row = 0; row < count; row++)
		if (table[row].type->print != NULL)
			table[row].type->print(config, &table[row], text);
	return text->failed ? NACRE_ERROR_MEMORY : 0;
}

int
parse_defaults(struct parse *parse)
{
	char text[512];
	const char *problem;
	const struct keyword *row;
	int error = 0;

	for (row = parse->table; row < parse->table + parse->count && error == 0; row++) {
		if (row->fallback == NULL || parse->seen[row - parse->table])
			continue;
		snprintf(text, sizeof text, "%s %s", row->name, row->fallback);
		parse->file = "default";
		parse->number = 0;
		parse->is_default = true;
		error = line_split(&parse->line, nacre_span_of(text), &problem);
		parse->store = true;
		if (error == 0)
			error = row->type->read(parse, row);
	}
	if (error == 0 && parse->arena->failed)
		return NACRE_ERROR_MEMORY;
	return error;
}
