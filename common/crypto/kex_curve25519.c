/*
 * X25519 (RFC 8731), and the hybrids of a key encapsulation mechanism with it: public values are
 * those of both, one behind the other, and K is the hash of both secrets
 * (draft-ietf-sshm-mlkem-hybrid-kex, draft-ietf-sshm-ntruprime-ssh).
 */
#include <crypto/kex_functions.h>
#include <crypto/random.h>

#include <sodium.h>

#define X25519_LENGTH crypto_scalarmult_curve25519_BYTES

static int
x25519_public(const uint8_t *scalar, struct nacre_buffer *public)
{
	uint8_t point[X25519_LENGTH];

	crypto_scalarmult_curve25519_base(point, scalar);
	nacre_put_bytes(public, point, sizeof point);
	return 0;
}

/* libsodium refuses a result of all zeros, as RFC 8731 section 3 demands. */
static int
x25519_shared(const uint8_t *scalar, const uint8_t *peer, uint8_t *shared)
{
	return crypto_scalarmult_curve25519(shared, scalar, peer) == 0 ? 0 : NACRE_ERROR_PROTOCOL;
}

static int
curve25519_start(struct kex_agreement *agreement, struct nacre_buffer *public)
{
	sodium_ready();
	random_bytes(agreement->scalar, X25519_LENGTH);
	return x25519_public(agreement->scalar, public);
}

static int
curve25519_finish(
    struct kex_agreement *agreement, struct nacre_span peer, struct nacre_buffer *secret)
{
	uint8_t shared[X25519_LENGTH];
	int result;

	if (peer.length != X25519_LENGTH)
		return NACRE_ERROR_FORMAT;
	if ((result = x25519_shared(agreement->scalar, peer.data, shared)) == 0)
		nacre_put_bytes(secret, shared, sizeof shared);
	sodium_memzero(shared, sizeof shared);
	return result;
}

/* K of a hybrid. Consumes the parts. */
static int
combine(const struct kex_method *method, uint8_t kem_secret[KEM_SECRET_LENGTH],
    uint8_t shared[X25519_LENGTH], struct nacre_buffer *secret)
{
	struct nacre_span parts[2] = {{kem_secret, KEM_SECRET_LENGTH}, {shared, X25519_LENGTH}};
	uint8_t digest[HASH_LENGTH_MAX];
	int result = hash_spans(method->hash, parts, 2, digest);

	if (result == 0)
		nacre_put_bytes(secret, digest, method->hash->length);
	sodium_memzero(digest, sizeof digest);
	sodium_memzero(kem_secret, KEM_SECRET_LENGTH);
	sodium_memzero(shared, X25519_LENGTH);
	return result;
}

static int
hybrid_start(struct kex_agreement *agreement, struct nacre_buffer *public)
{
	const struct kem *kem = agreement->functions->kem;
	uint8_t *room = nacre_buffer_room(public, kem->public_length);

	if (room == NULL)
		return NACRE_ERROR_MEMORY;
	kem->generate(room, agreement->kem_private);
	nacre_buffer_added(public, kem->public_length);
	return curve25519_start(agreement, public);
}

static int
hybrid_finish(struct kex_agreement *agreement, struct nacre_span peer, struct nacre_buffer *secret)
{
	const struct kem *kem = agreement->functions->kem;
	uint8_t kem_secret[KEM_SECRET_LENGTH], shared[X25519_LENGTH];
	int result;

	if (peer.length != kem->ciphertext_length + X25519_LENGTH)
		return NACRE_ERROR_FORMAT;
	result = x25519_shared(agreement->scalar, peer.data + kem->ciphertext_length, shared);
	if (result == 0)
		result = kem->decapsulate(agreement->kem_private, peer.data, kem_secret);
	return result == 0 ? combine(agreement->method, kem_secret, shared, secret) : result;
}

static int
hybrid_server(const struct kex_method *method, struct nacre_span peer, struct nacre_buffer *public,
    struct nacre_buffer *secret)
{
	const struct kem *kem = method->functions->kem;
	uint8_t kem_secret[KEM_SECRET_LENGTH], shared[X25519_LENGTH], scalar[X25519_LENGTH];
	uint8_t ciphertext[KEM_CIPHERTEXT_MAX];
	int result;

	if (peer.length != kem->public_length + X25519_LENGTH)
		return NACRE_ERROR_FORMAT;
	random_bytes(scalar, sizeof scalar);
	result = kem->encapsulate(peer.data, ciphertext, kem_secret);
	if (result == 0)
		result = x25519_shared(scalar, peer.data + kem->public_length, shared);
	if (result == 0) {
		nacre_put_bytes(public, ciphertext, kem->ciphertext_length);
		x25519_public(scalar, public);
		result = combine(method, kem_secret, shared, secret);
	}
	sodium_memzero(scalar, sizeof scalar);
	return result;
}

const struct kex_functions kex_curve25519 = {curve25519_start, curve25519_finish, .server = NULL};
const struct kex_functions kex_mlkem768x25519 = {
    hybrid_start, hybrid_finish, hybrid_server, .kem = &kem_mlkem768};
const struct kex_functions kex_sntrup761x25519 = {
    hybrid_start, hybrid_finish, hybrid_server, .kem = &kem_sntrup761};
