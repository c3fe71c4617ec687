/*
 * An authenticator in software, for tests: the library that OpenSSH's SSH_SK_PROVIDER and ours load.
 * A key's handle is its private half. SK_PIN is the PIN (unset: none), SK_FOLDER keeps resident
 * keys, SK_TOUCH=no refuses as if nobody touched it; nobody does before SK_NOTICES, a file of what was
 * shown, ends with the line that asks for it. Options are kept in SK_FOLDER/options.
 */
#include <ssh/sk_api.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/sha.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRET 32
#define POINT  65
#define TEXT   256

static int
pin_check(const char *pin, int needed)
{
	const char *right = getenv("SK_PIN");

	if (!needed || right == NULL)
		return 0;
	return pin != NULL && strcmp(pin, right) == 0 ? 0 : SK_ERROR_PIN_REQUIRED;
}

static int
touched(void)
{
	const char *touch = getenv("SK_TOUCH");

	return touch == NULL || strcmp(touch, "no") != 0;
}

static int
notice_shown(const char *path)
{
	static const char notice[] = "Confirm user presence";
	char line[512], last[512] = "";
	FILE *file = fopen(path, "r");

	if (file == NULL)
		return 0;
	while (fgets(line, sizeof line, file) != NULL)
		memcpy(last, line, sizeof last);
	fclose(file);
	return strncmp(last, notice, sizeof notice - 1) == 0 && strchr(last, '\n') != NULL;
}

/* Ten seconds at most. */
static void
await_notice(void)
{
	const char *path = getenv("SK_NOTICES");

	for (int i = 0; path != NULL && i < 1000 && !notice_shown(path); i++)
		usleep(10000);
}

static FILE *
file_open(const char *name, const char *mode)
{
	const char *folder = getenv("SK_FOLDER");
	char path[4096];

	if (folder == NULL)
		return NULL;
	snprintf(path, sizeof path, "%s/%s", folder, name);
	return fopen(path, mode);
}

static void
options_note(struct sk_option **options)
{
	FILE *file = file_open("options", "a");

	for (; file != NULL && options != NULL && *options != NULL; options++)
		fprintf(file, "%s=%s\n", (*options)->name, (*options)->value);
	if (file != NULL)
		fclose(file);
}

static EVP_PKEY *
ecdsa_of_secret(const uint8_t *secret, uint8_t point[POINT])
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	BIGNUM *number = BN_bin2bn(secret, SECRET, NULL);
	EC_POINT *public = EC_POINT_new(group);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *key = NULL;
	OSSL_PARAM *parameters;

	EC_POINT_mul(group, public, number, NULL, NULL, NULL);
	EC_POINT_point2oct(group, public, POINT_CONVERSION_UNCOMPRESSED, point, POINT, NULL);
	OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
	OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, number);
	OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, POINT);
	parameters = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY_fromdata_init(context);
	EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, parameters);
	OSSL_PARAM_free(parameters);
	OSSL_PARAM_BLD_free(build);
	EVP_PKEY_CTX_free(context);
	EC_POINT_free(public);
	BN_free(number);
	EC_GROUP_free(group);
	return key;
}

static EVP_PKEY *
key_of_secret(uint32_t alg, const uint8_t *secret, uint8_t *public, size_t *length)
{
	EVP_PKEY *key;

	if (alg == SK_ECDSA) {
		*length = POINT;
		return ecdsa_of_secret(secret, public);
	}
	*length = 32;
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, SECRET);
	EVP_PKEY_get_raw_public_key(key, public, length);
	return key;
}

static uint8_t *
copy(const void *data, size_t length)
{
	uint8_t *made = malloc(length + 1);

	memcpy(made, data, length);
	return made;
}

static void
response_fill(struct sk_enroll_response *response, uint32_t alg, const uint8_t *secret)
{
	uint8_t public[POINT];
	size_t length;

	EVP_PKEY_free(key_of_secret(alg, secret, public, &length));
	response->public_key = copy(public, length);
	response->public_key_len = length;
	response->key_handle = copy(secret, SECRET);
	response->key_handle_len = SECRET;
	response->signature = copy("signature", 9);
	response->signature_len = 9;
	response->attestation_cert = copy("certificate", 11);
	response->attestation_cert_len = 11;
	response->authdata = copy("authdata", 8);
	response->authdata_len = 8;
}

uint32_t
sk_api_version(void)
{
	return SK_API_VERSION;
}

static const char *
user_of(struct sk_option **options)
{
	for (; options != NULL && *options != NULL; options++)
		if (strcmp((*options)->name, "user") == 0)
			return (*options)->value;
	return "-";
}

int
sk_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application,
    uint8_t flags, const char *pin, struct sk_option **options,
    struct sk_enroll_response **enroll_response)
{
	uint8_t secret[SECRET];
	FILE *file;

	(void)challenge;
	if (alg != SK_ECDSA && alg != SK_ED25519)
		return SK_ERROR_UNSUPPORTED;
	if (challenge_len == 0 || !touched())
		return SK_ERROR_GENERAL;
	if (pin_check(pin, (flags & (SK_RESIDENT | SK_VERIFICATION)) != 0) != 0)
		return SK_ERROR_PIN_REQUIRED;
	options_note(options);
	FILE *random = fopen("/dev/urandom", "r");
	if (random == NULL || fread(secret, 1, sizeof secret, random) != sizeof secret)
		return SK_ERROR_GENERAL;
	fclose(random);
	secret[0] = 0x10;
	*enroll_response = calloc(1, sizeof **enroll_response);
	(*enroll_response)->flags = flags;
	response_fill(*enroll_response, alg, secret);
	if ((flags & SK_RESIDENT) != 0 && (file = file_open("residents", "a")) != NULL) {
		fprintf(file, "%u %u %s %s ", alg, flags, application, user_of(options));
		for (size_t i = 0; i < SECRET; i++)
			fprintf(file, "%02x", secret[i]);
		fprintf(file, "\n");
		fclose(file);
	}
	return 0;
}

static int
ecdsa_sign(EVP_PKEY *key, const uint8_t *digest, struct sk_sign_response *response)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
	uint8_t der[128], r[32], s[32];
	const uint8_t *place = der;
	size_t length = sizeof der;

	EVP_PKEY_sign_init(context);
	if (EVP_PKEY_sign(context, der, &length, digest, SHA256_DIGEST_LENGTH) != 1)
		return SK_ERROR_GENERAL;
	ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &place, (long)length);
	BN_bn2binpad(ECDSA_SIG_get0_r(signature), r, 32);
	BN_bn2binpad(ECDSA_SIG_get0_s(signature), s, 32);
	response->sig_r = copy(r, 32);
	response->sig_s = copy(s, 32);
	response->sig_r_len = response->sig_s_len = 32;
	ECDSA_SIG_free(signature);
	EVP_PKEY_CTX_free(context);
	return 0;
}

static int
ed25519_sign(EVP_PKEY *key, const uint8_t *text, size_t length, struct sk_sign_response *response)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t signature[64];
	size_t signature_length = sizeof signature;

	EVP_DigestSignInit(context, NULL, NULL, NULL, key);
	EVP_DigestSign(context, signature, &signature_length, text, length);
	response->sig_r = copy(signature, signature_length);
	response->sig_r_len = signature_length;
	EVP_MD_CTX_free(context);
	return 0;
}

int
sk_sign(uint32_t alg, const uint8_t *data, size_t data_len, const char *application,
    const uint8_t *key_handle, size_t key_handle_len, uint8_t flags, const char *pin,
    struct sk_option **options, struct sk_sign_response **sign_response)
{
	uint8_t text[2 * SHA256_DIGEST_LENGTH + 5], digest[SHA256_DIGEST_LENGTH], public[POINT];
	size_t length;
	uint32_t counter = 0x12345678;
	EVP_PKEY *key;
	int error;

	if (key_handle_len != SECRET || key_handle[0] != 0x10)
		return SK_ERROR_NO_DEVICE;
	if ((flags & SK_TOUCH) != 0)
		await_notice();
	if (pin_check(pin, (flags & SK_VERIFICATION) != 0) != 0)
		return SK_ERROR_PIN_REQUIRED;
	if ((flags & SK_TOUCH) != 0 && !touched())
		return SK_ERROR_GENERAL;
	options_note(options);
	flags &= SK_TOUCH | SK_VERIFICATION;
	SHA256((const uint8_t *)application, strlen(application), text);
	text[32] = flags;
	for (int i = 0; i < 4; i++)
		text[33 + i] = (uint8_t)(counter >> (24 - 8 * i));
	SHA256(data, data_len, text + 37);
	SHA256(text, sizeof text, digest);
	*sign_response = calloc(1, sizeof **sign_response);
	(*sign_response)->flags = flags;
	(*sign_response)->counter = counter;
	key = key_of_secret(alg, key_handle, public, &length);
	error = alg == SK_ECDSA ? ecdsa_sign(key, digest, *sign_response)
				: ed25519_sign(key, text, sizeof text, *sign_response);
	EVP_PKEY_free(key);
	return error;
}

int
sk_load_resident_keys(
    const char *pin, struct sk_option **options, struct sk_resident_key ***rks, size_t *nrks)
{
	char application[TEXT], user[TEXT], hex[2 * SECRET + 1];
	FILE *file = file_open("residents", "r");
	unsigned alg, flags;

	*rks = NULL;
	*nrks = 0;
	if (pin_check(pin, 1) != 0)
		return SK_ERROR_PIN_REQUIRED;
	options_note(options);
	while (file != NULL &&
	       fscanf(file, "%u %u %255s %255s %64s", &alg, &flags, application, user, hex) == 5) {
		struct sk_resident_key *key = calloc(1, sizeof *key);
		uint8_t secret[SECRET], identifier[32] = {0};

		for (size_t i = 0; i < SECRET; i++)
			sscanf(hex + 2 * i, "%2hhx", &secret[i]);
		key->alg = alg;
		key->slot = *nrks;
		key->application = strdup(application);
		key->flags = flags & SK_VERIFICATION;
		if (strcmp(user, "-") != 0)
			memcpy(identifier, user, strlen(user) < 32 ? strlen(user) : 32);
		key->user_id = copy(identifier, 32);
		key->user_id_len = 32;
		response_fill(&key->key, alg, secret);
		*rks = realloc(*rks, (*nrks + 1) * sizeof **rks);
		(*rks)[(*nrks)++] = key;
	}
	if (file != NULL)
		fclose(file);
	return 0;
}
