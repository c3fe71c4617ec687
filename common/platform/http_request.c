/* Reading the head of an HTTP request. Its fields are checked for their form and otherwise passed
 * over. */
#include <nacre/http_request.h>

#include <string.h>

#define VERSION      "HTTP/1."
#define METHOD_MOST  16
#define TOKEN_EXTRAS "!#$%&'*+-.^_`|~"

/* The next line without its end; false when it is not complete. */
static bool
next_line(struct nacre_span *text, struct nacre_span *line)
{
	const uint8_t *end = text->length > 0 ? memchr(text->data, '\n', text->length) : NULL;

	if (end == NULL)
		return false;
	*line = (struct nacre_span){text->data, (size_t)(end - text->data)};
	text->length -= line->length + 1;
	text->data = end + 1;
	if (line->length > 0 && line->data[line->length - 1] == '\r')
		line->length--;
	return true;
}

/* Up to the next space, which is taken away; an empty span when there is none. */
static struct nacre_span
next_word(struct nacre_span *line)
{
	const uint8_t *space = line->length > 0 ? memchr(line->data, ' ', line->length) : NULL;
	struct nacre_span word = {line->data, space != NULL ? (size_t)(space - line->data) : 0};

	if (space != NULL) {
		line->length -= word.length + 1;
		line->data = space + 1;
	}
	return word;
}

static bool
is_token(struct nacre_span text)
{
	for (size_t i = 0; i < text.length; i++) {
		uint8_t byte = text.data[i], lower = byte | 0x20;
		if (!(lower >= 'a' && lower <= 'z') && !(byte >= '0' && byte <= '9') &&
		    (byte == '\0' || strchr(TOKEN_EXTRAS, byte) == NULL))
			return false;
	}
	return text.length > 0;
}

static bool
is_visible(struct nacre_span text)
{
	for (size_t i = 0; i < text.length; i++)
		if (text.data[i] <= 0x20 || text.data[i] >= 0x7f)
			return false;
	return true;
}

static bool
request_line(struct nacre_span line, struct nacre_http_request *request)
{
	size_t version_length = sizeof VERSION - 1;

	request->method = next_word(&line);
	request->path = next_word(&line);
	if (!is_token(request->method) || request->method.length > METHOD_MOST ||
	    request->path.length == 0 || request->path.data[0] != '/' || !is_visible(request->path))
		return false;
	const uint8_t *query = memchr(request->path.data, '?', request->path.length);
	if (query != NULL)
		request->path.length = (size_t)(query - request->path.data);
	return line.length == version_length + 1 &&
	       memcmp(line.data, VERSION, version_length) == 0 &&
	       (line.data[version_length] == '0' || line.data[version_length] == '1');
}

static bool
field_line(struct nacre_span line)
{
	const uint8_t *colon = memchr(line.data, ':', line.length);
	struct nacre_span name = {line.data, colon != NULL ? (size_t)(colon - line.data) : 0};

	if (!is_token(name))
		return false;
	for (size_t i = name.length; i < line.length; i++)
		if ((line.data[i] < 0x20 && line.data[i] != '\t') || line.data[i] == 0x7f)
			return false;
	return true;
}

int
nacre_http_request_parse(struct nacre_span text, struct nacre_http_request *request)
{
	struct nacre_span line, rest = text;
	bool first = true;

	if (rest.length > NACRE_HTTP_REQUEST_MOST)
		rest.length = NACRE_HTTP_REQUEST_MOST;
	while (next_line(&rest, &line)) {
		if (line.length == 0 && !first)
			return 1;
		if (first ? !request_line(line, request) : !field_line(line))
			return NACRE_ERROR_FORMAT;
		first = false;
	}
	return text.length >= NACRE_HTTP_REQUEST_MOST ? NACRE_ERROR_MEMORY : 0;
}
