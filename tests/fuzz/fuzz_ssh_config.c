/* A client's configuration file from anywhere, read, checked and printed. */
#include "config_fuzz.h"

#include <nacre/ssh_config.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
canonical_name(struct nacre_ssh_config *config, char **name)
{
	(void)config;
	*name = strdup("canonical.example.com");
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nacre_ssh_config_request request = {.host = "host.example.com",
	    .home = "/home/user",
	    .local_user = "user",
	    .session_type = "shell",
	    .version = "1",
	    .no_exec = true,
	    .canonicalize = canonical_name};
	struct nacre_ssh_config *config;
	struct nacre_buffer text = {0};
	char path[64];
	int fd;

	if (fuzz_includes(data, size) || nacre_ssh_config_new(&config) != 0)
		return 0;
	fd = fuzz_file(data, size, path);
	request.user_file = path;
	if (nacre_ssh_config_load(config, &request) == 0) {
		nacre_ssh_config_check(config);
		nacre_ssh_config_print(config, &text);
	}
	nacre_buffer_free(&text);
	nacre_ssh_config_free(config);
	close(fd);
	return 0;
}
