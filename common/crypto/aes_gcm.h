/*
 * AES-GCM with the vector instructions of newer x86 processors (VAES and VPCLMULQDQ on 512-bit
 * registers): two to three times as fast as OpenSSL 3.0, and without loading it. Where the processor
 * has none, the backend does it.
 */
#ifndef CRYPTO_AES_GCM_H
#define CRYPTO_AES_GCM_H

#include <nacre/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AES_GCM_IV_LENGTH  12
#define AES_GCM_TAG_LENGTH 16

struct aes_gcm;

/* True when this processor can. */
bool aes_gcm_available(void);
/* key_length is 16 or 32 bytes. NULL without memory. */
struct aes_gcm *aes_gcm_new(const uint8_t *key, size_t key_length);
/* Wipes and frees; NULL is allowed. */
void aes_gcm_free(struct aes_gcm *gcm);
/* The first "clear" bytes (at most 16) are only authenticated, the others en- or decrypted in
 * place; the tag is written to, or expected, behind "length". */
void aes_gcm_seal(
    const struct aes_gcm *gcm, const uint8_t *iv, uint8_t *data, size_t length, size_t clear);
int aes_gcm_open(
    const struct aes_gcm *gcm, const uint8_t *iv, uint8_t *data, size_t length, size_t clear);

#endif
