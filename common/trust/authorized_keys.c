/* Lines of authorized_keys and of principals files. The text may come from a hostile user. */
#include <nacre/authorized_keys.h>

#include "file.h"

#include <stdlib.h>
#include <string.h>

static void
say(const char **reason, const char *text)
{
	if (reason != NULL)
		*reason = text;
}

/* Options end at the first blank outside of quotes. */
static struct nacre_span
take_options(struct nacre_span *line)
{
	struct nacre_span options = {line->data, 0};
	bool quoted = false;

	for (; options.length < line->length; options.length++) {
		uint8_t byte = line->data[options.length];

		if (!quoted && (byte == ' ' || byte == '\t'))
			break;
		if (byte == '\\' && options.length + 1 < line->length &&
		    line->data[options.length + 1] == '"')
			options.length++;
		else if (byte == '"')
			quoted = !quoted;
	}
	if (options.length > line->length)
		options.length = line->length;
	line->data += options.length;
	line->length -= options.length;
	return options;
}

static bool
begins_with_key(struct nacre_span line)
{
	enum nacre_key_type type;
	struct nacre_span word = text_next_word(&line);

	return nacre_key_type_of_name(word, &type) == 0;
}

/* Blank lines and comments, and lines that are too long to look at. */
static int
line_check(struct nacre_span *line, const char **reason)
{
	if (line->length > TRUST_LINE_MAX) {
		say(reason, "line too long");
		return NACRE_ERROR_FORMAT;
	}
	*line = text_trim(*line);
	if (line->length == 0 || line->data[0] == '#')
		return NACRE_ERROR_NOT_FOUND;
	return 0;
}

/* The rest of a line, from the key on. */
static int
key_parse(struct nacre_span line, struct nacre_authorized_key *authorized, const char **reason)
{
	struct nacre_span comment;
	int error = nacre_key_from_line(text_trim(line), &authorized->key, &comment);

	if (error != 0) {
		say(reason,
		    error == NACRE_ERROR_UNSUPPORTED ? "unsupported key type" : "invalid key");
		return error;
	}
	if (comment.length > 0)
		authorized->comment = nacre_span_to_string(comment);
	return 0;
}

int
nacre_authorized_key_parse(
    struct nacre_span line, struct nacre_authorized_key *authorized, const char **reason)
{
	int error = line_check(&line, reason);

	*authorized = (struct nacre_authorized_key){0};
	nacre_key_options_default(&authorized->options);
	if (error != 0)
		return error;
	if (!begins_with_key(line))
		error = nacre_key_options_parse(take_options(&line), &authorized->options, reason);
	if (error == 0)
		error = key_parse(line, authorized, reason);
	if (error != 0)
		nacre_authorized_key_free(authorized);
	return error;
}

void
nacre_authorized_key_free(struct nacre_authorized_key *authorized)
{
	nacre_key_options_free(&authorized->options);
	nacre_key_free(authorized->key);
	free(authorized->comment);
	authorized->key = NULL;
	authorized->comment = NULL;
}

/* Whether a line's base64 is that of the wanted key, found without decoding every key of a long
 * file. */
static bool
line_holds(struct nacre_span line, struct nacre_span wanted)
{
	return wanted.length > 0 &&
	       memmem(line.data, line.length, wanted.data, wanted.length) != NULL;
}

static int
put_wanted(const struct nacre_key *key, struct nacre_buffer *wanted)
{
	struct nacre_buffer blob = {0};
	int error = nacre_key_put_blob(key, true, &blob);

	if (error == 0)
		nacre_put_base64(wanted, nacre_buffer_span(&blob));
	nacre_buffer_free(&blob);
	return error != 0 ? error : wanted->failed ? NACRE_ERROR_MEMORY : 0;
}

static void
note_line(struct nacre_buffer *notes, unsigned number, const char *reason)
{
	if (notes != NULL && nacre_buffer_length(notes) < TRUST_LINE_MAX)
		nacre_put_format(notes, "line %u: %s\n", number, reason);
}

static bool
line_fits(struct nacre_span line, const struct nacre_key *key, bool authority,
    struct nacre_authorized_key *authorized, unsigned number, struct nacre_buffer *notes)
{
	const char *reason = "invalid key";
	int error = nacre_authorized_key_parse(line, authorized, &reason);

	if (error != 0) {
		if (error != NACRE_ERROR_NOT_FOUND)
			note_line(notes, number, reason);
		return false;
	}
	if (authorized->options.cert_authority == authority &&
	    !nacre_key_is_certificate(authorized->key) && nacre_key_equal(authorized->key, key)) {
		authorized->line = number;
		return true;
	}
	nacre_authorized_key_free(authorized);
	return false;
}

int
nacre_authorized_keys_find(struct nacre_span text, size_t *offset, unsigned *line_number,
    const struct nacre_key *key, bool authority, struct nacre_authorized_key *authorized,
    struct nacre_buffer *notes)
{
	struct nacre_buffer wanted = {0};
	struct nacre_span rest, line;
	int error = put_wanted(key, &wanted);
	bool found = false;

	if (*offset > text.length)
		return NACRE_ERROR_ARGUMENT;
	rest = (struct nacre_span){text.data + *offset, text.length - *offset};
	while (error == 0 && !found && nacre_line_next(&rest, &line)) {
		++*line_number;
		*offset = text.length - rest.length;
		if (line.length > TRUST_LINE_MAX)
			note_line(notes, *line_number, "line too long");
		else if (line_holds(line, nacre_buffer_span(&wanted)))
			found = line_fits(line, key, authority, authorized, *line_number, notes);
	}
	nacre_buffer_free(&wanted);
	if (error == 0 && !found)
		error = NACRE_ERROR_NOT_FOUND;
	return error;
}

int
nacre_authorized_principal_parse(struct nacre_span line, struct nacre_key_options *options,
    struct nacre_span *name, const char **reason)
{
	int error = line_check(&line, reason);
	size_t start;

	nacre_key_options_default(options);
	if (error != 0)
		return error;
	/* The name is the last word; what stands before it are options. */
	for (start = line.length; start > 0; start--)
		if (line.data[start - 1] == ' ' || line.data[start - 1] == '\t')
			break;
	*name = (struct nacre_span){line.data + start, line.length - start};
	line.length = start;
	line = text_trim(line);
	if (line.length == 0)
		return 0;
	return nacre_key_options_parse(line, options, reason);
}
