/* Hashes and HMAC on the examples of FIPS 180-4, RFC 1321, RFC 2202 and RFC 4231. */
#include "vectors.h"

#include <crypto/hash.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct example {
	const struct hash_algorithm *hash;
	const char *abc;  /* digest of "abc" */
	const char *hmac; /* of "what do ya want for nothing?" with the key "Jefe" */
} examples[] = {
    {&hash_md5, "900150983cd24fb0d6963f7d28e17f72", "750c783e6ab0b503eaa86e310a5db738"},
    {&hash_sha1, "a9993e364706816aba3e25717850c26c9cd0d89d",
	"effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
    {&hash_sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {&hash_sha384,
	"cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
	"8086072ba1e7cc2358baeca134c825a7",
	"af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
	"8e2240ca5e69e2c78b3239ecfab21649"},
    {&hash_sha512,
	"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
	"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
	"164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
	"9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"},
};

static void
assert_digest(const struct hash_algorithm *hash, const char *expected, const uint8_t *digest)
{
	struct nacre_buffer bytes = hex(expected);

	assert_int_equal(nacre_buffer_length(&bytes), hash->length);
	assert_memory_equal(bytes.data, digest, hash->length);
	nacre_buffer_free(&bytes);
}

static void
digests(void **state)
{
	uint8_t digest[HASH_LENGTH_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(examples); i++) {
		const struct hash_algorithm *hash = examples[i].hash;
		struct nacre_span parts[3] = {nacre_span_of("a"), {NULL, 0}, nacre_span_of("bc")};

		assert_int_equal(hash_span(hash, nacre_span_of("abc"), digest), 0);
		assert_digest(hash, examples[i].abc, digest);
		memset(digest, 0, sizeof digest);
		assert_int_equal(hash_spans(hash, parts, COUNT(parts), digest), 0);
		assert_digest(hash, examples[i].abc, digest);
	}
}

static void
authenticates(void **state)
{
	uint8_t digest[HASH_LENGTH_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(examples); i++) {
		assert_int_equal(hash_hmac(examples[i].hash, nacre_span_of("Jefe"),
				     nacre_span_of("what do ya want for nothing?"), digest),
		    0);
		assert_digest(examples[i].hash, examples[i].hmac, digest);
	}
}

/* RFC 2202 and RFC 4231, test case 6: a key longer than a block is hashed. */
static void
hashes_long_keys(void **state)
{
	struct nacre_span text =
	    nacre_span_of("Test Using Larger Than Block-Size Key - Hash Key First");
	uint8_t key[131], digest[HASH_LENGTH_MAX];

	(void)state;
	memset(key, 0xaa, sizeof key);
	hash_hmac(&hash_sha1, (struct nacre_span){key, 80}, text, digest);
	assert_digest(&hash_sha1, "aa4ae5e15272d00e95705637ce8a3b55ed402112", digest);
	hash_hmac(&hash_sha256, (struct nacre_span){key, 131}, text, digest);
	assert_digest(&hash_sha256,
	    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", digest);
}

/* FIPS 180's example of two blocks, and SHA-1 at every length around a block. */
static void
pads(void **state)
{
	uint8_t text[130], whole[HASH_LENGTH_MAX], parts[HASH_LENGTH_MAX];

	(void)state;
	hash_span(&hash_sha1,
	    nacre_span_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), whole);
	assert_digest(&hash_sha1, "84983e441c3bd26ebaae4aa1f95129e5e54670f1", whole);
	memset(text, 'x', sizeof text);
	for (size_t length = 1; length < sizeof text; length++) {
		struct nacre_span halves[2] = {
		    {text, length / 2}, {text + length / 2, length - length / 2}};

		hash_span(&hash_sha1, (struct nacre_span){text, length}, whole);
		hash_spans(&hash_sha1, halves, 2, parts);
		assert_memory_equal(whole, parts, hash_sha1.length);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(digests),
	    cmocka_unit_test(authenticates),
	    cmocka_unit_test(hashes_long_keys),
	    cmocka_unit_test(pads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
