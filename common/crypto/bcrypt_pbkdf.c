/*
 * bcrypt_pbkdf: PBKDF2's frame around a hash made of SHA-512 and the expensive key schedule of
 * Blowfish ("A Future-Adaptable Password Scheme", Provos and Mazières, 1999).
 *
 * A key of more than 32 bytes needs two independent hashes. Blowfish is one long chain of dependent
 * loads, so two of them side by side take hardly longer than one: everything here works on pairs.
 */
#include <crypto/bcrypt_pbkdf.h>
#include <crypto/pi.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define P_WORDS      18
#define KEY_WORDS    16 /* SHA-512 digests are keys and salts */
#define HASH_WORDS   8
#define HASH_LENGTH  32
#define COST_ROUNDS  64
#define KEY_MAX      1024
#define DIGEST_BYTES crypto_hash_sha512_BYTES

/* The tables: P, and behind it the four S of 256 words each. */
struct blowfish {
	uint32_t words[PI_WORDS];
};

struct block {
	uint32_t left, right;
};

/* One of the two hashes. */
struct lane {
	struct blowfish blowfish;
	struct block block;
	uint32_t salt[KEY_WORDS];
	uint32_t text[HASH_WORDS];
	uint8_t salt_digest[DIGEST_BYTES];
	uint8_t hash[HASH_LENGTH];
	uint8_t sum[HASH_LENGTH];
};

static inline uint32_t
round_function(const struct blowfish *blowfish, uint32_t x)
{
	const uint32_t *s = blowfish->words + P_WORDS;

	return ((s[x >> 24] + s[256 + (x >> 16 & 255)]) ^ s[512 + (x >> 8 & 255)]) +
	       s[768 + (x & 255)];
}

/* Encrypts the blocks of both lanes. */
static inline void
encipher_pair(struct lane *lanes, struct block *a, struct block *b)
{
	const struct blowfish *first = &lanes[0].blowfish, *second = &lanes[1].blowfish;
	uint32_t a_left = a->left ^ first->words[0], a_right = a->right;
	uint32_t b_left = b->left ^ second->words[0], b_right = b->right;

#pragma GCC unroll 8
	for (size_t i = 1; i <= 16; i += 2) {
		a_right ^= first->words[i] ^ round_function(first, a_left);
		b_right ^= second->words[i] ^ round_function(second, b_left);
		a_left ^= first->words[i + 1] ^ round_function(first, a_right);
		b_left ^= second->words[i + 1] ^ round_function(second, b_right);
	}
	*a = (struct block){a_right ^ first->words[17], a_left};
	*b = (struct block){b_right ^ second->words[17], b_left};
}

static void
key_mix(struct blowfish *blowfish, const uint32_t key[KEY_WORDS])
{
	for (size_t i = 0; i < P_WORDS; i++)
		blowfish->words[i] ^= key[i % KEY_WORDS];
}

/* Replaces the words of the tables, two by two, by what encrypting the block before gives. */
static void
tables_fill(struct lane lanes[2], bool salted)
{
	struct block a = {0, 0}, b = {0, 0};
	uint32_t *first = lanes[0].blowfish.words, *second = lanes[1].blowfish.words;

	for (size_t i = 0; i < PI_WORDS; i += 2) {
		if (salted) {
			a.left ^= lanes[0].salt[i % KEY_WORDS];
			a.right ^= lanes[0].salt[(i + 1) % KEY_WORDS];
			b.left ^= lanes[1].salt[i % KEY_WORDS];
			b.right ^= lanes[1].salt[(i + 1) % KEY_WORDS];
		}
		encipher_pair(lanes, &a, &b);
		first[i] = a.left;
		first[i + 1] = a.right;
		second[i] = b.left;
		second[i + 1] = b.right;
	}
}

static void
words_of(const uint8_t *bytes, uint32_t *words, size_t count)
{
	for (size_t i = 0; i < count; i++, bytes += 4)
		words[i] = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
			   (uint32_t)bytes[2] << 8 | bytes[3];
}

static void
lane_start(struct lane *lane, const uint32_t password[KEY_WORDS])
{
	memcpy(lane->blowfish.words, pi_fraction, sizeof lane->blowfish.words);
	words_of(lane->salt_digest, lane->salt, KEY_WORDS);
	words_of((const uint8_t *)"OxychromaticBlowfishSwatDynamite", lane->text, HASH_WORDS);
	key_mix(&lane->blowfish, password);
}

/* The words of the result come out little-endian. */
static void
lane_finish(struct lane *lane)
{
	for (size_t i = 0; i < HASH_LENGTH; i++) {
		lane->hash[i] = (uint8_t)(lane->text[i / 4] >> (8 * (i % 4)));
		lane->sum[i] ^= lane->hash[i];
	}
}

static void
lanes_expand(struct lane lanes[2], const uint32_t *first_key, const uint32_t *second_key)
{
	key_mix(&lanes[0].blowfish, first_key);
	key_mix(&lanes[1].blowfish, second_key);
	tables_fill(lanes, false);
}

/* bcrypt_hash() of both lanes: from password and salt_digest to hash, added to sum. */
static void
lanes_hash(struct lane lanes[2], const uint32_t password[KEY_WORDS])
{
	lane_start(&lanes[0], password);
	lane_start(&lanes[1], password);
	tables_fill(lanes, true);
	for (size_t i = 0; i < COST_ROUNDS; i++) {
		lanes_expand(lanes, lanes[0].salt, lanes[1].salt);
		lanes_expand(lanes, password, password);
	}
	for (size_t i = 0; i < HASH_WORDS; i += 2) {
		struct block a = {lanes[0].text[i], lanes[0].text[i + 1]};
		struct block b = {lanes[1].text[i], lanes[1].text[i + 1]};

		for (size_t j = 0; j < COST_ROUNDS; j++)
			encipher_pair(lanes, &a, &b);
		lanes[0].text[i] = a.left;
		lanes[0].text[i + 1] = a.right;
		lanes[1].text[i] = b.left;
		lanes[1].text[i + 1] = b.right;
	}
	lane_finish(&lanes[0]);
	lane_finish(&lanes[1]);
}

/* The salt of the first round: the caller's and the number of the block, from 1. */
static void
first_salt(struct nacre_span salt, uint32_t count, uint8_t digest[DIGEST_BYTES])
{
	uint8_t number[4] = {
	    (uint8_t)(count >> 24), (uint8_t)(count >> 16), (uint8_t)(count >> 8), (uint8_t)count};
	crypto_hash_sha512_state state;

	crypto_hash_sha512_init(&state);
	crypto_hash_sha512_update(&state, salt.data, salt.length);
	crypto_hash_sha512_update(&state, number, sizeof number);
	crypto_hash_sha512_final(&state, digest);
}

/* Two blocks of output, the first of them number "count". */
static void
lanes_derive(struct lane lanes[2], const uint32_t password[KEY_WORDS], struct nacre_span salt,
    uint32_t count, unsigned rounds)
{
	for (size_t i = 0; i < 2; i++) {
		memset(lanes[i].sum, 0, sizeof lanes[i].sum);
		first_salt(salt, count + (uint32_t)i, lanes[i].salt_digest);
	}
	for (unsigned round = 0; round < rounds; round++) {
		if (round > 0)
			for (size_t i = 0; i < 2; i++)
				crypto_hash_sha512(
				    lanes[i].salt_digest, lanes[i].hash, sizeof lanes[i].hash);
		lanes_hash(lanes, password);
	}
}

int
bcrypt_pbkdf(struct nacre_span passphrase, struct nacre_span salt, unsigned rounds, uint8_t *key,
    size_t key_length)
{
	size_t blocks = (key_length + HASH_LENGTH - 1) / HASH_LENGTH;
	uint32_t password[KEY_WORDS];
	uint8_t digest[DIGEST_BYTES];
	struct lane *lanes;

	if (rounds < 1 || passphrase.length == 0 || salt.length == 0 || key_length == 0 ||
	    key_length > KEY_MAX)
		return NACRE_ERROR_ARGUMENT;
	if ((lanes = calloc(2, sizeof *lanes)) == NULL)
		return NACRE_ERROR_MEMORY;
	crypto_hash_sha512(digest, passphrase.data, passphrase.length);
	words_of(digest, password, KEY_WORDS);
	/* The bytes of the blocks are interleaved over the key. */
	for (size_t block = 0; block < blocks; block++) {
		if (block % 2 == 0)
			lanes_derive(lanes, password, salt, (uint32_t)block + 1, rounds);
		for (size_t i = 0; i * blocks + block < key_length; i++)
			key[i * blocks + block] = lanes[block % 2].sum[i];
	}
	sodium_memzero(digest, sizeof digest);
	sodium_memzero(password, sizeof password);
	sodium_memzero(lanes, 2 * sizeof *lanes);
	free(lanes);
	return 0;
}
