/* Whole sessions in memory: every algorithm, hostile bytes, rekeying, moving. */
#include "session_pair.h"

#include <nacre/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool
logged(const struct pair_side *side, const char *text)
{
	struct nacre_span log = nacre_buffer_span(&side->log);

	return memmem(log.data, log.length, text, strlen(text)) != NULL;
}

static void
session_logs_in(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair.client_options.kex_algorithms = "curve25519-sha256";
	pair_start(&pair);
	pair_login(&pair);
	pair_transfer(&pair, true, 1000000);
	pair_transfer(&pair, false, 1000000);
	assert_int_equal(pair.server.bytes_received, 1000000);
	assert_int_equal(pair.client.bytes_received, 1000000);
	assert_false(pair.client.corrupt || pair.server.corrupt);
	assert_int_equal(pair.client.keys_exchanged, 1);
	assert_int_equal(pair.client.host_keys, 1);
	assert_true(logged(&pair.client, "kex: algorithm: curve25519-sha256\n"));
	pair_free(&pair);
}

/* Every algorithm -------------------------------------------------------------------------- */

struct combination {
	const char *kex, *cipher, *mac, *compression;
};

static void
combination_try(const struct combination *use, uint64_t bytes)
{
	struct nacre_session_algorithms algorithms;
	struct nacre_session_options *options;
	struct pair pair;

	pair_init(&pair);
	for (int i = 0; i < 2; i++) {
		options = i == 0 ? &pair.client_options : &pair.server_options;
		options->kex_algorithms = use->kex;
		options->ciphers_client_to_server = options->ciphers_server_to_client = use->cipher;
		options->macs_client_to_server = options->macs_server_to_client = use->mac;
		options->compression = use->compression;
		options->log_level = NACRE_LOG_QUIET;
	}
	pair.client_options.host_key_algorithms = "ssh-ed25519";
	pair_start(&pair);
	pair_login(&pair);
	nacre_session_algorithms(pair.client.session, &algorithms);
	assert_string_equal(algorithms.kex, use->kex);
	assert_string_equal(algorithms.cipher_server_to_client, use->cipher);
	assert_string_equal(algorithms.compression_client_to_server, use->compression);
	if (strstr(use->kex, "group-exchange") == NULL)
		assert_true(algorithms.guess_sent && algorithms.guess_right);
	pair_transfer(&pair, true, bytes);
	pair_transfer(&pair, false, bytes);
	if (pair.server.bytes_received != bytes || pair.client.bytes_received != bytes)
		fail_msg("%s %s %s %s: transfer stopped", use->kex, use->cipher, use->mac,
		    use->compression);
	assert_false(pair.client.corrupt || pair.server.corrupt);
	pair_free(&pair);
}

static char *
list_name(struct nacre_span *list)
{
	struct nacre_span name = nacre_list_next(list);

	return name.length > 0 ? nacre_span_to_string(name) : NULL;
}

static bool
is_aead(const char *cipher)
{
	return nacre_list_contains(
	    nacre_span_of(nacre_algorithms(NACRE_LIST_AEAD_CIPHERS)), nacre_span_of(cipher));
}

static void
macs_try(struct combination *use, bool all)
{
	struct nacre_span macs = nacre_span_of(nacre_algorithms(NACRE_LIST_MACS));
	char *mac;

	while ((mac = list_name(&macs)) != NULL) {
		use->mac = mac;
		use->compression = "none";
		combination_try(use, 40000);
		use->compression = "zlib@openssh.com";
		combination_try(use, 40000);
		free(mac);
		if (!all || is_aead(use->cipher))
			return;
	}
}

static void
ciphers_try(struct combination *use, bool all)
{
	struct nacre_span ciphers = nacre_span_of(nacre_algorithms(NACRE_LIST_CIPHERS));
	char *cipher;

	while ((cipher = list_name(&ciphers)) != NULL) {
		use->cipher = cipher;
		macs_try(use, all);
		free(cipher);
	}
}

/* All kex x cipher x MAC x compression; Diffie-Hellman groups, which are slow, with one MAC. */
static void
every_algorithm_works(void **state)
{
	struct nacre_span methods = nacre_span_of(nacre_algorithms(NACRE_LIST_KEX));
	struct combination use;
	char *kex;

	(void)state;
	while ((kex = list_name(&methods)) != NULL) {
		use.kex = kex;
		if (strstr(kex, "group1") != NULL) {
			use.cipher = "aes256-ctr";
			macs_try(&use, false);
		} else {
			ciphers_try(&use, strncmp(kex, "diffie", 6) != 0);
		}
		free(kex);
	}
}

static void
every_host_key_works(void **state)
{
	static const enum nacre_key_type types[] = {NACRE_KEY_ED25519, NACRE_KEY_ECDSA_P256,
	    NACRE_KEY_ECDSA_P384, NACRE_KEY_ECDSA_P521, NACRE_KEY_RSA};

	(void)state;
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		struct pair pair;

		pair_init_key(&pair, types[i]);
		pair_start(&pair);
		pair_login(&pair);
		pair_free(&pair);
	}
}

/* Delivery, tampering, rekeying ------------------------------------------------------------- */

static void
bytes_come_one_at_a_time(void **state)
{
	static const char *const ciphers[][2] = {{"chacha20-poly1305@openssh.com", "hmac-sha2-256"},
	    {"aes128-gcm@openssh.com", "hmac-sha2-256"}, {"aes128-ctr", "hmac-sha2-256"},
	    {"aes128-ctr", "umac-64-etm@openssh.com"}};

	(void)state;
	for (size_t i = 0; i < sizeof ciphers / sizeof ciphers[0]; i++) {
		struct pair pair;

		pair_init(&pair);
		pair.client_options.ciphers_client_to_server = ciphers[i][0];
		pair.client_options.ciphers_server_to_client = ciphers[i][0];
		pair.client_options.macs_client_to_server = ciphers[i][1];
		pair.client_options.macs_server_to_client = ciphers[i][1];
		pair.chunk = 1;
		pair_start(&pair);
		pair_login(&pair);
		pair_transfer(&pair, true, 5000);
		assert_int_equal(pair.server.bytes_received, 5000);
		assert_false(pair.server.corrupt);
		pair_free(&pair);
	}
}

static void
flip_bit(struct pair *pair, bool to_server, uint8_t *bytes, size_t length)
{
	uint64_t begin = pair->delivered[to_server];

	if (to_server == pair->tamper_server && pair->tamper_at >= begin &&
	    pair->tamper_at < begin + length)
		bytes[pair->tamper_at - begin] ^= 0x10;
}

static void
tamper_pair(struct pair *pair, const char *cipher, const char *mac)
{
	pair_init(pair);
	pair->client_options.log_level = pair->server_options.log_level = NACRE_LOG_QUIET;
	pair->client_options.ciphers_client_to_server = cipher;
	pair->client_options.ciphers_server_to_client = cipher;
	pair->server_options.ciphers_client_to_server = cipher;
	pair->server_options.ciphers_server_to_client = cipher;
	pair->client_options.macs_client_to_server = mac;
	pair->client_options.macs_server_to_client = mac;
	pair->client_options.kex_algorithms = "curve25519-sha256";
	pair->server_options.kex_algorithms = "curve25519-sha256";
	pair_start(pair);
	nacre_auth_user(pair->client.session, "someone");
	nacre_auth_publickey(
	    pair->client.session, "ssh-ed25519", nacre_buffer_span(&pair->user_blob), NULL);
}

static void
tamper_use(struct pair *pair)
{
	pair_run(pair);
	if (pair->client.authenticated != 1 || pair->server.authenticated != 1 ||
	    nacre_channel_open_session(pair->client.session, &pair->client.channel) != 0)
		return;
	pair_run(pair);
	if (pair->client.opened == 1 && pair->client.disconnected == 0)
		pair_transfer(pair, true, 100);
}

/* How many bytes each side receives in a session, and after how many it received NEWKEYS. */
static void
tamper_measure(const char *cipher, const char *mac, uint64_t keys[2], uint64_t all[2])
{
	struct pair pair;

	tamper_pair(&pair, cipher, mac);
	pair.chunk = 1;
	keys[0] = keys[1] = 0;
	while (pair_step(&pair)) {
		if (pair.client.keys_exchanged == 1 && keys[0] == 0)
			keys[0] = pair.delivered[0];
		if (pair.server.keys_exchanged == 1 && keys[1] == 0)
			keys[1] = pair.delivered[1];
	}
	tamper_use(&pair);
	assert_int_equal(pair.server.bytes_received, 100);
	memcpy(all, pair.delivered, sizeof pair.delivered);
	pair_free(&pair);
}

/* A bit of the encrypted part changed: nothing of what it carries may be believed. */
static void
tamper_try(const char *cipher, const char *mac, bool server, uint64_t at)
{
	struct pair pair;

	tamper_pair(&pair, cipher, mac);
	pair.tamper = flip_bit;
	pair.tamper_at = at;
	pair.tamper_server = server;
	tamper_use(&pair);
	assert_false(pair.server.corrupt);
	if (pair.server.bytes_received == 100 && pair.client.disconnected == 0 &&
	    pair.delivered[server] > at + 64)
		fail_msg("%s: change of byte %llu unnoticed", cipher, (unsigned long long)at);
	pair_free(&pair);
}

static void
tampering_is_noticed(void **state)
{
	static const char *const ciphers[][2] = {{"chacha20-poly1305@openssh.com", "hmac-sha2-256"},
	    {"aes128-gcm@openssh.com", "hmac-sha2-256"}, {"aes128-ctr", "hmac-sha2-256"},
	    {"aes128-cbc", "hmac-sha2-256"}, {"aes128-ctr", "hmac-sha2-256-etm@openssh.com"}};
	uint64_t keys[2], all[2];

	(void)state;
	for (size_t i = 0; i < sizeof ciphers / sizeof ciphers[0]; i++) {
		tamper_measure(ciphers[i][0], ciphers[i][1], keys, all);
		for (int server = 0; server < 2; server++)
			for (uint64_t at = keys[server]; at < all[server]; at += 3)
				tamper_try(ciphers[i][0], ciphers[i][1], server, at);
	}
}

/* Before keys, everything but the padding goes into the exchange hash. */
static void
tampering_with_the_exchange_is_noticed(void **state)
{
	(void)state;
	for (uint64_t at = 0; at < 1800; at += 5)
		for (int server = 0; server < 2; server++) {
			struct pair pair;

			tamper_pair(&pair, "aes128-ctr", "hmac-sha2-256");
			pair.tamper = flip_bit;
			pair.tamper_at = at;
			pair.tamper_server = server;
			tamper_use(&pair);
			assert_false(pair.server.corrupt);
			pair_free(&pair);
		}
}

static void
wrong_guess_costs_nothing_but_bytes(void **state)
{
	static const char *const lists[][2] = {
	    {"ecdh-sha2-nistp256,curve25519-sha256", "curve25519-sha256,ecdh-sha2-nistp256"},
	    {"ecdh-sha2-nistp384,curve25519-sha256", "curve25519-sha256"},
	    {"curve25519-sha256", "diffie-hellman-group14-sha256,curve25519-sha256"},
	    {"curve25519-sha256,diffie-hellman-group-exchange-sha256",
		"diffie-hellman-group-exchange-sha256"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		struct nacre_session_algorithms algorithms;
		struct pair pair;

		pair_init(&pair);
		pair.client_options.kex_algorithms = lists[i][0];
		pair.server_options.kex_algorithms = lists[i][1];
		pair_start(&pair);
		pair_login(&pair);
		nacre_session_algorithms(pair.client.session, &algorithms);
		assert_true(algorithms.guess_sent);
		assert_false(algorithms.guess_right);
		pair_free(&pair);
	}
}

/* With a right guess the authenticated session stands after three flights of the client, the
 * fourth being the channel. */
static void
login_takes_few_flights(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair.client_options.host_key_algorithms = "ssh-ed25519";
	pair_start(&pair);
	nacre_auth_user(pair.client.session, "someone");
	nacre_auth_publickey(
	    pair.client.session, "ssh-ed25519", nacre_buffer_span(&pair.user_blob), NULL);
	pair_run(&pair);
	assert_int_equal(pair.client.authenticated, 1);
	assert_int_equal(pair.flights, 2);
	pair_free(&pair);
}

static void
rekeys_by_bytes_under_load(void **state)
{
	static const char *const compressions[] = {"none", "zlib@openssh.com"};

	(void)state;
	for (int server = 0; server < 2; server++)
		for (int i = 0; i < 2; i++) {
			struct pair pair;

			pair_init(&pair);
			pair.client_options.compression = compressions[i];
			(server ? &pair.server_options : &pair.client_options)->rekey_bytes = 20000;
			pair_start(&pair);
			pair_login(&pair);
			pair_transfer(&pair, true, 2000000);
			pair_transfer(&pair, false, 2000000);
			assert_int_equal(pair.server.bytes_received, 2000000);
			assert_int_equal(pair.client.bytes_received, 2000000);
			assert_false(pair.client.corrupt || pair.server.corrupt);
			if (i == 0)
				assert_in_range(pair.client.keys_exchanged, 10, 1000);
			assert_int_equal(pair.client.host_keys, 1);
			assert_int_equal(pair.client.disconnected, 0);
			pair_free(&pair);
		}
}

static void
rekeys_from_both_sides_at_once(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair_start(&pair);
	pair_login(&pair);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(nacre_session_rekey(pair.client.session), 0);
		assert_int_equal(nacre_session_rekey(pair.server.session), 0);
		pair_transfer(&pair, i % 2 == 0, 100000);
		pair_run(&pair);
		assert_int_equal(pair.client.keys_exchanged, i + 2);
		assert_int_equal(pair.server.keys_exchanged, i + 2);
	}
	assert_int_equal(pair.client.bytes_received, 500000);
	assert_int_equal(pair.server.bytes_received, 500000);
	assert_false(pair.client.corrupt || pair.server.corrupt);
	pair_free(&pair);
}

static void
rekeys_by_time(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair.server_options.rekey_seconds = 60;
	pair_start(&pair);
	pair_login(&pair);
	assert_true(nacre_session_deadline(pair.server.session) <= pair.now + 60000);
	pair.now += 59999;
	pair_run(&pair);
	assert_int_equal(pair.client.keys_exchanged, 1);
	pair.now += 1;
	pair_run(&pair);
	assert_int_equal(pair.client.keys_exchanged, 2);
	assert_int_equal(nacre_session_deadline(pair.server.session), pair.now + 60000);
	pair_free(&pair);
}

static void
pings_come_back(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair_start(&pair);
	pair_login(&pair);
	assert_int_equal(nacre_session_ping(pair.client.session, nacre_span_of("hello")), 0);
	pair_run(&pair);
	assert_int_equal(pair.client.pongs, 1);
	assert_int_equal(
	    nacre_session_ping(pair.server.session, nacre_span_of("x")), NACRE_ERROR_UNSUPPORTED);
	pair_free(&pair);
}

static void
distrust_ends_the_session(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair.distrust = true;
	pair_start(&pair);
	pair_run(&pair);
	assert_int_equal(pair.client.disconnected, 1);
	assert_string_equal(pair.client.text, "Host key verification failed.");
	assert_int_equal(pair.server.disconnected, 1);
	assert_true(pair.server.ended_by_peer);
	pair_free(&pair);
}

static void
negotiation_failure_names_the_offer(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair);
	pair.client_options.host_key_algorithms = "rsa-sha2-512";
	pair_start(&pair);
	pair_run(&pair);
	assert_string_equal(
	    pair.client.text, "no matching host key type found. Their offer: ssh-ed25519");
	pair_free(&pair);
	pair_init(&pair);
	pair.server_options.ciphers_client_to_server = "aes256-ctr";
	pair.client_options.ciphers_client_to_server = "aes128-ctr";
	pair_start(&pair);
	pair_run(&pair);
	assert_string_equal(pair.client.text, "no matching cipher found. Their offer: aes256-ctr");
	pair_free(&pair);
}

/* Moving ------------------------------------------------------------------------------------ */

static void
session_moves(struct pair *pair, struct pair_side *side, struct nacre_session_options *options)
{
	struct nacre_session *moved = NULL;
	struct nacre_buffer bytes = {0};

	assert_int_equal(nacre_session_export(side->session, &bytes), 0);
	for (size_t cut = 0; cut < nacre_buffer_length(&bytes); cut += 7) {
		struct nacre_span part = {nacre_buffer_span(&bytes).data, cut};

		assert_int_not_equal(nacre_session_import(options, part, pair->now, &moved), 0);
	}
	assert_int_equal(
	    nacre_session_import(options, nacre_buffer_span(&bytes), pair->now, &moved), 0);
	nacre_buffer_free(&bytes);
	nacre_session_free(side->session);
	side->session = moved;
}

static void
sessions_move_between_processes(void **state)
{
	static const char *const ciphers[][3] = {
	    {"chacha20-poly1305@openssh.com", "hmac-sha2-256", "none"},
	    {"aes128-gcm@openssh.com", "hmac-sha2-256", "zlib@openssh.com"},
	    {"aes128-ctr", "hmac-sha2-256", "none"}, {"aes256-cbc", "hmac-sha1", "none"},
	    {"aes128-ctr", "umac-64-etm@openssh.com", "none"}};

	(void)state;
	for (size_t i = 0; i < sizeof ciphers / sizeof ciphers[0]; i++) {
		struct pair pair;

		pair_init(&pair);
		pair.client_options.ciphers_client_to_server = ciphers[i][0];
		pair.client_options.ciphers_server_to_client = ciphers[i][0];
		pair.server_options.ciphers_client_to_server = ciphers[i][0];
		pair.server_options.ciphers_server_to_client = ciphers[i][0];
		pair.client_options.macs_client_to_server = ciphers[i][1];
		pair.client_options.macs_server_to_client = ciphers[i][1];
		pair.client_options.compression = ciphers[i][2];
		pair_start(&pair);
		nacre_auth_user(pair.client.session, "someone");
		nacre_auth_publickey(
		    pair.client.session, "ssh-ed25519", nacre_buffer_span(&pair.user_blob), NULL);
		/* Until the server has accepted: its answer is unsent output. */
		while (pair.server.authenticated == 0)
			assert_true(pair_step(&pair));
		session_moves(&pair, &pair.server, &pair.server_options);
		pair_run(&pair);
		assert_int_equal(pair.client.authenticated, 1);
		session_moves(&pair, &pair.client, &pair.client_options);
		pair_open_channel(&pair);
		pair_transfer(&pair, true, 100000);
		pair_transfer(&pair, false, 100000);
		assert_int_equal(nacre_session_rekey(pair.server.session), 0);
		pair_transfer(&pair, true, 100000);
		pair_run(&pair);
		assert_int_equal(pair.server.bytes_received, 200000);
		assert_int_equal(pair.client.bytes_received, 100000);
		assert_false(pair.client.corrupt || pair.server.corrupt);
		assert_int_equal(pair.client.keys_exchanged, 2);
		pair_free(&pair);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(session_logs_in),
	    cmocka_unit_test(every_algorithm_works),
	    cmocka_unit_test(every_host_key_works),
	    cmocka_unit_test(bytes_come_one_at_a_time),
	    cmocka_unit_test(tampering_is_noticed),
	    cmocka_unit_test(tampering_with_the_exchange_is_noticed),
	    cmocka_unit_test(wrong_guess_costs_nothing_but_bytes),
	    cmocka_unit_test(login_takes_few_flights),
	    cmocka_unit_test(rekeys_by_bytes_under_load),
	    cmocka_unit_test(rekeys_from_both_sides_at_once),
	    cmocka_unit_test(rekeys_by_time),
	    cmocka_unit_test(pings_come_back),
	    cmocka_unit_test(distrust_ends_the_session),
	    cmocka_unit_test(negotiation_failure_names_the_offer),
	    cmocka_unit_test(sessions_move_between_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
