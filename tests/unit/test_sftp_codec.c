/* SFTP attributes and status codes, and the lines of the rcp protocol. */
#include <nacre/rcp.h>
#include <nacre/sftp.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void
attributes_come_back(void **state)
{
	const struct nacre_sftp_attributes sent = {
	    .flags = NACRE_SFTP_ATTR_SIZE | NACRE_SFTP_ATTR_OWNER | NACRE_SFTP_ATTR_PERMISSIONS |
		     NACRE_SFTP_ATTR_TIMES,
	    .size = 0x123456789abcULL,
	    .uid = 1000,
	    .gid = 100,
	    .permissions = 0100644,
	    .atime = 1,
	    .mtime = 0xfffffffe,
	};
	struct nacre_sftp_attributes got;
	struct nacre_buffer buffer = {0};
	struct nacre_reader reader;

	(void)state;
	nacre_sftp_put_attributes(&buffer, &sent);
	assert_int_equal(nacre_buffer_length(&buffer), 4 + 8 + 8 + 4 + 8);
	reader = nacre_reader_of(nacre_buffer_span(&buffer));
	nacre_sftp_get_attributes(&reader, &got);
	assert_true(nacre_reader_done(&reader));
	assert_int_equal(got.flags, sent.flags);
	assert_true(got.size == sent.size);
	assert_int_equal(got.uid, sent.uid);
	assert_int_equal(got.gid, sent.gid);
	assert_int_equal(got.permissions, sent.permissions);
	assert_int_equal(got.atime, sent.atime);
	assert_true(got.mtime == sent.mtime);
	nacre_buffer_free(&buffer);
}

static void
truncated_attributes_fail(void **state)
{
	static const uint8_t bytes[] = {0, 0, 0, 0x0f, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0,
	    2, 0, 0, 0x81, 0xa4, 0, 0, 0, 3, 0, 0, 0, 4};

	(void)state;
	for (size_t length = 0; length < sizeof bytes; length++) {
		struct nacre_reader reader = nacre_reader_of((struct nacre_span){bytes, length});
		struct nacre_sftp_attributes got;

		nacre_sftp_get_attributes(&reader, &got);
		assert_true(reader.failed);
		assert_int_equal(got.flags, 0);
	}
}

static void
extended_pairs_are_bounded(void **state)
{
	/* Claims 2^32-1 pairs and brings one. */
	static const uint8_t lying[] = {
	    0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 'a', 0, 0, 0, 1, 'b'};
	static const uint8_t honest[] = {
	    0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 'a', 0, 0, 0, 1, 'b'};
	struct nacre_sftp_attributes got;
	struct nacre_reader reader = nacre_reader_of((struct nacre_span){lying, sizeof lying});

	(void)state;
	nacre_sftp_get_attributes(&reader, &got);
	assert_true(reader.failed);
	reader = nacre_reader_of((struct nacre_span){honest, sizeof honest});
	nacre_sftp_get_attributes(&reader, &got);
	assert_true(nacre_reader_done(&reader));
}

static void
times_are_clamped(void **state)
{
	struct stat status = {.st_mtime = -5, .st_atime = (time_t)1 << 40};
	struct nacre_sftp_attributes attributes;

	(void)state;
	nacre_sftp_attributes_of_stat(&status, &attributes);
	assert_int_equal(attributes.mtime, 0);
	assert_int_equal(attributes.atime, UINT32_MAX);
}

static void
statuses_have_words(void **state)
{
	(void)state;
	assert_string_equal(nacre_sftp_status_string(NACRE_SFTP_OK), "Success");
	assert_string_equal(nacre_sftp_status_string(NACRE_SFTP_EOF), "End of file");
	assert_string_equal(nacre_sftp_status_string(4711), "Unknown status");
}

static int
parse(const char *line, struct nacre_rcp_message *message)
{
	return nacre_rcp_parse(nacre_span_of(line), message);
}

static void
rcp_lines_are_read(void **state)
{
	struct nacre_rcp_message message;

	(void)state;
	assert_int_equal(parse("C0644 2048 a name", &message), 0);
	assert_int_equal(message.kind, NACRE_RCP_FILE);
	assert_int_equal(message.mode, 0644);
	assert_int_equal(message.size, 2048);
	assert_true(nacre_span_equals(message.name, "a name"));
	assert_int_equal(parse("D0755 0 sub", &message), 0);
	assert_int_equal(message.kind, NACRE_RCP_DIRECTORY);
	assert_int_equal(parse("E", &message), 0);
	assert_int_equal(parse("T1700000000 500000 1600000000 0", &message), 0);
	assert_int_equal(message.modified.tv_sec, 1700000000);
	assert_int_equal(message.modified.tv_nsec, 500000000);
	assert_int_equal(message.accessed.tv_sec, 1600000000);
}

static void
rcp_attacks_are_refused(void **state)
{
	static const char *const names[] = {"C0644 1 ../x", "C0644 1 /etc/passwd", "D0755 0 ..",
	    "D0755 0 .", "C0644 1 a/b", "C0644 1 "};
	static const char *const malformed[] = {"", "C", "C0644", "C0644 x y", "C9999 1 a",
	    "C644 1 a", "C0644 -1 a", "C0644 99999999999999999999 a", "C0644 9223372036854775808 a",
	    "Ex", "T1 2 3", "T1 1000000 1 0", "T1 0 1 0 ", "Z", "Welcome!"};
	struct nacre_rcp_message message;

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		assert_int_equal(parse(names[i], &message), NACRE_ERROR_REFUSED);
	for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
		assert_int_equal(parse(malformed[i], &message), NACRE_ERROR_FORMAT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(attributes_come_back),
	    cmocka_unit_test(truncated_attributes_fail),
	    cmocka_unit_test(extended_pairs_are_bounded),
	    cmocka_unit_test(times_are_clamped),
	    cmocka_unit_test(statuses_have_words),
	    cmocka_unit_test(rcp_lines_are_read),
	    cmocka_unit_test(rcp_attacks_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
