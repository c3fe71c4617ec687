/* Safe primes, told by OpenSSL's big numbers. */
/* What took its place since 3.0 does not take the number of rounds. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <crypto/backend.h>

#include <limits.h>
#include <openssl/bn.h>

/* One round sorts out nearly all that is composite, before either number is tested thoroughly. */
static int
both_prime(const BIGNUM *q, const BIGNUM *p, int trials, BN_CTX *context)
{
	int prime = BN_is_prime_fasttest_ex(q, 1, context, 0, NULL);

	if (prime == 1)
		prime = BN_is_prime_fasttest_ex(p, trials, context, 0, NULL);
	if (prime == 1 && trials > 1)
		prime = BN_is_prime_fasttest_ex(q, trials, context, 0, NULL);
	return prime < 0 ? NACRE_ERROR_LIBRARY : prime;
}

int
backend_is_safe_prime(struct nacre_span q, unsigned trials)
{
	BN_CTX *context = BN_CTX_new();
	BIGNUM *half = q.length <= INT_MAX ? BN_bin2bn(q.data, (int)q.length, NULL) : NULL;
	BIGNUM *whole = half != NULL ? BN_dup(half) : NULL;
	int result = NACRE_ERROR_LIBRARY;

	if (context != NULL && whole != NULL && BN_lshift1(whole, whole) == 1 &&
	    BN_add_word(whole, 1) == 1)
		result = both_prime(half, whole, trials < INT_MAX ? (int)trials : INT_MAX, context);
	BN_free(half);
	BN_free(whole);
	BN_CTX_free(context);
	return result;
}
