/* Between kex.c, which knows the methods, and the files that implement a kind of them. */
#ifndef CRYPTO_KEX_FUNCTIONS_H
#define CRYPTO_KEX_FUNCTIONS_H

#include <crypto/backend.h>
#include <crypto/kem.h>
#include <crypto/kex.h>

#define KEX_SCALAR_MAX 66

struct kex_agreement {
	const struct kex_functions *functions;
	const struct kex_method *method;      /* NULL for group exchange */
	uint8_t scalar[KEX_SCALAR_MAX];       /* curves */
	uint8_t kem_private[KEM_PRIVATE_MAX]; /* hybrids */
	struct nacre_buffer prime, exponent;  /* finite fields */
};

struct kex_functions {
	int (*start)(struct kex_agreement *agreement, struct nacre_buffer *public);
	int (*finish)(struct kex_agreement *agreement, struct nacre_span peer_public,
	    struct nacre_buffer *secret);
	/* NULL: the server makes its value as the client does and finishes likewise. */
	int (*server)(const struct kex_method *method, struct nacre_span client_public,
	    struct nacre_buffer *public, struct nacre_buffer *secret);
	const struct kem *kem; /* of a hybrid */
	const char *curve;     /* NIST name */
	unsigned bits;         /* of a fixed group */
};

/* Finite fields: makes the exponent and the public value for generator g. */
int kex_dh_start(struct kex_agreement *agreement, struct nacre_span g, struct nacre_buffer *public);

extern const struct kex_functions kex_curve25519, kex_mlkem768x25519, kex_sntrup761x25519;
extern const struct kex_functions kex_nistp256, kex_nistp384, kex_nistp521;
extern const struct kex_functions kex_group1, kex_group14, kex_group16, kex_group18;
extern const struct kex_functions kex_group_exchange;

#endif
