/*
 * What a network process in an attacker's hands would try. This is linked into sshd as it is, in
 * place of the function with which the network process waits for its connection (--wrap): when that
 * has come, everything that confines the process is in force, and the attempt that the environment
 * names in NACRE_PROBE is made. What came of it is written to the connection.
 */
#include <sshd/monitor.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MONITOR    3
#define CONNECTION 4

int __real_frame_receive_with(int socket, struct nacre_buffer *frame, size_t limit, uint8_t *type,
    struct nacre_reader *reader, int *fds, size_t *fd_count);
int __wrap_frame_receive_with(int socket, struct nacre_buffer *frame, size_t limit, uint8_t *type,
    struct nacre_reader *reader, int *fds, size_t *fd_count);

/* System calls -------------------------------------------------------------------------------- */

static long
probe_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static long
probe_connect(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(22)};

	/* The connection's own socket would do for this, were it allowed. */
	return connect(CONNECTION, (struct sockaddr *)&address, sizeof address);
}

static long
probe_bind(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};

	return bind(CONNECTION, (struct sockaddr *)&address, sizeof address);
}

static long
probe_fork(void)
{
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static long
probe_execve(void)
{
	char *none[] = {NULL};

	return execve("/bin/true", none, none);
}

static long
probe_ptrace(void)
{
	return ptrace(PTRACE_ATTACH, 1, NULL, NULL);
}

static long
probe_read_memory(void)
{
	char local[8];
	struct iovec here = {local, sizeof local}, there = {local, sizeof local};

	return process_vm_readv(1, &here, 1, &there, 1, 0);
}

static long
probe_kill(void)
{
	return syscall(SYS_kill, -1, 0);
}

static long
probe_setuid(void)
{
	return setresuid(0, 0, 0);
}

static long
probe_chroot(void)
{
	return chroot("/");
}

static long
probe_prctl(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static long
probe_executable_memory(void)
{
	return (long)mmap(
	    NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static long
probe_executable_later(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static long
probe_io_uring(void)
{
	return syscall(SYS_io_uring_setup, 1, NULL);
}

static long
probe_bpf(void)
{
	return syscall(SYS_bpf, 0, NULL, 0);
}

static long
probe_memory_file(void)
{
	return memfd_create("x", 0);
}

static long
probe_namespace(void)
{
	return syscall(SYS_unshare, 0);
}

static long
probe_unlink(void)
{
	return unlink("/x");
}

static long
probe_make_directory(void)
{
	return mkdir("/x", 0700);
}

static long
probe_unknown_call(void)
{
	return syscall(9999);
}

/* Written without the C library, which would see to it that it goes another way. */
static long
probe_open_directly(void)
{
#ifdef SYS_open
	return syscall(SYS_open, "/etc/passwd", O_RDONLY);
#else
	return syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", NULL, 0);
#endif
}

static long
probe_other_architecture(void)
{
#ifdef __x86_64__
	/* getpid() as a program of 32 bits calls it, which is another call here. */
	long result = 20;
	__asm__ volatile("int $0x80" : "+a"(result) : : "memory");
	return result;
#else
	return syscall(9999);
#endif
}

/* Those that are refused rather than punished ------------------------------------------------- */

static long
probe_open(void)
{
	return open("/etc/passwd", O_RDONLY);
}

static long
probe_open_monitor(void)
{
	return open("/proc/1/mem", O_RDWR);
}

static long
probe_create(void)
{
	return open("x", O_RDWR | O_CREAT, 0600);
}

static long
probe_duplicate(void)
{
	return fcntl(0, F_DUPFD, 0);
}

static long
probe_ioctl(void)
{
	int count;

	return ioctl(CONNECTION, FIONREAD, &count);
}

static long
probe_memory(void)
{
	void *volatile bytes = malloc((size_t)256 * 1024 * 1024);

	return bytes == NULL ? -1 : 0;
}

static long
probe_nothing(void)
{
	return 0;
}

static const struct {
	const char *name;
	long (*attempt)(void);
} probes[] = {
    {"socket", probe_socket},
    {"connect", probe_connect},
    {"bind", probe_bind},
    {"fork", probe_fork},
    {"execve", probe_execve},
    {"ptrace", probe_ptrace},
    {"read memory", probe_read_memory},
    {"kill", probe_kill},
    {"setuid", probe_setuid},
    {"chroot", probe_chroot},
    {"prctl", probe_prctl},
    {"executable memory", probe_executable_memory},
    {"executable later", probe_executable_later},
    {"io_uring", probe_io_uring},
    {"bpf", probe_bpf},
    {"memory file", probe_memory_file},
    {"namespace", probe_namespace},
    {"unlink", probe_unlink},
    {"mkdir", probe_make_directory},
    {"unknown call", probe_unknown_call},
    {"open directly", probe_open_directly},
    {"other architecture", probe_other_architecture},
    {"open", probe_open},
    {"open the monitor", probe_open_monitor},
    {"create", probe_create},
    {"duplicate", probe_duplicate},
    {"ioctl", probe_ioctl},
    {"memory", probe_memory},
    {"nothing", probe_nothing},
};

static _Noreturn void
make_attempt(const char *name)
{
	char line[100];

	for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++) {
		if (strcmp(probes[i].name, name) != 0)
			continue;
		errno = 0;
		long result = probes[i].attempt();
		int length = snprintf(
		    line, sizeof line, "%s %d\n", result == -1 ? "refused" : "done", errno);
		(void)!write(CONNECTION, line, (size_t)length);
	}
	/* Stays, so that the process can be looked at; the monitor's end is its own. */
	for (;;)
		(void)!read(MONITOR, line, sizeof line);
}

/* Messages to the monitor --------------------------------------------------------------------- */

/* Sends what NACRE_PROBE_FRAMES has in hexadecimal, and copies what the monitor says to the
 * connection until it says no more. */
static _Noreturn void
send_frames(const char *hexadecimal)
{
	static uint8_t bytes[65536];
	size_t length = 0;
	unsigned byte;
	ssize_t count;

	for (; sscanf(hexadecimal, "%2x", &byte) == 1 && length < sizeof bytes; hexadecimal += 2)
		bytes[length++] = (uint8_t)byte;
	(void)!write(MONITOR, bytes, length);
	while ((count = read(MONITOR, bytes, sizeof bytes)) > 0)
		(void)!write(CONNECTION, bytes, (size_t)count);
	_exit(0);
}

int
__wrap_frame_receive_with(int socket, struct nacre_buffer *frame, size_t limit, uint8_t *type,
    struct nacre_reader *reader, int *fds, size_t *fd_count)
{
	const char *probe = getenv("NACRE_PROBE"), *frames = getenv("NACRE_PROBE_FRAMES");
	int error = __real_frame_receive_with(socket, frame, limit, type, reader, fds, fd_count);

	if (error == 0 && probe != NULL)
		make_attempt(probe);
	if (error == 0 && frames != NULL)
		send_frames(frames);
	return error;
}
