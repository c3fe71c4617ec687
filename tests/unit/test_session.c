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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(session_logs_in),
	    cmocka_unit_test(every_algorithm_works),
	    cmocka_unit_test(every_host_key_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
