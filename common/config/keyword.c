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
keyword_index(uint16_t *index, const struct keyword *table, size_t count)
{
	memset(index, 0, KEYWORD_INDEX_SIZE * sizeof *index);
	for (size_t row = 0; row < count; row++) {
		size_t slot = keyword_hash(table[row].name);

		while (index[slot] != 0)
			slot = (slot + 1) % KEYWORD_INDEX_SIZE;
		index[slot] = (uint16_t)(row + 1);
	}
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
		error = line_split(&parse->line, nacre_span_of(text), &problem);
		parse->store = true;
		if (error == 0)
			error = row->type->read(parse, row);
	}
	if (error == 0 && parse->arena->failed)
		return NACRE_ERROR_MEMORY;
	return error;
}
