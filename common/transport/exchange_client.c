/*
 * The client's part of a key exchange: its value (guessed or asked for), the server's reply, the
 * host key and its signature. RFC 4253 section 8, RFC 4419, RFC 5656.
 */
#include <transport/state.h>

#include <nacre/key.h>
#include <stdio.h>

#define GROUP_LEAST 2048 /* RFC 8270 */
#define GROUP_MOST  8192

static int
init_send(struct transport *transport, const struct kex_method *method, uint8_t type)
{
	struct exchange *exchange = transport->exchange;
	struct nacre_span value = nacre_buffer_span(&exchange->own_public);
	struct nacre_buffer *message = transport_begin(transport, type);

	if (method->kind == KEX_STRING)
		nacre_put_string_span(message, value);
	else
		nacre_put_mpint(message, value.data, value.length);
	return output_urgent(transport);
}

static int
init_make(struct transport *transport, const struct kex_method *method)
{
	struct exchange *exchange = transport->exchange;
	int error = kex_client_start(method, &exchange->agreement, &exchange->own_public);

	if (error != 0)
		return exchange_crypto_failed(transport, error, method->name);
	return init_send(transport, method, MESSAGE_KEX_INIT);
}

int
exchange_client_guess(struct transport *transport)
{
	return init_make(transport, transport->exchange->guess);
}

/* Size of a modulus that is as strong as the ciphers: RFC 3766, SP 800-57. */
static uint32_t
group_bits(const struct negotiated *chosen)
{
	size_t most = chosen->cipher[0]->key_length;

	if (chosen->cipher[1]->key_length > most)
		most = chosen->cipher[1]->key_length;
	if (most <= 16)
		return 3072;
	return most <= 24 ? 7680 : 8192;
}

static int
group_ask(struct transport *transport)
{
	struct exchange *exchange = transport->exchange;
	uint32_t bits = group_bits(&exchange->chosen);
	struct nacre_buffer *message = transport_begin(transport, MESSAGE_GEX_REQUEST);

	nacre_put_u32(&exchange->group, GROUP_LEAST);
	nacre_put_u32(&exchange->group, bits);
	nacre_put_u32(&exchange->group, GROUP_MOST);
	nacre_put_span(message, nacre_buffer_span(&exchange->group));
	exchange->step = STEP_GROUP;
	transport_log(transport, NACRE_LOG_DEBUG1, "SSH2_MSG_KEX_DH_GEX_REQUEST(%d<%u<%d) sent",
	    GROUP_LEAST, bits, GROUP_MOST);
	return output_urgent(transport);
}

static void
guess_drop(struct exchange *exchange)
{
	kex_agreement_free(exchange->agreement);
	exchange->agreement = NULL;
	nacre_buffer_clear(&exchange->own_public);
}

/* A guess that was sent stands if it is still there. */
int
exchange_client_start(struct transport *transport)
{
	struct exchange *exchange = transport->exchange;
	const struct kex_method *method = exchange->chosen.kex;

	if (exchange->guess != method)
		guess_drop(exchange);
	if (method->kind == KEX_DH_GEX)
		return group_ask(transport);
	exchange->step = STEP_REPLY;
	transport_log(transport, NACRE_LOG_DEBUG1, "expecting %s",
	    method->kind == KEX_STRING ? "SSH2_MSG_KEX_ECDH_REPLY" : "SSH2_MSG_KEXDH_REPLY");
	if (exchange->guess == method)
		return 0;
	return init_make(transport, method);
}

static int
group_receive(struct transport *transport, struct nacre_reader *payload)
{
	struct exchange *exchange = transport->exchange;
	struct nacre_span prime = nacre_get_mpint(payload), generator = nacre_get_mpint(payload);
	int error;

	if (!nacre_reader_done(payload))
		return exchange_malformed(transport, "KEX_DH_GEX_GROUP");
	transport_log(transport, NACRE_LOG_DEBUG1, "SSH2_MSG_KEX_DH_GEX_GROUP received");
	nacre_put_mpint(&exchange->group, prime.data, prime.length);
	nacre_put_mpint(&exchange->group, generator.data, generator.length);
	error = kex_gex_start(prime, generator, &exchange->agreement, &exchange->own_public);
	if (error != 0)
		return exchange_crypto_failed(transport, error, "the server's group");
	exchange->step = STEP_REPLY;
	return init_send(transport, exchange->chosen.kex, MESSAGE_GEX_INIT);
}

/* The host key ------------------------------------------------------------------------------ */

static int
host_key_check_type(struct transport *transport, const struct nacre_key *key)
{
	const char *algorithm = transport->exchange->chosen.host_key;
	unsigned bits = nacre_key_bits(key);
	char format[ALGORITHM_NAME_MAX];

	host_key_format(nacre_span_of(algorithm), format);
	if (!nacre_span_equals(nacre_span_of(format), nacre_key_format(key)))
		return transport_fail(transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_KEY_EXCHANGE_FAILED,
		    "server sent a host key of type %s where %s was agreed", nacre_key_format(key),
		    algorithm);
	if (nacre_key_type(key) == NACRE_KEY_RSA && bits < transport->required_rsa_bits)
		return transport_fail(transport, NACRE_ERROR_TOO_SMALL,
		    NACRE_DISCONNECT_KEY_EXCHANGE_FAILED,
		    "Bad server host key: Invalid key length (%u bits, required are %u: "
		    "RequiredRSASize)",
		    bits, transport->required_rsa_bits);
	return 0;
}

static void
host_key_log(struct transport *transport, const struct nacre_key *key)
{
	struct nacre_buffer fingerprint = {0};

	if (transport->log_level < NACRE_LOG_DEBUG1)
		return;
	nacre_key_fingerprint(key, NACRE_FINGERPRINT_SHA256, &fingerprint);
	nacre_put_byte(&fingerprint, 0);
	if (!fingerprint.failed)
		transport_log(transport, NACRE_LOG_DEBUG1, "Server host key: %s %s",
		    nacre_key_format(key), (const char *)nacre_buffer_span(&fingerprint).data);
	nacre_buffer_free(&fingerprint);
}

static int
host_key_verify(struct transport *transport, struct nacre_span signature)
{
	struct exchange *exchange = transport->exchange;
	struct nacre_span data = {exchange->hash, exchange->chosen.kex->hash->length};
	struct nacre_key *key = NULL;
	int error = nacre_key_from_blob(nacre_buffer_span(&exchange->host_key), &key);

	if (error != 0)
		return exchange_crypto_failed(transport, error, "the server's host key");
	host_key_log(transport, key);
	error = host_key_check_type(transport, key);
	if (error == 0)
		error = nacre_key_verify(key, exchange->signature_name, signature, data);
	nacre_key_free(key);
	if (error != 0)
		return transport_fail(transport, error, NACRE_DISCONNECT_KEY_EXCHANGE_FAILED,
		    "the server's signature with its host key does not verify: %s",
		    nacre_error_string(error));
	return 0;
}

/* The first exchange asks; afterwards the key must stay what it was. */
static int
host_key_trust(struct transport *transport, struct nacre_span signature)
{
	struct exchange *exchange = transport->exchange;
	struct nacre_span blob = nacre_buffer_span(&exchange->host_key);

	if (exchange->first) {
		nacre_put_span(&transport->host_key, blob);
		nacre_put_span(&transport->host_key_signature, signature);
		exchange->step = STEP_QUESTION;
		event_put(transport, NACRE_EVENT_HOST_KEY, 0, (struct nacre_span){0});
		return 0;
	}
	if (!nacre_span_equal(blob, nacre_buffer_span(&transport->host_key)))
		return transport_fail(transport, NACRE_ERROR_REFUSED,
		    NACRE_DISCONNECT_HOST_KEY_NOT_VERIFIABLE,
		    "server presented a different host key when rekeying");
	return exchange_take_keys(transport);
}

static int
secret_make(struct transport *transport)
{
	struct exchange *exchange = transport->exchange;
	struct nacre_buffer secret = {0};
	int error = kex_client_finish(
	    exchange->agreement, nacre_buffer_span(&exchange->peer_public), &secret);

	if (error != 0)
		error = exchange_crypto_failed(transport, error, "the server's public value");
	else
		error = exchange_compute_hash(transport, nacre_buffer_span(&secret));
	nacre_buffer_free(&secret);
	return error;
}

static int
reply_receive(
    struct transport *transport, const struct kex_method *method, struct nacre_reader *payload)
{
	struct exchange *exchange = transport->exchange;
	struct nacre_span host_key = nacre_get_string(payload);
	struct nacre_span value =
	    method->kind == KEX_STRING ? nacre_get_string(payload) : nacre_get_mpint(payload);
	struct nacre_span signature = nacre_get_string(payload);
	uint64_t waited = transport->now - exchange->started;
	int error;

	if (!nacre_reader_done(payload))
		return exchange_malformed(transport, "KEX_ECDH_REPLY");
	transport_log(transport, NACRE_LOG_DEBUG1, "SSH2_MSG_KEX_ECDH_REPLY received");
	if (exchange->first && waited < transport->round_trip)
		transport->round_trip = (uint32_t)waited;
	nacre_put_span(&exchange->host_key, host_key);
	nacre_put_span(&exchange->peer_public, value);
	if ((error = secret_make(transport)) != 0 ||
	    (error = host_key_verify(transport, signature)) != 0)
		return error;
	return host_key_trust(transport, signature);
}

int
exchange_client_message(struct transport *transport, uint8_t message, struct nacre_reader *payload)
{
	struct exchange *exchange = transport->exchange;
	const struct kex_method *method = exchange->chosen.kex;
	bool gex = method != NULL && method->kind == KEX_DH_GEX;

	if (exchange->step == STEP_GROUP && message == MESSAGE_KEX_REPLY)
		return group_receive(transport, payload);
	if (method != NULL && exchange->step == STEP_REPLY &&
	    message == (gex ? MESSAGE_GEX_REPLY : MESSAGE_KEX_REPLY))
		return reply_receive(transport, method, payload);
	return transport_fail(transport, NACRE_ERROR_PROTOCOL, NACRE_DISCONNECT_PROTOCOL_ERROR,
	    "unexpected key exchange message %u", message);
}

int
transport_trust_host_key(struct transport *transport, bool trusted)
{
	struct exchange *exchange = transport->exchange;

	if (transport->ending != ENDING_NONE)
		return NACRE_ERROR_CLOSED;
	if (exchange == NULL || exchange->step != STEP_QUESTION || transport->role != NACRE_CLIENT)
		return NACRE_ERROR_STATE;
	if (!trusted) {
		transport_fail(transport, NACRE_ERROR_REFUSED,
		    NACRE_DISCONNECT_HOST_KEY_NOT_VERIFIABLE, "Host key verification failed.");
		return 0;
	}
	return exchange_take_keys(transport);
}
