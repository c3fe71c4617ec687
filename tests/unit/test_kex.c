/* Key agreement: published vectors of the curves, both sides agree, impossible values are
 * refused. */
#include "vectors.h"

#include <crypto/dh_groups.h>
#include <crypto/kex_functions.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/bn.h>

static void
check_x25519(const struct vector *vector, void *context)
{
	static const uint8_t zeros[32];
	struct nacre_span shared = vector_field(vector, 2);
	struct kex_agreement agreement = {.functions = &kex_curve25519};
	struct nacre_buffer secret = {0};
	int result;

	(void)context;
	memcpy(agreement.scalar, vector_field(vector, 0).data, 32);
	result = kex_client_finish(&agreement, vector_field(vector, 1), &secret);
	if (memcmp(shared.data, zeros, 32) == 0) {
		assert_int_equal(result, NACRE_ERROR_PROTOCOL);
		assert_int_equal(nacre_buffer_length(&secret), 0);
	} else {
		assert_int_equal(result, 0);
		assert_true(nacre_span_equal(nacre_buffer_span(&secret), shared));
	}
	nacre_buffer_free(&secret);
}

static void
x25519_published(void **state)
{
	(void)state;
	vectors_each("x25519.txt", check_x25519, NULL);
}

/* Into an agreement's scalar, of which 1 + value mod (n - 1) is used: so one less than d. */
static void
scalar_set(struct kex_agreement *agreement, struct nacre_span d)
{
	size_t i = KEX_SCALAR_MAX;

	while (d.length > KEX_SCALAR_MAX) {
		assert_int_equal(d.data[0], 0);
		d.data++;
		d.length--;
	}
	memcpy(agreement->scalar + KEX_SCALAR_MAX - d.length, d.data, d.length);
	while (agreement->scalar[--i]-- == 0)
		;
}

static void
check_ecdh(const struct vector *vector, void *context)
{
	struct kex_agreement agreement = {.functions = context};
	struct nacre_span public = vector_field(vector, 1);
	struct nacre_buffer secret = {0};
	int result;

	if (strcmp(vector->result, "invalid") != 0)
		scalar_set(&agreement, vector_field(vector, 0));
	result = kex_client_finish(&agreement, public, &secret);
	if (public.length == 0 || public.data[0] != 4 || strcmp(vector->result, "invalid") == 0) {
		assert_int_equal(result, NACRE_ERROR_FORMAT);
	} else {
		assert_int_equal(result, 0);
		assert_true(nacre_span_equal(nacre_buffer_span(&secret), vector_field(vector, 2)));
	}
	nacre_buffer_free(&secret);
}

static void
ecdh_published(void **state)
{
	struct kex_functions p256 = kex_nistp256, p384 = kex_nistp384, p521 = kex_nistp521;

	(void)state;
	vectors_each("ecdh_p256.txt", check_ecdh, &p256);
	vectors_each("ecdh_p384.txt", check_ecdh, &p384);
	vectors_each("ecdh_p521.txt", check_ecdh, &p521);
}

static void
assert_prime(BIGNUM *expected, unsigned bits)
{
	uint8_t bytes[1024];
	struct nacre_span prime = dh_group_prime(bits);

	assert_int_equal(BN_bn2bin(expected, bytes), bits / 8);
	assert_int_equal(prime.length, bits / 8);
	assert_memory_equal(prime.data, bytes, prime.length);
	BN_free(expected);
}

static void
groups_are_those_of_the_standards(void **state)
{
	(void)state;
	assert_prime(BN_get_rfc2409_prime_1024(NULL), 1024);
	assert_prime(BN_get_rfc3526_prime_2048(NULL), 2048);
	assert_prime(BN_get_rfc3526_prime_3072(NULL), 3072);
	assert_prime(BN_get_rfc3526_prime_4096(NULL), 4096);
	assert_prime(BN_get_rfc3526_prime_6144(NULL), 6144);
	assert_prime(BN_get_rfc3526_prime_8192(NULL), 8192);
	assert_int_equal(kex_builtin_prime(1).length, 256);
	assert_int_equal(kex_builtin_prime(2049).length, 384);
	assert_int_equal(kex_builtin_prime(99999).length, 1024);
}

static void
check_agreement(const struct kex_method *method)
{
	struct nacre_buffer client = {0}, server = {0}, client_secret = {0}, server_secret = {0};
	struct kex_agreement *agreement;

	assert_int_equal(kex_client_start(method, &agreement, &client), 0);
	assert_int_equal(
	    kex_server(method, nacre_buffer_span(&client), &server, &server_secret), 0);
	assert_int_equal(
	    kex_client_finish(agreement, nacre_buffer_span(&server), &client_secret), 0);
	assert_true(nacre_buffer_length(&client_secret) >= 32);
	assert_true(
	    nacre_span_equal(nacre_buffer_span(&client_secret), nacre_buffer_span(&server_secret)));
	kex_agreement_free(agreement);
	nacre_buffer_free(&client);
	nacre_buffer_free(&server);
	nacre_buffer_free(&client_secret);
	nacre_buffer_free(&server_secret);
}

static void
both_sides_agree(void **state)
{
	size_t count;
	const struct kex_method *table = kex_table(&count);

	(void)state;
	assert_int_equal(count, 15);
	for (size_t i = 0; i < count; i++)
		if (table[i].kind != KEX_DH_GEX)
			check_agreement(&table[i]);
}

static void
both_sides_agree_on_a_chosen_group(void **state)
{
	static const uint8_t two[1] = {2};
	struct nacre_span p = kex_builtin_prime(3072), g = {two, 1};
	struct nacre_buffer client = {0}, server = {0}, client_secret = {0}, server_secret = {0};
	struct kex_agreement *a, *b;

	(void)state;
	assert_int_equal(kex_gex_start(p, g, &a, &client), 0);
	assert_int_equal(kex_gex_start(p, g, &b, &server), 0);
	assert_int_equal(kex_client_finish(a, nacre_buffer_span(&server), &client_secret), 0);
	assert_int_equal(kex_client_finish(b, nacre_buffer_span(&client), &server_secret), 0);
	assert_true(
	    nacre_span_equal(nacre_buffer_span(&client_secret), nacre_buffer_span(&server_secret)));
	kex_agreement_free(a);
	kex_agreement_free(b);
	nacre_buffer_free(&client);
	nacre_buffer_free(&server);
	nacre_buffer_free(&client_secret);
	nacre_buffer_free(&server_secret);
}

/* Every method refuses values that are too short, too long or of the wrong kind. */
static void
refuses_malformed_values(void **state)
{
	size_t count;
	const struct kex_method *table = kex_table(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		struct nacre_buffer public = {0}, secret = {0};
		uint8_t bytes[2000] = {0};

		for (size_t length = 0; length < sizeof bytes; length += 1 + length / 3)
			assert_int_not_equal(
			    kex_server(
				&table[i], (struct nacre_span){bytes, length}, &public, &secret),
			    0);
		assert_int_equal(nacre_buffer_length(&secret), 0);
		nacre_buffer_free(&public);
		nacre_buffer_free(&secret);
	}
}

/* A hybrid whose X25519 part is the zero point, or whose ML-KEM key is not reduced. */
static void
refuses_bad_halves(void **state)
{
	const struct kex_method *method = kex_find(nacre_span_of("mlkem768x25519-sha256"));
	struct nacre_buffer client = {0}, public = {0}, secret = {0};
	struct kex_agreement *agreement;

	(void)state;
	assert_int_equal(kex_client_start(method, &agreement, &client), 0);
	kex_agreement_free(agreement);
	memset(client.data + 1184, 0, 32);
	assert_int_equal(
	    kex_server(method, nacre_buffer_span(&client), &public, &secret), NACRE_ERROR_PROTOCOL);
	client.data[1184] = 9;
	memset(client.data, 0xff, 3);
	assert_int_equal(
	    kex_server(method, nacre_buffer_span(&client), &public, &secret), NACRE_ERROR_FORMAT);
	nacre_buffer_free(&client);
	nacre_buffer_free(&public);
	nacre_buffer_free(&secret);
}

/* 0, 1, p - 1, p and more; the neighbours 2 and p - 2 pass. */
static void
checks_the_range_of_dh_values(void **state)
{
	const struct kex_method *method = kex_find(nacre_span_of("diffie-hellman-group14-sha256"));
	struct nacre_span prime = dh_group_prime(2048);
	static const int differences[] = {0, -1, -2, 1};
	uint8_t value[256], low[1];

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct nacre_buffer public = {0}, secret = {0};

		/* the last byte is 0xff: adding 1 is left out by wrapping to a larger first one */
		memcpy(value, prime.data, sizeof value);
		if (differences[i] > 0)
			value[100] = 0xff, value[99] = 0xff, memset(value, 0xff, 200);
		else
			value[255] = (uint8_t)(value[255] + differences[i]);
		assert_int_equal(
		    kex_server(method, (struct nacre_span){value, sizeof value}, &public, &secret),
		    differences[i] == -2 ? 0 : NACRE_ERROR_PROTOCOL);
		nacre_buffer_free(&public);
		nacre_buffer_free(&secret);
	}
	for (low[0] = 0; low[0] < 3; low[0]++) {
		struct nacre_buffer public = {0}, secret = {0};

		assert_int_equal(kex_server(method, (struct nacre_span){low, 1}, &public, &secret),
		    low[0] == 2 ? 0 : NACRE_ERROR_PROTOCOL);
		nacre_buffer_free(&public);
		nacre_buffer_free(&secret);
	}
}

static void
checks_chosen_groups(void **state)
{
	static const uint8_t one[1] = {1}, two[1] = {2};
	struct nacre_span g = {two, 1}, p = kex_builtin_prime(2048);
	struct nacre_buffer public = {0};
	struct kex_agreement *agreement;
	uint8_t even[256], huge[1025];

	(void)state;
	assert_int_equal(
	    kex_gex_start(dh_group_prime(1024), g, &agreement, &public), NACRE_ERROR_PROTOCOL);
	assert_int_equal(kex_gex_start(p, (struct nacre_span){one, 1}, &agreement, &public),
	    NACRE_ERROR_PROTOCOL);
	assert_int_equal(kex_gex_start(p, p, &agreement, &public), NACRE_ERROR_PROTOCOL);
	assert_int_equal(kex_gex_start((struct nacre_span){NULL, 0}, g, &agreement, &public),
	    NACRE_ERROR_PROTOCOL);
	memcpy(even, p.data, sizeof even);
	even[255] = 0xfe;
	assert_int_equal(
	    kex_gex_start((struct nacre_span){even, sizeof even}, g, &agreement, &public),
	    NACRE_ERROR_PROTOCOL);
	memset(huge, 0xff, sizeof huge);
	assert_int_equal(
	    kex_gex_start((struct nacre_span){huge, sizeof huge}, g, &agreement, &public),
	    NACRE_ERROR_PROTOCOL);
	nacre_buffer_free(&public);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(x25519_published),
	    cmocka_unit_test(ecdh_published),
	    cmocka_unit_test(groups_are_those_of_the_standards),
	    cmocka_unit_test(both_sides_agree),
	    cmocka_unit_test(both_sides_agree_on_a_chosen_group),
	    cmocka_unit_test(refuses_malformed_values),
	    cmocka_unit_test(refuses_bad_halves),
	    cmocka_unit_test(checks_the_range_of_dh_values),
	    cmocka_unit_test(checks_chosen_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
