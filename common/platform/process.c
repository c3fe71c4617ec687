/*
 * Processes: detaching, descriptors, the process-id file, and starting a child. What two processes
 * say to each other over a socket is in handover.c.
 */
#include <nacre/account.h>
#include <nacre/process.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COULD_NOT_ENTER "Could not chdir to home directory "

int
nacre_process_daemonise(void)
{
	pid_t pid = fork();

	if (pid < 0)
		return NACRE_ERROR_SYSTEM;
	if (pid > 0)
		_exit(0);
	if (setsid() < 0)
		return NACRE_ERROR_SYSTEM;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return NACRE_ERROR_SYSTEM;
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	return 0;
}

void
nacre_process_sanitise_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= 2 && fcntl(fd, F_SETFD, 0) == 0);
	if (fd > 2)
		close(fd);
}

void
nacre_process_close_from(int first)
{
	closefrom(first);
}

int
nacre_process_write_pid(const char *path)
{
	FILE *file = fopen(path, "we");

	if (file == NULL)
		return NACRE_ERROR_SYSTEM;
	fprintf(file, "%ld\n", (long)getpid());
	return fclose(file) == 0 ? 0 : NACRE_ERROR_SYSTEM;
}

void
nacre_process_reset_signals(void)
{
	struct sigaction action = {.sa_handler = SIG_DFL};
	sigset_t none;

	/* exec() resets handlers itself, but what is ignored stays so. */
	for (int number = 1; number < 32; number++)
		sigaction(number, &action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int
nacre_process_read_file(int fd, size_t limit, struct nacre_buffer *content)
{
	off_t offset = 0;

	for (;;) {
		uint8_t *room = nacre_buffer_room(content, 4096);
		if (room == NULL)
			return NACRE_ERROR_MEMORY;
		ssize_t count = pread(fd, room, 4096, offset);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return NACRE_ERROR_SYSTEM;
		if (count == 0)
			return 0;
		nacre_buffer_added(content, (size_t)count);
		offset += count;
		if ((size_t)offset > limit)
			return NACRE_ERROR_MEMORY;
	}
}

/* In the child, whose memory is the parent's: only system calls. */
static void
child_descriptors(const struct nacre_process_start *start)
{
	int wanted[3] = {start->input, start->output, start->error};
	int keep = start->keep;

	/* Out of the way of 0 to 3 first, so that no copy overwrites another's source. */
	if (keep >= 0)
		keep = fcntl(keep, F_DUPFD, 10);
	for (int fd = 0; fd < 3; fd++)
		if (wanted[fd] >= 0)
			wanted[fd] = fcntl(wanted[fd], F_DUPFD, 10);
	for (int fd = 0; fd < 3; fd++)
		if (wanted[fd] >= 0)
			dup2(wanted[fd], fd);
	if (keep >= 0)
		dup2(keep, 3);
	closefrom(keep >= 0 ? 4 : 3);
}

static void
child_complain(const char *path, int error)
{
	const char *reason = strerrordesc_np(error);

	(void)!write(2, path, strlen(path));
	(void)!write(2, ": ", 2);
	(void)!write(2, reason, strlen(reason));
	(void)!write(2, "\n", 1);
}

static _Noreturn void child_run(const struct nacre_process_start *start);

/* In the session that the child has begun, and with its terminal. */
static void
child_run_first(const struct nacre_process_start *first)
{
	pid_t pid = fork();

	if (pid == 0)
		child_run(first);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void
child_enter(const struct nacre_process_start *start)
{
	if (start->directory == NULL || chdir(start->directory) == 0)
		return;
	if (!start->directory_optional) {
		(void)!write(2, COULD_NOT_ENTER, strlen(COULD_NOT_ENTER));
		child_complain(start->directory, errno);
	}
	(void)!chdir("/");
}

static _Noreturn void
child_run(const struct nacre_process_start *start)
{
	if (start->new_session)
		setsid();
	if (start->controlling_terminal)
		ioctl(start->input >= 0 ? start->input : 0, TIOCSCTTY, 0);
	if (start->first != NULL)
		child_run_first(start->first);
	child_descriptors(start);
	if (start->descriptor_limit != NULL)
		setrlimit(RLIMIT_NOFILE, start->descriptor_limit);
	nacre_process_reset_signals();
	if (start->account != NULL && nacre_account_become(start->account, NULL) != 0) {
		child_complain(start->account->name, errno);
		_exit(255);
	}
	child_enter(start);
	execve(start->path, start->arguments, start->environment);
	child_complain(start->path, errno);
	_exit(255);
}

pid_t
nacre_process_start(const struct nacre_process_start *start)
{
	sigset_t all, before;

	/* No handler of ours may run in the child while it shares our memory. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	/* The child makes nothing but system calls until it is another program. One that starts a
	 * program itself needs memory of its own. */
	pid_t pid;
	if (start->first != NULL)
		pid = fork();
	else
		pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */
	if (pid == 0)
		child_run(start); /* NOLINT(clang-analyzer-unix.Vfork) */
	int error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return pid < 0 ? NACRE_ERROR_SYSTEM : pid;
}
