/*
 * ML-KEM-768 (FIPS 203). The functions with all randomness as an argument; kem_mlkem768 in kem.h is
 * what the key exchange uses.
 */
#ifndef CRYPTO_MLKEM768_H
#define CRYPTO_MLKEM768_H

#include <nacre/error.h>

#include <stdbool.h>
#include <stdint.h>

#define MLKEM768_SEED_LENGTH       64 /* d and z */
#define MLKEM768_PUBLIC_LENGTH     1184
#define MLKEM768_PRIVATE_LENGTH    2400
#define MLKEM768_CIPHERTEXT_LENGTH 1088
#define MLKEM768_SECRET_LENGTH     32

/* ML-KEM.KeyGen_internal, algorithm 16. */
void mlkem768_generate(const uint8_t *seed, uint8_t *public, uint8_t *private);
/* ML-KEM.Encaps_internal, algorithm 17, with the check of section 7.2: NACRE_ERROR_FORMAT when a
 * coefficient of the public key is not reduced. */
int mlkem768_encapsulate(
    const uint8_t *public, const uint8_t *message, uint8_t *ciphertext, uint8_t *secret);
/* ML-KEM.Decaps_internal, algorithm 18. */
void mlkem768_decapsulate(const uint8_t *private, const uint8_t *ciphertext, uint8_t *secret);
/* The hash check of section 7.3, for private keys that come from elsewhere. */
bool mlkem768_private_valid(const uint8_t *private);

#endif
