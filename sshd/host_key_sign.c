/*
 * Signing with host keys, in the monitor: the private halves are read in when they are first needed,
 * or stay in the agent that HostKeyAgent names.
 */
#include "server.h"

#include <nacre/agent.h>
#include <nacre/log.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AGENT_PATIENCE 30000 /* milliseconds */

static int
read_private(struct server *server, struct host_key *key)
{
	struct nacre_buffer text = {0};
	uint8_t *room = nacre_buffer_room(&text, key->text_length);
	ssize_t count =
	    room != NULL && server->key_file >= 0
		? pread(server->key_file, room, key->text_length, (off_t)key->text_offset)
		: -1;
	int error = NACRE_ERROR_SYSTEM;

	if (count == (ssize_t)key->text_length) {
		nacre_buffer_added(&text, key->text_length);
		error = nacre_key_parse_private(nacre_buffer_span(&text),
		    (struct nacre_span){NULL, 0}, &key->private_key, NULL);
	}
	nacre_buffer_free(&text);
	return error;
}

static struct host_key *
find(struct server *server, struct nacre_span blob)
{
	for (size_t i = 0; i < server->host_key_count; i++)
		if (nacre_span_equal(nacre_buffer_span(&server->host_keys[i].blob), blob) ||
		    nacre_span_equal(nacre_buffer_span(&server->host_keys[i].certificate), blob))
			return &server->host_keys[i];
	return NULL;
}

bool
host_keys_prepare(struct server *server, struct nacre_span blob)
{
	struct host_key *key = find(server, blob);

	if (key == NULL)
		return false;
	if (key->private_key != NULL || key->text_length == 0)
		return true;
	if (read_private(server, key) == 0)
		return true;
	nacre_log(NACRE_LOG_ERROR, "Host key %s cannot be read", key->path);
	return false;
}

/* The flags for an algorithm, if the key has it at all. */
static int
agent_flags(const struct host_key *key, const char *algorithm, uint32_t *flags)
{
	struct nacre_key *public_key = NULL;
	int error = nacre_key_from_blob(nacre_buffer_span(&key->blob), &public_key);

	if (error != 0)
		return error;
	struct nacre_span names = nacre_span_of(nacre_key_signature_algorithms(public_key));
	struct nacre_span name =
	    algorithm != NULL ? nacre_span_of(algorithm) : nacre_list_next(&names);
	if (!nacre_signature_algorithm_fits(name, public_key))
		error = NACRE_ERROR_ARGUMENT;
	*flags = nacre_agent_sign_flags(name);
	nacre_key_free(public_key);
	return error;
}

static int
sign_by_agent(const struct server *server, const struct host_key *key, const char *algorithm,
    struct nacre_span data, struct nacre_buffer *signature)
{
	const char *path = server->config->host_key_agent;
	struct nacre_agent *agent = NULL;
	uint32_t flags = 0;
	int error = agent_flags(key, algorithm, &flags);

	if (error == 0)
		error =
		    nacre_agent_connect(strcmp(path, "SSH_AUTH_SOCK") == 0 ? NULL : path, &agent);
	if (error == 0) {
		nacre_agent_timeout_set(agent, AGENT_PATIENCE);
		error =
		    nacre_agent_sign(agent, nacre_buffer_span(&key->blob), data, flags, signature);
	}
	nacre_agent_free(agent);
	if (error != 0)
		nacre_log(NACRE_LOG_ERROR, "HostKeyAgent %s cannot sign with %s: %s", path,
		    key->path, nacre_error_string(error));
	return error;
}

int
host_keys_sign(struct server *server, struct nacre_span blob, const char *algorithm,
    struct nacre_span data, struct nacre_buffer *signature)
{
	const struct host_key *key = find(server, blob);

	if (key == NULL || !host_keys_prepare(server, blob))
		return NACRE_ERROR_NOT_FOUND;
	if (key->text_length == 0)
		return sign_by_agent(server, key, algorithm, data, signature);
	return nacre_key_sign(key->private_key, algorithm, data, signature);
}
