/*
 * Key encapsulation mechanisms for the hybrid key exchanges: ML-KEM-768 (FIPS 203) and Streamlined
 * NTRU Prime with the parameter set sntrup761. Our own code, in time independent of secrets.
 */
#ifndef CRYPTO_KEM_H
#define CRYPTO_KEM_H

#include <nacre/error.h>

#include <stddef.h>
#include <stdint.h>

#define KEM_SECRET_LENGTH  32
#define KEM_PUBLIC_MAX     1184
#define KEM_CIPHERTEXT_MAX 1088
#define KEM_PRIVATE_MAX    2400

struct kem {
	size_t public_length; /* bytes */
	size_t private_length;
	size_t ciphertext_length;
	void (*generate)(uint8_t *public, uint8_t *private);
	/* NACRE_ERROR_FORMAT when the public key is not one. */
	int (*encapsulate)(const uint8_t *public, uint8_t *ciphertext, uint8_t *secret);
	/* A wrong ciphertext gives a secret that nobody else has (implicit rejection). */
	int (*decapsulate)(const uint8_t *private, const uint8_t *ciphertext, uint8_t *secret);
};

extern const struct kem kem_mlkem768, kem_sntrup761;

#endif
