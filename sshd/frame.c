/* Frames between a process and its monitor, and the answer that most of them get. */
#include "monitor.h"

#include <nacre/process.h>

void
frame_begin(struct nacre_buffer *frame, enum monitor_message type)
{
	nacre_buffer_clear(frame);
	nacre_put_u32(frame, 0);
	nacre_put_byte(frame, (uint8_t)type);
}

int
frame_send_with(int socket, struct nacre_buffer *frame, const int *fds, size_t fd_count)
{
	size_t length = nacre_buffer_length(frame) - 4;
	uint8_t *start = frame->data + frame->start;

	if (frame->failed || length > MONITOR_FRAME_LIMIT)
		return NACRE_ERROR_MEMORY;
	for (int i = 0; i < 4; i++)
		start[i] = (uint8_t)(length >> (24 - 8 * i));
	return nacre_process_send(socket, nacre_buffer_span(frame), fds, fd_count);
}

int
frame_send(int socket, struct nacre_buffer *frame)
{
	return frame_send_with(socket, frame, NULL, 0);
}

int
frame_receive_with(int socket, struct nacre_buffer *frame, size_t limit, uint8_t *type,
    struct nacre_reader *reader, int *fds, size_t *fd_count)
{
	uint8_t head[4];
	int error = nacre_process_receive(socket, head, sizeof head, fds, fd_count);

	if (error != 0)
		return error;
	struct nacre_reader length_reader = nacre_reader_of((struct nacre_span){head, sizeof head});
	size_t length = nacre_get_u32(&length_reader);
	if (length == 0 || length > limit)
		return NACRE_ERROR_PROTOCOL;
	nacre_buffer_clear(frame);
	uint8_t *room = nacre_buffer_room(frame, length);
	if (room == NULL)
		return NACRE_ERROR_MEMORY;
	error = nacre_process_receive(socket, room, length, NULL, NULL);
	if (error != 0)
		return error;
	nacre_buffer_added(frame, length);
	*reader = nacre_reader_of(nacre_buffer_span(frame));
	*type = nacre_get_byte(reader);
	return 0;
}

int
frame_receive(int socket, struct nacre_buffer *frame, size_t limit, uint8_t *type,
    struct nacre_reader *reader)
{
	return frame_receive_with(socket, frame, limit, type, reader, NULL, NULL);
}

void
answer_free(struct answer *answer)
{
	nacre_buffer_free(&answer->methods);
	nacre_buffer_free(&answer->instruction);
	nacre_buffer_free(&answer->text);
	nacre_buffer_free(&answer->banner);
}

void
answer_encode(const struct answer *answer, struct nacre_buffer *buffer)
{
	nacre_put_u32(buffer, answer->kind);
	nacre_put_boolean(buffer, answer->partial);
	nacre_put_boolean(buffer, answer->echo);
	nacre_put_u32(buffer, answer->prompts);
	nacre_put_u32(buffer, answer->reason);
	nacre_put_string_span(buffer, nacre_buffer_span(&answer->methods));
	nacre_put_string_span(buffer, nacre_buffer_span(&answer->instruction));
	nacre_put_string_span(buffer, nacre_buffer_span(&answer->text));
	nacre_put_string_span(buffer, nacre_buffer_span(&answer->banner));
}

/* A C string, so that the caller can pass it on; the NUL is not part of the content. */
static void
read_text(struct nacre_reader *reader, struct nacre_buffer *text)
{
	nacre_buffer_clear(text);
	nacre_put_span(text, nacre_get_string(reader));
	nacre_put_byte(text, 0);
	if (!text->failed)
		nacre_buffer_truncate(text, nacre_buffer_length(text) - 1);
}

int
answer_decode(struct nacre_reader *reader, struct answer *answer)
{
	answer->kind = (enum answer_kind)nacre_get_u32(reader);
	answer->partial = nacre_get_boolean(reader);
	answer->echo = nacre_get_boolean(reader);
	answer->prompts = nacre_get_u32(reader);
	answer->reason = nacre_get_u32(reader);
	read_text(reader, &answer->methods);
	read_text(reader, &answer->instruction);
	read_text(reader, &answer->text);
	read_text(reader, &answer->banner);
	return nacre_reader_done(reader) ? 0 : NACRE_ERROR_FORMAT;
}

int
monitor_ask_signature(int socket, struct nacre_span algorithm, struct nacre_span blob,
    struct nacre_span data, struct nacre_buffer *signature)
{
	struct nacre_buffer frame = {0};
	struct nacre_reader reader;
	uint8_t type;

	frame_begin(&frame, MONITOR_SIGN);
	nacre_put_string_span(&frame, algorithm);
	nacre_put_string_span(&frame, blob);
	nacre_put_string_span(&frame, data);
	int error = frame_send(socket, &frame);
	if (error == 0)
		error = frame_receive(socket, &frame, MONITOR_FRAME_LIMIT, &type, &reader);
	if (error == 0 && type != MONITOR_SIGNATURE)
		error = NACRE_ERROR_PROTOCOL;
	if (error == 0)
		nacre_put_span(signature, nacre_get_string(&reader));
	nacre_buffer_free(&frame);
	return error;
}
