/*
 * Questions to the person at the terminal, or through the program that SSH_ASKPASS names. What is
 * typed passes through no stdio buffer, and a signal never leaves the terminal without its echo.
 */
#include <nacre/prompt.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define ASKPASS_DEFAULT "/usr/bin/ssh-askpass"

/* Signals that would end or stop the process with the echo off. SIGTTIN and SIGTTOU are left to
 * their default: they strike before anything was changed. */
static const int prompt_signals[] = {SIGINT, SIGHUP, SIGQUIT, SIGTERM, SIGTSTP};
#define PROMPT_SIGNALS (sizeof prompt_signals / sizeof *prompt_signals)

static volatile sig_atomic_t prompt_caught;

static void
prompt_catch(int number)
{
	prompt_caught = number;
}

struct prompt_guard {
	struct sigaction actions[PROMPT_SIGNALS];
	sigset_t mask; /* as before */
};

/* From here to prompt_guard_end() these signals strike only inside ppoll(). */
static void
prompt_guard_begin(struct prompt_guard *guard)
{
	struct sigaction action = {.sa_handler = prompt_catch};
	sigset_t block;

	sigemptyset(&action.sa_mask);
	sigemptyset(&block);
	for (size_t i = 0; i < PROMPT_SIGNALS; i++)
		sigaddset(&block, prompt_signals[i]);
	sigprocmask(SIG_BLOCK, &block, &guard->mask);
	prompt_caught = 0;
	for (size_t i = 0; i < PROMPT_SIGNALS; i++)
		sigaction(prompt_signals[i], &action, &guard->actions[i]);
}

static void
prompt_guard_end(const struct prompt_guard *guard)
{
	for (size_t i = 0; i < PROMPT_SIGNALS; i++)
		sigaction(prompt_signals[i], &guard->actions[i], NULL);
	sigprocmask(SIG_SETMASK, &guard->mask, NULL);
}

static void
write_text(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		const ssize_t written = write(fd, text, left);
		if (written <= 0)
			return;
		text += written;
		left -= (size_t)written;
	}
}

/* Appends to "answer" up to the newline, byte by byte: what follows belongs to others. */
static int
read_line(int fd, const sigset_t *mask, struct nacre_buffer *answer)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	size_t length = 0;

	for (;;) {
		uint8_t byte;

		if (ppoll(&wait, 1, NULL, mask) < 0) {
			if (errno == EINTR && prompt_caught == 0)
				continue;
			return NACRE_ERROR_REFUSED;
		}
		const ssize_t got = read(fd, &byte, 1);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got <= 0)
			return length > 0 ? 0 : NACRE_ERROR_REFUSED;
		if (byte == '\n' || byte == '\r')
			return 0;
		if (length++ < NACRE_PROMPT_ANSWER_MAX)
			nacre_put_byte(answer, byte);
		explicit_bzero(&byte, 1);
	}
}

/* One attempt; *caught is the signal that broke it off, 0 if none. */
static int
ask_terminal_once(
    int in, int out, const char *text, unsigned flags, struct nacre_buffer *answer, int *caught)
{
	struct prompt_guard guard;
	struct termios before, quiet;
	const bool terminal = tcgetattr(in, &before) == 0;
	const bool hide = terminal && (flags & NACRE_PROMPT_ECHO) == 0;

	prompt_guard_begin(&guard);
	if (terminal) {
		quiet = before;
		if (hide)
			quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
		/* Forgets what was typed before the question could be read. */
		tcsetattr(in, TCSAFLUSH, &quiet);
	}
	write_text(out, text);
	const int error = read_line(in, &guard.mask, answer);
	if (hide) {
		write_text(out, "\n");
		tcsetattr(in, TCSAFLUSH, &before);
	}
	*caught = prompt_caught;
	prompt_guard_end(&guard);
	return error;
}

static int
ask_terminal(int in, int out, const char *text, unsigned flags, struct nacre_buffer *answer)
{
	const size_t length = nacre_buffer_length(answer);

	for (;;) {
		int caught;
		int error = ask_terminal_once(in, out, text, flags, answer, &caught);

		if (caught == 0)
			return error != 0 ? error : answer->failed ? NACRE_ERROR_MEMORY : 0;
		nacre_buffer_truncate(answer, length);
		kill(getpid(), caught);
		/* Still here: stopped and continued, or the program handles that signal. */
		if (caught != SIGTSTP)
			return NACRE_ERROR_REFUSED;
	}
}

static _Noreturn void
askpass_child(const char *program, const char *text, const char *kind, int output)
{
	if (kind != NULL)
		setenv("SSH_ASKPASS_PROMPT", kind, 1);
	else
		unsetenv("SSH_ASKPASS_PROMPT");
	if (dup2(output, STDOUT_FILENO) >= 0)
		execlp(program, program, text, (char *)NULL);
	write_text(STDERR_FILENO, "ssh_askpass: exec(");
	write_text(STDERR_FILENO, program);
	write_text(STDERR_FILENO, "): ");
	write_text(STDERR_FILENO, strerror(errno));
	write_text(STDERR_FILENO, "\r\n");
	_exit(255);
}

static bool
wait_success(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int
ask_askpass(const char *program, const char *text, const char *kind, struct nacre_buffer *answer)
{
	const struct sigaction reap = {.sa_handler = SIG_DFL};
	struct sigaction before;
	sigset_t mask;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return NACRE_ERROR_SYSTEM;
	sigaction(SIGCHLD, &reap, &before);
	const pid_t pid = fork();
	if (pid == 0)
		askpass_child(program, text, kind, ends[1]);
	close(ends[1]);
	int error = NACRE_ERROR_SYSTEM;
	if (pid > 0) {
		const size_t length = nacre_buffer_length(answer);

		sigprocmask(SIG_BLOCK, NULL, &mask);
		prompt_caught = 0;
		/* No line at all is an empty answer if the program says that it succeeded. */
		error = read_line(ends[0], &mask, answer);
		close(ends[0]);
		ends[0] = -1;
		if (!wait_success(pid)) {
			nacre_buffer_truncate(answer, length);
			error = NACRE_ERROR_REFUSED;
		} else if (error == NACRE_ERROR_REFUSED) {
			error = 0;
		}
	}
	if (ends[0] >= 0)
		close(ends[0]);
	sigaction(SIGCHLD, &before, NULL);
	return error;
}

static bool
variable_set(const char *name)
{
	const char *const value = getenv(name);

	return value != NULL && *value != '\0';
}

enum askpass_requirement { ASKPASS_NORMAL, ASKPASS_NEVER, ASKPASS_PREFER, ASKPASS_FORCE };

static enum askpass_requirement
askpass_requirement(void)
{
	const char *const value = getenv("SSH_ASKPASS_REQUIRE");

	if (value == NULL)
		return ASKPASS_NORMAL;
	if (strcasecmp(value, "never") == 0)
		return ASKPASS_NEVER;
	if (strcasecmp(value, "prefer") == 0)
		return ASKPASS_PREFER;
	return strcasecmp(value, "force") == 0 ? ASKPASS_FORCE : ASKPASS_NORMAL;
}

/* The program to ask with, or NULL when it may not or cannot be. */
static const char *
askpass_program(enum askpass_requirement requirement)
{
	const char *const named = variable_set("SSH_ASKPASS") ? getenv("SSH_ASKPASS") : NULL;

	if (requirement == ASKPASS_NEVER)
		return NULL;
	if (requirement != ASKPASS_FORCE && !variable_set("DISPLAY") &&
	    !variable_set("WAYLAND_DISPLAY"))
		return NULL;
	if (named != NULL)
		return named;
	return access(ASKPASS_DEFAULT, X_OK) == 0 ? ASKPASS_DEFAULT : NULL;
}

int
nacre_prompt(const char *text, unsigned flags, struct nacre_buffer *answer)
{
	const enum askpass_requirement requirement = askpass_requirement();
	const char *const askpass = askpass_program(requirement);
	const bool askpass_first = requirement >= ASKPASS_PREFER ||
				   (flags & NACRE_PROMPT_ASKPASS) != 0 ||
				   ((flags & NACRE_PROMPT_STDIN) != 0 && !isatty(STDIN_FILENO));

	if (askpass != NULL && askpass_first)
		return ask_askpass(askpass, text, NULL, answer);
	if ((flags & NACRE_PROMPT_ASKPASS) != 0)
		return NACRE_ERROR_NOT_FOUND;
	const int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (terminal >= 0) {
		const int error = ask_terminal(terminal, terminal, text, flags, answer);
		close(terminal);
		return error;
	}
	if (askpass != NULL)
		return ask_askpass(askpass, text, NULL, answer);
	if ((flags & NACRE_PROMPT_STDIN) != 0)
		return ask_terminal(STDIN_FILENO, STDERR_FILENO, text, flags, answer);
	return NACRE_ERROR_NOT_FOUND;
}

bool
nacre_prompt_confirm(const char *text)
{
	const char *const program = askpass_program(askpass_requirement());
	struct nacre_buffer answer = {0};

	if (program == NULL)
		return false;
	const int error = ask_askpass(program, text, "confirm", &answer);
	const struct nacre_span said = nacre_buffer_span(&answer);
	const bool agreed =
	    error == 0 &&
	    (said.length == 0 ||
		(said.length == 3 && strncasecmp((const char *)said.data, "yes", 3) == 0));
	nacre_buffer_free(&answer);
	return agreed;
}

void
nacre_notice_begin(struct nacre_notice *notice, const char *text)
{
	const enum askpass_requirement requirement = askpass_requirement();
	const char *const program = askpass_program(requirement);

	*notice = (struct nacre_notice){.pid = -1};
	if (isatty(STDERR_FILENO) && requirement != ASKPASS_FORCE) {
		write_text(STDERR_FILENO, text);
		write_text(STDERR_FILENO, "\r\n");
		notice->written = true;
	} else if (program != NULL) {
		notice->pid = fork();
		if (notice->pid == 0) {
			const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
			sigset_t none;

			/* It is ended by a signal, which the program may have blocked. */
			sigemptyset(&none);
			sigprocmask(SIG_SETMASK, &none, NULL);

			askpass_child(program, text, "none", null);
		}
	}
}

void
nacre_notice_end(struct nacre_notice *notice, const char *text)
{
	if (notice->written && text != NULL) {
		write_text(STDERR_FILENO, text);
		write_text(STDERR_FILENO, "\r\n");
	}
	if (notice->pid > 0) {
		kill(notice->pid, SIGTERM);
		wait_success(notice->pid);
	}
}
