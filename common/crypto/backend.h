/*
 * What comes from OpenSSL and nettle: everything that a common login (curve25519, ML-KEM, ed25519,
 * chacha20-poly1305, SHA-2) does without. Linking libcrypto costs a process 0.7 ms and half a MiB
 * of private memory at its start and 1.5 ms more on first use, so these adapters live in a module,
 * libnacre-crypto.so.0 beside libnacre.so.0, that is loaded when the first of them is needed; the
 * static library contains them directly.
 *
 * A process that is going to be confined calls nacre_crypto_preload() first.
 */
#ifndef CRYPTO_BACKEND_H
#define CRYPTO_BACKEND_H

struct backend;

/* The backend, loaded now if need be; NULL when it cannot be loaded (NACRE_ERROR_LIBRARY). */
const struct backend *backend_get(void);

#endif
