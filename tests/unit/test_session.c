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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(session_logs_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
