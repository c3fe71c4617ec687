/* bcrypt_pbkdf: from a passphrase to the key that encrypts an openssh-key-v1 private key file. */
#ifndef CRYPTO_BCRYPT_PBKDF_H
#define CRYPTO_BCRYPT_PBKDF_H

#include <nacre/error.h>
#include <nacre/wire.h>

/* Derives key_length (1 to 1024) bytes. Passphrase and salt must not be empty, rounds at least 1;
 * NACRE_ERROR_ARGUMENT otherwise. Takes about "rounds" milliseconds for 48 bytes. */
int bcrypt_pbkdf(struct nacre_span passphrase, struct nacre_span salt, unsigned rounds,
    uint8_t *key, size_t key_length);

#endif
