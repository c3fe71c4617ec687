/*
 * Groups for Diffie-Hellman group exchange (RFC 4419) in the making: candidates from a sieve, and the
 * tests that tell the safe primes among them. Numbers are big-endian magnitudes.
 */
#ifndef NACRE_MODULI_H
#define NACRE_MODULI_H

#include <nacre/error.h>
#include <nacre/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { NACRE_MODULI_BITS_MIN = 512, NACRE_MODULI_BITS_MAX = 16384 };

/* Numbers q in a range, of which q and 2q + 1 have no small factor. */
struct nacre_moduli_sieve;

/*
 * Sieves the odd numbers from "start" on (empty: from a random number whose 2q + 1 has "bits" bits),
 * as many as 8 times "memory" bytes. 0, NACRE_ERROR_ARGUMENT (sizes out of range, a start that is not
 * of bits - 1 bits) or NACRE_ERROR_MEMORY.
 */
int nacre_moduli_sieve_new(
    unsigned bits, struct nacre_span start, size_t memory, struct nacre_moduli_sieve **sieve);
/* Appends the next q; false at the end, or without memory (then the buffer has failed). */
bool nacre_moduli_sieve_next(struct nacre_moduli_sieve *sieve, struct nacre_buffer *q);
void nacre_moduli_sieve_free(struct nacre_moduli_sieve *sieve);

/* Is q a prime, and 2q + 1, too? At least "trials" rounds of Miller and Rabin's test for each. 1, 0, or
 * NACRE_ERROR_LIBRARY. */
int nacre_moduli_is_safe(struct nacre_span q, unsigned trials);

#ifdef __cplusplus
}
#endif
#endif
