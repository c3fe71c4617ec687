/* The head of a request to the metrics' server. */
#include <nacre/http_request.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int
parse(const char *text, struct nacre_http_request *request)
{
	return nacre_http_request_parse(nacre_span_of(text), request);
}

static void
test_good(void **state)
{
	struct nacre_http_request request;

	(void)state;
	assert_int_equal(
	    parse("GET /metrics?a=b HTTP/1.1\r\nHost: x\r\nAccept:\t*/*\r\n\r\n", &request), 1);
	assert_true(nacre_span_equals(request.method, "GET"));
	assert_true(nacre_span_equals(request.path, "/metrics"));
	assert_int_equal(parse("POST / HTTP/1.0\n\nbody", &request), 1);
	assert_true(nacre_span_equals(request.method, "POST"));
	assert_int_equal(parse("", &request), 0);
	assert_int_equal(parse("GET / HTTP/1.1", &request), 0);
	assert_int_equal(parse("GET / HTTP/1.1\r\nHost: x\r\n", &request), 0);
}

static void
test_bad(void **state)
{
	static const char *const bad[] = {
	    "\r\n\r\n",
	    "GET\r\n\r\n",
	    "GET /\r\n\r\n",
	    "GET / HTTP/2\r\n\r\n",
	    "GET / HTTP/1.12\r\n\r\n",
	    "GET  / HTTP/1.1\r\n\r\n",
	    "GET x HTTP/1.1\r\n\r\n",
	    "GET /\x80 HTTP/1.1\r\n\r\n",
	    "G(T / HTTP/1.1\r\n\r\n",
	    "AVERYVERYLONGMETHOD / HTTP/1.1\r\n\r\n",
	    "GET / HTTP/1.1\r\nno colon\r\n\r\n",
	    "GET / HTTP/1.1\r\n: empty\r\n\r\n",
	    "GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
	    "GET / HTTP/1.1\r\nA: b\x01\r\n\r\n",
	    "SSH-2.0-client\r\n",
	};
	struct nacre_http_request request;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(parse(bad[i], &request), NACRE_ERROR_FORMAT);
}

static void
test_too_long(void **state)
{
	static char text[NACRE_HTTP_REQUEST_MOST + 100];
	struct nacre_http_request request;

	(void)state;
	memset(text, 'a', sizeof text - 1);
	memcpy(text, "GET / HTTP/1.1\r\nA:", 18);
	assert_int_equal(parse(text, &request), NACRE_ERROR_MEMORY);
	text[NACRE_HTTP_REQUEST_MOST - 1] = '\0';
	assert_int_equal(parse(text, &request), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
