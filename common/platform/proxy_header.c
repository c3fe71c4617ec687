/* Reading the header of the PROXY protocol. */
#include <nacre/proxy_header.h>

#include <arpa/inet.h>
#include <string.h>

#define LINE_MOST     ((size_t)107) /* of version 1, its end included */
#define FIXED_LENGTH  ((size_t)16)  /* of version 2: signature, version, kind, length */
#define INET_LENGTH   ((size_t)12)
#define INET6_LENGTH  ((size_t)36)
#define UNIX_LENGTH   ((size_t)216)
#define COMMAND_LOCAL 0x20
#define COMMAND_PROXY 0x21

static const char line_start[] = "PROXY ";
static const uint8_t signature[] = {
    0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

static bool
begins_with(struct nacre_span text, const void *start, size_t length)
{
	size_t common = text.length < length ? text.length : length;

	return common == 0 || memcmp(text.data, start, common) == 0;
}

/* Version 1 --------------------------------------------------------------------------------- */

/* The next word of the line, at a single space. */
static struct nacre_span
next_word(struct nacre_span *line)
{
	const uint8_t *space = line->length > 0 ? memchr(line->data, ' ', line->length) : NULL;
	struct nacre_span word = {
	    line->data, space != NULL ? (size_t)(space - line->data) : line->length};

	line->data += word.length + (space != NULL);
	line->length -= word.length + (space != NULL);
	return word;
}

static bool
address_read(struct nacre_span word, int family, uint8_t *address)
{
	char text[INET6_ADDRSTRLEN];

	if (word.length == 0 || word.length >= sizeof text ||
	    memchr(word.data, '\0', word.length) != NULL)
		return false;
	memcpy(text, word.data, word.length);
	text[word.length] = '\0';
	return inet_pton(family, text, address) == 1;
}

/* Decimal, without leading zeros. */
static bool
port_read(struct nacre_span word, uint16_t *port)
{
	uint32_t value = 0;

	if (word.length == 0 || word.length > 5 || (word.length > 1 && word.data[0] == '0'))
		return false;
	for (size_t i = 0; i < word.length; i++) {
		if (word.data[i] < '0' || word.data[i] > '9')
			return false;
		value = value * 10 + (uint32_t)(word.data[i] - '0');
	}
	*port = (uint16_t)value;
	return value <= UINT16_MAX;
}

static int
line_read(struct nacre_span line, struct nacre_proxy_header *header)
{
	struct nacre_span family = next_word(&line);

	header->local = nacre_span_equals(family, "UNKNOWN");
	if (header->local)
		return 1;
	header->family = nacre_span_equals(family, "TCP6") ? AF_INET6 : AF_INET;
	if (header->family == AF_INET && !nacre_span_equals(family, "TCP4"))
		return NACRE_ERROR_UNSUPPORTED;
	if (!address_read(next_word(&line), header->family, header->source) ||
	    !address_read(next_word(&line), header->family, header->destination) ||
	    !port_read(next_word(&line), &header->source_port))
		return NACRE_ERROR_FORMAT;
	return port_read(line, &header->destination_port) ? 1 : NACRE_ERROR_FORMAT;
}

static int
parse_line(struct nacre_span text, struct nacre_proxy_header *header)
{
	size_t start = sizeof line_start - 1;
	size_t known = text.length < LINE_MOST ? text.length : LINE_MOST;
	const uint8_t *end = memchr(text.data, '\r', known);

	if (end == NULL || (size_t)(end - text.data) + 1 >= known)
		return text.length >= LINE_MOST ? NACRE_ERROR_MEMORY : 0;
	if (end[1] != '\n')
		return NACRE_ERROR_FORMAT;
	header->length = (size_t)(end - text.data) + 2;
	return line_read(
	    (struct nacre_span){text.data + start, header->length - 2 - start}, header);
}

/* Version 2 --------------------------------------------------------------------------------- */

/* Address family and transport: what it takes of the header, and whether we have a use for it. */
static const struct {
	uint8_t kind;
	size_t length;
	int family; /* AF_UNSPEC: without addresses */
} kinds[] = {
    {0x00, 0, AF_UNSPEC},           /* not told */
    {0x11, INET_LENGTH, AF_INET},   /* TCP over IPv4 */
    {0x21, INET6_LENGTH, AF_INET6}, /* TCP over IPv6 */
    {0x31, UNIX_LENGTH, AF_UNSPEC}, /* a Unix stream */
};

static int
addresses_read(struct nacre_reader *reader, uint8_t kind, struct nacre_proxy_header *header)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (kinds[i].kind != kind)
			continue;
		if (reader->length < kinds[i].length)
			return NACRE_ERROR_FORMAT;
		header->local = kinds[i].family == AF_UNSPEC;
		header->family = kinds[i].family;
		size_t size = kinds[i].family == AF_INET6 ? 16 : 4;
		if (header->local)
			return 1;
		memcpy(header->source, nacre_get_bytes(reader, size).data, size);
		memcpy(header->destination, nacre_get_bytes(reader, size).data, size);
		uint32_t ports = nacre_get_u32(reader);
		header->source_port = (uint16_t)(ports >> 16);
		header->destination_port = (uint16_t)ports;
		return 1;
	}
	return NACRE_ERROR_UNSUPPORTED;
}

static int
parse_binary(struct nacre_span text, struct nacre_proxy_header *header)
{
	struct nacre_reader reader = nacre_reader_of(text);

	if (text.length < FIXED_LENGTH)
		return 0;
	nacre_get_bytes(&reader, sizeof signature);
	uint8_t command = nacre_get_byte(&reader);
	uint8_t kind = nacre_get_byte(&reader);
	size_t length = (size_t)nacre_get_byte(&reader) << 8;
	length |= nacre_get_byte(&reader);
	if (command != COMMAND_LOCAL && command != COMMAND_PROXY)
		return NACRE_ERROR_UNSUPPORTED;
	if (FIXED_LENGTH + length > NACRE_PROXY_HEADER_MOST)
		return NACRE_ERROR_MEMORY;
	if (reader.length < length)
		return 0;
	reader.length = length;
	header->length = FIXED_LENGTH + length;
	header->local = command == COMMAND_LOCAL;
	return header->local ? 1 : addresses_read(&reader, kind, header);
}

int
nacre_proxy_header_parse(struct nacre_span text, struct nacre_proxy_header *header)
{
	*header = (struct nacre_proxy_header){0};
	if (text.length == 0)
		return 0;
	if (begins_with(text, signature, sizeof signature))
		return parse_binary(text, header);
	if (begins_with(text, line_start, sizeof line_start - 1))
		return text.length < sizeof line_start ? 0 : parse_line(text, header);
	return NACRE_ERROR_FORMAT;
}
