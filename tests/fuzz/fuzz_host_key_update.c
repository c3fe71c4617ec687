/* A client that is told its server's host keys, and their proofs: two bytes of length, the keys as
 * the request has them, then the answer to the client's question. */
#include "session_fuzz.h"

#include <client/client.h>
#include <nacre/known_hosts.h>
#include <nacre/log.h>

static struct nacre_ssh_config *
config_of(void)
{
	static struct nacre_ssh_config *config;

	if (config == NULL) {
		nacre_log_level_set(NACRE_LOG_QUIET);
		fuzz_demand(nacre_ssh_config_new(&config) == 0);
		config->update_host_keys = NACRE_YES;
	}
	return config;
}

static void
learn(struct nacre_client *client, struct nacre_reader *input)
{
	size_t length = (size_t)nacre_get_byte(input) << 8;

	length |= nacre_get_byte(input);
	if (length > input->length)
		length = input->length;
	host_key_update_offered(client, nacre_get_bytes(input, length));
	host_key_update_proved(client, true, (struct nacre_span){input->data, input->length});
	host_key_update_free(client);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char file[] = "/nonexistent/known_hosts", name[] = "host";
	struct nacre_client client = {
	    .user_known_hosts = file, .known_name = name, .host_key_may_update = true};
	struct nacre_reader input = nacre_reader_of((struct nacre_span){data, size});

	fuzz_setup();
	client.config = config_of();
	client.host_key = fuzz.host_blob;
	fuzz_demand(nacre_known_hosts_new(&client.known) == 0);
	fuzz_demand(nacre_session_import(&fuzz.options[0],
			nacre_buffer_span(&fuzz.authenticated[0]), 1, &client.session) == 0);
	learn(&client, &input);
	nacre_session_free(client.session);
	nacre_known_hosts_free(client.known);
	return 0;
}
