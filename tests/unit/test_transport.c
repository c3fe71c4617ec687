/*
 * The transport against peers that do not keep to the rules: identification, packets, messages out
 * of place, strict key exchange; and the lists of algorithms.
 */
#include "session_pair.h"

#include <connection/session.h>
#include <malloc.h>
#include <nacre/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <transport/state.h>

#include <cmocka.h>

static void
give(struct pair *pair, struct pair_side *side, const void *data, size_t length)
{
	const uint8_t *bytes = data;

	while (length > 0) {
		size_t room;
		uint8_t *place = nacre_session_input_room(side->session, &room);

		if (place == NULL)
			return;
		if (room > length)
			room = length;
		memcpy(place, bytes, room);
		nacre_session_received(side->session, room, pair->now);
		bytes += room;
		length -= room;
		pair_events(pair, side);
	}
}

static void
give_text(struct pair *pair, struct pair_side *side, const char *text)
{
	give(pair, side, text, strlen(text));
}

/* An unencrypted packet. */
static void
give_packet(struct pair *pair, struct pair_side *side, const void *payload, size_t length)
{
	size_t padding = 8 - (length + 5) % 8;
	struct nacre_buffer packet = {0};

	if (padding < 4)
		padding += 8;
	nacre_put_u32(&packet, (uint32_t)(length + padding + 1));
	nacre_put_byte(&packet, (uint8_t)padding);
	nacre_put_bytes(&packet, payload, length);
	while (padding-- > 0)
		nacre_put_byte(&packet, 0);
	give(pair, side, nacre_buffer_span(&packet).data, nacre_buffer_length(&packet));
	nacre_buffer_free(&packet);
}

/* A message sealed by the peer's transport. */
static void
give_message(struct pair *pair, bool to_server, const void *payload, size_t length)
{
	struct pair_side *from = to_server ? &pair->client : &pair->server;
	struct transport *transport = from->session->transport;
	const uint8_t *bytes = payload;

	nacre_put_bytes(transport_begin(transport, bytes[0]), bytes + 1, length - 1);
	assert_int_equal(transport_end(transport), 0);
	pair_run(pair);
}

static void
expect_end(struct pair_side *side, const char *text)
{
	if (side->disconnected != 1 || strstr(side->text, text) == NULL)
		fail_msg("ended %u times with '%s' instead of '%s'", side->disconnected, side->text,
		    text);
}

/* Identification ---------------------------------------------------------------------------- */

static void
client_gets(const char *lines, const char *end)
{
	struct pair pair;

	pair_init(&pair);
	pair_start(&pair);
	give_text(&pair, &pair.client, lines);
	if (end != NULL)
		expect_end(&pair.client, end);
	else
		assert_int_equal(pair.client.disconnected, 0);
	pair_free(&pair);
}

static void
identifications(void **state)
{
	char long_line[600];

	(void)state;
	client_gets("SSH-2.0-x\r\n", NULL);
	client_gets("SSH-2.0-x\n", NULL);
	client_gets("SSH-1.99-x comment here\r\n", NULL);
	client_gets("hello\r\n\r\nthis is a banner\nSSH-2.0-x\r\n", NULL);
	client_gets("SSH-1.5-old\r\n", "Protocol major versions differ: 2 vs. 1");
	client_gets("SSH-9.0-x\r\n", "Protocol major versions differ: 2 vs. 9");
	client_gets("SSH-x.0-x\r\n", "Bad remote protocol version identification: 'SSH-x.0-x'");
	client_gets("SSH-2.0-\x01\r\n", "invalid characters");
	memset(long_line, 'x', sizeof long_line);
	memcpy(long_line, "SSH-2.0-", 8);
	strcpy(long_line + sizeof long_line - 3, "\r\n");
	client_gets(long_line, "is longer than 255 characters");
}

static void
servers_take_no_preamble(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair_start(&pair);
	give_text(&pair, &pair.server, "GET / HTTP/1.1\r\n");
	expect_end(&pair.server, "client sent invalid protocol identifier \"GET / HTTP/1.1");
	pair_free(&pair);
	/* At the first wrong byte, not at the end of a line that never comes. */
	pair_init(&pair);
	pair_start(&pair);
	give_text(&pair, &pair.server, "\x16\x03\x01");
	expect_end(&pair.server, "banner line contains invalid characters");
	pair_free(&pair);
}

static void
preambles_are_bounded(void **state)
{
	struct pair pair;
	char long_line[9000];

	(void)state;
	pair_init(&pair);
	pair_start(&pair);
	for (int i = 0; i < 1024; i++)
		give_text(&pair, &pair.client, "line\r\n");
	assert_int_equal(pair.client.disconnected, 0);
	give_text(&pair, &pair.client, "line\r\n");
	expect_end(&pair.client, "No SSH identification string received in the first 1024 lines");
	pair_free(&pair);
	pair_init(&pair);
	pair_start(&pair);
	memset(long_line, 'y', sizeof long_line);
	give(&pair, &pair.client, long_line, sizeof long_line);
	expect_end(&pair.client, "too long");
	pair_free(&pair);
}

static void
output_is_there_at_once(void **state)
{
	struct nacre_span output;
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair.client_options.software = "Test_1";
	pair.client_options.version_addendum = "more";
	pair_start(&pair);
	output = nacre_session_output(pair.client.session);
	assert_true(output.length > 500);
	assert_memory_equal(output.data, "SSH-2.0-Test_1 more\r\n", 21);
	output = nacre_session_output(pair.server.session);
	assert_true(output.length > 300);
	pair_free(&pair);
}

/* Packets ----------------------------------------------------------------------------------- */

static void
packet_lengths_are_checked(void **state)
{
	static const uint8_t lengths[][8] = {{0, 0, 0, 0, 4}, {0, 0, 0, 5, 4}, {0, 1, 0, 4, 4},
	    {0xff, 0xff, 0xff, 0xfc, 4}, {0, 0, 0, 13, 4}, {0x80, 0, 0, 4, 4}};

	(void)state;
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		struct pair pair;

		pair_init(&pair);
		pair_start(&pair);
		give_text(&pair, &pair.server, "SSH-2.0-x\r\n");
		give(&pair, &pair.server, lengths[i], 8);
		expect_end(&pair.server, "Bad packet length");
		pair_free(&pair);
	}
}

static void
padding_is_checked(void **state)
{
	static const uint8_t packets[][16] = {
	    {0, 0, 0, 12, 3, 2}, {0, 0, 0, 12, 12, 2}, {0, 0, 0, 12, 255, 2}};
	static const uint8_t empty[16] = {0, 0, 0, 12, 11};
	struct pair pair;

	(void)state;
	for (size_t i = 0; i < sizeof packets / sizeof packets[0]; i++) {
		pair_init(&pair);
		pair_start(&pair);
		give_text(&pair, &pair.server, "SSH-2.0-x\r\n");
		give(&pair, &pair.server, packets[i], 16);
		expect_end(&pair.server, "Corrupted padlen");
		pair_free(&pair);
	}
	pair_init(&pair);
	pair_start(&pair);
	give_text(&pair, &pair.server, "SSH-2.0-x\r\n");
	give(&pair, &pair.server, empty, 16);
	expect_end(&pair.server, "packet without a message type");
	pair_free(&pair);
}

static void
truncation_is_an_end(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair_start(&pair);
	give_text(&pair, &pair.client, "SSH-2.0-x\r\n\0\0\0\1");
	nacre_session_received(pair.client.session, 0, pair.now);
	pair_events(&pair, &pair.client);
	expect_end(&pair.client, "Connection closed by remote host");
	assert_true(pair.client.ended_by_peer);
	assert_int_equal(pair.client.error, NACRE_ERROR_CLOSED);
	pair_free(&pair);
}

/* Messages out of place --------------------------------------------------------------------- */

/* The server's first flight with an IGNORE in front of its KEXINIT: the Terrapin attack's start. */
static void
strict_exchange_begins_with_kexinit(void **state)
{
	static const uint8_t ignore[] = {2, 0, 0, 0, 0};
	struct nacre_span flight;
	struct pair pair;
	size_t line;

	(void)state;
	pair_init(&pair);
	pair_start(&pair);
	flight = nacre_session_output(pair.server.session);
	line =
	    (size_t)((const uint8_t *)memchr(flight.data, '\n', flight.length) - flight.data) + 1;
	give(&pair, &pair.client, flight.data, line);
	give_packet(&pair, &pair.client, ignore, sizeof ignore);
	give(&pair, &pair.client, flight.data + line, flight.length - line);
	expect_end(&pair.client, "strict KEX violation: KEXINIT was not the first packet");
	pair_free(&pair);
}

static void
strict_exchange_allows_nothing_else(void **state)
{
	static const uint8_t others[][8] = {{2, 0, 0, 0, 0}, {3, 0, 0, 0, 0}, {4, 0}, {192, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		struct nacre_span flight;
		struct pair pair;

		pair_init(&pair);
		pair_start(&pair);
		flight = nacre_session_output(pair.server.session);
		give(&pair, &pair.client, flight.data, flight.length);
		give_packet(&pair, &pair.client, others[i], 5);
		expect_end(&pair.client, "strict KEX violation");
		pair_free(&pair);
	}
}

static void
before_keys(const uint8_t *payload, size_t length, const char *end)
{
	struct pair pair;

	pair_init(&pair);
	pair_start(&pair);
	give_text(&pair, &pair.server, "SSH-2.0-x\r\n");
	give_packet(&pair, &pair.server, payload, length);
	expect_end(&pair.server, end);
	pair_free(&pair);
}

static void
messages_before_keys_are_refused(void **state)
{
	static const uint8_t service[] = {
	    5, 0, 0, 0, 12, 's', 's', 'h', '-', 'u', 's', 'e', 'r', 'a', 'u', 't', 'h'};
	static const uint8_t kexinit[] = {20, 1, 2, 3}, newkeys[] = {21}, init[] = {30, 0, 0, 0, 0},
			     auth[] = {50, 0, 0, 0, 0}, channel[] = {90, 0, 0, 0, 0},
			     reply[] = {31, 0};

	(void)state;
	before_keys(service, sizeof service, "message 5 during key exchange");
	before_keys(auth, sizeof auth, "message 50 during key exchange");
	before_keys(channel, sizeof channel, "message 90 during key exchange");
	before_keys(kexinit, sizeof kexinit, "malformed KEXINIT");
	before_keys(newkeys, sizeof newkeys, "unexpected NEWKEYS");
	before_keys(init, sizeof init, "unexpected key exchange message 30");
	before_keys(reply, sizeof reply, "unexpected key exchange message 31");
}

static void
after_keys(const uint8_t *payload, size_t length, bool to_server, const char *end)
{
	struct pair pair;

	pair_init(&pair);
	pair_start(&pair);
	pair_run(&pair);
	assert_int_equal(pair.server.keys_exchanged, 1);
	give_message(&pair, to_server, payload, length);
	if (end != NULL)
		expect_end(to_server ? &pair.server : &pair.client, end);
	else
		assert_int_equal(pair.server.disconnected + pair.client.disconnected, 0);
	pair_free(&pair);
}

static void
messages_after_keys(void **state)
{
	static const uint8_t newkeys[] = {21}, init[] = {30, 0}, channel[] = {90, 0},
			     global[] = {80, 0, 0, 0, 1, 'x', 0}, unknown[] = {150, 1, 2},
			     debug[] = {4, 1, 0, 0}, disconnect[] = {1, 0},
			     ignore[] = {2, 9, 9, 9, 9}, extension[] = {7, 0, 0, 0, 9},
			     accept[] = {6, 0, 0, 0, 0}, request[] = {5, 0, 0, 0, 9};

	(void)state;
	after_keys(newkeys, sizeof newkeys, true, "unexpected NEWKEYS");
	after_keys(init, sizeof init, true, "outside of a key exchange");
	after_keys(channel, sizeof channel, true, "message 90 before authentication");
	after_keys(global, sizeof global, true, "message 80 before authentication");
	after_keys(debug, sizeof debug, true, "malformed SSH2_MSG_DEBUG");
	after_keys(disconnect, sizeof disconnect, true, "malformed SSH2_MSG_DISCONNECT");
	after_keys(extension, sizeof extension, false, "malformed SSH2_MSG_EXT_INFO");
	after_keys(accept, sizeof accept, true, "unexpected SERVICE_ACCEPT");
	after_keys(request, sizeof request, true, "unexpected SERVICE_REQUEST");
	after_keys(request, sizeof request, false, "unexpected SERVICE_REQUEST");
	after_keys(ignore, sizeof ignore, true, NULL);
	after_keys(unknown, sizeof unknown, true, NULL);
}

static void
extensions_arrive(void **state)
{
	struct nacre_span value;
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair.server_options.server_signature_algorithms =
	    "ssh-ed25519,rsa-sha2-512-cert-v01@openssh.com";
	pair_start(&pair);
	pair_run(&pair);
	assert_true(
	    nacre_span_equals(nacre_session_server_signature_algorithms(pair.client.session),
		"ssh-ed25519,rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-512"));
	assert_true(nacre_session_peer_extension(
	    pair.client.session, "publickey-hostbound@openssh.com", &value));
	assert_true(nacre_span_equals(value, "0"));
	assert_true(nacre_session_peer_extension(pair.client.session, "ping@openssh.com", NULL));
	assert_false(nacre_session_peer_extension(pair.client.session, "other", NULL));
	pair_free(&pair);
}

static void
peer_that_never_reads_is_given_up(void **state)
{
	static const uint8_t ping[5 + 1000] = {192, 0, 0, 3, 232};
	struct transport *transport;
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair_start(&pair);
	pair_run(&pair);
	transport = pair.client.session->transport;
	for (int i = 0; i < 5000 && pair.server.disconnected == 0; i++) {
		struct nacre_span output;

		nacre_put_bytes(transport_begin(transport, 192), ping + 1, sizeof ping - 1);
		assert_int_equal(transport_end(transport), 0);
		output = nacre_session_output(pair.client.session);
		give(&pair, &pair.server, output.data, output.length);
		nacre_session_sent(pair.client.session, output.length);
	}
	expect_end(&pair.server, "the peer does not read");
	assert_true(nacre_session_output(pair.server.session).length < 2 * 1024 * 1024);
	pair_free(&pair);
}

static void
rekeys_by_packets(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair_start(&pair);
	pair_login(&pair);
	pair.client.session->transport->send.packets = ((uint64_t)1 << 31) - 2;
	pair_transfer(&pair, true, 100);
	assert_int_equal(pair.client.keys_exchanged, 1);
	pair_transfer(&pair, true, 100);
	pair_run(&pair);
	assert_int_equal(pair.client.keys_exchanged, 2);
	assert_int_equal(pair.server.keys_exchanged, 2);
	pair_free(&pair);
}

/* The answer to our KEXINIT and value comes with the peer's NEWKEYS: data waits one round trip. */
static void
rekeying_takes_one_round_trip(void **state)
{
	struct pair pair;
	size_t room = 100;

	(void)state;
	for (int server = 0; server < 2; server++) {
		struct pair_side *side;

		pair_init(&pair);
		side = server ? &pair.server : &pair.client;
		pair.client_options.host_key_algorithms = "ssh-ed25519";
		pair_start(&pair);
		pair_login(&pair);
		pair.flights = 0;
		assert_int_equal(nacre_session_rekey(side->session), 0);
		assert_null(
		    nacre_channel_room(side->session, side->channel, NACRE_STREAM_DATA, &room));
		pair_run(&pair);
		assert_int_equal(pair.client.keys_exchanged, 2);
		assert_int_equal(pair.flights, 2);
		pair_free(&pair);
	}
}

static void
decompression_is_bounded(void **state)
{
	struct packet_side in = {0}, out = {0};
	struct nacre_buffer plain = {0}, packed = {0}, unpacked = {0};
	uint8_t *zeros = nacre_buffer_room(&plain, 1 << 20);

	(void)state;
	assert_non_null(zeros);
	memset(zeros, 0, 1 << 20);
	nacre_buffer_added(&plain, 1 << 20);
	assert_int_equal(compression_deflate(&out, nacre_buffer_span(&plain), &packed), 0);
	assert_true(nacre_buffer_length(&packed) < 10000);
	assert_int_equal(
	    compression_inflate(&in, nacre_buffer_span(&packed), &unpacked), NACRE_ERROR_MEMORY);
	assert_true(unpacked.capacity < 1 << 20);
	packet_side_free(&in);
	packet_side_free(&out);
	nacre_buffer_free(&plain);
	nacre_buffer_free(&packed);
	nacre_buffer_free(&unpacked);
}

static void
idle_session_needs_little_memory(void **state)
{
	struct mallinfo2 before, after;
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair.client_options.log_level = pair.server_options.log_level = NACRE_LOG_QUIET;
	pair_start(&pair);
	pair_login(&pair);
	pair_transfer(&pair, true, 10000000);
	pair_transfer(&pair, false, 10000000);
	pair_run(&pair);
	assert_int_not_equal(nacre_session_deadline(pair.server.session), UINT64_MAX);
	pair.now += 5000;
	pair_run(&pair);
	assert_int_equal(nacre_session_deadline(pair.server.session), UINT64_MAX);
	before = mallinfo2();
	nacre_session_free(pair.server.session);
	pair.server.session = NULL;
	after = mallinfo2();
	assert_in_range(before.uordblks + before.hblkhd - after.uordblks - after.hblkhd, 0, 65536);
	pair_free(&pair);
}

/* Lists of algorithms ------------------------------------------------------------------------ */

static void
assembles(const char *text, const char *result)
{
	struct nacre_buffer list = {0};

	assert_int_equal(
	    nacre_algorithms_assemble(NACRE_LIST_CIPHERS, false, nacre_span_of(text), &list, NULL),
	    0);
	if (!nacre_span_equals(nacre_buffer_span(&list), result))
		fail_msg("%s: %.*s instead of %s", text, (int)nacre_buffer_length(&list),
		    (const char *)nacre_buffer_span(&list).data, result);
	nacre_buffer_free(&list);
}

static void
refuses(const char *text, int error, const char *name)
{
	struct nacre_buffer list = {0};
	struct nacre_span unknown = {NULL, 0};

	assert_int_equal(nacre_algorithms_assemble(
			     NACRE_LIST_CIPHERS, false, nacre_span_of(text), &list, &unknown),
	    error);
	if (name != NULL)
		assert_true(nacre_span_equals(unknown, name));
	assert_int_equal(nacre_buffer_length(&list), 0);
	nacre_buffer_free(&list);
}

#define DEFAULT_CIPHERS                                                                \
	"chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com," \
	"aes128-ctr,aes192-ctr,aes256-ctr"

static void
lists_are_edited(void **state)
{
	(void)state;
	assert_string_equal(nacre_algorithms_default(NACRE_LIST_CIPHERS, false), DEFAULT_CIPHERS);
	assert_string_equal(nacre_algorithms_default(NACRE_LIST_KEX, true),
	    "mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,"
	    "curve25519-sha256,curve25519-sha256@libssh.org");
	assert_non_null(strstr(
	    nacre_algorithms_default(NACRE_LIST_KEX, false), ",diffie-hellman-group14-sha256"));
	assembles("aes128-ctr", "aes128-ctr");
	assembles("aes256-ctr,aes128-ctr,aes256-ctr", "aes256-ctr,aes128-ctr");
	assembles("aes*-gcm@openssh.com", "aes128-gcm@openssh.com,aes256-gcm@openssh.com");
	assembles("+aes128-cbc", DEFAULT_CIPHERS ",aes128-cbc");
	assembles("+aes128-ctr", DEFAULT_CIPHERS);
	assembles("-aes*,nothing", "chacha20-poly1305@openssh.com");
	assembles("^aes256-ctr", "aes256-ctr,chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,"
				 "aes256-gcm@openssh.com,aes128-ctr,aes192-ctr");
	refuses("aes128-ctr,rot13", NACRE_ERROR_UNSUPPORTED, "rot13");
	refuses("+rot13", NACRE_ERROR_UNSUPPORTED, "rot13");
	refuses("", NACRE_ERROR_FORMAT, NULL);
	refuses("+", NACRE_ERROR_FORMAT, NULL);
	refuses("-*", NACRE_ERROR_FORMAT, NULL);
}

/* Moduli ------------------------------------------------------------------------------------ */

static void
moduli_are_chosen(void **state)
{
	struct nacre_buffer text = {0}, prime = {0}, generator = {0};
	struct nacre_span builtin = kex_builtin_prime(3072);

	(void)state;
	nacre_put_format(&text, "# comment\n20240101000000 2 6 100 2047 2 FF\n"
				"20240101000000 2 6 100 3071 5 ");
	for (size_t i = 0; i < builtin.length; i++)
		nacre_put_format(&text, "%02X", builtin.data[i]);
	nacre_put_format(&text, "\n");
	assert_int_equal(
	    moduli_choose(nacre_buffer_span(&text), 2048, 4096, 8192, &prime, &generator), 0);
	assert_true(nacre_span_equal(nacre_buffer_span(&prime), builtin));
	assert_int_equal(nacre_buffer_span(&generator).data[0], 5);
	nacre_buffer_clear(&prime);
	nacre_buffer_clear(&generator);
	assert_int_equal(
	    moduli_choose((struct nacre_span){NULL, 0}, 2048, 3500, 8192, &prime, &generator), 0);
	assert_int_equal(nacre_buffer_length(&prime), 512);
	assert_int_equal(
	    moduli_choose((struct nacre_span){NULL, 0}, 2049, 2060, 2070, &prime, &generator),
	    NACRE_ERROR_NOT_FOUND);
	nacre_buffer_free(&text);
	nacre_buffer_free(&prime);
	nacre_buffer_free(&generator);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(identifications),
	    cmocka_unit_test(servers_take_no_preamble),
	    cmocka_unit_test(preambles_are_bounded),
	    cmocka_unit_test(output_is_there_at_once),
	    cmocka_unit_test(packet_lengths_are_checked),
	    cmocka_unit_test(padding_is_checked),
	    cmocka_unit_test(truncation_is_an_end),
	    cmocka_unit_test(strict_exchange_begins_with_kexinit),
	    cmocka_unit_test(strict_exchange_allows_nothing_else),
	    cmocka_unit_test(messages_before_keys_are_refused),
	    cmocka_unit_test(messages_after_keys),
	    cmocka_unit_test(extensions_arrive),
	    cmocka_unit_test(peer_that_never_reads_is_given_up),
	    cmocka_unit_test(rekeys_by_packets),
	    cmocka_unit_test(rekeying_takes_one_round_trip),
	    cmocka_unit_test(decompression_is_bounded),
	    cmocka_unit_test(idle_session_needs_little_memory),
	    cmocka_unit_test(lists_are_edited),
	    cmocka_unit_test(moduli_are_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
