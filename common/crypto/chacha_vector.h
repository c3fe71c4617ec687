/*
 * ChaCha20 and Poly1305 on 512-bit vectors (AVX-512 with its multiply-add of 52-bit integers): twice
 * as fast as OpenSSL's one after the other, and nothing to load. For processors that have them; the
 * others use libsodium and the backend.
 */
#ifndef CRYPTO_CHACHA_VECTOR_H
#define CRYPTO_CHACHA_VECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True when this processor can. */
bool chacha_vector_available(void);
/* As crypto_stream_chacha20_xor_ic() of libsodium, in place. */
void chacha_vector_xor(
    const uint8_t key[32], const uint8_t nonce[8], uint64_t counter, uint8_t *data, size_t length);
/* As crypto_onetimeauth_poly1305(). */
void poly1305_vector(const uint8_t key[32], const uint8_t *data, size_t length, uint8_t tag[16]);

#endif
