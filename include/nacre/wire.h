/*
 * The data types of RFC 4251 section 5: spans (borrowed bytes), readers (decode)
 * and buffers (encode). Errors are sticky: read or write every field, then test
 * once. A reader that has failed returns zeros and empty spans, never half a value.
 */
#ifndef NACRE_WIRE_H
#define NACRE_WIRE_H

#include <nacre/error.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that belong to somebody else. */
struct nacre_span {
	const uint8_t *data;
	size_t length; /* bytes */
};

/* The bytes of a C string, without its NUL. The string must outlive the span. */
struct nacre_span nacre_span_of(const char *text);
/* True when both hold the same bytes. Not constant-time: never for secrets. */
bool nacre_span_equal(struct nacre_span a, struct nacre_span b);
/* The same with a C string. */
bool nacre_span_equals(struct nacre_span a, const char *text);
/* A NUL-terminated copy that the caller frees; NULL without memory or when the span holds a NUL. */
char *nacre_span_to_string(struct nacre_span span);

/* Decodes from a span. Initialise with nacre_reader_of(). */
struct nacre_reader {
	const uint8_t *data;
	size_t length; /* bytes that are left */
	bool failed;
};

/* A reader of these bytes, which must outlive it. */
struct nacre_reader nacre_reader_of(struct nacre_span span);
/* True when nothing failed and nothing is left: the last test of every decoder. */
bool nacre_reader_done(const struct nacre_reader *reader);
/* The fixed-size types; any byte but 0 is true. */
uint8_t nacre_get_byte(struct nacre_reader *reader);
bool nacre_get_boolean(struct nacre_reader *reader);
uint32_t nacre_get_u32(struct nacre_reader *reader);
uint64_t nacre_get_u64(struct nacre_reader *reader);
/* "length" raw bytes; the span points into the reader's data. */
struct nacre_span nacre_get_bytes(struct nacre_reader *reader, size_t length);
/* A string: 32-bit length and that many bytes. */
struct nacre_span nacre_get_string(struct nacre_reader *reader);
/*
 * The magnitude of a non-negative mpint, big-endian without leading zeros. Negative
 * values, superfluous leading zeros and more than 2,048 bytes fail the reader.
 */
struct nacre_span nacre_get_mpint(struct nacre_reader *reader);
/* What is left, which is consumed. */
struct nacre_span nacre_get_rest(struct nacre_reader *reader);

/*
 * A growing byte buffer, written at its end and consumed from its start. All zero is a
 * valid empty buffer. Memory is wiped before it is freed or moved, so that it may hold
 * secrets. "limit" bounds the size in bytes; 0 means NACRE_BUFFER_LIMIT.
 */
struct nacre_buffer {
	uint8_t *data;
	size_t start;    /* offset of the first byte held */
	size_t end;      /* offset behind the last */
	size_t capacity; /* bytes allocated */
	size_t limit;
	bool failed;
};

#define NACRE_BUFFER_LIMIT ((size_t)256 * 1024 * 1024)

/* Wipes and frees; the buffer is empty and usable again. */
void nacre_buffer_free(struct nacre_buffer *buffer);
/* Forgets the content (wiped) and the failure; keeps the memory. */
void nacre_buffer_clear(struct nacre_buffer *buffer);
/* What the buffer holds, until it is changed; how many bytes. */
struct nacre_span nacre_buffer_span(const struct nacre_buffer *buffer);
size_t nacre_buffer_length(const struct nacre_buffer *buffer);
/* Makes room for "length" more bytes and returns where they go; NULL (and failed) if that cannot
 * be. The room becomes content with nacre_buffer_added(). */
uint8_t *nacre_buffer_room(struct nacre_buffer *buffer, size_t length);
void nacre_buffer_added(struct nacre_buffer *buffer, size_t length);
/* Drops "length" bytes (at most what is held) from the start. */
void nacre_buffer_consume(struct nacre_buffer *buffer, size_t length);
/* Cuts the content to its first "length" bytes, clearing nothing else. */
void nacre_buffer_truncate(struct nacre_buffer *buffer, size_t length);

/* Each appends one value: raw bytes (put_bytes, put_span), the fixed-size types big-endian, or a
 * string with its 32-bit length in front. Without memory, or beyond the limit, "failed" is set. */
void nacre_put_byte(struct nacre_buffer *buffer, uint8_t value);
void nacre_put_boolean(struct nacre_buffer *buffer, bool value);
void nacre_put_u32(struct nacre_buffer *buffer, uint32_t value);
void nacre_put_u64(struct nacre_buffer *buffer, uint64_t value);
void nacre_put_bytes(struct nacre_buffer *buffer, const void *data, size_t length);
void nacre_put_span(struct nacre_buffer *buffer, struct nacre_span span);
void nacre_put_string(struct nacre_buffer *buffer, const void *data, size_t length);
void nacre_put_string_span(struct nacre_buffer *buffer, struct nacre_span span);
void nacre_put_cstring(struct nacre_buffer *buffer, const char *text);
/* An mpint from a big-endian magnitude; leading zeros are removed. */
void nacre_put_mpint(struct nacre_buffer *buffer, const uint8_t *magnitude, size_t length);
/* Text as by printf, without a NUL and without a length in front. */
void nacre_put_format(struct nacre_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/*
 * A string whose length is not known yet: begin returns a mark, what is put after it is the
 * content, end writes the length.
 */
size_t nacre_put_string_begin(struct nacre_buffer *buffer);
void nacre_put_string_end(struct nacre_buffer *buffer, size_t mark);

/* Base64 as RFC 4648 section 4. Decoding skips nothing and accepts canonical text only. */
void nacre_put_base64(struct nacre_buffer *buffer, struct nacre_span bytes);
int nacre_get_base64(struct nacre_span text, struct nacre_buffer *bytes);

/* Takes the next line off *text, without its end (LF or CR LF). False at the end of the text. */
bool nacre_line_next(struct nacre_span *text, struct nacre_span *line);

/*
 * Name-lists (RFC 4251 section 5): comma-separated names. nacre_list_next() returns the next
 * name and advances *list past it; an empty span at the end.
 */
struct nacre_span nacre_list_next(struct nacre_span *list);
/* True when one of the names is exactly this one. */
bool nacre_list_contains(struct nacre_span list, struct nacre_span name);

#ifdef __cplusplus
}
#endif
#endif
