/*
 * The identification strings that open a connection, RFC 4253 section 4.2: ours, and the peer's
 * behind the lines that a server may send before it.
 */
#include <transport/state.h>

#include <stdlib.h>
#include <string.h>

#define PREAMBLE_LINES  1024
#define LINE_MAX_LENGTH 8192

static const char prefix[] = "SSH-";

static bool
text_is_printable(struct nacre_span text)
{
	for (size_t i = 0; i < text.length; i++)
		if (text.data[i] < 0x20 || text.data[i] > 0x7e)
			return false;
	return true;
}

int
identification_new(const struct nacre_session_options *options, char **identification)
{
	const char *software =
	    options->software != NULL ? options->software : "Nacre_" NACRE_VERSION;
	const char *comment = options->version_addendum;
	struct nacre_buffer text = {.limit = IDENTIFICATION_MAX + 1};
	int error = 0;

	nacre_put_format(&text, "SSH-2.0-%s", software);
	if (comment != NULL && comment[0] != '\0')
		nacre_put_format(&text, " %s", comment);
	if (text.failed || nacre_buffer_length(&text) > IDENTIFICATION_MAX - 2 ||
	    !text_is_printable(nacre_buffer_span(&text)) || strchr(software, ' ') != NULL)
		error = NACRE_ERROR_ARGUMENT;
	else if ((*identification = nacre_span_to_string(nacre_buffer_span(&text))) == NULL)
		error = NACRE_ERROR_MEMORY;
	nacre_buffer_free(&text);
	return error;
}

void
identification_send(struct transport *transport)
{
	nacre_put_format(&transport->output, "%s\r\n", transport->identification);
	transport_log(
	    transport, NACRE_LOG_DEBUG1, "Local version string %.100s", transport->identification);
}

/* What a person or a program sees that does not speak our protocol. */
static void
tell_stranger(struct transport *transport, const char *text)
{
	if (transport->role == NACRE_SERVER)
		nacre_put_format(&transport->output, "%s\r\n", text);
}

static int
identification_refuse(struct transport *transport, struct nacre_span line)
{
	tell_stranger(transport, "Invalid SSH identification string.");
	/* The words that watchers of a server's log know. */
	if (transport->role == NACRE_SERVER)
		return transport_fail(transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_VERSION_NOT_SUPPORTED,
		    text_is_printable(line) ? "client sent invalid protocol identifier \"%.*s\""
					    : "banner line contains invalid characters",
		    (int)(line.length < 100 ? line.length : 100), (const char *)line.data);
	return transport_fail(transport, NACRE_ERROR_PROTOCOL,
	    NACRE_DISCONNECT_VERSION_NOT_SUPPORTED,
	    "Bad remote protocol version identification: '%.*s'",
	    (int)(line.length < 100 ? line.length : 100), (const char *)line.data);
}

/* The part of "line" behind "version", or an empty span. */
static struct nacre_span
behind(struct nacre_span line, const char *version)
{
	size_t length = strlen(version);

	if (line.length < length || memcmp(line.data, version, length) != 0)
		return (struct nacre_span){NULL, 0};
	return (struct nacre_span){line.data + length, line.length - length};
}

bool
transport_peer_is(const struct transport *transport, const char *software)
{
	const struct nacre_span line = nacre_span_of(transport->peer_identification);
	const struct nacre_span name = behind(line, "SSH-2.0-");

	return name.data != NULL && behind(name, software).data != NULL;
}

static int
identification_accept(struct transport *transport, struct nacre_span line)
{
	struct nacre_span software = behind(line, "SSH-2.0-"), version_number;
	const char *version = "2.0";

	if (line.length + 2 > IDENTIFICATION_MAX)
		return transport_fail(transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR,
		    "Remote protocol version identification is longer than %d characters",
		    IDENTIFICATION_MAX);
	if (!text_is_printable(line))
		return transport_fail(transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR,
		    "Remote protocol version identification contains invalid characters");
	if (software.data == NULL) {
		software = behind(line, "SSH-1.99-");
		version = "1.99";
	}
	if (software.data == NULL && (version_number = behind(line, prefix)).length > 2 &&
	    version_number.data[0] >= '1' && version_number.data[0] <= '9' &&
	    version_number.data[0] != '2' && version_number.data[1] == '.') {
		tell_stranger(transport, "Protocol major versions differ.");
		return transport_fail(transport, NACRE_ERROR_UNSUPPORTED,
		    NACRE_DISCONNECT_VERSION_NOT_SUPPORTED,
		    "Protocol major versions differ: 2 vs. %c", version_number.data[0]);
	}
	if (software.data == NULL)
		return identification_refuse(transport, line);
	if ((transport->peer_identification = nacre_span_to_string(line)) == NULL)
		return transport_fail(transport, NACRE_ERROR_MEMORY,
		    NACRE_DISCONNECT_BY_APPLICATION, "out of memory");
	transport_log(transport, NACRE_LOG_DEBUG1,
	    "Remote protocol version %s, remote software version %.*s", version,
	    (int)software.length, (const char *)software.data);
	event_put(transport, NACRE_EVENT_IDENTIFIED, 0, line);
	return 1;
}

static int
preamble_accept(struct transport *transport, struct nacre_span line)
{
	if (transport->role == NACRE_SERVER)
		return identification_refuse(transport, line);
	if (line.length > 0 && memchr(line.data, '\0', line.length) != NULL)
		return transport_fail(transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR, "banner line contains invalid characters");
	if (++transport->preamble_lines > PREAMBLE_LINES)
		return transport_fail(transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR,
		    "No SSH identification string received in the first %d lines from server",
		    PREAMBLE_LINES);
	event_put(transport, NACRE_EVENT_PREAMBLE, 0, line);
	return 0;
}

/* Without its end of line yet: can this still become what we wait for? */
static int
line_incomplete(struct transport *transport, struct nacre_span part)
{
	size_t known = part.length < sizeof prefix - 1 ? part.length : sizeof prefix - 1;

	if (transport->role == NACRE_SERVER && known > 0 && memcmp(part.data, prefix, known) != 0)
		return identification_refuse(transport, part);
	if (part.length > LINE_MAX_LENGTH ||
	    (behind(part, prefix).data != NULL && part.length > IDENTIFICATION_MAX))
		return transport_fail(transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR,
		    "line of %zu characters before the SSH identification string is too long",
		    part.length);
	return 0;
}

int
identification_receive(struct transport *transport)
{
	struct input *input = &transport->input;
	struct nacre_span line;
	const uint8_t *newline;

	if (input->end == input->start)
		return 0;
	line = (struct nacre_span){input->data + input->start, input->end - input->start};
	if ((newline = memchr(line.data, '\n', line.length)) == NULL)
		return line_incomplete(transport, line);
	line.length = (size_t)(newline - line.data);
	if (line.length > LINE_MAX_LENGTH)
		return line_incomplete(transport, line);
	input_consume(input, line.length + 1);
	if (line.length > 0 && line.data[line.length - 1] == '\r')
		line.length--;
	if (behind(line, prefix).data != NULL)
		return identification_accept(transport, line);
	return preamble_accept(transport, line);
}
