/*
 * AES-GCM (NIST SP 800-38D) on 512-bit vectors. Sixteen blocks are in flight at a time: their
 * counters are encrypted together, and GHASH multiplies each with its own power of H and reduces
 * once. The instructions take the same time for all values.
 */
#include <crypto/aes_gcm.h>

#include <sodium.h>

#ifdef __x86_64__

#include <cpuid.h>
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#define TARGET          \
	__attribute__(( \
	    target("avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq,aes,pclmul,sse4.1")))
#define INLINE static inline __attribute__((always_inline)) TARGET

#define BLOCK         ((size_t)16)
#define VECTOR        ((size_t)64) /* four blocks */
#define CHUNK_VECTORS ((size_t)4)
#define CHUNK         (CHUNK_VECTORS * VECTOR)
#define CHUNK_BLOCKS  (CHUNK / BLOCK)
#define ROUND_KEYS    15

struct aes_gcm {
	__m128i round_keys[ROUND_KEYS];
	/* H^16 down to H^1, and zeros, so that n blocks can be multiplied with what begins at H^n */
	__m128i powers[CHUNK_BLOCKS + 4];
	size_t rounds;
};

/* Bits of CPUID leaf 7. */
#define EBX_AVX512DQ   (1U << 17)
#define EBX_AVX512BW   (1U << 30)
#define EBX_AVX512VL   (1U << 31)
#define ECX_VAES       (1U << 9)
#define ECX_VPCLMULQDQ (1U << 10)

bool
aes_gcm_available(void)
{
	const unsigned ebx_wanted = EBX_AVX512DQ | EBX_AVX512BW | EBX_AVX512VL;
	const unsigned ecx_wanted = ECX_VAES | ECX_VPCLMULQDQ;
	unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;

	/* libsodium has asked whether the system saves these registers, too. */
	return sodium_runtime_has_avx512f() && sodium_runtime_has_aesni() &&
	       sodium_runtime_has_pclmul() && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) &&
	       (ebx & ebx_wanted) == ebx_wanted && (ecx & ecx_wanted) == ecx_wanted;
}

/* ---- AES ---- */

/* Each word of a round key includes those before it. */
INLINE __m128i
words_chain(__m128i key)
{
	key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
	return _mm_xor_si128(key, _mm_slli_si128(key, 8));
}

/* The next round key of AES-128, or of AES-256 where it follows an odd one; FIPS 197 section 5.2.
 * The instruction takes the round constant from its code, so a constant 1 is replaced. */
INLINE __m128i
key_next(__m128i previous, __m128i last, uint32_t constant)
{
	__m128i assist = _mm_aeskeygenassist_si128(last, 0);

	assist = _mm_xor_si128(_mm_shuffle_epi32(assist, 0xff), _mm_set1_epi32((int)constant));
	return _mm_xor_si128(words_chain(previous), assist);
}

/* AES-256, where it follows an even one: no rotation and no constant. */
INLINE __m128i
key_next_even(__m128i previous, __m128i last)
{
	__m128i assist = _mm_shuffle_epi32(_mm_aeskeygenassist_si128(last, 0), 0xaa);

	return _mm_xor_si128(words_chain(previous), assist);
}

TARGET static void
key_expand(struct aes_gcm *gcm, const uint8_t *key, size_t length)
{
	static const uint8_t constants[10] = {1, 2, 4, 8, 16, 32, 64, 128, 0x1b, 0x36};
	__m128i *keys = gcm->round_keys;

	gcm->rounds = length == 16 ? 10 : 14;
	keys[0] = _mm_loadu_si128((const __m128i *)key);
	if (length == 16) {
		for (size_t i = 0; i < 10; i++)
			keys[i + 1] = key_next(keys[i], keys[i], constants[i]);
		return;
	}
	keys[1] = _mm_loadu_si128((const __m128i *)(key + BLOCK));
	for (size_t i = 2; i <= 14; i++)
		keys[i] = i % 2 == 0 ? key_next(keys[i - 2], keys[i - 1], constants[i / 2 - 1])
				     : key_next_even(keys[i - 2], keys[i - 1]);
}

INLINE __m128i
encrypt_block(const struct aes_gcm *gcm, __m128i block)
{
	block = _mm_xor_si128(block, gcm->round_keys[0]);
	for (size_t i = 1; i < gcm->rounds; i++)
		block = _mm_aesenc_si128(block, gcm->round_keys[i]);
	return _mm_aesenclast_si128(block, gcm->round_keys[gcm->rounds]);
}

INLINE void
encrypt_chunk(const struct aes_gcm *gcm, __m512i blocks[CHUNK_VECTORS])
{
	__m512i key = _mm512_broadcast_i32x4(gcm->round_keys[0]);

#pragma GCC unroll 4
	for (size_t i = 0; i < CHUNK_VECTORS; i++)
		blocks[i] = _mm512_xor_si512(blocks[i], key);
	for (size_t round = 1; round < gcm->rounds; round++) {
		key = _mm512_broadcast_i32x4(gcm->round_keys[round]);
#pragma GCC unroll 4
		for (size_t i = 0; i < CHUNK_VECTORS; i++)
			blocks[i] = _mm512_aesenc_epi128(blocks[i], key);
	}
	key = _mm512_broadcast_i32x4(gcm->round_keys[gcm->rounds]);
#pragma GCC unroll 4
	for (size_t i = 0; i < CHUNK_VECTORS; i++)
		blocks[i] = _mm512_aesenclast_epi128(blocks[i], key);
}

/* ---- GHASH ---- */

/*
 * GCM numbers bits backwards. With the bytes of blocks reversed a block is a polynomial in natural
 * order whose products come out multiplied by x^-1, which one factor x in all powers of H makes up
 * for. The modulus is then x^128 + x^127 + x^126 + x^121 + 1.
 */
#define MODULUS_HIGH ((long long)0xc200000000000000)

INLINE __m128i
bytes_reverse(__m128i block)
{
	return _mm_shuffle_epi8(
	    block, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

INLINE __m512i
bytes_reverse_four(__m512i blocks)
{
	return _mm512_shuffle_epi8(blocks, _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6,
					       7, 8, 9, 10, 11, 12, 13, 14, 15)));
}

/* The three parts of products that have not been reduced, four at a time. */
struct product {
	__m512i low, middle, high;
};

INLINE void
product_add(struct product *sum, __m512i a, __m512i b)
{
	sum->low = _mm512_xor_si512(sum->low, _mm512_clmulepi64_epi128(a, b, 0x00));
	sum->middle = _mm512_ternarylogic_epi64(sum->middle, _mm512_clmulepi64_epi128(a, b, 0x01),
	    _mm512_clmulepi64_epi128(a, b, 0x10), 0x96);
	sum->high = _mm512_xor_si512(sum->high, _mm512_clmulepi64_epi128(a, b, 0x11));
}

/* The upper 64 bits of x disappear into what is above: half of a reduction. */
INLINE __m512i
fold(__m512i into, __m512i x)
{
	__m512i part = _mm512_clmulepi64_epi128(x, _mm512_set1_epi64(MODULUS_HIGH), 0x00);

	return _mm512_ternarylogic_epi64(into, _mm512_shuffle_epi32(x, _MM_PERM_BADC), part, 0x96);
}

/* Reduces and adds up the four lanes. */
INLINE __m128i
product_reduce(const struct product *product)
{
	__m512i sum = fold(product->high, fold(product->middle, product->low));
	__m256i half =
	    _mm256_xor_si256(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64(sum, 1));

	return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

INLINE __m128i
multiply(__m128i a, __m128i b)
{
	struct product product = {
	    _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};

	product_add(&product, _mm512_zextsi128_si512(a), _mm512_zextsi128_si512(b));
	return product_reduce(&product);
}

/* H times x: a shift by one bit, and the modulus when a bit fell out. */
INLINE __m128i
times_x(__m128i h)
{
	uint64_t low = (uint64_t)_mm_extract_epi64(h, 0), high = (uint64_t)_mm_extract_epi64(h, 1);
	uint64_t carry = (uint64_t) - (int64_t)(high >> 63);

	high = (high << 1 | low >> 63) ^ (carry & (uint64_t)MODULUS_HIGH);
	low = low << 1 ^ (carry & 1);
	return _mm_set_epi64x((long long)high, (long long)low);
}

TARGET static void
powers_make(struct aes_gcm *gcm)
{
	__m128i h = times_x(bytes_reverse(encrypt_block(gcm, _mm_setzero_si128())));

	memset(gcm->powers, 0, sizeof gcm->powers);
	gcm->powers[CHUNK_BLOCKS - 1] = h;
	for (size_t i = CHUNK_BLOCKS - 1; i > 0; i--)
		gcm->powers[i - 1] = multiply(gcm->powers[i], h);
}

/* ---- packets ---- */

struct aes_gcm *
aes_gcm_new(const uint8_t *key, size_t key_length)
{
	struct aes_gcm *gcm = aligned_alloc(VECTOR, (sizeof *gcm + VECTOR - 1) / VECTOR * VECTOR);

	if (gcm == NULL)
		return NULL;
	key_expand(gcm, key, key_length);
	powers_make(gcm);
	return gcm;
}

void
aes_gcm_free(struct aes_gcm *gcm)
{
	if (gcm != NULL)
		sodium_memzero(gcm, sizeof *gcm);
	free(gcm);
}

/* Which bytes of vector "index" are within the length. */
INLINE __mmask64
vector_mask(size_t length, size_t index)
{
	size_t start = index * VECTOR;

	if (length >= start + VECTOR)
		return ~(__mmask64)0;
	return length <= start ? 0 : ((__mmask64)1 << (length - start)) - 1;
}

/*
 * Up to sixteen blocks, in place: the counters after *counter are encrypted and added, and the
 * ciphertext, which is the data before or after that, enters the hash.
 */
INLINE __m128i
chunk_run(const struct aes_gcm *gcm, __m512i *counter, __m128i hash, uint8_t *data, size_t length,
    bool encrypt)
{
	const __m512i four = _mm512_broadcast_i32x4(_mm_set_epi32(0, 0, 0, 4));
	const __m128i *powers = gcm->powers + CHUNK_BLOCKS - (length + BLOCK - 1) / BLOCK;
	struct product product = {
	    _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
	__m512i stream[CHUNK_VECTORS];

#pragma GCC unroll 4
	for (size_t i = 0; i < CHUNK_VECTORS; i++) {
		stream[i] = bytes_reverse_four(*counter);
		*counter = _mm512_add_epi32(*counter, four);
	}
	encrypt_chunk(gcm, stream);
#pragma GCC unroll 4
	for (size_t i = 0; i < CHUNK_VECTORS; i++) {
		__mmask64 mask = vector_mask(length, i);
		__m512i in, out, ciphertext;

		if (mask == 0)
			break;
		in = _mm512_maskz_loadu_epi8(mask, data + i * VECTOR);
		out = _mm512_maskz_mov_epi8(mask, _mm512_xor_si512(in, stream[i]));
		ciphertext = bytes_reverse_four(encrypt ? out : in);
		if (i == 0)
			ciphertext = _mm512_xor_si512(ciphertext, _mm512_zextsi128_si512(hash));
		_mm512_mask_storeu_epi8(data + i * VECTOR, mask, out);
		product_add(&product, ciphertext, _mm512_loadu_si512(powers + 4 * i));
	}
	return product_reduce(&product);
}

INLINE __m128i
block_of(const uint8_t *bytes, size_t length)
{
	uint8_t block[BLOCK] = {0};

	memcpy(block, bytes, length);
	return bytes_reverse(_mm_loadu_si128((const __m128i *)block));
}

/* All of a packet; returns the tag. */
INLINE __m128i
packet_run(const struct aes_gcm *gcm, const uint8_t *iv, uint8_t *data, size_t length, size_t clear,
    bool encrypt)
{
	const __m128i h = gcm->powers[CHUNK_BLOCKS - 1];
	__m128i first = _mm_insert_epi32(block_of(iv, AES_GCM_IV_LENGTH), 1, 0), hash;
	__m512i counter = _mm512_add_epi32(_mm512_broadcast_i32x4(first),
	    _mm512_set_epi32(0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1));
	__m128i lengths = _mm_set_epi64x((long long)clear * 8, (long long)(length - clear) * 8);

	hash = clear > 0 ? multiply(block_of(data, clear), h) : _mm_setzero_si128();
	data += clear;
	length -= clear;
	for (; length >= CHUNK; data += CHUNK, length -= CHUNK)
		hash = chunk_run(gcm, &counter, hash, data, CHUNK, encrypt);
	if (length > 0)
		hash = chunk_run(gcm, &counter, hash, data, length, encrypt);
	hash = multiply(_mm_xor_si128(hash, lengths), h);
	return _mm_xor_si128(bytes_reverse(hash), encrypt_block(gcm, bytes_reverse(first)));
}

TARGET void
aes_gcm_seal(
    const struct aes_gcm *gcm, const uint8_t *iv, uint8_t *data, size_t length, size_t clear)
{
	_mm_storeu_si128(
	    (__m128i *)(data + length), packet_run(gcm, iv, data, length, clear, true));
}

TARGET int
aes_gcm_open(
    const struct aes_gcm *gcm, const uint8_t *iv, uint8_t *data, size_t length, size_t clear)
{
	uint8_t tag[AES_GCM_TAG_LENGTH];

	_mm_storeu_si128((__m128i *)tag, packet_run(gcm, iv, data, length, clear, false));
	return sodium_memcmp(tag, data + length, sizeof tag) == 0 ? 0 : NACRE_ERROR_INTEGRITY;
}

#else

bool
aes_gcm_available(void)
{
	return false;
}

struct aes_gcm *
aes_gcm_new(const uint8_t *key, size_t key_length)
{
	(void)key;
	(void)key_length;
	return NULL;
}

void
aes_gcm_free(struct aes_gcm *gcm)
{
	(void)gcm;
}

void
aes_gcm_seal(
    const struct aes_gcm *gcm, const uint8_t *iv, uint8_t *data, size_t length, size_t clear)
{
	(void)gcm;
	(void)iv;
	(void)data;
	(void)length;
	(void)clear;
}

int
aes_gcm_open(
    const struct aes_gcm *gcm, const uint8_t *iv, uint8_t *data, size_t length, size_t clear)
{
	(void)gcm;
	(void)iv;
	(void)data;
	(void)length;
	(void)clear;
	return NACRE_ERROR_UNSUPPORTED;
}

#endif
