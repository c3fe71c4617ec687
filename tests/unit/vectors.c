/* Reads files of test vectors. */
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

struct nacre_buffer
hex(const char *text)
{
	struct nacre_buffer buffer = {0};
	size_t most = strlen(text) / 2 + 1, length = 0;
	uint8_t *room = nacre_buffer_room(&buffer, most);

	assert_non_null(room);
	assert_int_equal(sodium_hex2bin(room, most, text, strlen(text), " \n", &length, NULL), 0);
	nacre_buffer_added(&buffer, length);
	return buffer;
}

struct nacre_span
vector_field(const struct vector *vector, size_t index)
{
	assert_true(index < vector->count);
	return nacre_buffer_span(&vector->fields[index]);
}

static void
vector_parse(struct vector *vector, char *line)
{
	char *rest = line, *word, *last = NULL;

	vector->count = 0;
	while ((word = strsep(&rest, " \n")) != NULL) {
		if (*word == '\0')
			continue;
		if (last != NULL) {
			assert_true(vector->count < VECTOR_FIELDS_MAX);
			vector->fields[vector->count++] = hex(strcmp(last, "-") == 0 ? "" : last);
		}
		last = word;
	}
	assert_non_null(last);
	snprintf(vector->result, sizeof vector->result, "%s", last);
}

void
vectors_each(
    const char *file, void (*check)(const struct vector *vector, void *context), void *context)
{
	struct vector vector = {0};
	char path[256], *line = NULL;
	size_t capacity = 0, vectors = 0;
	FILE *stream;

	snprintf(path, sizeof path, "tests/vectors/%s", file);
	if ((stream = fopen(path, "r")) == NULL)
		fail_msg("%s: run the tests from the root of the source", path);
	while (getline(&line, &capacity, stream) > 0) {
		vector.line++;
		if (line[0] == '#')
			continue;
		vector_parse(&vector, line);
		check(&vector, context);
		for (size_t i = 0; i < vector.count; i++)
			nacre_buffer_free(&vector.fields[i]);
		vectors++;
	}
	free(line);
	fclose(stream);
	assert_true(vectors > 0);
}
