/*
 * ssh-sk-helper: speaks with a FIDO authenticator, or with the library that does, so that neither is
 * in a program that holds other keys. Standard input is a socket; what comes over it are extension
 * requests of the agent's protocol (nacre/provider.h).
 */
#include <ssh/provider_serve.h>
#include <ssh/sk.h>

#include <nacre/provider.h>

#include <string.h>

#define TEXT_MAX     1024
#define OPTIONS_MAX  3
#define ATTESTATION  "ssh-sk-attest-v01"
#define SK_RESPONSES 256

/* What every request begins with: library, device ("": any), PIN ("": none). */
struct common {
	char provider[TEXT_MAX], device[TEXT_MAX], pin[TEXT_MAX];
	struct sk_option options[OPTIONS_MAX - 1], *list[OPTIONS_MAX];
};

static bool
text_get(struct nacre_reader *request, char text[TEXT_MAX])
{
	struct nacre_span span = nacre_get_string(request);

	if (span.length >= TEXT_MAX || (span.length > 0 && memchr(span.data, 0, span.length)))
		return false;
	if (span.length > 0)
		memcpy(text, span.data, span.length);
	text[span.length] = '\0';
	return !request->failed;
}

/* The interface's texts are not const. */
static void
option_add(struct common *common, const char *name,
    char *value) /* NOLINT(readability-non-const-parameter) */
{
	static char names[][8] = {"device", "user"};
	size_t count = 0;

	if (value[0] == '\0')
		return;
	while (common->list[count] != NULL)
		count++;
	common->options[count] =
	    (struct sk_option){strcmp(name, "user") == 0 ? names[1] : names[0], value, 1};
	common->list[count] = &common->options[count];
}

static bool
common_get(struct nacre_reader *request, struct common *common)
{
	*common = (struct common){0};
	if (!text_get(request, common->provider) || !text_get(request, common->device) ||
	    !text_get(request, common->pin))
		return false;
	option_add(common, "device", common->device);
	return true;
}

/* Libraries return errors of the interface, or anything. */
static int
put_error(int error, struct nacre_buffer *answer)
{
	bool known = error < 0 && error >= SK_ERROR_EXISTS;

	nacre_put_byte(answer, NACRE_PROVIDER_EXTENSION_FAILURE);
	nacre_put_u32(answer, (uint32_t)(known ? -error : -SK_ERROR_GENERAL));
	return error;
}

static const char *
pin_or_null(const struct common *common)
{
	return common->pin[0] != '\0' ? common->pin : NULL;
}

static bool
signature_put(
    uint32_t algorithm, const struct sk_sign_response *response, struct nacre_buffer *signature)
{
	size_t mark;

	if (algorithm == SK_ED25519) {
		nacre_put_cstring(signature, "sk-ssh-ed25519@openssh.com");
		nacre_put_string(signature, response->sig_r, response->sig_r_len);
	} else {
		nacre_put_cstring(signature, "sk-ecdsa-sha2-nistp256@openssh.com");
		mark = nacre_put_string_begin(signature);
		nacre_put_mpint(signature, response->sig_r, response->sig_r_len);
		nacre_put_mpint(signature, response->sig_s, response->sig_s_len);
		nacre_put_string_end(signature, mark);
	}
	nacre_put_byte(signature, response->flags);
	nacre_put_u32(signature, response->counter);
	return !signature->failed;
}

/* common, algorithm, application, handle, flags, data */
static int
handle_sign(struct nacre_reader *request, struct nacre_buffer *answer)
{
	struct sk_sign_response *response = NULL;
	struct nacre_buffer signature = {0};
	struct sk_provider provider;
	struct nacre_span handle, data;
	char application[TEXT_MAX];
	struct common common;
	uint32_t algorithm;
	uint8_t flags;
	int error = SK_ERROR_GENERAL;

	if (!common_get(request, &common))
		return put_error(error, answer);
	algorithm = nacre_get_u32(request);
	if (!text_get(request, application))
		return put_error(error, answer);
	handle = nacre_get_string(request);
	flags = nacre_get_byte(request);
	data = nacre_get_string(request);
	if (nacre_reader_done(request) && sk_provider_load(common.provider, &provider)) {
		error = provider.sign(algorithm, data.data, data.length, application, handle.data,
		    handle.length, flags, pin_or_null(&common), common.list, &response);
		if (error == 0 &&
		    (response == NULL || !signature_put(algorithm, response, &signature)))
			error = SK_ERROR_GENERAL;
		sk_sign_response_free(response);
		sk_provider_unload(&provider);
	}
	if (error == 0) {
		nacre_put_byte(answer, NACRE_PROVIDER_SIGNATURE);
		nacre_put_string_span(answer, nacre_buffer_span(&signature));
	} else {
		put_error(error, answer);
	}
	nacre_buffer_free(&signature);
	explicit_bzero(&common, sizeof common);
	return error;
}

/* The private encoding of what was enrolled. */
static void
put_key(uint32_t algorithm, const char *application, uint8_t flags,
    const struct sk_enroll_response *response, struct nacre_buffer *answer)
{
	if (algorithm == SK_ED25519) {
		nacre_put_cstring(answer, "sk-ssh-ed25519@openssh.com");
	} else {
		nacre_put_cstring(answer, "sk-ecdsa-sha2-nistp256@openssh.com");
		nacre_put_cstring(answer, "nistp256");
	}
	nacre_put_string(answer, response->public_key, response->public_key_len);
	nacre_put_cstring(answer, application);
	nacre_put_byte(answer, flags);
	nacre_put_string(answer, response->key_handle, response->key_handle_len);
	nacre_put_cstring(answer, "");
}

static void
put_attestation(const struct sk_enroll_response *response, struct nacre_buffer *answer)
{
	size_t mark = nacre_put_string_begin(answer);

	nacre_put_cstring(answer, ATTESTATION);
	nacre_put_string(answer, response->attestation_cert, response->attestation_cert_len);
	nacre_put_string(answer, response->signature, response->signature_len);
	nacre_put_string(answer, response->authdata, response->authdata_len);
	nacre_put_u32(answer, 0);
	nacre_put_cstring(answer, "");
	nacre_put_string_end(answer, mark);
}

/* common, algorithm, application, flags, challenge, user */
static int
handle_enroll(struct nacre_reader *request, struct nacre_buffer *answer)
{
	struct sk_enroll_response *response = NULL;
	char application[TEXT_MAX], user[TEXT_MAX];
	struct sk_provider provider;
	struct nacre_span challenge;
	struct common common;
	uint32_t algorithm;
	uint8_t flags;
	int error = SK_ERROR_GENERAL;

	if (!common_get(request, &common))
		return put_error(error, answer);
	algorithm = nacre_get_u32(request);
	if (!text_get(request, application))
		return put_error(error, answer);
	flags = nacre_get_byte(request);
	challenge = nacre_get_string(request);
	if (!text_get(request, user) || !nacre_reader_done(request))
		return put_error(error, answer);
	option_add(&common, "user", user);
	if (sk_provider_load(common.provider, &provider)) {
		error = provider.enroll(algorithm, challenge.data, challenge.length, application,
		    flags, pin_or_null(&common), common.list, &response);
		sk_provider_unload(&provider);
	}
	if (error == 0 && response != NULL) {
		nacre_put_byte(answer, NACRE_PROVIDER_ANSWER);
		nacre_put_cstring(answer, NACRE_PROVIDER_SK_ENROLL);
		put_key(algorithm, application, flags, response, answer);
		put_attestation(response, answer);
	} else {
		put_error(error != 0 ? error : SK_ERROR_GENERAL, answer);
	}
	sk_enroll_response_free(response);
	explicit_bzero(&common, sizeof common);
	return error;
}

/* common */
static int
handle_resident(struct nacre_reader *request, struct nacre_buffer *answer)
{
	struct sk_resident_key **keys = NULL;
	struct sk_provider provider;
	struct common common;
	size_t count = 0;
	int error = SK_ERROR_GENERAL;

	if (!common_get(request, &common) || !nacre_reader_done(request))
		return put_error(error, answer);
	if (sk_provider_load(common.provider, &provider)) {
		error =
		    provider.load_resident_keys(pin_or_null(&common), common.list, &keys, &count);
		sk_provider_unload(&provider);
	}
	explicit_bzero(&common, sizeof common);
	if (error != 0 || count > SK_RESPONSES)
		return put_error(error != 0 ? error : SK_ERROR_GENERAL, answer);
	nacre_put_byte(answer, NACRE_PROVIDER_ANSWER);
	nacre_put_cstring(answer, NACRE_PROVIDER_SK_RESIDENT);
	nacre_put_u32(answer, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		uint8_t flags = SK_TOUCH | SK_RESIDENT | (keys[i]->flags & SK_VERIFICATION);

		put_key(keys[i]->alg, keys[i]->application, flags, &keys[i]->key, answer);
		nacre_put_string(answer, keys[i]->user_id, keys[i]->user_id_len);
	}
	sk_resident_keys_free(keys, count);
	return 0;
}

static void
handle(void *context, struct nacre_span message, struct nacre_buffer *answer)
{
	static const struct {
		const char *name;
		int (*handle)(struct nacre_reader *, struct nacre_buffer *);
	} handlers[] = {
	    {NACRE_PROVIDER_SK_SIGN, handle_sign},
	    {NACRE_PROVIDER_SK_ENROLL, handle_enroll},
	    {NACRE_PROVIDER_SK_RESIDENT, handle_resident},
	};
	struct nacre_reader request = nacre_reader_of(message);
	struct nacre_span name;

	(void)context;
	if (nacre_get_byte(&request) == NACRE_PROVIDER_EXTENSION) {
		name = nacre_get_string(&request);
		for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++)
			if (nacre_span_equals(name, handlers[i].name)) {
				handlers[i].handle(&request, answer);
				return;
			}
	}
	nacre_put_byte(answer, NACRE_PROVIDER_FAILURE);
}

int
main(int count, char **arguments)
{
	provider_begin("ssh-sk-helper", count, arguments);
	while (provider_serve_one(handle, NULL))
		;
	return 0;
}
