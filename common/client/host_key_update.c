/*
 * UpdateHostKeys: a server that we trust tells all its host keys (hostkeys-00@openssh.com), proves
 * that it has those that are new to us, and known_hosts follows. Knowing every key lets a later
 * login offer the one that the server likes best, and survives its retiring one. OpenSSH's
 * PROTOCOL, section 2.5.
 */
#include <client/client.h>
#include <nacre/prompt.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define OFFERED_MAX   64
#define PROVE_REQUEST "hostkeys-prove-00@openssh.com"

/* The key of this connection, which may have been new a moment ago. */
static bool
is_used(const struct nacre_client *client, const struct nacre_key *key)
{
	struct nacre_key *used = NULL;
	const bool same = nacre_key_from_blob(nacre_buffer_span(&client->host_key), &used) == 0 &&
			  nacre_key_equal(used, key);

	nacre_key_free(used);
	return same;
}

static bool
key_known(const struct nacre_client *client, const struct nacre_key *key)
{
	for (size_t i = 0; i < client->known->count; i++) {
		const struct nacre_known_host *const host = &client->known->hosts[i];

		if (host->marker == NACRE_KNOWN_HOST_PLAIN && !host->by_address &&
		    host->key != NULL && nacre_key_equal(host->key, key))
			return true;
	}
	return is_used(client, key);
}

/* We learn only keys that we could use. */
static bool
key_usable(const struct nacre_client *client, const struct nacre_key *key)
{
	struct nacre_span algorithms = nacre_span_of(nacre_key_signature_algorithms(key)), name;

	while ((name = nacre_list_next(&algorithms)).length > 0)
		if (algorithms_allowed(client->config->host_key_algorithms, name))
			return true;
	return false;
}

static void
add_offered(struct nacre_client *client, struct nacre_span blob)
{
	struct host_key_update *const update = &client->update;
	struct nacre_key *key;

	if (update->offered_count == OFFERED_MAX || nacre_key_from_blob(blob, &key) != 0)
		return;
	if (nacre_key_is_certificate(key) || !key_usable(client, key)) {
		nacre_key_free(key);
		return;
	}
	update->offered[update->offered_count++] = key;
	if (!key_known(client, key))
		update->unknown[update->unknown_count++] = key;
}

static bool
is_offered(const struct nacre_client *client, const struct nacre_key *key)
{
	for (size_t i = 0; i < client->update.offered_count; i++)
		if (nacre_key_equal(client->update.offered[i], key))
			return true;
	return false;
}

static bool
used_is_offered(const struct nacre_client *client)
{
	for (size_t i = 0; i < client->update.offered_count; i++)
		if (is_used(client, client->update.offered[i]))
			return true;
	return false;
}

/* Keys of the user's file that the server no longer has; borrowed. */
static size_t
collect_dropped(const struct nacre_client *client, struct nacre_key **dropped, size_t most)
{
	size_t count = 0;

	for (size_t i = 0; i < client->known->count && count < most; i++) {
		const struct nacre_known_host *const host = &client->known->hosts[i];

		if (host->marker == NACRE_KNOWN_HOST_PLAIN && !host->by_address &&
		    host->key != NULL && strcmp(host->file, client->user_known_hosts) == 0 &&
		    !is_offered(client, host->key))
			dropped[count++] = host->key;
	}
	return count;
}

static bool
agreed(const struct nacre_client *client)
{
	struct nacre_buffer answer = {0};
	bool yes = false;

	if (client->config->update_host_keys == NACRE_YES)
		return true;
	if (client->config->batch_mode)
		return false;
	nacre_log(NACRE_LOG_INFO, "The server has updated its host keys.");
	nacre_log(
	    NACRE_LOG_INFO, "These changes were verified by the server's existing trusted key.");
	if (nacre_prompt("Accept updated hostkeys? (yes/no): ", NACRE_PROMPT_ECHO, &answer) == 0)
		yes = nacre_buffer_length(&answer) == 3 &&
		      strncasecmp((const char *)nacre_buffer_span(&answer).data, "yes", 3) == 0;
	nacre_buffer_free(&answer);
	return yes;
}

static void
apply(struct nacre_client *client)
{
	const struct host_key_update *const update = &client->update;
	struct nacre_key *dropped[OFFERED_MAX];
	const size_t dropped_count = collect_dropped(client, dropped, OFFERED_MAX);

	if ((update->unknown_count == 0 && dropped_count == 0) || !agreed(client))
		return;
	nacre_log(NACRE_LOG_DEBUG1, "Updating %s: %zu keys to add, %zu to remove",
	    client->user_known_hosts, update->unknown_count, dropped_count);
	if (nacre_known_hosts_replace(client->user_known_hosts, client->known_name, dropped,
		dropped_count, update->unknown, update->unknown_count,
		client->config->hash_known_hosts) != 0)
		nacre_log(NACRE_LOG_INFO, "Failed to update the host keys in %s: %s",
		    client->user_known_hosts, strerror(errno));
}

static void
ask_for_proof(struct nacre_client *client)
{
	struct nacre_buffer payload = {0};

	for (size_t i = 0; i < client->update.unknown_count; i++) {
		struct nacre_buffer blob = {0};

		if (nacre_key_put_blob(client->update.unknown[i], true, &blob) == 0)
			nacre_put_string_span(&payload, nacre_buffer_span(&blob));
		nacre_buffer_free(&blob);
	}
	client->update.asked =
	    !payload.failed && nacre_global_request(client->session, PROVE_REQUEST, true,
				   nacre_buffer_span(&payload)) == 0;
	nacre_buffer_free(&payload);
	if (client->update.asked)
		client_expect_reply(client, REPLY_TO_PROOF);
}

void
host_key_update_offered(struct nacre_client *client, struct nacre_span payload)
{
	struct host_key_update *const update = &client->update;
	struct nacre_reader reader = nacre_reader_of(payload);

	if (update->offered != NULL || !client->host_key_may_update ||
	    client->config->update_host_keys == NACRE_NO || client->user_known_hosts == NULL)
		return;
	update->offered = calloc(OFFERED_MAX, sizeof(struct nacre_key *));
	update->unknown = calloc(OFFERED_MAX, sizeof(struct nacre_key *));
	if (update->offered == NULL || update->unknown == NULL)
		return;
	while (reader.length > 0 && !reader.failed)
		add_offered(client, nacre_get_string(&reader));
	/* Somebody who does not even name the key he has just used is not to be followed. */
	if (reader.failed || !used_is_offered(client))
		return;
	if (update->unknown_count > 0)
		ask_for_proof(client);
	else
		apply(client);
}

static bool
proof_valid(
    const struct nacre_client *client, const struct nacre_key *key, struct nacre_span signature)
{
	struct nacre_buffer data = {0}, blob = {0};

	nacre_key_put_blob(key, true, &blob);
	nacre_put_cstring(&data, PROVE_REQUEST);
	nacre_put_string_span(&data, nacre_session_identifier(client->session));
	nacre_put_string_span(&data, nacre_buffer_span(&blob));
	const bool valid = !data.failed && !blob.failed &&
			   nacre_key_verify(key, NULL, signature, nacre_buffer_span(&data)) == 0;
	nacre_buffer_free(&data);
	nacre_buffer_free(&blob);
	return valid;
}

void
host_key_update_proved(struct nacre_client *client, bool success, struct nacre_span payload)
{
	struct nacre_reader reader = nacre_reader_of(payload);

	if (!client->update.asked)
		return;
	client->update.asked = false;
	if (!success) {
		nacre_log(
		    NACRE_LOG_DEBUG1, "Server failed to confirm ownership of private host keys");
		return;
	}
	for (size_t i = 0; i < client->update.unknown_count; i++)
		if (!proof_valid(client, client->update.unknown[i], nacre_get_string(&reader))) {
			nacre_log(NACRE_LOG_DEBUG1,
			    "Server gave an invalid proof for one of its host keys");
			return;
		}
	if (nacre_reader_done(&reader))
		apply(client);
}

void
host_key_update_free(struct nacre_client *client)
{
	struct host_key_update *const update = &client->update;

	for (size_t i = 0; i < update->offered_count; i++)
		nacre_key_free(update->offered[i]);
	free(update->offered);
	free(update->unknown);
	*update = (struct host_key_update){0};
}
