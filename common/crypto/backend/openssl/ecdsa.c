/* ECDSA on the NIST curves (FIPS 186-5, RFC 5656) by OpenSSL. */
#include <crypto/backend/openssl/keys.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <string.h>

static const struct {
	const char *name;  /* NIST's */
	const char *group; /* OpenSSL's */
	const char *hash;
	size_t field_length; /* bytes of a coordinate, and of the order */
} curves[] = {
    [BACKEND_P256] = {"P-256", "prime256v1", "SHA256", 32},
    [BACKEND_P384] = {"P-384", "secp384r1", "SHA384", 48},
    [BACKEND_P521] = {"P-521", "secp521r1", "SHA512", 66},
};
#define CURVE_COUNT (sizeof curves / sizeof curves[0])

/* Importing checks that the point is on its curve and in range. */
EVP_PKEY *
ecdsa_pkey(enum backend_curve curve, struct nacre_span point, struct nacre_span scalar)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *number = number_get(scalar);
	EVP_PKEY *pkey = NULL;
	bool built;

	built = build != NULL && number != NULL &&
		OSSL_PARAM_BLD_push_utf8_string(
		    build, OSSL_PKEY_PARAM_GROUP_NAME, curves[curve].group, 0) == 1 &&
		OSSL_PARAM_BLD_push_octet_string(
		    build, OSSL_PKEY_PARAM_PUB_KEY, point.data, point.length) == 1;
	if (built && scalar.length > 0)
		built = OSSL_PARAM_BLD_push_BN_pad(build, OSSL_PKEY_PARAM_PRIV_KEY, number,
			    curves[curve].field_length) == 1;
	if (built)
		pkey = pkey_of_parameters(
		    "EC", build, scalar.length > 0 ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY);
	OSSL_PARAM_BLD_free(build);
	BN_clear_free(number);
	ERR_clear_error();
	return pkey;
}

int
ecdsa_check(enum backend_curve curve, struct nacre_span point, struct nacre_span scalar)
{
	EVP_PKEY *pkey = ecdsa_pkey(curve, point, scalar);
	EVP_PKEY_CTX *context = pkey != NULL ? EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL) : NULL;
	bool right = context != NULL && EVP_PKEY_public_check(context) == 1;

	if (right && scalar.length > 0)
		right =
		    EVP_PKEY_private_check(context) == 1 && EVP_PKEY_pairwise_check(context) == 1;
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return right ? 0 : NACRE_ERROR_FORMAT;
}

/* The point from its coordinates: OpenSSL gives points back in the form they came in. */
static int
point_put(const EVP_PKEY *pkey, size_t field_length, struct nacre_buffer *point)
{
	BIGNUM *x = NULL, *y = NULL;
	int error = NACRE_ERROR_FORMAT;

	if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
	    EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1) {
		nacre_put_byte(point, 0x04);
		error = number_put(x, field_length, point);
		if (error == 0)
			error = number_put(y, field_length, point);
	}
	BN_free(x);
	BN_free(y);
	return error;
}

int
ecdsa_numbers(const EVP_PKEY *pkey, struct backend_key *key)
{
	char group[64];
	size_t length;
	int error;

	if (EVP_PKEY_get_group_name(pkey, group, sizeof group, &length) != 1)
		return NACRE_ERROR_UNSUPPORTED;
	for (unsigned i = 0; i < CURVE_COUNT; i++) {
		if (strcmp(group, curves[i].group) != 0 && strcmp(group, curves[i].name) != 0)
			continue;
		key->kind = BACKEND_KEY_EC;
		key->curve = (enum backend_curve)i;
		error = point_put(pkey, curves[i].field_length, &key->point);
		if (error == 0 && key->is_private)
			error = pkey_number(pkey, OSSL_PKEY_PARAM_PRIV_KEY, &key->scalar);
		return error;
	}
	return NACRE_ERROR_UNSUPPORTED;
}

int
ecdsa_generate(enum backend_curve curve, struct nacre_buffer *point, struct nacre_buffer *scalar)
{
	EVP_PKEY *pkey = EVP_EC_gen(curves[curve].group);
	int error = NACRE_ERROR_LIBRARY;

	if (pkey != NULL)
		error = point_put(pkey, curves[curve].field_length, point);
	if (error == 0)
		error = pkey_number(pkey, OSSL_PKEY_PARAM_PRIV_KEY, scalar);
	EVP_PKEY_free(pkey);
	return error;
}

/* From DER to the two numbers. */
static int
signature_split(struct nacre_span der, struct nacre_buffer *r, struct nacre_buffer *s)
{
	const uint8_t *position = der.data;
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &position, (long)der.length);
	int error;

	if (pair == NULL)
		return NACRE_ERROR_LIBRARY;
	error = number_put(ECDSA_SIG_get0_r(pair), 0, r);
	if (error == 0)
		error = number_put(ECDSA_SIG_get0_s(pair), 0, s);
	ECDSA_SIG_free(pair);
	return error;
}

int
ecdsa_sign(enum backend_curve curve, struct nacre_span point, struct nacre_span scalar,
    struct nacre_span data, struct nacre_buffer *r, struct nacre_buffer *s)
{
	EVP_PKEY *pkey = ecdsa_pkey(curve, point, scalar);
	struct nacre_buffer der = {0};
	int error = NACRE_ERROR_LIBRARY;

	if (pkey != NULL)
		error = pkey_sign(pkey, curves[curve].hash, data, &der);
	if (error == 0)
		error = signature_split(nacre_buffer_span(&der), r, s);
	nacre_buffer_free(&der);
	EVP_PKEY_free(pkey);
	return error;
}

/* From the two numbers to DER, which the caller frees with OPENSSL_free(); the length, or 0. */
static size_t
signature_join(struct nacre_span r, struct nacre_span s, uint8_t **der)
{
	ECDSA_SIG *pair = ECDSA_SIG_new();
	BIGNUM *first = number_get(r), *second = number_get(s);
	int length = 0;

	if (pair != NULL && first != NULL && second != NULL &&
	    ECDSA_SIG_set0(pair, first, second) == 1) {
		first = second = NULL; /* the pair's now */
		length = i2d_ECDSA_SIG(pair, der);
	}
	BN_free(first);
	BN_free(second);
	ECDSA_SIG_free(pair);
	return length > 0 ? (size_t)length : 0;
}

int
ecdsa_verify(enum backend_curve curve, struct nacre_span point, struct nacre_span r,
    struct nacre_span s, struct nacre_span data)
{
	EVP_PKEY *pkey = ecdsa_pkey(curve, point, (struct nacre_span){NULL, 0});
	uint8_t *der = NULL;
	size_t length;
	int error = NACRE_ERROR_SIGNATURE;

	if (pkey != NULL && r.length <= curves[curve].field_length &&
	    s.length <= curves[curve].field_length && (length = signature_join(r, s, &der)) > 0)
		error =
		    pkey_verify(pkey, curves[curve].hash, data, (struct nacre_span){der, length});
	OPENSSL_free(der);
	EVP_PKEY_free(pkey);
	return error;
}
