/*
 * The parts of ssh-sk-helper, the process that speaks with FIDO authenticators: the library that
 * does it (sk_provider.c), our own over libfido2 (sk_fido*.c), requests (sk_helper.c).
 */
#ifndef SSH_SK_H
#define SSH_SK_H

#include <ssh/sk_api.h>

#include <nacre/wire.h>

struct sk_provider {
	void *handle; /* NULL: our own */
	uint32_t (*version)(void);
	int (*enroll)(uint32_t, const uint8_t *, size_t, const char *, uint8_t, const char *,
	    struct sk_option **, struct sk_enroll_response **);
	int (*sign)(uint32_t, const uint8_t *, size_t, const char *, const uint8_t *, size_t,
	    uint8_t, const char *, struct sk_option **, struct sk_sign_response **);
	int (*load_resident_keys)(
	    const char *, struct sk_option **, struct sk_resident_key ***, size_t *);
};

/* Finds the functions in the library at "path" ("internal": our own). False after a message. */
bool sk_provider_load(const char *path, struct sk_provider *provider);
void sk_provider_unload(struct sk_provider *provider);

void sk_enroll_response_free(struct sk_enroll_response *response);
void sk_sign_response_free(struct sk_sign_response *response);
void sk_resident_keys_free(struct sk_resident_key **keys, size_t count);

/* sk_fido.c: the interface over libfido2. */
int sk_fido_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len,
    const char *application, uint8_t flags, const char *pin, struct sk_option **options,
    struct sk_enroll_response **response);
int sk_fido_sign(uint32_t alg, const uint8_t *data, size_t data_len, const char *application,
    const uint8_t *handle, size_t handle_len, uint8_t flags, const char *pin,
    struct sk_option **options, struct sk_sign_response **response);
int sk_fido_load_resident_keys(
    const char *pin, struct sk_option **options, struct sk_resident_key ***keys, size_t *count);

#endif
