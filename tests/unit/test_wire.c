/* The data types of RFC 4251 section 5: what is written is read, what is hostile fails. */
#include <nacre/wire.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void
encodes_and_decodes(void **state)
{
	struct nacre_buffer buffer = {0};
	struct nacre_reader reader;
	size_t mark;

	(void)state;
	nacre_put_byte(&buffer, 7);
	nacre_put_boolean(&buffer, true);
	nacre_put_u32(&buffer, 0xdeadbeef);
	nacre_put_u64(&buffer, 0x0123456789abcdef);
	nacre_put_cstring(&buffer, "testing");
	mark = nacre_put_string_begin(&buffer);
	nacre_put_format(&buffer, "%d-%s", 42, "x");
	nacre_put_string_end(&buffer, mark);
	assert_false(buffer.failed);

	reader = nacre_reader_of(nacre_buffer_span(&buffer));
	assert_int_equal(nacre_get_byte(&reader), 7);
	assert_true(nacre_get_boolean(&reader));
	assert_int_equal(nacre_get_u32(&reader), 0xdeadbeef);
	assert_true(nacre_get_u64(&reader) == 0x0123456789abcdef);
	assert_true(nacre_span_equals(nacre_get_string(&reader), "testing"));
	assert_true(nacre_span_equals(nacre_get_string(&reader), "42-x"));
	assert_true(nacre_reader_done(&reader));
	nacre_buffer_free(&buffer);
}

/* The examples of RFC 4251 section 5, and leading zeros. */
static void
mpints_of_the_standard(void **state)
{
	static const struct {
		const char *magnitude;
		size_t magnitude_length;
		const char *wire;
		size_t wire_length;
	} rows[] = {
	    {"", 0, "\0\0\0\0", 4},
	    {"\x09\xa3\x78\xf9\xb2\xe3\x32\xa7", 8, "\0\0\0\x08\x09\xa3\x78\xf9\xb2\xe3\x32\xa7",
		12},
	    {"\x80", 1, "\0\0\0\x02\0\x80", 6},
	    {"\0\0\x80", 3, "\0\0\0\x02\0\x80", 6},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct nacre_buffer buffer = {0};
		struct nacre_reader reader;
		struct nacre_span value;

		nacre_put_mpint(
		    &buffer, (const uint8_t *)rows[i].magnitude, rows[i].magnitude_length);
		assert_int_equal(nacre_buffer_length(&buffer), rows[i].wire_length);
		assert_memory_equal(
		    nacre_buffer_span(&buffer).data, rows[i].wire, rows[i].wire_length);
		reader = nacre_reader_of(nacre_buffer_span(&buffer));
		value = nacre_get_mpint(&reader);
		assert_true(nacre_reader_done(&reader));
		assert_memory_equal(value.data,
		    rows[i].magnitude + rows[i].magnitude_length - value.length, value.length);
		nacre_buffer_free(&buffer);
	}
}

static void
hostile_mpints_fail(void **state)
{
	static const struct {
		const char *wire;
		size_t length;
	} rows[] = {
	    {"\0\0\0\x02\xed\xcc", 6},   /* negative */
	    {"\0\0\0\x02\0\x7f", 6},     /* superfluous zero */
	    {"\0\0\0\x01\0", 5},         /* zero is empty */
	    {"\0\0\0\x05\x01", 5},       /* truncated */
	    {"\xff\xff\xff\xff\x01", 5}, /* absurd */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct nacre_reader reader = nacre_reader_of(
		    (struct nacre_span){(const uint8_t *)rows[i].wire, rows[i].length});

		assert_int_equal(nacre_get_mpint(&reader).length, 0);
		assert_true(reader.failed);
	}
}

static void
truncation_is_sticky(void **state)
{
	static const uint8_t bytes[] = {0, 0, 0, 9, 'a', 'b', 1, 1, 1, 1};
	struct nacre_reader reader = nacre_reader_of((struct nacre_span){bytes, sizeof bytes});

	(void)state;
	assert_int_equal(nacre_get_string(&reader).length, 0);
	assert_int_equal(nacre_get_u32(&reader), 0);
	assert_int_equal(nacre_get_byte(&reader), 0);
	assert_false(nacre_reader_done(&reader));
}

static void
buffers_keep_their_limit(void **state)
{
	struct nacre_buffer buffer = {.limit = 10};

	(void)state;
	nacre_put_bytes(&buffer, "0123456789", 10);
	assert_false(buffer.failed);
	nacre_buffer_consume(&buffer, 4);
	nacre_put_bytes(&buffer, "abcd", 4);
	assert_false(buffer.failed);
	assert_memory_equal(nacre_buffer_span(&buffer).data, "456789abcd", 10);
	nacre_put_byte(&buffer, 0);
	assert_true(buffer.failed);
	nacre_put_bytes(&buffer, "x", 1);
	assert_int_equal(nacre_buffer_length(&buffer), 10);
	nacre_buffer_free(&buffer);
	assert_false(buffer.failed);
}

/* A reader that is slower than the writer: the queue stays long, and is not copied for each piece. */
static void
long_queues_are_seldom_moved(void **state)
{
	static uint8_t piece[32768];
	struct nacre_buffer buffer = {0};
	unsigned moves = 0;

	(void)state;
	/* Filled to the brim. */
	while (buffer.end < 64 * sizeof piece || buffer.capacity - buffer.end >= sizeof piece)
		nacre_put_bytes(&buffer, piece, sizeof piece);
	const size_t full = buffer.capacity;
	for (unsigned i = 0; i < 2000; i++) {
		const size_t length = nacre_buffer_length(&buffer);

		nacre_buffer_consume(&buffer, sizeof piece);
		size_t end = buffer.end;
		nacre_put_bytes(&buffer, piece, sizeof piece);
		moves += buffer.end != end + sizeof piece;
		assert_int_equal(nacre_buffer_length(&buffer), length);
	}
	assert_false(buffer.failed);
	assert_true(moves < 2000 / 10);
	assert_true(buffer.capacity < 3 * full);
	nacre_buffer_free(&buffer);
}

static void
base64_both_ways(void **state)
{
	struct nacre_buffer text = {0}, bytes = {0};

	(void)state;
	nacre_put_base64(&text, nacre_span_of("foobar!"));
	assert_true(nacre_span_equals(nacre_buffer_span(&text), "Zm9vYmFyIQ=="));
	assert_int_equal(nacre_get_base64(nacre_buffer_span(&text), &bytes), 0);
	assert_true(nacre_span_equals(nacre_buffer_span(&bytes), "foobar!"));
	assert_int_equal(
	    nacre_get_base64(nacre_span_of("Zm9vYmFyIQ="), &bytes), NACRE_ERROR_FORMAT);
	assert_int_equal(nacre_get_base64(nacre_span_of("Zm9v YmFy"), &bytes), NACRE_ERROR_FORMAT);
	nacre_buffer_free(&text);
	nacre_buffer_free(&bytes);
}

static void
name_lists(void **state)
{
	struct nacre_span list = nacre_span_of("aes128-ctr,,zlib,none");

	(void)state;
	assert_true(nacre_list_contains(list, nacre_span_of("zlib")));
	assert_false(nacre_list_contains(list, nacre_span_of("zli")));
	assert_true(nacre_span_equals(nacre_list_next(&list), "aes128-ctr"));
	assert_true(nacre_span_equals(nacre_list_next(&list), "zlib"));
	assert_true(nacre_span_equals(nacre_list_next(&list), "none"));
	assert_int_equal(nacre_list_next(&list).length, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(encodes_and_decodes),
	    cmocka_unit_test(mpints_of_the_standard),
	    cmocka_unit_test(hostile_mpints_fail),
	    cmocka_unit_test(truncation_is_sticky),
	    cmocka_unit_test(buffers_keep_their_limit),
	    cmocka_unit_test(long_queues_are_seldom_moved),
	    cmocka_unit_test(base64_both_ways),
	    cmocka_unit_test(name_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
