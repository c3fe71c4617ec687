/* Growing byte buffers and encoding of the data types of RFC 4251 section 5. */
#include <nacre/wire.h>

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALLOCATION_MIN ((size_t)256)

void
nacre_buffer_free(struct nacre_buffer *buffer)
{
	size_t limit = buffer->limit;

	if (buffer->data != NULL)
		sodium_memzero(buffer->data, buffer->capacity);
	free(buffer->data);
	*buffer = (struct nacre_buffer){.limit = limit};
}

void
nacre_buffer_clear(struct nacre_buffer *buffer)
{
	if (buffer->end > 0)
		sodium_memzero(buffer->data, buffer->end);
	buffer->start = buffer->end = 0;
	buffer->failed = false;
}

struct nacre_span
nacre_buffer_span(const struct nacre_buffer *buffer)
{
	if (buffer->data == NULL)
		return (struct nacre_span){NULL, 0};
	return (struct nacre_span){buffer->data + buffer->start, buffer->end - buffer->start};
}

size_t
nacre_buffer_length(const struct nacre_buffer *buffer)
{
	return buffer->end - buffer->start;
}

/* Moves the content into an allocation of "capacity" bytes and wipes the old one. */
static bool
buffer_reallocate(struct nacre_buffer *buffer, size_t capacity)
{
	size_t length = nacre_buffer_length(buffer);
	uint8_t *data = malloc(capacity);

	if (data == NULL)
		return false;
	if (buffer->data != NULL) {
		memcpy(data, buffer->data + buffer->start, length);
		sodium_memzero(buffer->data, buffer->end);
		free(buffer->data);
	}
	buffer->data = data;
	buffer->start = 0;
	buffer->end = length;
	buffer->capacity = capacity;
	return true;
}

uint8_t *
nacre_buffer_room(struct nacre_buffer *buffer, size_t length)
{
	size_t limit = buffer->limit > 0 ? buffer->limit : NACRE_BUFFER_LIMIT;
	size_t held = nacre_buffer_length(buffer);
	size_t capacity;

	if (buffer->failed || length > limit || held > limit - length) {
		buffer->failed = true;
		return NULL;
	}
	if (buffer->data != NULL && buffer->capacity - buffer->end >= length)
		return buffer->data + buffer->end;
	/* Moving the content to the front pays when a quarter of the memory becomes free. When less
	 * does, more memory is taken, so that a queue that stays full is not copied for each piece. */
	if (buffer->data != NULL && buffer->capacity - held >= length &&
	    buffer->start >= buffer->capacity / 4) {
		memmove(buffer->data, buffer->data + buffer->start, held);
		buffer->start = 0;
		buffer->end = held;
		return buffer->data + buffer->end;
	}
	capacity = buffer->capacity > ALLOCATION_MIN ? buffer->capacity : ALLOCATION_MIN;
	if (capacity == buffer->capacity)
		capacity += capacity / 2;
	while (capacity < held + length)
		capacity += capacity / 2;
	if (!buffer_reallocate(buffer, capacity)) {
		buffer->failed = true;
		return NULL;
	}
	return buffer->data + buffer->end;
}

void
nacre_buffer_added(struct nacre_buffer *buffer, size_t length)
{
	if (buffer->failed || length > buffer->capacity - buffer->end) {
		buffer->failed = true;
		return;
	}
	buffer->end += length;
}

void
nacre_buffer_consume(struct nacre_buffer *buffer, size_t length)
{
	if (length >= nacre_buffer_length(buffer)) {
		buffer->start = buffer->end = 0;
		return;
	}
	buffer->start += length;
}

void
nacre_buffer_truncate(struct nacre_buffer *buffer, size_t length)
{
	if (length < nacre_buffer_length(buffer))
		buffer->end = buffer->start + length;
}

void
nacre_put_bytes(struct nacre_buffer *buffer, const void *data, size_t length)
{
	uint8_t *room = nacre_buffer_room(buffer, length);

	if (room == NULL || length == 0)
		return;
	memcpy(room, data, length);
	buffer->end += length;
}

void
nacre_put_span(struct nacre_buffer *buffer, struct nacre_span span)
{
	nacre_put_bytes(buffer, span.data, span.length);
}

void
nacre_put_byte(struct nacre_buffer *buffer, uint8_t value)
{
	nacre_put_bytes(buffer, &value, 1);
}

void
nacre_put_boolean(struct nacre_buffer *buffer, bool value)
{
	nacre_put_byte(buffer, value ? 1 : 0);
}

static void
u32_encode(uint8_t *bytes, uint32_t value)
{
	bytes[0] = (uint8_t)(value >> 24);
	bytes[1] = (uint8_t)(value >> 16);
	bytes[2] = (uint8_t)(value >> 8);
	bytes[3] = (uint8_t)value;
}

void
nacre_put_u32(struct nacre_buffer *buffer, uint32_t value)
{
	uint8_t bytes[4];

	u32_encode(bytes, value);
	nacre_put_bytes(buffer, bytes, sizeof bytes);
}

void
nacre_put_u64(struct nacre_buffer *buffer, uint64_t value)
{
	nacre_put_u32(buffer, (uint32_t)(value >> 32));
	nacre_put_u32(buffer, (uint32_t)value);
}

void
nacre_put_string(struct nacre_buffer *buffer, const void *data, size_t length)
{
	if (length > UINT32_MAX) {
		buffer->failed = true;
		return;
	}
	nacre_put_u32(buffer, (uint32_t)length);
	nacre_put_bytes(buffer, data, length);
}

void
nacre_put_string_span(struct nacre_buffer *buffer, struct nacre_span span)
{
	nacre_put_string(buffer, span.data, span.length);
}

void
nacre_put_cstring(struct nacre_buffer *buffer, const char *text)
{
	nacre_put_string(buffer, text, strlen(text));
}

void
nacre_put_mpint(struct nacre_buffer *buffer, const uint8_t *magnitude, size_t length)
{
	bool pad;

	while (length > 0 && magnitude[0] == 0) {
		magnitude++;
		length--;
	}
	pad = length > 0 && (magnitude[0] & 0x80) != 0;
	if (length >= UINT32_MAX) {
		buffer->failed = true;
		return;
	}
	nacre_put_u32(buffer, (uint32_t)length + (pad ? 1 : 0));
	if (pad)
		nacre_put_byte(buffer, 0);
	nacre_put_bytes(buffer, magnitude, length);
}

void
nacre_put_format(struct nacre_buffer *buffer, const char *format, ...)
{
	va_list arguments;
	uint8_t *room;
	int length;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (length < 0 || (room = nacre_buffer_room(buffer, (size_t)length + 1)) == NULL) {
		buffer->failed = true;
		return;
	}
	va_start(arguments, format);
	vsnprintf((char *)room, (size_t)length + 1, format, arguments);
	va_end(arguments);
	buffer->end += (size_t)length;
}

size_t
nacre_put_string_begin(struct nacre_buffer *buffer)
{
	size_t mark = nacre_buffer_length(buffer);

	nacre_put_u32(buffer, 0);
	return mark;
}

void
nacre_put_string_end(struct nacre_buffer *buffer, size_t mark)
{
	size_t length;

	if (buffer->failed)
		return;
	length = nacre_buffer_length(buffer) - mark - 4;
	if (length > UINT32_MAX) {
		buffer->failed = true;
		return;
	}
	u32_encode(buffer->data + buffer->start + mark, (uint32_t)length);
}

void
nacre_put_base64(struct nacre_buffer *buffer, struct nacre_span bytes)
{
	size_t length = sodium_base64_encoded_len(bytes.length, sodium_base64_VARIANT_ORIGINAL);
	uint8_t *room = nacre_buffer_room(buffer, length);

	if (room == NULL)
		return;
	sodium_bin2base64(
	    (char *)room, length, bytes.data, bytes.length, sodium_base64_VARIANT_ORIGINAL);
	buffer->end += length - 1; /* without the NUL */
}

int
nacre_get_base64(struct nacre_span text, struct nacre_buffer *bytes)
{
	size_t most = text.length / 4 * 3 + 3, length = 0;
	uint8_t *room = nacre_buffer_room(bytes, most);

	if (room == NULL)
		return NACRE_ERROR_MEMORY;
	if (sodium_base642bin(room, most, (const char *)text.data, text.length, NULL, &length, NULL,
		sodium_base64_VARIANT_ORIGINAL) != 0)
		return NACRE_ERROR_FORMAT;
	bytes->end += length;
	return 0;
}
