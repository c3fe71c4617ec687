/* SHA-1 (FIPS 180-4), for hashed host names in known_hosts: a login needs no library for it. */
#ifndef CRYPTO_SHA1_H
#define CRYPTO_SHA1_H

#include <stddef.h>
#include <stdint.h>

#define SHA1_LENGTH       20
#define SHA1_BLOCK_LENGTH 64

struct sha1 {
	uint32_t state[5];
	uint64_t length; /* bytes so far */
	uint8_t block[SHA1_BLOCK_LENGTH];
};

void sha1_start(struct sha1 *sha1);
void sha1_update(struct sha1 *sha1, const uint8_t *data, size_t length);
/* Writes the digest and wipes the state. */
void sha1_finish(struct sha1 *sha1, uint8_t digest[SHA1_LENGTH]);

#endif
