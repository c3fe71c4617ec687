/* Decoding of the data types of RFC 4251 section 5, with a sticky error. */
#include <nacre/wire.h>

#define MPINT_BYTES_MAX 2048

struct nacre_reader
nacre_reader_of(struct nacre_span span)
{
	return (struct nacre_reader){span.data, span.length, false};
}

bool
nacre_reader_done(const struct nacre_reader *reader)
{
	return !reader->failed && reader->length == 0;
}

struct nacre_span
nacre_get_bytes(struct nacre_reader *reader, size_t length)
{
	struct nacre_span bytes = {reader->data, length};

	if (reader->failed || length > reader->length) {
		reader->failed = true;
		return (struct nacre_span){NULL, 0};
	}
	if (length > 0)
		reader->data += length;
	reader->length -= length;
	return bytes;
}

uint8_t
nacre_get_byte(struct nacre_reader *reader)
{
	struct nacre_span bytes = nacre_get_bytes(reader, 1);

	return bytes.length == 1 ? bytes.data[0] : 0;
}

bool
nacre_get_boolean(struct nacre_reader *reader)
{
	return nacre_get_byte(reader) != 0;
}

uint32_t
nacre_get_u32(struct nacre_reader *reader)
{
	struct nacre_span bytes = nacre_get_bytes(reader, 4);

	if (bytes.length != 4)
		return 0;
	return (uint32_t)bytes.data[0] << 24 | (uint32_t)bytes.data[1] << 16 |
	       (uint32_t)bytes.data[2] << 8 | bytes.data[3];
}

uint64_t
nacre_get_u64(struct nacre_reader *reader)
{
	uint64_t high = nacre_get_u32(reader);

	return high << 32 | nacre_get_u32(reader);
}

struct nacre_span
nacre_get_string(struct nacre_reader *reader)
{
	return nacre_get_bytes(reader, nacre_get_u32(reader));
}

struct nacre_span
nacre_get_mpint(struct nacre_reader *reader)
{
	struct nacre_span value = nacre_get_string(reader);
	bool negative = value.length > 0 && (value.data[0] & 0x80) != 0;
	bool padded = value.length > 0 && value.data[0] == 0;

	/* One zero byte in front is right exactly where the next byte would look negative. */
	if (negative || (padded && (value.length == 1 || (value.data[1] & 0x80) == 0)) ||
	    value.length > MPINT_BYTES_MAX + 1) {
		reader->failed = true;
		return (struct nacre_span){NULL, 0};
	}
	if (padded) {
		value.data++;
		value.length--;
	}
	return value;
}

struct nacre_span
nacre_get_rest(struct nacre_reader *reader)
{
	return nacre_get_bytes(reader, reader->length);
}
