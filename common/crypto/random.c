/* Randomness, constant-time comparison and wiping, and the initialisation of libsodium. */
#include <crypto/random.h>
#include <nacre/crypto.h>

#include <sodium.h>
#include <stdatomic.h>

void
sodium_ready(void)
{
	static _Atomic bool ready;

	if (atomic_load_explicit(&ready, memory_order_acquire))
		return;
	/* It fails only without a source of randomness, and then nothing may go on. */
	if (sodium_init() < 0)
		sodium_misuse();
	atomic_store_explicit(&ready, true, memory_order_release);
}

void
random_bytes(void *bytes, size_t length)
{
	sodium_ready();
	randombytes_buf(bytes, length);
}

uint32_t
random_below(uint32_t bound)
{
	sodium_ready();
	return randombytes_uniform(bound);
}

void
nacre_random(void *bytes, size_t length)
{
	random_bytes(bytes, length);
}

bool
nacre_secret_equal(const void *a, const void *b, size_t length)
{
	return sodium_memcmp(a, b, length) == 0;
}

void
nacre_wipe(void *bytes, size_t length)
{
	sodium_memzero(bytes, length);
}
