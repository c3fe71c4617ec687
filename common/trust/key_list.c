/* Files that list public keys, one a line: RevokedKeys, TrustedUserCAKeys. */
#include <nacre/authorized_keys.h>

#include "file.h"

#include <wire/text.h>

#include <string.h>

/* A key of a type that we do not have is no key of anybody's here, as long as it looks like one. */
static bool
is_foreign_key(struct nacre_span line)
{
	struct nacre_buffer blob = {.limit = TRUST_LINE_MAX};
	struct nacre_span name = text_next_word(&line), encoded = text_next_word(&line);
	bool foreign = false;

	if (name.length > 0 && nacre_get_base64(encoded, &blob) == 0) {
		struct nacre_reader reader = nacre_reader_of(nacre_buffer_span(&blob));

		foreign = nacre_span_equal(nacre_get_string(&reader), name);
	}
	nacre_buffer_free(&blob);
	return foreign;
}

static int
line_verdict(struct nacre_span line, const struct nacre_key *key)
{
	struct nacre_key *listed = NULL;
	int error;

	line = text_trim(line);
	if (line.length == 0 || line.data[0] == '#')
		return NACRE_ERROR_NOT_FOUND;
	error = nacre_key_from_line(line, &listed, NULL);
	if (error == NACRE_ERROR_UNSUPPORTED)
		return is_foreign_key(line) ? NACRE_ERROR_NOT_FOUND : NACRE_ERROR_FORMAT;
	if (error == 0 && !nacre_key_equal(listed, key))
		error = NACRE_ERROR_NOT_FOUND;
	nacre_key_free(listed);
	return error;
}

int
nacre_key_list_find(struct nacre_span text, const struct nacre_key *key, unsigned *line_number)
{
	struct nacre_span line;
	int error = NACRE_ERROR_NOT_FOUND;

	*line_number = 0;
	while (error == NACRE_ERROR_NOT_FOUND && nacre_line_next(&text, &line)) {
		++*line_number;
		error = line.length > TRUST_LINE_MAX ? NACRE_ERROR_FORMAT : line_verdict(line, key);
	}
	return error;
}
