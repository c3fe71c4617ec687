/*
 * What programs need to know of the cryptography below: lists of names, preloading, and the
 * library's initialisation.
 */
#ifndef NACRE_CRYPTO_H
#define NACRE_CRYPTO_H

#include <nacre/error.h>
#include <nacre/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

enum nacre_algorithm_list {
	NACRE_LIST_CIPHERS,
	NACRE_LIST_AEAD_CIPHERS,
	NACRE_LIST_MACS,
	NACRE_LIST_KEX,
	NACRE_LIST_COMPRESSION,
	NACRE_LIST_KEYS,          /* key formats, certificates included */
	NACRE_LIST_PLAIN_KEYS,    /* key formats without certificates */
	NACRE_LIST_CERTIFICATES,  /* certificate formats */
	NACRE_LIST_SIGNATURES,    /* signature algorithms, without certificates */
	NACRE_LIST_KEY_ALGORITHMS /* signature algorithms, certificates included */
};

/* The names we have ("all"), or those offered by default, in order of preference, comma-separated;
 * static storage. For KEX the default is that of a client or of a server. */
const char *nacre_algorithms(enum nacre_algorithm_list list);
const char *nacre_algorithms_default(enum nacre_algorithm_list list, bool server);

/*
 * Makes a list from what a user wrote (Ciphers, MACs, KexAlgorithms, HostKeyAlgorithms, ...): names
 * and patterns with * and ?, or behind "+" added to the end of the default, behind "-" removed from
 * it, behind "^" put to its front. Appends the list to *assembled; where a list of its own or one
 * behind "+" or "^" has a name that we do not know, returns NACRE_ERROR_UNSUPPORTED with *unknown
 * (may be NULL) being that name within "text". NACRE_ERROR_FORMAT when nothing is left.
 */
int nacre_algorithms_assemble(enum nacre_algorithm_list list, bool server, struct nacre_span text,
    struct nacre_buffer *assembled, struct nacre_span *unknown);

/* Loads the cryptographic modules now, before the process loses access to files. "use" also runs
 * their one-time initialisation. 0 or NACRE_ERROR_LIBRARY. */
int nacre_crypto_preload(bool use);

/* The versions of the cryptographic libraries, for people: "libsodium 1.0.18, OpenSSL 3.0.15 ...,
 * nettle 3.8". Those in modules only when the module is loaded already or "load" is true. Static
 * storage. */
const char *nacre_crypto_versions(bool load);

/* Random bytes from the kernel's generator; a comparison whose time does not depend on the bytes;
 * wiping that is not optimised away. "length" in bytes. */
void nacre_random(void *bytes, size_t length);
bool nacre_secret_equal(const void *a, const void *b, size_t length);
void nacre_wipe(void *bytes, size_t length);

#ifdef __cplusplus
}
#endif
#endif
