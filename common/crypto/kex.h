/*
 * Key agreement as a table: Diffie-Hellman groups, elliptic curves and the hybrids with ML-KEM-768
 * and sntrup761. A method turns public values into a shared secret; the messages around it, the
 * exchange hash and key derivation are the transport's.
 */
#ifndef CRYPTO_KEX_H
#define CRYPTO_KEX_H

#include <crypto/hash.h>
#include <nacre/error.h>
#include <nacre/wire.h>

enum kex_kind {
	KEX_STRING, /* messages 30/31 with strings: RFC 5656, RFC 8731 and the hybrids */
	KEX_DH,     /* messages 30/31 with mpints: RFC 4253 section 8 */
	KEX_DH_GEX  /* messages 34, 31, 32, 33: RFC 4419 */
};

struct kex_agreement; /* one side's ephemeral private state */

struct kex_method {
	const char *name;
	const struct hash_algorithm *hash;
	const struct kex_functions *functions; /* private to crypto/ */
	enum kex_kind kind;
	bool secret_is_string; /* hybrids: K enters the exchange hash as string, else as mpint */
	bool post_quantum;
	bool by_default; /* offered without being asked for */
	bool by_default_client_only;
};

const struct kex_method *kex_find(struct nacre_span name);
const struct kex_method *kex_table(size_t *count);

/*
 * Client: makes its ephemeral value; *public gets the content of the string (KEX_STRING) or the
 * big-endian magnitude (KEX_DH). For KEX_DH_GEX use kex_gex_start().
 */
int kex_client_start(
    const struct kex_method *method, struct kex_agreement **agreement, struct nacre_buffer *public);
/* Client: from the server's value, checked as its standard demands, to K: the content of the
 * string, or the magnitude of the mpint. */
int kex_client_finish(
    struct kex_agreement *agreement, struct nacre_span server_public, struct nacre_buffer *secret);
/* Server: from the client's value to its own and K, in one step. */
int kex_server(const struct kex_method *method, struct nacre_span client_public,
    struct nacre_buffer *public, struct nacre_buffer *secret);
/* Group exchange: p and g are magnitudes. The client finishes with kex_client_finish(); the server
 * starts in the same way, so that f is made before e is known. Checks the group (p odd, between
 * 2,048 and 8,192 bits, 1 < g < p - 1). */
int kex_gex_start(struct nacre_span p, struct nacre_span g, struct kex_agreement **agreement,
    struct nacre_buffer *public);
void kex_agreement_free(struct kex_agreement *agreement);
/* A built-in safe prime with generator 2 of at least "bits" (2048, 3072, 4096, 6144, 8192; RFC
 * 3526), for a server without a moduli file. Magnitude in static storage. */
struct nacre_span kex_builtin_prime(unsigned bits);

#endif
