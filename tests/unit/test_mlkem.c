/*
 * ML-KEM-768 and SHA-3 on published vectors; what is malformed is refused. Our own ML-KEM is always
 * tested; OpenSSL's, which takes over when OpenSSL is loaded, where that OpenSSL has one.
 */
#include "vectors.h"

#include <crypto/backend.h>
#include <crypto/keccak.h>
#include <crypto/kem.h>
#include <crypto/mlkem768.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
assert_bytes(struct nacre_span expected, const uint8_t *bytes, size_t length, size_t line)
{
	if (expected.length != length || memcmp(expected.data, bytes, length) != 0)
		fail_msg("vector in line %zu differs", line);
}

/* FIPS 202's examples: the empty message. */
static void
sha3_of_nothing(void **state)
{
	struct nacre_buffer expected_256 =
	    hex("a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a");
	struct nacre_buffer expected_512 =
	    hex("a69f73cca23a9ac5c8b567dc185a756e97c982164fe25859e0d1dcc1475c80a6"
		"15b2123af1f5f94c11e3e9402c3ac558f500199d95b6d3e301758586281dcd26");
	uint8_t digest[64];

	(void)state;
	sha3_256(NULL, 0, digest);
	assert_memory_equal(digest, expected_256.data, 32);
	sha3_512(NULL, 0, digest);
	assert_memory_equal(digest, expected_512.data, 64);
	nacre_buffer_free(&expected_256);
	nacre_buffer_free(&expected_512);
}

/* Four sponges give what one gives four times. */
static void
four_are_one(void **state)
{
	uint8_t inputs[4][34], blocks[4][SHAKE128_RATE], expected[2 * SHAKE128_RATE];
	const uint8_t *messages[4];
	uint8_t *outputs[4];
	struct keccak_four four;
	struct keccak one;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		memset(inputs[i], (int)(i + 1), sizeof inputs[i]);
		messages[i] = inputs[i];
		outputs[i] = blocks[i];
	}
	keccak_four_start(&four, SHAKE128_RATE, messages, sizeof inputs[0]);
	keccak_four_squeeze(&four, outputs);
	keccak_four_squeeze(&four, outputs);
	for (size_t i = 0; i < 4; i++) {
		keccak_start(&one, SHAKE128_RATE);
		keccak_absorb(&one, inputs[i], sizeof inputs[i]);
		keccak_finish(&one, KECCAK_SHAKE);
		keccak_squeeze(&one, expected, sizeof expected);
		assert_memory_equal(blocks[i], expected + SHAKE128_RATE, SHAKE128_RATE);
	}
}

static void
check_generate(const struct vector *vector, void *context)
{
	uint8_t public[MLKEM768_PUBLIC_LENGTH], private[MLKEM768_PRIVATE_LENGTH];

	(void)context;
	mlkem768_generate(vector_field(vector, 0).data, public, private);
	assert_bytes(vector_field(vector, 1), public, sizeof public, vector->line);
	assert_bytes(vector_field(vector, 2), private, sizeof private, vector->line);
	assert_true(mlkem768_private_valid(private));
}

static void
generates(void **state)
{
	(void)state;
	vectors_each("mlkem768_keygen.txt", check_generate, NULL);
}

static void
check_encapsulate(const struct vector *vector, void *context)
{
	uint8_t ciphertext[MLKEM768_CIPHERTEXT_LENGTH], secret[MLKEM768_SECRET_LENGTH];
	struct nacre_span message = vector_field(vector, 0), public = vector_field(vector, 1);
	int result;

	(void)context;
	if (public.length != MLKEM768_PUBLIC_LENGTH)
		return; /* the key exchange checks the length before */
	result = mlkem768_encapsulate(public.data, message.data, ciphertext, secret);
	if (strcmp(vector->result, "valid") != 0) {
		assert_int_equal(result, NACRE_ERROR_FORMAT);
		return;
	}
	assert_int_equal(result, 0);
	assert_bytes(vector_field(vector, 2), ciphertext, sizeof ciphertext, vector->line);
	assert_bytes(vector_field(vector, 3), secret, sizeof secret, vector->line);
}

static void
encapsulates(void **state)
{
	(void)state;
	vectors_each("mlkem768_encaps.txt", check_encapsulate, NULL);
}

static void
check_decapsulate(const struct vector *vector, void *context)
{
	uint8_t public[MLKEM768_PUBLIC_LENGTH], private[MLKEM768_PRIVATE_LENGTH];
	uint8_t secret[MLKEM768_SECRET_LENGTH];
	struct nacre_span seed = vector_field(vector, 0), ciphertext = vector_field(vector, 2);

	(void)context;
	if (seed.length != MLKEM768_SEED_LENGTH ||
	    ciphertext.length != MLKEM768_CIPHERTEXT_LENGTH) {
		assert_string_equal(vector->result, "invalid");
		return;
	}
	mlkem768_generate(seed.data, public, private);
	assert_bytes(vector_field(vector, 1), public, sizeof public, vector->line);
	mlkem768_decapsulate(private, ciphertext.data, secret);
	assert_bytes(vector_field(vector, 3), secret, sizeof secret, vector->line);
}

static void
decapsulates(void **state)
{
	(void)state;
	vectors_each("mlkem768.txt", check_decapsulate, NULL);
}

static void
check_expanded(const struct vector *vector, void *context)
{
	struct nacre_span private = vector_field(vector, 0), ciphertext = vector_field(vector, 1);
	uint8_t secret[MLKEM768_SECRET_LENGTH];

	(void)context;
	if (private.length != MLKEM768_PRIVATE_LENGTH ||
	    ciphertext.length != MLKEM768_CIPHERTEXT_LENGTH)
		return;
	assert_int_equal(
	    mlkem768_private_valid(private.data), strcmp(vector->result, "valid") == 0);
	if (strcmp(vector->result, "valid") != 0)
		return;
	mlkem768_decapsulate(private.data, ciphertext.data, secret);
	assert_bytes(vector_field(vector, 2), secret, sizeof secret, vector->line);
}

static void
decapsulates_with_given_keys(void **state)
{
	(void)state;
	vectors_each("mlkem768_decaps.txt", check_expanded, NULL);
}

/* A changed ciphertext gives a secret of its own, the same each time. */
static void
rejects_implicitly(void **state)
{
	uint8_t public[KEM_PUBLIC_MAX], private[KEM_PRIVATE_MAX], ciphertext[KEM_CIPHERTEXT_MAX];
	uint8_t secret[32], other[32], again[32];

	(void)state;
	kem_mlkem768.generate(public, private);
	assert_int_equal(kem_mlkem768.encapsulate(public, ciphertext, secret), 0);
	assert_int_equal(kem_mlkem768.decapsulate(private, ciphertext, other), 0);
	assert_memory_equal(secret, other, sizeof secret);
	for (size_t i = 0; i < kem_mlkem768.ciphertext_length; i += 7) {
		ciphertext[i] ^= 1;
		kem_mlkem768.decapsulate(private, ciphertext, other);
		kem_mlkem768.decapsulate(private, ciphertext, again);
		assert_memory_not_equal(secret, other, sizeof secret);
		assert_memory_equal(again, other, sizeof again);
		ciphertext[i] ^= 1;
	}
}

/* OpenSSL's, loaded from here on; the test ends as skipped where it has none. */
static const struct backend_mlkem *
openssl_mlkem(void)
{
	const struct backend *const backend = backend_get();

	assert_non_null(backend);
	if (!backend->mlkem->available())
		skip();
	return backend->mlkem;
}

/* What it makes for the key is opened by ours. */
static void
check_openssl_encapsulate(const struct vector *vector, void *context)
{
	const struct backend_mlkem *const openssl = context;
	const struct nacre_span public = vector_field(vector, 1), private = vector_field(vector, 2);
	uint8_t ciphertext[MLKEM768_CIPHERTEXT_LENGTH];
	uint8_t secret[MLKEM768_SECRET_LENGTH], opened[MLKEM768_SECRET_LENGTH];

	assert_int_equal(openssl->encapsulate(public.data, ciphertext, secret), 0);
	mlkem768_decapsulate(private.data, ciphertext, opened);
	assert_memory_equal(secret, opened, sizeof secret);
}

static void
check_openssl_public(const struct vector *vector, void *context)
{
	const struct backend_mlkem *const openssl = context;
	const struct nacre_span public = vector_field(vector, 1);
	uint8_t ciphertext[MLKEM768_CIPHERTEXT_LENGTH], secret[MLKEM768_SECRET_LENGTH];

	if (public.length == MLKEM768_PUBLIC_LENGTH)
		assert_int_equal(openssl->encapsulate(public.data, ciphertext, secret),
		    strcmp(vector->result, "valid") == 0 ? 0 : NACRE_ERROR_FORMAT);
}

static void
openssl_encapsulates(void **state)
{
	const struct backend_mlkem *const openssl = openssl_mlkem();

	(void)state;
	vectors_each("mlkem768_keygen.txt", check_openssl_encapsulate, (void *)openssl);
	vectors_each("mlkem768_encaps.txt", check_openssl_public, (void *)openssl);
}

static void
check_openssl_decapsulate(const struct vector *vector, void *context)
{
	const struct backend_mlkem *const openssl = context;
	const struct nacre_span seed = vector_field(vector, 0),
				ciphertext = vector_field(vector, 2);
	uint8_t public[MLKEM768_PUBLIC_LENGTH], private[MLKEM768_PRIVATE_LENGTH];
	uint8_t secret[MLKEM768_SECRET_LENGTH];

	if (seed.length != MLKEM768_SEED_LENGTH || ciphertext.length != MLKEM768_CIPHERTEXT_LENGTH)
		return;
	mlkem768_generate(seed.data, public, private);
	assert_int_equal(openssl->decapsulate(private, ciphertext.data, secret), 0);
	assert_bytes(vector_field(vector, 3), secret, sizeof secret, vector->line);
}

static void
check_openssl_expanded(const struct vector *vector, void *context)
{
	const struct backend_mlkem *const openssl = context;
	const struct nacre_span private = vector_field(vector, 0),
				ciphertext = vector_field(vector, 1);
	const bool valid = strcmp(vector->result, "valid") == 0;
	uint8_t secret[MLKEM768_SECRET_LENGTH];

	if (private.length != MLKEM768_PRIVATE_LENGTH ||
	    ciphertext.length != MLKEM768_CIPHERTEXT_LENGTH)
		return;
	assert_int_equal(openssl->decapsulate(private.data, ciphertext.data, secret),
	    valid ? 0 : NACRE_ERROR_LIBRARY);
	if (valid)
		assert_bytes(vector_field(vector, 2), secret, sizeof secret, vector->line);
}

static void
openssl_decapsulates(void **state)
{
	const struct backend_mlkem *const openssl = openssl_mlkem();

	(void)state;
	vectors_each("mlkem768.txt", check_openssl_decapsulate, (void *)openssl);
	vectors_each("mlkem768_decaps.txt", check_openssl_expanded, (void *)openssl);
}

/* Only OpenSSL refuses a private key whose parts do not belong together; ours makes no such keys. */
static void
openssl_takes_over(void **state)
{
	uint8_t public[KEM_PUBLIC_MAX], private[KEM_PRIVATE_MAX];
	uint8_t ciphertext[KEM_CIPHERTEXT_MAX] = {0}, secret[KEM_SECRET_LENGTH];

	openssl_mlkem();
	kem_mlkem768.generate(public, private);
	private[MLKEM768_PRIVATE_LENGTH - 64] ^= 1; /* of the public key's hash */
	assert_int_equal(
	    kem_mlkem768.decapsulate(private, ciphertext, secret), NACRE_ERROR_LIBRARY);
	rejects_implicitly(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sha3_of_nothing),
	    cmocka_unit_test(four_are_one),
	    cmocka_unit_test(generates),
	    cmocka_unit_test(encapsulates),
	    cmocka_unit_test(decapsulates),
	    cmocka_unit_test(decapsulates_with_given_keys),
	    cmocka_unit_test(rejects_implicitly),
	    /* These load OpenSSL. */
	    cmocka_unit_test(openssl_encapsulates),
	    cmocka_unit_test(openssl_decapsulates),
	    cmocka_unit_test(openssl_takes_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
