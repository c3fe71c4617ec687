/* Unix sockets by their path. */
#include <nacre/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define PATH_MOST (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

static char directory[64];

static int
make_directory(void **state)
{
	(void)state;
	snprintf(directory, sizeof directory, "/tmp/test_socket.XXXXXX");
	return mkdtemp(directory) == NULL;
}

static int
remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

/* A path of "length" bytes in the directory. */
static void
path_make(char *path, size_t length)
{
	snprintf(path, PATH_MOST + 2, "%s/", directory);
	memset(path + strlen(path), 'x', length - strlen(path));
	path[length] = '\0';
}

static void
test_connection(void **state)
{
	char path[PATH_MOST + 2], byte = 0;
	int listening, near, far;

	(void)state;
	path_make(path, PATH_MOST);
	assert_true((listening = nacre_socket_listen_path(path, 0, 1)) >= 0);
	assert_true((near = nacre_socket_connect_path(path, 0)) >= 0);
	assert_true((far = accept(listening, NULL, NULL)) >= 0);
	assert_int_equal(write(near, "x", 1), 1);
	assert_int_equal(read(far, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	assert_int_equal(fcntl(listening, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(near, F_GETFD), FD_CLOEXEC);
	assert_true((fcntl(listening, F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(near, F_GETFL) & O_NONBLOCK) == 0);
	close(near);
	close(far);
	close(listening);
	unlink(path);
}

static void
test_mode(void **state)
{
	static const mode_t masks[] = {0, 0111, 0177, 0777};
	char path[PATH_MOST + 2];
	struct stat status;

	(void)state;
	path_make(path, PATH_MOST);
	mode_t before = umask(027);
	for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
		int fd = nacre_socket_listen_path(path, masks[i], 1);
		assert_true(fd >= 0);
		assert_int_equal(stat(path, &status), 0);
		assert_int_equal(status.st_mode & 07777, 0777 & ~masks[i]);
		close(fd);
		unlink(path);
	}
	assert_int_equal(umask(before), 027);
}

static void
test_failures(void **state)
{
	char path[PATH_MOST + 2];

	(void)state;
	path_make(path, PATH_MOST + 1);
	assert_int_equal(nacre_socket_connect_path(path, 0), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	assert_int_equal(nacre_socket_listen_path(path, 0, 1), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	assert_int_equal(nacre_socket_connect_path("", 0), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	assert_int_equal(nacre_socket_listen_path("", 0, 1), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	path_make(path, PATH_MOST);
	assert_int_equal(nacre_socket_connect_path(path, 0), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(nacre_socket_listen_path("/proc/socket", 0, 1), -1);
	assert_true(errno != 0 && errno != ENAMETOOLONG);
}

static void
test_nobody_listens(void **state)
{
	char path[PATH_MOST + 2];
	int fd;

	(void)state;
	path_make(path, PATH_MOST);
	assert_true((fd = nacre_socket_listen_path(path, 0, 1)) >= 0);
	assert_int_equal(nacre_socket_listen_path(path, 0, 1), -1);
	assert_int_equal(errno, EADDRINUSE);
	close(fd);
	assert_int_equal(nacre_socket_connect_path(path, SOCK_NONBLOCK), -1);
	assert_int_equal(errno, ECONNREFUSED);
	unlink(path);
}

static void
test_full_queue(void **state)
{
	char path[PATH_MOST + 2];
	int listening, fds[8], count = 0;

	(void)state;
	path_make(path, PATH_MOST);
	assert_true((listening = nacre_socket_listen_path(path, 0, 1)) >= 0);
	while (count < 8 && (fds[count] = nacre_socket_connect_path(path, SOCK_NONBLOCK)) >= 0)
		count++;
	assert_int_equal(errno, EAGAIN);
	assert_in_range(count, 1, 7);
	while (count > 0)
		close(fds[--count]);
	close(listening);
	unlink(path);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_connection),
	    cmocka_unit_test(test_mode),
	    cmocka_unit_test(test_failures),
	    cmocka_unit_test(test_nobody_listens),
	    cmocka_unit_test(test_full_queue),
	};

	return cmocka_run_group_tests_name("socket", tests, make_directory, remove_directory);
}
