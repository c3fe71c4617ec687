/* Terminal modes: there and back, RFC 4254 section 8 by hand, and hostile input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <nacre/terminal_modes.h>

static int
apply(struct termios *termios, const char *bytes, size_t length)
{
	struct nacre_span modes = {(const uint8_t *)bytes, length};

	return nacre_terminal_modes_apply(modes, termios);
}

static void
test_there_and_back(void **state)
{
	struct termios from = {.c_iflag = ICRNL | IXON | IUTF8,
	    .c_oflag = OPOST | ONLCR,
	    .c_cflag = CS7 | PARENB,
	    .c_lflag = ISIG | ICANON | ECHO | ECHOE | IEXTEN};
	struct termios to = {.c_iflag = INLCR, .c_lflag = ECHOK, .c_cflag = CS8 | CREAD};
	struct nacre_buffer modes = {0};

	(void)state;
	from.c_cc[VINTR] = 3;
	from.c_cc[VSTART] = 17;
	from.c_cc[VEOL] = _POSIX_VDISABLE;
	to.c_cc[VEOL] = 7;
	cfsetispeed(&from, B115200); /* one speed for both: this system has no more */
	cfsetospeed(&from, B115200);
	nacre_terminal_modes_encode(&from, &modes);
	assert_false(modes.failed);
	assert_int_equal(nacre_terminal_modes_apply(nacre_buffer_span(&modes), &to), 0);
	assert_int_equal(to.c_iflag, from.c_iflag);
	assert_int_equal(to.c_oflag, from.c_oflag);
	assert_int_equal(to.c_lflag, from.c_lflag);
	assert_int_equal(to.c_cflag & (CSIZE | PARENB | PARODD), CS7 | PARENB);
	assert_true(to.c_cflag & CREAD); /* not a mode of the protocol */
	assert_int_equal(to.c_cc[VINTR], 3);
	assert_int_equal(to.c_cc[VSTART], 17);
	assert_int_equal(to.c_cc[VEOL], _POSIX_VDISABLE);
	assert_int_equal(cfgetispeed(&to), B115200);
	assert_int_equal(cfgetospeed(&to), B115200);
	nacre_buffer_free(&modes);
}

static void
test_by_hand(void **state)
{
	struct termios termios = {.c_lflag = ECHO | ICANON};

	(void)state;
	/* VINTR 255: none; ECHO 0; ISIG 1; IUTF8 1; output speed 38400; end; then what is
	 * not read */
	assert_int_equal(apply(&termios,
			     "\x01\0\0\0\xff"
			     "\x35\0\0\0\0"
			     "\x32\0\0\0\x01"
			     "\x2a\0\0\0\x01"
			     "\x81\0\0\x96\0"
			     "\0"
			     "\x35\0\0\0\x01",
			     31),
	    0);
	assert_int_equal(termios.c_lflag, ICANON | ISIG);
	assert_int_equal(termios.c_iflag, IUTF8);
	assert_int_equal(termios.c_cc[VINTR], _POSIX_VDISABLE);
	assert_int_equal(cfgetospeed(&termios), B38400);
}

static void
test_hostile(void **state)
{
	struct termios termios = {0}, before = {0};

	(void)state;
	assert_int_equal(apply(&termios, "", 0), 0);
	assert_int_equal(apply(&termios, "\x35\0\0", 3), NACRE_ERROR_FORMAT);
	assert_int_equal(apply(&termios, "\x35", 1), NACRE_ERROR_FORMAT);
	/* An opcode from 160 on ends the list; unknown ones below are skipped. */
	assert_int_equal(apply(&termios, "\xa0\x35\0\0\0\x01", 6), 0);
	assert_memory_equal(&termios, &before, sizeof termios);
	assert_int_equal(apply(&termios, "\x7f\xff\xff\xff\xff\x35\0\0\0\x01", 10), 0);
	assert_int_equal(termios.c_lflag, ECHO);
	/* Every opcode with every kind of argument. */
	for (int opcode = 0; opcode < 256; opcode++)
		for (int argument = 0; argument < 256; argument += 51) {
			char modes[5] = {(char)opcode, (char)argument, (char)argument,
			    (char)argument, (char)argument};

			assert_int_equal(apply(&termios, modes, 5), 0);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_there_and_back),
	    cmocka_unit_test(test_by_hand),
	    cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
