/* ECDH on the NIST curves, RFC 5656 section 4. */
#include <crypto/kex_functions.h>
#include <crypto/random.h>

static int
ecdh_start(struct kex_agreement *agreement, struct nacre_buffer *public)
{
	const struct backend *backend = backend_get();

	if (backend == NULL)
		return NACRE_ERROR_LIBRARY;
	random_bytes(agreement->scalar, KEX_SCALAR_MAX);
	return backend->agreements->ecdh_public(
	    agreement->functions->curve, agreement->scalar, KEX_SCALAR_MAX, public);
}

static int
ecdh_finish(struct kex_agreement *agreement, struct nacre_span peer, struct nacre_buffer *secret)
{
	const struct backend *backend = backend_get();

	if (backend == NULL)
		return NACRE_ERROR_LIBRARY;
	return backend->agreements->ecdh_shared(
	    agreement->functions->curve, agreement->scalar, KEX_SCALAR_MAX, peer, secret);
}

const struct kex_functions kex_nistp256 = {ecdh_start, ecdh_finish, .curve = "P-256"};
const struct kex_functions kex_nistp384 = {ecdh_start, ecdh_finish, .curve = "P-384"};
const struct kex_functions kex_nistp521 = {ecdh_start, ecdh_finish, .curve = "P-521"};
