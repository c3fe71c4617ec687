/*
 * ML-KEM-768, FIPS 203. Names in comments are the standard's. Everything that depends on a secret
 * runs without branches, table look-ups and divisions; arithmetic is modulo q in Montgomery form on
 * 16-bit numbers, in loops that compilers turn into vector code.
 */
#include <crypto/backend.h>
#include <crypto/keccak.h>
#include <crypto/kem.h>
#include <crypto/mlkem768.h>
#include <crypto/random.h>
#include <crypto/value_barrier.h>

#include <sodium.h>
#include <string.h>

#define Q            3329
#define Q_INVERSE    (-3327) /* of q modulo 2^16 */
#define R_MOD_Q      (-1044) /* R = 2^16 */
#define R2_MOD_Q     1353
#define R2_OVER_128  1441 /* ends the inverse transform */
#define N            ((size_t)256)
#define K            ((size_t)3)
#define POLY_BYTES   ((size_t)384)
#define VECTOR_BYTES (K * POLY_BYTES)
#define U_BITS       10
#define V_BITS       4
#define U_BYTES      (U_BITS * N / 8)
#define V_BYTES      (V_BITS * N / 8)
#define NOISE_BYTES  128

/* Layout of the private key: dk_PKE, ek, H(ek), z. */
#define PRIVATE_PUBLIC (VECTOR_BYTES)
#define PRIVATE_HASH   (PRIVATE_PUBLIC + MLKEM768_PUBLIC_LENGTH)
#define PRIVATE_REJECT (PRIVATE_HASH + 32)

/*
 * Loops over coefficients are worth vector instructions, which -O2 alone does not use everywhere.
 */
#if defined(__GNUC__) && !defined(__clang__)
#define VECTORISE __attribute__((optimize("O3")))
#else
#define VECTORISE
#endif

struct poly {
	int16_t coefficients[N];
};

/* zeta^BitRev7(i) * R mod q, appendix A. */
static const int16_t zetas[128] = {
    -1044,
    -758,
    -359,
    -1517,
    1493,
    1422,
    287,
    202,
    -171,
    622,
    1577,
    182,
    962,
    -1202,
    -1474,
    1468,
    573,
    -1325,
    264,
    383,
    -829,
    1458,
    -1602,
    -130,
    -681,
    1017,
    732,
    608,
    -1542,
    411,
    -205,
    -1571,
    1223,
    652,
    -552,
    1015,
    -1293,
    1491,
    -282,
    -1544,
    516,
    -8,
    -320,
    -666,
    -1618,
    -1162,
    126,
    1469,
    -853,
    -90,
    -271,
    830,
    107,
    -1421,
    -247,
    -951,
    -398,
    961,
    -1508,
    -725,
    448,
    -1065,
    677,
    -1275,
    -1103,
    430,
    555,
    843,
    -1251,
    871,
    1550,
    105,
    422,
    587,
    177,
    -235,
    -291,
    -460,
    1574,
    1653,
    -246,
    778,
    1159,
    -147,
    -777,
    1483,
    -602,
    1119,
    -1590,
    644,
    -872,
    349,
    418,
    329,
    -156,
    -75,
    817,
    1097,
    603,
    610,
    1322,
    -1285,
    -1465,
    384,
    -1215,
    -136,
    1218,
    -1335,
    -874,
    220,
    -1187,
    -1659,
    -1185,
    -1530,
    -1278,
    794,
    -1510,
    -854,
    -870,
    478,
    -108,
    -308,
    996,
    991,
    958,
    -1460,
    1522,
    1628,
};

/* a * b / R mod q, between -q and q, for |a * b| below q * 2^15. */
static inline int16_t
montgomery(int16_t a, int16_t b)
{
	int32_t product = (int32_t)a * b;
	int16_t factor = (int16_t)((int16_t)product * Q_INVERSE);

	return (int16_t)((product - (int32_t)factor * Q) >> 16);
}

/* Into -q..q, without changing the value modulo q. */
VECTORISE static void
poly_reduce(struct poly *poly)
{
	for (size_t i = 0; i < N; i++)
		poly->coefficients[i] = montgomery(poly->coefficients[i], R_MOD_Q);
}

/* Into 0..q-1. */
VECTORISE static void
poly_normalise(struct poly *poly)
{
	for (size_t i = 0; i < N; i++) {
		int16_t value = montgomery(poly->coefficients[i], R_MOD_Q);

		poly->coefficients[i] = (int16_t)(value + ((value >> 15) & Q));
	}
}

VECTORISE static void
poly_add(struct poly *sum, const struct poly *term)
{
	for (size_t i = 0; i < N; i++)
		sum->coefficients[i] = (int16_t)(sum->coefficients[i] + term->coefficients[i]);
}

VECTORISE static void
butterflies(int16_t *low, int16_t *high, size_t length, int16_t zeta)
{
	for (size_t i = 0; i < length; i++) {
		int16_t turned = montgomery(zeta, high[i]);

		high[i] = (int16_t)(low[i] - turned);
		low[i] = (int16_t)(low[i] + turned);
	}
}

/* Algorithm 9. Coefficients grow by q in each of the seven layers: that fits. */
static void
ntt(struct poly *poly)
{
	size_t zeta = 1;

	for (size_t length = N / 2; length >= 2; length /= 2)
		for (size_t start = 0; start < N; start += 2 * length)
			butterflies(poly->coefficients + start, poly->coefficients + start + length,
			    length, zetas[zeta++]);
	poly_reduce(poly);
}

VECTORISE static void
butterflies_back(int16_t *low, int16_t *high, size_t length, int16_t zeta)
{
	for (size_t i = 0; i < length; i++) {
		int16_t sum = (int16_t)(low[i] + high[i]);

		high[i] = montgomery(zeta, (int16_t)(high[i] - low[i]));
		low[i] = montgomery(sum, R_MOD_Q);
	}
}

/* Algorithm 10, times R: what product() divides by it. */
VECTORISE static void
ntt_inverse(struct poly *poly)
{
	size_t zeta = 127;

	poly_reduce(poly);
	for (size_t length = 2; length <= N / 2; length *= 2)
		for (size_t start = 0; start < N; start += 2 * length)
			butterflies_back(poly->coefficients + start,
			    poly->coefficients + start + length, length, zetas[zeta--]);
	for (size_t i = 0; i < N; i++)
		poly->coefficients[i] = montgomery(poly->coefficients[i], R2_OVER_128);
}

/* Adds a * b / R in the transformed domain, algorithms 11 and 12. */
VECTORISE static void
product_add(struct poly *sum, const struct poly *a, const struct poly *b)
{
	for (size_t i = 0; i < N / 2; i++) {
		const int16_t *x = a->coefficients + 2 * i, *y = b->coefficients + 2 * i;
		int16_t gamma = (int16_t)(i % 2 == 0 ? zetas[64 + i / 2] : -zetas[64 + i / 2]);
		int16_t high = montgomery(montgomery(x[1], y[1]), gamma);

		sum->coefficients[2 * i] =
		    (int16_t)(sum->coefficients[2 * i] + high + montgomery(x[0], y[0]));
		sum->coefficients[2 * i + 1] =
		    (int16_t)(sum->coefficients[2 * i + 1] + montgomery(x[0], y[1]) +
			      montgomery(x[1], y[0]));
	}
}

/* The inner product of two vectors, divided by R. "stride" 3 runs down a column of a matrix. */
static void
inner_product(struct poly *sum, const struct poly *a, size_t stride, const struct poly *b)
{
	memset(sum, 0, sizeof *sum);
	for (size_t i = 0; i < K; i++)
		product_add(sum, a + i * stride, b + i);
}

/* ByteEncode12, algorithm 5; coefficients are reduced. */
static void
poly_encode(const struct poly *poly, uint8_t bytes[POLY_BYTES])
{
	for (size_t i = 0; i < N / 2; i++) {
		uint16_t a = (uint16_t)poly->coefficients[2 * i];
		uint16_t b = (uint16_t)poly->coefficients[2 * i + 1];

		bytes[3 * i] = (uint8_t)a;
		bytes[3 * i + 1] = (uint8_t)(a >> 8 | b << 4);
		bytes[3 * i + 2] = (uint8_t)(b >> 4);
	}
}

/* ByteDecode12, algorithm 6. False when a number is not below q. */
static bool
poly_decode(struct poly *poly, const uint8_t bytes[POLY_BYTES])
{
	uint16_t beyond = 0;

	for (size_t i = 0; i < N / 2; i++) {
		uint16_t a = (uint16_t)(bytes[3 * i] | (bytes[3 * i + 1] & 15) << 8);
		uint16_t b = (uint16_t)(bytes[3 * i + 1] >> 4 | bytes[3 * i + 2] << 4);

		poly->coefficients[2 * i] = (int16_t)a;
		poly->coefficients[2 * i + 1] = (int16_t)b;
		beyond |= (uint16_t)((uint16_t)(Q - 1 - a) | (uint16_t)(Q - 1 - b));
	}
	return beyond >> 15 == 0;
}

/* Compress_d and ByteEncode_d (section 4.2.1), "bits" d being 1, 4 or 10. The division by q is a
 * multiplication, exact for all inputs. Coefficients are reduced. */
static void
poly_compress(const struct poly *poly, unsigned bits, uint8_t *bytes)
{
	uint64_t pending = 0;
	unsigned held = 0;

	for (size_t i = 0; i < N; i++) {
		uint64_t scaled = ((uint64_t)poly->coefficients[i] << bits) + (Q + 1) / 2;

		pending |= ((scaled * 1290167 >> 32) & ((1U << bits) - 1)) << held;
		for (held += bits; held >= 8; held -= 8, pending >>= 8)
			*bytes++ = (uint8_t)pending;
	}
}

static void
poly_decompress(struct poly *poly, unsigned bits, const uint8_t *bytes)
{
	uint32_t pending = 0, value;
	unsigned held = 0;

	for (size_t i = 0; i < N; i++) {
		for (; held < bits; held += 8)
			pending |= (uint32_t)*bytes++ << held;
		value = value_barrier(pending & ((1U << bits) - 1));
		poly->coefficients[i] = (int16_t)((value * Q + (1U << (bits - 1))) >> bits);
		pending >>= bits;
		held -= bits;
	}
}

/* SamplePolyCBD_2, algorithm 8. */
static void
poly_noise(struct poly *poly, const uint8_t bytes[NOISE_BYTES])
{
	for (size_t i = 0; i < N / 2; i++) {
		unsigned pairs = (bytes[i] & 0x55U) + (bytes[i] >> 1 & 0x55U);

		poly->coefficients[2 * i] = (int16_t)((int)(pairs & 3) - (int)(pairs >> 2 & 3));
		poly->coefficients[2 * i + 1] =
		    (int16_t)((int)(pairs >> 4 & 3) - (int)(pairs >> 6 & 3));
	}
}

/* PRF_2(seed, 0), PRF_2(seed, 1), ... into "count" polynomials, four at a time. */
static void
sample_noise(struct poly *polys, size_t count, const uint8_t seed[32])
{
	uint8_t inputs[4][33], blocks[4][SHAKE256_RATE];
	const uint8_t *const messages[4] = {inputs[0], inputs[1], inputs[2], inputs[3]};
	uint8_t *const outputs[4] = {blocks[0], blocks[1], blocks[2], blocks[3]};
	struct keccak_four keccak;

	for (size_t base = 0; base < count; base += 4) {
		for (size_t i = 0; i < 4; i++) {
			memcpy(inputs[i], seed, 32);
			inputs[i][32] = (uint8_t)(base + i);
		}
		keccak_four_start(&keccak, SHAKE256_RATE, messages, 33);
		keccak_four_squeeze(&keccak, outputs);
		for (size_t i = 0; i < 4 && base + i < count; i++)
			poly_noise(&polys[base + i], blocks[i]);
	}
	sodium_memzero(&keccak, sizeof keccak);
	sodium_memzero(inputs, sizeof inputs);
	sodium_memzero(blocks, sizeof blocks);
}

/*
 * The rejection of SampleNTT (algorithm 7) over one block; returns how many coefficients there are.
 */
static size_t
sample_block(struct poly *poly, size_t have, const uint8_t block[SHAKE128_RATE])
{
	for (size_t i = 0; i < SHAKE128_RATE; i += 3) {
		uint16_t a = (uint16_t)(block[i] | (block[i + 1] & 15) << 8);
		uint16_t b = (uint16_t)(block[i + 1] >> 4 | block[i + 2] << 4);

		if (a < Q && have < N)
			poly->coefficients[have++] = (int16_t)a;
		if (b < Q && have < N)
			poly->coefficients[have++] = (int16_t)b;
	}
	return have;
}

/* The matrix A from rho, row by row; it is public. */
static void
sample_matrix(struct poly matrix[K * K], const uint8_t rho[32])
{
	uint8_t inputs[4][34], blocks[4][SHAKE128_RATE];
	const uint8_t *const messages[4] = {inputs[0], inputs[1], inputs[2], inputs[3]};
	uint8_t *const outputs[4] = {blocks[0], blocks[1], blocks[2], blocks[3]};
	struct keccak_four keccak;

	for (size_t base = 0; base < K * K; base += 4) {
		size_t have[4] = {0}, lanes = K * K - base < 4 ? K * K - base : 4, least;

		for (size_t i = 0; i < 4; i++) {
			memcpy(inputs[i], rho, 32);
			inputs[i][32] = (uint8_t)((base + i) % K);
			inputs[i][33] = (uint8_t)((base + i) / K);
		}
		keccak_four_start(&keccak, SHAKE128_RATE, messages, 34);
		do {
			keccak_four_squeeze(&keccak, outputs);
			least = N;
			for (size_t i = 0; i < lanes; i++) {
				have[i] = sample_block(&matrix[base + i], have[i], blocks[i]);
				least = have[i] < least ? have[i] : least;
			}
		} while (least < N);
	}
}

/* K-PKE.KeyGen, algorithm 13. */
static void
pke_generate(const uint8_t d[32], uint8_t *public, uint8_t *private)
{
	uint8_t input[33], seeds[64]; /* rho and sigma */
	struct poly matrix[K * K], secrets[2 * K], *errors = secrets + K, t;

	memcpy(input, d, 32);
	input[32] = K;
	sha3_512(input, sizeof input, seeds);
	sample_matrix(matrix, seeds);
	sample_noise(secrets, 2 * K, seeds + 32);
	for (size_t i = 0; i < 2 * K; i++)
		ntt(&secrets[i]);
	for (size_t i = 0; i < K; i++) {
		inner_product(&t, matrix + K * i, 1, secrets);
		for (size_t j = 0; j < N; j++)
			t.coefficients[j] = montgomery(t.coefficients[j], R2_MOD_Q);
		poly_add(&t, &errors[i]);
		poly_normalise(&t);
		poly_encode(&t, public + POLY_BYTES * i);
	}
	for (size_t i = 0; i < K; i++) {
		poly_normalise(&secrets[i]);
		poly_encode(&secrets[i], private + POLY_BYTES * i);
	}
	memcpy(public + VECTOR_BYTES, seeds, 32);
	sodium_memzero(input, sizeof input);
	sodium_memzero(seeds, sizeof seeds);
	sodium_memzero(secrets, sizeof secrets);
}

/* K-PKE.Encrypt, algorithm 14. False when the public key is not one. */
static bool
pke_encrypt(const uint8_t *public, const uint8_t message[32], const uint8_t randomness[32],
    uint8_t *ciphertext)
{
	struct poly matrix[K * K], keys[K], noise[2 * K + 1], *y = noise, *e1 = noise + K;
	struct poly *e2 = noise + 2 * K, part;
	bool valid = true;

	for (size_t i = 0; i < K; i++)
		valid &= poly_decode(&keys[i], public + POLY_BYTES * i);
	if (!valid)
		return false;
	sample_matrix(matrix, public + VECTOR_BYTES);
	sample_noise(noise, 2 * K + 1, randomness);
	for (size_t i = 0; i < K; i++)
		ntt(&y[i]);
	for (size_t i = 0; i < K; i++) {
		inner_product(&part, matrix + i, K, y);
		ntt_inverse(&part);
		poly_add(&part, &e1[i]);
		poly_normalise(&part);
		poly_compress(&part, U_BITS, ciphertext + U_BYTES * i);
	}
	inner_product(&part, keys, 1, y);
	ntt_inverse(&part);
	poly_add(&part, e2);
	poly_decompress(e2, 1, message);
	poly_add(&part, e2);
	poly_normalise(&part);
	poly_compress(&part, V_BITS, ciphertext + U_BYTES * K);
	sodium_memzero(noise, sizeof noise);
	sodium_memzero(&part, sizeof part);
	return true;
}

/* K-PKE.Decrypt, algorithm 15. */
static void
pke_decrypt(const uint8_t *private, const uint8_t *ciphertext, uint8_t message[32])
{
	struct poly u[K], secrets[K], v, product;

	for (size_t i = 0; i < K; i++) {
		poly_decompress(&u[i], U_BITS, ciphertext + U_BYTES * i);
		ntt(&u[i]);
		poly_decode(&secrets[i], private + POLY_BYTES * i);
	}
	poly_decompress(&v, V_BITS, ciphertext + U_BYTES * K);
	inner_product(&product, secrets, 1, u);
	ntt_inverse(&product);
	for (size_t i = 0; i < N; i++)
		v.coefficients[i] = (int16_t)(v.coefficients[i] - product.coefficients[i]);
	poly_normalise(&v);
	poly_compress(&v, 1, message);
	sodium_memzero(secrets, sizeof secrets);
	sodium_memzero(&v, sizeof v);
	sodium_memzero(&product, sizeof product);
}

void
mlkem768_generate(const uint8_t *seed, uint8_t *public, uint8_t *private)
{
	pke_generate(seed, public, private);
	memcpy(private + PRIVATE_PUBLIC, public, MLKEM768_PUBLIC_LENGTH);
	sha3_256(public, MLKEM768_PUBLIC_LENGTH, private + PRIVATE_HASH);
	memcpy(private + PRIVATE_REJECT, seed + 32, 32);
}

int
mlkem768_encapsulate(
    const uint8_t *public, const uint8_t *message, uint8_t *ciphertext, uint8_t *secret)
{
	uint8_t input[64], keys[64];
	bool valid;

	memcpy(input, message, 32);
	sha3_256(public, MLKEM768_PUBLIC_LENGTH, input + 32);
	sha3_512(input, sizeof input, keys);
	valid = pke_encrypt(public, message, keys + 32, ciphertext);
	memcpy(secret, keys, MLKEM768_SECRET_LENGTH);
	sodium_memzero(input, sizeof input);
	sodium_memzero(keys, sizeof keys);
	return valid ? 0 : NACRE_ERROR_FORMAT;
}

/* J(z, c): the secret for a ciphertext that is wrong. */
static void
rejection_secret(const uint8_t z[32], const uint8_t *ciphertext, uint8_t *secret)
{
	struct keccak keccak;

	keccak_start(&keccak, SHAKE256_RATE);
	keccak_absorb(&keccak, z, 32);
	keccak_absorb(&keccak, ciphertext, MLKEM768_CIPHERTEXT_LENGTH);
	keccak_finish(&keccak, KECCAK_SHAKE);
	keccak_squeeze(&keccak, secret, MLKEM768_SECRET_LENGTH);
	sodium_memzero(&keccak, sizeof keccak);
}

void
mlkem768_decapsulate(const uint8_t *private, const uint8_t *ciphertext, uint8_t *secret)
{
	uint8_t input[64], keys[64], rejected[32], again[MLKEM768_CIPHERTEXT_LENGTH];
	uint8_t mask;

	pke_decrypt(private, ciphertext, input);
	memcpy(input + 32, private + PRIVATE_HASH, 32);
	sha3_512(input, sizeof input, keys);
	rejection_secret(private + PRIVATE_REJECT, ciphertext, rejected);
	/* A private key whose public part is not one gives nothing but rejections. */
	if (!pke_encrypt(private + PRIVATE_PUBLIC, input, keys + 32, again))
		memset(again, 0, sizeof again);
	mask = (uint8_t)sodium_memcmp(again, ciphertext, sizeof again); /* 0 or all ones */
	for (size_t i = 0; i < MLKEM768_SECRET_LENGTH; i++)
		secret[i] = (uint8_t)(keys[i] ^ ((keys[i] ^ rejected[i]) & mask));
	sodium_memzero(input, sizeof input);
	sodium_memzero(keys, sizeof keys);
	sodium_memzero(again, sizeof again);
	sodium_memzero(rejected, sizeof rejected);
}

bool
mlkem768_private_valid(const uint8_t *private)
{
	uint8_t hash[32];

	sha3_256(private + PRIVATE_PUBLIC, MLKEM768_PUBLIC_LENGTH, hash);
	return sodium_memcmp(hash, private + PRIVATE_HASH, sizeof hash) == 0;
}

static void
generate(uint8_t *public, uint8_t *private)
{
	uint8_t seed[MLKEM768_SEED_LENGTH];

	random_bytes(seed, sizeof seed);
	mlkem768_generate(seed, public, private);
	sodium_memzero(seed, sizeof seed);
}

/* OpenSSL's ML-KEM is taken when it is there already; it is not worth loading for. */
static const struct backend_mlkem *
backend_mlkem_loaded(void)
{
	const struct backend *backend = backend_loaded();

	return backend != NULL && backend->mlkem->available() ? backend->mlkem : NULL;
}

static int
encapsulate(const uint8_t *public, uint8_t *ciphertext, uint8_t *secret)
{
	const struct backend_mlkem *other = backend_mlkem_loaded();
	uint8_t message[32];
	int result;

	sodium_ready();
	if (other != NULL)
		return other->encapsulate(public, ciphertext, secret);
	random_bytes(message, sizeof message);
	result = mlkem768_encapsulate(public, message, ciphertext, secret);
	sodium_memzero(message, sizeof message);
	return result;
}

static int
decapsulate(const uint8_t *private, const uint8_t *ciphertext, uint8_t *secret)
{
	const struct backend_mlkem *other = backend_mlkem_loaded();

	if (other != NULL)
		return other->decapsulate(private, ciphertext, secret);
	mlkem768_decapsulate(private, ciphertext, secret);
	return 0;
}

const struct kem kem_mlkem768 = {
    .public_length = MLKEM768_PUBLIC_LENGTH,
    .private_length = MLKEM768_PRIVATE_LENGTH,
    .ciphertext_length = MLKEM768_CIPHERTEXT_LENGTH,
    .generate = generate,
    .encapsulate = encapsulate,
    .decapsulate = decapsulate,
};
