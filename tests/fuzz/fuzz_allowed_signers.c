/* Lines of an allowed signers file: read, and held against a key. */
#include <nacre/allowed_signers.h>

#include <stdlib.h>

#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPd42XfX3PePyfOHrxiRfu4m22+r0aldjP2hKW7lqJ/q"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nacre_span text = {data, size}, line;
	struct nacre_allowed_signer signer;
	struct nacre_buffer message = {0};
	struct nacre_key *key = NULL;

	if (nacre_key_from_line(nacre_span_of(KEY), &key, NULL) != 0)
		abort();
	while (nacre_line_next(&text, &line)) {
		if (nacre_allowed_signer_read(line, NULL, &signer, &message) != 0)
			continue;
		if (signer.principals == NULL || signer.key == NULL)
			abort();
		(void)nacre_allowed_signer_check(
		    &signer, key, "me@example", "file", 1700000000, &message);
		nacre_allowed_signer_free(&signer);
	}
	nacre_buffer_free(&message);
	nacre_key_free(key);
	return 0;
}
