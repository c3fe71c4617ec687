/* ssh-keygen: keys that sign, their private halves in a file, an agent or a token; the public keys
 * of tokens (-D). */
#include "keygen.h"

#include <nacre/agent.h>
#include <nacre/log.h>
#include <nacre/provider.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
sign_by_agent(void *context, const struct nacre_key *key, const char *algorithm,
    struct nacre_span data, struct nacre_buffer *signature)
{
	struct nacre_buffer blob = {0};
	int error = nacre_key_put_blob(key, false, &blob);

	if (error == 0)
		error = nacre_agent_sign(context, nacre_buffer_span(&blob), data,
		    nacre_agent_sign_flags(nacre_span_of(algorithm)), signature);
	nacre_buffer_free(&blob);
	return error;
}

static void
agent_release(void *context)
{
	nacre_agent_free(context);
}

/* Does the agent hold this key, or the one in this certificate? */
static bool
agent_holds(const struct nacre_agent_identities *held, const struct nacre_key *key)
{
	for (size_t i = 0; i < held->count; i++)
		if (held->list[i].key != NULL && nacre_key_equal(held->list[i].key, key))
			return true;
	return false;
}

/* From here on the agent signs for the key, to which it belongs. 0; NACRE_ERROR_NOT_FOUND when it
 * holds no keys, NACRE_ERROR_REFUSED when it holds others. */
static int
agent_take(struct nacre_agent *agent, struct nacre_key *key)
{
	const struct nacre_key_signer signer = {sign_by_agent, agent_release, agent};
	struct nacre_agent_identities held = {0};
	int error = nacre_agent_list(agent, &held);

	if (error == 0 && held.count == 0)
		error = NACRE_ERROR_NOT_FOUND;
	else if (error == 0 && !agent_holds(&held, key))
		error = NACRE_ERROR_REFUSED;
	nacre_agent_identities_free(&held);
	if (error == 0)
		nacre_key_delegate(key, &signer);
	return error;
}

static void
authority_of_agent(const char *path, struct nacre_key *key)
{
	struct nacre_agent *agent;
	int error;

	if (nacre_agent_connect(NULL, &agent) != 0)
		nacre_fatal("Cannot use public key for CA signature: agent not present");
	error = agent_take(agent, key);
	if (error == NACRE_ERROR_REFUSED)
		nacre_fatal("CA key %s not found in agent", path);
	if (error != 0)
		nacre_fatal("Retrieve agent key list: %s", error == NACRE_ERROR_NOT_FOUND
							       ? "agent contains no identities"
							       : keygen_reason(error));
}

static void
token_keys(const struct keygen *keygen, struct nacre_pkcs11_keys *keys)
{
	if (nacre_pkcs11_load(keygen->provider, NULL, NACRE_PROVIDER_ASK, keys) != 0)
		nacre_fatal("cannot read public key from pkcs11");
}

/* The key of a token that has the same public half, which is replaced by it. */
static struct nacre_key *
authority_of_token(const struct keygen *keygen, struct nacre_key *public)
{
	struct nacre_pkcs11_keys keys = {0};
	struct nacre_key *found = NULL;

	token_keys(keygen, &keys);
	for (size_t i = 0; i < keys.count && found == NULL; i++)
		if (nacre_key_equal(keys.list[i].key, public)) {
			found = keys.list[i].key;
			keys.list[i].key = NULL;
		}
	if (found == NULL)
		nacre_fatal("No PKCS#11 key matching %s found", keygen->authority);
	nacre_pkcs11_keys_free(&keys);
	nacre_key_free(public);
	return found;
}

struct nacre_key *
keygen_load_authority(const struct keygen *keygen)
{
	const char *path = keygen->authority;
	struct nacre_key *key;

	if (!keygen->agent && keygen->provider == NULL)
		return keygen_load_whole(keygen, path);
	key = keygen_load_public(path, NULL, "Cannot load CA public key %s", path);
	if (keygen->provider != NULL)
		return authority_of_token(keygen, key);
	authority_of_agent(path, key);
	return key;
}

/* The private half beside a public key file: its name without .pub or -cert.pub. */
static char *
private_path(const char *path)
{
	static const char *const endings[] = {"-cert.pub", ".pub"};
	size_t length = strlen(path);
	char *made;

	for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
		const size_t ending = strlen(endings[i]);

		if (length > ending && strcmp(path + length - ending, endings[i]) == 0) {
			length -= ending;
			break;
		}
	}
	if ((made = strndup(path, length)) == NULL)
		nacre_fatal("out of memory");
	return made;
}

/* The whole of a public key; a certificate stays with it. */
static struct nacre_key *
with_private(const struct keygen *keygen, struct nacre_key *public, const char *path)
{
	char *private = private_path(path);
	struct nacre_key *key;

	if (access(private, F_OK) != 0)
		nacre_fatal("No private key found for public key \"%s\"", path);
	key = keygen_load_whole(keygen, private);
	if (!nacre_key_equal(key, public))
		nacre_fatal("Public key %s doesn't match private %s", path, private);
	if (nacre_key_is_certificate(public) && nacre_key_attach_certificate(key, public) != 0)
		nacre_fatal("out of memory");
	nacre_key_free(public);
	free(private);
	return key;
}

struct nacre_key *
keygen_load_signer(const struct keygen *keygen)
{
	struct nacre_key *key =
	    keygen_load_public(keygen->file, NULL, "Couldn't load public key %s", keygen->file);
	struct nacre_agent *agent = NULL;

	if (nacre_agent_connect(NULL, &agent) == 0 && agent_take(agent, key) == 0)
		return key;
	if (keygen->agent)
		nacre_fatal(
		    agent == NULL ? "Couldn't get agent socket" : "Couldn't find key in agent");
	nacre_agent_free(agent);
	return with_private(keygen, key, keygen->file);
}

int
keygen_token_keys(const struct keygen *keygen)
{
	struct nacre_pkcs11_keys keys = {0};
	struct nacre_buffer text = {0};

	token_keys(keygen, &keys);
	if (keys.count == 0)
		nacre_fatal("cannot read public key from pkcs11");
	for (size_t i = 0; i < keys.count; i++) {
		if (keygen->fingerprints) {
			keygen_show_key(
			    keygen, keys.list[i].key, nacre_span_of(keys.list[i].label));
			continue;
		}
		nacre_key_put_line(keys.list[i].key, keys.list[i].label, &text);
		nacre_put_byte(&text, '\n');
	}
	keygen_print(&text);
	nacre_buffer_free(&text);
	nacre_pkcs11_keys_free(&keys);
	return EXIT_SUCCESS;
}
