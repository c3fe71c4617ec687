/*
 * What a library must export that stands between OpenSSH (and us) and FIDO authenticators. Its
 * functions return 0 or one of the errors; what they hand out is allocated with malloc() and freed
 * by the caller. Layout and numbers are those of version 10 of that interface.
 */
#ifndef SSH_SK_API_H
#define SSH_SK_API_H

#include <stddef.h>
#include <stdint.h>

#define SK_API_VERSION      0x000a0000U
#define SK_API_VERSION_MASK 0xffff0000U

enum sk_algorithm { SK_ECDSA = 0, SK_ED25519 = 1 };
enum sk_flag {
	SK_TOUCH = 0x01,        /* a touch is required for every signature */
	SK_VERIFICATION = 0x04, /* and a PIN, or a finger */
	SK_FORCE = 0x10,        /* a resident key may take another's place */
	SK_RESIDENT = 0x20
};
enum sk_error {
	SK_ERROR_GENERAL = -1,
	SK_ERROR_UNSUPPORTED = -2,
	SK_ERROR_PIN_REQUIRED = -3,
	SK_ERROR_NO_DEVICE = -4,
	SK_ERROR_EXISTS = -5
};

struct sk_enroll_response {
	uint8_t flags;
	uint8_t *public_key;
	size_t public_key_len;
	uint8_t *key_handle;
	size_t key_handle_len;
	uint8_t *signature;
	size_t signature_len;
	uint8_t *attestation_cert;
	size_t attestation_cert_len;
	uint8_t *authdata;
	size_t authdata_len;
};

struct sk_sign_response {
	uint8_t flags;
	uint32_t counter;
	uint8_t *sig_r; /* of Ed25519 the whole signature */
	size_t sig_r_len;
	uint8_t *sig_s;
	size_t sig_s_len;
};

struct sk_resident_key {
	uint32_t alg;
	size_t slot;
	char *application;
	struct sk_enroll_response key;
	uint8_t flags;
	uint8_t *user_id;
	size_t user_id_len;
};

/* Ends with a NULL pointer in arrays. "required": an unknown name is an error. */
struct sk_option {
	char *name;
	char *value;
	uint8_t required;
};

uint32_t sk_api_version(void);
int sk_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application,
    uint8_t flags, const char *pin, struct sk_option **options,
    struct sk_enroll_response **enroll_response);
int sk_sign(uint32_t alg, const uint8_t *data, size_t data_len, const char *application,
    const uint8_t *key_handle, size_t key_handle_len, uint8_t flags, const char *pin,
    struct sk_option **options, struct sk_sign_response **sign_response);
int sk_load_resident_keys(
    const char *pin, struct sk_option **options, struct sk_resident_key ***rks, size_t *nrks);

#endif
