/* An agent's keyring against a hostile client: messages with a length of two bytes each. */
#include <nacre/agent.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
handle(struct nacre_keyring_client *client, struct nacre_span message, uint64_t now)
{
	struct nacre_buffer answer = {0};
	int result = nacre_keyring_handle(client, message, now, &answer);

	/* What is waited for is answered with what the input says next: the message itself. */
	for (int i = 0; i < 8 && result > 0; i++)
		result = result == NACRE_KEYRING_QUESTION
			     ? nacre_keyring_confirm(client, now % 2 == 0, now, &answer)
			 : result == NACRE_KEYRING_PROVIDER
			     ? nacre_keyring_provider(
				   client, now % 3 == 0 ? NULL : "/lib/x", now, &answer)
			 : result == NACRE_KEYRING_PIN
			     ? nacre_keyring_pin(client, message, now, &answer)
			     : nacre_keyring_errand_done(client, message, now, &answer);
	nacre_buffer_free(&answer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nacre_reader reader = nacre_reader_of((struct nacre_span){data, size});
	struct nacre_keyring_client *client;
	struct nacre_keyring *keyring;
	struct nacre_span message;
	size_t length;

	if (nacre_keyring_new(&keyring) != 0 || nacre_keyring_client_new(keyring, &client) != 0)
		return 0;
	for (uint64_t now = 0; reader.length > 2 && now < 64; now++) {
		length = (size_t)nacre_get_byte(&reader) << 8;
		length |= nacre_get_byte(&reader);
		message = nacre_get_bytes(&reader, length < reader.length ? length : reader.length);
		handle(client, message, now);
	}
	nacre_keyring_client_free(client);
	nacre_keyring_free(keyring);
	return 0;
}
