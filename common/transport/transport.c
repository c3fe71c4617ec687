/*
 * One end of the transport layer: how it is made, its main step, and what it answers about itself.
 */
#include <nacre/crypto.h>
#include <nacre/key.h>
#include <transport/state.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define RSA_BITS_DEFAULT 1024
/* After so long without traffic big buffers are given back, milliseconds. */
#define IDLE_TIME   1000
#define BUFFER_KEPT ((size_t)16 * 1024)

static int
copy_list(char **copy, const char *text, enum nacre_algorithm_list list, bool server)
{
	*copy = strdup(text != NULL ? text : nacre_algorithms_default(list, server));
	return *copy != NULL ? 0 : NACRE_ERROR_MEMORY;
}

static int
copy_lists(struct transport *transport, const struct nacre_session_options *options)
{
	bool server = options->role == NACRE_SERVER;
	const struct {
		const char *text;
		enum nacre_algorithm_list list;
	} sources[SLOT_OWN_COUNT] = {
	    {options->kex_algorithms, NACRE_LIST_KEX},
	    {options->host_key_algorithms, NACRE_LIST_KEY_ALGORITHMS},
	    {options->ciphers_client_to_server, NACRE_LIST_CIPHERS},
	    {options->ciphers_server_to_client, NACRE_LIST_CIPHERS},
	    {options->macs_client_to_server, NACRE_LIST_MACS},
	    {options->macs_server_to_client, NACRE_LIST_MACS},
	    {options->compression, NACRE_LIST_COMPRESSION},
	    {options->compression, NACRE_LIST_COMPRESSION},
	};
	int error = 0;

	for (int slot = 0; error == 0 && slot < SLOT_OWN_COUNT; slot++)
		error = copy_list(
		    &transport->lists[slot], sources[slot].text, sources[slot].list, server);
	if (error != 0 || !server)
		return error;
	transport->server_signature_algorithms = strdup(options->server_signature_algorithms != NULL
							    ? options->server_signature_algorithms
							    : nacre_signature_algorithms_default());
	return transport->server_signature_algorithms != NULL ? 0 : NACRE_ERROR_MEMORY;
}

static int
copy_host_keys(struct transport *transport, const struct nacre_session_options *options)
{
	size_t count = options->host_key_count;

	if (options->role != NACRE_SERVER || count == 0)
		return 0;
	transport->host_keys = calloc(count, sizeof *transport->host_keys);
	if (transport->host_keys == NULL)
		return NACRE_ERROR_MEMORY;
	transport->host_key_count = count;
	for (size_t i = 0; i < count; i++) {
		nacre_put_span(&transport->host_keys[i], options->host_keys[i]);
		if (transport->host_keys[i].failed)
			return NACRE_ERROR_MEMORY;
	}
	return 0;
}

static bool
host_key_signs(const struct transport *transport, struct nacre_span algorithm)
{
	char format[ALGORITHM_NAME_MAX];

	host_key_format(algorithm, format);
	for (size_t i = 0; i < transport->host_key_count; i++) {
		struct nacre_reader reader =
		    nacre_reader_of(nacre_buffer_span(&transport->host_keys[i]));

		if (nacre_span_equals(nacre_get_string(&reader), format))
			return true;
	}
	return false;
}

/* A server offers what its host keys can sign. */
static int
filter_host_key_algorithms(struct transport *transport)
{
	struct nacre_span list = nacre_span_of(transport->lists[SLOT_HOST_KEY]), name;
	struct nacre_buffer kept = {0};
	char *text;

	while ((name = nacre_list_next(&list)).length > 0) {
		if (!host_key_signs(transport, name))
			continue;
		if (nacre_buffer_length(&kept) > 0)
			nacre_put_byte(&kept, ',');
		nacre_put_span(&kept, name);
	}
	text = nacre_span_to_string(nacre_buffer_span(&kept));
	nacre_buffer_free(&kept);
	if (text == NULL)
		return NACRE_ERROR_MEMORY;
	free(transport->lists[SLOT_HOST_KEY]);
	transport->lists[SLOT_HOST_KEY] = text;
	return text[0] != '\0' ? 0 : NACRE_ERROR_ARGUMENT;
}

static void
copy_numbers(struct transport *transport, const struct nacre_session_options *options)
{
	transport->role = options->role;
	transport->log_level = options->log_level;
	transport->may_guess = options->guess && options->role == NACRE_CLIENT;
	transport->moduli = options->moduli;
	transport->required_rsa_bits =
	    options->required_rsa_bits > 0 ? options->required_rsa_bits : RSA_BITS_DEFAULT;
	transport->rekey_bytes = options->rekey_bytes;
	transport->rekey_milliseconds = (uint64_t)options->rekey_seconds * 1000;
	transport->round_trip = UINT32_MAX;
}

int
transport_create(
    const struct nacre_session_options *options, uint64_t now, struct transport **result)
{
	struct transport *transport = calloc(1, sizeof *transport);
	int error;

	*result = NULL;
	if (transport == NULL || sodium_init() < 0) {
		free(transport);
		return NACRE_ERROR_MEMORY;
	}
	copy_numbers(transport, options);
	transport->now = transport->active = transport->keys_time = now;
	error = identification_new(options, &transport->identification);
	if (error == 0)
		error = copy_lists(transport, options);
	if (error == 0)
		error = copy_host_keys(transport, options);
	if (error == 0 && options->role == NACRE_SERVER)
		error = filter_host_key_algorithms(transport);
	if (error != 0) {
		transport_free(transport);
		return error;
	}
	*result = transport;
	return 0;
}

int
transport_new(const struct nacre_session_options *options, uint64_t now, struct transport **result)
{
	int error = transport_create(options, now, result);

	if (error != 0)
		return error;
	identification_send(*result);
	if ((error = exchange_start(*result)) != 0) {
		transport_free(*result);
		*result = NULL;
	}
	return error;
}

static void
buffers_free(struct transport *transport)
{
	input_free(&transport->input);
	nacre_buffer_free(&transport->output);
	nacre_buffer_free(&transport->message);
	nacre_buffer_free(&transport->compressed);
	nacre_buffer_free(&transport->inflated);
	nacre_buffer_free(&transport->queue);
	nacre_buffer_free(&transport->host_key);
	nacre_buffer_free(&transport->host_key_signature);
	nacre_buffer_free(&transport->extensions);
	nacre_buffer_free(&transport->events);
	nacre_buffer_free(&transport->event_text);
	nacre_buffer_free(&transport->end_text);
}

void
transport_free(struct transport *transport)
{
	if (transport == NULL)
		return;
	exchange_free(transport);
	packet_side_free(&transport->send);
	packet_side_free(&transport->receive);
	buffers_free(transport);
	for (int slot = 0; slot < SLOT_OWN_COUNT; slot++)
		free(transport->lists[slot]);
	for (size_t i = 0; i < transport->host_key_count; i++)
		nacre_buffer_free(&transport->host_keys[i]);
	free(transport->host_keys);
	free(transport->server_signature_algorithms);
	free(transport->identification);
	free(transport->peer_identification);
	free(transport->peer_kex_algorithms);
	free(transport->peer_host_key_algorithms);
	sodium_memzero(transport, sizeof *transport);
	free(transport);
}

/* The main step ------------------------------------------------------------------------------ */

static bool
question_pending(const struct transport *transport)
{
	return transport->exchange != NULL && transport->exchange->step == STEP_QUESTION;
}

static void
closed_by_peer(struct transport *transport)
{
	event_end(transport, true, NACRE_ERROR_CLOSED, NACRE_DISCONNECT_CONNECTION_LOST,
	    nacre_span_of("Connection closed by remote host"));
}

static bool
big_buffers(const struct transport *transport)
{
	return transport->input.capacity > BUFFER_KEPT ||
	       transport->output.capacity > BUFFER_KEPT ||
	       transport->inflated.capacity > BUFFER_KEPT ||
	       transport->compressed.capacity > BUFFER_KEPT;
}

/* Memory that a burst of data needed goes back once it is over. */
static void
buffers_shrink(struct transport *transport)
{
	if (transport->now < transport->active + IDLE_TIME || !big_buffers(transport))
		return;
	if (transport->input.start == transport->input.end)
		input_free(&transport->input);
	if (nacre_buffer_length(&transport->output) == 0)
		nacre_buffer_free(&transport->output);
	nacre_buffer_free(&transport->inflated);
	nacre_buffer_free(&transport->compressed);
	/* What is still in use is looked at again after as long. */
	transport->active = transport->now;
}

static uint64_t
rekey_time(const struct transport *transport)
{
	if (transport->rekey_milliseconds == 0 || transport->exchange != NULL ||
	    !transport->authenticated)
		return UINT64_MAX;
	return transport->keys_time + transport->rekey_milliseconds;
}

static void
timers_run(struct transport *transport)
{
	if (transport->now >= rekey_time(transport))
		exchange_start(transport);
	buffers_shrink(transport);
}

/* One packet or line of input: 1 with a message for the upper layers, 0 to go on, -1 for idle. */
static int
input_step(struct transport *transport, struct nacre_span *payload)
{
	int got;

	if (question_pending(transport) || transport->held) {
		if (!transport->input.closed)
			return -1;
		/* Whatever is answered, nobody is there to hear it. */
		closed_by_peer(transport);
		return 0;
	}
	if (transport->peer_identification == NULL) {
		size_t unread = transport->input.end - transport->input.start;

		got = identification_receive(transport);
		/* A line before the identification was taken: look again. */
		if (got == 0 && unread != transport->input.end - transport->input.start)
			return 0;
	} else if ((got = packet_open(transport, payload)) > 0) {
		return message_receive(transport, *payload) > 0;
	}
	if (got == 0 && transport->input.closed)
		closed_by_peer(transport);
	else if (got == 0)
		return -1;
	return 0;
}

enum transport_next
transport_next(struct transport *transport, uint64_t now, struct nacre_event *event,
    uint8_t *message, struct nacre_reader *payload)
{
	struct nacre_span bytes;
	int step = 0;

	transport->now = now;
	if (transport->ending == ENDING_NONE)
		timers_run(transport);
	for (;;) {
		if (event_take(transport, event))
			return TRANSPORT_EVENT;
		if (step < 0 || transport->ending != ENDING_NONE)
			return TRANSPORT_IDLE;
		if ((step = input_step(transport, &bytes)) <= 0)
			continue;
		*payload = nacre_reader_of(bytes);
		*message = nacre_get_byte(payload);
		return TRANSPORT_MESSAGE;
	}
}

uint64_t
transport_deadline(const struct transport *transport)
{
	uint64_t deadline = rekey_time(transport);

	if (transport->ending != ENDING_NONE)
		return UINT64_MAX;
	if (big_buffers(transport) && transport->active + IDLE_TIME < deadline)
		deadline = transport->active + IDLE_TIME;
	return deadline;
}

void
transport_hold(struct transport *transport, bool held)
{
	transport->held = held;
}

int
transport_authenticated(struct transport *transport)
{
	transport->authenticated = true;
	/* A server's own direction begins behind USERAUTH_SUCCESS: see output_message(). */
	transport->receive.compressing = transport->receive.compresses;
	if (transport->role == NACRE_CLIENT)
		transport->send.compressing = transport->send.compresses;
	return 0;
}

/* Answers ----------------------------------------------------------------------------------- */

enum nacre_role
transport_role(const struct transport *transport)
{
	return transport->role;
}

uint64_t
transport_now(const struct transport *transport)
{
	return transport->now;
}

bool
transport_established(const struct transport *transport)
{
	return transport->established;
}

struct nacre_span
transport_session_identifier(const struct transport *transport)
{
	return (struct nacre_span){
	    transport->session_identifier, transport->session_identifier_length};
}

bool
transport_encrypted(const struct transport *transport)
{
	return transport->send.cipher != NULL && transport->receive.cipher != NULL;
}

struct nacre_span
transport_host_key_signature(const struct transport *transport)
{
	return nacre_buffer_span(&transport->host_key_signature);
}

struct nacre_span
transport_host_key(const struct transport *transport)
{
	return nacre_buffer_span(&transport->host_key);
}

void
transport_watch(struct transport *transport)
{
	transport->watched = true;
	transport->watched_refused = false;
	transport->watched_sequence = transport->send.sequence - 1;
}

bool
transport_watched_refused(const struct transport *transport)
{
	return transport->watched_refused;
}

uint32_t
transport_round_trip(const struct transport *transport)
{
	return transport->round_trip;
}

void
transport_round_trip_known(struct transport *transport, uint32_t milliseconds)
{
	if (milliseconds < transport->round_trip)
		transport->round_trip = milliseconds;
}

static const char *
mac_label(const struct negotiated *chosen, enum direction way)
{
	return chosen->mac[way] != NULL ? chosen->mac[way]->name : "<implicit>";
}

void
transport_algorithms(const struct transport *transport, struct nacre_session_algorithms *algorithms)
{
	const struct negotiated *chosen = &transport->chosen;

	*algorithms = (struct nacre_session_algorithms){"", "", "", "", "", "", "", "",
	    transport->strict, transport->guess_sent, transport->guess_right};
	if (chosen->kex == NULL && transport->exchange != NULL)
		chosen = &transport->exchange->chosen;
	if (chosen->kex == NULL || chosen->cipher[SERVER_TO_CLIENT] == NULL)
		return;
	algorithms->kex = chosen->kex->name;
	algorithms->host_key = chosen->host_key;
	algorithms->cipher_client_to_server = chosen->cipher[CLIENT_TO_SERVER]->name;
	algorithms->cipher_server_to_client = chosen->cipher[SERVER_TO_CLIENT]->name;
	algorithms->mac_client_to_server = mac_label(chosen, CLIENT_TO_SERVER);
	algorithms->mac_server_to_client = mac_label(chosen, SERVER_TO_CLIENT);
	algorithms->compression_client_to_server =
	    chosen->compress[CLIENT_TO_SERVER] ? "zlib@openssh.com" : "none";
	algorithms->compression_server_to_client =
	    chosen->compress[SERVER_TO_CLIENT] ? "zlib@openssh.com" : "none";
}

static struct nacre_span
span_of_optional(const char *text)
{
	return text != NULL ? nacre_span_of(text) : (struct nacre_span){NULL, 0};
}

struct nacre_span
transport_peer_kex_algorithms(const struct transport *transport)
{
	return span_of_optional(transport->peer_kex_algorithms);
}

struct nacre_span
transport_peer_host_key_algorithms(const struct transport *transport)
{
	return span_of_optional(transport->peer_host_key_algorithms);
}

void
transport_traffic(const struct transport *transport, uint64_t *sent, uint64_t *received)
{
	*sent = transport->sent_total;
	*received = transport->received_total;
}
