/* SHA-1, FIPS 180-4 section 6.1. */
#include <crypto/sha1.h>
#include <crypto/sha1_x86.h>

#include <sodium.h>
#include <string.h>

static inline uint32_t
rotate(uint32_t value, unsigned bits)
{
	return value << bits | value >> (32 - bits);
}

/* The schedule is kept as the last 16 words: W(t) takes the place of W(t - 16). */
static inline uint32_t
schedule(uint32_t words[16], const uint8_t *block, size_t t)
{
	if (t < 16) {
		const uint8_t *bytes = block + 4 * t;

		words[t] = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
			   (uint32_t)bytes[2] << 8 | bytes[3];
	} else {
		words[t & 15] = rotate(words[(t - 3) & 15] ^ words[(t - 8) & 15] ^
					   words[(t - 14) & 15] ^ words[t & 15],
		    1);
	}
	return words[t & 15];
}

/* Ch, Parity and Maj with their constants, by the round. */
static inline uint32_t
mix(size_t t, uint32_t b, uint32_t c, uint32_t d)
{
	if (t < 20)
		return (d ^ (b & (c ^ d))) + 0x5a827999;
	if (t < 40)
		return (b ^ c ^ d) + 0x6ed9eba1;
	if (t < 60)
		return ((b & c) | (d & (b | c))) + 0x8f1bbcdc;
	return (b ^ c ^ d) + 0xca62c1d6;
}

/* Unrolled, so that the tests on the round and the exchange of variables cost nothing: thousands of
 * hashed names are looked through in a login. */
static void
compress(uint32_t state[5], const uint8_t *block)
{
	uint32_t words[16] = {0}, a = state[0], b = state[1], c = state[2], d = state[3],
		 e = state[4];

	if (sha1_x86_available()) {
		sha1_x86_compress(state, block);
		return;
	}
#pragma GCC unroll 80
	for (size_t t = 0; t < 80; t++) {
		uint32_t next = rotate(a, 5) + mix(t, b, c, d) + e + schedule(words, block, t);

		e = d;
		d = c;
		c = rotate(b, 30);
		b = a;
		a = next;
	}
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
	sodium_memzero(words, sizeof words);
}

void
sha1_start(struct sha1 *sha1)
{
	*sha1 =
	    (struct sha1){.state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}};
}

void
sha1_update(struct sha1 *sha1, const uint8_t *data, size_t length)
{
	while (length > 0) {
		size_t held = sha1->length % SHA1_BLOCK_LENGTH;
		size_t take = SHA1_BLOCK_LENGTH - held < length ? SHA1_BLOCK_LENGTH - held : length;

		memcpy(sha1->block + held, data, take);
		sha1->length += take;
		data += take;
		length -= take;
		if (held + take == SHA1_BLOCK_LENGTH)
			compress(sha1->state, sha1->block);
	}
}

void
sha1_finish(struct sha1 *sha1, uint8_t digest[SHA1_LENGTH])
{
	static const uint8_t padding[SHA1_BLOCK_LENGTH] = {0x80};
	uint64_t bits = sha1->length * 8;
	size_t held = sha1->length % SHA1_BLOCK_LENGTH;
	uint8_t length[8];

	for (size_t i = 0; i < 8; i++)
		length[i] = (uint8_t)(bits >> (56 - 8 * i));
	sha1_update(sha1, padding, held < 56 ? 56 - held : 120 - held);
	sha1_update(sha1, length, sizeof length);
	for (size_t i = 0; i < SHA1_LENGTH; i++)
		digest[i] = (uint8_t)(sha1->state[i / 4] >> (24 - 8 * (i % 4)));
	sodium_memzero(sha1, sizeof *sha1);
}
