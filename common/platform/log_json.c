/* Log lines as JSON objects (RFC 8259), one a line, that no text from outside can break. */
#include <nacre/log.h>

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Of one text as it is written, so that several of them and the message fit into an object. */
#define TEXT_MOST      ((size_t)700)
#define RESERVED       ((size_t)40) /* for the end of the object */
#define REPLACEMENT    0xfffdu
#define CHARACTER_MOST ((size_t)12) /* bytes that one character is written as */

/* The character at the start of "text", and its length in bytes; what is not UTF-8 is a byte that
 * reads as the replacement character. */
static uint32_t
character_decode(struct nacre_span text, size_t *length)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint8_t first = text.data[0];
	size_t wanted = first < 0x80   ? 1
			: first < 0xc2 ? 0
			: first < 0xe0 ? 2
			: first < 0xf0 ? 3
				       : 4;
	uint32_t character = wanted == 1 ? first : first & (0x7fu >> wanted);

	*length = 1;
	if (wanted == 0 || first > 0xf4 || wanted > text.length)
		return REPLACEMENT;
	for (size_t i = 1; i < wanted; i++) {
		if ((text.data[i] & 0xc0) != 0x80)
			return REPLACEMENT;
		character = character << 6 | (text.data[i] & 0x3f);
	}
	if (character < least[wanted] || character > 0x10ffff ||
	    (character >= 0xd800 && character <= 0xdfff))
		return REPLACEMENT;
	*length = wanted;
	return character;
}

/* Characters that act on a terminal or turn the direction of text are written by number. */
static bool
is_invisible(uint32_t character)
{
	return character < 0x20 || (character >= 0x7f && character < 0xa0) ||
	       (character >= 0x200b && character <= 0x200f) ||
	       (character >= 0x2028 && character <= 0x202e) ||
	       (character >= 0x2060 && character <= 0x206f) || character == 0xfeff;
}

static void
put_character(struct nacre_buffer *json, uint32_t character, struct nacre_span bytes)
{
	if (character == '"' || character == '\\')
		nacre_put_format(json, "\\%c", (int)character);
	else if (is_invisible(character) || character == REPLACEMENT)
		nacre_put_format(json, "\\u%04x", character);
	else
		nacre_put_span(json, bytes);
}

/* A string of at most "most" bytes as it is written; false when it had to be cut. */
static bool
put_text(struct nacre_buffer *json, struct nacre_span text, size_t most)
{
	size_t start = nacre_buffer_length(json);
	bool whole = true;

	nacre_put_byte(json, '"');
	while (text.length > 0 && whole) {
		size_t length;
		uint32_t character = character_decode(text, &length);

		whole = nacre_buffer_length(json) - start + CHARACTER_MOST <= most;
		if (whole)
			put_character(json, character, (struct nacre_span){text.data, length});
		text.data += length;
		text.length -= length;
	}
	nacre_put_byte(json, '"');
	return whole;
}

void
nacre_log_put_fields(
    struct nacre_buffer *json, const struct nacre_log_field *fields, size_t count, bool *truncated)
{
	for (size_t i = 0; i < count; i++) {
		if (fields[i].kind == NACRE_FIELD_ABSENT)
			continue;
		nacre_put_format(json, ",\"%s\":", fields[i].name);
		if (fields[i].kind == NACRE_FIELD_TEXT)
			*truncated |= !put_text(json, fields[i].text, TEXT_MOST);
		else if (fields[i].kind == NACRE_FIELD_NUMBER)
			nacre_put_format(json, "%llu", (unsigned long long)fields[i].number);
		else
			nacre_put_format(json, "%s", fields[i].number != 0 ? "true" : "false");
	}
}

static void
put_time(struct nacre_buffer *json)
{
	struct timespec now;
	struct tm parts;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &parts);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
	nacre_put_format(json, "{\"time\":\"%s.%06ldZ\"", text, now.tv_nsec / 1000);
}

void
nacre_log_put_object(struct nacre_buffer *json, const struct nacre_log_object *object)
{
	size_t start = nacre_buffer_length(json);
	bool truncated = false;

	put_time(json);
	nacre_put_format(json, ",\"level\":\"%s\",\"program\":\"%s\",\"pid\":%ld,\"event\":\"%s\"",
	    object->level, object->program, (long)getpid(), object->event);
	nacre_put_span(json, object->context);
	nacre_log_put_fields(json, object->fields, object->field_count, &truncated);
	size_t used = nacre_buffer_length(json) - start + sizeof ",\"message\":" + RESERVED;
	size_t room = used < NACRE_LOG_OBJECT_MOST ? NACRE_LOG_OBJECT_MOST - used : 0;
	nacre_put_format(json, ",\"message\":");
	if (!put_text(json, object->message, room))
		truncated = true;
	nacre_put_format(json, "%s}", truncated ? ",\"truncated\":true" : "");
}
