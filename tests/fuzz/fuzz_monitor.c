/*
 * sshd's monitor against a network process that a stranger has taken over: the input is all that
 * this process ever sends. What reaches outside (processes, accounts, the socket) is replaced by
 * functions of this file, through the linker's --wrap; with the right password, "secret", the
 * session begins.
 */
#include "config_fuzz.h"

#include <sshd/login.h>

#include <nacre/crypto.h>
#include <nacre/log.h>
#include <nacre/process.h>

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sodium.h>
#include <sys/types.h>

#define SOME_PROCESS 1000000000 /* above every process number */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	bool ready, running;
	jmp_buf end;
	struct nacre_reader input;
	struct nacre_buffer *frame; /* the monitor's, which does not free it when it ends */
	struct nacre_key *key;
	struct server server;
	struct host_key host_key;
} fuzz;

/* Outside the monitor, these are for the fuzzer. */
#define WRAP(type, name, parameters)   \
	type __real_##name parameters; \
	type __wrap_##name parameters; \
	type __wrap_##name parameters

_Noreturn WRAP(void, exit, (int status))
{
	if (!fuzz.running)
		__real_exit(status);
	nacre_buffer_free(fuzz.frame);
	longjmp(fuzz.end, 1);
}

WRAP(pid_t, fork, (void))
{
	return fuzz.running ? SOME_PROCESS : __real_fork();
}

WRAP(int, kill, (pid_t pid, int number))
{
	return fuzz.running ? 0 : __real_kill(pid, number);
}

WRAP(pid_t, waitpid, (pid_t pid, int *status, int options))
{
	if (!fuzz.running)
		return __real_waitpid(pid, status, options);
	if (status != NULL)
		*status = 0;
	return pid;
}

WRAP(unsigned, alarm, (unsigned seconds))
{
	return fuzz.running ? 0 : __real_alarm(seconds);
}

WRAP(int, sigaction, (int number, const struct sigaction *action, struct sigaction *old))
{
	return fuzz.running ? 0 : __real_sigaction(number, action, old);
}

WRAP(int, poll, (struct pollfd * polled, nfds_t count, int timeout))
{
	return fuzz.running ? 1 : __real_poll(polled, count, timeout);
}

WRAP(int, frame_receive,
    (int socket, struct nacre_buffer *frame, size_t limit, uint8_t *type,
	struct nacre_reader *reader))
{
	fuzz.frame = frame;
	return __real_frame_receive(socket, frame, limit, type, reader);
}

WRAP(int, nacre_process_receive,
    (int socket, void *data, size_t length, int *descriptors, size_t *descriptor_count))
{
	struct nacre_span bytes = nacre_get_bytes(&fuzz.input, length);

	(void)socket;
	(void)descriptors;
	(void)descriptor_count;
	if (fuzz.input.failed)
		return NACRE_ERROR_CLOSED;
	memcpy(data, bytes.data, bytes.length);
	return 0;
}

WRAP(int, nacre_process_send,
    (int socket, struct nacre_span data, const int *descriptors, size_t descriptor_count))
{
	(void)socket;
	(void)data;
	(void)descriptors;
	(void)descriptor_count;
	return 0;
}

WRAP(int, nacre_account_find, (const char *name, struct nacre_account *account))
{
	*account = (struct nacre_account){.exists = strcmp(name, "someone") == 0,
	    .name = strdup(name),
	    .uid = SOME_PROCESS,
	    .gid = SOME_PROCESS,
	    .home = strdup("/nonexistent"),
	    .shell = strdup("/bin/sh")};
	return account->exists ? 0 : NACRE_ERROR_NOT_FOUND;
}

WRAP(int, nacre_account_check_password,
    (const struct nacre_account *account, const char *password, bool permit_empty))
{
	(void)permit_empty;
	return account->exists && strcmp(password, "secret") == 0 ? 0 : NACRE_ERROR_REFUSED;
}

WRAP(enum nacre_account_state, nacre_account_state, (const struct nacre_account *account))
{
	(void)account;
	return NACRE_ACCOUNT_GOOD;
}

WRAP(int, nacre_account_act_as, (const struct nacre_account *account))
{
	(void)account;
	return 0;
}

WRAP(void, nacre_account_act_end, (void))
{
}

/* The same input must do the same. */
static const char *
random_name(void)
{
	return "fuzz";
}

static void
random_buffer(void *const bytes, const size_t length)
{
	memset(bytes, 42, length);
}

static struct randombytes_implementation randomness = {
    .implementation_name = random_name, .buf = random_buffer};

static void
demand(bool condition)
{
	if (!condition)
		abort();
}

/* A file that stays, and its name. */
static void
keep_file(const struct nacre_buffer *text, char path[64])
{
	const struct nacre_span span = nacre_buffer_span(text);

	fuzz_file(span.data, span.length, path);
}

static void
load_config(void)
{
	struct nacre_buffer text = {0};
	char path[64];

	nacre_put_format(&text, "restrict,command=\"true\",from=\"192.0.2.*\" ");
	nacre_key_put_line(fuzz.key, "", &text);
	keep_file(&text, path);
	nacre_buffer_clear(&text);
	nacre_put_format(&text,
	    "AuthorizedKeysFile %s\nUsePAM no\nStrictModes no\n"
	    "Match User someone\nMaxAuthTries 9\n",
	    path);
	keep_file(&text, path);
	nacre_buffer_free(&text);
	demand(nacre_sshd_config_new(&fuzz.server.config) == 0);
	demand(nacre_sshd_config_load(fuzz.server.config, path, NULL) == 0);
}

static void
setup(void)
{
	if (fuzz.ready)
		return;
	fuzz.ready = true;
	demand(sodium_init() >= 0);
	randombytes_set_implementation(&randomness);
	demand(nacre_key_generate(NACRE_KEY_ED25519, 0, &fuzz.key) == 0);
	nacre_key_put_blob(fuzz.key, true, &fuzz.host_key.blob);
	fuzz.host_key.private_key = fuzz.host_key.public_key = fuzz.key;
	fuzz.host_key.text_length = 1; /* not in an agent */
	fuzz.server.host_keys = &fuzz.host_key;
	fuzz.server.host_key_count = 1;
	fuzz.server.key_file = -1;
	fuzz.server.privileged = true;
	fuzz.server.command_line.quiet = true;
	nacre_log_level_set(NACRE_LOG_QUIET);
	load_config();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct login login;

	setup();
	fuzz.input = nacre_reader_of((struct nacre_span){data, size});
	login = (struct login){.server = &fuzz.server,
	    .config = fuzz.server.config,
	    .peer = {.address = "192.0.2.1", .local_address = "192.0.2.2"},
	    .state = MONITOR_STRANGER,
	    .control = -1,
	    .input = -1,
	    .output = -1,
	    .network = -1,
	    .network_pid = SOME_PROCESS,
	    .session_pid = -1};
	fuzz.running = true;
	if (setjmp(fuzz.end) == 0)
		monitor_run(&login);
	fuzz.running = false;
	if (login.network >= 0)
		close(login.network);
	if (login.config != fuzz.server.config)
		nacre_sshd_config_free(login.config);
	nacre_account_clear(&login.account);
	free(login.remote_name);
	authentication_free(&login.authentication);
	nacre_buffer_free(&login.session_identifier);
	nacre_buffer_free(&login.host_key);
	return 0;
}
