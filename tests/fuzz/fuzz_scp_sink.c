/* Control lines of the rcp protocol, one after another. A name that passes is one component. */
#include <nacre/rcp.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static void
check(const struct nacre_rcp_message *message)
{
	if (message->kind != NACRE_RCP_FILE && message->kind != NACRE_RCP_DIRECTORY)
		return;
	if (message->name.length == 0 || message->mode > 07777 ||
	    memchr(message->name.data, '/', message->name.length) != NULL ||
	    nacre_span_equals(message->name, ".."))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct nacre_rcp_message message;

	while (length > 0) {
		const uint8_t *end = memchr(data, '\n', length);
		size_t line = end != NULL ? (size_t)(end - data) : length;

		if (nacre_rcp_parse((struct nacre_span){data, line}, &message) == 0)
			check(&message);
		line += end != NULL ? 1 : 0;
		data += line;
		length -= line;
	}
	return 0;
}
