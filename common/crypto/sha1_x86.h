/* SHA-1 of one block with the SHA instructions of x86 processors, where there are some. */
#ifndef CRYPTO_SHA1_X86_H
#define CRYPTO_SHA1_X86_H

#include <stdbool.h>
#include <stdint.h>

bool sha1_x86_available(void);
void sha1_x86_compress(uint32_t state[5], const uint8_t *block);

#endif
