/* The safe primes of RFC 2409 (1,024 bits) and RFC 3526, all with generator 2. */
#ifndef CRYPTO_DH_GROUPS_H
#define CRYPTO_DH_GROUPS_H

#include <nacre/wire.h>

/* The prime of exactly "bits" bits (1024, 2048, 3072, 4096, 6144, 8192), or an empty span.
 * Magnitude in static storage. */
struct nacre_span dh_group_prime(unsigned bits);

#endif
