/*
 * ChaCha20 (with the 64-bit counter and nonce of its author) and Poly1305 (RFC 8439) on 512-bit
 * vectors. All instructions take the same time for all values.
 */
#include <crypto/chacha_vector.h>

#include <sodium.h>

#ifdef __x86_64__

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512ifma")))
#define INLINE static inline __attribute__((always_inline)) TARGET

/* Bits of EBX in CPUID leaf 7. */
#define AVX512DQ   (1U << 17)
#define AVX512IFMA (1U << 21)
#define AVX512BW   (1U << 30)
#define AVX512VL   (1U << 31)

bool
chacha_vector_available(void)
{
	const unsigned wanted = AVX512DQ | AVX512IFMA | AVX512BW | AVX512VL;
	unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;

	/* libsodium has asked whether the system saves these registers, too. */
	return sodium_runtime_has_avx512f() && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) &&
	       (ebx & wanted) == wanted;
}

/* ---- ChaCha20 ---- */

#define VECTOR    ((size_t)64)
#define SET_BYTES (4 * VECTOR)
#define SETS_MAX  4

/* Four blocks: each vector holds one row of all of them. */
struct set {
	__m512i a, b, c, d;
};

INLINE void
half_round(struct set *set)
{
	set->a = _mm512_add_epi32(set->a, set->b);
	set->d = _mm512_rol_epi32(_mm512_xor_si512(set->d, set->a), 16);
	set->c = _mm512_add_epi32(set->c, set->d);
	set->b = _mm512_rol_epi32(_mm512_xor_si512(set->b, set->c), 12);
	set->a = _mm512_add_epi32(set->a, set->b);
	set->d = _mm512_rol_epi32(_mm512_xor_si512(set->d, set->a), 8);
	set->c = _mm512_add_epi32(set->c, set->d);
	set->b = _mm512_rol_epi32(_mm512_xor_si512(set->b, set->c), 7);
}

/* A column round and a diagonal round of all sets. */
INLINE void
double_round(struct set *sets, size_t count)
{
#pragma GCC unroll 4
	for (size_t i = 0; i < count; i++)
		half_round(&sets[i]);
#pragma GCC unroll 4
	for (size_t i = 0; i < count; i++) {
		sets[i].b = _mm512_shuffle_epi32(sets[i].b, _MM_PERM_ADCB);
		sets[i].c = _mm512_shuffle_epi32(sets[i].c, _MM_PERM_BADC);
		sets[i].d = _mm512_shuffle_epi32(sets[i].d, _MM_PERM_CBAD);
	}
#pragma GCC unroll 4
	for (size_t i = 0; i < count; i++)
		half_round(&sets[i]);
#pragma GCC unroll 4
	for (size_t i = 0; i < count; i++) {
		sets[i].b = _mm512_shuffle_epi32(sets[i].b, _MM_PERM_CBAD);
		sets[i].c = _mm512_shuffle_epi32(sets[i].c, _MM_PERM_BADC);
		sets[i].d = _mm512_shuffle_epi32(sets[i].d, _MM_PERM_ADCB);
	}
}

/* XORs a vector of key stream into the data, as far as that goes. */
INLINE void
vector_xor(uint8_t *data, size_t length, size_t index, __m512i stream)
{
	size_t start = index * VECTOR;
	__mmask64 mask = ~(__mmask64)0;

	if (length <= start)
		return;
	if (length - start < VECTOR)
		mask = ((__mmask64)1 << (length - start)) - 1;
	_mm512_mask_storeu_epi8(data + start, mask,
	    _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, data + start), stream));
}

/* From rows to blocks. */
INLINE void
set_xor(const struct set *set, uint8_t *data, size_t length)
{
	__m512i ab_low = _mm512_shuffle_i32x4(set->a, set->b, 0x44);
	__m512i ab_high = _mm512_shuffle_i32x4(set->a, set->b, 0xee);
	__m512i cd_low = _mm512_shuffle_i32x4(set->c, set->d, 0x44);
	__m512i cd_high = _mm512_shuffle_i32x4(set->c, set->d, 0xee);

	vector_xor(data, length, 0, _mm512_shuffle_i32x4(ab_low, cd_low, 0x88));
	vector_xor(data, length, 1, _mm512_shuffle_i32x4(ab_low, cd_low, 0xdd));
	vector_xor(data, length, 2, _mm512_shuffle_i32x4(ab_high, cd_high, 0x88));
	vector_xor(data, length, 3, _mm512_shuffle_i32x4(ab_high, cd_high, 0xdd));
}

/* The counters of the set "index" behind the first. */
INLINE __m512i
counters_after(const struct set *start, size_t index)
{
	return _mm512_add_epi64(start->d, _mm512_maskz_set1_epi64(0x55, 4 * (long long)index));
}

/* "count" sets of four blocks, from the state whose counters are those of the first. */
INLINE void
sets_xor(const struct set *start, size_t count, uint8_t *data, size_t length)
{
	struct set sets[SETS_MAX];

#pragma GCC unroll 4
	for (size_t i = 0; i < count; i++) {
		sets[i] = *start;
		sets[i].d = counters_after(start, i);
	}
	for (size_t i = 0; i < 10; i++)
		double_round(sets, count);
#pragma GCC unroll 4
	for (size_t i = 0; i < count; i++) {
		sets[i].a = _mm512_add_epi32(sets[i].a, start->a);
		sets[i].b = _mm512_add_epi32(sets[i].b, start->b);
		sets[i].c = _mm512_add_epi32(sets[i].c, start->c);
		sets[i].d = _mm512_add_epi32(sets[i].d, counters_after(start, i));
		if (length > i * SET_BYTES)
			set_xor(&sets[i], data + i * SET_BYTES, length - i * SET_BYTES);
	}
}

TARGET void
chacha_vector_xor(
    const uint8_t key[32], const uint8_t nonce[8], uint64_t counter, uint8_t *data, size_t length)
{
	struct set start;
	long long words;

	memcpy(&words, nonce, sizeof words);
	start.a = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)"expand 32-byte k"));
	start.b = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)key));
	start.c = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(key + 16)));
	start.d = _mm512_broadcast_i32x4(_mm_set_epi64x(words, (long long)counter));
	start.d = _mm512_add_epi64(start.d, _mm512_set_epi64(0, 3, 0, 2, 0, 1, 0, 0));
	for (; length > SET_BYTES; data += SETS_MAX * SET_BYTES) {
		sets_xor(&start, SETS_MAX, data, length);
		start.d = counters_after(&start, SETS_MAX);
		if (length <= SETS_MAX * SET_BYTES)
			return;
		length -= SETS_MAX * SET_BYTES;
	}
	if (length > 0)
		sets_xor(&start, 1, data, length);
}

/* ---- Poly1305 ---- */

/* Numbers modulo 2^130 - 5 in three limbs, of 44, 44 and 42 bits. */
#define LIMB_BITS  44
#define LIMB_MASK  (((uint64_t)1 << LIMB_BITS) - 1)
#define TOP_BITS   42
#define TOP_MASK   (((uint64_t)1 << TOP_BITS) - 1)
#define BLOCK      ((size_t)16)
#define LANES      8
#define LANE_BYTES (LANES * BLOCK)

typedef unsigned __int128 uint128;

struct number {
	uint64_t limb[3];
};

struct number_vector {
	__m512i limb[3];
};

static uint64_t
word_of(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof word);
	return word;
}

static struct number
number_of(uint64_t low, uint64_t high, uint64_t top)
{
	return (struct number){
	    {low & LIMB_MASK, (low >> 44 | high << 20) & LIMB_MASK, high >> 24 | top << 40}};
}

/* Limbs a little above their size are fine. */
static struct number
number_multiply(struct number a, struct number b)
{
	/* 2^132 is 20 modulo p */
	uint64_t b1 = b.limb[1] * 20, b2 = b.limb[2] * 20;
	uint128 d0 =
	    (uint128)a.limb[0] * b.limb[0] + (uint128)a.limb[1] * b2 + (uint128)a.limb[2] * b1;
	uint128 d1 = (uint128)a.limb[0] * b.limb[1] + (uint128)a.limb[1] * b.limb[0] +
		     (uint128)a.limb[2] * b2;
	uint128 d2 = (uint128)a.limb[0] * b.limb[2] + (uint128)a.limb[1] * b.limb[1] +
		     (uint128)a.limb[2] * b.limb[0];
	struct number product;

	d1 += d0 >> LIMB_BITS;
	d2 += d1 >> LIMB_BITS;
	product.limb[0] = ((uint64_t)d0 & LIMB_MASK) + (uint64_t)(d2 >> TOP_BITS) * 5;
	product.limb[1] = ((uint64_t)d1 & LIMB_MASK) + (product.limb[0] >> LIMB_BITS);
	product.limb[0] &= LIMB_MASK;
	product.limb[2] = (uint64_t)d2 & TOP_MASK;
	return product;
}

static struct number
number_add(struct number a, struct number b)
{
	return (struct number){
	    {a.limb[0] + b.limb[0], a.limb[1] + b.limb[1], a.limb[2] + b.limb[2]}};
}

/* Eight blocks, in the order 0, 4, 1, 5, 2, 6, 3, 7. */
INLINE struct number_vector
blocks_load(const uint8_t *data)
{
	const __m512i mask = _mm512_set1_epi64((long long)LIMB_MASK);
	__m512i first = _mm512_loadu_si512(data), second = _mm512_loadu_si512(data + VECTOR);
	__m512i low = _mm512_unpacklo_epi64(first, second);
	__m512i high = _mm512_unpackhi_epi64(first, second);
	struct number_vector blocks;

	blocks.limb[0] = _mm512_and_si512(low, mask);
	blocks.limb[1] = _mm512_and_si512(
	    _mm512_or_si512(_mm512_srli_epi64(low, 44), _mm512_slli_epi64(high, 20)), mask);
	blocks.limb[2] =
	    _mm512_or_si512(_mm512_srli_epi64(high, 24), _mm512_set1_epi64((long long)1 << 40));
	return blocks;
}

/* The low or high halves of the products of a row of limbs with a column. */
#define ROW(half, a, x, y, z)                                                         \
	_mm512_madd52##half##_epu64(                                                  \
	    _mm512_madd52##half##_epu64(                                              \
		_mm512_madd52##half##_epu64(_mm512_setzero_si512(), (a)->limb[0], x), \
		(a)->limb[1], y),                                                     \
	    (a)->limb[2], z)

INLINE struct number_vector
vector_multiply(
    const struct number_vector *a, const struct number_vector *b, __m512i b1, __m512i b2)
{
	const __m512i mask = _mm512_set1_epi64((long long)LIMB_MASK);
	const __m512i *r = b->limb;
	__m512i low0 = ROW(lo, a, r[0], b2, b1), high0 = ROW(hi, a, r[0], b2, b1);
	__m512i low1 = ROW(lo, a, r[1], r[0], b2), high1 = ROW(hi, a, r[1], r[0], b2);
	__m512i low2 = ROW(lo, a, r[2], r[1], r[0]), high2 = ROW(hi, a, r[2], r[1], r[0]);
	struct number_vector product;
	__m512i carry;

	/* High halves weigh 2^52, which is 2^8 of the next limb (2^10 of what is folded). */
	low1 = _mm512_add_epi64(_mm512_add_epi64(low1, _mm512_slli_epi64(high0, 8)),
	    _mm512_srli_epi64(low0, LIMB_BITS));
	low2 = _mm512_add_epi64(_mm512_add_epi64(low2, _mm512_slli_epi64(high1, 8)),
	    _mm512_srli_epi64(low1, LIMB_BITS));
	carry = _mm512_add_epi64(_mm512_slli_epi64(high2, 10), _mm512_srli_epi64(low2, TOP_BITS));
	carry = _mm512_add_epi64(carry, _mm512_slli_epi64(carry, 2));
	low0 = _mm512_add_epi64(_mm512_and_si512(low0, mask), carry);
	product.limb[0] = _mm512_and_si512(low0, mask);
	product.limb[1] =
	    _mm512_add_epi64(_mm512_and_si512(low1, mask), _mm512_srli_epi64(low0, LIMB_BITS));
	product.limb[2] = _mm512_and_si512(low2, _mm512_set1_epi64((long long)TOP_MASK));
	return product;
}

INLINE __m512i
times_20(__m512i limb)
{
	return _mm512_add_epi64(_mm512_slli_epi64(limb, 4), _mm512_slli_epi64(limb, 2));
}

/* The sum of all blocks with their powers of r; length is a multiple of LANE_BYTES, at least one. */
TARGET static struct number
lanes_run(const struct number powers[LANES], const uint8_t *data, size_t length)
{
	struct number_vector step, last, sum = blocks_load(data);
	__m512i step1, step2;
	struct number result;

	for (size_t i = 0; i < 3; i++) {
#define POWER(exponent) (long long)powers[(exponent)-1].limb[i]
		step.limb[i] = _mm512_set1_epi64(POWER(8));
		last.limb[i] = _mm512_set_epi64(
		    POWER(1), POWER(5), POWER(2), POWER(6), POWER(3), POWER(7), POWER(4), POWER(8));
#undef POWER
	}
	step1 = times_20(step.limb[1]);
	step2 = times_20(step.limb[2]);
	for (size_t done = LANE_BYTES; done < length; done += LANE_BYTES) {
		struct number_vector blocks = blocks_load(data + done);

		sum = vector_multiply(&sum, &step, step1, step2);
		for (size_t i = 0; i < 3; i++)
			sum.limb[i] = _mm512_add_epi64(sum.limb[i], blocks.limb[i]);
	}
	sum = vector_multiply(&sum, &last, times_20(last.limb[1]), times_20(last.limb[2]));
	for (size_t i = 0; i < 3; i++)
		result.limb[i] = (uint64_t)_mm512_reduce_add_epi64(sum.limb[i]);
	return result;
}

/* The rest of a message: full blocks and a partial one. */
static struct number
blocks_run(struct number sum, struct number r, const uint8_t *data, size_t length)
{
	uint8_t last[BLOCK] = {0};

	for (; length >= BLOCK; data += BLOCK, length -= BLOCK)
		sum = number_multiply(
		    number_add(sum, number_of(word_of(data), word_of(data + 8), 1)), r);
	if (length == 0)
		return sum;
	memcpy(last, data, length);
	last[length] = 1;
	return number_multiply(number_add(sum, number_of(word_of(last), word_of(last + 8), 0)), r);
}

/* Fully reduced, and the second half of the key added. */
static void
tag_write(struct number sum, const uint8_t *pad, uint8_t tag[16])
{
	uint64_t *h = sum.limb, g[3], keep, low, high, carry;
	uint128 total;

	for (int pass = 0; pass < 2; pass++) {
		h[1] += h[0] >> LIMB_BITS;
		h[0] &= LIMB_MASK;
		h[2] += h[1] >> LIMB_BITS;
		h[1] &= LIMB_MASK;
		h[0] += (h[2] >> TOP_BITS) * 5;
		h[2] &= TOP_MASK;
	}
	h[1] += h[0] >> LIMB_BITS;
	h[0] &= LIMB_MASK;
	/* h - p, which is taken if it is not negative */
	g[0] = h[0] + 5;
	g[1] = h[1] + (g[0] >> LIMB_BITS);
	g[2] = h[2] + (g[1] >> LIMB_BITS) - ((uint64_t)1 << TOP_BITS);
	keep = (uint64_t) - (int64_t)(g[2] >> 63);
	g[0] &= LIMB_MASK;
	g[1] &= LIMB_MASK;
	for (size_t i = 0; i < 3; i++)
		h[i] = (h[i] & keep) | (g[i] & ~keep);
	low = h[0] | h[1] << 44;
	high = h[1] >> 20 | h[2] << 24;
	total = (uint128)low + word_of(pad);
	low = (uint64_t)total;
	carry = (uint64_t)(total >> 64);
	high += word_of(pad + 8) + carry;
	memcpy(tag, &low, sizeof low);
	memcpy(tag + 8, &high, sizeof high);
}

void
poly1305_vector(const uint8_t key[32], const uint8_t *data, size_t length, uint8_t tag[16])
{
	struct number r =
	    number_of(word_of(key) & 0x0ffffffc0fffffff, word_of(key + 8) & 0x0ffffffc0ffffffc, 0);
	struct number powers[LANES] = {r}, sum = {{0, 0, 0}};
	size_t whole = length - length % LANE_BYTES;

	if (whole > 0) {
		for (size_t i = 1; i < LANES; i++)
			powers[i] = number_multiply(powers[i - 1], r);
		sum = lanes_run(powers, data, whole);
	}
	tag_write(blocks_run(sum, r, data + whole, length - whole), key + 16, tag);
	sodium_memzero(powers, sizeof powers);
	sodium_memzero(&r, sizeof r);
}

#else

bool
chacha_vector_available(void)
{
	return false;
}

/* Without the instructions nobody calls these. */
void
chacha_vector_xor(
    const uint8_t key[32], const uint8_t nonce[8], uint64_t counter, uint8_t *data, size_t length)
{
	crypto_stream_chacha20_xor_ic(data, data, length, nonce, counter, key);
}

void
poly1305_vector(const uint8_t key[32], const uint8_t *data, size_t length, uint8_t tag[16])
{
	crypto_onetimeauth_poly1305(tag, data, length, key);
}

#endif
