/*
 * The state that a listener passes on to its workers, so that all of them serve what the listener
 * once read: the configuration, the public halves of the host keys, the groups of group exchange.
 */
#include "server.h"

#include <nacre/client.h>

#include <stdlib.h>
#include <string.h>

static void
put_text(struct nacre_buffer *state, const char *text)
{
	nacre_put_boolean(state, text != NULL);
	nacre_put_cstring(state, text != NULL ? text : "");
}

static char *
get_text(struct nacre_reader *reader)
{
	bool there = nacre_get_boolean(reader);
	struct nacre_span text = nacre_get_string(reader);
	char *copy = there ? nacre_span_to_string(text) : NULL;

	if (there && copy == NULL)
		reader->failed = true;
	return copy;
}

int
server_encode(const struct server *server, struct nacre_buffer *state)
{
	const struct command_line *line = &server->command_line;

	put_text(state, line->log_file);
	nacre_put_boolean(state, line->log_stderr);
	nacre_put_boolean(state, line->quiet);
	nacre_put_u32(state, line->debug);
	put_text(state, server->host_key_algorithms);
	put_text(state, server->signature_algorithms);
	(void)nacre_sshd_config_export(server->config, state);
	nacre_put_u32(state, (uint32_t)server->host_key_count);
	for (size_t i = 0; i < server->host_key_count; i++) {
		const struct host_key *key = &server->host_keys[i];
		put_text(state, key->path);
		nacre_put_string_span(state, nacre_buffer_span(&key->blob));
		nacre_put_string_span(state, nacre_buffer_span(&key->certificate));
		nacre_put_u64(state, key->text_offset);
		nacre_put_u64(state, key->text_length);
	}
	/* Last, so that the pages of this long text are not touched by reading the rest. */
	nacre_put_string_span(state, server->moduli);
	return state->failed ? NACRE_ERROR_MEMORY : 0;
}

static void
decode_keys(struct server *server, struct nacre_reader *reader)
{
	size_t count = nacre_get_u32(reader);

	if (count > reader->length)
		reader->failed = true;
	if (reader->failed)
		return;
	server->host_keys = calloc(count + 1, sizeof *server->host_keys);
	if (server->host_keys == NULL)
		reader->failed = true;
	while (!reader->failed && server->host_key_count < count) {
		struct host_key *key = &server->host_keys[server->host_key_count++];
		key->path = get_text(reader);
		nacre_put_span(&key->blob, nacre_get_string(reader));
		nacre_put_span(&key->certificate, nacre_get_string(reader));
		key->text_offset = nacre_get_u64(reader);
		key->text_length = nacre_get_u64(reader);
	}
}

int
server_decode(struct server *server, struct nacre_span state)
{
	struct nacre_reader reader = nacre_reader_of(state);
	struct command_line *line = &server->command_line;

	line->log_file = get_text(&reader);
	line->log_stderr = nacre_get_boolean(&reader);
	line->quiet = nacre_get_boolean(&reader);
	line->debug = nacre_get_u32(&reader);
	server->host_key_algorithms = get_text(&reader);
	server->signature_algorithms = get_text(&reader);
	if (nacre_sshd_config_import(&reader, nacre_client_assemble, &server->config) != 0)
		reader.failed = true;
	decode_keys(server, &reader);
	server->moduli = nacre_get_string(&reader);
	return nacre_reader_done(&reader) ? 0 : NACRE_ERROR_FORMAT;
}
