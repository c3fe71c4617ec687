/* Test vectors from text files: fields in hexadecimal, separated by blanks, one vector a line. */
#ifndef TESTS_VECTORS_H
#define TESTS_VECTORS_H

#include <nacre/wire.h>

#define VECTOR_FIELDS_MAX 6

struct vector {
	size_t line;
	size_t count; /* fields, without the result */
	struct nacre_buffer fields[VECTOR_FIELDS_MAX];
	char result[16]; /* "valid", "invalid", "acceptable" */
};

/* Calls "check" for each line of the file in tests/vectors/ (from the root of the source); fails
 * the test if there is none. */
void vectors_each(
    const char *file, void (*check)(const struct vector *vector, void *context), void *context);
/* A field's bytes. */
struct nacre_span vector_field(const struct vector *vector, size_t index);

/* Bytes from hexadecimal text, blanks ignored; the caller frees the buffer. */
struct nacre_buffer hex(const char *text);

#endif
