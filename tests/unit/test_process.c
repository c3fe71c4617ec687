/* What passes between processes, and how a child is started. */
#include <nacre/process.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void
test_bytes_and_descriptors(void **state)
{
	int pair[2], ends[2], fds[NACRE_PROCESS_DESCRIPTORS];
	size_t count = NACRE_PROCESS_DESCRIPTORS;
	uint8_t received[5];
	char text[4] = "";

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(
	    nacre_process_send(pair[0], (struct nacre_span){(const uint8_t *)"hello", 5}, ends, 2),
	    0);
	assert_int_equal(nacre_process_receive(pair[1], received, 5, fds, &count), 0);
	assert_memory_equal(received, "hello", 5);
	assert_int_equal(count, 2);
	assert_true((fcntl(fds[0], F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(write(fds[1], "yes", 3), 3);
	assert_int_equal(read(ends[0], text, 3), 3);
	assert_string_equal(text, "yes");
	close(pair[0]);
	count = 0;
	assert_int_equal(
	    nacre_process_receive(pair[1], received, 1, fds, &count), NACRE_ERROR_CLOSED);
	close(pair[1]);
	for (int i = 0; i < 2; i++) {
		close(ends[i]);
		close(fds[i]);
	}
}

/* Descriptors that nobody asked for do not stay open. */
static void
test_unwanted_descriptors(void **state)
{
	int pair[2], before, after, null = open("/dev/null", O_RDONLY);
	uint8_t byte;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	before = dup(0);
	close(before);
	assert_int_equal(
	    nacre_process_send(pair[0], (struct nacre_span){(const uint8_t *)"x", 1}, &null, 1), 0);
	assert_int_equal(nacre_process_receive(pair[1], &byte, 1, NULL, NULL), 0);
	after = dup(0);
	assert_int_equal(before, after);
	close(after);
	close(null);
	close(pair[0]);
	close(pair[1]);
}

static void
test_memory_file(void **state)
{
	struct nacre_buffer content = {0};
	int fd;

	(void)state;
	assert_int_equal(nacre_process_memory_file("test", nacre_span_of("content"), &fd), 0);
	assert_int_equal(write(fd, "x", 1), -1); /* sealed */
	assert_int_equal(nacre_process_read_file(fd, 100, &content), 0);
	assert_true(nacre_span_equals(nacre_buffer_span(&content), "content"));
	nacre_buffer_clear(&content);
	assert_int_equal(nacre_process_read_file(fd, 3, &content), NACRE_ERROR_MEMORY);
	nacre_buffer_free(&content);
	close(fd);
}

static int
start(const char *path, const char *script, const char *directory, int output)
{
	char shell[] = "sh", option[] = "-c", variable[] = "VALUE=given";
	char *arguments[] = {shell, option, (char *)script, NULL};
	char *environment[] = {variable, NULL};
	const struct nacre_process_start child = {.path = path,
	    .arguments = arguments,
	    .environment = environment,
	    .directory = directory,
	    .input = -1,
	    .output = output,
	    .error = output,
	    .new_session = true,
	    .keep = -1};
	int status = -1;
	pid_t pid = nacre_process_start(&child);

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
test_start(void **state)
{
	int ends[2];
	char text[200] = "";

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(start("/bin/sh", "echo $VALUE $PWD; exit 3", "/tmp", ends[1]), 3);
	assert_int_equal(read(ends[0], text, sizeof text - 1), 11);
	assert_string_equal(text, "given /tmp\n");
	/* Only 0 to 2 are open in it. */
	assert_int_equal(
	    start("/bin/sh", "[ ! -e /proc/self/fd/9 ] && [ ! -e /proc/$$/fd/3 ]", NULL, ends[1]),
	    0);
	memset(text, 0, sizeof text);
	assert_int_equal(start("/nonexistent", "", NULL, ends[1]), 255);
	assert_true(read(ends[0], text, sizeof text - 1) > 0);
	assert_string_equal(text, "/nonexistent: No such file or directory\n");
	close(ends[0]);
	close(ends[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bytes_and_descriptors),
	    cmocka_unit_test(test_unwanted_descriptors),
	    cmocka_unit_test(test_memory_file),
	    cmocka_unit_test(test_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
