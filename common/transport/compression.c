/*
 * zlib@openssh.com: each payload deflated with what came before as its dictionary and flushed, from
 * authentication on. The states are big and made on first use.
 */
#include <transport/state.h>

#include <stdlib.h>

#define ZLIB_CONST
#include <zlib.h>

#define STEP ((size_t)4096)

struct compression {
	z_stream stream;
	bool inflates;
};

static struct compression *
compression_new(bool inflates)
{
	struct compression *compression = calloc(1, sizeof *compression);
	int result;

	if (compression == NULL)
		return NULL;
	compression->inflates = inflates;
	result = inflates ? inflateInit(&compression->stream)
			  : deflateInit(&compression->stream, Z_DEFAULT_COMPRESSION);
	if (result != Z_OK) {
		free(compression);
		return NULL;
	}
	return compression;
}

void
compression_free(struct compression *compression)
{
	if (compression == NULL)
		return;
	if (compression->inflates)
		inflateEnd(&compression->stream);
	else
		deflateEnd(&compression->stream);
	free(compression);
}

static z_stream *
side_stream(struct packet_side *side, bool inflates, struct nacre_span in)
{
	if (side->compression == NULL)
		side->compression = compression_new(inflates);
	if (side->compression == NULL)
		return NULL;
	side->compression->stream.next_in = in.data;
	side->compression->stream.avail_in = (uInt)in.length;
	return &side->compression->stream;
}

/* Runs one step into "out"; how many bytes came, or an error. */
static int
stream_step(z_stream *stream, bool inflates, struct nacre_buffer *out, bool *full)
{
	uint8_t *room = nacre_buffer_room(out, STEP);
	int result;

	if (room == NULL)
		return NACRE_ERROR_MEMORY;
	stream->next_out = room;
	stream->avail_out = STEP;
	result = inflates ? inflate(stream, Z_SYNC_FLUSH) : deflate(stream, Z_PARTIAL_FLUSH);
	nacre_buffer_added(out, STEP - stream->avail_out);
	*full = stream->avail_out == 0;
	return result == Z_OK || result == Z_BUF_ERROR ? 0 : NACRE_ERROR_FORMAT;
}

static int
stream_run(struct packet_side *side, bool inflates, struct nacre_span in, struct nacre_buffer *out)
{
	z_stream *stream = side_stream(side, inflates, in);
	bool full = true;
	int error = 0;

	if (stream == NULL)
		return NACRE_ERROR_MEMORY;
	while (error == 0 && full) {
		error = stream_step(stream, inflates, out, &full);
		if (inflates && nacre_buffer_length(out) > PACKET_LIMIT)
			error = NACRE_ERROR_MEMORY;
	}
	if (error == 0 && stream->avail_in > 0)
		error = NACRE_ERROR_FORMAT;
	return error;
}

int
compression_deflate(struct packet_side *side, struct nacre_span in, struct nacre_buffer *out)
{
	return stream_run(side, false, in, out);
}

int
compression_inflate(struct packet_side *side, struct nacre_span in, struct nacre_buffer *out)
{
	return stream_run(side, true, in, out);
}
