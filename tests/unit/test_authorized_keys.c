/* authorized_keys: options, lines, finding a key, owners and modes. */
#include <nacre/authorized_keys.h>

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define KEY       "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIFTNUGsjH7DPQc4NU5lOw+FhrvGqc5K3STOqPmNw7Rr"
#define OTHER_KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDgsR/WuWD1zes37EVDXmo/aUOX8Uhn8beAVJbtr9LYA"

static void
reads_every_option(void **state)
{
	static const char text[] =
	    "command=\"echo \\\"hi, you\\\"\",from=\"192.0.2.0/24\",environment=\"A=b c\","
	    "environment=\"A=later\",environment=\"B=\",expiry-time=\"20300101Z\","
	    "expiry-time=\"20291231235959Z\",permitopen=\"host:80\",permitopen=\"[::1]:*\","
	    "permitlisten=\"8080\",principals=\"a,b\",tunnel=\"any\",cert-authority,"
	    "no-touch-required,verify-required,restrict,PTY,x11-forwarding,agent-forwarding";
	struct nacre_key_options options;
	const char *reason = NULL;

	(void)state;
	assert_int_equal(nacre_key_options_parse(nacre_span_of(text), &options, &reason), 0);
	assert_string_equal(options.command, "echo \"hi, you\"");
	assert_string_equal(options.from, "192.0.2.0/24");
	assert_int_equal(options.environment_count, 2);
	assert_string_equal(options.environment[0], "A=b c");
	assert_true(options.valid_before == 1893455999);
	assert_int_equal(options.permit_open_count, 2);
	assert_int_equal(options.permit_listen_count, 1);
	assert_string_equal(options.principals, "a,b");
	assert_int_equal(options.tunnel, INT_MAX);
	assert_true(options.cert_authority && options.no_touch_required && options.verify_required);
	assert_true(options.restricted && options.permit_pty && options.permit_x11_forwarding);
	assert_true(options.permit_agent_forwarding);
	assert_false(options.permit_port_forwarding);
	assert_false(options.permit_user_rc);
	nacre_key_options_free(&options);
}

static void
refuses_bad_options(void **state)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {{"bogus", "unknown key option"}, {"no-pty,bogus=\"x\"", "unknown key option"},
	    {"command", "option needs a value"}, {"command=echo", "missing or open quote"},
	    {"command=\"open", "missing or open quote"},
	    {"command=\"a\",command=\"b\"", "multiple \"command\" clauses"},
	    {"from=\"a\",from=\"b\"", "multiple \"from\" clauses"},
	    {"from=\"192.0.2.1/24\"", "invalid address in \"from\" clause"},
	    {"environment=\"1-x=y\"", "invalid environment string"},
	    {"environment=\"x\"", "invalid environment string"},
	    {"permitopen=\"host\"", "invalid permission hostname"},
	    {"permitopen=\"host:99999\"", "invalid permission hostname"},
	    {"permitlisten=\"x\"", "invalid permission hostname"},
	    {"expiry-time=\"2030\"", "invalid expires time"},
	    {"expiry-time=\"20301301\"", "invalid expires time"},
	    {"tunnel=\"x\"", "invalid tun device"}, {"no-pty,", "unexpected text behind an option"},
	    {"command=\"a\"b", "unexpected text behind an option"}, {",", "unknown key option"}};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct nacre_key_options options;
		const char *reason = NULL;

		assert_int_equal(
		    nacre_key_options_parse(nacre_span_of(cases[i].text), &options, &reason),
		    NACRE_ERROR_FORMAT);
		assert_string_equal(reason, cases[i].reason);
		assert_null(options.command);
	}
}

static void
lets_in_by_host_and_time(void **state)
{
	struct nacre_key_options options;
	const char *reason;

	(void)state;
	assert_int_equal(
	    nacre_key_options_parse(
		nacre_span_of(
		    "from=\"!*.bad.example,*.example,192.0.2.0/24\",expiry-time=\"20300101Z\""),
		&options, &reason),
	    0);
	assert_int_equal(
	    nacre_key_options_allow(&options, "a.example", "203.0.113.1", 1), NACRE_KEY_ALLOWED);
	assert_int_equal(
	    nacre_key_options_allow(&options, "192.0.2.1", "192.0.2.1", 1), NACRE_KEY_ALLOWED);
	assert_int_equal(nacre_key_options_allow(&options, "a.bad.example", "192.0.2.1", 1),
	    NACRE_KEY_NOT_FROM_HOST);
	assert_int_equal(
	    nacre_key_options_allow(&options, "b.net", "203.0.113.1", 1), NACRE_KEY_NOT_FROM_HOST);
	assert_int_equal(nacre_key_options_allow(&options, "a.example", "192.0.2.1", 1893456000),
	    NACRE_KEY_EXPIRED);
	options.source_address = strdup("198.51.100.0/24");
	assert_int_equal(nacre_key_options_allow(&options, "a.example", "192.0.2.1", 1),
	    NACRE_KEY_NOT_FROM_ADDRESS);
	nacre_key_options_free(&options);
}

static void
merges_restrictions(void **state)
{
	struct nacre_key_options line, certificate;
	const char *reason;

	(void)state;
	assert_int_equal(
	    nacre_key_options_parse(nacre_span_of("no-pty,command=\"a\""), &line, &reason), 0);
	assert_int_equal(nacre_key_options_parse(
			     nacre_span_of("no-user-rc,from=\"192.0.2.1\""), &certificate, &reason),
	    0);
	assert_int_equal(nacre_key_options_merge(&line, &certificate, &reason), 0);
	assert_false(line.permit_pty);
	assert_false(line.permit_user_rc);
	assert_true(line.permit_agent_forwarding);
	assert_string_equal(line.from, "192.0.2.1");
	certificate.command = strdup("b");
	assert_int_equal(
	    nacre_key_options_merge(&line, &certificate, &reason), NACRE_ERROR_REFUSED);
	nacre_key_options_free(&line);
	nacre_key_options_free(&certificate);
}

static void
reads_lines(void **state)
{
	struct nacre_authorized_key authorized;
	const char *reason = NULL;

	(void)state;
	assert_int_equal(nacre_authorized_key_parse(
			     nacre_span_of("  command=\"a b\",no-pty  " KEY " me@host here "),
			     &authorized, &reason),
	    0);
	assert_string_equal(authorized.options.command, "a b");
	assert_false(authorized.options.permit_pty);
	assert_string_equal(authorized.comment, "me@host here");
	nacre_authorized_key_free(&authorized);
	assert_int_equal(nacre_authorized_key_parse(nacre_span_of(KEY), &authorized, &reason), 0);
	assert_true(authorized.options.permit_pty);
	assert_null(authorized.comment);
	nacre_authorized_key_free(&authorized);
	assert_int_equal(nacre_authorized_key_parse(nacre_span_of(" # x"), &authorized, &reason),
	    NACRE_ERROR_NOT_FOUND);
	assert_int_equal(
	    nacre_authorized_key_parse(nacre_span_of("bogus " KEY), &authorized, &reason),
	    NACRE_ERROR_FORMAT);
	assert_string_equal(reason, "unknown key option");
	assert_int_equal(
	    nacre_authorized_key_parse(nacre_span_of("ssh-ed25519 AAAA"), &authorized, &reason),
	    NACRE_ERROR_FORMAT);
	assert_string_equal(reason, "invalid key");
}

static void
finds_a_key(void **state)
{
	static const char text[] = "# first\n" OTHER_KEY " other\n"
				   "cert-authority " KEY "\n"
				   "bogus-option " KEY "\n"
				   "command=\"" KEY "\" " OTHER_KEY "\n"
				   "no-pty " KEY " mine\r\n"
				   "\n" KEY;
	struct nacre_authorized_key found;
	struct nacre_buffer notes = {0};
	struct nacre_key *key;
	size_t offset = 0;
	unsigned number = 0;

	(void)state;
	assert_int_equal(nacre_key_from_line(nacre_span_of(KEY), &key, NULL), 0);
	assert_int_equal(nacre_authorized_keys_find(
			     nacre_span_of(text), &offset, &number, key, false, &found, &notes),
	    0);
	assert_int_equal(found.line, 6);
	assert_string_equal(found.comment, "mine");
	assert_false(found.options.permit_pty);
	nacre_authorized_key_free(&found);
	assert_int_equal(nacre_authorized_keys_find(
			     nacre_span_of(text), &offset, &number, key, false, &found, &notes),
	    0);
	assert_int_equal(found.line, 8);
	nacre_authorized_key_free(&found);
	assert_int_equal(nacre_authorized_keys_find(
			     nacre_span_of(text), &offset, &number, key, false, &found, &notes),
	    NACRE_ERROR_NOT_FOUND);
	assert_true(nacre_span_equals(nacre_buffer_span(&notes), "line 4: unknown key option\n"));
	offset = number = 0;
	assert_int_equal(nacre_authorized_keys_find(
			     nacre_span_of(text), &offset, &number, key, true, &found, NULL),
	    0);
	assert_int_equal(found.line, 3);
	nacre_authorized_key_free(&found);
	nacre_buffer_free(&notes);
	nacre_key_free(key);
}

static void
reads_principals(void **state)
{
	struct nacre_key_options options;
	struct nacre_span name;
	const char *reason;

	(void)state;
	assert_int_equal(
	    nacre_authorized_principal_parse(
		nacre_span_of(" no-pty,command=\"a b\"  joe "), &options, &name, &reason),
	    0);
	assert_true(nacre_span_equals(name, "joe"));
	assert_string_equal(options.command, "a b");
	nacre_key_options_free(&options);
	assert_int_equal(
	    nacre_authorized_principal_parse(nacre_span_of("bogus joe"), &options, &name, &reason),
	    NACRE_ERROR_FORMAT);
	assert_int_equal(
	    nacre_authorized_principal_parse(nacre_span_of(""), &options, &name, &reason),
	    NACRE_ERROR_NOT_FOUND);
}

static void
checks_owners_and_modes(void **state)
{
	char folder[] = "/tmp/nacre-test-XXXXXX", inner[64], file[96];
	struct nacre_buffer text = {0}, message = {0};
	int fd;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(inner, sizeof inner, "%s/.ssh", folder);
	snprintf(file, sizeof file, "%s/authorized_keys", inner);
	assert_int_equal(mkdir(inner, 0700), 0);
	fd = open(file, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "text", 4), 4);
	close(fd);
	assert_int_equal(
	    nacre_read_trusted_file(file, folder, getuid(), true, 0, &text, &message), 0);
	assert_true(nacre_span_equals(nacre_buffer_span(&text), "text"));
	assert_int_equal(nacre_read_trusted_file(file, folder, getuid(), true, 3, &text, NULL),
	    NACRE_ERROR_MEMORY);
	assert_int_equal(chmod(file, 0602), 0);
	assert_int_equal(nacre_read_trusted_file(file, folder, getuid(), true, 0, &text, &message),
	    NACRE_ERROR_PERMISSION);
	assert_non_null(strstr((const char *)message.data, "bad ownership or modes for file"));
	assert_int_equal(nacre_read_trusted_file(file, folder, getuid(), false, 0, &text, NULL), 0);
	assert_int_equal(chmod(file, 0600), 0);
	assert_int_equal(chmod(inner, 0707), 0);
	assert_int_equal(nacre_read_trusted_file(file, folder, getuid(), true, 0, &text, NULL),
	    NACRE_ERROR_PERMISSION);
	assert_int_equal(chmod(inner, 0700), 0);
	unlink(file);
	assert_int_equal(mkfifo(file, 0600), 0);
	assert_int_equal(nacre_read_trusted_file(file, folder, getuid(), true, 0, &text, NULL),
	    NACRE_ERROR_PERMISSION);
	unlink(file);
	assert_int_equal(nacre_read_trusted_file(file, folder, getuid(), true, 0, &text, NULL),
	    NACRE_ERROR_SYSTEM);
	rmdir(inner);
	rmdir(folder);
	nacre_buffer_free(&text);
	nacre_buffer_free(&message);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_every_option),
	    cmocka_unit_test(refuses_bad_options),
	    cmocka_unit_test(lets_in_by_host_and_time),
	    cmocka_unit_test(merges_restrictions),
	    cmocka_unit_test(reads_lines),
	    cmocka_unit_test(finds_a_key),
	    cmocka_unit_test(reads_principals),
	    cmocka_unit_test(checks_owners_and_modes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
