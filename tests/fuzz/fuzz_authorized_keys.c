/* A hostile user's authorized_keys and principals file. */
#include <nacre/authorized_keys.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
parse_line(struct nacre_span line)
{
	struct nacre_authorized_key authorized;
	struct nacre_key_options options;
	struct nacre_span name;
	const char *reason = NULL;

	if (nacre_authorized_key_parse(line, &authorized, &reason) == 0) {
		nacre_key_options_allow(
		    &authorized.options, "host.example.com", "192.0.2.1", 1700000000);
		nacre_authorized_key_free(&authorized);
	}
	if (nacre_authorized_principal_parse(line, &options, &name, &reason) == 0)
		nacre_key_options_free(&options);
	if (nacre_key_options_parse(line, &options, &reason) == 0)
		nacre_key_options_free(&options);
}

static void
find_key(struct nacre_span text, bool authority)
{
	static const char line[] =
	    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIFTNUGsjH7DPQc4NU5lOw+FhrvGqc5K3STOqPmNw7Rr";
	struct nacre_authorized_key found;
	struct nacre_buffer notes = {0};
	struct nacre_key *key;
	size_t offset = 0;
	unsigned number = 0;

	if (nacre_key_from_line(nacre_span_of(line), &key, NULL) != 0)
		return;
	while (
	    nacre_authorized_keys_find(text, &offset, &number, key, authority, &found, &notes) == 0)
		nacre_authorized_key_free(&found);
	nacre_buffer_free(&notes);
	nacre_key_free(key);
}

/* What a certificate says, as critical options and as extensions. */
static void
read_certificate(struct nacre_span text)
{
	const struct nacre_certificate certificate = {.critical_options = text},
				       other = {.extensions = text};
	struct nacre_key_options options;
	struct nacre_buffer notes = {0};

	if (nacre_key_options_of_certificate(&certificate, &options, &notes) == 0)
		nacre_key_options_free(&options);
	if (nacre_key_options_of_certificate(&other, &options, &notes) == 0)
		nacre_key_options_free(&options);
	nacre_buffer_free(&notes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nacre_span text = {data, size};
	const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;

	parse_line((struct nacre_span){data, end != NULL ? (size_t)(end - data) : size});
	find_key(text, false);
	find_key(text, true);
	read_certificate(text);
	return 0;
}
