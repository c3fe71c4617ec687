/* SHA-3 and SHAKE over the sponge of FIPS 202. */
#include <crypto/keccak.h>

#include <endian.h>
#include <sodium.h>
#include <string.h>

static const uint64_t round_constants[24] = {
    0x0000000000000001,
    0x0000000000008082,
    0x800000000000808a,
    0x8000000080008000,
    0x000000000000808b,
    0x0000000080000001,
    0x8000000080008081,
    0x8000000000008009,
    0x000000000000008a,
    0x0000000000000088,
    0x0000000080008009,
    0x000000008000000a,
    0x000000008000808b,
    0x800000000000008b,
    0x8000000000008089,
    0x8000000000008003,
    0x8000000000008002,
    0x8000000000000080,
    0x000000000000800a,
    0x800000008000000a,
    0x8000000080008081,
    0x8000000000008080,
    0x0000000080000001,
    0x8000000080008008,
};

/* rho: how far lane x + 5y is rotated; pi: where it goes. */
static const unsigned rotation[25] = {
    0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14};
static const size_t target_lane[25] = {
    0, 10, 20, 5, 15, 16, 1, 11, 21, 6, 7, 17, 2, 12, 22, 23, 8, 18, 3, 13, 14, 24, 9, 19, 4};

#define LANE               uint64_t
#define PERMUTE_NAME(name) one_##name
#include <crypto/keccak_permute.h>
#undef LANE
#undef PERMUTE_NAME
#define LANE               keccak_quad
#define PERMUTE_NAME(name) four_##name
#pragma GCC diagnostic ignored "-Wpsabi" /* vectors are passed to inlined functions only */
#include <crypto/keccak_permute.h>

static void
permute(uint64_t lanes[25])
{
	one_permute(lanes);
}

static void
permute_four(keccak_quad lanes[25])
{
	four_permute(lanes);
}

#ifdef __x86_64__
static __attribute__((target("avx2"))) void
permute_four_avx2(keccak_quad lanes[25])
{
	four_permute(lanes);
}
#endif

void
keccak_start(struct keccak *keccak, size_t rate)
{
	*keccak = (struct keccak){.rate = rate};
}

static void
byte_xor(struct keccak *keccak, size_t position, uint8_t byte)
{
	keccak->lanes[position / 8] ^= (uint64_t)byte << (position % 8 * 8);
}

void
keccak_absorb(struct keccak *keccak, const uint8_t *data, size_t length)
{
	while (length > 0) {
		if (keccak->position % 8 == 0 && length >= 8) {
			uint64_t lane;

			memcpy(&lane, data, sizeof lane);
			keccak->lanes[keccak->position / 8] ^= le64toh(lane);
			keccak->position += 8;
			data += 8;
			length -= 8;
		} else {
			byte_xor(keccak, keccak->position++, *data++);
			length--;
		}
		if (keccak->position == keccak->rate) {
			permute(keccak->lanes);
			keccak->position = 0;
		}
	}
}

void
keccak_finish(struct keccak *keccak, enum keccak_suffix suffix)
{
	byte_xor(keccak, keccak->position, (uint8_t)suffix);
	byte_xor(keccak, keccak->rate - 1, 0x80);
	permute(keccak->lanes);
	keccak->position = 0;
}

void
keccak_squeeze(struct keccak *keccak, uint8_t *data, size_t length)
{
	for (; length > 0; length--) {
		if (keccak->position == keccak->rate) {
			permute(keccak->lanes);
			keccak->position = 0;
		}
		*data++ =
		    (uint8_t)(keccak->lanes[keccak->position / 8] >> (keccak->position % 8 * 8));
		keccak->position++;
	}
}

static void
sha3(size_t rate, const uint8_t *data, size_t length, uint8_t *digest, size_t digest_length)
{
	struct keccak keccak;

	keccak_start(&keccak, rate);
	keccak_absorb(&keccak, data, length);
	keccak_finish(&keccak, KECCAK_SHA3);
	keccak_squeeze(&keccak, digest, digest_length);
	sodium_memzero(&keccak, sizeof keccak);
}

void
sha3_256(const uint8_t *data, size_t length, uint8_t digest[32])
{
	sha3(SHA3_256_RATE, data, length, digest, 32);
}

void
sha3_512(const uint8_t *data, size_t length, uint8_t digest[64])
{
	sha3(SHA3_512_RATE, data, length, digest, 64);
}

void
keccak_four_start(
    struct keccak_four *keccak, size_t rate, const uint8_t *const messages[4], size_t length)
{
	memset(keccak, 0, sizeof *keccak);
	keccak->rate = rate;
	for (size_t i = 0; i < 4; i++) {
		for (size_t j = 0; j < length; j++)
			keccak->lanes[j / 8][i] ^= (uint64_t)messages[i][j] << (j % 8 * 8);
		keccak->lanes[length / 8][i] ^= (uint64_t)KECCAK_SHAKE << (length % 8 * 8);
		keccak->lanes[(rate - 1) / 8][i] ^= (uint64_t)0x80 << 56;
	}
}

void
keccak_four_squeeze(struct keccak_four *keccak, uint8_t *const blocks[4])
{
#ifdef __x86_64__
	if (sodium_runtime_has_avx2())
		permute_four_avx2(keccak->lanes);
	else
#endif
		permute_four(keccak->lanes);
	/* Rates are whole lanes. */
	for (size_t j = 0; j < keccak->rate / 8; j++)
		for (size_t i = 0; i < 4; i++) {
			uint64_t lane = htole64(keccak->lanes[j][i]);

			memcpy(blocks[i] + 8 * j, &lane, sizeof lane);
		}
}
