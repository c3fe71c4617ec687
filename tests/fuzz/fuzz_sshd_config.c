/* A server's configuration file from anywhere, read, printed and evaluated for a connection. */
#include "config_fuzz.h"

#include <nacre/sshd_config.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
evaluate(const struct nacre_sshd_config *config)
{
	static const char *const groups[] = {"users", "wheel"};
	const struct nacre_connection_spec connection = {.user = "user",
	    .groups = groups,
	    .group_count = 2,
	    .host = "host.example.com",
	    .address = "192.0.2.1",
	    .local_address = "2001:db8::1",
	    .local_port = 22,
	    .version = "1"};
	struct nacre_sshd_config *matched;

	if (nacre_sshd_config_match(config, &connection, &matched) == 0 &&
	    matched->listen_address_count < 100) {
		nacre_sshd_config_channel_timeout(matched, nacre_span_of("session:shell"));
		nacre_sshd_config_subsystem(matched, nacre_span_of("sftp"));
	}
	nacre_sshd_config_free(matched);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nacre_sshd_config *config;
	char path[64];
	int fd;

	if (fuzz_includes(data, size) || nacre_sshd_config_new(&config) != 0)
		return 0;
	fd = fuzz_file(data, size, path);
	if (nacre_sshd_config_load(config, path, NULL) == 0)
		evaluate(config);
	nacre_sshd_config_free(config);
	close(fd);
	return 0;
}
