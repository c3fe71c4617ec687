/* A moduli file, and what a client's request for a group finds in it: three sizes of two bytes, then
 * the file. */
#include <transport/state.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nacre_reader reader = nacre_reader_of((struct nacre_span){data, size});
	struct nacre_buffer prime = {0}, generator = {0};
	uint32_t sizes[3];

	for (size_t i = 0; i < 3; i++) {
		sizes[i] = (uint32_t)nacre_get_byte(&reader) << 8;
		sizes[i] |= nacre_get_byte(&reader);
	}
	if (reader.failed)
		return 0;
	if (moduli_choose((struct nacre_span){reader.data, reader.length}, sizes[0], sizes[1],
		sizes[2], &prime, &generator) == 0 &&
	    (nacre_buffer_length(&prime) == 0 || nacre_buffer_length(&generator) == 0 ||
		nacre_buffer_length(&prime) * 8 > (size_t)sizes[2] + 7))
		abort();
	nacre_buffer_free(&prime);
	nacre_buffer_free(&generator);
	return 0;
}
