/* The PROXY protocol's header in both versions. */
#include <nacre/proxy_header.h>

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define PARSE(text, header)       \
	nacre_proxy_header_parse( \
	    (struct nacre_span){(const uint8_t *)(text), sizeof(text) - 1}, header)

static void
expect(const struct nacre_proxy_header *header, int family, const char *source, int source_port,
    const char *destination, int destination_port)
{
	char text[INET6_ADDRSTRLEN];

	assert_false(header->local);
	assert_int_equal(header->family, family);
	assert_string_equal(inet_ntop(family, header->source, text, sizeof text), source);
	assert_string_equal(inet_ntop(family, header->destination, text, sizeof text), destination);
	assert_int_equal(header->source_port, source_port);
	assert_int_equal(header->destination_port, destination_port);
}

static void
test_line(void **state)
{
	struct nacre_proxy_header header;

	(void)state;
	assert_int_equal(PARSE("PROXY TCP4 192.0.2.1 198.51.100.2 56324 22\r\nSSH-", &header), 1);
	assert_int_equal(header.length, 44);
	expect(&header, AF_INET, "192.0.2.1", 56324, "198.51.100.2", 22);
	assert_int_equal(PARSE("PROXY TCP6 2001:db8::1 ::2 65535 0\r\n", &header), 1);
	expect(&header, AF_INET6, "2001:db8::1", 65535, "::2", 0);
	assert_int_equal(PARSE("PROXY UNKNOWN\r\n", &header), 1);
	assert_true(header.local);
	assert_int_equal(PARSE("PROXY UNKNOWN what ever\r\n", &header), 1);
	assert_true(header.local);
}

static void
test_line_bad(void **state)
{
	static const char *const bad[] = {
	    "PROXY TCP4 192.0.2.1 198.51.100.2 56324 22 \r\n",
	    "PROXY TCP4 192.0.2.1  198.51.100.2 56324 22\r\n",
	    "PROXY TCP4 192.0.2.1 198.51.100.2 056324 22\r\n",
	    "PROXY TCP4 192.0.2.1 198.51.100.2 65536 22\r\n",
	    "PROXY TCP4 192.0.2.1 198.51.100.2 -1 22\r\n",
	    "PROXY TCP4 192.0.2.1 198.51.100.2 1 \r\n",
	    "PROXY TCP4 192.0.2.1 198.51.100.2\r\n",
	    "PROXY TCP4 2001:db8::1 ::2 1 2\r\n",
	    "PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n",
	    "PROXY TCP4 192.0.2 198.51.100.2 1 2\r\n",
	    "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\rSSH-2.0\r\n",
	    "proxy TCP4 192.0.2.1 198.51.100.2 1 2\r\n",
	    "SSH-2.0-client\r\n",
	    "GET / HTTP/1.0\r\n",
	};
	struct nacre_proxy_header header;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(
		    nacre_proxy_header_parse(nacre_span_of(bad[i]), &header), NACRE_ERROR_FORMAT);
	assert_int_equal(
	    PARSE("PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n", &header), NACRE_ERROR_UNSUPPORTED);
	char line[200] = "PROXY TCP6 ";
	memset(line + strlen(line), 'f', 107 - strlen(line));
	assert_int_equal(
	    nacre_proxy_header_parse(nacre_span_of(line), &header), NACRE_ERROR_MEMORY);
	line[106] = '\0';
	assert_int_equal(nacre_proxy_header_parse(nacre_span_of(line), &header), 0);
}

static void
test_binary(void **state)
{
	struct nacre_proxy_header header;

	(void)state;
	assert_int_equal(PARSE(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\2\xdc\x04\0\x16"
					 "SSH",
			     &header),
	    1);
	assert_int_equal(header.length, 28);
	expect(&header, AF_INET, "192.0.2.1", 56324, "198.51.100.2", 22);
	/* With a field behind the addresses. */
	assert_int_equal(PARSE(SIGNATURE "\x21\x21\0\x27"
					 "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
					 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\0\1\0\2\4\0\0",
			     &header),
	    1);
	expect(&header, AF_INET6, "2001:db8::1", 1, "::2", 2);
	assert_int_equal(PARSE(SIGNATURE "\x20\0\0\0", &header), 1);
	assert_true(header.local);
	assert_int_equal(PARSE(SIGNATURE "\x20\x11\0\2zz", &header), 1);
	assert_true(header.local);
	assert_int_equal(PARSE(SIGNATURE "\x21\0\0\0", &header), 1);
	assert_true(header.local);
}

static void
test_binary_bad(void **state)
{
	struct nacre_proxy_header header;

	(void)state;
	assert_int_equal(PARSE(SIGNATURE "\x31\x11\0\0", &header), NACRE_ERROR_UNSUPPORTED);
	assert_int_equal(PARSE(SIGNATURE "\x22\x11\0\0", &header), NACRE_ERROR_UNSUPPORTED);
	assert_int_equal(PARSE(SIGNATURE "\x21\x12\0\x0c"
					 "123456789012",
			     &header),
	    NACRE_ERROR_UNSUPPORTED);
	assert_int_equal(PARSE(SIGNATURE "\x21\x11\0\x0b"
					 "12345678901",
			     &header),
	    NACRE_ERROR_FORMAT);
	assert_int_equal(PARSE(SIGNATURE "\x21\x11\xff\xff", &header), NACRE_ERROR_MEMORY);
	assert_int_equal(PARSE(SIGNATURE "\x21\x11\0\x0c", &header), 0);
	assert_int_equal(PARSE("\r\n\r\n\1", &header), NACRE_ERROR_FORMAT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_line),
	    cmocka_unit_test(test_line_bad),
	    cmocka_unit_test(test_binary),
	    cmocka_unit_test(test_binary_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
