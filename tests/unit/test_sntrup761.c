/* sntrup761 on a known answer; both sides agree, changed ciphertexts are rejected, encodings fill
 * their sizes. */
#include "vectors.h"

#include <crypto/kem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEYS 20

static uint8_t public[KEM_PUBLIC_MAX], private[KEM_PRIVATE_MAX], ciphertext[KEM_CIPHERTEXT_MAX];
static uint8_t secret[KEM_SECRET_LENGTH], other[KEM_SECRET_LENGTH];

static void
has_the_sizes_of_the_draft(void **state)
{
	(void)state;
	assert_int_equal(kem_sntrup761.public_length, 1158);
	assert_int_equal(kem_sntrup761.ciphertext_length, 1039);
	assert_int_equal(kem_sntrup761.private_length, 1763);
	assert_true(kem_sntrup761.private_length <= KEM_PRIVATE_MAX);
}

static void
check_decapsulation(const struct vector *vector, void *context)
{
	struct nacre_span key = vector_field(vector, 0), text = vector_field(vector, 1);

	(void)context;
	assert_int_equal(key.length, kem_sntrup761.private_length);
	assert_int_equal(text.length, kem_sntrup761.ciphertext_length);
	assert_int_equal(kem_sntrup761.decapsulate(key.data, text.data, secret), 0);
	assert_memory_equal(secret, vector_field(vector, 2).data, sizeof secret);
}

static void
published(void **state)
{
	(void)state;
	vectors_each("sntrup761.txt", check_decapsulation, NULL);
}

static void
agrees(void **state)
{
	(void)state;
	for (size_t i = 0; i < KEYS; i++) {
		kem_sntrup761.generate(public, private);
		assert_int_equal(kem_sntrup761.encapsulate(public, ciphertext, secret), 0);
		assert_int_equal(kem_sntrup761.decapsulate(private, ciphertext, other), 0);
		assert_memory_equal(secret, other, sizeof secret);
	}
}

static void
rejects_implicitly(void **state)
{
	uint8_t again[KEM_SECRET_LENGTH];

	(void)state;
	kem_sntrup761.generate(public, private);
	kem_sntrup761.encapsulate(public, ciphertext, secret);
	for (size_t i = 0; i < kem_sntrup761.ciphertext_length; i += 11) {
		ciphertext[i] ^= 0x40;
		kem_sntrup761.decapsulate(private, ciphertext, other);
		kem_sntrup761.decapsulate(private, ciphertext, again);
		assert_memory_not_equal(secret, other, sizeof secret);
		assert_memory_equal(again, other, sizeof again);
		ciphertext[i] ^= 0x40;
	}
}

/* Whatever a peer sends as a public key is a polynomial. */
static void
takes_any_public_key(void **state)
{
	(void)state;
	memset(public, 0xff, sizeof public);
	assert_int_equal(kem_sntrup761.encapsulate(public, ciphertext, secret), 0);
	memset(public, 0, sizeof public);
	assert_int_equal(kem_sntrup761.encapsulate(public, ciphertext, secret), 0);
}

/* Another key's secret is another one. */
static void
needs_the_private_key(void **state)
{
	uint8_t stranger[KEM_PRIVATE_MAX], unused[KEM_PUBLIC_MAX];

	(void)state;
	kem_sntrup761.generate(public, private);
	kem_sntrup761.generate(unused, stranger);
	kem_sntrup761.encapsulate(public, ciphertext, secret);
	kem_sntrup761.decapsulate(stranger, ciphertext, other);
	assert_memory_not_equal(secret, other, sizeof secret);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(has_the_sizes_of_the_draft),
	    cmocka_unit_test(published),
	    cmocka_unit_test(agrees),
	    cmocka_unit_test(rejects_implicitly),
	    cmocka_unit_test(takes_any_public_key),
	    cmocka_unit_test(needs_the_private_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
