/* See session_pair.h. */
#include "session_pair.h"

#include <assert.h>
#include <nacre/crypto.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
check(int result, const char *what)
{
	if (result == 0)
		return;
	fprintf(stderr, "%s: %s\n", what, nacre_error_string(result));
	abort();
}

void
pair_init_key(struct pair *pair, enum nacre_key_type type)
{
	memset(pair, 0, sizeof *pair);
	check(nacre_key_generate(type, type == NACRE_KEY_RSA ? 2048 : 0, &pair->host_key),
	    "host key");
	check(nacre_key_generate(NACRE_KEY_ED25519, 0, &pair->user_key), "user key");
	nacre_key_put_blob(pair->host_key, false, &pair->host_blob);
	nacre_key_put_blob(pair->user_key, false, &pair->user_blob);
	pair->host_spans[0] = nacre_buffer_span(&pair->host_blob);
	pair->now = 1000000;
	pair->client_options = (struct nacre_session_options){
	    .role = NACRE_CLIENT, .log_level = NACRE_LOG_DEBUG3, .guess = true};
	/* The server takes all MACs that we have; by default it would not offer some. */
	pair->server_options = (struct nacre_session_options){.role = NACRE_SERVER,
	    .host_keys = pair->host_spans,
	    .host_key_count = 1,
	    .macs_client_to_server = nacre_algorithms(NACRE_LIST_MACS),
	    .macs_server_to_client = nacre_algorithms(NACRE_LIST_MACS),
	    .log_level = NACRE_LOG_DEBUG3};
}

void
pair_init(struct pair *pair)
{
	pair_init_key(pair, NACRE_KEY_ED25519);
}

void
pair_start(struct pair *pair)
{
	check(nacre_session_new(&pair->client_options, pair->now, &pair->client.session), "client");
	check(nacre_session_new(&pair->server_options, pair->now, &pair->server.session), "server");
}

void
pair_free(struct pair *pair)
{
	nacre_session_free(pair->client.session);
	nacre_session_free(pair->server.session);
	nacre_buffer_free(&pair->client.log);
	nacre_buffer_free(&pair->server.log);
	nacre_buffer_free(&pair->host_blob);
	nacre_buffer_free(&pair->user_blob);
	nacre_key_free(pair->host_key);
	nacre_key_free(pair->user_key);
}

static void
answer_sign(struct pair *pair, struct pair_side *side, const struct nacre_event *event)
{
	const struct nacre_key *key = event->u.sign.exchange_hash ? pair->host_key : pair->user_key;
	char *algorithm = nacre_span_to_string(event->u.sign.algorithm);
	struct nacre_buffer signature = {0};

	check(nacre_key_sign(key, algorithm, event->u.sign.data, &signature), "sign");
	check(nacre_session_signature(side->session, nacre_buffer_span(&signature)), "signature");
	nacre_buffer_free(&signature);
	free(algorithm);
	side->signs++;
}

static void
answer_auth(struct pair_side *side, const struct nacre_event *event)
{
	struct nacre_key *key = NULL;

	if (event->u.auth_request.method != NACRE_METHOD_PUBLICKEY) {
		nacre_auth_reject(side->session, "publickey", false);
		return;
	}
	if (!event->u.auth_request.has_signature) {
		nacre_auth_publickey_ok(side->session);
		return;
	}
	if (nacre_key_from_blob(event->u.auth_request.blob, &key) == 0 &&
	    nacre_key_verify(
		key, NULL, event->u.auth_request.signature, event->u.auth_request.signed_data) == 0)
		nacre_auth_accept(side->session);
	else
		nacre_auth_reject(side->session, "publickey", false);
	nacre_key_free(key);
}

static uint8_t
pattern(uint64_t position)
{
	return (uint8_t)(position * 31 + (position >> 8) * 7 + (position >> 16));
}

static void
take_data(struct pair_side *side, const struct nacre_event *event)
{
	struct nacre_span data = nacre_channel_data(side->session, event->channel, event->u.stream);

	for (size_t i = 0; i < data.length; i++)
		if (data.data[i] != pattern(side->bytes_received + i))
			side->corrupt = true;
	side->bytes_received += data.length;
	check(nacre_channel_consume(side->session, event->channel, event->u.stream, data.length),
	    "consume");
}

static void
take_end(struct pair_side *side, const struct nacre_event *event)
{
	size_t length = event->u.disconnected.text.length;

	if (length >= sizeof side->text)
		length = sizeof side->text - 1;
	memcpy(side->text, event->u.disconnected.text.data, length);
	side->text[length] = '\0';
	side->disconnected++;
	side->error = event->u.disconnected.error;
	side->ended_by_peer = event->u.disconnected.by_peer;
}

static void
take_log(struct pair_side *side, const struct nacre_event *event)
{
	nacre_put_span(&side->log, event->u.log.text);
	nacre_put_byte(&side->log, '\n');
}

static void
take_event(struct pair *pair, struct pair_side *side, const struct nacre_event *event)
{
	switch (event->kind) {
	case NACRE_EVENT_LOG:
		take_log(side, event);
		break;
	case NACRE_EVENT_HOST_KEY:
		side->host_keys++;
		nacre_session_trust_host_key(side->session, !pair->distrust);
		break;
	case NACRE_EVENT_SIGN:
		answer_sign(pair, side, event);
		break;
	case NACRE_EVENT_AUTH_REQUEST:
		answer_auth(side, event);
		break;
	case NACRE_EVENT_KEYS_EXCHANGED:
		side->keys_exchanged++;
		break;
	case NACRE_EVENT_AUTHENTICATED:
		side->authenticated++;
		break;
	case NACRE_EVENT_CHANNEL_OPEN:
		side->channel = event->channel;
		side->opened++;
		nacre_channel_accept(side->session, event->channel);
		break;
	case NACRE_EVENT_CHANNEL_REFUSED:
		side->refused++;
		break;
	case NACRE_EVENT_CHANNEL_OPENED:
		side->opened++;
		break;
	case NACRE_EVENT_CHANNEL_DATA:
		take_data(side, event);
		break;
	case NACRE_EVENT_CHANNEL_REQUEST:
		side->requests++;
		if (event->u.channel_request.want_reply)
			nacre_channel_request_reply(side->session, event->channel, true);
		break;
	case NACRE_EVENT_GLOBAL_REQUEST:
		if (event->u.global_request.want_reply)
			nacre_global_request_reply(
			    side->session, false, (struct nacre_span){NULL, 0});
		break;
	case NACRE_EVENT_PONG:
		side->pongs++;
		break;
	case NACRE_EVENT_DISCONNECTED:
		take_end(side, event);
		break;
	default:
		break;
	}
}

bool
pair_events(struct pair *pair, struct pair_side *side)
{
	struct nacre_event event;
	bool any = false;

	while (nacre_session_next_event(side->session, pair->now, &event)) {
		take_event(pair, side, &event);
		any = true;
	}
	return any;
}

/* One piece from one side to the other. */
static bool
deliver(struct pair *pair, struct pair_side *from, struct pair_side *to)
{
	bool to_server = to == &pair->server;
	struct nacre_span output = nacre_session_output(from->session);
	size_t length = output.length, room;
	uint8_t *bytes;

	if (length == 0 || (bytes = nacre_session_input_room(to->session, &room)) == NULL)
		return false;
	if (pair->chunk > 0 && length > pair->chunk)
		length = pair->chunk;
	if (length > room)
		length = room;
	memcpy(bytes, output.data, length);
	if (pair->tamper != NULL)
		pair->tamper(pair, to_server, bytes, length);
	pair->delivered[to_server] += length;
	nacre_session_received(to->session, length, pair->now);
	nacre_session_sent(from->session, length);
	return true;
}

bool
pair_step(struct pair *pair)
{
	bool any = pair_events(pair, &pair->client);

	any = pair_events(pair, &pair->server) || any;
	if (deliver(pair, &pair->client, &pair->server)) {
		any = true;
		pair->flights++;
	}
	return deliver(pair, &pair->server, &pair->client) || any;
}

void
pair_run(struct pair *pair)
{
	while (pair_step(pair))
		;
}

void
pair_open_channel(struct pair *pair)
{
	check(nacre_channel_open_session(pair->client.session, &pair->client.channel), "open");
	pair_run(pair);
	assert(pair->client.opened == 1 && pair->server.opened == 1);
}

void
pair_login(struct pair *pair)
{
	check(nacre_auth_user(pair->client.session, "someone"), "user");
	check(nacre_auth_publickey(
		  pair->client.session, "ssh-ed25519", nacre_buffer_span(&pair->user_blob), NULL),
	    "publickey");
	pair_run(pair);
	if (pair->client.authenticated != 1 || pair->server.authenticated != 1) {
		fprintf(stderr, "client: %s\nserver: %s\n%.*s\n", pair->client.text,
		    pair->server.text, (int)nacre_buffer_length(&pair->client.log),
		    (const char *)nacre_buffer_span(&pair->client.log).data);
		abort();
	}
	pair_open_channel(pair);
}

void
pair_transfer(struct pair *pair, bool from_client, uint64_t length)
{
	struct pair_side *from = from_client ? &pair->client : &pair->server;
	struct pair_side *to = from_client ? &pair->server : &pair->client;
	uint64_t sent = to->bytes_received, end = sent + length;
	bool moved = true;

	while (moved && to->bytes_received < end) {
		uint8_t *room;
		size_t most;

		moved = false;
		while (sent < end && (room = nacre_channel_room(from->session, from->channel,
					  NACRE_STREAM_DATA, &most)) != NULL) {
			if (most > end - sent)
				most = (size_t)(end - sent);
			for (size_t i = 0; i < most; i++)
				room[i] = pattern(sent + i);
			check(nacre_channel_commit(from->session, from->channel, most), "commit");
			sent += most;
			moved = true;
		}
		moved = pair_step(pair) || moved;
	}
}
