/* SOCKS 4, 4A and 5, the server's side. */
#include <nacre/socks.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(text) ((struct nacre_span){(const uint8_t *)(text), sizeof(text) - 1})

static void
expect_answer(const struct nacre_socks *socks, struct nacre_span answer)
{
	assert_int_equal(socks->answer_length, answer.length);
	assert_memory_equal(socks->answer, answer.data, answer.length);
}

static void
expect_connect(
    struct nacre_socks *socks, struct nacre_span request, const char *host, unsigned port)
{
	size_t taken;

	assert_int_equal(nacre_socks_take(socks, request, &taken), NACRE_SOCKS_CONNECT);
	assert_string_equal(socks->host, host);
	assert_int_equal(socks->port, port);
	/* What follows is the connection's. */
	assert_int_equal(taken, request.length - 4);
	assert_memory_equal(request.data + taken, "rest", 4);
}

static void
test_version_five(void **state)
{
	static const struct {
		struct nacre_span request;
		const char *host;
	} rows[] = {
	    {BYTES("\5\1\0\1\x7f\0\0\1\1\2rest"), "127.0.0.1"},
	    {BYTES("\5\1\0\3\4nameX\2rest"), "name"},
	    {BYTES("\5\1\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\1\2rest"), "::1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct nacre_socks socks = {0};
		size_t taken;

		assert_int_equal(
		    nacre_socks_take(&socks, BYTES("\5\3\2\1\0\5"), &taken), NACRE_SOCKS_ANSWER);
		assert_int_equal(taken, 5);
		expect_answer(&socks, BYTES("\5\0"));
		expect_connect(&socks, rows[i].request, rows[i].host, i == 1 ? 'X' << 8 | 2 : 258);
		nacre_socks_finish(&socks, NACRE_SOCKS_CONNECTED);
		expect_answer(&socks, BYTES("\5\0\0\1\0\0\0\0\0\0"));
		nacre_socks_finish(&socks, NACRE_SOCKS_NOT_ALLOWED);
		expect_answer(&socks, BYTES("\5\2\0\1\0\0\0\0\0\0"));
	}
}

static void
test_version_four(void **state)
{
	struct nacre_socks socks = {0};

	(void)state;
	expect_connect(&socks, BYTES("\4\1\0\x50\x0a\0\0\1me\0rest"), "10.0.0.1", 80);
	nacre_socks_finish(&socks, NACRE_SOCKS_CONNECTED);
	expect_answer(&socks, BYTES("\0\x5a\0\0\0\0\0\0"));
	socks = (struct nacre_socks){0};
	expect_connect(&socks, BYTES("\4\1\0\x50\0\0\0\x07\0host\0rest"), "host", 80);
	nacre_socks_finish(&socks, NACRE_SOCKS_FAILED);
	expect_answer(&socks, BYTES("\0\x5b\0\0\0\0\0\0"));
}

static void
test_refused(void **state)
{
	static const struct {
		struct nacre_span words, answer;
	} rows[] = {
	    {BYTES("GET"), BYTES("")},
	    {BYTES("\5\1\2"), BYTES("\5\xff")},
	    {BYTES("\5\0"), BYTES("\5\xff")},
	    {BYTES("\4\2\0\1\1\1\1\1\0"), BYTES("\0\x5b\0\0\0\0\0\0")},
	    {BYTES("\4\1\0\1\0\0\0\1\0\0"), BYTES("\0\x5b\0\0\0\0\0\0")},
	};
	size_t taken;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct nacre_socks socks = {0};

		assert_int_equal(
		    nacre_socks_take(&socks, rows[i].words, &taken), NACRE_SOCKS_REFUSED);
		assert_non_null(socks.problem);
		expect_answer(&socks, rows[i].answer);
	}
}

/* Before anything is known of its end a message cannot grow without bound. */
static void
test_endless(void **state)
{
	static const char *const beginnings[] = {"\4\1\1\1\1\1\1\1", "\4\1\1\1"};

	(void)state;
	for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
		uint8_t words[2000];
		struct nacre_socks socks = {0};
		size_t taken;

		memset(words, 'x', sizeof words);
		memcpy(words, beginnings[i], strlen(beginnings[i]));
		assert_int_equal(
		    nacre_socks_take(&socks, (struct nacre_span){words, sizeof words}, &taken),
		    NACRE_SOCKS_REFUSED);
		assert_true(taken <= NACRE_SOCKS_REQUEST_MAX);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_version_five),
	    cmocka_unit_test(test_version_four),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_endless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
