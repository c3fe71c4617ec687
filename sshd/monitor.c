/*
 * The monitor: holds the host keys and the right to become users, answers the messages of
 * monitor.h in the states that they are legal in, and outlives the session.
 */
#include "monitor.h"
#include "login.h"
#include "metrics.h"
#include "pam.h"
#include "record.h"

#include <nacre/config.h>
#include <nacre/log.h>
#include <nacre/process.h>
#include <nacre/sandbox.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXCHANGE_HASH_MIN 20
#define EXCHANGE_HASH_MAX 64
#define STRANGER_FRAME    ((size_t)512 * 1024)
#define IDLE_MS           1500 /* a session that lasts so long is worth giving memory back for */
#define LOG_LINES_MAX     200

static volatile sig_atomic_t grace_exceeded;
static volatile pid_t grace_victim, session_victim; /* 0: nobody */

/* After these the listener need not hear of the connection any more. */
static void
report(struct login *login, enum worker_event event, enum worker_outcome outcome)
{
	unsigned attempts = login->authentication.attempts;
	const struct worker_report record = {.event = (uint8_t)event,
	    .outcome = (uint8_t)outcome,
	    .known = login->account.exists,
	    .attempts = attempts < UINT8_MAX ? (uint8_t)attempts : UINT8_MAX};

	if (event == WORKER_AUTHENTICATED)
		metrics_report_login(record_age(login));
	else if (event == WORKER_ENDED && login->state == MONITOR_SESSION)
		metrics_report_logout();
	else if (event == WORKER_ENDED)
		metrics_report_ended();
	if (login->control < 0)
		return;
	(void)nacre_process_send(
	    login->control, (struct nacre_span){(const uint8_t *)&record, sizeof record}, NULL, 0);
	if (event == WORKER_ASKED)
		return;
	close(login->control);
	login->control = -1;
}

void
monitor_report_proxied(struct login *login, uint8_t family, struct nacre_span address)
{
	struct worker_report record = {
	    .event = WORKER_PROXIED, .family = family, .port = (uint16_t)login->peer.port};

	if (login->control < 0)
		return;
	memcpy(record.address, address.data, address.length);
	(void)nacre_process_send(
	    login->control, (struct nacre_span){(const uint8_t *)&record, sizeof record}, NULL, 0);
}

/* What a connection that ends now without a login was. */
static enum worker_outcome
outcome_of(const struct login *login, bool identified, bool by_peer)
{
	const struct authentication *authentication = &login->authentication;

	if (authentication->refused)
		return OUTCOME_REFUSED;
	if (authentication->failures > 0)
		return login->account.exists ? OUTCOME_AUTH_FAILED : OUTCOME_INVALID_USER;
	if (identified)
		return OUTCOME_NO_ATTEMPT;
	return by_peer ? OUTCOME_SILENT : OUTCOME_GARBAGE;
}

/* For exits that are nobody's outcome; not those of children. */
static struct login *reporting;
static pid_t reporting_process;

static void
report_failure(void)
{
	if (getpid() == reporting_process)
		report(reporting, WORKER_ENDED, OUTCOME_FAILED);
}

/* The network process dies; its socket's end is what wakes the monitor, wherever it is. */
static void
grace_over(int number)
{
	(void)number;
	grace_exceeded = 1;
	if (grace_victim > 0)
		kill(grace_victim, SIGKILL);
}

static void
grace_start(struct login *login)
{
	struct sigaction action = {.sa_handler = grace_over, .sa_flags = SA_RESTART};

	grace_victim = login->network_pid;
	sigaction(SIGALRM, &action, NULL);
	alarm((unsigned)login->config->login_grace_time);
}

static int
reply_signature(struct login *login, struct nacre_span signature)
{
	struct nacre_buffer frame = {0};

	frame_begin(&frame, MONITOR_SIGNATURE);
	nacre_put_string_span(&frame, signature);
	int error = frame_send(login->network, &frame);
	nacre_buffer_free(&frame);
	return error;
}

/* Signs what was asked with one of our keys; an empty signature when that cannot be. */
static void
sign(struct login *login, struct nacre_span algorithm, struct nacre_span blob,
    struct nacre_span data, struct nacre_buffer *signature)
{
	char *name = nacre_span_to_string(algorithm);

	if (name == NULL || host_keys_sign(login->server, blob, name, data, signature) != 0) {
		nacre_log(NACRE_LOG_ERROR, "no host key for %s", name != NULL ? name : "?");
		nacre_buffer_clear(signature);
	}
	free(name);
}

static int
handle_sign(struct login *login, struct nacre_reader *request)
{
	struct nacre_span algorithm = nacre_get_string(request);
	struct nacre_span blob = nacre_get_string(request);
	struct nacre_span data = nacre_get_string(request);
	struct nacre_buffer signature = {0};

	/* Nothing but a hash is ever signed here. */
	if (!nacre_reader_done(request) || data.length < EXCHANGE_HASH_MIN ||
	    data.length > EXCHANGE_HASH_MAX)
		return NACRE_ERROR_PROTOCOL;
	if (login->state == MONITOR_STRANGER) {
		nacre_put_span(&login->session_identifier, data);
		nacre_put_span(&login->host_key, blob);
		snprintf(login->host_key_algorithm, sizeof login->host_key_algorithm, "%.*s",
		    (int)(algorithm.length < 60 ? algorithm.length : 60),
		    (const char *)algorithm.data);
		login->state = MONITOR_KEYED;
	}
	sign(login, algorithm, blob, data, &signature);
	int error = reply_signature(login, nacre_buffer_span(&signature));
	nacre_buffer_free(&signature);
	return error;
}

/* The algorithm that proves a key: that of the key exchange when both are RSA, since that is what
 * the client takes; otherwise the key's first. */
static const char *
proof_algorithm(const struct login *login, struct nacre_span blob)
{
	struct nacre_reader reader = nacre_reader_of(blob);
	bool rsa = nacre_span_equals(nacre_get_string(&reader), "ssh-rsa");

	return rsa && strncmp(login->host_key_algorithm, "rsa-", 4) == 0 ? login->host_key_algorithm
									 : NULL;
}

/* hostkeys-prove-00@openssh.com: the signature is over a text that names the session. */
static int
prove_one(struct login *login, struct nacre_span blob, struct nacre_buffer *all)
{
	struct nacre_buffer data = {0};

	nacre_put_cstring(&data, "hostkeys-prove-00@openssh.com");
	nacre_put_string_span(&data, nacre_buffer_span(&login->session_identifier));
	nacre_put_string_span(&data, blob);
	size_t mark = nacre_put_string_begin(all);
	int error = host_keys_sign(
	    login->server, blob, proof_algorithm(login, blob), nacre_buffer_span(&data), all);
	nacre_put_string_end(all, mark);
	nacre_buffer_free(&data);
	return error;
}

static int
handle_prove(struct login *login, struct nacre_reader *request)
{
	struct nacre_buffer all = {0};
	size_t count = 0;
	bool good = true;

	while (good && request->length > 0) {
		struct nacre_span blob = nacre_get_string(request);
		/* Nobody has more to ask about than there are keys. */
		good = !request->failed && count++ < login->server->host_key_count &&
		       prove_one(login, blob, &all) == 0;
	}
	if (!good || all.failed)
		nacre_buffer_clear(&all);
	int error = reply_signature(login, nacre_buffer_span(&all));
	nacre_buffer_free(&all);
	return error;
}

static int
send_answer(struct login *login, const struct answer *answer)
{
	struct nacre_buffer frame = {0};

	frame_begin(&frame, MONITOR_ANSWER);
	answer_encode(answer, &frame);
	int error = frame_send(login->network, &frame);
	nacre_buffer_free(&frame);
	return error;
}

/* The peer knows that it is in; while it says what it wants, the session is made ready. */
static void
enter(struct login *login)
{
	login->state = MONITOR_AUTHENTICATED;
	alarm(0);
	grace_victim = 0;
	title_set("%s [priv]", login->account.name);
	pam_start_session(login);
}

static int
answer_request(struct login *login, struct nacre_reader *request,
    int (*decide)(struct login *, struct nacre_reader *, struct answer *))
{
	struct answer answer = {0};
	int error = decide(login, request, &answer);

	if (error == 0)
		error = send_answer(login, &answer);
	if (error == 0 && answer.kind != ANSWER_SUCCESS && !login->asked) {
		login->asked = true;
		report(login, WORKER_ASKED, OUTCOME_NO_ATTEMPT);
	}
	login->state = MONITOR_KEYED;
	if (answer.kind == ANSWER_ASK)
		login->state = MONITOR_ASKING;
	if (answer.kind == ANSWER_SUCCESS)
		enter(login);
	if (answer.kind == ANSWER_DISCONNECT)
		login->state = MONITOR_REFUSED;
	answer_free(&answer);
	return error;
}

static int
handle_authenticate(struct login *login, struct nacre_reader *request)
{
	return answer_request(login, request, authenticate);
}

static int
handle_respond(struct login *login, struct nacre_reader *request)
{
	return answer_request(login, request, authenticate_respond);
}

static int
handle_log(struct login *login, struct nacre_reader *request)
{
	static unsigned lines;
	uint32_t level = nacre_get_u32(request);
	struct nacre_span text = nacre_get_string(request);

	(void)login;
	if (!nacre_reader_done(request) || level < NACRE_LOG_ERROR || level > NACRE_LOG_DEBUG3)
		return NACRE_ERROR_PROTOCOL;
	if (level >= NACRE_LOG_DEBUG1 || lines++ < LOG_LINES_MAX)
		nacre_log((enum nacre_log_level)level, "%.*s [preauth]",
		    (int)(text.length < 1024 ? text.length : 1024), (const char *)text.data);
	return 0;
}

/* Nobody is sent a signal by a number that is free again. */
static void
wait_for(pid_t pid, int *status)
{
	siginfo_t info;

	while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR)
		;
	session_victim = grace_victim = 0;
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
}

/* It is through; its time counts as ours, and so as the server's. */
static void
end_network(const struct login *login)
{
	kill(login->network_pid, SIGKILL);
	wait_for(login->network_pid, NULL);
}

/* The last thing that a monitor does. */
static _Noreturn void
leave(struct login *login, int status)
{
	if ((login->state & (MONITOR_AUTHENTICATED | MONITOR_SESSION)) == 0)
		audit_failure(login);
	terminal_logout_all(login);
	pam_end_login(login);
	/* A thread in a PAM module may hold what exit() waits for. */
	if (login->pam != NULL && login->pam->running)
		_exit(status);
	exit(status);
}

static int
handle_end(struct login *login, struct nacre_reader *request)
{
	struct ending ending = {.by_peer = nacre_get_boolean(request)};

	ending.identified = nacre_get_boolean(request);
	ending.error = -(int)(nacre_get_u32(request) & 0xff);
	ending.reason = nacre_get_u32(request);
	ending.text = nacre_get_string(request);
	if (!nacre_reader_done(request))
		return NACRE_ERROR_PROTOCOL;
	record_ending(login, &ending);
	report(login, WORKER_ENDED, outcome_of(login, ending.identified, ending.by_peer));
	end_network(login);
	leave(login, 255);
}

static _Noreturn void
become_session(struct login *login, int socket, struct nacre_span state)
{
	close(login->network);
	if (login->control >= 0)
		close(login->control);
	login->control = -1;
	metrics_report_forget();
	host_keys_forget(login->server);
	if (nacre_account_become(&login->account, chroot_path(login)) != 0) {
		nacre_log(
		    NACRE_LOG_FATAL, "cannot become %s: %s", login->account.name, strerror(errno));
		_exit(255);
	}
	nacre_sandbox_protect_memory();
	user_session_main(login, socket, state);
}

static void
start_session(struct login *login, struct nacre_span state)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		nacre_fatal("socketpair: %s", strerror(errno));
	login->session_pid = fork();
	if (login->session_pid < 0)
		nacre_fatal("fork: %s", strerror(errno));
	if (login->session_pid == 0) {
		close(pair[0]);
		become_session(login, pair[1], state);
	}
	close(pair[1]);
	close(login->network);
	login->network = pair[0];
	login->state = MONITOR_SESSION;
	close(login->input);
	if (login->output != login->input)
		close(login->output);
	nacre_log(NACRE_LOG_VERBOSE, "User child is on pid %ld", (long)login->session_pid);
}

static void
end_session(int number)
{
	if (session_victim > 0)
		kill(session_victim, number);
}

/* Who ends the monitor means the session; its end is then recorded as any other. */
static void
pass_on_signals(const struct login *login)
{
	struct sigaction action = {.sa_handler = end_session, .sa_flags = SA_RESTART};

	session_victim = login->session_pid;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	sigaction(SIGINT, &action, NULL);
}

static int
handle_export(struct login *login, struct nacre_reader *request)
{
	struct nacre_span state = nacre_get_string(request);

	if (!nacre_reader_done(request))
		return NACRE_ERROR_PROTOCOL;
	start_session(login, state);
	pass_on_signals(login);
	report(login, WORKER_AUTHENTICATED, OUTCOME_AUTHENTICATED);
	return 0;
}

/* What the session has done so far. */
static int
handle_statistics(struct login *login, struct nacre_reader *request)
{
	struct metrics_totals totals = {.sent = nacre_get_u64(request)};

	(void)login;
	totals.received = nacre_get_u64(request);
	totals.rekeys = nacre_get_u64(request);
	totals.channels_opened = nacre_get_u64(request);
	totals.channels = nacre_get_u32(request);
	if (!nacre_reader_done(request))
		return NACRE_ERROR_PROTOCOL;
	metrics_report_progress(&totals);
	return 0;
}

#define BEFORE_SESSION                                                         \
	(MONITOR_PROXIED | MONITOR_STRANGER | MONITOR_KEYED | MONITOR_ASKING | \
	    MONITOR_AUTHENTICATED | MONITOR_REFUSED)

static const struct {
	enum monitor_message type;
	unsigned states;
	int (*handle)(struct login *login, struct nacre_reader *request);
} table[] = {
    {MONITOR_SIGN, MONITOR_STRANGER | MONITOR_KEYED | MONITOR_ASKING | MONITOR_SESSION,
	handle_sign},
    {MONITOR_AUTHENTICATE, MONITOR_KEYED | MONITOR_ASKING, handle_authenticate},
    {MONITOR_RESPOND, MONITOR_ASKING, handle_respond},
    {MONITOR_EXPORT, MONITOR_AUTHENTICATED, handle_export},
    {MONITOR_PROXY, MONITOR_PROXIED, proxy_named},
    {MONITOR_LOG, BEFORE_SESSION, handle_log},
    {MONITOR_END, BEFORE_SESSION, handle_end},
    {MONITOR_PROVE, MONITOR_SESSION, handle_prove},
    {MONITOR_TERMINAL, MONITOR_SESSION, terminal_open},
    {MONITOR_LOGIN, MONITOR_SESSION, terminal_login},
    {MONITOR_LOGOUT, MONITOR_SESSION, terminal_logout},
    {MONITOR_STATISTICS, MONITOR_SESSION, handle_statistics},
};

static int
handle(struct login *login, uint8_t type, struct nacre_reader *request)
{
	for (size_t i = 0; i < MEMBERS(table); i++)
		if (table[i].type == type && (table[i].states & login->state) != 0)
			return table[i].handle(login, request);
	nacre_log(NACRE_LOG_ERROR, "monitor: message %u is illegal in state %u: connection ended",
	    type, (unsigned)login->state);
	return NACRE_ERROR_STATE;
}

static int
send_connection(struct login *login)
{
	struct nacre_buffer frame = {0};
	int fds[2] = {login->input, login->output};

	frame_begin(&frame, MONITOR_CONNECTION);
	nacre_put_boolean(&frame, login->state == MONITOR_PROXIED);
	int error = frame_send_with(login->network, &frame, fds, 2);
	nacre_buffer_free(&frame);
	return error;
}

_Noreturn void
monitor_lost_network(struct login *login)
{
	bool session = login->state == MONITOR_SESSION;
	pid_t pid = session ? login->session_pid : login->network_pid;
	int status = 0;

	if (grace_exceeded) {
		record_timeout(login);
		report(login, WORKER_ENDED, OUTCOME_GRACE_EXCEEDED);
		leave(login, 255);
	}
	wait_for(pid, &status);
	if (WIFSIGNALED(status))
		nacre_log(NACRE_LOG_ERROR, "the %s process for %s port %d died of signal %d (%s)",
		    session ? "session" : "network", login->peer.address, login->peer.port,
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	report(login, WORKER_ENDED,
	    WIFSIGNALED(status) ? OUTCOME_CRASHED : outcome_of(login, true, true));
	if (session && login->network_pid > 0)
		(void)waitpid(login->network_pid, NULL, WNOHANG);
	leave(login, WIFEXITED(status) ? WEXITSTATUS(status) : 255);
}

/* Most of a monitor's life is waiting for the session to end. */
static void
release_when_idle(struct login *login)
{
	struct pollfd polled = {.fd = login->network, .events = POLLIN};

	if (poll(&polled, 1, IDLE_MS) != 0)
		return;
	/* The network process has ended by now. */
	if (login->state == MONITOR_SESSION && waitpid(login->network_pid, NULL, WNOHANG) > 0)
		login->network_pid = -1;
	nacre_process_release_memory();
}

_Noreturn void
monitor_run(struct login *login)
{
	struct nacre_buffer frame = {0};
	struct nacre_reader request;
	uint8_t type;
	int error = send_connection(login);

	reporting = login;
	reporting_process = getpid();
	(void)atexit(report_failure);
	grace_start(login);
	while (error == 0) {
		size_t limit =
		    login->state == MONITOR_AUTHENTICATED ? MONITOR_FRAME_LIMIT : STRANGER_FRAME;
		error = frame_receive(login->network, &frame, limit, &type, &request);
		if (error == NACRE_ERROR_CLOSED)
			monitor_lost_network(login);
		if (error == 0)
			error = handle(login, type, &request);
		/* What was in it may be a password or the connection's keys. */
		if (login->state == MONITOR_SESSION) {
			nacre_buffer_free(&frame);
			release_when_idle(login);
		}
	}
	nacre_log(NACRE_LOG_ERROR, "monitor: %s: connection from %s port %d ended",
	    nacre_error_string(error), login->peer.address, login->peer.port);
	report(login, WORKER_ENDED, OUTCOME_CRASHED);
	if (login->state != MONITOR_SESSION)
		end_network(login);
	leave(login, 255);
}
