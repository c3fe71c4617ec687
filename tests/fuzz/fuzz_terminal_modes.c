/* The modes of a client's terminal, set on a server's and read back. */
#include <nacre/terminal_modes.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct termios first = {0}, second = {0};
	struct nacre_buffer modes = {0};

	nacre_terminal_modes_apply((struct nacre_span){data, size}, &first);
	nacre_terminal_modes_encode(&first, &modes);
	if (nacre_terminal_modes_apply(nacre_buffer_span(&modes), &second) != 0)
		abort();
	nacre_buffer_free(&modes);
	return 0;
}
