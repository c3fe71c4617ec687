/* The table of key exchange methods, and the life of an agreement. */
#include <crypto/kex_functions.h>

#include <sodium.h>
#include <stdlib.h>

/* In order of preference. Columns: secret_is_string, post_quantum, by_default,
 * by_default_client_only. */
static const struct kex_method methods[] = {
    {"mlkem768x25519-sha256", &hash_sha256, &kex_mlkem768x25519, KEX_STRING, true, true, true,
	false},
    {"sntrup761x25519-sha512", &hash_sha512, &kex_sntrup761x25519, KEX_STRING, true, true, true,
	false},
    {"sntrup761x25519-sha512@openssh.com", &hash_sha512, &kex_sntrup761x25519, KEX_STRING, true,
	true, true, false},
    {"curve25519-sha256", &hash_sha256, &kex_curve25519, KEX_STRING, false, false, true, false},
    {"curve25519-sha256@libssh.org", &hash_sha256, &kex_curve25519, KEX_STRING, false, false, true,
	false},
    {"ecdh-sha2-nistp256", &hash_sha256, &kex_nistp256, KEX_STRING, false, false, true, true},
    {"ecdh-sha2-nistp384", &hash_sha384, &kex_nistp384, KEX_STRING, false, false, true, true},
    {"ecdh-sha2-nistp521", &hash_sha512, &kex_nistp521, KEX_STRING, false, false, true, true},
    {"diffie-hellman-group-exchange-sha256", &hash_sha256, &kex_group_exchange, KEX_DH_GEX, false,
	false, true, true},
    {"diffie-hellman-group16-sha512", &hash_sha512, &kex_group16, KEX_DH, false, false, true, true},
    {"diffie-hellman-group18-sha512", &hash_sha512, &kex_group18, KEX_DH, false, false, true, true},
    {"diffie-hellman-group14-sha256", &hash_sha256, &kex_group14, KEX_DH, false, false, true, true},
    {"diffie-hellman-group14-sha1", &hash_sha1, &kex_group14, KEX_DH, false, false, false, false},
    {"diffie-hellman-group1-sha1", &hash_sha1, &kex_group1, KEX_DH, false, false, false, false},
    {"diffie-hellman-group-exchange-sha1", &hash_sha1, &kex_group_exchange, KEX_DH_GEX, false,
	false, false, false},
};

const struct kex_method *
kex_table(size_t *count)
{
	*count = sizeof methods / sizeof methods[0];
	return methods;
}

const struct kex_method *
kex_find(struct nacre_span name)
{
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
		if (nacre_span_equals(name, methods[i].name))
			return &methods[i];
	return NULL;
}

/* Starts for both sides. */
static int
agreement_start(
    const struct kex_method *method, struct kex_agreement **agreement, struct nacre_buffer *public)
{
	struct kex_agreement *new = calloc(1, sizeof *new);
	int result;

	*agreement = NULL;
	if (new == NULL)
		return NACRE_ERROR_MEMORY;
	new->method = method;
	new->functions = method->functions;
	result = new->functions->start(new, public);
	if (result == 0 && public->failed)
		result = NACRE_ERROR_MEMORY;
	if (result != 0) {
		kex_agreement_free(new);
		return result;
	}
	*agreement = new;
	return 0;
}

int
kex_client_start(
    const struct kex_method *method, struct kex_agreement **agreement, struct nacre_buffer *public)
{
	*agreement = NULL;
	if (method->kind == KEX_DH_GEX)
		return NACRE_ERROR_ARGUMENT;
	return agreement_start(method, agreement, public);
}

int
kex_client_finish(
    struct kex_agreement *agreement, struct nacre_span server_public, struct nacre_buffer *secret)
{
	int result = agreement->functions->finish(agreement, server_public, secret);

	return result == 0 && secret->failed ? NACRE_ERROR_MEMORY : result;
}

int
kex_server(const struct kex_method *method, struct nacre_span client_public,
    struct nacre_buffer *public, struct nacre_buffer *secret)
{
	struct kex_agreement *agreement;
	int result;

	if (method->kind == KEX_DH_GEX)
		return NACRE_ERROR_ARGUMENT;
	if (method->functions->server != NULL) {
		result = method->functions->server(method, client_public, public, secret);
		return result == 0 && (public->failed || secret->failed) ? NACRE_ERROR_MEMORY
									 : result;
	}
	if ((result = agreement_start(method, &agreement, public)) == 0)
		result = kex_client_finish(agreement, client_public, secret);
	kex_agreement_free(agreement);
	return result;
}

void
kex_agreement_free(struct kex_agreement *agreement)
{
	if (agreement == NULL)
		return;
	nacre_buffer_free(&agreement->prime);
	nacre_buffer_free(&agreement->exponent);
	sodium_memzero(agreement, sizeof *agreement);
	free(agreement);
}
