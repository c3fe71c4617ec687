/* SHA-3 and SHAKE (FIPS 202), for ML-KEM. */
#ifndef CRYPTO_KECCAK_H
#define CRYPTO_KECCAK_H

#include <stddef.h>
#include <stdint.h>

#define SHAKE128_RATE 168
#define SHAKE256_RATE 136
#define SHA3_256_RATE 136
#define SHA3_512_RATE 72

/* A sponge. Absorb any number of times, finish with the function's suffix, then squeeze. */
struct keccak {
	uint64_t lanes[25];
	size_t rate;     /* bytes */
	size_t position; /* in the block that is being absorbed or squeezed */
};

enum keccak_suffix { KECCAK_SHA3 = 0x06, KECCAK_SHAKE = 0x1f };

void keccak_start(struct keccak *keccak, size_t rate);
void keccak_absorb(struct keccak *keccak, const uint8_t *data, size_t length);
void keccak_finish(struct keccak *keccak, enum keccak_suffix suffix);
void keccak_squeeze(struct keccak *keccak, uint8_t *data, size_t length);

void sha3_256(const uint8_t *data, size_t length, uint8_t digest[32]);
void sha3_512(const uint8_t *data, size_t length, uint8_t digest[64]);

/*
 * Four SHAKE sponges side by side, which vector units run as fast as one: each absorbs one message
 * of "length" (below the rate) bytes, then blocks are squeezed from all.
 */
typedef uint64_t keccak_quad __attribute__((vector_size(32)));
struct keccak_four {
	keccak_quad lanes[25];
	size_t rate;
};
void keccak_four_start(
    struct keccak_four *keccak, size_t rate, const uint8_t *const messages[4], size_t length);
/* The next "rate" bytes of each. */
void keccak_four_squeeze(struct keccak_four *keccak, uint8_t *const blocks[4]);

#endif
