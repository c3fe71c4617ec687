/*
 * FIDO authenticators over USB, by libfido2: the same functions that a library of the user's would
 * have. Of several authenticators the one is asked that knows the key.
 */
#include <ssh/sk.h>

#include <nacre/log.h>

#include <fido.h>
#include <fido/credman.h>
#include <openssl/ecdsa.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#define DEVICES_MAX  64
#define COORDINATE   ((size_t)32)
#define USER_LENGTH  32
#define POINT_LENGTH (1 + 2 * COORDINATE)
/* The application of SSH's own keys starts so; others' are no business of ours. */
#define APPLICATION_SSH "ssh:"

static const struct {
	int fido, error;
} errors[] = {
    {FIDO_ERR_UNSUPPORTED_OPTION, SK_ERROR_UNSUPPORTED},
    {FIDO_ERR_UNSUPPORTED_ALGORITHM, SK_ERROR_UNSUPPORTED},
    {FIDO_ERR_PIN_REQUIRED, SK_ERROR_PIN_REQUIRED},
    {FIDO_ERR_PIN_INVALID, SK_ERROR_PIN_REQUIRED},
    {FIDO_ERR_OPERATION_DENIED, SK_ERROR_PIN_REQUIRED},
};

static int
report(const char *what, int code)
{
	nacre_log(NACRE_LOG_DEBUG1, "%s: %s", what, fido_strerr(code));
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (errors[i].fido == code)
			return errors[i].error;
	return SK_ERROR_GENERAL;
}

static const char *
option_value(struct sk_option **options, const char *name)
{
	for (; options != NULL && *options != NULL; options++)
		if (strcmp((*options)->name, name) == 0)
			return (*options)->value;
	return NULL;
}

static fido_dev_t *
device_open(const char *path)
{
	fido_dev_t *device = fido_dev_new();

	if (device != NULL && fido_dev_open(device, path) == FIDO_OK)
		return device;
	nacre_log(NACRE_LOG_DEBUG1, "authenticator %s cannot be opened", path);
	fido_dev_free(&device);
	return NULL;
}

static void
device_close(fido_dev_t *device)
{
	if (device == NULL)
		return;
	fido_dev_close(device);
	fido_dev_free(&device);
}

/* The named device, or the first for which "fits" (NULL: any) returns true. */
static fido_dev_t *
device_find(
    struct sk_option **options, bool (*fits)(fido_dev_t *, const void *), const void *context)
{
	const char *named = option_value(options, "device");
	fido_dev_info_t *list;
	fido_dev_t *device = NULL;
	size_t count = 0;

	fido_init(0);
	if (named != NULL)
		return device_open(named);
	if ((list = fido_dev_info_new(DEVICES_MAX)) == NULL)
		return NULL;
	if (fido_dev_info_manifest(list, DEVICES_MAX, &count) != FIDO_OK)
		count = 0;
	for (size_t i = 0; i < count && device == NULL; i++) {
		device = device_open(fido_dev_info_path(fido_dev_info_ptr(list, i)));
		if (device == NULL || fits == NULL || count == 1 || fits(device, context))
			continue;
		device_close(device);
		device = NULL;
	}
	fido_dev_info_free(&list, DEVICES_MAX);
	return device;
}

static bool
bytes_copy(const void *from, size_t length, uint8_t **to, size_t *to_length)
{
	if (from == NULL || length == 0)
		return true;
	if ((*to = malloc(length)) == NULL)
		return false;
	memcpy(*to, from, length);
	*to_length = length;
	return true;
}

/* Of ECDSA libfido2 has the coordinates alone; SSH's point has a byte in front. */
static bool
public_key_copy(const fido_cred_t *credential, struct sk_enroll_response *response)
{
	const unsigned char *key = fido_cred_pubkey_ptr(credential);
	size_t length = fido_cred_pubkey_len(credential);
	uint8_t point[POINT_LENGTH] = {0x04};

	if (fido_cred_type(credential) != COSE_ES256)
		return bytes_copy(key, length, &response->public_key, &response->public_key_len);
	if (key == NULL || length != 2 * COORDINATE)
		return false;
	memcpy(point + 1, key, length);
	return bytes_copy(point, sizeof point, &response->public_key, &response->public_key_len);
}

static bool
credential_copy(const fido_cred_t *credential, struct sk_enroll_response *response)
{
	response->flags = fido_cred_flags(credential);
	return public_key_copy(credential, response) &&
	       bytes_copy(fido_cred_id_ptr(credential), fido_cred_id_len(credential),
		   &response->key_handle, &response->key_handle_len) &&
	       bytes_copy(fido_cred_sig_ptr(credential), fido_cred_sig_len(credential),
		   &response->signature, &response->signature_len) &&
	       bytes_copy(fido_cred_x5c_ptr(credential), fido_cred_x5c_len(credential),
		   &response->attestation_cert, &response->attestation_cert_len) &&
	       bytes_copy(fido_cred_authdata_ptr(credential), fido_cred_authdata_len(credential),
		   &response->authdata, &response->authdata_len);
}

static int
cose_algorithm(uint32_t algorithm)
{
	return algorithm == SK_ED25519 ? COSE_EDDSA : COSE_ES256;
}

/* A user's name as an identifier, with zeros behind it; how long the name is. */
static size_t
user_identifier(const char *user, unsigned char identifier[USER_LENGTH])
{
	size_t length = user != NULL ? strlen(user) : 0;

	memset(identifier, 0, USER_LENGTH);
	for (size_t i = 0; i < length && i < USER_LENGTH; i++)
		identifier[i] = (unsigned char)user[i];
	return length;
}

static int
credential_prepare(fido_cred_t *credential, uint32_t algorithm, const uint8_t *challenge,
    size_t length, const char *application, uint8_t flags, const char *user)
{
	unsigned char identifier[USER_LENGTH], hash[SHA256_DIGEST_LENGTH];
	size_t user_length = user_identifier(user, identifier);
	bool resident = (flags & SK_RESIDENT) != 0;
	int code;

	if (user_length > sizeof identifier)
		return FIDO_ERR_INVALID_LENGTH;
	SHA256(challenge, length, hash);
	if ((code = fido_cred_set_type(credential, cose_algorithm(algorithm))) == FIDO_OK)
		code = fido_cred_set_clientdata_hash(credential, hash, sizeof hash);
	if (code == FIDO_OK)
		code = fido_cred_set_rk(credential, resident ? FIDO_OPT_TRUE : FIDO_OPT_OMIT);
	if (code == FIDO_OK)
		code = fido_cred_set_user(credential, identifier, sizeof identifier,
		    user_length > 0 ? user : "openssh", user_length > 0 ? user : "openssh", NULL);
	if (code == FIDO_OK)
		code = fido_cred_set_rp(credential, application, NULL);
	if (code == FIDO_OK && (flags & (SK_RESIDENT | SK_VERIFICATION)) != 0)
		code = fido_cred_set_prot(credential, (flags & SK_VERIFICATION) != 0
							  ? FIDO_CRED_PROT_UV_REQUIRED
							  : FIDO_CRED_PROT_UV_OPTIONAL_WITH_ID);
	return code;
}

/* A resident key of the same application and user would be overwritten without a word. */
static bool
resident_exists(fido_dev_t *device, const char *application, const char *user, const char *pin)
{
	fido_credman_rk_t *keys = fido_credman_rk_new();
	unsigned char identifier[USER_LENGTH];
	bool exists = false;

	user_identifier(user, identifier);
	if (keys != NULL && pin != NULL &&
	    fido_credman_get_dev_rk(device, application, keys, pin) == FIDO_OK)
		for (size_t i = 0; i < fido_credman_rk_count(keys); i++) {
			const fido_cred_t *key = fido_credman_rk(keys, i);

			exists |=
			    fido_cred_user_id_len(key) == sizeof identifier &&
			    memcmp(fido_cred_user_id_ptr(key), identifier, sizeof identifier) == 0;
		}
	fido_credman_rk_free(&keys);
	return exists;
}

static int
enroll_at(fido_dev_t *device, fido_cred_t *credential, uint8_t flags, const char *pin,
    struct sk_enroll_response **response)
{
	int code;

	if ((flags & SK_VERIFICATION) != 0 && pin == NULL && fido_dev_has_pin(device))
		return SK_ERROR_PIN_REQUIRED;
	if ((code = fido_dev_make_cred(device, credential, pin)) != FIDO_OK)
		return report("fido_dev_make_cred", code);
	if ((*response = calloc(1, sizeof **response)) == NULL)
		return SK_ERROR_GENERAL;
	if (credential_copy(credential, *response))
		return 0;
	sk_enroll_response_free(*response);
	*response = NULL;
	return SK_ERROR_GENERAL;
}

int
sk_fido_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len,
    const char *application, uint8_t flags, const char *pin, struct sk_option **options,
    struct sk_enroll_response **response)
{
	const char *user = option_value(options, "user");
	fido_dev_t *device = device_find(options, NULL, NULL);
	fido_cred_t *credential = fido_cred_new();
	int error = SK_ERROR_NO_DEVICE, code;

	if (device != NULL && credential != NULL) {
		code = credential_prepare(
		    credential, alg, challenge, challenge_len, application, flags, user);
		if (code != FIDO_OK)
			error = report("the request", code);
		else if ((flags & SK_RESIDENT) != 0 && (flags & SK_FORCE) == 0 &&
			 resident_exists(device, application, user, pin))
			error = SK_ERROR_EXISTS;
		else
			error = enroll_at(device, credential, flags, pin, response);
	}
	fido_cred_free(&credential);
	device_close(device);
	return error;
}

struct question {
	const char *application;
	const uint8_t *handle;
	size_t handle_length;
	unsigned char hash[SHA256_DIGEST_LENGTH];
};

static fido_assert_t *
assertion_new(const struct question *question, bool touch)
{
	fido_assert_t *assertion = fido_assert_new();

	if (assertion != NULL &&
	    fido_assert_set_clientdata_hash(assertion, question->hash, sizeof question->hash) ==
		FIDO_OK &&
	    fido_assert_set_rp(assertion, question->application) == FIDO_OK &&
	    fido_assert_allow_cred(assertion, question->handle, question->handle_length) ==
		FIDO_OK &&
	    fido_assert_set_up(assertion, touch ? FIDO_OPT_TRUE : FIDO_OPT_FALSE) == FIDO_OK)
		return assertion;
	fido_assert_free(&assertion);
	return NULL;
}

/* Asked without a touch, an authenticator tells at once whether the key is its own. */
static bool
knows_key(fido_dev_t *device, const void *context)
{
	fido_assert_t *assertion = assertion_new(context, false);
	int code;

	if (assertion == NULL)
		return false;
	code = fido_dev_get_assert(device, assertion, NULL);
	fido_assert_free(&assertion);
	return code == FIDO_OK || code == FIDO_ERR_USER_PRESENCE_REQUIRED ||
	       code == FIDO_ERR_PIN_REQUIRED;
}

/* ECDSA's signatures are DER. */
static bool
ecdsa_copy(const unsigned char *der, size_t length, struct sk_sign_response *response)
{
	ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, (long)length);
	uint8_t r[COORDINATE], s[COORDINATE];
	bool copied = signature != NULL &&
		      BN_bn2binpad(ECDSA_SIG_get0_r(signature), r, sizeof r) == (int)sizeof r &&
		      BN_bn2binpad(ECDSA_SIG_get0_s(signature), s, sizeof s) == (int)sizeof s &&
		      bytes_copy(r, sizeof r, &response->sig_r, &response->sig_r_len) &&
		      bytes_copy(s, sizeof s, &response->sig_s, &response->sig_s_len);

	ECDSA_SIG_free(signature);
	return copied;
}

static int
response_make(
    uint32_t algorithm, const fido_assert_t *assertion, struct sk_sign_response **response)
{
	const unsigned char *signature = fido_assert_sig_ptr(assertion, 0);
	size_t length = fido_assert_sig_len(assertion, 0);
	struct sk_sign_response *made = calloc(1, sizeof *made);

	if (made == NULL)
		return SK_ERROR_GENERAL;
	made->flags = fido_assert_flags(assertion, 0);
	made->counter = fido_assert_sigcount(assertion, 0);
	if (algorithm == SK_ED25519 ? bytes_copy(signature, length, &made->sig_r, &made->sig_r_len)
				    : ecdsa_copy(signature, length, made)) {
		*response = made;
		return 0;
	}
	sk_sign_response_free(made);
	return SK_ERROR_GENERAL;
}

int
sk_fido_sign(uint32_t alg, const uint8_t *data, size_t data_len, const char *application,
    const uint8_t *handle, size_t handle_len, uint8_t flags, const char *pin,
    struct sk_option **options, struct sk_sign_response **response)
{
	struct question question = {application, handle, handle_len, {0}};
	fido_assert_t *assertion;
	fido_dev_t *device;
	int error = SK_ERROR_GENERAL, code;

	SHA256(data, data_len, question.hash);
	if ((device = device_find(options, knows_key, &question)) == NULL)
		return SK_ERROR_NO_DEVICE;
	if ((assertion = assertion_new(&question, (flags & SK_TOUCH) != 0)) != NULL) {
		if (pin == NULL && (flags & SK_VERIFICATION) != 0 && fido_dev_has_uv(device))
			fido_assert_set_uv(assertion, FIDO_OPT_TRUE);
		if (pin == NULL && (flags & SK_VERIFICATION) != 0 && !fido_dev_has_uv(device))
			error = SK_ERROR_PIN_REQUIRED;
		else if ((code = fido_dev_get_assert(device, assertion, pin)) != FIDO_OK)
			error = report("fido_dev_get_assert", code);
		else
			error = response_make(alg, assertion, response);
		fido_assert_free(&assertion);
	}
	device_close(device);
	return error;
}

static struct sk_resident_key *
resident_copy(const fido_cred_t *credential, const char *application, size_t slot)
{
	struct sk_resident_key *key = calloc(1, sizeof *key);

	if (key == NULL)
		return NULL;
	key->alg = fido_cred_type(credential) == COSE_EDDSA ? SK_ED25519 : SK_ECDSA;
	key->slot = slot;
	key->flags = fido_cred_prot(credential) == FIDO_CRED_PROT_UV_REQUIRED ? SK_VERIFICATION : 0;
	if ((key->application = strdup(application)) != NULL &&
	    credential_copy(credential, &key->key) &&
	    bytes_copy(fido_cred_user_id_ptr(credential), fido_cred_user_id_len(credential),
		&key->user_id, &key->user_id_len))
		return key;
	free(key->application);
	free(key);
	return NULL;
}

/* The keys of one application, behind those that are there. */
static int
residents_add(fido_dev_t *device, const char *application, const char *pin,
    struct sk_resident_key ***keys, size_t *count)
{
	fido_credman_rk_t *found = fido_credman_rk_new();
	struct sk_resident_key **list;
	int code = found != NULL ? fido_credman_get_dev_rk(device, application, found, pin)
				 : FIDO_ERR_INTERNAL;
	size_t more = code == FIDO_OK ? fido_credman_rk_count(found) : 0;
	int error = code == FIDO_OK ? 0 : report("fido_credman_get_dev_rk", code);

	list = reallocarray(*keys, *count + more + 1, sizeof(void *));
	if (list != NULL)
		*keys = list;
	for (size_t i = 0; i < more && list != NULL; i++) {
		list[*count] = resident_copy(fido_credman_rk(found, i), application, i);
		*count += list[*count] != NULL;
	}
	fido_credman_rk_free(&found);
	return list != NULL ? error : SK_ERROR_GENERAL;
}

int
sk_fido_load_resident_keys(
    const char *pin, struct sk_option **options, struct sk_resident_key ***keys, size_t *count)
{
	fido_dev_t *device = device_find(options, NULL, NULL);
	fido_credman_rp_t *applications;
	int error = 0, code;

	*keys = NULL;
	*count = 0;
	if (device == NULL)
		return SK_ERROR_NO_DEVICE;
	if ((applications = fido_credman_rp_new()) == NULL)
		error = SK_ERROR_GENERAL;
	else if (pin == NULL)
		error = SK_ERROR_PIN_REQUIRED;
	else if ((code = fido_credman_get_dev_rp(device, applications, pin)) != FIDO_OK)
		error = report("fido_credman_get_dev_rp", code);
	for (size_t i = 0; error == 0 && i < fido_credman_rp_count(applications); i++) {
		const char *name = fido_credman_rp_id(applications, i);

		if (name != NULL && strncmp(name, APPLICATION_SSH, strlen(APPLICATION_SSH)) == 0)
			error = residents_add(device, name, pin, keys, count);
	}
	fido_credman_rp_free(&applications);
	device_close(device);
	if (error != 0) {
		sk_resident_keys_free(*keys, *count);
		*keys = NULL;
		*count = 0;
	}
	return error;
}
