/*
 * The server's part of a key exchange: from the client's value to the signed reply, in one flight
 * with NEWKEYS. RFC 4253 section 8, RFC 4419, RFC 5656.
 */
#include <transport/state.h>

#define GROUP_LEAST 2048 /* RFC 8270 */
#define GROUP_MOST  8192

/* The host key that signs with the negotiated algorithm. */
static int
host_key_choose(struct transport *transport)
{
	struct exchange *exchange = transport->exchange;
	char format[ALGORITHM_NAME_MAX];

	host_key_format(nacre_span_of(exchange->chosen.host_key), format);
	for (size_t i = 0; i < transport->host_key_count; i++) {
		struct nacre_span blob = nacre_buffer_span(&transport->host_keys[i]);
		struct nacre_reader reader = nacre_reader_of(blob);

		if (nacre_span_equals(nacre_get_string(&reader), format)) {
			nacre_put_span(&exchange->host_key, blob);
			return 0;
		}
	}
	return exchange_crypto_failed(transport, NACRE_ERROR_NOT_FOUND, exchange->chosen.host_key);
}

/* Everything is known but the signature: the program is asked for it. */
static int
signature_ask(struct transport *transport, struct nacre_span secret)
{
	struct exchange *exchange = transport->exchange;
	int error = host_key_choose(transport);

	if (error == 0)
		error = exchange_compute_hash(transport, secret);
	if (error != 0)
		return error;
	if (exchange->first)
		nacre_put_span(&transport->host_key, nacre_buffer_span(&exchange->host_key));
	exchange->step = STEP_QUESTION;
	event_put(transport, NACRE_EVENT_SIGN, 0, (struct nacre_span){0});
	return 0;
}

/* What the client's value gave us: a secret to sign for, or an error. */
static int
secret_take(struct transport *transport, int error, struct nacre_buffer *secret)
{
	if (error != 0)
		error = exchange_crypto_failed(transport, error, "the client's public value");
	else
		error = signature_ask(transport, nacre_buffer_span(secret));
	nacre_buffer_free(secret);
	return error;
}

static int
init_receive(
    struct transport *transport, const struct kex_method *method, struct nacre_reader *payload)
{
	struct exchange *exchange = transport->exchange;
	struct nacre_span value =
	    method->kind == KEX_STRING ? nacre_get_string(payload) : nacre_get_mpint(payload);
	struct nacre_buffer secret = {0};
	int error;

	if (!nacre_reader_done(payload))
		return exchange_malformed(transport, "KEX_ECDH_INIT");
	transport_log(transport, NACRE_LOG_DEBUG1, "SSH2_MSG_KEX_ECDH_INIT received");
	nacre_put_span(&exchange->peer_public, value);
	error = kex_server(method, value, &exchange->own_public, &secret);
	return secret_take(transport, error, &secret);
}

static int
group_send(struct transport *transport, struct nacre_span prime, struct nacre_span generator)
{
	struct exchange *exchange = transport->exchange;
	struct nacre_buffer *message;
	int error = kex_gex_start(prime, generator, &exchange->agreement, &exchange->own_public);

	if (error != 0)
		return exchange_crypto_failed(transport, error, "the group from our moduli");
	message = transport_begin(transport, MESSAGE_KEX_REPLY);
	nacre_put_mpint(message, prime.data, prime.length);
	nacre_put_mpint(message, generator.data, generator.length);
	nacre_put_mpint(&exchange->group, prime.data, prime.length);
	nacre_put_mpint(&exchange->group, generator.data, generator.length);
	exchange->step = STEP_GEX_INIT;
	transport_log(transport, NACRE_LOG_DEBUG1, "SSH2_MSG_KEX_DH_GEX_GROUP sent");
	return output_urgent(transport);
}

static int
group_request(struct transport *transport, struct nacre_reader *payload)
{
	uint32_t least = nacre_get_u32(payload), bits = nacre_get_u32(payload);
	uint32_t most = nacre_get_u32(payload);
	struct nacre_buffer *group = &transport->exchange->group;
	struct nacre_buffer prime = {0}, generator = {0};
	int error;

	if (!nacre_reader_done(payload))
		return exchange_malformed(transport, "KEX_DH_GEX_REQUEST");
	transport_log(transport, NACRE_LOG_DEBUG1, "SSH2_MSG_KEX_DH_GEX_REQUEST received");
	nacre_put_u32(group, least);
	nacre_put_u32(group, bits);
	nacre_put_u32(group, most);
	if (least > bits || bits > most || most < GROUP_LEAST || least > GROUP_MOST)
		return transport_fail(transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_KEY_EXCHANGE_FAILED,
		    "DH_GEX_REQUEST, bad parameters: %u !< %u !< %u", least, bits, most);
	error = moduli_choose(transport->moduli, least < GROUP_LEAST ? GROUP_LEAST : least,
	    bits < GROUP_LEAST ? GROUP_LEAST : bits, most > GROUP_MOST ? GROUP_MOST : most, &prime,
	    &generator);
	error = error != 0 ? exchange_crypto_failed(transport, error, "no matching DH group found")
			   : group_send(transport, nacre_buffer_span(&prime),
				 nacre_buffer_span(&generator));
	nacre_buffer_free(&prime);
	nacre_buffer_free(&generator);
	return error;
}

static int
group_init_receive(struct transport *transport, struct nacre_reader *payload)
{
	struct exchange *exchange = transport->exchange;
	struct nacre_span value = nacre_get_mpint(payload);
	struct nacre_buffer secret = {0};
	int error;

	if (!nacre_reader_done(payload))
		return exchange_malformed(transport, "KEX_DH_GEX_INIT");
	transport_log(transport, NACRE_LOG_DEBUG1, "SSH2_MSG_KEX_DH_GEX_INIT received");
	nacre_put_span(&exchange->peer_public, value);
	error = kex_client_finish(exchange->agreement, value, &secret);
	return secret_take(transport, error, &secret);
}

int
exchange_server_message(struct transport *transport, uint8_t message, struct nacre_reader *payload)
{
	struct exchange *exchange = transport->exchange;
	const struct kex_method *method = exchange->chosen.kex;
	bool gex = method != NULL && method->kind == KEX_DH_GEX;

	if (method != NULL && exchange->step == STEP_INIT && !gex && message == MESSAGE_KEX_INIT)
		return init_receive(transport, method, payload);
	if (exchange->step == STEP_INIT && gex && message == MESSAGE_GEX_REQUEST)
		return group_request(transport, payload);
	if (exchange->step == STEP_GEX_INIT && message == MESSAGE_GEX_INIT)
		return group_init_receive(transport, payload);
	return transport_fail(transport, NACRE_ERROR_PROTOCOL, NACRE_DISCONNECT_PROTOCOL_ERROR,
	    "unexpected key exchange message %u", message);
}

static int
reply_send(struct transport *transport, struct nacre_span signature)
{
	struct exchange *exchange = transport->exchange;
	const struct kex_method *method = exchange->chosen.kex;
	struct nacre_span value = nacre_buffer_span(&exchange->own_public);
	struct nacre_buffer *message = transport_begin(
	    transport, method->kind == KEX_DH_GEX ? MESSAGE_GEX_REPLY : MESSAGE_KEX_REPLY);

	nacre_put_string_span(message, nacre_buffer_span(&exchange->host_key));
	if (method->kind == KEX_STRING)
		nacre_put_string_span(message, value);
	else
		nacre_put_mpint(message, value.data, value.length);
	nacre_put_string_span(message, signature);
	transport_log(transport, NACRE_LOG_DEBUG1, "SSH2_MSG_KEX_ECDH_REPLY sent");
	return output_urgent(transport);
}

int
transport_signature(struct transport *transport, struct nacre_span signature)
{
	struct exchange *exchange = transport->exchange;
	int error;

	if (transport->ending != ENDING_NONE)
		return NACRE_ERROR_CLOSED;
	if (exchange == NULL || exchange->step != STEP_QUESTION || transport->role != NACRE_SERVER)
		return NACRE_ERROR_STATE;
	if (signature.length == 0) {
		transport_fail(transport, NACRE_ERROR_SIGNATURE,
		    NACRE_DISCONNECT_KEY_EXCHANGE_FAILED,
		    "the host key %s cannot sign the key exchange", exchange->chosen.host_key);
		return 0;
	}
	if ((error = reply_send(transport, signature)) != 0)
		return error;
	return exchange_take_keys(transport);
}
