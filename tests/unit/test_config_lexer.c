/* Lines, words, numbers, tokens and forwardings of configuration files. */
#include <config/lexer.h>
#include <nacre/config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void
splits_words(void **state)
{
	static const struct {
		const char *text;
		size_t count;
		const char *words[4];
		const char *rest;
	} cases[] = {{"", 0, {NULL}, ""}, {"  # comment", 0, {NULL}, ""},
	    {"Port 22", 2, {"Port", "22"}, "22"}, {"\t Port\t=\t22 \r", 2, {"Port", "22"}, "22"},
	    {"Port=22", 2, {"Port", "22"}, "22"}, {"Port==22", 2, {"Port", "=22"}, "=22"},
	    {"User a b # c", 3, {"User", "a", "b"}, "a b # c"},
	    {"File \"a b\" c", 3, {"File", "a b", "c"}, "\"a b\" c"},
	    {"File 'a \"b' c", 3, {"File", "a \"b", "c"}, "'a \"b' c"},
	    {"File a\\ b", 2, {"File", "a b"}, "a\\ b"},
	    {"File \"a\\\"b\"", 2, {"File", "a\"b"}, "\"a\\\"b\""},
	    {"File a\"b c\"d", 2, {"File", "ab cd"}, "a\"b c\"d"},
	    {"\"Port\" 1", 2, {"Port", "1"}, "1"}, {"File \"\"", 2, {"File", ""}, "\"\""},
	    {"A b#c", 2, {"A", "b#c"}, "b#c"}};
	struct line line = {0};
	const char *problem;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(line_split(&line, nacre_span_of(cases[i].text), &problem), 0);
		assert_int_equal(line.count, cases[i].count);
		for (size_t j = 0; j < line.count; j++)
			assert_string_equal(line.words[j], cases[i].words[j]);
		assert_true(nacre_span_equals(line.rest, cases[i].rest));
	}
	line_free(&line);
}

static void
refuses_broken_lines(void **state)
{
	struct nacre_buffer text = {0};
	struct line line = {0};
	const char *problem;

	(void)state;
	assert_int_equal(
	    line_split(&line, nacre_span_of("File \"open"), &problem), NACRE_ERROR_FORMAT);
	assert_string_equal(problem, "invalid quotes");
	assert_int_equal(
	    line_split(&line, (struct nacre_span){(const uint8_t *)"A\0b", 3}, &problem),
	    NACRE_ERROR_FORMAT);
	for (size_t i = 0; i < LEXER_LINE_MAX + 1; i++)
		nacre_put_byte(&text, 'x');
	assert_int_equal(line_split(&line, nacre_buffer_span(&text), &problem), NACRE_ERROR_FORMAT);
	assert_string_equal(problem, "line too long");
	nacre_buffer_free(&text);
	line_free(&line);
}

static void
takes_lines(void **state)
{
	struct nacre_span text = nacre_span_of("a\n\nb"), line;

	(void)state;
	assert_true(lexer_next_line(&text, &line) && nacre_span_equals(line, "a"));
	assert_true(lexer_next_line(&text, &line) && nacre_span_equals(line, ""));
	assert_true(lexer_next_line(&text, &line) && nacre_span_equals(line, "b"));
	assert_false(lexer_next_line(&text, &line));
}

static void
reads_times(void **state)
{
	static const struct {
		const char *text;
		int seconds; /* -1: refused */
	} cases[] = {{"0", 0}, {"600", 600}, {"10m", 600}, {"1h30m", 5400}, {"1w2d", 777600},
	    {"1H5", 3605}, {"", -1}, {"x", -1}, {"1x", -1}, {"-1", -1}, {"1.5h", -1},
	    {"99999999999", -1}, {"4000w", -1}, {"18446744073709551616", -1}};
	int seconds;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int error = nacre_parse_time(cases[i].text, &seconds);

		assert_int_equal(error, cases[i].seconds < 0 ? NACRE_ERROR_FORMAT : 0);
		if (error == 0)
			assert_int_equal(seconds, cases[i].seconds);
	}
}

static void
reads_sizes_and_ports(void **state)
{
	uint64_t bytes;
	int port;

	(void)state;
	assert_int_equal(nacre_parse_size("512", &bytes), 0);
	assert_true(bytes == 512);
	assert_int_equal(nacre_parse_size("2g", &bytes), 0);
	assert_true(bytes == (uint64_t)2 << 30);
	assert_int_equal(nacre_parse_size("1K", &bytes), 0);
	assert_true(bytes == 1024);
	assert_int_equal(nacre_parse_size("1x", &bytes), NACRE_ERROR_FORMAT);
	assert_int_equal(nacre_parse_size("9999999999999G", &bytes), NACRE_ERROR_FORMAT);
	assert_int_equal(nacre_parse_size("", &bytes), NACRE_ERROR_FORMAT);
	assert_int_equal(nacre_parse_port("65535", &port), 0);
	assert_int_equal(port, 65535);
	assert_int_equal(nacre_parse_port("65536", &port), NACRE_ERROR_FORMAT);
	assert_int_equal(nacre_parse_port("22x", &port), NACRE_ERROR_FORMAT);
	assert_int_equal(nacre_parse_port("", &port), NACRE_ERROR_FORMAT);
}

static void
expands_tokens(void **state)
{
	const struct nacre_token tokens[] = {{'h', "host"}, {'u', "user"}, {'x', NULL}};
	struct nacre_buffer out = {0};
	const char *problem;

	(void)state;
	setenv("NACRE_TEST_VARIABLE", "value", 1);
	assert_int_equal(nacre_expand_tokens("%u@%h%%-${NACRE_TEST_VARIABLE}", tokens,
			     COUNT(tokens), true, &out, &problem),
	    0);
	assert_true(nacre_span_equals(nacre_buffer_span(&out), "user@host%-value"));
	nacre_buffer_clear(&out);
	assert_int_equal(nacre_expand_tokens("a%z", tokens, COUNT(tokens), true, &out, &problem),
	    NACRE_ERROR_NOT_FOUND);
	assert_string_equal(problem, "%z");
	assert_int_equal(nacre_expand_tokens("%x", tokens, COUNT(tokens), true, &out, &problem),
	    NACRE_ERROR_NOT_FOUND);
	assert_int_equal(nacre_expand_tokens("a%", tokens, COUNT(tokens), true, &out, &problem),
	    NACRE_ERROR_FORMAT);
	assert_int_equal(nacre_expand_tokens("${X", tokens, COUNT(tokens), true, &out, &problem),
	    NACRE_ERROR_FORMAT);
	assert_int_equal(nacre_expand_tokens("${NO_SUCH_VARIABLE_HERE}", tokens, COUNT(tokens),
			     true, &out, &problem),
	    NACRE_ERROR_NOT_FOUND);
	nacre_buffer_clear(&out);
	assert_int_equal(
	    nacre_expand_tokens("${X}", tokens, COUNT(tokens), false, &out, &problem), 0);
	assert_true(nacre_span_equals(nacre_buffer_span(&out), "${X}"));
	nacre_buffer_clear(&out);
	assert_int_equal(nacre_expand_tilde("~/x", "/home/me", &out), 0);
	assert_true(nacre_span_equals(nacre_buffer_span(&out), "/home/me/x"));
	nacre_buffer_clear(&out);
	assert_int_equal(nacre_expand_tilde("~root/x", "/home/me", &out), 0);
	assert_int_equal(
	    nacre_expand_tilde("~no-such-user-here/x", "/home/me", &out), NACRE_ERROR_NOT_FOUND);
	nacre_buffer_free(&out);
}

static void
assert_end(const struct nacre_endpoint *end, const char *host, int port, const char *path)
{
	assert_int_equal(end->port, port);
	if (host == NULL)
		assert_null(end->host);
	else
		assert_string_equal(end->host, host);
	if (path == NULL)
		assert_null(end->path);
	else
		assert_string_equal(end->path, path);
}

static void
reads_forwardings(void **state)
{
	static const struct {
		const char *text;
		bool dynamic, remote;
		const char *listen_host;
		int listen_port;
		const char *listen_path, *host;
		int port;
		const char *path;
	} cases[] = {{"80:host:90", false, false, NULL, 80, NULL, "host", 90, NULL},
	    {"[::1]:80:[2001::1]:90", false, false, "::1", 80, NULL, "2001::1", 90, NULL},
	    {"*:80:host:90", false, false, "*", 80, NULL, "host", 90, NULL},
	    {":80:host:90", false, false, "", 80, NULL, "host", 90, NULL},
	    {"/a/b:host:90", false, false, NULL, -1, "/a/b", "host", 90, NULL},
	    {"80:/a/b", false, false, NULL, 80, NULL, NULL, -1, "/a/b"},
	    {"localhost:80:/a/b", false, false, "localhost", 80, NULL, NULL, -1, "/a/b"},
	    {"/a:/b", false, false, NULL, -1, "/a", NULL, -1, "/b"},
	    {"0:host:90", false, true, NULL, 0, NULL, "host", 90, NULL},
	    {"1080", true, false, NULL, 1080, NULL, NULL, 0, NULL},
	    {"[::1]:1080", true, false, "::1", 1080, NULL, NULL, 0, NULL},
	    {"9001", false, true, NULL, 9001, NULL, NULL, 0, NULL}};
	static const char *const bad[] = {"", "80", "x:host:90", "80:host", "80:host:0",
	    "0:host:90", "80:host:90:1:2", "[::1:80:host:90", "80:host:99999", "80::90", "a:b:c:d"};
	struct nacre_forward forward;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(
		    nacre_forward_parse(cases[i].text, cases[i].dynamic, cases[i].remote, &forward),
		    0);
		assert_end(&forward.listen, cases[i].listen_host, cases[i].listen_port,
		    cases[i].listen_path);
		if (!forward.dynamic)
			assert_end(&forward.connect, cases[i].host, cases[i].port, cases[i].path);
		else
			assert_true(cases[i].port == 0);
		nacre_forward_free(&forward);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(
		    nacre_forward_parse(bad[i], false, false, &forward), NACRE_ERROR_FORMAT);
}

static void
reads_destinations(void **state)
{
	static const struct {
		const char *text, *user, *host;
		int port;
		const char *path;
	} cases[] = {{"host", NULL, "host", -1, NULL}, {"me@host", "me", "host", -1, NULL},
	    {"a@b@host", "a@b", "host", -1, NULL}, {"host:22", NULL, "host", 22, NULL},
	    {"[::1]:22", NULL, "::1", 22, NULL}, {"::1", NULL, "::1", -1, NULL},
	    {"ssh://me@host:22", "me", "host", 22, NULL},
	    {"ssh://m%65@[::1]:22/", "me", "::1", 22, ""}};
	static const char *const bad[] = {"", "@host", "me@", "host:0", "host:x", "[::1", "ssh://",
	    "ssh://h:99999", "ssh://%zz@h"};
	char *user, *host, *path;
	int port;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(
		    nacre_parse_destination(cases[i].text, "ssh", &user, &host, &port, &path), 0);
		assert_string_equal(
		    user != NULL ? user : "-", cases[i].user != NULL ? cases[i].user : "-");
		assert_string_equal(host, cases[i].host);
		assert_int_equal(port, cases[i].port);
		assert_string_equal(
		    path != NULL ? path : "-", cases[i].path != NULL ? cases[i].path : "-");
		free(user);
		free(host);
		free(path);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(nacre_parse_destination(bad[i], "ssh", &user, &host, &port, &path),
		    NACRE_ERROR_FORMAT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(splits_words),
	    cmocka_unit_test(refuses_broken_lines),
	    cmocka_unit_test(takes_lines),
	    cmocka_unit_test(reads_times),
	    cmocka_unit_test(reads_sizes_and_ports),
	    cmocka_unit_test(expands_tokens),
	    cmocka_unit_test(reads_forwardings),
	    cmocka_unit_test(reads_destinations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
