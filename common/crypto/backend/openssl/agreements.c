/*
 * Elliptic-curve and finite-field Diffie-Hellman over OpenSSL's curves and big numbers. What is
 * used of both runs in time independent of the scalar.
 */
#include <crypto/backend.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/objects.h>
#include <string.h>

/* What one operation allocates. */
struct workspace {
	BN_CTX *context;
	EC_GROUP *group;
	EC_POINT *point;
	BIGNUM *scalar;
	BIGNUM *x;
};

static void
workspace_clear(struct workspace *work)
{
	BN_clear_free(work->scalar);
	BN_clear_free(work->x);
	EC_POINT_clear_free(work->point);
	EC_GROUP_free(work->group);
	BN_CTX_free(work->context);
}

/* The scalar becomes 1 + value mod (n - 1): never 0. */
static bool
scalar_reduce(struct workspace *work, const uint8_t *scalar, size_t length)
{
	const BIGNUM *order = EC_GROUP_get0_order(work->group);

	BN_set_flags(work->scalar, BN_FLG_CONSTTIME);
	BN_set_flags(work->x, BN_FLG_CONSTTIME);
	return length <= 66 && BN_bin2bn(scalar, (int)length, work->x) != NULL &&
	       BN_copy(work->scalar, order) != NULL && BN_sub_word(work->scalar, 1) == 1 &&
	       BN_nnmod(work->x, work->x, work->scalar, work->context) == 1 &&
	       BN_add_word(work->x, 1) == 1 && BN_copy(work->scalar, work->x) != NULL;
}

static bool
workspace_open(struct workspace *work, const char *curve, const uint8_t *scalar, size_t length)
{
	*work = (struct workspace){
	    .context = BN_CTX_secure_new(),
	    .group = EC_GROUP_new_by_curve_name(EC_curve_nist2nid(curve)),
	    .scalar = BN_new(),
	    .x = BN_new(),
	};
	if (work->group != NULL)
		work->point = EC_POINT_new(work->group);
	return work->context != NULL && work->point != NULL && work->scalar != NULL &&
	       work->x != NULL && scalar_reduce(work, scalar, length);
}

static int
public_put(struct workspace *work, struct nacre_buffer *point)
{
	uint8_t encoded[1 + 2 * 66];
	size_t length;

	if (EC_POINT_mul(work->group, work->point, work->scalar, NULL, NULL, work->context) != 1)
		return NACRE_ERROR_LIBRARY;
	length = EC_POINT_point2oct(work->group, work->point, POINT_CONVERSION_UNCOMPRESSED,
	    encoded, sizeof encoded, work->context);
	if (length == 0)
		return NACRE_ERROR_LIBRARY;
	nacre_put_bytes(point, encoded, length);
	return point->failed ? NACRE_ERROR_MEMORY : 0;
}

static int
ecdh_public(
    const char *curve, const uint8_t *scalar, size_t scalar_length, struct nacre_buffer *point)
{
	struct workspace work;
	int result = NACRE_ERROR_LIBRARY;

	if (workspace_open(&work, curve, scalar, scalar_length))
		result = public_put(&work, point);
	workspace_clear(&work);
	return result;
}

/* The peer's point must be uncompressed, on the curve and not at infinity (RFC 5656 section 4). */
static bool
peer_read(struct workspace *work, struct nacre_span peer)
{
	size_t field = ((size_t)EC_GROUP_get_degree(work->group) + 7) / 8;

	return peer.length == 1 + 2 * field && peer.data[0] == POINT_CONVERSION_UNCOMPRESSED &&
	       EC_POINT_oct2point(
		   work->group, work->point, peer.data, peer.length, work->context) == 1 &&
	       EC_POINT_is_at_infinity(work->group, work->point) == 0 &&
	       EC_POINT_is_on_curve(work->group, work->point, work->context) == 1;
}

static int
shared_put(struct workspace *work, struct nacre_buffer *secret)
{
	int field = (EC_GROUP_get_degree(work->group) + 7) / 8;
	uint8_t *room;

	if (EC_POINT_mul(
		work->group, work->point, NULL, work->point, work->scalar, work->context) != 1 ||
	    EC_POINT_get_affine_coordinates(
		work->group, work->point, work->x, NULL, work->context) != 1)
		return NACRE_ERROR_LIBRARY;
	if ((room = nacre_buffer_room(secret, (size_t)field)) == NULL)
		return NACRE_ERROR_MEMORY;
	if (BN_bn2binpad(work->x, room, field) != field)
		return NACRE_ERROR_LIBRARY;
	nacre_buffer_added(secret, (size_t)field);
	return 0;
}

static int
ecdh_shared(const char *curve, const uint8_t *scalar, size_t scalar_length, struct nacre_span peer,
    struct nacre_buffer *secret)
{
	struct workspace work;
	int result = NACRE_ERROR_LIBRARY;

	if (workspace_open(&work, curve, scalar, scalar_length))
		result = peer_read(&work, peer) ? shared_put(&work, secret) : NACRE_ERROR_FORMAT;
	workspace_clear(&work);
	return result;
}

static BIGNUM *
number_of(struct nacre_span magnitude)
{
	return magnitude.length > 0 && magnitude.length <= 2048
		   ? BN_bin2bn(magnitude.data, (int)magnitude.length, NULL)
		   : NULL;
}

static int
power_put(const BIGNUM *base, BIGNUM *exponent, const BIGNUM *modulus, struct nacre_buffer *result)
{
	BN_CTX *context = BN_CTX_secure_new();
	BIGNUM *value = BN_new();
	int length = BN_num_bytes(modulus);
	uint8_t *room = nacre_buffer_room(result, (size_t)length);
	int status = NACRE_ERROR_LIBRARY;

	BN_set_flags(exponent, BN_FLG_CONSTTIME);
	if (context != NULL && value != NULL && room != NULL &&
	    BN_mod_exp_mont_consttime(value, base, exponent, modulus, context, NULL) == 1 &&
	    BN_bn2binpad(value, room, length) == length) {
		nacre_buffer_added(result, (size_t)length);
		status = 0;
	}
	BN_clear_free(value);
	BN_CTX_free(context);
	return status;
}

static int
power(struct nacre_span base, struct nacre_span exponent, struct nacre_span modulus,
    struct nacre_buffer *result)
{
	BIGNUM *g = number_of(base), *e = number_of(exponent), *p = number_of(modulus);
	int status = NACRE_ERROR_ARGUMENT;

	if (g != NULL && e != NULL && p != NULL && BN_is_odd(p))
		status = power_put(g, e, p, result);
	BN_clear_free(g);
	BN_clear_free(e);
	BN_free(p);
	return status;
}

const struct backend_agreements backend_agreements = {
    .ecdh_public = ecdh_public,
    .ecdh_shared = ecdh_shared,
    .power = power,
};
