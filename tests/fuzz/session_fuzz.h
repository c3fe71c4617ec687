/*
 * What the fuzz targets of the session share. The first byte of an input says where it begins: at
 * the first byte of a connection (the rest is what the peer sends), with keys exchanged, or
 * authenticated (the rest is messages of the peer: two bytes of length, then the payload, which a
 * real transport seals), or with a session that another process hands over (the rest is its state).
 * The second byte says how the program answers questions.
 */
#ifndef TESTS_SESSION_FUZZ_H
#define TESTS_SESSION_FUZZ_H

#include <connection/session.h>
#include <nacre/key.h>
#include <nacre/session.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum start { START_RAW, START_KEYS, START_AUTHENTICATED, START_IMPORT, START_COUNT };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	bool ready;
	struct nacre_key *host_key;
	struct nacre_buffer host_blob;
	struct nacre_span host_keys[1];
	struct nacre_session_options options[2];
	struct nacre_buffer authenticated[2]; /* exported sessions */
} fuzz;

struct fuzz_end {
	struct nacre_session *session;
	uint8_t answers;
	bool authenticated, keys, ended;
};

/* The same input must do the same. */
static inline const char *
fuzz_random_name(void)
{
	return "fuzz";
}

static inline uint32_t
fuzz_random(void)
{
	static uint32_t state = 1;

	state = state * 1664525 + 1013904223;
	return state;
}

static inline void
fuzz_random_buffer(void *const bytes, const size_t length)
{
	for (size_t i = 0; i < length; i++)
		((uint8_t *)bytes)[i] = (uint8_t)(fuzz_random() >> 24);
}

static struct randombytes_implementation fuzz_randomness = {
    .implementation_name = fuzz_random_name, .random = fuzz_random, .buf = fuzz_random_buffer};

static inline void
fuzz_demand(bool condition)
{
	if (!condition)
		abort();
}

static inline void
fuzz_sign(struct fuzz_end *end, const struct nacre_event *event)
{
	char *algorithm = nacre_span_to_string(event->u.sign.algorithm);
	struct nacre_buffer signature = {0};

	if (algorithm != NULL)
		nacre_key_sign(fuzz.host_key, algorithm, event->u.sign.data, &signature);
	nacre_session_signature(end->session, nacre_buffer_span(&signature));
	nacre_buffer_free(&signature);
	free(algorithm);
}

static inline void
fuzz_auth_answer(struct fuzz_end *end)
{
	static const struct nacre_auth_prompt prompt = {{(const uint8_t *)"?", 1}, false};

	switch (end->answers & 7) {
	case 0:
		nacre_auth_accept(end->session);
		break;
	case 1:
		nacre_auth_reject(end->session, "publickey,password", true);
		break;
	case 2:
		nacre_auth_publickey_ok(end->session);
		break;
	case 3:
		nacre_auth_change_password(end->session, "change");
		break;
	case 4:
		nacre_auth_ask(end->session, "name", "instruction", &prompt, 1);
		break;
	default:
		break;
	}
	/* Whatever was not legal is refused; something must be said. */
	nacre_auth_reject(end->session, "publickey,password,keyboard-interactive", false);
}

static inline void
fuzz_auth_reply(struct fuzz_end *end, const struct nacre_event *event)
{
	struct nacre_span responses[NACRE_AUTH_PROMPTS] = {{NULL, 0}};

	if (event->u.auth_reply.result == NACRE_AUTH_INFO_REQUEST)
		nacre_auth_respond(end->session, responses, event->u.auth_reply.prompt_count);
	else if (event->u.auth_reply.result != NACRE_AUTH_SUCCESS && (end->answers & 1) != 0)
		nacre_auth_password(end->session, "secret", NULL, NULL);
}

static inline void
fuzz_data(struct fuzz_end *end, const struct nacre_event *event)
{
	struct nacre_span data = nacre_channel_data(end->session, event->channel, event->u.stream);
	size_t length = (end->answers & 8) != 0 ? data.length / 2 : data.length;

	if ((end->answers & 16) != 0)
		nacre_channel_write(end->session, event->channel, NACRE_STREAM_DATA, data);
	nacre_channel_consume(end->session, event->channel, event->u.stream, length);
}

static inline void
fuzz_channel_event(struct fuzz_end *end, const struct nacre_event *event)
{
	uint32_t channel = event->channel;

	switch (event->kind) {
	case NACRE_EVENT_CHANNEL_OPEN:
		if ((end->answers & 32) != 0)
			nacre_channel_refuse(
			    end->session, channel, NACRE_OPEN_CONNECT_FAILED, "no");
		else
			nacre_channel_accept(end->session, channel);
		break;
	case NACRE_EVENT_CHANNEL_DATA:
		fuzz_data(end, event);
		break;
	case NACRE_EVENT_CHANNEL_EOF:
		nacre_channel_close(end->session, channel);
		break;
	case NACRE_EVENT_CHANNEL_REQUEST:
		if (event->u.channel_request.want_reply)
			nacre_channel_request_reply(end->session, channel, true);
		break;
	case NACRE_EVENT_GLOBAL_REQUEST:
		if (event->u.global_request.want_reply)
			nacre_global_request_reply(
			    end->session, (end->answers & 64) != 0, nacre_span_of("reply"));
		break;
	default:
		break;
	}
}

static inline void
fuzz_event(struct fuzz_end *end, const struct nacre_event *event)
{
	switch (event->kind) {
	case NACRE_EVENT_HOST_KEY:
		nacre_session_trust_host_key(end->session, true);
		break;
	case NACRE_EVENT_SIGN:
		fuzz_sign(end, event);
		break;
	case NACRE_EVENT_KEYS_EXCHANGED:
		end->keys = true;
		break;
	case NACRE_EVENT_AUTH_REQUEST:
	case NACRE_EVENT_AUTH_RESPONSES:
		fuzz_auth_answer(end);
		break;
	case NACRE_EVENT_AUTH_REPLY:
		fuzz_auth_reply(end, event);
		break;
	case NACRE_EVENT_AUTHENTICATED:
		end->authenticated = true;
		break;
	case NACRE_EVENT_DISCONNECTED:
		end->ended = true;
		break;
	default:
		fuzz_channel_event(end, event);
	}
}

static inline void
fuzz_events(struct fuzz_end *end)
{
	struct nacre_event event;

	while (nacre_session_next_event(end->session, 1, &event))
		fuzz_event(end, &event);
}

/* Gives bytes to a session; stops when it takes no more. */
static inline void
fuzz_give(struct fuzz_end *end, struct nacre_span bytes)
{
	while (bytes.length > 0) {
		size_t room;
		uint8_t *place = nacre_session_input_room(end->session, &room);

		if (place == NULL)
			return;
		if (room > bytes.length)
			room = bytes.length;
		memcpy(place, bytes.data, room);
		nacre_session_received(end->session, room, 1);
		bytes.data += room;
		bytes.length -= room;
		fuzz_events(end);
	}
}

static inline void
fuzz_pass(struct fuzz_end *from, struct fuzz_end *to)
{
	struct nacre_span output = nacre_session_output(from->session);

	fuzz_give(to, output);
	nacre_session_sent(from->session, output.length);
}

/* Joins two sessions until "until" says that they are where the input begins. */
static inline void
fuzz_join(struct fuzz_end *a, struct fuzz_end *b, bool authenticate)
{
	struct fuzz_end *client =
	    a->session != NULL && transport_role(a->session->transport) == NACRE_CLIENT ? a : b;

	if (authenticate) {
		nacre_auth_user(client->session, "someone");
		nacre_auth_none(client->session, NULL);
	}
	for (int i = 0; i < 16; i++) {
		fuzz_events(a);
		fuzz_events(b);
		fuzz_pass(a, b);
		fuzz_pass(b, a);
	}
	fuzz_demand(a->keys && b->keys && a->authenticated == authenticate);
}

static inline void
fuzz_setup(void)
{
	struct fuzz_end ends[2] = {{0}, {0}};

	if (fuzz.ready)
		return;
	fuzz.ready = true;
	randombytes_set_implementation(&fuzz_randomness);
	fuzz_demand(nacre_key_generate(NACRE_KEY_ED25519, 0, &fuzz.host_key) == 0);
	nacre_key_put_blob(fuzz.host_key, false, &fuzz.host_blob);
	fuzz.host_keys[0] = nacre_buffer_span(&fuzz.host_blob);
	for (int role = 0; role < 2; role++)
		fuzz.options[role] =
		    (struct nacre_session_options){.role = role == 0 ? NACRE_CLIENT : NACRE_SERVER,
			.host_keys = fuzz.host_keys,
			.host_key_count = 1,
			.log_level = NACRE_LOG_DEBUG3,
			.guess = true,
			.kex_algorithms = "curve25519-sha256,diffie-hellman-group-exchange-sha256,"
					  "ecdh-sha2-nistp256,mlkem768x25519-sha256"};
	for (int role = 0; role < 2; role++)
		fuzz_demand(nacre_session_new(&fuzz.options[role], 1, &ends[role].session) == 0);
	fuzz_join(&ends[0], &ends[1], true);
	for (int role = 0; role < 2; role++) {
		fuzz_demand(
		    nacre_session_export(ends[role].session, &fuzz.authenticated[role]) == 0);
		nacre_session_free(ends[role].session);
	}
}

static inline void
fuzz_raw(enum nacre_role role, uint8_t answers, struct nacre_span bytes)
{
	struct fuzz_end end = {.answers = answers};

	fuzz_demand(nacre_session_new(&fuzz.options[role], 1, &end.session) == 0);
	fuzz_give(&end, bytes);
	nacre_session_received(end.session, 0, 1);
	fuzz_events(&end);
	fuzz_demand(end.ended || (answers & 7) > 4 || role == NACRE_CLIENT ||
		    nacre_session_output(end.session).length > 0);
	nacre_session_free(end.session);
}

static inline void
fuzz_messages(struct fuzz_end *end, struct fuzz_end *peer, struct nacre_span bytes)
{
	struct nacre_reader reader = nacre_reader_of(bytes);

	while (reader.length > 3) {
		uint16_t length = nacre_get_byte(&reader);
		struct nacre_span payload;

		length = (uint16_t)(length << 8 | nacre_get_byte(&reader));
		if (length == 0)
			continue;
		if (length > reader.length)
			length = (uint16_t)reader.length;
		payload = nacre_get_bytes(&reader, length);
		nacre_put_bytes(transport_begin(peer->session->transport, payload.data[0]),
		    payload.data + 1, payload.length - 1);
		transport_end(peer->session->transport);
		fuzz_pass(peer, end);
		nacre_session_sent(end->session, nacre_session_output(end->session).length);
	}
}

static inline void
fuzz_keys(enum nacre_role role, uint8_t answers, struct nacre_span bytes, bool authenticated)
{
	struct fuzz_end ends[2] = {{0}, {0}};

	for (int i = 0; i < 2; i++)
		fuzz_demand(
		    (authenticated
			    ? nacre_session_import(&fuzz.options[i],
				  nacre_buffer_span(&fuzz.authenticated[i]), 1, &ends[i].session)
			    : nacre_session_new(&fuzz.options[i], 1, &ends[i].session)) == 0);
	if (!authenticated)
		fuzz_join(&ends[0], &ends[1], false);
	ends[role].answers = answers;
	if (role == NACRE_CLIENT && !authenticated) {
		nacre_auth_user(ends[role].session, "someone");
		nacre_auth_password(ends[role].session, "secret", NULL, NULL);
		nacre_auth_keyboard_interactive(ends[role].session, "", NULL);
	}
	if (role == NACRE_CLIENT && authenticated) {
		uint32_t channel;

		nacre_channel_open_session(ends[role].session, &channel);
		nacre_channel_open_session(ends[role].session, &channel);
	}
	fuzz_messages(&ends[role], &ends[1 - role], bytes);
	nacre_session_received(ends[role].session, 0, 1);
	fuzz_events(&ends[role]);
	nacre_session_free(ends[0].session);
	nacre_session_free(ends[1].session);
}

static inline void
fuzz_import(enum nacre_role role, uint8_t answers, struct nacre_span state)
{
	struct fuzz_end end = {.answers = answers};

	if (nacre_session_import(&fuzz.options[role], state, 1, &end.session) != 0)
		return;
	nacre_global_request(end.session, "keepalive@openssh.com", true, nacre_span_of(""));
	nacre_session_received(end.session, 0, 1);
	fuzz_events(&end);
	nacre_session_sent(end.session, nacre_session_output(end.session).length);
	nacre_session_free(end.session);
}

static inline int
fuzz_input(enum nacre_role role, const uint8_t *data, size_t size)
{
	struct nacre_span bytes = {data + 2, size - 2};

	if (size < 2)
		return 0;
	fuzz_setup();
	if (data[0] % START_COUNT == START_RAW)
		fuzz_raw(role, data[1], bytes);
	else if (data[0] % START_COUNT == START_IMPORT)
		fuzz_import(role, data[1], bytes);
	else
		fuzz_keys(role, data[1], bytes, data[0] % START_COUNT == START_AUTHENTICATED);
	return 0;
}

#endif
