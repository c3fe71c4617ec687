/*
 * The safe primes of RFC 2409 section 6.2 and RFC 3526, made by the formula that both give:
 * p = 2^n - 2^(n-64) - 1 + 2^64 * (floor(2^(n-130) * pi) + K).
 */
#include <crypto/dh_groups.h>
#include <crypto/kex.h>
#include <crypto/pi.h>

#include <pthread.h>

static const struct group {
	unsigned bits;
	uint32_t k;
} groups[] = {
    {1024, 129093},
    {2048, 124476},
    {3072, 1690314},
    {4096, 240904},
    {6144, 929484},
    {8192, 4743158},
};

#define GROUP_COUNT (sizeof groups / sizeof groups[0])
#define PRIME_MAX   1024 /* bytes */

static uint8_t primes[GROUP_COUNT][PRIME_MAX];

/* Byte "index" of pi, the first being 3. */
static unsigned
pi_byte(size_t index)
{
	if (index == 0)
		return 3;
	index--;
	return pi_fraction[index / 4] >> (24 - 8 * (index % 4)) & 0xff;
}

/* Byte "index" of pi / 4, whose binary form is 0.11 followed by the fraction of pi. */
static uint8_t
quarter_pi_byte(size_t index)
{
	return (uint8_t)(pi_byte(index) << 6 | pi_byte(index + 1) >> 2);
}

/* All ones in the first and the last 64 bits (the -1 borrows from what is above), the digits of pi
 * plus K - 1 between them. */
static void
prime_make(uint8_t *prime, const struct group *group)
{
	size_t length = group->bits / 8;
	uint64_t carry = group->k - 1;

	for (size_t i = 0; i < 8; i++)
		prime[i] = prime[length - 1 - i] = 0xff;
	for (size_t i = length - 8; i-- > 8;) {
		carry += quarter_pi_byte(i - 8);
		prime[i] = (uint8_t)carry;
		carry >>= 8;
	}
}

static void
primes_make(void)
{
	for (size_t i = 0; i < GROUP_COUNT; i++)
		prime_make(primes[i], &groups[i]);
}

struct nacre_span
dh_group_prime(unsigned bits)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, primes_make);
	for (size_t i = 0; i < GROUP_COUNT; i++)
		if (groups[i].bits == bits)
			return (struct nacre_span){primes[i], bits / 8};
	return (struct nacre_span){NULL, 0};
}

struct nacre_span
kex_builtin_prime(unsigned bits)
{
	for (size_t i = 1; i < GROUP_COUNT; i++)
		if (groups[i].bits >= bits)
			return dh_group_prime(groups[i].bits);
	return dh_group_prime(groups[GROUP_COUNT - 1].bits);
}
