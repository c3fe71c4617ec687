/*
 * A transport on its way to another process: everything that a peer could notice, as bytes.
 */
#include <transport/state.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_VERSION 1

static void
put_text(struct nacre_buffer *state, const char *text)
{
	nacre_put_cstring(state, text != NULL ? text : "");
}

static int
side_export(const struct packet_side *side, struct nacre_buffer *state)
{
	nacre_put_cstring(state, side->cipher_algorithm->name);
	nacre_put_cstring(state, side->mac != NULL ? side->mac_algorithm->name : "");
	nacre_put_bytes(state, side->mac_key, sizeof side->mac_key);
	nacre_put_u32(state, side->sequence);
	nacre_put_u64(state, side->packets);
	nacre_put_u64(state, side->bytes);
	nacre_put_boolean(state, side->compresses);
	nacre_put_boolean(state, side->compressing);
	return cipher_export(side->cipher, state);
}

static void
put_chosen(struct nacre_buffer *state, const struct negotiated *chosen)
{
	nacre_put_cstring(state, chosen->kex->name);
	nacre_put_cstring(state, chosen->host_key);
	for (int way = 0; way < 2; way++) {
		nacre_put_cstring(state, chosen->cipher[way]->name);
		put_text(state, chosen->mac[way] != NULL ? chosen->mac[way]->name : NULL);
		nacre_put_boolean(state, chosen->compress[way]);
	}
}

static void
put_input(struct nacre_buffer *state, const struct input *input)
{
	size_t unread = input->end - input->start;

	nacre_put_string(state, unread > 0 ? input->data + input->start : NULL, unread);
	nacre_put_u32(state, input->packet_length);
	nacre_put_u64(state, input->wanted);
	nacre_put_u64(state, input->discard);
	nacre_put_boolean(state, input->closed);
}

static void
put_about(struct nacre_buffer *state, const struct transport *transport)
{
	nacre_put_cstring(state, transport->identification);
	nacre_put_cstring(state, transport->peer_identification);
	nacre_put_string_span(state, transport_session_identifier(transport));
	nacre_put_string_span(state, nacre_buffer_span(&transport->host_key));
	put_text(state, transport->peer_kex_algorithms);
	put_text(state, transport->peer_host_key_algorithms);
	nacre_put_string_span(state, nacre_buffer_span(&transport->extensions));
	nacre_put_boolean(state, transport->strict);
	nacre_put_boolean(state, transport->guess_sent);
	nacre_put_boolean(state, transport->guess_right);
	nacre_put_u64(state, transport->sent_total);
	nacre_put_u64(state, transport->received_total);
	nacre_put_u64(state, transport->now - transport->keys_time);
	nacre_put_u32(state, transport->round_trip);
}

int
transport_export(struct transport *transport, struct nacre_buffer *state)
{
	int error;

	if (transport->exchange != NULL || !transport->established || !transport->authenticated ||
	    transport->ending != ENDING_NONE || transport->send.compression != NULL ||
	    transport->receive.compression != NULL)
		return NACRE_ERROR_STATE;
	nacre_put_byte(state, FORMAT_VERSION);
	nacre_put_byte(state, (uint8_t)transport->role);
	put_about(state, transport);
	put_chosen(state, &transport->chosen);
	put_input(state, &transport->input);
	nacre_put_string_span(state, nacre_buffer_span(&transport->output));
	if ((error = side_export(&transport->send, state)) != 0 ||
	    (error = side_export(&transport->receive, state)) != 0)
		return error;
	if (state->failed)
		return NACRE_ERROR_MEMORY;
	/* Two ends with the same keys and counters would be a catastrophe. */
	event_end(transport, false, NACRE_ERROR_STATE, NACRE_DISCONNECT_BY_APPLICATION,
	    nacre_span_of("the session has moved to another process"));
	return 0;
}

/* Import ------------------------------------------------------------------------------------ */

static int
side_import(struct packet_side *side, bool encrypt, struct nacre_reader *state)
{
	struct nacre_span cipher = nacre_get_string(state), mac = nacre_get_string(state);
	struct nacre_span mac_key = nacre_get_bytes(state, sizeof side->mac_key);
	int error;

	side->sequence = nacre_get_u32(state);
	side->packets = nacre_get_u64(state);
	side->bytes = nacre_get_u64(state);
	side->compresses = nacre_get_boolean(state);
	side->compressing = nacre_get_boolean(state);
	if (state->failed || (side->cipher_algorithm = cipher_find(cipher)) == NULL)
		return NACRE_ERROR_FORMAT;
	error = cipher_import(side->cipher_algorithm, encrypt, state, &side->cipher);
	if (error != 0)
		return error;
	/* Exactly one of a tag and a MAC. */
	if ((mac.length == 0) != (side->cipher_algorithm->tag_length > 0))
		return NACRE_ERROR_FORMAT;
	if (mac.length == 0)
		return 0;
	if ((side->mac_algorithm = mac_find(mac)) == NULL)
		return NACRE_ERROR_FORMAT;
	memcpy(side->mac_key, mac_key.data, mac_key.length);
	return mac_new(side->mac_algorithm, side->mac_key, &side->mac);
}

static int
get_chosen(struct nacre_reader *state, struct negotiated *chosen)
{
	struct nacre_span kex = nacre_get_string(state), host_key = nacre_get_string(state);

	if (state->failed || host_key.length >= sizeof chosen->host_key ||
	    (chosen->kex = kex_find(kex)) == NULL)
		return NACRE_ERROR_FORMAT;
	memcpy(chosen->host_key, host_key.data, host_key.length);
	for (int way = 0; way < 2; way++) {
		chosen->cipher[way] = cipher_find(nacre_get_string(state));
		chosen->mac[way] = mac_find(nacre_get_string(state));
		chosen->compress[way] = nacre_get_boolean(state);
		if (chosen->cipher[way] == NULL)
			return NACRE_ERROR_FORMAT;
	}
	return state->failed ? NACRE_ERROR_FORMAT : 0;
}

static int
get_input(struct nacre_reader *state, struct input *input)
{
	struct nacre_span unread = nacre_get_string(state);

	input->packet_length = nacre_get_u32(state);
	input->wanted = (size_t)nacre_get_u64(state);
	input->discard = (size_t)nacre_get_u64(state);
	input->closed = nacre_get_boolean(state);
	if (state->failed || input->packet_length > PACKET_LIMIT ||
	    (input->packet_length != 0 &&
		(input->wanted < 4 + (size_t)input->packet_length ||
		    input->wanted > 4 + (size_t)input->packet_length + MAC_LENGTH_MAX)))
		return NACRE_ERROR_FORMAT;
	if (unread.length == 0)
		return 0;
	if (!input_reserve(input, unread.length))
		return NACRE_ERROR_MEMORY;
	memcpy(input->data, unread.data, unread.length);
	input->end = unread.length;
	return 0;
}

static bool
get_text(struct nacre_reader *state, char **text)
{
	free(*text);
	*text = nacre_span_to_string(nacre_get_string(state));
	return *text != NULL;
}

static int
get_about(struct nacre_reader *state, struct transport *transport)
{
	bool complete = get_text(state, &transport->identification) &&
			get_text(state, &transport->peer_identification);
	struct nacre_span identifier = nacre_get_string(state);

	nacre_put_span(&transport->host_key, nacre_get_string(state));
	complete = complete && get_text(state, &transport->peer_kex_algorithms) &&
		   get_text(state, &transport->peer_host_key_algorithms);
	nacre_put_span(&transport->extensions, nacre_get_string(state));
	transport->strict = nacre_get_boolean(state);
	transport->guess_sent = nacre_get_boolean(state);
	transport->guess_right = nacre_get_boolean(state);
	transport->sent_total = nacre_get_u64(state);
	transport->received_total = nacre_get_u64(state);
	transport->keys_time = transport->now - nacre_get_u64(state);
	transport->round_trip = nacre_get_u32(state);
	if (!complete || state->failed || identifier.length == 0 ||
	    identifier.length > sizeof transport->session_identifier)
		return NACRE_ERROR_FORMAT;
	memcpy(transport->session_identifier, identifier.data, identifier.length);
	transport->session_identifier_length = identifier.length;
	return transport->host_key.failed || transport->extensions.failed ? NACRE_ERROR_MEMORY : 0;
}

static int
state_import(struct transport *transport, struct nacre_reader *state)
{
	int error;

	if (nacre_get_byte(state) != FORMAT_VERSION ||
	    nacre_get_byte(state) != (uint8_t)transport->role)
		return NACRE_ERROR_FORMAT;
	if ((error = get_about(state, transport)) != 0 ||
	    (error = get_chosen(state, &transport->chosen)) != 0 ||
	    (error = get_input(state, &transport->input)) != 0)
		return error;
	nacre_put_span(&transport->output, nacre_get_string(state));
	if (transport->output.failed)
		return NACRE_ERROR_MEMORY;
	if ((error = side_import(&transport->send, true, state)) != 0)
		return error;
	return side_import(&transport->receive, false, state);
}

int
transport_import(const struct nacre_session_options *options, struct nacre_reader *state,
    uint64_t now, struct transport **result)
{
	int error = transport_create(options, now, result);

	if (error != 0)
		return error;
	if ((error = state_import(*result, state)) == 0 && state->failed)
		error = NACRE_ERROR_FORMAT;
	if (error != 0) {
		transport_free(*result);
		*result = NULL;
		return error;
	}
	(*result)->established = true;
	(*result)->authenticated = true;
	return 0;
}
