/*
 * A key exchange from KEXINIT to NEWKEYS, RFC 4253 sections 7 to 9, as far as client and server do
 * the same: beginning, negotiation, exchange hash, taking keys into use. What is between is in
 * exchange_client.c and exchange_server.c.
 */
#include <transport/state.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

int
exchange_malformed(struct transport *transport, const char *what)
{
	return transport_fail(transport, NACRE_ERROR_FORMAT, NACRE_DISCONNECT_KEY_EXCHANGE_FAILED,
	    "malformed %s", what);
}

int
exchange_crypto_failed(struct transport *transport, int error, const char *what)
{
	return transport_fail(transport, error, NACRE_DISCONNECT_KEY_EXCHANGE_FAILED,
	    "key exchange failed: %s: %s", what, nacre_error_string(error));
}

void
exchange_free(struct transport *transport)
{
	struct exchange *exchange = transport->exchange;

	if (exchange == NULL)
		return;
	kex_agreement_free(exchange->agreement);
	nacre_buffer_free(&exchange->own_kexinit);
	nacre_buffer_free(&exchange->peer_kexinit);
	nacre_buffer_free(&exchange->own_public);
	nacre_buffer_free(&exchange->peer_public);
	nacre_buffer_free(&exchange->group);
	nacre_buffer_free(&exchange->host_key);
	nacre_buffer_free(&exchange->secret);
	packet_side_free(&exchange->send);
	packet_side_free(&exchange->receive);
	sodium_memzero(exchange, sizeof *exchange);
	free(exchange);
	transport->exchange = NULL;
}

static int
kexinit_send(struct transport *transport)
{
	struct exchange *exchange = transport->exchange;
	int error = kexinit_encode(
	    transport, exchange->first, exchange->guess != NULL, &exchange->own_kexinit);

	if (error == 0)
		error = output_message(transport, nacre_buffer_span(&exchange->own_kexinit));
	if (error == 0)
		transport_log(transport, NACRE_LOG_DEBUG1, "SSH2_MSG_KEXINIT sent");
	return error;
}

/* The peer's lists of the last exchange begin as ours will: a guess will be right. */
static bool
guess_is_likely(const struct transport *transport)
{
	struct nacre_span kex, host_key;

	if (!transport->established)
		return true;
	kex = transport_peer_kex_algorithms(transport);
	host_key = transport_peer_host_key_algorithms(transport);
	return nacre_span_equals(nacre_list_next(&kex), transport->chosen.kex->name) &&
	       nacre_span_equals(nacre_list_next(&host_key), transport->chosen.host_key);
}

/* The method whose first message may go unasked, or NULL. Group exchange first asks for a group
 * that fits ciphers not yet known. */
static const struct kex_method *
guess_choose(const struct transport *transport)
{
	struct nacre_span list = nacre_span_of(transport->lists[SLOT_KEX]);
	const struct kex_method *method;

	if (transport->role != NACRE_CLIENT || !transport->may_guess || !guess_is_likely(transport))
		return NULL;
	method = transport->established ? transport->chosen.kex : kex_find(nacre_list_next(&list));
	return method != NULL && method->kind != KEX_DH_GEX ? method : NULL;
}

/* Begins an exchange: because we want it, or in answer to the peer's KEXINIT. */
static int
exchange_begin(struct transport *transport, bool guess)
{
	struct exchange *exchange = calloc(1, sizeof *exchange);
	int error;

	if (exchange == NULL)
		return exchange_crypto_failed(transport, NACRE_ERROR_MEMORY, "KEXINIT");
	exchange->first = !transport->established;
	exchange->started = transport->now;
	transport->exchange = exchange;
	if (!exchange->first)
		transport_log(transport, NACRE_LOG_DEBUG1, "rekeying in progress");
	exchange->guess = guess ? guess_choose(transport) : NULL;
	error = kexinit_send(transport);
	if (error == 0 && exchange->guess != NULL)
		error = exchange_client_guess(transport);
	return error;
}

int
exchange_start(struct transport *transport)
{
	if (transport->exchange != NULL || transport->ending != ENDING_NONE)
		return 0;
	return exchange_begin(transport, true);
}

static char *
list_remember(struct nacre_span list)
{
	return nacre_span_to_string(list);
}

static void
peer_lists_remember(struct transport *transport, const struct kexinit *peer)
{
	free(transport->peer_kex_algorithms);
	free(transport->peer_host_key_algorithms);
	transport->peer_kex_algorithms = list_remember(peer->lists[SLOT_KEX]);
	transport->peer_host_key_algorithms = list_remember(peer->lists[SLOT_HOST_KEY]);
}

/* kex-strict-[cs]-v00@openssh.com: both must have said it, in their first KEXINIT. */
static int
strict_decide(struct transport *transport, const struct kexinit *peer)
{
	const char *marker = transport->role == NACRE_CLIENT ? "kex-strict-s-v00@openssh.com"
							     : "kex-strict-c-v00@openssh.com";

	if (!nacre_list_contains(peer->lists[SLOT_KEX], nacre_span_of(marker)))
		return 0;
	transport->strict = true;
	transport_log(transport, NACRE_LOG_DEBUG3, "will use strict KEX ordering");
	if (transport->receive.sequence != 1)
		return transport_fail(transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR,
		    "strict KEX violation: KEXINIT was not the first packet");
	return 0;
}

static int
exchange_negotiate(struct transport *transport)
{
	struct exchange *exchange = transport->exchange;
	bool client = transport->role == NACRE_CLIENT;
	struct kexinit own = {0}, peer = {0};
	const struct kexinit *c = client ? &own : &peer, *s = client ? &peer : &own;
	int error;

	if (!kexinit_decode(nacre_buffer_span(&exchange->own_kexinit), &own) ||
	    !kexinit_decode(nacre_buffer_span(&exchange->peer_kexinit), &peer))
		return exchange_malformed(transport, "KEXINIT");
	if (exchange->first && (error = strict_decide(transport, &peer)) != 0)
		return error;
	peer_lists_remember(transport, &peer);
	if ((error = negotiate(transport, c, s, &exchange->chosen)) != 0)
		return error;
	host_key_signature_name(nacre_span_of(exchange->chosen.host_key), exchange->signature_name);
	exchange->ignore_next = peer.follows && !guess_agrees(c, s);
	if (exchange->guess != NULL) {
		bool right = guess_agrees(c, s);

		if (exchange->first) {
			transport->guess_sent = true;
			transport->guess_right = right;
		}
		if (!right)
			exchange->guess = NULL;
	}
	if (client)
		return exchange_client_start(transport);
	exchange->step = STEP_INIT;
	return 0;
}

int
exchange_receive_kexinit(struct transport *transport, struct nacre_span payload)
{
	struct exchange *exchange;
	int error = 0;

	transport_log(transport, NACRE_LOG_DEBUG1, "SSH2_MSG_KEXINIT received");
	if (transport->exchange == NULL)
		error = exchange_begin(transport, false);
	if (error != 0)
		return error;
	exchange = transport->exchange;
	if (exchange->step != STEP_KEXINIT)
		return transport_fail(transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR,
		    "KEXINIT received while a key exchange is under way");
	nacre_put_span(&exchange->peer_kexinit, payload);
	if (exchange->peer_kexinit.failed)
		return exchange_crypto_failed(transport, NACRE_ERROR_MEMORY, "KEXINIT");
	return exchange_negotiate(transport);
}

/* The exchange hash ------------------------------------------------------------------------- */

/* A public value as the hash has it: a string, or an mpint. */
static void
put_public(struct nacre_buffer *transcript, const struct kex_method *method,
    const struct nacre_buffer *value)
{
	struct nacre_span span = nacre_buffer_span(value);

	if (method->kind == KEX_STRING)
		nacre_put_string_span(transcript, span);
	else
		nacre_put_mpint(transcript, span.data, span.length);
}

static void
put_secret(struct nacre_buffer *out, const struct kex_method *method, struct nacre_span secret)
{
	if (method->secret_is_string)
		nacre_put_string_span(out, secret);
	else
		nacre_put_mpint(out, secret.data, secret.length);
}

static void
put_transcript(const struct transport *transport, struct nacre_buffer *out)
{
	const struct exchange *exchange = transport->exchange;
	bool client = transport->role == NACRE_CLIENT;
	const struct kex_method *method = exchange->chosen.kex;

	nacre_put_cstring(out, client ? transport->identification : transport->peer_identification);
	nacre_put_cstring(out, client ? transport->peer_identification : transport->identification);
	nacre_put_string_span(
	    out, nacre_buffer_span(client ? &exchange->own_kexinit : &exchange->peer_kexinit));
	nacre_put_string_span(
	    out, nacre_buffer_span(client ? &exchange->peer_kexinit : &exchange->own_kexinit));
	nacre_put_string_span(out, nacre_buffer_span(&exchange->host_key));
	nacre_put_span(out, nacre_buffer_span(&exchange->group));
	put_public(out, method, client ? &exchange->own_public : &exchange->peer_public);
	put_public(out, method, client ? &exchange->peer_public : &exchange->own_public);
	nacre_put_span(out, nacre_buffer_span(&exchange->secret));
}

int
exchange_compute_hash(struct transport *transport, struct nacre_span secret)
{
	struct exchange *exchange = transport->exchange;
	const struct hash_algorithm *hash = exchange->chosen.kex->hash;
	struct nacre_buffer transcript = {0};
	int error = NACRE_ERROR_MEMORY;

	put_secret(&exchange->secret, exchange->chosen.kex, secret);
	put_transcript(transport, &transcript);
	if (!transcript.failed && !exchange->secret.failed)
		error = hash_span(hash, nacre_buffer_span(&transcript), exchange->hash);
	nacre_buffer_free(&transcript);
	if (error != 0)
		return exchange_crypto_failed(transport, error, "exchange hash");
	if (transport->session_identifier_length == 0) {
		memcpy(transport->session_identifier, exchange->hash, hash->length);
		transport->session_identifier_length = hash->length;
	}
	return 0;
}

/* NEWKEYS ----------------------------------------------------------------------------------- */

/* The next keys take the place of the old; sequence numbers go on unless the exchange is strict. */
static void
side_replace(struct transport *transport, struct packet_side *side, struct packet_side *next)
{
	uint32_t sequence = transport->strict ? 0 : side->sequence;

	packet_side_free(side);
	*side = *next;
	*next = (struct packet_side){0};
	side->sequence = sequence;
	side->compressing = side->compresses && transport->authenticated;
}

static void
rekey_log(struct transport *transport, const char *way, const struct packet_side *side)
{
	size_t block = side->cipher_algorithm->block_length;
	uint64_t bytes = packet_side_limit(transport, side);

	transport_log(transport, NACRE_LOG_DEBUG1, "rekey %s after %llu blocks", way,
	    (unsigned long long)(bytes / (block > 0 ? block : 1)));
}

static int
exchange_complete(struct transport *transport)
{
	struct exchange *exchange = transport->exchange;
	bool first = exchange->first;

	if (!exchange->sent_newkeys || !exchange->received_newkeys)
		return 0;
	transport->chosen = exchange->chosen;
	transport->established = true;
	transport->keys_time = transport->now;
	exchange_free(transport);
	event_put(transport, NACRE_EVENT_KEYS_EXCHANGED, first ? 1 : 0, (struct nacre_span){0});
	return output_flush_queue(transport);
}

static int
newkeys_send(struct transport *transport)
{
	struct exchange *exchange = transport->exchange;
	uint8_t message = MESSAGE_NEWKEYS;
	int error = output_message(transport, (struct nacre_span){&message, 1});

	if (error != 0)
		return error;
	side_replace(transport, &transport->send, &exchange->send);
	exchange->sent_newkeys = true;
	rekey_log(transport, "out", &transport->send);
	transport_log(transport, NACRE_LOG_DEBUG1, "SSH2_MSG_NEWKEYS sent");
	return 0;
}

int
exchange_take_keys(struct transport *transport)
{
	struct exchange *exchange = transport->exchange;
	int error = keys_make(transport, exchange);

	exchange->step = STEP_NEWKEYS;
	if (error == 0)
		error = newkeys_send(transport);
	if (error == 0 && exchange->first)
		error = extension_send(transport);
	if (error == 0)
		error = output_flush_queue(transport);
	if (error == 0)
		transport_log(transport, NACRE_LOG_DEBUG1, "expecting SSH2_MSG_NEWKEYS");
	return error;
}

int
exchange_receive_newkeys(struct transport *transport, struct nacre_reader *payload)
{
	struct exchange *exchange = transport->exchange;

	if (exchange == NULL || exchange->step != STEP_NEWKEYS || exchange->received_newkeys)
		return transport_fail(transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR, "unexpected NEWKEYS");
	if (!nacre_reader_done(payload))
		return exchange_malformed(transport, "NEWKEYS");
	side_replace(transport, &transport->receive, &exchange->receive);
	exchange->received_newkeys = true;
	transport_log(transport, NACRE_LOG_DEBUG1, "SSH2_MSG_NEWKEYS received");
	rekey_log(transport, "in", &transport->receive);
	return exchange_complete(transport);
}

int
transport_rekey(struct transport *transport)
{
	if (transport->ending != ENDING_NONE)
		return NACRE_ERROR_CLOSED;
	if (!transport->established)
		return NACRE_ERROR_STATE;
	return exchange_start(transport);
}
