/* Requests to the process that speaks with FIDO authenticators (nacre/provider.h). */
#include <agent/agent.h>

enum { ALGORITHM_ECDSA, ALGORITHM_ED25519 };

static const char *
text_or_empty(const char *text)
{
	return text != NULL ? text : "";
}

void
sk_request_begin(struct nacre_buffer *request, const char *name, const struct nacre_sk *sk)
{
	nacre_put_byte(request, NACRE_PROVIDER_EXTENSION);
	nacre_put_cstring(request, name);
	nacre_put_cstring(request, sk->provider != NULL ? sk->provider : "internal");
	nacre_put_cstring(request, text_or_empty(sk->device));
	nacre_put_cstring(request, text_or_empty(sk->pin));
}

uint32_t
sk_algorithm_number(enum nacre_key_type type)
{
	return type == NACRE_KEY_ED25519_SK ? ALGORITHM_ED25519 : ALGORITHM_ECDSA;
}

int
nacre_sk_put_sign_request(const struct nacre_sk *sk, const struct nacre_key *key,
    struct nacre_span data, struct nacre_buffer *request)
{
	sk_request_begin(request, NACRE_PROVIDER_SK_SIGN, sk);
	nacre_put_u32(request, sk_algorithm_number(nacre_key_type(key)));
	nacre_put_string_span(request, nacre_key_application(key));
	nacre_put_string_span(request, nacre_key_sk_handle(key));
	nacre_put_byte(request, nacre_key_sk_flags(key));
	nacre_put_string_span(request, data);
	return request->failed ? NACRE_ERROR_MEMORY : 0;
}
