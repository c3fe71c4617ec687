/* The likely cause of a failed login, and the next command to type. The lines that OpenSSH has come
 * first and stay as they are; all of this is silent with -q. */
#include <client/client.h>
#include <nacre/crypto.h>

#include <stdlib.h>
#include <string.h>

#define TEXT(span) (int)(span).length, (const char *)(span).data

static bool
contains(struct nacre_span text, const char *words)
{
	return memmem(text.data, text.length, words, strlen(words)) != NULL;
}

/* A key and what became of it. */
static void
say_identity(const struct identity *identity)
{
	struct nacre_buffer fingerprint = {0};

	if (identity->key != NULL) {
		nacre_put_format(&fingerprint, " %s ", nacre_key_type_label(identity->key));
		nacre_key_fingerprint(identity->key, NACRE_FINGERPRINT_SHA256, &fingerprint);
	}
	nacre_log(NACRE_LOG_INFO, "hint:   %s%.*s%s: %s", identity->comment,
	    TEXT(nacre_buffer_span(&fingerprint)), identity->in_agent ? " (agent)" : "",
	    identity->outcome != NULL ? identity->outcome : "not tried");
	nacre_buffer_free(&fingerprint);
}

static void
say_agent(const struct nacre_client *client)
{
	if (client->identities.agent_errno != 0)
		nacre_log(NACRE_LOG_INFO,
		    "hint: the agent at %s cannot be reached: %s. Start one and add the key: "
		    "eval \"$(ssh-agent)\" && ssh-add",
		    client->agent_path, strerror(client->identities.agent_errno));
}

void
hint_denied(const struct nacre_client *client)
{
	const char *const allowed = client->authentication.methods;
	const struct nacre_ssh_config *const config = client->config;
	const struct identities *const identities = &client->identities;

	say_agent(client);
	if (allowed == NULL ||
	    !nacre_list_contains(nacre_span_of(allowed), nacre_span_of("publickey")))
		return;
	if (config->pubkey_authentication == NACRE_PUBKEY_NO) {
		nacre_log(NACRE_LOG_INFO,
		    "hint: the server takes keys, which PubkeyAuthentication no keeps from it: "
		    "ssh -o PubkeyAuthentication=yes %s",
		    config->host);
		return;
	}
	if (identities->count > 0)
		nacre_log(NACRE_LOG_INFO, "hint: the keys that could be tried:");
	for (size_t i = 0; i < identities->count; i++)
		say_identity(&identities->list[i]);
	nacre_log(NACRE_LOG_INFO,
	    identities->count == 0
		? "hint: there is no key to log in with. Make one and install it there: "
		  "ssh-keygen && ssh-copy-id %s@%s"
		: "hint: is %s the right user? Install a key there with a password or from another "
		  "login: ssh-copy-id %s@%s",
	    config->user, identities->count == 0 ? config->host : config->user, config->host);
}

/* Negotiation fails for want of a common name: which lists these are, and how to add to ours. */
static const struct list_hint {
	const char *reason, *keyword;
	enum nacre_algorithm_list list;
	size_t offset;
} list_hints[] = {
    {"host key type", "HostKeyAlgorithms", NACRE_LIST_KEY_ALGORITHMS,
	offsetof(struct nacre_ssh_config, host_key_algorithms)},
    {"key exchange method", "KexAlgorithms", NACRE_LIST_KEX,
	offsetof(struct nacre_ssh_config, kex_algorithms)},
    {"cipher", "Ciphers", NACRE_LIST_CIPHERS, offsetof(struct nacre_ssh_config, ciphers)},
    {"MAC", "MACs", NACRE_LIST_MACS, offsetof(struct nacre_ssh_config, macs)},
};

/* A name of theirs that we have but do not offer. */
static struct nacre_span
name_to_add(struct nacre_span theirs, enum nacre_algorithm_list list)
{
	struct nacre_span name;

	while ((name = nacre_list_next(&theirs)).length > 0) {
		char *const text = nacre_span_to_string(name);
		struct nacre_buffer known = {0};
		const bool have =
		    text != NULL && nacre_algorithms_assemble(list, false, name, &known, NULL) == 0;

		nacre_buffer_free(&known);
		free(text);
		if (have)
			return name;
	}
	return name;
}

static void
hint_list(const struct nacre_client *client, const struct list_hint *hint, struct nacre_span theirs)
{
	const char *const *const ours =
	    (const char *const *)(const void *)((const char *)client->config + hint->offset);
	const struct nacre_span name = name_to_add(theirs, hint->list);

	nacre_log(NACRE_LOG_INFO, "hint: we offer: %s",
	    *ours != NULL ? *ours : nacre_algorithms_default(hint->list, false));
	if (name.length > 0)
		nacre_log(NACRE_LOG_INFO,
		    "hint: the server is old, or set up strictly. If it is safe enough here: "
		    "ssh -o %s=+%.*s %s",
		    hint->keyword, TEXT(name), client->config->host);
	else
		nacre_log(NACRE_LOG_INFO,
		    "hint: Nacre has none of the server's; update the server, or see what there "
		    "is: "
		    "ssh -Q %s",
		    hint->keyword);
}

static void
hint_negotiation(const struct nacre_client *client, struct nacre_span reason)
{
	static const char offer[] = "Their offer: ";
	const uint8_t *const found = memmem(reason.data, reason.length, offer, sizeof offer - 1);

	for (size_t i = 0; i < sizeof list_hints / sizeof *list_hints && found != NULL; i++)
		if (contains(reason, list_hints[i].reason)) {
			const uint8_t *const names = found + sizeof offer - 1;

			hint_list(client, &list_hints[i],
			    (struct nacre_span){
				names, reason.length - (size_t)(names - reason.data)});
			return;
		}
}

void
hint_disconnected(const struct nacre_client *client, struct nacre_span reason)
{
	if (contains(reason, "no matching "))
		hint_negotiation(client, reason);
	else if (contains(reason, "Too many authentication failures"))
		nacre_log(NACRE_LOG_INFO,
		    "hint: the server counts every key that it does not know (%zu could be tried). "
		    "Offer the right one alone: ssh -o IdentitiesOnly=yes -i FILE %s",
		    client->identities.count, client->config->host);
}
