/* The sieve that finds candidates for safe primes (RFC 4419), and the question whether they are. */
#include <crypto/backend.h>
#include <crypto/random.h>
#include <nacre/moduli.h>

#include <stdlib.h>
#include <string.h>

/* Primes to sieve with: all below this. Larger ones cost more than the tests that they save. */
#define SMALL_LIMIT ((uint32_t)1 << 22)
#define WORDS_MAX   (NACRE_MODULI_BITS_MAX / 64)
#define MEMORY_MAX  ((size_t)1 << 30)

struct nacre_moduli_sieve {
	uint64_t start[WORDS_MAX + 1]; /* least significant first */
	size_t words;
	uint8_t *struck; /* bit i: start + 2i, or twice that and one, has a small factor */
	size_t count, at;
};

static bool
bit_get(const uint8_t *bits, size_t i)
{
	return (bits[i / 8] >> i % 8 & 1) != 0;
}

static void
bit_set(uint8_t *bits, size_t i)
{
	bits[i / 8] |= (uint8_t)(1U << i % 8);
}

static uint32_t
remainder_of(const struct nacre_moduli_sieve *sieve, uint32_t divisor)
{
	uint64_t rest = 0;

	for (size_t i = sieve->words; i > 0; i--) {
		rest = (rest << 32 | sieve->start[i - 1] >> 32) % divisor;
		rest = (rest << 32 | (sieve->start[i - 1] & UINT32_MAX)) % divisor;
	}
	return (uint32_t)rest;
}

/* Strikes out the numbers start + 2i that leave "rest" when divided by a prime. */
static void
strike(struct nacre_moduli_sieve *sieve, uint32_t prime, uint32_t start_rest, uint32_t rest)
{
	const uint64_t half = (prime + 1) / 2; /* the inverse of 2 */
	const uint64_t distance = (uint64_t)rest + prime - start_rest;

	for (size_t i = (size_t)(distance % prime * half % prime); i < sieve->count; i += prime)
		bit_set(sieve->struck, i);
}

static void
strike_multiples(struct nacre_moduli_sieve *sieve, uint32_t prime)
{
	const uint32_t rest = remainder_of(sieve, prime);

	strike(sieve, prime, rest, 0);               /* q is divisible */
	strike(sieve, prime, rest, (prime - 1) / 2); /* 2q + 1 is */
}

/* With each odd prime below the limit, found by a sieve of their own. */
static int
sieve_run(struct nacre_moduli_sieve *sieve)
{
	uint8_t *composite = calloc(1, SMALL_LIMIT / 16 + 1); /* bit i: 2i + 1 */

	if (composite == NULL)
		return NACRE_ERROR_MEMORY;
	for (uint32_t i = 1; 2 * i + 1 < SMALL_LIMIT; i++) {
		const uint32_t prime = 2 * i + 1;

		if (bit_get(composite, i))
			continue;
		for (uint64_t j = (uint64_t)prime * prime; j < SMALL_LIMIT;
		     j += 2 * (uint64_t)prime)
			bit_set(composite, (size_t)(j / 2));
		strike_multiples(sieve, prime);
	}
	free(composite);
	return 0;
}

/* The start as words; odd. False when it has not bits - 1 bits. */
static bool
start_set(struct nacre_moduli_sieve *sieve, unsigned bits, struct nacre_span start)
{
	const unsigned top = bits - 2; /* the highest bit of q */

	sieve->words = (top / 64) + 1;
	if (start.length > sieve->words * 8)
		return false;
	for (size_t i = 0; i < start.length; i++)
		sieve->start[i / 8] |= (uint64_t)start.data[start.length - 1 - i] << 8 * (i % 8);
	sieve->start[0] |= 1;
	return sieve->start[top / 64] >> top % 64 == 1;
}

static bool
start_random(struct nacre_moduli_sieve *sieve, unsigned bits)
{
	uint8_t bytes[WORDS_MAX * 8];
	const unsigned top = bits - 2;
	const size_t length = top / 8 + 1;

	random_bytes(bytes, length);
	bytes[0] &= (uint8_t)((1U << top % 8) - 1);
	bytes[0] |= (uint8_t)(1U << top % 8);
	return start_set(sieve, bits, (struct nacre_span){bytes, length});
}

int
nacre_moduli_sieve_new(
    unsigned bits, struct nacre_span start, size_t memory, struct nacre_moduli_sieve **sieve)
{
	struct nacre_moduli_sieve *made;
	int error;

	if (bits < NACRE_MODULI_BITS_MIN || bits > NACRE_MODULI_BITS_MAX || memory == 0 ||
	    memory > MEMORY_MAX)
		return NACRE_ERROR_ARGUMENT;
	if ((made = calloc(1, sizeof *made)) == NULL)
		return NACRE_ERROR_MEMORY;
	made->count = memory * 8;
	made->struck = calloc(1, memory);
	error = made->struck == NULL ? NACRE_ERROR_MEMORY : 0;
	if (error == 0 &&
	    !(start.length > 0 ? start_set(made, bits, start) : start_random(made, bits)))
		error = NACRE_ERROR_ARGUMENT;
	if (error == 0)
		error = sieve_run(made);
	if (error != 0)
		nacre_moduli_sieve_free(made);
	else
		*sieve = made;
	return error;
}

void
nacre_moduli_sieve_free(struct nacre_moduli_sieve *sieve)
{
	if (sieve == NULL)
		return;
	free(sieve->struck);
	free(sieve);
}

/* Appends start + 2i. */
static void
put_sum(const struct nacre_moduli_sieve *sieve, size_t i, struct nacre_buffer *q)
{
	uint64_t sum[WORDS_MAX + 1] = {0};
	uint64_t carry = 2 * (uint64_t)i;
	bool leading = true;

	for (size_t word = 0; word < sieve->words; word++) {
		sum[word] = sieve->start[word] + carry;
		carry = sum[word] < carry;
	}
	for (size_t byte = sieve->words * 8; byte > 0; byte--) {
		const uint8_t value = (uint8_t)(sum[(byte - 1) / 8] >> 8 * ((byte - 1) % 8));

		leading = leading && value == 0;
		if (!leading)
			nacre_put_byte(q, value);
	}
}

bool
nacre_moduli_sieve_next(struct nacre_moduli_sieve *sieve, struct nacre_buffer *q)
{
	while (sieve->at < sieve->count && bit_get(sieve->struck, sieve->at))
		sieve->at++;
	if (sieve->at == sieve->count)
		return false;
	put_sum(sieve, sieve->at++, q);
	return !q->failed;
}

int
nacre_moduli_is_safe(struct nacre_span q, unsigned trials)
{
	const struct backend *backend = backend_get();

	return backend == NULL ? NACRE_ERROR_LIBRARY : backend->is_safe_prime(q, trials);
}
