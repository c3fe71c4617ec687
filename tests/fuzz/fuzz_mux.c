/* Messages of a control socket: what is decoded and encoded again means the same. */
#include <nacre/mux.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
again(const struct nacre_mux_message *message)
{
	struct nacre_buffer first = {0}, second = {0};
	struct nacre_mux_message copy;
	struct nacre_span input, packet;
	int error;

	nacre_mux_put(&first, message);
	input = nacre_buffer_span(&first);
	if (!nacre_mux_packet(&input, &packet, &error) || nacre_mux_decode(packet, &copy) != 0)
		abort();
	nacre_mux_put(&second, &copy);
	if (!nacre_span_equal(nacre_buffer_span(&first), nacre_buffer_span(&second)))
		abort();
	nacre_buffer_free(&first);
	nacre_buffer_free(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nacre_span input = {data, size}, packet, value;
	struct nacre_mux_message message;
	int error;

	while (nacre_mux_packet(&input, &packet, &error))
		if (nacre_mux_decode(packet, &message) == 0) {
			nacre_mux_extension(message.rest, NACRE_MUX_INFO_EXTENSION, &value);
			again(&message);
		}
	return 0;
}
