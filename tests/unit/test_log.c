/* Log lines as JSON objects: what hostile text becomes, and that an object stays within its bounds. */
#include <nacre/log.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The object with "message" for its text, from its message on. */
static char *
message_of(struct nacre_span message)
{
	struct nacre_buffer json = {0};
	const struct nacre_log_object object = {
	    .program = "p", .level = "info", .event = "log", .message = message};

	nacre_log_put_object(&json, &object);
	assert_in_range(nacre_buffer_length(&json), 1, NACRE_LOG_OBJECT_MOST);
	char *text = nacre_span_to_string(nacre_buffer_span(&json));
	assert_non_null(text);
	nacre_buffer_free(&json);
	char *start = strstr(text, ",\"message\":");
	assert_non_null(start);
	char *copy = strdup(start + 11);
	free(text);
	return copy;
}

static void
expect_message(const char *message, size_t length, const char *json)
{
	char *text = message_of((struct nacre_span){(const uint8_t *)message, length});

	assert_string_equal(text, json);
	free(text);
}

static void
test_escapes(void **state)
{
	(void)state;
	expect_message("plain", 5, "\"plain\"}");
	expect_message("a\"b\\c/", 6, "\"a\\\"b\\\\c/\"}");
	expect_message("\n\t\0\x1b[m\x7f", 7, "\"\\u000a\\u0009\\u0000\\u001b[m\\u007f\"}");
	expect_message("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x9f", 14,
	    "\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x9f\"}");
	/* Direction marks, C1 controls, line separators. */
	expect_message("\xe2\x80\xae\xc2\x9b\xe2\x80\xa8", 8, "\"\\u202e\\u009b\\u2028\"}");
}

static void
test_what_is_not_utf8(void **state)
{
	(void)state;
	expect_message("\xff", 1, "\"\\ufffd\"}");
	expect_message("\xc3", 1, "\"\\ufffd\"}");
	expect_message("\xc3\"", 2, "\"\\ufffd\\\"\"}");
	expect_message("\xc0\xaf", 2, "\"\\ufffd\\ufffd\"}");                       /* overlong */
	expect_message("\xed\xa0\x80", 3, "\"\\ufffd\\ufffd\\ufffd\"}");            /* surrogate */
	expect_message("\xf4\x90\x80\x80", 4, "\"\\ufffd\\ufffd\\ufffd\\ufffd\"}"); /* too large */
	expect_message("\xe0\x9f\xbf", 3, "\"\\ufffd\\ufffd\\ufffd\"}");            /* overlong */
}

static void
test_long_texts_are_cut(void **state)
{
	static char text[20000];
	struct nacre_buffer json = {0};
	struct nacre_log_field fields[8];

	(void)state;
	memset(text, 1, sizeof text - 1); /* six bytes each */
	for (size_t i = 0; i < 8; i++)
		fields[i] = nacre_field_text("name", text);
	const struct nacre_log_object object = {.program = "p",
	    .level = "info",
	    .event = "log",
	    .fields = fields,
	    .field_count = 8,
	    .message = nacre_span_of(text)};
	nacre_log_put_object(&json, &object);
	struct nacre_span span = nacre_buffer_span(&json);
	assert_in_range(span.length, 7000, NACRE_LOG_OBJECT_MOST);
	assert_memory_equal(span.data + span.length - 19, "\",\"truncated\":true}", 18);
	nacre_buffer_free(&json);
}

static void
test_fields(void **state)
{
	struct nacre_buffer json = {0};
	bool truncated = false;
	const struct nacre_log_field fields[] = {
	    nacre_field_text("a", "b"),
	    nacre_field_text("absent", NULL),
	    nacre_field_number("n", UINT64_MAX),
	    nacre_field_boolean("t", true),
	    nacre_field_boolean("f", false),
	    nacre_field_text("empty", ""),
	};

	(void)state;
	nacre_log_put_fields(&json, fields, sizeof fields / sizeof fields[0], &truncated);
	nacre_put_byte(&json, 0);
	assert_string_equal((const char *)json.data,
	    ",\"a\":\"b\",\"n\":18446744073709551615,\"t\":true,\"f\":false,\"empty\":\"\"");
	assert_false(truncated);
	nacre_buffer_free(&json);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_escapes),
	    cmocka_unit_test(test_what_is_not_utf8),
	    cmocka_unit_test(test_long_texts_are_cut),
	    cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
