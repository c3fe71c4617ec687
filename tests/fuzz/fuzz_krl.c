/* A key revocation list from anywhere: asked about a key and a certificate, loaded, shown, and written
 * again, after which it must say the same. */
#include <nacre/krl.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const lines[] = {
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPd42XfX3PePyfOHrxiRfu4m22+r0aldjP2hKW7lqJ/q",
    "ssh-ed25519-cert-v01@openssh.com "
    "AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIMAHtzutU6i56BgAqn6d/3KDhI5Q"
    "YSx0WprgBQtiVd04AAAAIPd42XfX3PePyfOHrxiRfu4m22+r0aldjP2hKW7lqJ/qAAAAAAAAAAMAAAAB"
    "AAAABWhlbGxvAAAABQAAAAF4AAAAAAAAAAD//////////wAAAAAAAACCAAAAFXBlcm1pdC1YMTEtZm9y"
    "d2FyZGluZwAAAAAAAAAXcGVybWl0LWFnZW50LWZvcndhcmRpbmcAAAAAAAAAFnBlcm1pdC1wb3J0LWZv"
    "cndhcmRpbmcAAAAAAAAACnBlcm1pdC1wdHkAAAAAAAAADnBlcm1pdC11c2VyLXJjAAAAAAAAAAAAAAAz"
    "AAAAC3NzaC1lZDI1NTE5AAAAIBSXIIA8TEw2i5/t/gF+Z9BQYb95E0OhRVQ3eWt2VH65AAAAUwAAAAtz"
    "c2gtZWQyNTUxOQAAAEB+1eruOLbq3KDFvqmhshkFBxCUMfPxpC5DGr35rUAlUjeypegsB2TFQNs1mxuE"
    "zbA+8UEBpZ2WCO0BRApUf50I"};

static void
ask(struct nacre_span before, struct nacre_span after, const char *line)
{
	struct nacre_key *key;

	if (nacre_key_from_line(nacre_span_of(line), &key, NULL) != 0)
		abort();
	if (nacre_krl_find(before, key) != nacre_krl_find(after, key))
		abort();
	nacre_key_free(key);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nacre_span file = {data, size};
	struct nacre_buffer again = {0}, text = {0};
	struct nacre_krl *krl;

	if (nacre_krl_new(&krl) != 0)
		return 0;
	if (nacre_krl_load(krl, file) != 0)
		nacre_krl_put_text(krl, &text);
	else if (nacre_krl_encode(krl, &again) == 0)
		for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
			ask(file, nacre_buffer_span(&again), lines[i]);
	nacre_krl_free(krl);
	nacre_buffer_free(&again);
	nacre_buffer_free(&text);
	return 0;
}
