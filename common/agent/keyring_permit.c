/*
 * Which connection may use which key for what: destination constraints, and keys of authenticators
 * whose application is not SSH's, which must not sign what might be a login to a web site.
 */
#include <agent/keyring.h>

#include <nacre/pattern.h>

#include <stdlib.h>
#include <string.h>

#define MESSAGE_USERAUTH_REQUEST 50
#define METHOD_HOST_BOUND        "publickey-hostbound-v00@openssh.com"
#define SSHSIG_PREAMBLE          "SSHSIG"

static size_t
hops_of(const struct nacre_keyring_client *client, struct destination_hop hops[BINDINGS_MAX])
{
	for (size_t i = 0; i < client->binding_count; i++)
		hops[i] = (struct destination_hop){
		    client->bindings[i].host_key, client->bindings[i].forwarding};
	return client->binding_count;
}

static bool
permitted(const struct nacre_keyring_client *client, const struct keyring_entry *entry,
    const char *user, const char **host)
{
	struct destination_hop hops[BINDINGS_MAX];
	const size_t count = hops_of(client, hops);

	/* Who bound in vain is not what it says, and not simply local either. */
	if (entry->destinations.count > 0 && client->binding_failed)
		return false;
	return destinations_permit(&entry->destinations, hops, count, user, host);
}

bool
keyring_may_see(const struct nacre_keyring_client *client, const struct keyring_entry *entry)
{
	return permitted(client, entry, NULL, NULL);
}

/* What is signed in a login by public key, RFC 4252 section 7, or its host-bound form. */
struct login {
	struct nacre_span session, user, host_key;
};

static bool
login_read(struct nacre_span data, struct nacre_span key_blob, struct login *login)
{
	struct nacre_reader reader = nacre_reader_of(data);
	struct nacre_span method;

	*login = (struct login){.session = nacre_get_string(&reader)};
	if (nacre_get_byte(&reader) != MESSAGE_USERAUTH_REQUEST)
		return false;
	login->user = nacre_get_string(&reader);
	if (!nacre_span_equals(nacre_get_string(&reader), "ssh-connection"))
		return false;
	method = nacre_get_string(&reader);
	if (!nacre_get_boolean(&reader))
		return false;
	nacre_get_string(&reader);
	if (!nacre_span_equal(nacre_get_string(&reader), key_blob))
		return false;
	if (nacre_span_equals(method, METHOD_HOST_BOUND))
		login->host_key = nacre_get_string(&reader);
	else if (!nacre_span_equals(method, "publickey"))
		return false;
	return nacre_reader_done(&reader) && login->session.length > 0;
}

static bool
is_file_signature(struct nacre_span data)
{
	return data.length > strlen(SSHSIG_PREAMBLE) &&
	       memcmp(data.data, SSHSIG_PREAMBLE, strlen(SSHSIG_PREAMBLE)) == 0;
}

/* The host key that the login is bound to is the one that the connection was bound to last. */
static bool
host_key_is_ours(const struct keyring_binding *binding, struct nacre_span blob)
{
	struct nacre_key *key;
	bool same;

	if (nacre_key_from_blob(blob, &key) != 0)
		return false;
	same = nacre_key_equal(key, binding->host_key);
	nacre_key_free(key);
	return same;
}

/* Restricted keys sign logins alone, and only those of the session that the connection is for. */
static bool
restricted_may_sign(const struct nacre_keyring_client *client, const struct keyring_entry *entry,
    bool is_login, const struct login *login, struct keyring_purpose *purpose)
{
	const struct keyring_binding *last;

	if (client->binding_count == 0 || !is_login || purpose->user == NULL)
		return false;
	last = &client->bindings[client->binding_count - 1];
	if (!nacre_span_equal(nacre_buffer_span(&last->session_identifier), login->session))
		return false;
	if (login->host_key.length > 0 ? !host_key_is_ours(last, login->host_key)
				       : client->binding_count > 1)
		return false;
	return permitted(client, entry, purpose->user, &purpose->host);
}

/* An application that is not SSH's may be a web site's. */
static bool
application_may_sign(const struct nacre_keyring *keyring, const struct nacre_key *key,
    bool is_login, struct nacre_span data)
{
	const char *allowed = keyring->applications != NULL ? keyring->applications : "ssh:*";
	const struct nacre_span application = nacre_key_application(key);

	return application.length == 0 || keyring->any_application || is_login ||
	       is_file_signature(data) ||
	       nacre_pattern_list(application, nacre_span_of(allowed), false) == NACRE_MATCH_FOUND;
}

bool
keyring_may_sign(const struct nacre_keyring_client *client, const struct keyring_entry *entry,
    struct nacre_span data, struct keyring_purpose *purpose)
{
	struct login login;
	const bool is_login = login_read(data, nacre_buffer_span(&entry->blob), &login);

	*purpose = (struct keyring_purpose){0};
	if (is_login) {
		purpose->user = nacre_span_to_string(login.user);
		purpose->host_key = login.host_key;
	}
	if (!application_may_sign(client->keyring, entry->key, is_login, data))
		return false;
	return entry->destinations.count == 0 ||
	       restricted_may_sign(client, entry, is_login, &login, purpose);
}
