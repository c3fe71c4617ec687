/* A server's session against a hostile client. */
#include "session_fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(NACRE_SERVER, data, size);
}
