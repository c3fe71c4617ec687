/* Public keys as text: the lines of .pub files and the files of RFC 4716; PEM-like armor. */
#include <key/key.h>
#include <wire/text.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BLOB_LENGTH_MAX ((size_t)64 * 1024)

int
nacre_key_from_line(struct nacre_span line, struct nacre_key **key, struct nacre_span *comment)
{
	SCOPED_BUFFER struct nacre_buffer blob = {.limit = BLOB_LENGTH_MAX};
	SCOPED_KEY struct nacre_key *made = NULL;
	struct nacre_span name = text_next_word(&line), encoded = text_next_word(&line);
	bool certified;
	int error;

	if (name.length == 0 || encoded.length == 0)
		return NACRE_ERROR_FORMAT;
	if (key_kind_of_format(name, &certified) == NULL)
		return NACRE_ERROR_UNSUPPORTED;
	if ((error = nacre_get_base64(encoded, &blob)) != 0 ||
	    (error = nacre_key_from_blob(nacre_buffer_span(&blob), &made)) != 0)
		return error;
	if (!nacre_span_equals(name, nacre_key_format(made)))
		return NACRE_ERROR_FORMAT;
	if (comment != NULL)
		*comment = text_trim(line);
	*key = made;
	made = NULL;
	return 0;
}

int
nacre_key_put_line(const struct nacre_key *key, const char *comment, struct nacre_buffer *text)
{
	SCOPED_BUFFER struct nacre_buffer blob = {0};
	int error = nacre_key_put_blob(key, false, &blob);

	if (error != 0)
		return error;
	nacre_put_format(text, "%s ", nacre_key_format(key));
	nacre_put_base64(text, nacre_buffer_span(&blob));
	if (comment != NULL && comment[0] != '\0')
		nacre_put_format(text, " %s", comment);
	return text->failed ? NACRE_ERROR_MEMORY : 0;
}

int
armor_read(struct nacre_span text, const char *label, struct nacre_buffer *content)
{
	SCOPED_BUFFER struct nacre_buffer base64 = {0}, begin = {0}, end = {0};
	struct nacre_span line;
	bool inside = false;

	nacre_put_format(&begin, "-----BEGIN %s-----", label);
	nacre_put_format(&end, "-----END %s-----", label);
	while (nacre_line_next(&text, &line)) {
		line = text_trim(line);
		if (nacre_span_equal(line, nacre_buffer_span(&end)) && inside)
			return base64.failed
				   ? NACRE_ERROR_MEMORY
				   : nacre_get_base64(nacre_buffer_span(&base64), content);
		if (inside)
			nacre_put_span(&base64, line);
		else
			inside = nacre_span_equal(line, nacre_buffer_span(&begin));
	}
	return NACRE_ERROR_FORMAT;
}

void
armor_write_base64(struct nacre_span content, size_t width, struct nacre_buffer *text)
{
	SCOPED_BUFFER struct nacre_buffer base64 = {0};
	size_t length;

	nacre_put_base64(&base64, content);
	while ((length = nacre_buffer_length(&base64)) > 0 && !base64.failed) {
		length = length < width ? length : width;
		nacre_put_bytes(text, nacre_buffer_span(&base64).data, length);
		nacre_put_byte(text, '\n');
		nacre_buffer_consume(&base64, length);
	}
	text->failed = text->failed || base64.failed;
}

#define RFC4716_BEGIN "---- BEGIN SSH2 PUBLIC KEY ----"
#define RFC4716_END   "---- END SSH2 PUBLIC KEY ----"
#define RFC4716_WIDTH 70

/* The value of a "Comment: " header, without the quotes around it. */
static void
rfc4716_comment(struct nacre_span header, char **comment)
{
	static const char name[] = "Comment:";
	struct nacre_span value;

	if (comment == NULL || *comment != NULL || header.length < sizeof name - 1 ||
	    strncasecmp((const char *)header.data, name, sizeof name - 1) != 0)
		return;
	value = text_trim(
	    (struct nacre_span){header.data + sizeof name - 1, header.length - (sizeof name - 1)});
	if (value.length >= 2 && value.data[0] == '"' && value.data[value.length - 1] == '"')
		value = (struct nacre_span){value.data + 1, value.length - 2};
	*comment = nacre_span_to_string(value);
}

/* Sorts the lines between the markers into headers (continued by a backslash) and base64. */
static int
rfc4716_collect(struct nacre_span file, struct nacre_buffer *base64, char **comment)
{
	SCOPED_BUFFER struct nacre_buffer header = {0};
	struct nacre_span line;
	bool inside = false, continued = false;

	while (nacre_line_next(&file, &line)) {
		line = text_trim(line);
		if (!inside) {
			inside = nacre_span_equals(line, RFC4716_BEGIN);
		} else if (nacre_span_equals(line, RFC4716_END)) {
			return base64->failed ? NACRE_ERROR_MEMORY : 0;
		} else if (continued || memchr(line.data, ':', line.length) != NULL) {
			continued = line.length > 0 && line.data[line.length - 1] == '\\';
			line.length -= continued ? 1 : 0;
			nacre_put_span(&header, line);
			if (continued)
				continue;
			rfc4716_comment(nacre_buffer_span(&header), comment);
			nacre_buffer_clear(&header);
		} else {
			nacre_put_span(base64, line);
		}
	}
	return NACRE_ERROR_FORMAT;
}

int
nacre_key_from_rfc4716(struct nacre_span file, struct nacre_key **key, char **comment)
{
	SCOPED_BUFFER struct nacre_buffer base64 = {0}, blob = {.limit = BLOB_LENGTH_MAX};
	int error;

	if (comment != NULL)
		*comment = NULL;
	error = rfc4716_collect(file, &base64, comment);
	if (error == 0)
		error = nacre_get_base64(nacre_buffer_span(&base64), &blob);
	if (error == 0)
		error = nacre_key_from_blob(nacre_buffer_span(&blob), key);
	if (error != 0 && comment != NULL) {
		free(*comment);
		*comment = NULL;
	}
	return error;
}

int
nacre_key_put_rfc4716(const struct nacre_key *key, const char *comment, struct nacre_buffer *text)
{
	SCOPED_BUFFER struct nacre_buffer blob = {0};
	int error = nacre_key_put_blob(key, false, &blob);

	if (error != 0)
		return error;
	nacre_put_format(text, RFC4716_BEGIN "\n");
	/* RFC 4716 section 3.3 bounds a line, header tag included, at 72 bytes. */
	if (comment != NULL && comment[0] != '\0')
		nacre_put_format(text, "Comment: \"%.60s\"\n", comment);
	armor_write_base64(nacre_buffer_span(&blob), RFC4716_WIDTH, text);
	nacre_put_format(text, RFC4716_END "\n");
	return text->failed ? NACRE_ERROR_MEMORY : 0;
}
