/*
 * The tables of key types and signature algorithms, and everything that is only looking up names.
 */
#include <key/key.h>

#include <string.h>

#define CERTIFIED(name) name "-cert-v01@openssh.com"
#define SK_ED25519      "sk-ssh-ed25519@openssh.com"
#define SK_ECDSA        "sk-ecdsa-sha2-nistp256@openssh.com"
#define SK_ED25519_CERT "sk-ssh-ed25519-cert-v01@openssh.com"
#define SK_ECDSA_CERT   "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com"
#define WEBAUTHN        WEBAUTHN_ALGORITHM
#define WEBAUTHN_CERT   "webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com"
#define COUNT(table)    (sizeof(table) / sizeof((table)[0]))

#define SIMPLE_NAMES(plain)                                                           \
	.name = (plain), .certificate_name = CERTIFIED(plain), .algorithms = (plain), \
	.certificate_names = CERTIFIED(plain)

static const struct key_kind kinds[] = {
    {NACRE_KEY_ED25519, SIMPLE_NAMES("ssh-ed25519"), .label = "ED25519",
	.certificate_label = "ED25519-CERT", .bits = 256, .functions = &ed25519_functions},
    {NACRE_KEY_ECDSA_P256, SIMPLE_NAMES("ecdsa-sha2-nistp256"), .label = "ECDSA",
	.certificate_label = "ECDSA-CERT", .bits = 256, .curve = BACKEND_P256,
	.curve_name = "nistp256", .functions = &ecdsa_functions},
    {NACRE_KEY_ECDSA_P384, SIMPLE_NAMES("ecdsa-sha2-nistp384"), .label = "ECDSA",
	.certificate_label = "ECDSA-CERT", .bits = 384, .curve = BACKEND_P384,
	.curve_name = "nistp384", .functions = &ecdsa_functions},
    {NACRE_KEY_ECDSA_P521, SIMPLE_NAMES("ecdsa-sha2-nistp521"), .label = "ECDSA",
	.certificate_label = "ECDSA-CERT", .bits = 521, .curve = BACKEND_P521,
	.curve_name = "nistp521", .functions = &ecdsa_functions},
    {NACRE_KEY_ED25519_SK, SK_ED25519, SK_ED25519_CERT, "ED25519-SK", "ED25519-SK-CERT",
	.bits = 256, .algorithms = SK_ED25519, .certificate_names = SK_ED25519_CERT,
	.functions = &security_key_functions},
    {NACRE_KEY_ECDSA_SK, SK_ECDSA, SK_ECDSA_CERT, "ECDSA-SK", "ECDSA-SK-CERT", .bits = 256,
	.curve = BACKEND_P256, .curve_name = "nistp256", .algorithms = SK_ECDSA,
	.certificate_names = SK_ECDSA_CERT, .functions = &security_key_functions},
    {NACRE_KEY_RSA, "ssh-rsa", CERTIFIED("ssh-rsa"), "RSA", "RSA-CERT",
	.algorithms = "rsa-sha2-512,rsa-sha2-256",
	.certificate_names = CERTIFIED("rsa-sha2-512") "," CERTIFIED("rsa-sha2-256"),
	.functions = &rsa_functions},
};

static const struct {
	struct signature_algorithm algorithm;
	enum nacre_key_type type;
} signatures[] = {
    {{"ssh-ed25519", CERTIFIED("ssh-ed25519"), NULL, true}, NACRE_KEY_ED25519},
    {{"ecdsa-sha2-nistp256", CERTIFIED("ecdsa-sha2-nistp256"), NULL, true}, NACRE_KEY_ECDSA_P256},
    {{"ecdsa-sha2-nistp384", CERTIFIED("ecdsa-sha2-nistp384"), NULL, true}, NACRE_KEY_ECDSA_P384},
    {{"ecdsa-sha2-nistp521", CERTIFIED("ecdsa-sha2-nistp521"), NULL, true}, NACRE_KEY_ECDSA_P521},
    {{SK_ED25519, SK_ED25519_CERT, NULL, true}, NACRE_KEY_ED25519_SK},
    {{SK_ECDSA, SK_ECDSA_CERT, NULL, true}, NACRE_KEY_ECDSA_SK},
    {{WEBAUTHN, WEBAUTHN_CERT, NULL, false}, NACRE_KEY_ECDSA_SK},
    {{"rsa-sha2-512", CERTIFIED("rsa-sha2-512"), &hash_sha512, true}, NACRE_KEY_RSA},
    {{"rsa-sha2-256", CERTIFIED("rsa-sha2-256"), &hash_sha256, true}, NACRE_KEY_RSA},
    {{"ssh-rsa", CERTIFIED("ssh-rsa"), &hash_sha1, false}, NACRE_KEY_RSA},
};

const struct key_kind *
key_kind_of_type(enum nacre_key_type type)
{
	for (size_t i = 0; i < COUNT(kinds); i++)
		if (kinds[i].type == type)
			return &kinds[i];
	return NULL;
}

const struct key_kind *
key_kind_of_format(struct nacre_span name, bool *certified)
{
	for (size_t i = 0; i < COUNT(kinds); i++) {
		*certified = nacre_span_equals(name, kinds[i].certificate_name);
		if (*certified || nacre_span_equals(name, kinds[i].name))
			return &kinds[i];
	}
	return NULL;
}

static size_t
signature_index(struct nacre_span name, bool *certified)
{
	size_t i;

	for (i = 0; i < COUNT(signatures); i++) {
		*certified = nacre_span_equals(name, signatures[i].algorithm.certificate_name);
		if (*certified || nacre_span_equals(name, signatures[i].algorithm.name))
			break;
	}
	return i;
}

const struct signature_algorithm *
signature_algorithm_find(struct nacre_span name, bool *certified)
{
	size_t i = signature_index(name, certified);

	return i < COUNT(signatures) ? &signatures[i].algorithm : NULL;
}

int
nacre_key_type_of_name(struct nacre_span name, enum nacre_key_type *type)
{
	bool certified;
	const struct key_kind *kind = key_kind_of_format(name, &certified);
	size_t i;

	if (kind != NULL) {
		*type = kind->type;
		return 0;
	}
	i = signature_index(name, &certified);
	if (i == COUNT(signatures))
		return NACRE_ERROR_UNSUPPORTED;
	*type = signatures[i].type;
	return 0;
}

bool
nacre_signature_algorithm_fits(struct nacre_span algorithm, const struct nacre_key *key)
{
	bool certified;
	size_t i = signature_index(algorithm, &certified);

	return i < COUNT(signatures) && signatures[i].type == key->kind->type &&
	       (!certified || key->certificate != NULL);
}

const char *
nacre_signature_algorithm_plain(struct nacre_span algorithm)
{
	bool certified;
	const struct signature_algorithm *found = signature_algorithm_find(algorithm, &certified);

	return found != NULL ? found->name : NULL;
}

const char *
nacre_key_signature_algorithms(const struct nacre_key *key)
{
	return key->certificate != NULL ? key->kind->certificate_names : key->kind->algorithms;
}

const char *
nacre_signature_algorithms_default(void)
{
	return "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521," SK_ED25519
	       "," SK_ECDSA ",rsa-sha2-512,rsa-sha2-256";
}

enum nacre_key_type
nacre_key_type(const struct nacre_key *key)
{
	return key->kind->type;
}

const char *
nacre_key_format(const struct nacre_key *key)
{
	return key->certificate != NULL ? key->kind->certificate_name : key->kind->name;
}

const char *
nacre_key_type_label(const struct nacre_key *key)
{
	return key->certificate != NULL ? key->kind->certificate_label : key->kind->label;
}
