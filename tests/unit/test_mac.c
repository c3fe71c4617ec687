/* MACs on RFC 2202, RFC 4231 and RFC 4418, their sizes, and that a changed byte is noticed. */
#include "vectors.h"

#include <crypto/backend.h>
#include <crypto/mac.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Test case 2 of both: the message begins with "what", which we pass as the sequence number, and a
 * key filled up with zeros is the same key. */
static void
check_hmac(const char *name, const char *expected)
{
	uint8_t key[64] = "Jefe", tag[MAC_LENGTH_MAX];
	struct nacre_span text = nacre_span_of(" do ya want for nothing?");
	struct nacre_buffer bytes = hex(expected);
	struct mac *mac;

	assert_int_equal(mac_new(mac_find(nacre_span_of(name)), key, &mac), 0);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(mac_compute(mac, 0x77686174, text, tag), 0);
		assert_memory_equal(tag, bytes.data, nacre_buffer_length(&bytes));
	}
	mac_free(mac);
	nacre_buffer_free(&bytes);
}

static void
published(void **state)
{
	(void)state;
	check_hmac("hmac-sha1", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
	check_hmac("hmac-sha2-256-etm@openssh.com",
	    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	check_hmac("hmac-sha2-512",
	    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
	    "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
}

/* RFC 4418, appendix: the key "abcdefghijklmnop" and the nonce "bcdefghi". UMAC-96 are the first
 * bytes of UMAC-128. */
#define UMAC_NONCE 0x6263646566676869

static const struct umac_example {
	const char *unit;
	size_t count;
	const char *umac64, *umac96;
} umac_examples[] = {
    {"", 0, "6e155fad26900be1", "32fedb100c79ad58f07ff764"},
    {"a", 3, "44b5cb542f220104", "185e4fe905cba7bd85e4c2dc"},
    {"a", 1 << 10, "26bf2f5d60118bd9", "7a54abe04af82d60fb298c3c"},
    {"a", 1 << 15, "27f8ef643b0d118d", "7b136bd911e4b734286ef2be"},
    {"a", 1 << 20, "a4477e87e9f55853", "f8acfa3ac31cfeea047f7b11"},
    {"a", 1 << 25, "faca46f856e9b45f", "a621c2457c0012e64f3fdae9"},
    {"abc", 1, "d4d7b9f6bd4fbfcf", "883c3d4b97a61976ffcf2323"},
    {"abc", 500, "d4cf26ddefd5c01a", "8824a260c53c66a36c9260a6"},
};

static void
check_umac(const char *name, struct nacre_span text, const char *expected)
{
	const struct backend_macs *umac = backend_nettle_get()->umac;
	struct backend_mac *mac = umac->create(name, (const uint8_t *)"abcdefghijklmnop", 16);
	struct nacre_buffer bytes = hex(expected);
	uint8_t tag[MAC_LENGTH_MAX];

	assert_non_null(mac);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(umac->compute(mac, UMAC_NONCE, text, tag), 0);
		assert_memory_equal(tag, bytes.data, nacre_buffer_length(&bytes));
	}
	umac->destroy(mac);
	nacre_buffer_free(&bytes);
}

static void
published_umac(void **state)
{
	(void)state;
	assert_non_null(backend_nettle_get());
	for (size_t i = 0; i < sizeof umac_examples / sizeof umac_examples[0]; i++) {
		const struct umac_example *example = &umac_examples[i];
		const size_t unit = strlen(example->unit);
		uint8_t *text = test_malloc(unit * example->count + 1);

		for (size_t j = 0; j < unit * example->count; j++)
			text[j] = (uint8_t)example->unit[j % unit];
		check_umac(
		    "UMAC-64", (struct nacre_span){text, unit * example->count}, example->umac64);
		check_umac(
		    "UMAC-128", (struct nacre_span){text, unit * example->count}, example->umac96);
		test_free(text);
	}
}

static void
check_tampering(const struct mac_algorithm *algorithm)
{
	uint8_t key[64], text[100], tag[MAC_LENGTH_MAX];
	struct nacre_span data = {text, sizeof text};
	struct mac *mac;

	memset(key, 7, sizeof key);
	memset(text, 1, sizeof text);
	assert_int_equal(mac_new(algorithm, key, &mac), 0);
	assert_int_equal(mac_compute(mac, 5, data, tag), 0);
	assert_int_equal(mac_verify(mac, 5, data, tag), 0);
	assert_int_equal(mac_verify(mac, 6, data, tag), NACRE_ERROR_INTEGRITY);
	text[99] ^= 1;
	assert_int_equal(mac_verify(mac, 5, data, tag), NACRE_ERROR_INTEGRITY);
	text[99] ^= 1;
	for (size_t i = 0; i < algorithm->tag_length; i++) {
		tag[i] ^= 0x80;
		assert_int_equal(mac_verify(mac, 5, data, tag), NACRE_ERROR_INTEGRITY);
		tag[i] ^= 0x80;
	}
	assert_int_equal(mac_verify(mac, 5, data, tag), 0);
	mac_free(mac);
}

static void
notices_changes(void **state)
{
	size_t count;
	const struct mac_algorithm *table = mac_table(&count);

	(void)state;
	assert_int_equal(count, 10);
	for (size_t i = 0; i < count; i++)
		check_tampering(&table[i]);
}

static void
finds_by_name(void **state)
{
	(void)state;
	assert_null(mac_find(nacre_span_of("hmac-md5")));
	assert_null(mac_find(nacre_span_of("")));
	assert_true(mac_find(nacre_span_of("umac-64-etm@openssh.com"))->encrypt_then_mac);
	assert_int_equal(mac_find(nacre_span_of("umac-64@openssh.com"))->tag_length, 8);
	assert_false(mac_find(nacre_span_of("umac-128@openssh.com"))->encrypt_then_mac);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(published),
	    cmocka_unit_test(published_umac),
	    cmocka_unit_test(notices_changes),
	    cmocka_unit_test(finds_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
