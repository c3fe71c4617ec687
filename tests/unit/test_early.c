/* A channel that is opened behind the signed request: in one flight with it, in order, and with
 * nothing done when the server thinks otherwise. */
#include "session_pair.h"

#include <connection/session.h>
#include <transport/state.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
request_login(struct pair *pair)
{
	pair_start(pair);
	assert_int_equal(nacre_auth_user(pair->client.session, "someone"), 0);
	assert_int_equal(nacre_auth_publickey(pair->client.session, "ssh-ed25519",
			     nacre_buffer_span(&pair->user_blob), NULL),
	    0);
}

/* Until the signed request is in the client's output, with the channel and its requests behind. */
static void
send_early(struct pair *pair, uint32_t peer_number)
{
	int error = NACRE_ERROR_STATE;

	request_login(pair);
	for (int step = 0; step < 100000 && error == NACRE_ERROR_STATE; step++) {
		pair_events(pair, &pair->client);
		error = nacre_channel_open_early(
		    pair->client.session, "session", peer_number, &pair->client.channel);
		if (error == NACRE_ERROR_STATE)
			pair_step(pair);
	}
	assert_int_equal(error, 0);
	assert_int_equal(pair->client.signs, 1);
	assert_int_equal(
	    nacre_channel_request_env(pair->client.session, pair->client.channel, "A", "b"), 0);
	assert_int_equal(
	    nacre_channel_request_exec(pair->client.session, pair->client.channel, true, "ls"), 0);
}

static void
pair_make(struct pair *pair)
{
	pair_init(pair);
	pair->client_options.host_key_algorithms = "ssh-ed25519";
}

static void
test_success(void **state)
{
	struct pair pair;
	uint32_t number = 99;

	(void)state;
	pair_make(&pair);
	send_early(&pair, 0);
	assert_int_equal(nacre_channel_write(pair.client.session, pair.client.channel,
			     NACRE_STREAM_DATA, nacre_span_of("too early")),
	    0);
	assert_int_equal(
	    nacre_channel_peer_number(pair.client.session, pair.client.channel, &number),
	    NACRE_ERROR_NOT_FOUND);
	pair_run(&pair);
	assert_int_equal(pair.client.authenticated, 1);
	assert_int_equal(pair.client.opened, 1);
	assert_int_equal(pair.server.opened, 1);
	assert_int_equal(pair.server.requests, 2);
	/* As many as a login needs without a channel. */
	assert_int_equal(pair.flights, 2);
	assert_int_equal(
	    nacre_channel_peer_number(pair.client.session, pair.client.channel, &number), 0);
	assert_int_equal(number, 0);
	pair_transfer(&pair, true, 100000);
	pair_transfer(&pair, false, 100000);
	assert_int_equal(pair.server.bytes_received, 100000);
	assert_int_equal(pair.client.bytes_received, 100000);
	assert_int_equal(pair.client.disconnected + pair.server.disconnected, 0);
	pair_free(&pair);
}

static void
test_bytes_one_at_a_time(void **state)
{
	struct pair pair;

	(void)state;
	pair_make(&pair);
	pair.chunk = 1;
	send_early(&pair, 0);
	pair_run(&pair);
	assert_int_equal(pair.client.opened, 1);
	assert_int_equal(pair.server.requests, 2);
	pair_free(&pair);
}

/* Takes the server's events up to its question about the user. */
static void
await_question(struct pair *pair)
{
	struct nacre_event event;

	/* What the client sent, in one piece. */
	const struct nacre_span output = nacre_session_output(pair->client.session);
	size_t room;
	uint8_t *const place = nacre_session_input_room(pair->server.session, &room);

	assert_true(output.length > 0 && room >= output.length);
	memcpy(place, output.data, output.length);
	nacre_session_received(pair->server.session, output.length, pair->now);
	nacre_session_sent(pair->client.session, output.length);
	do
		assert_true(nacre_session_next_event(pair->server.session, pair->now, &event));
	while (event.kind != NACRE_EVENT_AUTH_REQUEST);
	assert_true(event.u.auth_request.has_signature);
	/* What is behind it stays there until it is answered. */
	while (nacre_session_next_event(pair->server.session, pair->now, &event))
		assert_int_equal(event.kind, NACRE_EVENT_LOG);
}

/* The server goes on, and so can the client. */
static void
test_refused_login(void **state)
{
	struct pair pair;

	(void)state;
	pair_make(&pair);
	send_early(&pair, 0);
	await_question(&pair);
	assert_true(nacre_session_peer_extension(pair.client.session, "early-session@nacre", NULL));
	assert_int_equal(nacre_auth_reject(pair.server.session, "publickey", false), 0);
	pair_run(&pair);
	assert_int_equal(pair.server.opened + pair.server.requests, 0);
	assert_int_equal(pair.client.authenticated + pair.client.opened, 0);
	assert_int_equal(pair.client.refused, 1);
	assert_int_equal(pair.server.disconnected + pair.client.disconnected, 0);
	assert_int_equal(nacre_session_channel_count(pair.client.session), 0);
	assert_int_equal(nacre_auth_publickey(pair.client.session, "ssh-ed25519",
			     nacre_buffer_span(&pair.user_blob), NULL),
	    0);
	pair_run(&pair);
	assert_int_equal(pair.client.authenticated, 1);
	assert_int_equal(nacre_channel_open_session(pair.client.session, &pair.client.channel), 0);
	pair_run(&pair);
	assert_int_equal(pair.server.opened, 1);
	assert_int_equal(pair.client.opened, 1);
	pair_free(&pair);
}

/* Not for ever: a flight's worth. */
static void
test_premature_messages_are_bounded(void **state)
{
	struct pair pair;

	(void)state;
	pair_make(&pair);
	send_early(&pair, 0);
	for (int i = 0; i < 130; i++)
		assert_int_equal(
		    nacre_channel_request_env(pair.client.session, pair.client.channel, "A", "b"),
		    0);
	await_question(&pair);
	assert_int_equal(nacre_auth_reject(pair.server.session, "publickey", false), 0);
	pair_run(&pair);
	assert_int_equal(pair.server.error, NACRE_ERROR_PROTOCOL);
	assert_non_null(strstr(pair.server.text, "before authentication"));
	assert_int_equal(pair.client.disconnected, 1);
	assert_true(pair.client.ended_by_peer);
	pair_free(&pair);
}

/* The process that answers the login is not the one that runs the session. */
static void
test_moved_with_unread_input(void **state)
{
	struct nacre_buffer bytes = {0};
	struct nacre_event event;
	struct pair pair;

	(void)state;
	pair_make(&pair);
	send_early(&pair, 0);
	await_question(&pair);
	assert_int_equal(nacre_auth_accept(pair.server.session), 0);
	do
		assert_true(nacre_session_next_event(pair.server.session, pair.now, &event));
	while (event.kind != NACRE_EVENT_AUTHENTICATED);
	assert_int_equal(nacre_session_export(pair.server.session, &bytes), 0);
	nacre_session_free(pair.server.session);
	assert_int_equal(nacre_session_import(&pair.server_options, nacre_buffer_span(&bytes),
			     pair.now, &pair.server.session),
	    0);
	nacre_buffer_free(&bytes);
	pair_run(&pair);
	assert_int_equal(pair.client.authenticated, 1);
	assert_int_equal(pair.client.opened, 1);
	assert_int_equal(pair.server.requests, 2);
	pair_free(&pair);
}

static void
test_another_number(void **state)
{
	struct pair pair;

	(void)state;
	pair_make(&pair);
	send_early(&pair, 3);
	pair_run(&pair);
	assert_int_equal(pair.client.authenticated, 1);
	assert_int_equal(pair.client.opened, 0);
	/* Nothing was done: the server had no such channel, and says so. */
	assert_int_equal(pair.server.requests, 0);
	assert_int_equal(pair.server.disconnected, 1);
	assert_int_equal(pair.client.disconnected, 1);
	assert_false(pair.client.ended_by_peer);
	assert_int_equal(pair.client.error, NACRE_ERROR_NOT_FOUND);
	pair_free(&pair);
}

/* As a server would say of the message that it reads next, and those behind. */
static void
send_unimplemented(struct transport *transport, uint32_t ahead)
{
	nacre_put_u32(
	    transport_begin(transport, MESSAGE_UNIMPLEMENTED), transport->receive.sequence + ahead);
	assert_int_equal(transport_end(transport), 0);
}

static void
deliver_to_client(struct pair *pair)
{
	const struct nacre_span output = nacre_session_output(pair->server.session);
	size_t room;
	uint8_t *const place = nacre_session_input_room(pair->client.session, &room);

	assert_true(room >= output.length);
	memcpy(place, output.data, output.length);
	nacre_session_received(pair->client.session, output.length, pair->now);
	nacre_session_sent(pair->server.session, output.length);
}

/* A server that answers the channel before it has thought about the login. */
static void
test_unimplemented(void **state)
{
	struct pair pair;
	struct nacre_event event;
	uint32_t channel = 99;

	(void)state;
	pair_make(&pair);
	send_early(&pair, 0);
	await_question(&pair);
	for (uint32_t i = 0; i < 3; i++)
		send_unimplemented(pair.server.session->transport, i);
	assert_int_equal(nacre_auth_accept(pair.server.session), 0);
	deliver_to_client(&pair);
	do {
		assert_true(nacre_session_next_event(pair.client.session, pair.now, &event));
		if (event.kind == NACRE_EVENT_CHANNEL_REFUSED)
			channel = event.channel;
	} while (channel == 99);
	assert_int_equal(channel, pair.client.channel);
	assert_int_not_equal(
	    nacre_channel_request_exec(pair.client.session, channel, true, "ls"), 0);
	assert_false(nacre_session_next_event(pair.client.session, pair.now, &event));
	pair_free(&pair);
}

static void
expect_not_now(struct pair *pair)
{
	const size_t before = nacre_session_output(pair->client.session).length;
	uint32_t channel;

	assert_int_equal(nacre_channel_open_early(pair->client.session, "session", 0, &channel),
	    NACRE_ERROR_STATE);
	assert_int_equal(nacre_session_output(pair->client.session).length, before);
}

static void
test_only_behind_the_signed_request(void **state)
{
	struct pair pair;
	uint32_t channel;

	(void)state;
	pair_make(&pair);
	request_login(&pair);
	expect_not_now(&pair);
	pair_run(&pair);
	assert_int_equal(pair.client.authenticated, 1);
	expect_not_now(&pair);
	assert_int_equal(nacre_channel_open_session(pair.client.session, &channel), 0);
	assert_int_equal(nacre_channel_request_exec(pair.client.session, channel, true, "ls"),
	    NACRE_ERROR_STATE);
	pair_free(&pair);
}

/* The second request would be answered behind the channel. */
static void
test_not_with_two_requests(void **state)
{
	struct pair pair;

	(void)state;
	pair_make(&pair);
	request_login(&pair);
	nacre_auth_query_publickey(
	    pair.client.session, "ssh-ed25519", nacre_buffer_span(&pair.user_blob), NULL);
	while (pair_step(&pair)) {
		pair_events(&pair, &pair.client);
		expect_not_now(&pair);
	}
	pair_free(&pair);
}

static void
test_not_with_delayed_compression(void **state)
{
	struct pair pair;

	(void)state;
	pair_make(&pair);
	pair.client_options.compression = "zlib@openssh.com";
	request_login(&pair);
	while (pair_step(&pair)) {
		pair_events(&pair, &pair.client);
		expect_not_now(&pair);
	}
	assert_int_equal(pair.client.authenticated, 1);
	pair_free(&pair);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_success),
	    cmocka_unit_test(test_bytes_one_at_a_time),
	    cmocka_unit_test(test_refused_login),
	    cmocka_unit_test(test_premature_messages_are_bounded),
	    cmocka_unit_test(test_moved_with_unread_input),
	    cmocka_unit_test(test_another_number),
	    cmocka_unit_test(test_unimplemented),
	    cmocka_unit_test(test_only_behind_the_signed_request),
	    cmocka_unit_test(test_not_with_two_requests),
	    cmocka_unit_test(test_not_with_delayed_compression),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
