/* RSA (RFC 8017) by OpenSSL. */
#include <crypto/backend/openssl/keys.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <string.h>

#define BITS_MIN 1024
#define BITS_MAX 16384

/* The numbers as OpenSSL's, with the two exponents for the Chinese remainder theorem. */
enum { N, E, D, P, Q, IQMP, DMP1, DMQ1, NUMBERS };

static const char *const parameter_names[NUMBERS] = {
    [N] = OSSL_PKEY_PARAM_RSA_N,
    [E] = OSSL_PKEY_PARAM_RSA_E,
    [D] = OSSL_PKEY_PARAM_RSA_D,
    [P] = OSSL_PKEY_PARAM_RSA_FACTOR1,
    [Q] = OSSL_PKEY_PARAM_RSA_FACTOR2,
    [IQMP] = OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
    [DMP1] = OSSL_PKEY_PARAM_RSA_EXPONENT1,
    [DMQ1] = OSSL_PKEY_PARAM_RSA_EXPONENT2,
};

struct workspace {
	BIGNUM *numbers[NUMBERS];
	BN_CTX *context;
	size_t count; /* 2 for a public key */
};

static void
workspace_close(struct workspace *work)
{
	for (size_t i = 0; i < NUMBERS; i++)
		BN_clear_free(work->numbers[i]);
	BN_CTX_free(work->context);
	ERR_clear_error();
}

/* exponent = d mod (prime - 1) */
static bool
reduce_exponent(struct workspace *work, int exponent, int prime)
{
	BIGNUM *less = BN_dup(work->numbers[prime]);
	bool done;

	work->numbers[exponent] = BN_secure_new();
	done = less != NULL && work->numbers[exponent] != NULL && BN_sub_word(less, 1) == 1;
	if (done)
		BN_set_flags(less, BN_FLG_CONSTTIME);
	done = done && !BN_is_zero(less) &&
	       BN_mod(work->numbers[exponent], work->numbers[D], less, work->context) == 1;
	BN_clear_free(less);
	return done;
}

static bool
workspace_open(struct workspace *work, const struct backend_rsa *key)
{
	const struct nacre_span given[] = {
	    [N] = key->n,
	    [E] = key->e,
	    [D] = key->d,
	    [P] = key->p,
	    [Q] = key->q,
	    [IQMP] = key->iqmp,
	};

	*work = (struct workspace){
	    .context = BN_CTX_secure_new(), .count = key->d.length > 0 ? NUMBERS : 2};
	if (work->context == NULL)
		return false;
	for (size_t i = 0; i < sizeof given / sizeof given[0] && i < work->count; i++)
		if (given[i].length == 0 || (work->numbers[i] = number_get(given[i])) == NULL)
			return false;
	return work->count == 2 ||
	       (reduce_exponent(work, DMP1, P) && reduce_exponent(work, DMQ1, Q));
}

EVP_PKEY *
rsa_pkey(const struct backend_rsa *key)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY *pkey = NULL;
	struct workspace work;
	bool built = workspace_open(&work, key) && build != NULL;

	for (size_t i = 0; built && i < work.count; i++)
		built = OSSL_PARAM_BLD_push_BN(build, parameter_names[i], work.numbers[i]) == 1;
	if (built)
		pkey = pkey_of_parameters(
		    "RSA", build, work.count == NUMBERS ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY);
	OSSL_PARAM_BLD_free(build);
	workspace_close(&work);
	return pkey;
}

/* True when e * exponent = 1 (mod prime - 1). */
static bool
exponent_inverts(struct workspace *work, int exponent, int prime)
{
	BIGNUM *less = BN_dup(work->numbers[prime]), *product = BN_secure_new();
	bool right = less != NULL && product != NULL && BN_sub_word(less, 1) == 1 &&
		     BN_mod_mul(product, work->numbers[E], work->numbers[exponent], less,
			 work->context) == 1 &&
		     BN_is_one(product);

	BN_clear_free(less);
	BN_clear_free(product);
	return right;
}

int
rsa_check(const struct backend_rsa *key)
{
	struct workspace work;
	BIGNUM *product = BN_secure_new();
	BIGNUM **numbers = work.numbers;
	bool right = workspace_open(&work, key) && product != NULL && work.count == NUMBERS;

	right = right && BN_mul(product, numbers[P], numbers[Q], work.context) == 1 &&
		BN_cmp(product, numbers[N]) == 0 && exponent_inverts(&work, DMP1, P) &&
		exponent_inverts(&work, DMQ1, Q) &&
		BN_mod_mul(product, numbers[IQMP], numbers[Q], numbers[P], work.context) == 1 &&
		BN_is_one(product);
	BN_clear_free(product);
	workspace_close(&work);
	return right ? 0 : NACRE_ERROR_FORMAT;
}

int
rsa_numbers_get(const EVP_PKEY *pkey, struct backend_key *key)
{
	struct nacre_buffer *const buffers[] = {
	    [N] = &key->n,
	    [E] = &key->e,
	    [D] = &key->d,
	    [P] = &key->p,
	    [Q] = &key->q,
	    [IQMP] = &key->iqmp,
	};
	size_t count = key->is_private ? sizeof buffers / sizeof buffers[0] : 2;
	int error = 0;

	key->kind = BACKEND_KEY_RSA;
	for (size_t i = 0; error == 0 && i < count; i++)
		error = pkey_number(pkey, parameter_names[i], buffers[i]);
	return error;
}

int
rsa_generate(unsigned bits, struct backend_key *key)
{
	EVP_PKEY *pkey;
	int error;

	if (bits < BITS_MIN || bits > BITS_MAX)
		return NACRE_ERROR_ARGUMENT;
	if ((pkey = EVP_RSA_gen(bits)) == NULL)
		return NACRE_ERROR_LIBRARY;
	key->is_private = true;
	error = rsa_numbers_get(pkey, key);
	EVP_PKEY_free(pkey);
	return error;
}

/* The opaque type is OpenSSL's. */
struct backend_rsa_signer *
rsa_import(const struct backend_rsa *key)
{
	return (struct backend_rsa_signer *)rsa_pkey(key);
}

void
rsa_release(struct backend_rsa_signer *signer)
{
	EVP_PKEY_free((EVP_PKEY *)signer);
}

int
rsa_sign(struct backend_rsa_signer *signer, const struct hash_algorithm *hash,
    struct nacre_span data, struct nacre_buffer *signature)
{
	return pkey_sign((EVP_PKEY *)signer, hash->name, data, signature);
}

/* Some implementations leave the leading zeros of the number out: RFC 8332 section 3 asks for the
 * full length, peers are more tolerant. */
int
rsa_verify(const struct backend_rsa *key, const struct hash_algorithm *hash, struct nacre_span data,
    struct nacre_span signature)
{
	uint8_t padded[BITS_MAX / 8] = {0};
	size_t length = key->n.length;
	EVP_PKEY *pkey;
	int error;

	if (length > sizeof padded || signature.length > length || signature.length == 0)
		return NACRE_ERROR_SIGNATURE;
	if ((pkey = rsa_pkey(key)) == NULL)
		return NACRE_ERROR_LIBRARY;
	memcpy(padded + length - signature.length, signature.data, signature.length);
	error = pkey_verify(pkey, hash->name, data, (struct nacre_span){padded, length});
	EVP_PKEY_free(pkey);
	return error;
}
