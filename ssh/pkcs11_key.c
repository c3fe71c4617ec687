/* The public keys of a token: of its public key objects, and of its X.509 certificates. */
#include <ssh/pkcs11.h>

#include <nacre/log.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTRIBUTE_MAX ((size_t)64 * 1024)
#define OBJECTS_MAX   1024
#define DER_OCTETS    0x04
#define DER_LONG      0x80
#define ED25519_POINT 32

#define SCOPED_BUFFER __attribute__((cleanup(nacre_buffer_free)))

bool
attribute_read(const struct token *token, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
    struct nacre_buffer *value)
{
	CK_FUNCTION_LIST *functions = token->module->functions;
	CK_ATTRIBUTE attribute = {.type = type};

	if (functions->C_GetAttributeValue(token->session, object, &attribute, 1) != CKR_OK ||
	    attribute.ulValueLen == 0 || attribute.ulValueLen > ATTRIBUTE_MAX)
		return false;
	if ((attribute.pValue = nacre_buffer_room(value, attribute.ulValueLen)) == NULL ||
	    functions->C_GetAttributeValue(token->session, object, &attribute, 1) != CKR_OK ||
	    attribute.ulValueLen > ATTRIBUTE_MAX)
		return false;
	nacre_buffer_added(value, attribute.ulValueLen);
	return true;
}

static int
rsa_blob(const struct token *token, CK_OBJECT_HANDLE object, struct nacre_buffer *blob)
{
	SCOPED_BUFFER struct nacre_buffer modulus = {0}, exponent = {0};

	if (!attribute_read(token, object, CKA_MODULUS, &modulus) ||
	    !attribute_read(token, object, CKA_PUBLIC_EXPONENT, &exponent))
		return NACRE_ERROR_FORMAT;
	nacre_put_cstring(blob, "ssh-rsa");
	nacre_put_mpint(blob, nacre_buffer_span(&exponent).data, nacre_buffer_length(&exponent));
	nacre_put_mpint(blob, nacre_buffer_span(&modulus).data, nacre_buffer_length(&modulus));
	return 0;
}

/* Points come as a DER octet string; some modules leave its header out. */
static struct nacre_span
point_of(struct nacre_span value)
{
	size_t header = 2, length;

	if (value.length < 2 || value.data[0] != DER_OCTETS)
		return value;
	length = value.data[1];
	if (length == (DER_LONG | 1) && value.length > 2) {
		length = value.data[2];
		header = 3;
	}
	if (length != value.length - header)
		return value;
	return (struct nacre_span){value.data + header, length};
}

static int
ec_blob(const struct token *token, CK_OBJECT_HANDLE object, struct nacre_buffer *blob)
{
	static const struct {
		struct nacre_span parameters;
		const char *format, *curve;
	} curves[] = {
	    {{(const uint8_t *)"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", 10},
		"ecdsa-sha2-nistp256", "nistp256"},
	    {{(const uint8_t *)"\x06\x05\x2b\x81\x04\x00\x22", 7}, "ecdsa-sha2-nistp384",
		"nistp384"},
	    {{(const uint8_t *)"\x06\x05\x2b\x81\x04\x00\x23", 7}, "ecdsa-sha2-nistp521",
		"nistp521"},
	};
	SCOPED_BUFFER struct nacre_buffer parameters = {0}, point = {0};

	if (!attribute_read(token, object, CKA_EC_PARAMS, &parameters) ||
	    !attribute_read(token, object, CKA_EC_POINT, &point))
		return NACRE_ERROR_FORMAT;
	for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
		if (!nacre_span_equal(nacre_buffer_span(&parameters), curves[i].parameters))
			continue;
		nacre_put_cstring(blob, curves[i].format);
		nacre_put_cstring(blob, curves[i].curve);
		nacre_put_string_span(blob, point_of(nacre_buffer_span(&point)));
		return 0;
	}
	return NACRE_ERROR_UNSUPPORTED;
}

static int
edwards_blob(const struct token *token, CK_OBJECT_HANDLE object, struct nacre_buffer *blob)
{
	SCOPED_BUFFER struct nacre_buffer value = {0};
	struct nacre_span point;

	if (!attribute_read(token, object, CKA_EC_POINT, &value))
		return NACRE_ERROR_FORMAT;
	point = point_of(nacre_buffer_span(&value));
	if (point.length != ED25519_POINT)
		return NACRE_ERROR_UNSUPPORTED;
	nacre_put_cstring(blob, "ssh-ed25519");
	nacre_put_string_span(blob, point);
	return 0;
}

static int
public_key_read(const struct token *token, CK_OBJECT_HANDLE object, struct nacre_key **key)
{
	static const struct {
		CK_KEY_TYPE type;
		int (*read)(const struct token *, CK_OBJECT_HANDLE, struct nacre_buffer *);
	} readers[] = {{CKK_RSA, rsa_blob}, {CKK_EC, ec_blob}, {CKK_EC_EDWARDS, edwards_blob}};
	SCOPED_BUFFER struct nacre_buffer blob = {0};
	CK_KEY_TYPE type = 0;
	CK_ATTRIBUTE attribute = {CKA_KEY_TYPE, &type, sizeof type};
	int error = NACRE_ERROR_UNSUPPORTED;

	if (token->module->functions->C_GetAttributeValue(token->session, object, &attribute, 1) !=
	    CKR_OK)
		return NACRE_ERROR_FORMAT;
	for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
		if (readers[i].type == type)
			error = readers[i].read(token, object, &blob);
	return error != 0 ? error : nacre_key_from_blob(nacre_buffer_span(&blob), key);
}

/* The key in a certificate, by way of its PEM form. */
static int
key_of_certificate(const X509 *certificate, struct nacre_key **key)
{
	EVP_PKEY *public = X509_get0_pubkey(certificate);
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long length;
	int error = NACRE_ERROR_FORMAT;

	if (public != NULL && bio != NULL && PEM_write_bio_PUBKEY(bio, public) == 1 &&
	    (length = BIO_get_mem_data(bio, &text)) > 0)
		error = nacre_key_from_pem(
		    (struct nacre_span){(const uint8_t *)text, (size_t)length}, key);
	BIO_free(bio);
	return error;
}

/* *label becomes the name of the certificate's subject. */
static int
certificate_read(
    const struct token *token, CK_OBJECT_HANDLE object, struct nacre_key **key, char **label)
{
	SCOPED_BUFFER struct nacre_buffer value = {0};
	const unsigned char *data;
	X509 *certificate;
	char *name;
	int error;

	if (!attribute_read(token, object, CKA_VALUE, &value))
		return NACRE_ERROR_FORMAT;
	data = nacre_buffer_span(&value).data;
	certificate = d2i_X509(NULL, &data, (long)nacre_buffer_length(&value));
	if (certificate == NULL)
		return NACRE_ERROR_FORMAT;
	error = key_of_certificate(certificate, key);
	name = X509_NAME_oneline(X509_get_subject_name(certificate), NULL, 0);
	*label = name != NULL ? strdup(name) : NULL;
	OPENSSL_free(name);
	X509_free(certificate);
	return error;
}

static bool
is_known(const struct token_key *list, struct nacre_span blob)
{
	for (; list != NULL; list = list->next)
		if (nacre_span_equal(nacre_buffer_span(&list->blob), blob))
			return true;
	return false;
}

static void
token_key_free(struct token_key *key)
{
	nacre_key_free(key->key);
	nacre_buffer_free(&key->blob);
	nacre_buffer_free(&key->identifier);
	free(key->label);
	free(key);
}

static char *
label_read(const struct token *token, CK_OBJECT_HANDLE object)
{
	SCOPED_BUFFER struct nacre_buffer value = {0};

	if (!attribute_read(token, object, CKA_LABEL, &value))
		return NULL;
	return nacre_span_to_string(nacre_buffer_span(&value));
}

/* Without an identifier its private half could not be found. */
static void
key_add(struct token *token, CK_OBJECT_HANDLE object, bool certificate, struct token_key **list)
{
	struct token_key *made = calloc(1, sizeof *made);
	int error;

	if (made == NULL)
		return;
	made->token = token;
	error = certificate ? certificate_read(token, object, &made->key, &made->label)
			    : public_key_read(token, object, &made->key);
	if (error == NACRE_ERROR_UNSUPPORTED)
		nacre_log(
		    NACRE_LOG_VERBOSE, "token \"%s\": skipping unsupported key type", token->label);
	if (error == 0 && made->label == NULL)
		made->label = label_read(token, object);
	if (error != 0 || nacre_key_put_blob(made->key, true, &made->blob) != 0 ||
	    !attribute_read(token, object, CKA_ID, &made->identifier) ||
	    is_known(*list, nacre_buffer_span(&made->blob))) {
		token_key_free(made);
		return;
	}
	while (*list != NULL)
		list = &(*list)->next;
	*list = made;
}

static void
objects_collect(struct token *token, bool certificates, struct token_key **list)
{
	CK_FUNCTION_LIST *functions = token->module->functions;
	CK_OBJECT_CLASS class = certificates ? CKO_CERTIFICATE : CKO_PUBLIC_KEY;
	CK_CERTIFICATE_TYPE type = CKC_X_509;
	CK_ATTRIBUTE template[] = {
	    {CKA_CLASS, &class, sizeof class}, {CKA_CERTIFICATE_TYPE, &type, sizeof type}};
	CK_OBJECT_HANDLE objects[OBJECTS_MAX];
	CK_ULONG found = 0, count = 0;

	if (functions->C_FindObjectsInit(token->session, template, certificates ? 2 : 1) != CKR_OK)
		return;
	while (count < OBJECTS_MAX &&
	       functions->C_FindObjects(
		   token->session, objects + count, OBJECTS_MAX - count, &found) == CKR_OK &&
	       found > 0)
		count += found;
	functions->C_FindObjectsFinal(token->session);
	for (CK_ULONG i = 0; i < count; i++)
		key_add(token, objects[i], certificates, list);
}

void
token_keys_collect(struct token *token, struct token_key **list)
{
	objects_collect(token, false, list);
	objects_collect(token, true, list);
}

void
token_keys_free(struct token_key **list, const struct module *module)
{
	struct token_key *key;

	while ((key = *list) != NULL) {
		if (module != NULL && key->token->module != module) {
			list = &key->next;
			continue;
		}
		*list = key->next;
		token_key_free(key);
	}
}
