/*
 * The algorithm lists that a client offers. Their order may follow what is known of the server, so
 * that the guess that leaves with our KEXINIT is right; what is offered at all never does.
 */
#include <client/client.h>
#include <crypto/kex.h>
#include <nacre/crypto.h>
#include <nacre/pattern.h>

#include <string.h>

/* Below this round trip an RSA host key costs more time than the right guess saves. */
#define ROUND_TRIP_WORTH_RSA 5

static const enum nacre_algorithm_list config_lists[] = {
    [NACRE_CONFIG_CIPHERS] = NACRE_LIST_CIPHERS,
    [NACRE_CONFIG_MACS] = NACRE_LIST_MACS,
    [NACRE_CONFIG_KEX] = NACRE_LIST_KEX,
    [NACRE_CONFIG_HOST_KEY_ALGORITHMS] = NACRE_LIST_KEY_ALGORITHMS,
    [NACRE_CONFIG_HOSTBASED_ALGORITHMS] = NACRE_LIST_KEY_ALGORITHMS,
    [NACRE_CONFIG_PUBKEY_ALGORITHMS] = NACRE_LIST_KEY_ALGORITHMS,
    [NACRE_CONFIG_CA_SIGNATURE_ALGORITHMS] = NACRE_LIST_SIGNATURES,
};

int
nacre_client_assemble(enum nacre_config_algorithms algorithms, const char *specification,
    bool server, struct nacre_buffer *list)
{
	const enum nacre_algorithm_list names = config_lists[algorithms];

	if (specification != NULL)
		return nacre_algorithms_assemble(
		    names, server, nacre_span_of(specification), list, NULL);
	nacre_put_span(list, nacre_span_of(nacre_algorithms_default(names, server)));
	return list->failed ? NACRE_ERROR_MEMORY : 0;
}

bool
algorithms_allowed(const char *list, struct nacre_span name)
{
	return list == NULL ||
	       nacre_pattern_list(name, nacre_span_of(list), false) == NACRE_MATCH_FOUND;
}

static void
put_name(struct nacre_buffer *list, struct nacre_span name)
{
	if (nacre_buffer_length(list) > 0)
		nacre_put_byte(list, ',');
	nacre_put_span(list, name);
}

static void
move_first(struct nacre_buffer *list, const char *first)
{
	struct nacre_buffer sorted = {0};
	struct nacre_span left = nacre_buffer_span(list), name;

	if (*first == '\0' || !nacre_list_contains(left, nacre_span_of(first)))
		return;
	put_name(&sorted, nacre_span_of(first));
	while ((name = nacre_list_next(&left)).length > 0)
		if (!nacre_span_equals(name, first))
			put_name(&sorted, name);
	nacre_buffer_free(list);
	*list = sorted;
}

static int
finish(struct nacre_buffer *list)
{
	nacre_put_byte(list, '\0');
	return list->failed ? NACRE_ERROR_MEMORY : 0;
}

int
algorithms_kex(const struct nacre_client *client, struct nacre_buffer *list)
{
	const char *const configured = client->config->kex_algorithms;

	nacre_put_span(list,
	    nacre_span_of(
		configured != NULL ? configured : nacre_algorithms_default(NACRE_LIST_KEX, false)));
	if (!nacre_ssh_config_is_set(client->config, "KexAlgorithms"))
		move_first(list, client->preference.kex);
	return finish(list);
}

static bool
is_certificate_algorithm(struct nacre_span name)
{
	static const char suffix[] = "-cert-v01@openssh.com";
	const size_t length = sizeof suffix - 1;

	return name.length > length &&
	       memcmp(name.data + name.length - length, suffix, length) == 0;
}

static bool
is_rsa(struct nacre_span name)
{
	return name.length > 8 && memcmp(name.data, "rsa-sha2", 8) == 0;
}

/* True when a key that signs with this algorithm is known for the server. */
static bool
algorithm_known(const struct nacre_client *client, struct nacre_span name)
{
	if (is_certificate_algorithm(name))
		return nacre_known_hosts_has_authority(client->known);
	return nacre_known_hosts_has(client->known, is_rsa(name) ? nacre_span_of("ssh-rsa") : name);
}

/* Algorithms whose keys are known come first, so that a server is not taken for a stranger because
 * of a new key; certificates that nobody here vouches for come last. */
static void
put_known_first(const struct nacre_client *client, const char *names, struct nacre_buffer *list)
{
	for (int rank = 0; rank < 3; rank++) {
		struct nacre_span left = nacre_span_of(names), name;

		while ((name = nacre_list_next(&left)).length > 0) {
			const int own_rank = algorithm_known(client, name)    ? 0
					     : is_certificate_algorithm(name) ? 2
									      : 1;
			if (own_rank == rank)
				put_name(list, name);
		}
	}
}

static bool
preference_worthwhile(const struct nacre_client *client)
{
	const struct nacre_span name = nacre_span_of(client->preference.host_key);

	if (name.length == 0 || !algorithm_known(client, name))
		return false;
	return !is_rsa(name) || client->preference.round_trip >= ROUND_TRIP_WORTH_RSA;
}

int
algorithms_host_key(const struct nacre_client *client, struct nacre_buffer *list)
{
	const struct nacre_ssh_config *const config = client->config;

	if (nacre_ssh_config_is_set(config, "HostKeyAlgorithms") &&
	    config->host_key_algorithms != NULL) {
		nacre_put_span(list, nacre_span_of(config->host_key_algorithms));
		return finish(list);
	}
	put_known_first(client, nacre_algorithms_default(NACRE_LIST_KEY_ALGORITHMS, false), list);
	if (preference_worthwhile(client))
		move_first(list, client->preference.host_key);
	return finish(list);
}
