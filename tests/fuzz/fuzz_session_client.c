/* A client's session against a hostile server. */
#include "session_fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_input(NACRE_CLIENT, data, size);
}
