/*
 * Streamlined NTRU Prime, parameter set sntrup761 (NTRU Prime: round 3, and
 * draft-josefsson-ntruprime-streamlined): R is Z[x]/(x^761 - x - 1). Small polynomials have
 * coefficients -1, 0 and 1; those modulo q = 4591 are kept between -2295 and 2295.
 *
 * Nothing that depends on a secret branches, indexes or divides. What is decoded is public.
 */
#include <crypto/kem.h>
#include <crypto/random.h>
#include <crypto/value_barrier.h>

#include <assert.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#define P                 ((size_t)761)
#define Q                 4591
#define Q_HALF            2295
#define W                 286  /* weight of short polynomials */
#define THIRD             3061 /* 1/3 modulo q */
#define ROUNDED_M         1531 /* multiples of 3 between -q/2 and q/2 */
#define SMALL_BYTES       ((size_t)191)
#define PUBLIC_BYTES      1158
#define ROUNDED_BYTES     1007
#define HASH_BYTES        32
#define CIPHERTEXT_LENGTH (ROUNDED_BYTES + HASH_BYTES)

/* Layout of the private key: f, 1/g in R/3, the public key, a random r for rejection, Hash4(pk). */
#define PRIVATE_INVERSE SMALL_BYTES
#define PRIVATE_PUBLIC  (2 * SMALL_BYTES)
#define PRIVATE_REJECT  (PRIVATE_PUBLIC + PUBLIC_BYTES)
#define PRIVATE_HASH    (PRIVATE_REJECT + SMALL_BYTES)
#define PRIVATE_BYTES   (PRIVATE_HASH + HASH_BYTES)

/* Loops over coefficients are worth vector instructions, which -O2 alone does not use
 * everywhere. */
#if defined(__GNUC__) && !defined(__clang__)
#define VECTORISE __attribute__((optimize("O3")))
#else
#define VECTORISE
#endif

/* A number to compute modulo, 3 or q. */
struct modulus {
	int16_t value;
	int16_t inverse;    /* modulo 2^16 */
	int64_t reciprocal; /* 2^40 / value, rounded */
};

static const struct modulus modulo_3 = {3, -21845, 366503875925};
static const struct modulus modulo_q = {Q, 15631, 239492840};

/* Into the balanced range, exactly for |x| below 2^23. */
static inline int16_t
balanced(int32_t x, const struct modulus *m)
{
	int64_t quotient = (x * m->reciprocal + ((int64_t)1 << 39)) >> 40;

	return (int16_t)(x - (int32_t)quotient * m->value);
}

/* All ones if x is not 0, else 0. */
static inline int16_t
nonzero_mask(int16_t x)
{
	return (int16_t) - (int32_t)value_barrier((uint32_t)(x | -x) >> 31);
}

/* ---- products ---- */

/* Rows of the product whose sum fits 16 bits: 14 * 2295 = 32130. */
#define ROWS 14

VECTORISE static void
row_add(int16_t *restrict sum, const int16_t *restrict a, int16_t factor)
{
	for (size_t i = 0; i < P; i++)
		sum[i] = (int16_t)(sum[i] + a[i] * factor);
}

VECTORISE static void
rows_add(int32_t *restrict sum, const int16_t *restrict rows)
{
	for (size_t i = 0; i < P + ROWS - 1; i++)
		sum[i] += rows[i];
}

/* a * b in R, reduced; b is small. */
static void
multiply(int16_t product[P], const int16_t a[P], const int16_t b[P], const struct modulus *m)
{
	int32_t whole[2 * P + ROWS] = {0};
	int16_t rows[P + ROWS - 1];

	for (size_t i = 0; i < P; i += ROWS) {
		memset(rows, 0, sizeof rows);
		for (size_t j = 0; j < ROWS && i + j < P; j++)
			row_add(rows + j, a, b[i + j]);
		rows_add(whole + i, rows);
	}
	/* x^(p+k) is x^(k+1) + x^k */
	for (size_t i = 0; i < P; i++)
		product[i] = balanced(whole[i] + whole[i + P] + (i > 0 ? whole[i + P - 1] : 0), m);
	sodium_memzero(whole, sizeof whole);
	sodium_memzero(rows, sizeof rows);
}

/* ---- inverses ---- */

/* a * b / 2^16 for a fixed b: between -m and m while |a * b| is below m * 2^15. */
struct multiplier {
	int16_t value;
	int16_t inverse; /* value / m modulo 2^16 */
};

/* The lower half of a product; it is made without a sign, for which it would be too large. */
static inline int16_t
product_low(int16_t a, int16_t b)
{
	return (int16_t)((uint32_t)(uint16_t)a * (uint16_t)b);
}

static struct multiplier
multiplier_of(int16_t value, const struct modulus *m)
{
	return (struct multiplier){value, product_low(value, m->inverse)};
}

static inline int16_t
montgomery(int16_t a, struct multiplier b, int16_t m)
{
	int16_t low = product_low(a, b.inverse);

	return (int16_t)((a * b.value >> 16) - (low * m >> 16));
}

/* Swaps two rows where the mask says so, and makes the second one first * g0 - second * f0, which
 * has no constant term; "shift" drops that. */
static inline __attribute__((always_inline)) void
rows_step(int16_t *restrict first, int16_t *restrict second, size_t length, int16_t swap,
    struct multiplier f0, struct multiplier g0, int16_t m, bool shift)
{
	for (size_t i = 0; i < length; i++) {
		int16_t difference = (int16_t)(swap & (first[i] ^ second[i]));
		int16_t kept = (int16_t)(first[i] ^ difference);
		int16_t other = (int16_t)(second[i] ^ difference);

		first[i] = kept;
		second[i] = (int16_t)(montgomery(other, f0, m) - montgomery(kept, g0, m));
	}
	if (shift) {
		memmove(second, second + 1, (length - 1) * sizeof *second);
		second[length - 1] = 0;
	}
}

VECTORISE static void
rows_step_plain(int16_t *first, int16_t *second, size_t length, int16_t swap, struct multiplier f0,
    struct multiplier g0, int16_t m, bool shift)
{
	rows_step(first, second, length, swap, f0, g0, m, shift);
}

#ifdef __x86_64__
VECTORISE __attribute__((target("avx2"))) static void
rows_step_avx2(int16_t *first, int16_t *second, size_t length, int16_t swap, struct multiplier f0,
    struct multiplier g0, int16_t m, bool shift)
{
	rows_step(first, second, length, swap, f0, g0, m, shift);
}
#endif

typedef void rows_step_function(int16_t *first, int16_t *second, size_t length, int16_t swap,
    struct multiplier f0, struct multiplier g0, int16_t m, bool shift);

static rows_step_function *
rows_step_best(void)
{
#ifdef __x86_64__
	if (sodium_runtime_has_avx2())
		return rows_step_avx2;
#endif
	return rows_step_plain;
}

/* x^(m-2), which is 1/x. */
static int16_t
number_invert(int16_t x, const struct modulus *m)
{
	int16_t result = 1;

	for (int bit = 15; bit >= 0; bit--) {
		result = balanced((int32_t)result * result, m);
		if (((m->value - 2) >> bit & 1) != 0) /* the exponent is public */
			result = balanced((int32_t)result * x, m);
	}
	return result;
}

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/*
 * 1/a in R modulo 3 or q, by division steps ("Fast constant-time gcd computation and modular
 * inversion", Bernstein and Yang, 2019) on the reversed polynomials: f and g shrink, v and r grow,
 * so that each step touches half of the coefficients on average. Rows carry a factor that does not
 * matter until the end. False when there is no inverse.
 */
static bool
invert(int16_t inverse[P], const int16_t a[P], const struct modulus *m)
{
	int16_t f[P + 1] = {0}, g[P + 1] = {0}, v[P + 1] = {0}, r[P + 1] = {0}, delta = 1, scale;
	rows_step_function *step = rows_step_best();

	f[0] = 1;
	f[P - 1] = f[P] = -1;
	for (size_t i = 0; i < P; i++)
		g[P - 1 - i] = a[i];
	r[0] = 1;
	for (size_t i = 0; i < 2 * P - 1; i++) {
		int16_t g_constant = balanced(g[0], m), f_constant = balanced(f[0], m);
		int16_t positive = (int16_t) - (int32_t)value_barrier((uint16_t)-delta >> 15);
		int16_t swap = (int16_t)(positive & nonzero_mask(g_constant));
		int16_t difference = (int16_t)(swap & (f_constant ^ g_constant));
		struct multiplier f0, g0;

		f0 = multiplier_of((int16_t)(f_constant ^ difference), m);
		g0 = multiplier_of((int16_t)(g_constant ^ difference), m);
		delta = (int16_t)((delta ^ (swap & (delta ^ -delta))) + 1);
		memmove(v + 1, v, P * sizeof *v);
		v[0] = 0;
		step(f, g, least(P + 1, 2 * P - i), swap, f0, g0, m->value, true);
		step(v, r, least(P + 1, i + 2), swap, f0, g0, m->value, false);
	}
	scale = number_invert(balanced(f[0], m), m);
	for (size_t i = 0; i < P; i++)
		inverse[i] = balanced(balanced(v[P - 1 - i], m) * scale, m);
	sodium_memzero(f, sizeof f);
	sodium_memzero(g, sizeof g);
	sodium_memzero(v, sizeof v);
	sodium_memzero(r, sizeof r);
	return delta == 0;
}

/* ---- random polynomials ---- */

/* Knuth's algorithm 5.2.2M, merge exchange: which pairs it compares does not depend on them. */
VECTORISE static void
sort(uint32_t numbers[P])
{
	for (size_t p = 512; p > 0; p /= 2) {
		size_t q = 512, r = 0, d = p;

		for (;;) {
			for (size_t i = 0; i < P - d; i++) {
				uint32_t a = numbers[i], b = numbers[i + d];
				uint32_t out_of_order =
				    (uint32_t) - (int32_t)(((uint64_t)b - a) >> 63);
				uint32_t difference =
				    (a ^ b) & out_of_order & (uint32_t) - (int32_t)((i & p) == r);

				numbers[i] = a ^ difference;
				numbers[i + d] = b ^ difference;
			}
			if (q == p)
				break;
			d = q - p;
			q /= 2;
			r = p;
		}
	}
}

static void
random_small(int16_t polynomial[P])
{
	uint32_t numbers[P];

	random_bytes(numbers, sizeof numbers);
	for (size_t i = 0; i < P; i++)
		polynomial[i] = (int16_t)((int)((numbers[i] & 0x3fffffff) * 3 >> 30) - 1);
	sodium_memzero(numbers, sizeof numbers);
}

/* Exactly W coefficients are not 0: W even and P - W odd random numbers, sorted. */
static void
random_short(int16_t polynomial[P])
{
	uint32_t numbers[P];

	random_bytes(numbers, sizeof numbers);
	for (size_t i = 0; i < P; i++)
		numbers[i] = i < W ? numbers[i] & ~1U : (numbers[i] & ~3U) | 1;
	sort(numbers);
	for (size_t i = 0; i < P; i++)
		polynomial[i] = (int16_t)((int)(numbers[i] & 3) - 1);
	sodium_memzero(numbers, sizeof numbers);
}

/* ---- encodings ---- */

static void
small_encode(const int16_t polynomial[P], uint8_t bytes[SMALL_BYTES])
{
	memset(bytes, 0, SMALL_BYTES);
	for (size_t i = 0; i < P; i++)
		bytes[i / 4] |= (uint8_t)((polynomial[i] + 1) << (2 * (i % 4)));
}

static void
small_decode(int16_t polynomial[P], const uint8_t bytes[SMALL_BYTES])
{
	for (size_t i = 0; i < P; i++)
		polynomial[i] = (int16_t)((int)(bytes[i / 4] >> (2 * (i % 4)) & 3) - 1);
}

#define RADIX_LIMIT 16384

/*
 * Encodes numbers below their radices in nearly as few bytes as there can be: pairs become one
 * number each, whose low bytes are put out while its radix is large. All radices are m at first.
 */
static void
radix_encode(uint16_t numbers[P], uint16_t m, uint8_t *bytes)
{
	uint16_t radices[P];
	size_t count = P;

	for (size_t i = 0; i < P; i++)
		radices[i] = m;
	while (count > 1) {
		for (size_t i = 0; i + 1 < count; i += 2) {
			uint32_t radix = (uint32_t)radices[i] * radices[i + 1];
			uint32_t number = numbers[i] + (uint32_t)radices[i] * numbers[i + 1];

			for (; radix >= RADIX_LIMIT; radix = (radix + 255) >> 8, number >>= 8)
				*bytes++ = (uint8_t)number;
			radices[i / 2] = (uint16_t)radix;
			numbers[i / 2] = (uint16_t)number;
		}
		if (count % 2 == 1) {
			radices[count / 2] = radices[count - 1];
			numbers[count / 2] = numbers[count - 1];
		}
		count = (count + 1) / 2;
	}
	for (uint32_t radix = radices[0]; radix > 1; radix = (radix + 255) >> 8, numbers[0] >>= 8)
		*bytes++ = (uint8_t)numbers[0];
}

/* The number for one radix, from all that is left. */
static void
radix_decode_last(uint16_t *number, const uint8_t *bytes, uint16_t m)
{
	uint32_t value = 0, shift = 0;

	assert(m > 0);
	for (uint32_t radix = m; radix > 1; radix = (radix + 255) >> 8, shift += 8)
		value |= (uint32_t)*bytes++ << shift;
	*number = (uint16_t)(value % m);
}

/* The inverse. Recursion is ten levels deep. */
static void
radix_decode(uint16_t *numbers, const uint8_t *bytes, const uint16_t *radices, size_t count)
{
	uint16_t high[P / 2 + 1] = {0}, high_radices[P / 2 + 1] = {0};
	uint32_t low[P / 2 + 1] = {0}, low_shifts[P / 2 + 1] = {0};

	if (count == 1) {
		radix_decode_last(numbers, bytes, radices[0]);
		return;
	}
	for (size_t i = 0; i + 1 < count; i += 2) {
		uint32_t radix = (uint32_t)radices[i] * radices[i + 1];

		for (; radix >= RADIX_LIMIT; radix = (radix + 255) >> 8) {
			low[i / 2] |= (uint32_t)*bytes++ << low_shifts[i / 2];
			low_shifts[i / 2] += 8;
		}
		high_radices[i / 2] = (uint16_t)radix;
	}
	if (count % 2 == 1)
		high_radices[count / 2] = radices[count - 1];
	radix_decode(high, bytes, high_radices, (count + 1) / 2);
	for (size_t i = 0; i + 1 < count; i += 2) {
		uint32_t number = low[i / 2] + ((uint32_t)high[i / 2] << low_shifts[i / 2]);

		assert(radices[i] > 0 && radices[i + 1] > 0);
		numbers[i] = (uint16_t)(number % radices[i]);
		numbers[i + 1] = (uint16_t)(number / radices[i] % radices[i + 1]);
	}
	if (count % 2 == 1)
		numbers[count - 1] = high[count / 2];
}

static void
decode(uint16_t numbers[P], uint16_t m, const uint8_t *bytes)
{
	uint16_t radices[P];

	for (size_t i = 0; i < P; i++)
		radices[i] = m;
	radix_decode(numbers, bytes, radices, P);
}

static void
public_encode(const int16_t h[P], uint8_t *bytes)
{
	uint16_t numbers[P];

	for (size_t i = 0; i < P; i++)
		numbers[i] = (uint16_t)(h[i] + Q_HALF);
	radix_encode(numbers, Q, bytes);
}

static void
public_decode(int16_t h[P], const uint8_t *bytes)
{
	uint16_t numbers[P];

	decode(numbers, Q, bytes);
	for (size_t i = 0; i < P; i++)
		h[i] = (int16_t)(numbers[i] - Q_HALF);
}

/* Multiples of 3 are divided by it; 10923 / 2^15 is that, exactly, below 4591. */
static void
rounded_encode(const int16_t c[P], uint8_t *bytes)
{
	uint16_t numbers[P];

	for (size_t i = 0; i < P; i++)
		numbers[i] = (uint16_t)((uint32_t)(c[i] + Q_HALF) * 10923 >> 15);
	radix_encode(numbers, ROUNDED_M, bytes);
	sodium_memzero(numbers, sizeof numbers);
}

static void
rounded_decode(int16_t c[P], const uint8_t *bytes)
{
	uint16_t numbers[P];

	decode(numbers, ROUNDED_M, bytes);
	for (size_t i = 0; i < P; i++)
		c[i] = (int16_t)(numbers[i] * 3 - Q_HALF);
}

/* ---- the mechanism ---- */

/* SHA-512 of a prefix byte and two strings, cut to 32 bytes. */
static void
hash(uint8_t prefix, const uint8_t *a, size_t a_length, const uint8_t *b, size_t b_length,
    uint8_t digest[HASH_BYTES])
{
	crypto_hash_sha512_state state;
	uint8_t whole[crypto_hash_sha512_BYTES];

	crypto_hash_sha512_init(&state);
	crypto_hash_sha512_update(&state, &prefix, 1);
	crypto_hash_sha512_update(&state, a, a_length);
	if (b_length > 0)
		crypto_hash_sha512_update(&state, b, b_length);
	crypto_hash_sha512_final(&state, whole);
	memcpy(digest, whole, HASH_BYTES);
	sodium_memzero(whole, sizeof whole);
}

static void
sntrup761_generate(uint8_t *public, uint8_t *private)
{
	int16_t f[P], g[P], h[P], inverse[P];

	sodium_ready();
	do /* R/3 is not a field: some g have no inverse */
		random_small(g);
	while (!invert(inverse, g, &modulo_3));
	random_short(f);
	small_encode(f, private);
	small_encode(inverse, private + PRIVATE_INVERSE);
	invert(inverse, f, &modulo_q);
	for (size_t i = 0; i < P; i++)
		inverse[i] = balanced(inverse[i] * THIRD, &modulo_q);
	multiply(h, inverse, g, &modulo_q);
	public_encode(h, public);
	memcpy(private + PRIVATE_PUBLIC, public, PUBLIC_BYTES);
	random_small(f);
	small_encode(f, private + PRIVATE_REJECT);
	hash(4, public, PUBLIC_BYTES, NULL, 0, private + PRIVATE_HASH);
	sodium_memzero(f, sizeof f);
	sodium_memzero(g, sizeof g);
	sodium_memzero(inverse, sizeof inverse);
}

/* Hide: the ciphertext for r, with the hash that confirms it; r_hash gets Hash3 of r's encoding. */
static void
hide(const int16_t r[P], const uint8_t *public, const uint8_t public_hash[HASH_BYTES],
    uint8_t r_bytes[SMALL_BYTES], uint8_t *ciphertext)
{
	int16_t h[P], c[P];
	uint8_t r_hash[HASH_BYTES];

	small_encode(r, r_bytes);
	public_decode(h, public);
	multiply(c, h, r, &modulo_q);
	for (size_t i = 0; i < P; i++)
		c[i] = (int16_t)(c[i] - balanced(c[i], &modulo_3));
	rounded_encode(c, ciphertext);
	hash(3, r_bytes, SMALL_BYTES, NULL, 0, r_hash);
	hash(2, r_hash, HASH_BYTES, public_hash, HASH_BYTES, ciphertext + ROUNDED_BYTES);
	sodium_memzero(c, sizeof c);
	sodium_memzero(r_hash, sizeof r_hash);
}

/* HashSession: "prefix" 1 for a good ciphertext, 0 for a rejected one. */
static void
session_secret(uint8_t prefix, const uint8_t r_bytes[SMALL_BYTES], const uint8_t *ciphertext,
    uint8_t secret[KEM_SECRET_LENGTH])
{
	uint8_t r_hash[HASH_BYTES];

	hash(3, r_bytes, SMALL_BYTES, NULL, 0, r_hash);
	hash(prefix, r_hash, HASH_BYTES, ciphertext, CIPHERTEXT_LENGTH, secret);
	sodium_memzero(r_hash, sizeof r_hash);
}

static int
sntrup761_encapsulate(const uint8_t *public, uint8_t *ciphertext, uint8_t *secret)
{
	uint8_t public_hash[HASH_BYTES], r_bytes[SMALL_BYTES];
	int16_t r[P];

	random_short(r);
	hash(4, public, PUBLIC_BYTES, NULL, 0, public_hash);
	hide(r, public, public_hash, r_bytes, ciphertext);
	session_secret(1, r_bytes, ciphertext, secret);
	sodium_memzero(r, sizeof r);
	sodium_memzero(r_bytes, sizeof r_bytes);
	return 0;
}

/* r from the rounded part of a ciphertext; a fixed polynomial when it has not the weight W. */
static void
decrypt(int16_t r[P], const uint8_t *private, const uint8_t *ciphertext)
{
	int16_t c[P], f[P], weight = 0, wrong;

	rounded_decode(c, ciphertext);
	small_decode(f, private);
	multiply(c, c, f, &modulo_q);
	for (size_t i = 0; i < P; i++)
		c[i] = balanced(balanced(3 * c[i], &modulo_q), &modulo_3);
	small_decode(f, private + PRIVATE_INVERSE);
	multiply(r, c, f, &modulo_3);
	for (size_t i = 0; i < P; i++)
		weight = (int16_t)(weight + (r[i] & 1));
	wrong = nonzero_mask((int16_t)(weight - W));
	for (size_t i = 0; i < P; i++)
		r[i] = (int16_t)((r[i] & ~wrong) | (wrong & (i < W ? 1 : 0)));
	sodium_memzero(c, sizeof c);
	sodium_memzero(f, sizeof f);
}

static int
sntrup761_decapsulate(const uint8_t *private, const uint8_t *ciphertext, uint8_t *secret)
{
	uint8_t r_bytes[SMALL_BYTES], again[CIPHERTEXT_LENGTH], wrong;
	int16_t r[P];

	decrypt(r, private, ciphertext);
	hide(r, private + PRIVATE_PUBLIC, private + PRIVATE_HASH, r_bytes, again);
	wrong = (uint8_t)sodium_memcmp(again, ciphertext, sizeof again); /* 0 or all ones */
	for (size_t i = 0; i < SMALL_BYTES; i++)
		r_bytes[i] ^= (uint8_t)(wrong & (r_bytes[i] ^ private[PRIVATE_REJECT + i]));
	session_secret((uint8_t)(1 + wrong), r_bytes, ciphertext, secret);
	sodium_memzero(again, sizeof again);
	sodium_memzero(r, sizeof r);
	sodium_memzero(r_bytes, sizeof r_bytes);
	return 0;
}

const struct kem kem_sntrup761 = {
    .public_length = PUBLIC_BYTES,
    .private_length = PRIVATE_BYTES,
    .ciphertext_length = CIPHERTEXT_LENGTH,
    .generate = sntrup761_generate,
    .encapsulate = sntrup761_encapsulate,
    .decapsulate = sntrup761_decapsulate,
};
