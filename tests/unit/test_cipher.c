/*
 * Ciphers on NIST's examples, chacha20-poly1305 against its definition (also across the change of
 * its implementation), tampering, and moving to another process in the middle.
 */
#include "vectors.h"

#include <crypto/cipher_functions.h>
#include <crypto/random.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define LARGE        32768
#define TAG          16

#define PLAIN   "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
#define COUNTER "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
#define VECTOR  "000102030405060708090a0b0c0d0e0f"
#define KEY_128 "2b7e151628aed2a6abf7158809cf4f3c"
#define KEY_192 "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b"
#define KEY_256 "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"

/* NIST SP 800-38A, appendix F: the first two blocks. */
static const struct example {
	const char *name, *key, *iv, *ciphertext;
} examples[] = {
    {"aes128-ctr", KEY_128, COUNTER,
	"874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"},
    {"aes192-ctr", KEY_192, COUNTER,
	"1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e94"},
    {"aes256-ctr", KEY_256, COUNTER,
	"601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"},
    {"aes128-cbc", KEY_128, VECTOR,
	"7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"},
    {"aes192-cbc", KEY_192, VECTOR,
	"4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a"},
    {"aes256-cbc", KEY_256, VECTOR,
	"f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"},
};

static struct cipher *
cipher_of(const char *name, bool encrypt, const uint8_t *key, const uint8_t *iv)
{
	const struct cipher_algorithm *algorithm = cipher_find(nacre_span_of(name));
	struct cipher *cipher;

	assert_non_null(algorithm);
	assert_int_equal(cipher_new(algorithm, encrypt, key, iv, &cipher), 0);
	return cipher;
}

static void
check_example(const struct example *example)
{
	struct nacre_buffer key = hex(example->key), iv = hex(example->iv), plain = hex(PLAIN);
	struct nacre_buffer expected = hex(example->ciphertext), data = hex(PLAIN);
	struct cipher *sender = cipher_of(example->name, true, key.data, iv.data);
	struct cipher *receiver = cipher_of(example->name, false, key.data, iv.data);

	/* In two calls: the state goes on from one to the next. */
	for (size_t i = 0; i < 32; i += 16)
		assert_int_equal(cipher_crypt(sender, data.data + i, 16), 0);
	assert_memory_equal(data.data, expected.data, 32);
	assert_int_equal(cipher_crypt(receiver, data.data, 32), 0);
	assert_memory_equal(data.data, plain.data, 32);
	assert_int_equal(cipher_crypt(sender, data.data, 5), NACRE_ERROR_ARGUMENT);
	cipher_free(sender);
	cipher_free(receiver);
	nacre_buffer_free(&key);
	nacre_buffer_free(&iv);
	nacre_buffer_free(&plain);
	nacre_buffer_free(&expected);
	nacre_buffer_free(&data);
}

static void
published(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(examples); i++)
		check_example(&examples[i]);
}

/* Test cases 2 and 14 of the GCM specification: zeros. */
static void
published_gcm(void **state)
{
	static const struct {
		const char *name, *expected;
	} zeros[] = {
	    {"aes128-gcm@openssh.com",
		"0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf"},
	    {"aes256-gcm@openssh.com",
		"cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(zeros); i++) {
		uint8_t key[32] = {0}, iv[12] = {0}, data[32] = {0}, nothing[16] = {0};
		struct cipher *sender = cipher_of(zeros[i].name, true, key, iv);
		struct cipher *receiver = cipher_of(zeros[i].name, false, key, iv);
		struct nacre_buffer expected = hex(zeros[i].expected);

		assert_int_equal(cipher_seal_data(sender, data, 16), 0);
		assert_memory_equal(data, expected.data, 32);
		assert_int_equal(cipher_open_data(receiver, data, 16), 0);
		assert_memory_equal(data, nothing, 16);
		nacre_buffer_free(&expected);
		cipher_free(sender);
		cipher_free(receiver);
	}
}

/* AES-256-GCM packets and libsodium's, where the processor has what that needs: every length around
 * those that are handled in one go, and the counter in the IV running over. */
static void
gcm_packets_are_the_same_elsewhere(void **state)
{
	static uint8_t packet[LARGE + TAG], expected[LARGE + TAG];
	uint8_t key[32], iv[12];
	struct cipher *sender, *receiver;

	(void)state;
	sodium_ready();
	if (crypto_aead_aes256gcm_is_available() == 0)
		skip();
	randombytes_buf(key, sizeof key);
	memset(iv, 0xff, sizeof iv);
	sender = cipher_of("aes256-gcm@openssh.com", true, key, iv);
	receiver = cipher_of("aes256-gcm@openssh.com", false, key, iv);
	for (size_t length = 4; length <= LARGE; length += length < 1100 ? 1 : 3331) {
		randombytes_buf(packet, length);
		memcpy(expected, packet, 4);
		crypto_aead_aes256gcm_encrypt(
		    expected + 4, NULL, packet + 4, length - 4, packet, 4, NULL, iv, key);
		assert_int_equal(cipher_seal(sender, 0, packet, length), 0);
		assert_memory_equal(packet, expected, length + TAG);
		assert_int_equal(cipher_open(receiver, 0, packet, length), 0);
		/* RFC 5647 section 7.1: 4 fixed bytes, a 64-bit counter. */
		for (size_t i = 12; i > 4 && ++iv[i - 1] == 0; i--)
			;
	}
	cipher_free(sender);
	cipher_free(receiver);
}

/* chacha20-poly1305@openssh.com as its description says, step by step. */
static void
chacha20_poly1305_define(const uint8_t key[64], uint32_t sequence, uint8_t *packet, size_t length)
{
	uint8_t nonce[8] = {0, 0, 0, 0, (uint8_t)(sequence >> 24), (uint8_t)(sequence >> 16),
	    (uint8_t)(sequence >> 8), (uint8_t)sequence};
	uint8_t poly_key[32];

	crypto_stream_chacha20(poly_key, sizeof poly_key, nonce, key);
	crypto_stream_chacha20_xor(packet, packet, 4, nonce, key + 32);
	crypto_stream_chacha20_xor_ic(packet + 4, packet + 4, length - 4, nonce, 1, key);
	crypto_onetimeauth_poly1305(packet + length, packet, length, poly_key);
}

/* Packets of all sizes, more of them than one implementation handles. */
static void
chacha20_poly1305_is_as_defined(void **state)
{
	static uint8_t packet[LARGE + TAG], expected[LARGE + TAG];
	static const size_t lengths[] = {LARGE, 8, 12, 68, 451, 452, 453, 460, 1500, 4096};
	uint8_t key[64];
	struct cipher *sender, *receiver;
	uint32_t announced;

	(void)state;
	randombytes_buf(key, sizeof key);
	sender = cipher_of("chacha20-poly1305@openssh.com", true, key, NULL);
	receiver = cipher_of("chacha20-poly1305@openssh.com", false, key, NULL);
	for (uint32_t sequence = 0xffffff00; sequence != 0x300; sequence++) {
		size_t length = sequence % 2 ? lengths[sequence / 2 % COUNT(lengths)] : LARGE;

		memset(packet, (int)sequence, length);
		packet[0] = packet[1] = 0;
		packet[2] = (uint8_t)((length - 4) >> 8);
		packet[3] = (uint8_t)(length - 4);
		memcpy(expected, packet, length);
		chacha20_poly1305_define(key, sequence, expected, length);
		assert_int_equal(cipher_seal(sender, sequence, packet, length), 0);
		assert_memory_equal(packet, expected, length + TAG);
		assert_int_equal(cipher_packet_length(receiver, sequence, packet, &announced), 0);
		assert_int_equal(announced, length - 4);
		assert_int_equal(cipher_open(receiver, sequence, packet, length), 0);
		assert_int_equal(packet[3], (uint8_t)(length - 4));
		assert_int_equal(packet[length - 1], (uint8_t)(length > 4 ? sequence : 0));
	}
	assert_non_null(sender->backend);
	assert_non_null(receiver->backend);
	cipher_free(sender);
	cipher_free(receiver);
}

static const char *const aeads[] = {
    "chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com"};

/* Any changed bit, another sequence number, a repeated packet. */
static void
notices_changes(void **state)
{
	uint8_t key[64], iv[12] = {0}, packet[36 + TAG], changed[36 + TAG];

	(void)state;
	randombytes_buf(key, sizeof key);
	for (size_t i = 0; i < COUNT(aeads); i++) {
		struct cipher *sender = cipher_of(aeads[i], true, key, iv);

		memset(packet, 0, sizeof packet);
		assert_int_equal(cipher_seal(sender, 0, packet, 36), 0);
		for (size_t bit = 0; bit < sizeof packet * 8; bit++) {
			struct cipher *receiver = cipher_of(aeads[i], false, key, iv);

			memcpy(changed, packet, sizeof packet);
			changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(
			    cipher_open(receiver, 0, changed, 36), NACRE_ERROR_INTEGRITY);
			cipher_free(receiver);
		}
		cipher_free(sender);
	}
}

static void
notices_replays(void **state)
{
	uint8_t key[64], iv[12] = {0}, packet[36 + TAG] = {0}, copy[36 + TAG];

	(void)state;
	randombytes_buf(key, sizeof key);
	for (size_t i = 0; i < COUNT(aeads); i++) {
		struct cipher *sender = cipher_of(aeads[i], true, key, iv);
		struct cipher *receiver = cipher_of(aeads[i], false, key, iv);

		memset(packet, 0, sizeof packet);
		assert_int_equal(cipher_seal(sender, 9, packet, 36), 0);
		memcpy(copy, packet, sizeof copy);
		assert_int_equal(cipher_open(receiver, 9, packet, 36), 0);
		assert_int_equal(cipher_open(receiver, 10, copy, 36), NACRE_ERROR_INTEGRITY);
		cipher_free(sender);
		cipher_free(receiver);
	}
}

static void
seal_any(struct cipher *cipher, const struct cipher_algorithm *algorithm, uint8_t *packet,
    size_t length, uint32_t sequence)
{
	memset(packet, (int)sequence, length);
	if (algorithm->tag_length > 0)
		assert_int_equal(cipher_seal(cipher, sequence, packet, length), 0);
	else
		assert_int_equal(cipher_crypt(cipher, packet, length), 0);
}

static void
open_any(struct cipher *cipher, const struct cipher_algorithm *algorithm, uint8_t *packet,
    size_t length, uint32_t sequence)
{
	if (algorithm->tag_length > 0)
		assert_int_equal(cipher_open(cipher, sequence, packet, length), 0);
	else
		assert_int_equal(cipher_crypt(cipher, packet, length), 0);
	assert_int_equal(packet[length - 1], (uint8_t)sequence);
}

static struct cipher *
moved(struct cipher *cipher, const struct cipher_algorithm *algorithm, bool encrypt)
{
	struct nacre_buffer state = {0};
	struct nacre_reader reader;
	struct cipher *other;

	assert_int_equal(cipher_export(cipher, &state), 0);
	cipher_free(cipher);
	reader = nacre_reader_of(nacre_buffer_span(&state));
	assert_int_equal(cipher_import(algorithm, encrypt, &reader, &other), 0);
	assert_true(nacre_reader_done(&reader));
	nacre_buffer_free(&state);
	return other;
}

/* Both ends move between packets and go on understanding those that stay. */
static void
moves_to_another_process(void **state)
{
	uint8_t key[64], iv[16], packet[64 + TAG];
	size_t count;
	const struct cipher_algorithm *table = cipher_table(&count);

	(void)state;
	randombytes_buf(key, sizeof key);
	memset(iv, 0xff, sizeof iv); /* counters run over */
	for (size_t i = 0; i < count; i++) {
		struct cipher *sender = cipher_of(table[i].name, true, key, iv);
		struct cipher *receiver = cipher_of(table[i].name, false, key, iv);

		for (uint32_t sequence = 0; sequence < 12; sequence++) {
			seal_any(sender, &table[i], packet, 64, sequence);
			open_any(receiver, &table[i], packet, 64, sequence);
			if (sequence % 3 == 1)
				sender = moved(sender, &table[i], true);
			if (sequence % 3 == 2)
				receiver = moved(receiver, &table[i], false);
		}
		cipher_free(sender);
		cipher_free(receiver);
	}
}

static void
refuses_broken_state(void **state)
{
	static const uint8_t bytes[] = {0, 0, 0, 2, 1, 2, 0, 0, 0, 0};
	struct nacre_reader reader = {bytes, sizeof bytes, false};
	struct cipher *cipher;

	(void)state;
	assert_int_equal(
	    cipher_import(cipher_find(nacre_span_of("aes128-ctr")), true, &reader, &cipher),
	    NACRE_ERROR_FORMAT);
	assert_null(cipher);
	assert_null(cipher_find(nacre_span_of("arcfour")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(published),
	    cmocka_unit_test(published_gcm),
	    cmocka_unit_test(gcm_packets_are_the_same_elsewhere),
	    cmocka_unit_test(chacha20_poly1305_is_as_defined),
	    cmocka_unit_test(notices_changes),
	    cmocka_unit_test(notices_replays),
	    cmocka_unit_test(moves_to_another_process),
	    cmocka_unit_test(refuses_broken_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
