/*
 * Locking a keyring with a passphrase. What is kept is an Argon2id hash, made again at every guess,
 * compared in constant time; wrong guesses cost more and more time.
 */
#include <agent/keyring.h>

#include <sodium.h>

#define DELAY_FIRST    100 /* milliseconds */
#define DELAY_MOST     10000
#define LOCK_MEMORY    ((size_t)16 * 1024 * 1024)
#define LOCK_PASSES    2
#define FAILURES_COUNT 16 /* from here on the delay is at its maximum */

static int
lock_hash(const struct keyring_lock *lock, struct nacre_span passphrase, uint8_t *hash)
{
	if (crypto_pwhash(hash, LOCK_HASH_LENGTH, (const char *)passphrase.data, passphrase.length,
		lock->salt, LOCK_PASSES, LOCK_MEMORY, crypto_pwhash_ALG_ARGON2ID13) != 0)
		return NACRE_ERROR_MEMORY;
	return 0;
}

int
keyring_lock(struct keyring_lock *lock, struct nacre_span passphrase)
{
	int error;

	if (lock->locked)
		return NACRE_ERROR_STATE;
	randombytes_buf(lock->salt, sizeof lock->salt);
	if ((error = lock_hash(lock, passphrase, lock->hash)) != 0)
		return error;
	lock->locked = true;
	lock->failures = 0;
	return 0;
}

static uint64_t
failure_delay(struct keyring_lock *lock)
{
	uint64_t delay = (uint64_t)DELAY_FIRST << lock->failures;

	if (lock->failures < FAILURES_COUNT)
		lock->failures++;
	return delay < DELAY_MOST ? delay : DELAY_MOST;
}

int
keyring_unlock(struct keyring_lock *lock, struct nacre_span passphrase, uint64_t *delay)
{
	uint8_t hash[LOCK_HASH_LENGTH];
	bool same;

	if (!lock->locked)
		return NACRE_ERROR_STATE;
	if (lock_hash(lock, passphrase, hash) != 0)
		return NACRE_ERROR_MEMORY;
	same = sodium_memcmp(hash, lock->hash, sizeof hash) == 0;
	sodium_memzero(hash, sizeof hash);
	if (!same) {
		*delay = failure_delay(lock);
		return NACRE_ERROR_PASSPHRASE;
	}
	sodium_memzero(lock, sizeof *lock);
	return 0;
}
