/* The sandbox, from inside: what a confined process tries and what becomes of it. */
#include <nacre/process.h>
#include <nacre/sandbox.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef NACRE_SANITIZED /* the sanitizers make calls and maps of their own */
#define CONFINABLE 0
#else
#define CONFINABLE 1
#endif

/* Runs "attempt" in a confined child; returns waitpid()'s status. The attempt returns 0 when it was
 * let through. */
static int
confined(int (*attempt)(void))
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		const struct nacre_sandbox sandbox = {
		    .descriptor_limit = 64, .memory_limit = 64 * 1024 * 1024};
		const char *step;
		if (nacre_sandbox_enter(&sandbox, &step) != 0)
			_exit(100);
		_exit(attempt());
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int
open_file(void)
{
	return open("/etc/passwd", O_RDONLY) < 0 && errno == ENOENT ? 7 : 0;
}

static int
connect_out(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0;
}

static int
start_process(void)
{
	return fork() < 0;
}

static int
run_program(void)
{
	char name[] = "true";
	char *arguments[] = {name, NULL};
	char *environment[] = {NULL};

	return execve("/bin/true", arguments, environment);
}

static int
read_parent(void)
{
	char local[8];
	struct iovec here = {local, sizeof local}, there = {local, sizeof local};

	return process_vm_readv(getppid(), &here, 1, &there, 1, 0) < 0;
}

static int
kill_parent(void)
{
	return kill(getppid(), SIGUSR1);
}

static int
executable_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		   0) == MAP_FAILED;
}

static int
much_memory(void)
{
	/* Volatile: a compiler may leave out an allocation that nobody uses, and take it for done. */
	void *volatile bytes = malloc(256 * 1024 * 1024);

	return bytes == NULL ? 7 : 0;
}

static int
ordinary_work(void)
{
	int ends[2] = {0, 1};
	char *bytes = malloc(200000);

	(void)ends;
	if (bytes == NULL)
		return 1;
	memset(bytes, 1, 200000);
	free(bytes);
	return (int)write(1, "", 0) + 7;
}

static void
assert_killed(int (*attempt)(void))
{
	int status = confined(attempt);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void
assert_gives_seven(int (*attempt)(void))
{
	int status = confined(attempt);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
}

static void
test_denials(void **state)
{
	(void)state;
	assert_killed(connect_out);
	assert_killed(start_process);
	assert_killed(run_program);
	assert_killed(read_parent);
	assert_killed(kill_parent);
	assert_killed(executable_memory);
	assert_gives_seven(open_file);
	assert_gives_seven(much_memory);
}

static void
test_work_goes_on(void **state)
{
	(void)state;
	assert_gives_seven(ordinary_work);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_denials),
	    cmocka_unit_test(test_work_goes_on),
	};

	if (CONFINABLE)
		return cmocka_run_group_tests(tests, NULL, NULL);
	puts("[  SKIPPED ] the sandbox forbids what the sanitizers do");
	return 0;
}
