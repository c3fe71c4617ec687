/* Random bytes from the system's generator (libsodium). Never fails. */
#ifndef CRYPTO_RANDOM_H
#define CRYPTO_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *bytes, size_t length);
/* Uniform below "bound" (at least 1). */
uint32_t random_below(uint32_t bound);

/*
 * Initialises libsodium on its first call: before its ciphers, so that it picks its fastest code.
 */
void sodium_ready(void);

#endif
