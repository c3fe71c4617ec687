/* The table of key functions, and what they share: numbers, and signatures by OpenSSL's EVP. */
#include <crypto/backend/openssl/keys.h>

#include <openssl/err.h>
#include <openssl/rsa.h>

const struct backend_keys backend_keys = {
    .ecdsa_check = ecdsa_check,
    .ecdsa_generate = ecdsa_generate,
    .ecdsa_sign = ecdsa_sign,
    .ecdsa_verify = ecdsa_verify,
    .rsa_check = rsa_check,
    .rsa_generate = rsa_generate,
    .rsa_import = rsa_import,
    .rsa_release = rsa_release,
    .rsa_sign = rsa_sign,
    .rsa_verify = rsa_verify,
    .pem_decode = pem_decode,
    .pem_encode = pem_encode,
    .cipher_whole = cipher_whole,
};

#define NUMBER_BYTES_MAX 2048

EVP_PKEY *
pkey_of_parameters(const char *type, OSSL_PARAM_BLD *build, int selection)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY *pkey = NULL;

	if (context == NULL || parameters == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
	    EVP_PKEY_fromdata(context, &pkey, selection, parameters) != 1)
		pkey = NULL;
	OSSL_PARAM_free(parameters);
	EVP_PKEY_CTX_free(context);
	return pkey;
}

BIGNUM *
number_get(struct nacre_span magnitude)
{
	BIGNUM *number;

	if (magnitude.length > NUMBER_BYTES_MAX)
		return NULL;
	number = BN_bin2bn(magnitude.data, (int)magnitude.length, NULL);
	if (number != NULL)
		BN_set_flags(number, BN_FLG_CONSTTIME);
	return number;
}

int
number_put(const BIGNUM *number, size_t length, struct nacre_buffer *buffer)
{
	size_t bytes = length > 0 ? length : (size_t)BN_num_bytes(number);
	uint8_t *room = nacre_buffer_room(buffer, bytes);

	if (room == NULL)
		return NACRE_ERROR_MEMORY;
	if (BN_bn2binpad(number, room, (int)bytes) < 0)
		return NACRE_ERROR_LIBRARY;
	nacre_buffer_added(buffer, bytes);
	return 0;
}

int
pkey_number(const EVP_PKEY *pkey, const char *name, struct nacre_buffer *buffer)
{
	BIGNUM *number = NULL;
	int error;

	if (EVP_PKEY_get_bn_param(pkey, name, &number) != 1)
		return NACRE_ERROR_FORMAT;
	error = number_put(number, 0, buffer);
	BN_clear_free(number);
	return error;
}

int
pkey_sign(EVP_PKEY *pkey, const char *hash, struct nacre_span data, struct nacre_buffer *signature)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t length = (size_t)EVP_PKEY_get_size(pkey);
	uint8_t *room = nacre_buffer_room(signature, length);
	int error = NACRE_ERROR_LIBRARY;

	if (context != NULL && room != NULL &&
	    EVP_DigestSignInit_ex(context, NULL, hash, NULL, NULL, pkey, NULL) == 1 &&
	    EVP_DigestSign(context, room, &length, data.data, data.length) == 1) {
		nacre_buffer_added(signature, length);
		error = 0;
	}
	EVP_MD_CTX_free(context);
	ERR_clear_error();
	return error;
}

int
pkey_verify(EVP_PKEY *pkey, const char *hash, struct nacre_span data, struct nacre_span signature)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	int error = NACRE_ERROR_LIBRARY;

	if (context != NULL &&
	    EVP_DigestVerifyInit_ex(context, NULL, hash, NULL, NULL, pkey, NULL) == 1)
		error = EVP_DigestVerify(
			    context, signature.data, signature.length, data.data, data.length) == 1
			    ? 0
			    : NACRE_ERROR_SIGNATURE;
	EVP_MD_CTX_free(context);
	ERR_clear_error();
	return error;
}
