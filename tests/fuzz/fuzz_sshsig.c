/* A signature of a file from anywhere: read, verified, and written again, after which it must be the
 * same. */
#include <nacre/sshsig.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
write_again(const struct nacre_sshsig *signature)
{
	char *name_space = nacre_span_to_string(signature->name_space);
	char *hash = nacre_span_to_string(signature->hash);
	struct nacre_buffer text = {0};
	struct nacre_sshsig again;
	const char *reason;

	if (name_space != NULL && hash != NULL && signature->reserved.length == 0 &&
	    nacre_sshsig_put(signature->key, name_space, hash, signature->signature, &text) == 0) {
		if (nacre_sshsig_read(nacre_buffer_span(&text), &again, &reason) != 0 ||
		    !nacre_span_equal(again.signature, signature->signature) ||
		    !nacre_key_equal(again.key, signature->key))
			abort();
		nacre_sshsig_free(&again);
	}
	nacre_buffer_free(&text);
	free(name_space);
	free(hash);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t digest[NACRE_SSHSIG_DIGEST_MAX];
	struct nacre_sshsig signature;
	const char *reason;

	if (nacre_sshsig_read((struct nacre_span){data, size}, &signature, &reason) != 0)
		return 0;
	(void)nacre_sshsig_verify(&signature, (struct nacre_span){digest, sizeof digest});
	write_again(&signature);
	nacre_sshsig_free(&signature);
	return 0;
}
