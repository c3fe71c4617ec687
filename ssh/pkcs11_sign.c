/* Signatures by a token, put into the form that SSH gives them (RFC 4253 6.6, RFC 5656, RFC 8332). */
#include <ssh/pkcs11.h>

#include <nacre/agent.h>
#include <nacre/log.h>

#include <openssl/evp.h>

#include <string.h>

#define SIGNATURE_MAX   2048
#define DIGEST_INFO_MAX 19
#define SCOPED_BUFFER   __attribute__((cleanup(nacre_buffer_free)))

/* A hash, and for RSA what stands before it (the DigestInfo of RFC 8017 section 9.2). */
struct digest {
	const char *hash;
	const char *rsa_algorithm;
	uint8_t rsa_prefix[DIGEST_INFO_MAX];
	size_t rsa_prefix_length;
};

static const struct digest sha1 = {"SHA1", "ssh-rsa",
    {0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14}, 15};
static const struct digest sha256 = {"SHA256", "rsa-sha2-256",
    {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
	0x00, 0x04, 0x20},
    19};
static const struct digest sha384 = {.hash = "SHA384"};
static const struct digest sha512 = {"SHA512", "rsa-sha2-512",
    {0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05,
	0x00, 0x04, 0x40},
    19};

struct scheme {
	CK_MECHANISM_TYPE mechanism;
	const struct digest *digest; /* NULL: the data is signed as it is */
	const char *algorithm;
};

static bool
scheme_choose(const struct nacre_key *key, uint32_t flags, struct scheme *scheme)
{
	const struct digest *rsa = (flags & NACRE_AGENT_RSA_SHA2_256) != 0   ? &sha256
				   : (flags & NACRE_AGENT_RSA_SHA2_512) != 0 ? &sha512
									     : &sha1;
	const struct {
		enum nacre_key_type type;
		struct scheme scheme;
	} table[] = {
	    {NACRE_KEY_RSA, {CKM_RSA_PKCS, rsa, rsa->rsa_algorithm}},
	    {NACRE_KEY_ECDSA_P256, {CKM_ECDSA, &sha256, "ecdsa-sha2-nistp256"}},
	    {NACRE_KEY_ECDSA_P384, {CKM_ECDSA, &sha384, "ecdsa-sha2-nistp384"}},
	    {NACRE_KEY_ECDSA_P521, {CKM_ECDSA, &sha512, "ecdsa-sha2-nistp521"}},
	    {NACRE_KEY_ED25519, {CKM_EDDSA, NULL, "ssh-ed25519"}},
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (table[i].type == nacre_key_type(key)) {
			*scheme = table[i].scheme;
			return true;
		}
	return false;
}

/* What the token is given to sign. */
static bool
input_make(const struct scheme *scheme, struct nacre_span data, struct nacre_buffer *input)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	size_t length = 0;

	if (scheme->digest == NULL) {
		nacre_put_span(input, data);
		return !input->failed;
	}
	if (EVP_Q_digest(NULL, scheme->digest->hash, NULL, data.data, data.length, hash, &length) !=
	    1)
		return false;
	if (scheme->mechanism == CKM_RSA_PKCS)
		nacre_put_bytes(
		    input, scheme->digest->rsa_prefix, scheme->digest->rsa_prefix_length);
	nacre_put_bytes(input, hash, length);
	return !input->failed;
}

static void
signature_put(const struct scheme *scheme, struct nacre_span raw, struct nacre_buffer *signature)
{
	size_t half = raw.length / 2, mark;

	nacre_put_cstring(signature, scheme->algorithm);
	if (scheme->mechanism != CKM_ECDSA) {
		nacre_put_string_span(signature, raw);
		return;
	}
	mark = nacre_put_string_begin(signature);
	nacre_put_mpint(signature, raw.data, half);
	nacre_put_mpint(signature, raw.data + half, half);
	nacre_put_string_end(signature, mark);
}

/* The private key with the identifier of the public one; marked as one that signs, if there is one
 * so marked. */
static bool
private_key_find(const struct token_key *key, bool marked, CK_OBJECT_HANDLE *object)
{
	const struct token *token = key->token;
	CK_FUNCTION_LIST *functions = token->module->functions;
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_BBOOL yes = CK_TRUE;
	CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class},
	    {CKA_ID, key->identifier.data + key->identifier.start,
		nacre_buffer_length(&key->identifier)},
	    {CKA_SIGN, &yes, sizeof yes}};
	CK_ULONG found = 0;

	if (functions->C_FindObjectsInit(token->session, template, marked ? 3 : 2) != CKR_OK)
		return false;
	if (functions->C_FindObjects(token->session, object, 1, &found) != CKR_OK)
		found = 0;
	functions->C_FindObjectsFinal(token->session);
	return found == 1;
}

static bool
always_authenticates(const struct token *token, CK_OBJECT_HANDLE object)
{
	CK_BBOOL always = CK_FALSE;
	CK_ATTRIBUTE attribute = {CKA_ALWAYS_AUTHENTICATE, &always, sizeof always};

	return token->module->functions->C_GetAttributeValue(
		   token->session, object, &attribute, 1) == CKR_OK &&
	       always == CK_TRUE;
}

static enum sign_result
sign_with(struct token *token, CK_OBJECT_HANDLE object, const struct scheme *scheme,
    const struct nacre_buffer *input, struct nacre_buffer *signature)
{
	CK_FUNCTION_LIST *functions = token->module->functions;
	CK_MECHANISM mechanism = {scheme->mechanism, NULL, 0};
	uint8_t raw[SIGNATURE_MAX];
	CK_ULONG length = sizeof raw;
	bool always = always_authenticates(token, object);
	CK_RV result;

	if (always && !token_has_pin(token))
		return SIGN_PIN_NEEDED;
	result = functions->C_SignInit(token->session, &mechanism, object);
	if (result == CKR_OK && always && token_login(token, CKU_CONTEXT_SPECIFIC) != CKR_OK)
		return SIGN_FAILED;
	if (result == CKR_OK)
		result = functions->C_Sign(token->session, input->data + input->start,
		    nacre_buffer_length(input), raw, &length);
	if (result != CKR_OK) {
		nacre_log(
		    NACRE_LOG_ERROR, "token \"%s\": C_Sign failed: %lu", token->label, result);
		return SIGN_FAILED;
	}
	signature_put(scheme, (struct nacre_span){raw, length}, signature);
	return signature->failed ? SIGN_FAILED : SIGN_DONE;
}

/* The session is lost when the token was taken out in between. */
static bool
session_is_alive(const struct token *token)
{
	CK_SESSION_INFO info;

	return token->open &&
	       token->module->functions->C_GetSessionInfo(token->session, &info) == CKR_OK;
}

enum sign_result
token_key_sign(const struct token_key *key, struct nacre_span data, uint32_t flags,
    struct nacre_buffer *signature)
{
	SCOPED_BUFFER struct nacre_buffer input = {0};
	struct token *token = key->token;
	CK_OBJECT_HANDLE object;
	struct scheme scheme;
	enum sign_result result;

	if (!scheme_choose(key->key, flags, &scheme) || !input_make(&scheme, data, &input))
		return SIGN_FAILED;
	if (!session_is_alive(token) && !token_reopen(token)) {
		nacre_log(NACRE_LOG_ERROR, "token \"%s\" is not there", token->label);
		return SIGN_FAILED;
	}
	if (token_wants_login(token)) {
		if (!token_has_pin(token))
			return SIGN_PIN_NEEDED;
		if (token_login(token, CKU_USER) != CKR_OK)
			return SIGN_FAILED;
	}
	if (!private_key_find(key, true, &object) && !private_key_find(key, false, &object)) {
		nacre_log(
		    NACRE_LOG_ERROR, "token \"%s\": the private key is not there", token->label);
		return SIGN_FAILED;
	}
	result = sign_with(token, object, &scheme, &input, signature);
	if (result != SIGN_PIN_NEEDED && token->pin_once)
		token_pin_forget(token);
	return result;
}
