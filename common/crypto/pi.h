/* The binary digits of pi. */
#ifndef CRYPTO_PI_H
#define CRYPTO_PI_H

#include <stdint.h>

#define PI_WORDS 1042 /* 18 + 4 * 256, what Blowfish needs */

/* The fraction of pi, the most significant word first. */
extern const uint32_t pi_fraction[PI_WORDS];

#endif
