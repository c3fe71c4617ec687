/* Destinations, which links and repositories hand to users' programs. */
#include <nacre/config.h>
#include <nacre/wire.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
parse(const char *text, const char *scheme)
{
	char *user, *host, *path;
	int port;

	if (nacre_parse_destination(text, scheme, &user, &host, &port, &path) != 0)
		return;
	if (host == NULL || host[0] == '\0' || port == 0 || port < -1 || port > 65535)
		abort();
	free(user);
	free(host);
	free(path);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = nacre_span_to_string((struct nacre_span){data, size});

	if (text == NULL)
		return 0;
	parse(text, "ssh");
	parse(text, "sftp");
	free(text);
	return 0;
}
