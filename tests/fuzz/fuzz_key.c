/* Public keys, certificates and signatures as they come from peers and files; private key files. */
#include <nacre/certificate.h>
#include <nacre/key.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read is written as it came, and looked at from all sides. */
static void
use_key(struct nacre_key *key, struct nacre_span input)
{
	const struct nacre_certificate *certificate = nacre_key_certificate(key);
	struct nacre_buffer text = {0};
	const char *reason;

	nacre_key_put_blob(key, false, &text);
	nacre_key_fingerprint(key, NACRE_FINGERPRINT_SHA256, &text);
	nacre_key_randomart(key, NACRE_FINGERPRINT_SHA256, &text);
	nacre_key_put_line(key, "comment", &text);
	nacre_key_verify(key, NULL, input, input);
	if (certificate != NULL)
		nacre_certificate_check(certificate, NACRE_CERTIFICATE_USER, "user", 0, &reason);
	nacre_buffer_free(&text);
	nacre_key_free(key);
}

static void
blob(struct nacre_span input)
{
	struct nacre_buffer again = {0};
	struct nacre_key *key;

	if (nacre_key_from_blob(input, &key) != 0)
		return;
	/* An encoding that is accepted is the only one of its key. */
	if (nacre_key_put_blob(key, false, &again) != 0 ||
	    !nacre_span_equal(nacre_buffer_span(&again), input))
		abort();
	nacre_buffer_free(&again);
	use_key(key, input);
}

static void
texts(struct nacre_span input)
{
	struct nacre_span comment;
	struct nacre_key *key;
	char *text;

	if (nacre_key_from_line(input, &key, &comment) == 0)
		use_key(key, input);
	if (nacre_key_from_rfc4716(input, &key, &text) == 0) {
		free(text);
		use_key(key, input);
	}
	if (nacre_key_from_pem(input, &key) == 0)
		use_key(key, input);
	if (nacre_key_parse_private_public(input, &key) == 0)
		use_key(key, input);
	if (nacre_key_parse_private(input, (struct nacre_span){NULL, 0}, &key, &text) == 0) {
		free(text);
		use_key(key, input);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nacre_span input = {data, size};
	struct nacre_reader reader = nacre_reader_of(input);
	struct nacre_key *key;

	blob(input);
	texts(input);
	if (nacre_key_read_private(&reader, &key) == 0)
		use_key(key, input);
	return 0;
}
