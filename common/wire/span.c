/* Borrowed bytes: their lines, and name-lists over them. */
#include <nacre/wire.h>

#include <stdlib.h>
#include <string.h>

struct nacre_span
nacre_span_of(const char *text)
{
	return (struct nacre_span){(const uint8_t *)text, strlen(text)};
}

bool
nacre_span_equal(struct nacre_span a, struct nacre_span b)
{
	return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

bool
nacre_span_equals(struct nacre_span a, const char *text)
{
	return nacre_span_equal(a, nacre_span_of(text));
}

char *
nacre_span_to_string(struct nacre_span span)
{
	char *text;

	if (span.length > 0 && memchr(span.data, '\0', span.length) != NULL)
		return NULL;
	if ((text = malloc(span.length + 1)) == NULL)
		return NULL;
	if (span.length > 0)
		memcpy(text, span.data, span.length);
	text[span.length] = '\0';
	return text;
}

struct nacre_span
nacre_list_next(struct nacre_span *list)
{
	struct nacre_span name = {list->data, 0};

	while (list->length > 0 && list->data[0] == ',') {
		list->data++;
		list->length--;
	}
	if (list->length == 0)
		return (struct nacre_span){NULL, 0};
	name.data = list->data;
	while (name.length < list->length && list->data[name.length] != ',')
		name.length++;
	list->data += name.length;
	list->length -= name.length;
	return name;
}

bool
nacre_list_contains(struct nacre_span list, struct nacre_span name)
{
	struct nacre_span next;

	while ((next = nacre_list_next(&list)).length > 0)
		if (nacre_span_equal(next, name))
			return true;
	return false;
}

bool
nacre_line_next(struct nacre_span *text, struct nacre_span *line)
{
	const uint8_t *end;
	size_t length;

	if (text->length == 0)
		return false;
	end = memchr(text->data, '\n', text->length);
	length = end != NULL ? (size_t)(end - text->data) : text->length;
	*line = (struct nacre_span){text->data, length};
	if (length > 0 && text->data[length - 1] == '\r')
		line->length--;
	length += end != NULL;
	text->data += length;
	text->length -= length;
	return true;
}
