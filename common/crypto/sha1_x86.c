/*
 * SHA-1 of one block with the SHA instructions of x86 processors: a sixth of the time, which counts
 * when a login looks through thousands of hashed host names.
 */
#include <crypto/sha1_x86.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define CPUID_SHA    (1u << 29) /* leaf 7, EBX */
#define CPUID_SSE4_1 (1u << 19) /* leaf 1, ECX */

bool
sha1_x86_available(void)
{
	static int known; /* 0: not asked yet, 1: no, 2: yes; every thread finds the same */
	unsigned a, b = 0, c = 0, d;

	if (known == 0) {
		bool sse = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & CPUID_SSE4_1) != 0;
		bool sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & CPUID_SHA) != 0;

		known = sse && sha ? 2 : 1;
	}
	return known == 2;
}

#define TARGET __attribute__((target("sha,sse4.1")))

/* Words of the schedule, four at a time: FIPS 180-4 section 6.1.2 step 1. */
static inline TARGET __m128i
schedule(__m128i words[4], unsigned group)
{
	if (group >= 4)
		words[group & 3] = _mm_sha1msg2_epu32(
		    _mm_xor_si128(_mm_sha1msg1_epu32(words[group & 3], words[(group + 1) & 3]),
			words[(group + 2) & 3]),
		    words[(group + 3) & 3]);
	return words[group & 3];
}

/* Twenty rounds with one function; "last" is the state of four rounds before, for e. */
#define ROUNDS(function)                                                                        \
	for (unsigned group = 5 * (function); group < 5 * (function) + 5; group++) {            \
		__m128i w = schedule(words, group);                                             \
		__m128i e = group == 0 ? _mm_add_epi32(last, w) : _mm_sha1nexte_epu32(last, w); \
                                                                                                \
		last = abcd;                                                                    \
		abcd = _mm_sha1rnds4_epu32(abcd, e, function);                                  \
	}

TARGET void
sha1_x86_compress(uint32_t state[5], const uint8_t *block)
{
	const __m128i swap = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);
	__m128i abcd =
	    _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)state), 0x1b);
	__m128i last = _mm_set_epi32((int)state[4], 0, 0, 0);
	const __m128i abcd_before = abcd, e_before = last;
	__m128i words[4];

	for (size_t i = 0; i < 4; i++)
		words[i] = _mm_shuffle_epi8(
		    _mm_loadu_si128((const __m128i *)(const void *)(block + 16 * i)), swap);
#pragma GCC unroll 5
	ROUNDS(0)
#pragma GCC unroll 5
	ROUNDS(1)
#pragma GCC unroll 5
	ROUNDS(2)
#pragma GCC unroll 5
	ROUNDS(3)
	last = _mm_sha1nexte_epu32(last, e_before);
	abcd = _mm_add_epi32(abcd, abcd_before);
	_mm_storeu_si128((__m128i *)(void *)state, _mm_shuffle_epi32(abcd, 0x1b));
	state[4] = (uint32_t)_mm_extract_epi32(last, 3);
}

#else

bool
sha1_x86_available(void)
{
	return false;
}

void
sha1_x86_compress(uint32_t state[5], const uint8_t *block)
{
	(void)state;
	(void)block;
}

#endif
