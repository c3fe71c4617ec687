/* MACs on RFC 2202 and RFC 4231, their sizes, and that a changed byte is noticed. */
#include "vectors.h"

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
	    cmocka_unit_test(notices_changes),
	    cmocka_unit_test(finds_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
