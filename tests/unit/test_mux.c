/* Messages of shared connections, and their descriptors over a real socket. */
#include <nacre/mux.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define SPAN(text) ((struct nacre_span){(const uint8_t *)(text), sizeof(text) - 1})

static void
assert_span(struct nacre_span span, const char *text)
{
	assert_int_equal(span.length, strlen(text));
	assert_memory_equal(span.data, text, span.length);
}

/* A request for a session as OpenSSH 9.2's client was seen to send it. */
static const char session_bytes[] =
    "\0\0\0\x49\x10\0\0\2\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\x7e"
    "\0\0\0\5xterm\0\0\0\x0f"
    "echo hi; exit 3\0\0\0\x09NACRE_X=1";

static void
test_session_as_seen(void **state)
{
	struct nacre_span input = SPAN(session_bytes), packet;
	struct nacre_mux_message message;
	struct nacre_buffer again = {0};
	int error;

	(void)state;
	assert_true(nacre_mux_packet(&input, &packet, &error));
	assert_int_equal(input.length, 0);
	assert_int_equal(nacre_mux_decode(packet, &message), 0);
	assert_int_equal(message.kind, NACRE_MUX_NEW_SESSION);
	assert_int_equal(message.id, 1);
	assert_false(message.session.terminal);
	assert_false(message.session.x11);
	assert_true(message.session.agent);
	assert_false(message.session.subsystem);
	assert_int_equal(message.session.escape, '~');
	assert_span(message.session.term, "xterm");
	assert_span(message.session.command, "echo hi; exit 3");
	assert_int_equal(message.rest.length, 13);
	nacre_mux_put(&again, &message);
	assert_int_equal(nacre_buffer_length(&again), sizeof session_bytes - 1);
	assert_memory_equal(
	    nacre_buffer_span(&again).data, session_bytes, sizeof session_bytes - 1);
	nacre_buffer_free(&again);
}

/* The same for a forwarding of a Unix socket. */
static void
test_forward_as_seen(void **state)
{
	static const char bytes[] = "\x10\0\0\6\0\0\0\0\0\0\0\1\0\0\0\5/tmp/\xff\xff\xff\xfe"
				    "\0\0\0\4host\0\0\0\x16";
	struct nacre_mux_message message;

	(void)state;
	assert_int_equal(nacre_mux_decode(SPAN(bytes), &message), 0);
	assert_int_equal(message.forward.direction, NACRE_MUX_FORWARD_LOCAL);
	assert_span(message.forward.listen_host, "/tmp/");
	assert_int_equal(message.forward.listen_port, NACRE_MUX_PORT_PATH);
	assert_span(message.forward.connect_host, "host");
	assert_int_equal(message.forward.connect_port, 22);
}

static void
test_cut_short_or_too_long(void **state)
{
	const struct nacre_span packet = {
	    (const uint8_t *)session_bytes + 4, sizeof session_bytes - 5};
	struct nacre_mux_message message;

	(void)state;
	/* Without its environment it is complete, and cut inside of that it is not. */
	for (size_t length = 0; length < packet.length; length++)
		assert_int_equal(
		    nacre_mux_decode((struct nacre_span){packet.data, length}, &message),
		    length == packet.length - 13 ? 0 : NACRE_ERROR_FORMAT);
	assert_int_equal(
	    nacre_mux_decode(SPAN("\x10\0\0\4\0\0\0\0\0"), &message), NACRE_ERROR_FORMAT);
}

static void
test_unknown(void **state)
{
	struct nacre_mux_message message;

	(void)state;
	assert_int_equal(
	    nacre_mux_decode(SPAN("\x10\0\0\x77\0\0\0\5junk"), &message), NACRE_ERROR_UNSUPPORTED);
	assert_int_equal(message.kind, 0x10000077);
	assert_int_equal(message.id, 5);
	assert_int_equal(nacre_mux_descriptors(message.kind), 0);
	assert_int_equal(nacre_mux_decode(SPAN("\x10\0\0\x77"), &message), NACRE_ERROR_UNSUPPORTED);
}

static void
test_packets(void **state)
{
	static const char bytes[] = "\0\0\0\2ab\0\0\0\0\0\0\0\3cd";
	struct nacre_span input = SPAN(bytes), packet;
	int error;

	(void)state;
	assert_true(nacre_mux_packet(&input, &packet, &error));
	assert_span(packet, "ab");
	assert_true(nacre_mux_packet(&input, &packet, &error));
	assert_int_equal(packet.length, 0);
	assert_false(nacre_mux_packet(&input, &packet, &error));
	assert_int_equal(error, 0);
	input = SPAN("\0\4\0\1");
	assert_false(nacre_mux_packet(&input, &packet, &error));
	assert_int_equal(error, NACRE_ERROR_FORMAT);
}

static void
test_extension(void **state)
{
	struct nacre_mux_message hello;
	struct nacre_span value;

	(void)state;
	/* As OpenSSH 10.6's master was seen to send it. */
	assert_int_equal(nacre_mux_decode(SPAN("\0\0\0\1\0\0\0\4\0\0\0\4info\0\0\0\1"
					       "0"),
			     &hello),
	    0);
	assert_int_equal(hello.value, NACRE_MUX_VERSION);
	assert_true(nacre_mux_extension(hello.rest, NACRE_MUX_INFO_EXTENSION, &value));
	assert_span(value, NACRE_MUX_INFO_VERSION);
	assert_false(nacre_mux_extension(hello.rest, "other", &value));
}

/* Sockets ------------------------------------------------------------------------------------- */

static void
join(struct nacre_mux_socket *a, struct nacre_mux_socket *b)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	*a = (struct nacre_mux_socket){.fd = ends[0]};
	*b = (struct nacre_mux_socket){.fd = ends[1]};
}

static void
put(struct nacre_buffer *packets, uint32_t kind, uint32_t id)
{
	const struct nacre_mux_message message = {.kind = kind, .id = id};

	nacre_mux_put(packets, &message);
}

/* Several messages, and three descriptors behind the last: each is what it was. */
static void
test_descriptors(void **state)
{
	struct nacre_mux_socket sender, receiver;
	struct nacre_mux_message message;
	struct nacre_buffer packets = {0};
	int given[3], taken[NACRE_MUX_DESCRIPTORS], ends[2];
	char byte = 0;

	(void)state;
	join(&sender, &receiver);
	assert_int_equal(pipe(ends), 0);
	given[0] = ends[0];
	given[1] = given[2] = ends[1];
	put(&packets, NACRE_MUX_ALIVE_CHECK, 0);
	put(&packets, NACRE_MUX_NEW_SESSION, 1);
	assert_int_equal(nacre_mux_send(&sender, nacre_buffer_span(&packets), given, 3), 0);
	assert_true(nacre_mux_receive(&receiver, true) > 0);
	assert_int_equal(nacre_mux_take(&receiver, &message, taken), 1);
	assert_int_equal(message.kind, NACRE_MUX_ALIVE_CHECK);
	while (nacre_mux_take(&receiver, &message, taken) == 0)
		assert_true(nacre_mux_receive(&receiver, true) > 0);
	assert_int_equal(message.kind, NACRE_MUX_NEW_SESSION);
	assert_int_equal(message.id, 1);
	for (int i = 0; i < 3; i++)
		assert_true((fcntl(taken[i], F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(write(taken[1], "x", 1), 1);
	assert_int_equal(read(taken[0], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	for (int i = 0; i < 3; i++)
		close(taken[i]);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(nacre_mux_take(&receiver, &message, taken), 0);
	nacre_mux_close(&sender);
	assert_int_equal(nacre_mux_receive(&receiver, true), NACRE_ERROR_CLOSED);
	nacre_mux_close(&receiver);
	nacre_buffer_free(&packets);
}

/* Bytes where descriptors belong. */
static void
test_descriptors_missing(void **state)
{
	struct nacre_mux_socket sender, receiver;
	struct nacre_mux_message message;
	struct nacre_buffer packets = {0};
	int taken[NACRE_MUX_DESCRIPTORS];

	(void)state;
	join(&sender, &receiver);
	put(&packets, NACRE_MUX_STDIO_FORWARD, 1);
	nacre_put_bytes(&packets, "\0\0", 2);
	assert_int_equal(nacre_mux_send(&sender, nacre_buffer_span(&packets), NULL, 0), 0);
	assert_true(nacre_mux_receive(&receiver, true) > 0);
	assert_int_equal(nacre_mux_take(&receiver, &message, taken), NACRE_ERROR_FORMAT);
	nacre_mux_close(&sender);
	nacre_mux_close(&receiver);
	nacre_buffer_free(&packets);
}

/* Nobody can make the master keep descriptors without end. */
static void
test_descriptor_flood(void **state)
{
	struct nacre_mux_socket sender, receiver;
	const int given[3] = {STDIN_FILENO, STDIN_FILENO, STDIN_FILENO};
	ssize_t got = 1;

	(void)state;
	join(&sender, &receiver);
	for (int i = 0; i < 3; i++)
		assert_int_equal(nacre_mux_send(&sender, (struct nacre_span){0}, given, 3), 0);
	for (int i = 0; i < 9 && got > 0; i++)
		got = nacre_mux_receive(&receiver, true);
	assert_int_equal(got, NACRE_ERROR_CLOSED);
	nacre_mux_close(&sender);
	nacre_mux_close(&receiver);
}

static void
test_connect(void **state)
{
	char path[200] = "/tmp/nacre-test-mux-is-not-there";
	struct nacre_mux_socket control;

	(void)state;
	assert_int_equal(nacre_mux_connect(path, &control), NACRE_ERROR_NOT_FOUND);
	memset(path, 'x', sizeof path - 1);
	assert_int_equal(nacre_mux_connect(path, &control), NACRE_ERROR_ARGUMENT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_session_as_seen),
	    cmocka_unit_test(test_forward_as_seen),
	    cmocka_unit_test(test_cut_short_or_too_long),
	    cmocka_unit_test(test_unknown),
	    cmocka_unit_test(test_packets),
	    cmocka_unit_test(test_extension),
	    cmocka_unit_test(test_descriptors),
	    cmocka_unit_test(test_descriptors_missing),
	    cmocka_unit_test(test_descriptor_flood),
	    cmocka_unit_test(test_connect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
