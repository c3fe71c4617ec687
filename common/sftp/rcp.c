/* The control lines of the rcp protocol, which scp -O speaks: C, D, E, T, and the answers. */
#include <nacre/rcp.h>

#include <string.h>

/* Decimal digits to *value; false on none, on overflow. */
static bool
get_number(struct nacre_span *text, uint64_t *value)
{
	size_t digits = 0;

	*value = 0;
	while (text->length > 0 && text->data[0] >= '0' && text->data[0] <= '9') {
		unsigned digit = (unsigned)(text->data[0] - '0');

		if (*value > (UINT64_MAX - digit) / 10)
			return false;
		*value = *value * 10 + digit;
		text->data++;
		text->length--;
		digits++;
	}
	return digits > 0;
}

static bool
get_space(struct nacre_span *text)
{
	if (text->length == 0 || text->data[0] != ' ')
		return false;
	text->data++;
	text->length--;
	return true;
}

static bool
get_mode(struct nacre_span *text, uint32_t *mode)
{
	*mode = 0;
	for (int i = 0; i < 4; i++) {
		if (text->length == 0 || text->data[0] < '0' || text->data[0] > '7')
			return false;
		*mode = *mode * 8 + (uint32_t)(text->data[0] - '0');
		text->data++;
		text->length--;
	}
	return true;
}

static int
parse_entry(struct nacre_span text, struct nacre_rcp_message *message)
{
	if (!get_mode(&text, &message->mode))
		return NACRE_ERROR_FORMAT;
	if (!get_space(&text) || !get_number(&text, &message->size) || !get_space(&text))
		return NACRE_ERROR_FORMAT;
	if (message->size > INT64_MAX)
		return NACRE_ERROR_FORMAT;
	/* A name is one component: anything else would leave the directory that was asked for. */
	if (text.length == 0 || nacre_span_equals(text, ".") || nacre_span_equals(text, "..") ||
	    memchr(text.data, '/', text.length) != NULL ||
	    memchr(text.data, '\0', text.length) != NULL)
		return NACRE_ERROR_REFUSED;
	message->name = text;
	return 0;
}

static int
parse_times(struct nacre_span text, struct nacre_rcp_message *message)
{
	uint64_t modified, modified_micros, accessed, accessed_micros;

	if (!get_number(&text, &modified) || !get_space(&text) ||
	    !get_number(&text, &modified_micros) || !get_space(&text) ||
	    !get_number(&text, &accessed) || !get_space(&text) ||
	    !get_number(&text, &accessed_micros) || text.length != 0)
		return NACRE_ERROR_FORMAT;
	if (modified > INT64_MAX || accessed > INT64_MAX || modified_micros > 999999 ||
	    accessed_micros > 999999)
		return NACRE_ERROR_FORMAT;
	message->modified = (struct timespec){(time_t)modified, (long)modified_micros * 1000};
	message->accessed = (struct timespec){(time_t)accessed, (long)accessed_micros * 1000};
	return 0;
}

int
nacre_rcp_parse(struct nacre_span line, struct nacre_rcp_message *message)
{
	struct nacre_span rest = line;

	*message = (struct nacre_rcp_message){0};
	if (line.length == 0)
		return NACRE_ERROR_FORMAT;
	rest.data++;
	rest.length--;
	message->kind = (enum nacre_rcp_kind)line.data[0];
	switch (line.data[0]) {
	case NACRE_RCP_WARNING:
	case NACRE_RCP_FATAL:
		message->name = rest;
		return 0;
	case NACRE_RCP_END:
		return rest.length == 0 ? 0 : NACRE_ERROR_FORMAT;
	case NACRE_RCP_TIMES:
		return parse_times(rest, message);
	case NACRE_RCP_FILE:
	case NACRE_RCP_DIRECTORY:
		return parse_entry(rest, message);
	default:
		return NACRE_ERROR_FORMAT;
	}
}
