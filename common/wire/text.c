/* Words of text files that have no quotes; config/lexer.c has those that do. */
#include <wire/text.h>

#include <string.h>

static bool
is_blank(uint8_t byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
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
