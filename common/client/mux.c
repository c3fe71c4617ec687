/*
 * Messages of the protocol of shared connections (PROTOCOL.mux) to bytes and back. One table says
 * which fields a message has. What the document calls bool is a uint32 on the wire, and so is the
 * port of a stdio forwarding.
 */
#include <nacre/mux.h>

/* What a field is and where in the message it is kept. */
enum shape { SHAPE_U32, SHAPE_FLAG, SHAPE_STRING, SHAPE_UNUSED, SHAPE_REST };
enum field {
	END,
	ID,
	VALUE,
	TEXT,
	REST,
	UNUSED,
	TERMINAL,
	X11,
	AGENT,
	SUBSYSTEM,
	ESCAPE,
	TERM,
	COMMAND,
	DIRECTION,
	LISTEN_HOST,
	LISTEN_PORT,
	CONNECT_HOST,
	CONNECT_PORT
};
#define FIELDS_MAX 11

#define AT(member) offsetof(struct nacre_mux_message, member)
static const struct {
	enum shape shape;
	size_t offset;
} fields[] = {
    [ID] = {SHAPE_U32, AT(id)},
    [VALUE] = {SHAPE_U32, AT(value)},
    [TEXT] = {SHAPE_STRING, AT(text)},
    [REST] = {SHAPE_REST, AT(rest)},
    [UNUSED] = {SHAPE_UNUSED, 0},
    [TERMINAL] = {SHAPE_FLAG, AT(session.terminal)},
    [X11] = {SHAPE_FLAG, AT(session.x11)},
    [AGENT] = {SHAPE_FLAG, AT(session.agent)},
    [SUBSYSTEM] = {SHAPE_FLAG, AT(session.subsystem)},
    [ESCAPE] = {SHAPE_U32, AT(session.escape)},
    [TERM] = {SHAPE_STRING, AT(session.term)},
    [COMMAND] = {SHAPE_STRING, AT(session.command)},
    [DIRECTION] = {SHAPE_U32, AT(forward.direction)},
    [LISTEN_HOST] = {SHAPE_STRING, AT(forward.listen_host)},
    [LISTEN_PORT] = {SHAPE_U32, AT(forward.listen_port)},
    [CONNECT_HOST] = {SHAPE_STRING, AT(forward.connect_host)},
    [CONNECT_PORT] = {SHAPE_U32, AT(forward.connect_port)},
};

#define FORWARD                                                                     \
	{                                                                           \
		ID, DIRECTION, LISTEN_HOST, LISTEN_PORT, CONNECT_HOST, CONNECT_PORT \
	}
static const struct row {
	uint32_t kind;
	uint8_t fields[FIELDS_MAX];
	uint8_t descriptors;
} rows[] = {
    {NACRE_MUX_HELLO, {VALUE, REST}, 0},
    {NACRE_MUX_NEW_SESSION,
	{ID, UNUSED, TERMINAL, X11, AGENT, SUBSYSTEM, ESCAPE, TERM, COMMAND, REST}, 3},
    {NACRE_MUX_ALIVE_CHECK, {ID}, 0},
    {NACRE_MUX_TERMINATE, {ID}, 0},
    {NACRE_MUX_OPEN_FORWARD, FORWARD, 0},
    {NACRE_MUX_CLOSE_FORWARD, FORWARD, 0},
    {NACRE_MUX_STDIO_FORWARD, {ID, UNUSED, CONNECT_HOST, CONNECT_PORT}, 2},
    {NACRE_MUX_STOP_LISTENING, {ID}, 0},
    {NACRE_MUX_PROXY, {ID}, 0},
    {NACRE_MUX_INFO, {ID, TEXT}, 0},
    {NACRE_MUX_OK, {ID}, 0},
    {NACRE_MUX_PERMISSION_DENIED, {ID, TEXT}, 0},
    {NACRE_MUX_FAILURE, {ID, TEXT}, 0},
    {NACRE_MUX_EXIT_MESSAGE, {ID, VALUE}, 0},
    {NACRE_MUX_ALIVE, {ID, VALUE}, 0},
    {NACRE_MUX_SESSION_OPENED, {ID, VALUE}, 0},
    {NACRE_MUX_REMOTE_PORT, {ID, VALUE}, 0},
    {NACRE_MUX_TTY_ALLOC_FAIL, {ID}, 0},
    {NACRE_MUX_PROXYING, {ID}, 0},
    {NACRE_MUX_INFO_REPLY, {ID, VALUE, TEXT}, 0},
};

static const struct row *
row_of(uint32_t kind)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].kind == kind)
			return &rows[i];
	return NULL;
}

size_t
nacre_mux_descriptors(uint32_t kind)
{
	const struct row *const row = row_of(kind);

	return row != NULL ? row->descriptors : 0;
}

static void
put_field(struct nacre_buffer *buffer, enum shape shape, const void *value)
{
	switch (shape) {
	case SHAPE_U32:
		nacre_put_u32(buffer, *(const uint32_t *)value);
		break;
	case SHAPE_FLAG:
		nacre_put_u32(buffer, *(const bool *)value);
		break;
	case SHAPE_STRING:
		nacre_put_string_span(buffer, *(const struct nacre_span *)value);
		break;
	case SHAPE_UNUSED:
		nacre_put_u32(buffer, 0);
		break;
	case SHAPE_REST:
		nacre_put_span(buffer, *(const struct nacre_span *)value);
		break;
	}
}

void
nacre_mux_put(struct nacre_buffer *buffer, const struct nacre_mux_message *message)
{
	const struct row *const row = row_of(message->kind);
	const size_t mark = nacre_put_string_begin(buffer);

	nacre_put_u32(buffer, message->kind);
	for (const uint8_t *field = row->fields; *field != END; field++)
		put_field(
		    buffer, fields[*field].shape, (const uint8_t *)message + fields[*field].offset);
	nacre_put_string_end(buffer, mark);
}

static void
get_field(struct nacre_reader *reader, enum shape shape, void *value)
{
	switch (shape) {
	case SHAPE_U32:
		*(uint32_t *)value = nacre_get_u32(reader);
		break;
	case SHAPE_FLAG:
		*(bool *)value = nacre_get_u32(reader) != 0;
		break;
	case SHAPE_STRING:
		*(struct nacre_span *)value = nacre_get_string(reader);
		break;
	case SHAPE_UNUSED:
		nacre_get_string(reader);
		break;
	case SHAPE_REST:
		*(struct nacre_span *)value = nacre_get_rest(reader);
		break;
	}
}

/* A rest is strings to its end. */
static bool
is_strings(struct nacre_span rest)
{
	struct nacre_reader reader = nacre_reader_of(rest);

	while (reader.length > 0 && !reader.failed)
		nacre_get_string(&reader);
	return !reader.failed;
}

int
nacre_mux_decode(struct nacre_span packet, struct nacre_mux_message *message)
{
	struct nacre_reader reader = nacre_reader_of(packet);

	*message = (struct nacre_mux_message){.kind = nacre_get_u32(&reader)};
	const struct row *const row = row_of(message->kind);
	if (row == NULL) {
		message->id = reader.length >= 4 ? nacre_get_u32(&reader) : 0;
		return reader.failed ? NACRE_ERROR_FORMAT : NACRE_ERROR_UNSUPPORTED;
	}
	for (const uint8_t *field = row->fields; *field != END; field++)
		get_field(
		    &reader, fields[*field].shape, (uint8_t *)message + fields[*field].offset);
	return nacre_reader_done(&reader) && is_strings(message->rest) ? 0 : NACRE_ERROR_FORMAT;
}

bool
nacre_mux_packet(struct nacre_span *input, struct nacre_span *packet, int *error)
{
	struct nacre_reader reader = nacre_reader_of(*input);

	*error = 0;
	if (reader.length < 4)
		return false;
	const uint32_t length = nacre_get_u32(&reader);
	if (length > NACRE_MUX_PACKET_MAX) {
		*error = NACRE_ERROR_FORMAT;
		return false;
	}
	if (reader.length < length)
		return false;
	*packet = nacre_get_bytes(&reader, length);
	*input = nacre_get_rest(&reader);
	return true;
}

bool
nacre_mux_extension(struct nacre_span rest, const char *name, struct nacre_span *value)
{
	struct nacre_reader reader = nacre_reader_of(rest);

	while (reader.length > 0 && !reader.failed) {
		const struct nacre_span found = nacre_get_string(&reader);

		*value = nacre_get_string(&reader);
		if (!reader.failed && nacre_span_equals(found, name))
			return true;
	}
	return false;
}
