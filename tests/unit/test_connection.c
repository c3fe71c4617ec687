/* Channels between two ends without a transport, and against hostile peers. */
#include "fake_transport.h"

#include <connection/channel.h>

static const struct nacre_span nothing = {NULL, 0};
static uint8_t bulk[32 * 1024];

struct pair {
	struct end *client, *server;
};

static struct pair
pair_limited(uint32_t channel_limit, uint32_t window_limit)
{
	struct pair pair = {end_new(NACRE_CLIENT, channel_limit, window_limit),
	    end_new(NACRE_SERVER, channel_limit, window_limit)};

	userauth_set_done(pair.client->session.userauth);
	userauth_set_done(pair.server->session.userauth);
	return pair;
}

static struct pair
pair_new(void)
{
	return pair_limited(0, 0);
}

static void
pair_free(struct pair pair)
{
	end_free(pair.client);
	end_free(pair.server);
}

static void
assert_span(struct nacre_span span, const char *text)
{
	if (!nacre_span_equals(span, text))
		fail_msg("\"%.*s\" is not \"%s\"", (int)span.length, (const char *)span.data, text);
}

/* An open session channel; its number at the server is in *server_number (may be NULL). */
static uint32_t
open_channel(struct pair pair, uint32_t *server_number)
{
	struct nacre_event event;
	uint32_t number;

	assert_int_equal(nacre_channel_open_session(&pair.client->session, &number), 0);
	event = end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_OPEN);
	assert_span(event.u.channel_open.type, "session");
	assert_int_equal(nacre_channel_accept(&pair.server->session, event.channel), 0);
	if (server_number != NULL)
		*server_number = event.channel;
	event = end_expect(pair.client, pair.server, NACRE_EVENT_CHANNEL_OPENED);
	assert_int_equal(event.channel, number);
	return number;
}

static void
write_text(struct end *end, uint32_t channel, const char *text)
{
	assert_int_equal(
	    nacre_channel_write(&end->session, channel, NACRE_STREAM_DATA, nacre_span_of(text)),
	    strlen(text));
}

static void
expect_data(struct end *end, struct end *peer, uint32_t channel, const char *text)
{
	struct nacre_event event = end_expect(end, peer, NACRE_EVENT_CHANNEL_DATA);

	assert_int_equal(event.channel, channel);
	assert_span(nacre_channel_data(&end->session, channel, event.u.stream), text);
	assert_int_equal(
	    nacre_channel_consume(&end->session, channel, event.u.stream, strlen(text)), 0);
}

/* Opening ------------------------------------------------------------------------------------ */

static void
test_open_data_close(void **state)
{
	struct pair pair = pair_new();
	uint32_t remote, local = open_channel(pair, &remote);
	struct nacre_event event;
	int context;

	(void)state;
	nacre_channel_set_context(&pair.client->session, local, &context);
	write_text(pair.client, local, "ping");
	assert_int_equal(pair.client->transport.copied, 1); /* the CHANNEL_OPEN only */
	expect_data(pair.server, pair.client, remote, "ping");
	write_text(pair.server, remote, "pong");
	expect_data(pair.client, pair.server, local, "pong");
	assert_int_equal(nacre_channel_eof(&pair.client->session, local), 0);
	assert_int_equal(nacre_channel_eof(&pair.client->session, local), NACRE_ERROR_STATE);
	assert_int_equal(nacre_channel_write(&pair.client->session, local, NACRE_STREAM_DATA,
			     nacre_span_of("late")),
	    0);
	end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_EOF);
	assert_true(nacre_channel_at_eof(&pair.server->session, remote, true));
	assert_false(nacre_channel_at_eof(&pair.server->session, remote, false));
	write_text(pair.server, remote, "last");
	assert_int_equal(nacre_channel_close(&pair.server->session, remote), 0);
	expect_data(pair.client, pair.server, local, "last");
	event = end_expect(pair.client, pair.server, NACRE_EVENT_CHANNEL_CLOSED);
	assert_ptr_equal(nacre_channel_context(&pair.client->session, event.channel), &context);
	end_quiet(pair.client, pair.server);
	assert_null(nacre_channel_context(&pair.client->session, event.channel));
	end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_CLOSED);
	end_quiet(pair.server, pair.client);
	assert_int_equal(nacre_session_channel_count(&pair.client->session), 0);
	assert_int_equal(nacre_session_channel_count(&pair.server->session), 0);
	assert_true(connection_idle(pair.client->session.connection));
	pair_free(pair);
}

static void
test_open_before_authentication(void **state)
{
	struct end *client = end_new(NACRE_CLIENT, 0, 0);
	uint32_t channel;

	(void)state;
	assert_int_equal(nacre_channel_open_session(&client->session, &channel), NACRE_ERROR_STATE);
	assert_int_equal(end_sent(client), 0);
	end_free(client);
}

static void
test_refuse(void **state)
{
	struct pair pair = pair_new();
	struct nacre_event event;
	uint32_t number;

	(void)state;
	nacre_channel_open_direct_tcpip(
	    &pair.client->session, "db.example", 5432, "127.0.0.1", 40000, &number);
	event = end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_OPEN);
	assert_span(event.u.channel_open.type, "direct-tcpip");
	assert_int_equal(event.u.channel_open.payload.length, 4 + 10 + 4 + 4 + 9 + 4);
	assert_int_equal(nacre_channel_request_shell(&pair.server->session, event.channel, false),
	    NACRE_ERROR_STATE);
	nacre_channel_refuse(&pair.server->session, event.channel, NACRE_OPEN_CONNECT_FAILED, "no");
	assert_int_equal(
	    nacre_channel_accept(&pair.server->session, event.channel), NACRE_ERROR_NOT_FOUND);
	event = end_expect(pair.client, pair.server, NACRE_EVENT_CHANNEL_REFUSED);
	assert_int_equal(event.channel, number);
	assert_int_equal(event.u.refused.reason, NACRE_OPEN_CONNECT_FAILED);
	assert_span(event.u.refused.text, "no");
	end_quiet(pair.client, pair.server);
	assert_int_equal(nacre_session_channel_count(&pair.client->session), 0);
	pair_free(pair);
}

static void
test_channel_limit(void **state)
{
	struct pair pair = pair_limited(2, 0);
	struct nacre_event event;
	uint32_t number;

	(void)state;
	open_channel(pair, NULL);
	number = open_channel(pair, NULL);
	nacre_channel_open_session(&pair.client->session, &number);
	end_quiet(pair.server, pair.client);
	event = end_expect(pair.client, pair.server, NACRE_EVENT_CHANNEL_REFUSED);
	assert_int_equal(event.u.refused.reason, NACRE_OPEN_RESOURCE_SHORTAGE);
	pair_free(pair);
}

/* Closed while the open is under way, or never answered by data. */
static void
test_close_while_opening(void **state)
{
	struct pair pair = pair_new();
	struct nacre_event event;
	uint32_t number;

	(void)state;
	nacre_channel_open_session(&pair.client->session, &number);
	assert_int_equal(nacre_channel_close(&pair.client->session, number), 0);
	event = end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_OPEN);
	assert_int_equal(
	    nacre_channel_close(&pair.server->session, event.channel), NACRE_ERROR_STATE);
	nacre_channel_accept(&pair.server->session, event.channel);
	end_quiet(pair.client, pair.server); /* sends CLOSE */
	end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_CLOSED);
	end_expect(pair.client, pair.server, NACRE_EVENT_CHANNEL_CLOSED);
	nacre_channel_open_session(&pair.client->session, &number);
	nacre_channel_close(&pair.client->session, number);
	event = end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_OPEN);
	nacre_channel_refuse(&pair.server->session, event.channel, NACRE_OPEN_CONNECT_FAILED, "");
	end_expect(pair.client, pair.server, NACRE_EVENT_CHANNEL_CLOSED);
	end_quiet(pair.client, pair.server);
	pair_free(pair);
}

/* dropbear's client must be told something a little after its CLOSE when that answers ours. */
static void
test_close_of_dropbear(void **state)
{
	static const struct {
		const char *software;
		bool server_first;
		unsigned ignores;
	} cases[] = {
	    {"dropbear_", true, 1},
	    {"dropbear_", false, 0},
	    {NULL, true, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pair pair = pair_new();
		struct transport *const transport = &pair.server->transport;
		uint32_t remote, local = open_channel(pair, &remote);

		transport->peer_software = cases[i].software;
		if (cases[i].server_first)
			nacre_channel_close(&pair.server->session, remote);
		nacre_channel_close(&pair.client->session, local);
		end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_CLOSED);
		end_quiet(pair.server, pair.client);
		assert_int_equal(transport->ignores, 0);
		if (cases[i].ignores == 0)
			assert_true(
			    connection_deadline(pair.server->session.connection) == UINT64_MAX);
		transport->now += 1000;
		end_quiet(pair.server, pair.client);
		assert_int_equal(transport->ignores, cases[i].ignores);
		transport->now += 1000;
		end_quiet(pair.server, pair.client);
		assert_int_equal(transport->ignores, cases[i].ignores);
		pair_free(pair);
	}
}

static void
test_numbers_are_reused_only_after_closed(void **state)
{
	struct pair pair = pair_new();
	uint32_t first = open_channel(pair, NULL), second;

	(void)state;
	nacre_channel_close(&pair.client->session, first);
	nacre_channel_open_session(&pair.client->session, &second);
	assert_int_not_equal(first, second);
	end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_CLOSED);
	end_expect(pair.client, pair.server, NACRE_EVENT_CHANNEL_CLOSED);
	nacre_channel_open_session(&pair.client->session, &second);
	assert_int_not_equal(first, second); /* the event may still be looked at */
	end_quiet(pair.client, pair.server);
	nacre_channel_open_session(&pair.client->session, &second);
	assert_int_equal(first, second);
	pair_free(pair);
}

static void
test_thousand_channels(void **state)
{
	struct pair pair = pair_new();
	uint32_t numbers[1000];

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		numbers[i] = open_channel(pair, NULL);
	/* All windows have their bound, but for the least that each channel needs. */
	assert_true(pair.server->session.connection->granted <=
		    (uint64_t)64 * 1024 * 1024 + 1000 * 32 * 1024);
	for (size_t i = 0; i < 1000; i++)
		nacre_channel_close(&pair.client->session, numbers[i]);
	for (size_t i = 0; i < 1000; i++)
		end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_CLOSED);
	for (size_t i = 0; i < 1000; i++)
		end_expect(pair.client, pair.server, NACRE_EVENT_CHANNEL_CLOSED);
	end_quiet(pair.client, pair.server);
	assert_true(connection_idle(pair.client->session.connection));
	assert_int_equal(pair.client->session.connection->granted, 0);
	pair_free(pair);
}

/* Data --------------------------------------------------------------------------------------- */

static void
test_unread_data_is_kept(void **state)
{
	struct pair pair = pair_new();
	uint32_t remote, local = open_channel(pair, &remote);

	(void)state;
	write_text(pair.client, local, "one ");
	write_text(pair.client, local, "two ");
	write_text(pair.client, local, "three");
	nacre_channel_eof(&pair.client->session, local);
	nacre_channel_close(&pair.client->session, local);
	end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_DATA);
	assert_int_equal(
	    nacre_channel_consume(&pair.server->session, remote, NACRE_STREAM_DATA, 2), 0);
	end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_DATA);
	assert_span(nacre_channel_data(&pair.server->session, remote, NACRE_STREAM_DATA), "e two ");
	end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_DATA);
	end_quiet(pair.server, pair.client); /* no EOF before all was read */
	assert_int_equal(pair.server->session.connection->unread, 11);
	assert_span(
	    nacre_channel_data(&pair.server->session, remote, NACRE_STREAM_DATA), "e two three");
	assert_int_equal(
	    nacre_channel_consume(&pair.server->session, remote, NACRE_STREAM_DATA, 12),
	    NACRE_ERROR_ARGUMENT);
	assert_int_equal(
	    nacre_channel_consume(&pair.server->session, remote, NACRE_STREAM_DATA, 11), 0);
	end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_EOF);
	end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_CLOSED);
	end_quiet(pair.server, pair.client);
	pair_free(pair);
}

static void
test_two_streams(void **state)
{
	struct pair pair = pair_new();
	uint32_t remote, local = open_channel(pair, &remote);
	struct nacre_event event;

	(void)state;
	write_text(pair.server, remote, "out");
	assert_int_equal(nacre_channel_write(&pair.server->session, remote, NACRE_STREAM_STDERR,
			     nacre_span_of("err")),
	    3);
	event = end_expect(pair.client, pair.server, NACRE_EVENT_CHANNEL_DATA);
	assert_int_equal(event.u.stream, NACRE_STREAM_DATA);
	event = end_expect(pair.client, pair.server, NACRE_EVENT_CHANNEL_DATA);
	assert_int_equal(event.u.stream, NACRE_STREAM_STDERR);
	assert_span(nacre_channel_data(&pair.client->session, local, NACRE_STREAM_STDERR), "err");
	assert_span(nacre_channel_data(&pair.client->session, local, NACRE_STREAM_DATA), "out");
	/* A server has no use for the client's: it passes. */
	nacre_channel_write(
	    &pair.client->session, local, NACRE_STREAM_STDERR, nacre_span_of("err"));
	end_quiet(pair.server, pair.client);
	assert_int_equal(pair.server->session.connection->unread, 0);
	pair_free(pair);
}

static void
test_discard(void **state)
{
	struct pair pair = pair_new();
	uint32_t remote, local = open_channel(pair, &remote);
	struct nacre_span data = {bulk, sizeof bulk};
	size_t sent = 0;

	(void)state;
	write_text(pair.client, local, "unread");
	end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_DATA);
	assert_int_equal(nacre_channel_discard(&pair.server->session, remote), 0);
	for (int i = 0; i < 300; i++) { /* several windows */
		sent += nacre_channel_write(&pair.client->session, local, NACRE_STREAM_DATA, data);
		end_quiet(pair.server, pair.client);
		end_quiet(pair.client, pair.server);
	}
	assert_int_equal(sent, 300 * sizeof bulk);
	nacre_channel_eof(&pair.client->session, local);
	end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_EOF);
	pair_free(pair);
}

static void
test_compressed(void **state)
{
	struct pair pair = pair_new();
	uint32_t remote, local = open_channel(pair, &remote);
	size_t length;
	uint8_t *room;

	(void)state;
	pair.client->transport.compresses = true;
	write_text(pair.client, local, "copied");
	expect_data(pair.server, pair.client, remote, "copied");
	room = nacre_channel_room(&pair.client->session, local, NACRE_STREAM_DATA, &length);
	assert_non_null(room);
	assert_int_equal(nacre_channel_commit(&pair.client->session, local, 0), 0);
	assert_int_equal(end_sent(pair.client), 0);
	pair_free(pair);
}

/* Flow control ------------------------------------------------------------------------------- */

/* Sends until there is no room; returns how much went. */
static size_t
fill(struct end *end, uint32_t channel)
{
	struct nacre_span data = {bulk, sizeof bulk};
	size_t sent = 0, once;

	while ((once = nacre_channel_write(&end->session, channel, NACRE_STREAM_DATA, data)) > 0)
		sent += once;
	return sent;
}

static size_t
consume_all(struct end *end, struct end *peer, uint32_t channel)
{
	struct nacre_event event;
	size_t length = 0, once;

	while (end_next(end, peer, &event))
		assert_int_equal(event.kind, NACRE_EVENT_CHANNEL_DATA);
	while ((once = nacre_channel_data(&end->session, channel, NACRE_STREAM_DATA).length) > 0) {
		nacre_channel_consume(&end->session, channel, NACRE_STREAM_DATA, once);
		length += once;
	}
	return length;
}

static void
test_window_is_obeyed_and_reopened(void **state)
{
	struct pair pair = pair_limited(0, 1024 * 1024);
	uint32_t remote, local = open_channel(pair, &remote);
	struct nacre_event event;
	size_t sent, length;

	(void)state;
	sent = fill(pair.client, local);
	assert_int_equal(sent, 32 * 1024); /* one part in 32 of all windows, 1 MiB */
	assert_int_equal(nacre_channel_send_window(&pair.client->session, local), 0);
	assert_null(nacre_channel_room(&pair.client->session, local, NACRE_STREAM_DATA, &length));
	end_quiet(pair.client, pair.server); /* not writable */
	assert_int_equal(consume_all(pair.server, pair.client, remote), sent);
	assert_true(end_sent(pair.server) > 0);
	event = end_expect(pair.client, pair.server, NACRE_EVENT_CHANNEL_WRITABLE);
	assert_int_equal(event.channel, local);
	end_quiet(pair.client, pair.server); /* once */
	assert_non_null(
	    nacre_channel_room(&pair.client->session, local, NACRE_STREAM_DATA, &length));
	nacre_channel_commit(&pair.client->session, local, 0);
	pair_free(pair);
}

static void
test_writable_after_output_drained(void **state)
{
	struct pair pair = pair_new();
	uint32_t first = open_channel(pair, NULL), second = open_channel(pair, NULL);
	struct nacre_event event;
	size_t length;

	(void)state;
	pair.client->transport.full = true;
	assert_null(nacre_channel_room(&pair.client->session, first, NACRE_STREAM_DATA, &length));
	assert_int_equal(length, 0);
	assert_null(nacre_channel_room(&pair.client->session, second, NACRE_STREAM_DATA, &length));
	end_quiet(pair.client, pair.server);
	pair.client->transport.full = false;
	event = end_expect(pair.client, pair.server, NACRE_EVENT_CHANNEL_WRITABLE);
	assert_int_equal(event.channel, first);
	/* The first takes all there is; the second is not forgotten. */
	pair.client->transport.full = true;
	end_quiet(pair.client, pair.server);
	pair.client->transport.full = false;
	event = end_expect(pair.client, pair.server, NACRE_EVENT_CHANNEL_WRITABLE);
	assert_int_equal(event.channel, second);
	end_quiet(pair.client, pair.server);
	pair_free(pair);
}

/* A transfer of "rounds" round trips of "milliseconds": bytes delivered in each are what the
 * window allows. Returns the window in the end, and the adjustments in *adjustments. */
static uint32_t
transfer_on(struct pair pair, uint32_t local, uint32_t remote, int rounds, uint32_t milliseconds,
    size_t per_round, size_t *adjustments)
{
	struct nacre_event event;

	pair.server->transport.round_trip = milliseconds;
	*adjustments = 0;
	for (int i = 0; i < rounds; i++) {
		struct nacre_span data = {bulk, sizeof bulk};
		size_t sent = 0;

		while (sent < per_round && nacre_channel_write(&pair.client->session, local,
					       NACRE_STREAM_DATA, data) > 0) {
			sent += sizeof bulk;
			while (end_next(pair.server, pair.client, &event))
				nacre_channel_consume(&pair.server->session, remote,
				    NACRE_STREAM_DATA,
				    nacre_channel_data(
					&pair.server->session, remote, NACRE_STREAM_DATA)
					.length);
		}
		*adjustments += end_sent(pair.server);
		while (end_next(pair.client, pair.server, &event))
			assert_int_equal(event.kind, NACRE_EVENT_CHANNEL_WRITABLE);
		pair.server->transport.now += milliseconds;
	}
	return channel_find(pair.server->session.connection, remote)->window_size;
}

static uint32_t
transfer(struct pair pair, int rounds, uint32_t milliseconds, size_t per_round, size_t *adjustments)
{
	uint32_t remote, local = open_channel(pair, &remote);

	return transfer_on(pair, local, remote, rounds, milliseconds, per_round, adjustments);
}

static void
test_window_follows_the_path(void **state)
{
	struct pair pair = pair_new();
	size_t adjustments;
	uint32_t window;

	(void)state;
	/* As much as the window takes: it becomes the largest. */
	window = transfer(pair, 10, 50, SIZE_MAX, &adjustments);
	assert_int_equal(window, 64 * 1024 * 1024);
	pair_free(pair);
	/* 4 MiB a round trip: several times that, and no more. */
	pair = pair_new();
	window = transfer(pair, 40, 50, 4 * 1024 * 1024, &adjustments);
	assert_in_range(window, 16 * 1024 * 1024, 32 * 1024 * 1024);
	assert_in_range(adjustments, 20, 160); /* for 160 MiB */
	pair_free(pair);
	/* A trickle changes nothing. */
	pair = pair_new();
	window = transfer(pair, 100, 50, 32 * 1024, &adjustments);
	assert_int_equal(window, 2 * 1024 * 1024);
	pair_free(pair);
}

static void
test_slow_program_keeps_the_window_small(void **state)
{
	struct pair pair = pair_new();
	uint32_t remote, local = open_channel(pair, &remote);

	(void)state;
	for (int i = 0; i < 20; i++) {
		fill(pair.client, local);
		pair.server->transport.now += 50;
		assert_true(consume_all(pair.server, pair.client, remote) <= 4 * 1024 * 1024);
	}
	assert_in_range(
	    channel_find(pair.server->session.connection, remote)->window_size, 1, 8 * 1024 * 1024);
	pair_free(pair);
}

/* A program that was fast and becomes slow: what waits for it becomes less, and it never waits. */
static void
test_window_follows_the_program(void **state)
{
	struct pair pair = pair_new();
	uint32_t remote, local = open_channel(pair, &remote);
	const struct channel *channel = channel_find(pair.server->session.connection, remote);
	struct nacre_session *server = &pair.server->session;
	struct nacre_event event;
	size_t adjustments;

	(void)state;
	assert_int_equal(
	    transfer_on(pair, local, remote, 10, 50, SIZE_MAX, &adjustments), 64 * 1024 * 1024);
	/* From now on it takes 256 KiB in a round trip. */
	for (int i = 0; i < 400; i++) {
		size_t taken = 0;
		fill(pair.client, local);
		while (end_next(pair.server, pair.client, &event))
			assert_int_equal(event.kind, NACRE_EVENT_CHANNEL_DATA);
		pair.server->transport.now += 50;
		while (taken < (size_t)256 * 1024) {
			struct nacre_span data =
			    nacre_channel_data(server, remote, NACRE_STREAM_DATA);
			size_t length = data.length < 32768 ? data.length : 32768;
			assert_true(length > 0);
			nacre_channel_consume(server, remote, NACRE_STREAM_DATA, length);
			taken += length;
		}
		while (end_next(pair.client, pair.server, &event))
			assert_int_equal(event.kind, NACRE_EVENT_CHANNEL_WRITABLE);
	}
	assert_int_equal(channel->window_size, 2 * 1024 * 1024);
	assert_true(channel->unread <= 2 * 1024 * 1024);
	assert_int_equal(pair.server->session.connection->granted, channel->window_size);
	pair_free(pair);
}

static void
test_session_windows_are_bounded(void **state)
{
	struct pair pair = pair_limited(0, 1024 * 1024);
	size_t adjustments;

	(void)state;
	for (int i = 0; i < 20; i++)
		transfer(pair, 10, 50, SIZE_MAX, &adjustments);
	/* Whoever comes late gets the least window that works. */
	assert_true(pair.server->session.connection->granted <= 1024 * 1024 + 20 * 32 * 1024);
	pair_free(pair);
}

static void
test_peer_maximum_packet(void **state)
{
	struct pair pair = pair_new();
	struct nacre_buffer message = {0};
	struct nacre_event event;
	uint32_t number;
	size_t length;

	(void)state;
	nacre_channel_open_session(&pair.client->session, &number);
	nacre_put_byte(&message, 91);
	nacre_put_u32(&message, number);
	nacre_put_u32(&message, 7);
	nacre_put_u32(&message, 1000000);
	nacre_put_u32(&message, 100);
	assert_int_equal(end_receive(pair.client, nacre_buffer_span(&message), &event), 1);
	assert_non_null(
	    nacre_channel_room(&pair.client->session, number, NACRE_STREAM_DATA, &length));
	assert_int_equal(length, 100);
	assert_int_equal(
	    nacre_channel_commit(&pair.client->session, number, 101), NACRE_ERROR_ARGUMENT);
	assert_int_equal(nacre_channel_commit(&pair.client->session, number, 100), 0);
	assert_int_equal(nacre_channel_commit(&pair.client->session, number, 0), NACRE_ERROR_STATE);
	nacre_buffer_free(&message);
	pair_free(pair);
}

/* Requests ----------------------------------------------------------------------------------- */

static struct nacre_event
expect_request(struct pair pair, enum nacre_request_kind kind, bool want_reply)
{
	struct nacre_event event =
	    end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_REQUEST);

	assert_int_equal(event.u.channel_request.kind, kind);
	assert_true(event.u.channel_request.want_reply == want_reply);
	return event;
}

static void
test_typed_requests(void **state)
{
	struct pair pair = pair_new();
	struct nacre_session *client = &pair.client->session;
	struct nacre_window_size size = {80, 24, 640, 480};
	uint32_t channel = open_channel(pair, NULL);
	struct nacre_event event;

	(void)state;
	nacre_channel_request_pty(client, channel, false, "xterm", &size, nacre_span_of("modes"));
	event = expect_request(pair, NACRE_REQUEST_PTY, false);
	assert_span(event.u.channel_request.pty.term, "xterm");
	assert_span(event.u.channel_request.pty.modes, "modes");
	assert_memory_equal(&event.u.channel_request.pty.size, &size, sizeof size);
	nacre_channel_request_env(client, channel, "LANG", "C");
	event = expect_request(pair, NACRE_REQUEST_ENV, false);
	assert_span(event.u.channel_request.env.name, "LANG");
	assert_span(event.u.channel_request.env.value, "C");
	nacre_channel_request_shell(client, channel, true);
	expect_request(pair, NACRE_REQUEST_SHELL, true);
	nacre_channel_request_exec(client, channel, true, "ls -l");
	event = expect_request(pair, NACRE_REQUEST_EXEC, true);
	assert_span(event.u.channel_request.text, "ls -l");
	nacre_channel_request_subsystem(client, channel, false, "sftp");
	event = expect_request(pair, NACRE_REQUEST_SUBSYSTEM, false);
	assert_span(event.u.channel_request.text, "sftp");
	nacre_channel_request_window_change(client, channel, &size);
	event = expect_request(pair, NACRE_REQUEST_WINDOW_CHANGE, false);
	assert_memory_equal(&event.u.channel_request.window, &size, sizeof size);
	nacre_channel_request_signal(client, channel, "TERM");
	event = expect_request(pair, NACRE_REQUEST_SIGNAL, false);
	assert_span(event.u.channel_request.text, "TERM");
	nacre_channel_request_break(client, channel, false, 500);
	event = expect_request(pair, NACRE_REQUEST_BREAK, false);
	assert_int_equal(event.u.channel_request.break_length, 500);
	nacre_channel_request_exit_status(client, channel, 3);
	event = expect_request(pair, NACRE_REQUEST_EXIT_STATUS, false);
	assert_int_equal(event.u.channel_request.exit_status, 3);
	nacre_channel_request_exit_signal(client, channel, "SEGV", true, "oops");
	event = expect_request(pair, NACRE_REQUEST_EXIT_SIGNAL, false);
	assert_span(event.u.channel_request.exit_signal.name, "SEGV");
	assert_true(event.u.channel_request.exit_signal.core_dumped);
	assert_span(event.u.channel_request.exit_signal.message, "oops");
	nacre_channel_request_agent(client, channel, false);
	expect_request(pair, NACRE_REQUEST_AGENT, false);
	nacre_channel_request_eow(client, channel);
	expect_request(pair, NACRE_REQUEST_EOW, false);
	nacre_channel_request(client, channel, "keepalive@openssh.com", true, nothing);
	expect_request(pair, NACRE_REQUEST_KEEPALIVE, true);
	nacre_channel_request(client, channel, "x@example", true, nacre_span_of("payload"));
	event = expect_request(pair, NACRE_REQUEST_OTHER, true);
	assert_span(event.u.channel_request.name, "x@example");
	assert_span(event.u.channel_request.payload, "payload");
	pair_free(pair);
}

static void
test_request_replies(void **state)
{
	struct pair pair = pair_new();
	uint32_t remote, local = open_channel(pair, &remote);

	(void)state;
	nacre_channel_request_shell(&pair.client->session, local, true);
	nacre_channel_request_shell(&pair.client->session, local, false);
	nacre_channel_request_shell(&pair.client->session, local, true);
	for (int i = 0; i < 3; i++)
		end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_REQUEST);
	assert_int_equal(nacre_channel_request_reply(&pair.server->session, remote, true), 0);
	assert_int_equal(nacre_channel_request_reply(&pair.server->session, remote, false), 0);
	assert_int_equal(
	    nacre_channel_request_reply(&pair.server->session, remote, false), NACRE_ERROR_STATE);
	assert_true(end_expect(pair.client, pair.server, NACRE_EVENT_CHANNEL_REPLY)
			.u.channel_reply.success);
	assert_false(end_expect(pair.client, pair.server, NACRE_EVENT_CHANNEL_REPLY)
			 .u.channel_reply.success);
	end_quiet(pair.client, pair.server);
	pair_free(pair);
}

static void
test_global_requests(void **state)
{
	struct pair pair = pair_new();
	struct nacre_event event;

	(void)state;
	nacre_global_request(&pair.client->session, "x@example", true, nacre_span_of("payload"));
	nacre_global_request(&pair.client->session, "keepalive@openssh.com", true, nothing);
	event = end_expect(pair.server, pair.client, NACRE_EVENT_GLOBAL_REQUEST);
	assert_span(event.u.global_request.name, "x@example");
	assert_int_equal(event.u.global_request.kind, NACRE_GLOBAL_OTHER);
	assert_span(event.u.global_request.payload, "payload");
	end_expect(pair.server, pair.client, NACRE_EVENT_GLOBAL_REQUEST);
	nacre_global_request_reply(&pair.server->session, true, nacre_span_of("port"));
	nacre_global_request_reply(&pair.server->session, false, nothing);
	assert_int_equal(
	    nacre_global_request_reply(&pair.server->session, false, nothing), NACRE_ERROR_STATE);
	event = end_expect(pair.client, pair.server, NACRE_EVENT_GLOBAL_REPLY);
	assert_true(event.u.global_reply.success);
	assert_span(event.u.global_reply.payload, "port");
	event = end_expect(pair.client, pair.server, NACRE_EVENT_GLOBAL_REPLY);
	assert_false(event.u.global_reply.success);
	pair_free(pair);
}

/* One of each request about forwarding, as the other side sees it. */
static void
test_forwarding_requests(void **state)
{
	struct pair pair = pair_new();
	static const enum nacre_global_kind kinds[] = {NACRE_GLOBAL_TCPIP_FORWARD,
	    NACRE_GLOBAL_CANCEL_TCPIP_FORWARD, NACRE_GLOBAL_STREAMLOCAL_FORWARD,
	    NACRE_GLOBAL_CANCEL_STREAMLOCAL_FORWARD};
	struct nacre_session *client = &pair.client->session;

	(void)state;
	nacre_global_tcpip_forward(client, "localhost", 8080);
	nacre_global_cancel_tcpip_forward(client, "localhost", 8080);
	nacre_global_streamlocal_forward(client, "/run/socket");
	nacre_global_cancel_streamlocal_forward(client, "/run/socket");
	for (size_t i = 0; i < 4; i++) {
		struct nacre_event event =
		    end_expect(pair.server, pair.client, NACRE_EVENT_GLOBAL_REQUEST);
		assert_int_equal(event.u.global_request.kind, kinds[i]);
		assert_true(event.u.global_request.want_reply);
		assert_span(event.u.global_request.host, i < 2 ? "localhost" : "/run/socket");
		assert_int_equal(event.u.global_request.port, i < 2 ? 8080 : 0);
	}
	pair_free(pair);
}

static struct nacre_event
expect_open(struct end *end, struct end *peer, enum nacre_channel_kind kind, const char *host,
    uint32_t port)
{
	struct nacre_event event = end_expect(end, peer, NACRE_EVENT_CHANNEL_OPEN);

	assert_int_equal(event.u.channel_open.kind, kind);
	assert_span(event.u.channel_open.host, host);
	assert_int_equal(event.u.channel_open.port, port);
	return event;
}

/* One of each type of forwarded channel, as the other side sees it. */
static void
test_forwarding_channels(void **state)
{
	struct pair pair = pair_new();
	struct nacre_session *client = &pair.client->session, *server = &pair.server->session;
	struct nacre_event event;
	uint32_t number;

	(void)state;
	nacre_channel_open_direct_tcpip(client, "db", 5432, "127.0.0.1", 40000, &number);
	event = expect_open(pair.server, pair.client, NACRE_CHANNEL_DIRECT_TCPIP, "db", 5432);
	assert_span(event.u.channel_open.originator, "127.0.0.1");
	assert_int_equal(event.u.channel_open.originator_port, 40000);
	nacre_channel_open_direct_streamlocal(client, "/run/db", &number);
	expect_open(pair.server, pair.client, NACRE_CHANNEL_DIRECT_STREAMLOCAL, "/run/db", 0);
	nacre_channel_open_tunnel(client, NACRE_TUNNEL_MODE_FRAMES, NACRE_TUNNEL_UNIT_ANY, &number);
	event = expect_open(pair.server, pair.client, NACRE_CHANNEL_TUNNEL, "", 0);
	assert_int_equal(event.u.channel_open.tunnel.mode, NACRE_TUNNEL_MODE_FRAMES);
	assert_int_equal(event.u.channel_open.tunnel.unit, NACRE_TUNNEL_UNIT_ANY);
	nacre_channel_open_forwarded_tcpip(server, "localhost", 8080, "::1", 40001, &number);
	event =
	    expect_open(pair.client, pair.server, NACRE_CHANNEL_FORWARDED_TCPIP, "localhost", 8080);
	assert_span(event.u.channel_open.originator, "::1");
	nacre_channel_open_forwarded_streamlocal(server, "/run/s", &number);
	expect_open(pair.client, pair.server, NACRE_CHANNEL_FORWARDED_STREAMLOCAL, "/run/s", 0);
	nacre_channel_open_x11(server, "127.0.0.1", 40002, &number);
	event = expect_open(pair.client, pair.server, NACRE_CHANNEL_X11, "", 0);
	assert_int_equal(event.u.channel_open.originator_port, 40002);
	nacre_channel_open_agent(server, &number);
	expect_open(pair.client, pair.server, NACRE_CHANNEL_AGENT, "", 0);
	pair_free(pair);
}

static void
test_no_more_sessions(void **state)
{
	struct pair pair = pair_new();
	struct nacre_event event;
	uint32_t number;

	(void)state;
	open_channel(pair, NULL);
	assert_int_equal(nacre_session_no_more_sessions(&pair.client->session), 0);
	nacre_channel_open_direct_tcpip(&pair.client->session, "h", 1, "o", 2, &number);
	end_expect(pair.server, pair.client, NACRE_EVENT_CHANNEL_OPEN);
	nacre_channel_open_session(&pair.client->session, &number);
	assert_false(end_next(pair.server, pair.client, &event));
	assert_non_null(strstr(pair.server->transport.text, "additional sessions disabled"));
	pair_free(pair);
}

/* Hostile peers ------------------------------------------------------------------------------ */

/* The beginning of a message for a channel. */
static struct nacre_buffer
message_for(uint8_t type, uint32_t channel)
{
	struct nacre_buffer message = {0};

	nacre_put_byte(&message, type);
	nacre_put_u32(&message, channel);
	return message;
}

/* The server, with one open channel whose number is 0, must refuse "message". */
static void
server_fails(struct nacre_buffer message, const char *text)
{
	struct pair pair = pair_new();
	uint32_t remote;

	open_channel(pair, &remote);
	assert_int_equal(remote, 0);
	end_expect_failure(pair.server, &message, text);
	assert_int_equal(pair.server->transport.reason, NACRE_DISCONNECT_PROTOCOL_ERROR);
	nacre_buffer_free(&message);
	pair_free(pair);
}

static void
test_unknown_channels(void **state)
{
	static const uint8_t types[] = {93, 94, 95, 96, 97, 98, 99, 100};

	(void)state;
	for (size_t i = 0; i < sizeof types; i++) {
		struct nacre_buffer message = message_for(types[i], 77);

		nacre_put_u32(&message, 0);
		nacre_put_u32(&message, 0);
		server_fails(message, "for channel 77: there is no such channel");
		message = message_for(types[i], UINT32_MAX);
		server_fails(message, "for channel 4294967295: there is no such channel");
		message = (struct nacre_buffer){0};
		nacre_put_byte(&message, types[i]);
		nacre_put_byte(&message, 0);
		server_fails(message, "malformed message CHANNEL_");
	}
	server_fails(message_for(91, 0), "CHANNEL_OPEN_CONFIRMATION for channel 0");
	server_fails(message_for(92, 0), "CHANNEL_OPEN_FAILURE for channel 0");
}

static void
test_data_rules(void **state)
{
	struct nacre_buffer message = message_for(94, 0);
	struct pair pair;
	uint32_t local;

	(void)state;
	nacre_put_u32(&message, 10);
	nacre_put_bytes(&message, "short", 5);
	server_fails(message, "malformed message CHANNEL_DATA");
	message = message_for(94, 0);
	nacre_put_cstring(&message, "data");
	nacre_put_byte(&message, 0);
	server_fails(message, "malformed message CHANNEL_DATA");
	message = message_for(94, 0);
	nacre_put_u32(&message, sizeof bulk + 1);
	nacre_put_bytes(&message, bulk, sizeof bulk);
	nacre_put_byte(&message, 0);
	server_fails(message, "CHANNEL_DATA for channel 0: it exceeds the maximum packet size");
	/* After EOF, and after CLOSE. */
	for (int close = 0; close < 2; close++) {
		pair = pair_new();
		local = open_channel(pair, NULL);
		if (close)
			nacre_channel_close(&pair.client->session, local);
		else
			nacre_channel_eof(&pair.client->session, local);
		message = message_for(94, 0);
		nacre_put_cstring(&message, "late");
		connection_settle(pair.server->session.connection);
		end_receive(pair.server, end_peek(pair.client), &(struct nacre_event){0});
		end_expect_failure(pair.server, &message, close ? "it is closed" : "after EOF");
		nacre_buffer_free(&message);
		pair_free(pair);
	}
}

static void
test_window_overrun(void **state)
{
	struct pair pair = pair_new();
	struct nacre_buffer message = message_for(94, 0);
	struct nacre_event event;

	(void)state;
	open_channel(pair, NULL);
	nacre_put_string(&message, bulk, sizeof bulk);
	for (int i = 0; i < 64; i++) /* 2 MiB */
		assert_int_equal(end_receive(pair.server, nacre_buffer_span(&message), &event), 1);
	end_expect_failure(
	    pair.server, &message, "CHANNEL_DATA for channel 0: it exceeds the window");
	nacre_buffer_free(&message);
	pair_free(pair);
}

static void
test_window_overflow(void **state)
{
	struct nacre_buffer message = message_for(93, 0);

	(void)state;
	nacre_put_u32(&message, UINT32_MAX);
	server_fails(message, "CHANNEL_WINDOW_ADJUST for channel 0: the window exceeds");
}

static void
test_replies_to_nothing(void **state)
{
	struct nacre_buffer message = {0};

	(void)state;
	server_fails(message_for(99, 0), "CHANNEL_SUCCESS for channel 0: there is no request");
	server_fails(message_for(100, 0), "CHANNEL_FAILURE for channel 0: there is no request");
	nacre_put_byte(&message, 81);
	server_fails(message, "REQUEST_SUCCESS: there is no request");
	message = (struct nacre_buffer){0};
	nacre_put_byte(&message, 82);
	server_fails(message, "REQUEST_FAILURE: there is no request");
}

static void
test_request_flood(void **state)
{
	struct pair pair = pair_new();
	struct nacre_buffer message = message_for(98, 0);
	struct nacre_event event;

	(void)state;
	open_channel(pair, NULL);
	nacre_put_cstring(&message, "x@example");
	nacre_put_boolean(&message, true);
	for (int i = 0; i < REQUESTS_UNANSWERED_MAX; i++)
		assert_int_equal(end_receive(pair.server, nacre_buffer_span(&message), &event), 1);
	end_expect_failure(pair.server, &message, "too many requests are unanswered");
	nacre_buffer_free(&message);
	pair_free(pair);
	pair = pair_new();
	nacre_put_byte(&message, 80);
	nacre_put_cstring(&message, "x@example");
	nacre_put_boolean(&message, true);
	for (int i = 0; i < REQUESTS_UNANSWERED_MAX; i++)
		assert_int_equal(end_receive(pair.server, nacre_buffer_span(&message), &event), 1);
	end_expect_failure(pair.server, &message, "too many requests are unanswered");
	nacre_buffer_free(&message);
	pair_free(pair);
}

static void
test_malformed_requests(void **state)
{
	static const char *const names[] = {"pty-req", "x11-req", "env", "exec", "subsystem",
	    "window-change", "signal", "break", "exit-status", "exit-signal"};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct nacre_buffer message = message_for(98, 0);

		nacre_put_cstring(&message, names[i]);
		nacre_put_boolean(&message, false);
		server_fails(message, names[i]); /* too short */
		message = message_for(98, 0);
		nacre_put_cstring(&message, names[i]);
		nacre_put_boolean(&message, false);
		for (int field = 0; field < 40; field++)
			nacre_put_u32(&message, 0);
		server_fails(message, names[i]); /* too long */
	}
}

static void
test_open_rules(void **state)
{
	struct nacre_buffer message = {0};

	(void)state;
	nacre_put_byte(&message, 90);
	nacre_put_cstring(&message, "session");
	nacre_put_u32(&message, 1);
	server_fails(message, "malformed message CHANNEL_OPEN");
	message = (struct nacre_buffer){0};
	nacre_put_byte(&message, 90);
	nacre_put_cstring(&message, "session");
	nacre_put_u32(&message, 1);
	nacre_put_u32(&message, 1);
	nacre_put_u32(&message, 0);
	server_fails(message, "maximum packet size is 0");
	message = message_for(96, 0);
	nacre_put_byte(&message, 0);
	server_fails(message, "malformed message CHANNEL_EOF");
	message = message_for(97, 0);
	nacre_put_byte(&message, 0);
	server_fails(message, "malformed message CHANNEL_CLOSE");
}

static void
test_unknown_message(void **state)
{
	struct pair pair = pair_new();
	struct nacre_event event;
	uint8_t message = 120;

	(void)state;
	assert_int_equal(end_receive(pair.server, (struct nacre_span){&message, 1}, &event), 0);
	assert_int_equal(pair.server->transport.unimplemented, 1);
	pair_free(pair);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_open_data_close),
	    cmocka_unit_test(test_open_before_authentication),
	    cmocka_unit_test(test_refuse),
	    cmocka_unit_test(test_channel_limit),
	    cmocka_unit_test(test_close_while_opening),
	    cmocka_unit_test(test_close_of_dropbear),
	    cmocka_unit_test(test_numbers_are_reused_only_after_closed),
	    cmocka_unit_test(test_thousand_channels),
	    cmocka_unit_test(test_unread_data_is_kept),
	    cmocka_unit_test(test_two_streams),
	    cmocka_unit_test(test_discard),
	    cmocka_unit_test(test_compressed),
	    cmocka_unit_test(test_window_is_obeyed_and_reopened),
	    cmocka_unit_test(test_writable_after_output_drained),
	    cmocka_unit_test(test_window_follows_the_path),
	    cmocka_unit_test(test_slow_program_keeps_the_window_small),
	    cmocka_unit_test(test_window_follows_the_program),
	    cmocka_unit_test(test_session_windows_are_bounded),
	    cmocka_unit_test(test_peer_maximum_packet),
	    cmocka_unit_test(test_typed_requests),
	    cmocka_unit_test(test_request_replies),
	    cmocka_unit_test(test_global_requests),
	    cmocka_unit_test(test_forwarding_requests),
	    cmocka_unit_test(test_forwarding_channels),
	    cmocka_unit_test(test_no_more_sessions),
	    cmocka_unit_test(test_unknown_channels),
	    cmocka_unit_test(test_data_rules),
	    cmocka_unit_test(test_window_overrun),
	    cmocka_unit_test(test_window_overflow),
	    cmocka_unit_test(test_replies_to_nothing),
	    cmocka_unit_test(test_request_flood),
	    cmocka_unit_test(test_malformed_requests),
	    cmocka_unit_test(test_open_rules),
	    cmocka_unit_test(test_unknown_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
