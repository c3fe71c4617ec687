/*
 * The SFTP server on any request bytes, in an empty temporary directory. No slash reaches it, and
 * no "..", so that nothing outside is touched. The first byte says how the input is cut.
 */
#include "sftp_fuzz.h"

#include <nacre/sftp_server.h>

#include <string.h>

#define INPUT_MAX ((size_t)64 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static void
make_harmless(uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (bytes[i] == '/' || bytes[i] == '~' ||
		    (i > 0 && bytes[i] == '.' && bytes[i - 1] == '.'))
			bytes[i] = '_';
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	const struct nacre_sftp_server_options options = {.umask = 077};
	struct nacre_sftp_server *server;
	uint8_t bytes[INPUT_MAX];
	size_t done = 0, piece;

	if (length < 2 || length > sizeof bytes)
		return 0;
	fuzz_enter_folder();
	if (nacre_sftp_server_new(&options, &server) != 0)
		abort();
	piece = data[0] == 0 ? length : data[0];
	memcpy(bytes, data + 1, --length);
	make_harmless(bytes, length);
	while (done < length) {
		size_t count = length - done < piece ? length - done : piece;
		ssize_t used =
		    nacre_sftp_server_input(server, (struct nacre_span){bytes + done, count});

		if (used < 0)
			break;
		done += (size_t)used;
		nacre_sftp_server_sent(server, nacre_sftp_server_output(server).length);
	}
	nacre_sftp_server_free(server);
	fuzz_leave_folder();
	return 0;
}
