/* bcrypt_pbkdf on a published vector, and its limits. */
#include "vectors.h"

#include <crypto/bcrypt_pbkdf.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The vector of the algorithm's authors (OpenBSD): 4 rounds, 32 bytes. */
static void
published(void **state)
{
	struct nacre_buffer expected =
	    hex("5bbf0cc293587f1c3635555c27796598d47e579071bf427e9d8fbe842aba34d9");
	uint8_t key[32];

	(void)state;
	assert_int_equal(
	    bcrypt_pbkdf(nacre_span_of("password"), nacre_span_of("salt"), 4, key, sizeof key), 0);
	assert_memory_equal(key, expected.data, sizeof key);
	nacre_buffer_free(&expected);
}

/* The first block of a longer key is the shorter key, spread over it. */
static void
interleaves_blocks(void **state)
{
	uint8_t whole[80], block[32];

	(void)state;
	assert_int_equal(
	    bcrypt_pbkdf(nacre_span_of("pass"), nacre_span_of("salt"), 1, whole, sizeof whole), 0);
	assert_int_equal(
	    bcrypt_pbkdf(nacre_span_of("pass"), nacre_span_of("salt"), 1, block, sizeof block), 0);
	for (size_t i = 0; i * 3 < sizeof whole; i++)
		assert_int_equal(whole[i * 3], block[i]);
}

static void
refuses_what_makes_no_key(void **state)
{
	uint8_t key[2048];
	struct nacre_span text = nacre_span_of("x"), none = {NULL, 0};

	(void)state;
	assert_int_equal(bcrypt_pbkdf(none, text, 1, key, 32), NACRE_ERROR_ARGUMENT);
	assert_int_equal(bcrypt_pbkdf(text, none, 1, key, 32), NACRE_ERROR_ARGUMENT);
	assert_int_equal(bcrypt_pbkdf(text, text, 0, key, 32), NACRE_ERROR_ARGUMENT);
	assert_int_equal(bcrypt_pbkdf(text, text, 1, key, 0), NACRE_ERROR_ARGUMENT);
	assert_int_equal(bcrypt_pbkdf(text, text, 1, key, sizeof key), NACRE_ERROR_ARGUMENT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(published),
	    cmocka_unit_test(interleaves_blocks),
	    cmocka_unit_test(refuses_what_makes_no_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
