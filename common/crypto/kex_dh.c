/*
 * Diffie-Hellman in finite fields: the fixed groups of RFC 4253 section 8, RFC 8268, and group
 * exchange (RFC 4419).
 */
#include <crypto/dh_groups.h>
#include <crypto/kex_functions.h>
#include <crypto/random.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_BITS_MIN 2048
#define GROUP_BITS_MAX 8192
/*
 * Twice the strength of the largest group and more: with a safe prime, as good as a full-size one.
 */
#define EXPONENT_BYTES 64

static struct nacre_span
trimmed(struct nacre_span magnitude)
{
	while (magnitude.length > 0 && magnitude.data[0] == 0) {
		magnitude.data++;
		magnitude.length--;
	}
	return magnitude;
}

static size_t
bit_length(struct nacre_span magnitude)
{
	size_t bits = magnitude.length * 8;

	for (uint8_t mask = 0x80; magnitude.length > 0 && (magnitude.data[0] & mask) == 0;
	     mask >>= 1)
		bits--;
	return bits;
}

/* 1 < value < p - 1, for public values and an odd p. */
static bool
within(struct nacre_span value, struct nacre_span prime)
{
	int order;

	value = trimmed(value);
	prime = trimmed(prime);
	if (value.length == 0 || (value.length == 1 && value.data[0] == 1) || prime.length == 0 ||
	    value.length > prime.length)
		return false;
	if (value.length < prime.length)
		return true;
	/* p is odd, so p - 1 differs from it in the last byte only. */
	order = memcmp(value.data, prime.data, value.length - 1);
	return order < 0 ||
	       (order == 0 && value.data[value.length - 1] < prime.data[prime.length - 1] - 1);
}

int
kex_dh_start(struct kex_agreement *agreement, struct nacre_span g, struct nacre_buffer *public)
{
	const struct backend *backend = backend_get();
	uint8_t *exponent;

	if (backend == NULL)
		return NACRE_ERROR_LIBRARY;
	if ((exponent = nacre_buffer_room(&agreement->exponent, EXPONENT_BYTES)) == NULL)
		return NACRE_ERROR_MEMORY;
	random_bytes(exponent, EXPONENT_BYTES);
	exponent[0] |= 0x80;
	nacre_buffer_added(&agreement->exponent, EXPONENT_BYTES);
	return backend->agreements->power(g, nacre_buffer_span(&agreement->exponent),
	    nacre_buffer_span(&agreement->prime), public);
}

static const uint8_t two[1] = {2};

static int
group_start(struct kex_agreement *agreement, struct nacre_buffer *public)
{
	nacre_put_span(&agreement->prime, dh_group_prime(agreement->functions->bits));
	return kex_dh_start(agreement, (struct nacre_span){two, sizeof two}, public);
}

static int
dh_finish(struct kex_agreement *agreement, struct nacre_span peer, struct nacre_buffer *secret)
{
	const struct backend *backend = backend_get();
	struct nacre_span prime = nacre_buffer_span(&agreement->prime);
	size_t before = nacre_buffer_length(secret);
	struct nacre_span k;
	int result;

	if (backend == NULL)
		return NACRE_ERROR_LIBRARY;
	if (!within(peer, prime))
		return NACRE_ERROR_PROTOCOL;
	result = backend->agreements->power(
	    peer, nacre_buffer_span(&agreement->exponent), prime, secret);
	if (result != 0)
		return result;
	k = nacre_buffer_span(secret);
	k.data += before;
	k.length -= before;
	/* A value of small order in a group that the peer chose. */
	return within(k, prime) ? 0 : NACRE_ERROR_PROTOCOL;
}

int
kex_gex_start(struct nacre_span p, struct nacre_span g, struct kex_agreement **agreement,
    struct nacre_buffer *public)
{
	struct kex_agreement *new;
	size_t bits;
	int result;

	*agreement = NULL;
	p = trimmed(p);
	bits = bit_length(p);
	if (bits < GROUP_BITS_MIN || bits > GROUP_BITS_MAX || (p.data[p.length - 1] & 1) == 0 ||
	    !within(g, p))
		return NACRE_ERROR_PROTOCOL;
	if ((new = calloc(1, sizeof *new)) == NULL)
		return NACRE_ERROR_MEMORY;
	new->functions = &kex_group_exchange;
	nacre_put_span(&new->prime, p);
	result = new->prime.failed ? NACRE_ERROR_MEMORY : kex_dh_start(new, g, public);
	if (result != 0) {
		kex_agreement_free(new);
		return result;
	}
	*agreement = new;
	return 0;
}

const struct kex_functions kex_group1 = {.start = group_start, .finish = dh_finish, .bits = 1024};
const struct kex_functions kex_group14 = {.start = group_start, .finish = dh_finish, .bits = 2048};
const struct kex_functions kex_group16 = {.start = group_start, .finish = dh_finish, .bits = 4096};
const struct kex_functions kex_group18 = {.start = group_start, .finish = dh_finish, .bits = 8192};
const struct kex_functions kex_group_exchange = {.finish = dh_finish};
