/*
 * session-bind@openssh.com (OpenSSH's PROTOCOL.agent): an ssh client tells the agent which session,
 * with which host, this connection is used for. Recorded so that keys can be restricted to
 * destinations; one refused binding spoils the connection for such keys.
 */
#include <agent/keyring.h>

#include <stdlib.h>

#define SESSION_IDENTIFIER_MAX 128

void
keyring_bindings_free(struct nacre_keyring_client *client)
{
	for (size_t i = 0; i < client->binding_count; i++) {
		nacre_key_free(client->bindings[i].host_key);
		nacre_buffer_free(&client->bindings[i].session_identifier);
	}
	client->binding_count = 0;
}

/* The host's signature over the session identifier, under whatever algorithm it names. */
static int
binding_verify(
    const struct nacre_key *host_key, struct nacre_span signature, struct nacre_span identifier)
{
	struct nacre_reader reader = nacre_reader_of(signature);
	char *algorithm = nacre_span_to_string(nacre_get_string(&reader));
	int error = NACRE_ERROR_FORMAT;

	if (algorithm != NULL && !reader.failed)
		error = nacre_key_verify(host_key, algorithm, signature, identifier);
	free(algorithm);
	return error;
}

/* A connection that authenticates (is not forwarded) is at its end: nothing is bound behind it. The
 * same session may be told again. */
static int
binding_add(struct nacre_keyring_client *client, struct nacre_key *host_key,
    struct nacre_span identifier, bool forwarding)
{
	struct keyring_binding *binding;

	for (size_t i = 0; i < client->binding_count; i++) {
		binding = &client->bindings[i];
		if (!binding->forwarding)
			return NACRE_ERROR_REFUSED;
		if (nacre_span_equal(nacre_buffer_span(&binding->session_identifier), identifier))
			return NACRE_ERROR_REFUSED;
	}
	if (client->binding_count == BINDINGS_MAX)
		return NACRE_ERROR_MEMORY;
	binding = &client->bindings[client->binding_count];
	*binding = (struct keyring_binding){.host_key = host_key, .forwarding = forwarding};
	nacre_put_span(&binding->session_identifier, identifier);
	if (binding->session_identifier.failed)
		return NACRE_ERROR_MEMORY;
	client->binding_count++;
	return 0;
}

int
keyring_bind(struct nacre_keyring_client *client, struct nacre_reader *content)
{
	struct nacre_span blob = nacre_get_string(content);
	struct nacre_span identifier = nacre_get_string(content);
	struct nacre_span signature = nacre_get_string(content);
	bool forwarding = nacre_get_boolean(content);
	struct nacre_key *host_key = NULL;
	int error = NACRE_ERROR_FORMAT;

	if (nacre_reader_done(content) && identifier.length > 0 &&
	    identifier.length <= SESSION_IDENTIFIER_MAX)
		error = nacre_key_from_blob(blob, &host_key);
	if (error == 0)
		error = binding_verify(host_key, signature, identifier);
	if (error == 0)
		error = binding_add(client, host_key, identifier, forwarding);
	if (error != 0) {
		nacre_key_free(host_key);
		client->binding_failed = true;
	}
	return error;
}
