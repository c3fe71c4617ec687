/* Lines and words of text files that have no quotes; config/lexer.c has those that do. */
#include <wire/text.h>

#include <string.h>

static bool
is_blank(uint8_t byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

bool
text_next_line(struct nacre_span *text, struct nacre_span *line)
{
	const uint8_t *end;

	if (text->length == 0)
		return false;
	end = memchr(text->data, '\n', text->length);
	line->data = text->data;
	line->length = end != NULL ? (size_t)(end - text->data) : text->length;
	text->data += line->length + (end != NULL);
	text->length -= line->length + (end != NULL);
	if (line->length > 0 && line->data[line->length - 1] == '\r')
		line->length--;
	return true;
}

struct nacre_span
text_trim(struct nacre_span text)
{
	while (text.length > 0 && is_blank(text.data[0])) {
		text.data++;
		text.length--;
	}
	while (text.length > 0 && is_blank(text.data[text.length - 1]))
		text.length--;
	return text;
}

struct nacre_span
text_next_word(struct nacre_span *text)
{
	struct nacre_span word;

	while (text->length > 0 && is_blank(text->data[0])) {
		text->data++;
		text->length--;
	}
	word = (struct nacre_span){text->data, 0};
	while (word.length < text->length && !is_blank(text->data[word.length]))
		word.length++;
	text->data += word.length;
	text->length -= word.length;
	return word;
}
