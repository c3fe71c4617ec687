/* The listener's side of the metrics: counting, and the life of the process that shows them. */
#include "metrics.h"

#include <nacre/config.h>
#include <nacre/log.h>
#include <nacre/poller.h>
#include <nacre/process.h>
#include <nacre/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KEPT         "NACRE_SSHD_METRICS" /* memory, and both ends of the pipe */
#define READ_MOST    32                   /* reports at a time: others wait, too */
#define BACKLOG      16
#define RESTART_MOST 10 /* in a life: a server that does not stay up is left alone */

static struct {
	struct metrics *metrics; /* NULL: MetricsListen is not set */
	int memory, reports, reporting;
	const char *address;
	bool privileged;
	pid_t server;
	unsigned restarts;
} state = {.memory = -1, .reports = -1, .reporting = -1, .server = -1};

/* Memory and pipe --------------------------------------------------------------------------- */

static bool
map_memory(void)
{
	struct metrics *metrics =
	    mmap(NULL, sizeof *metrics, PROT_READ | PROT_WRITE, MAP_SHARED, state.memory, 0);

	if (metrics == MAP_FAILED)
		return false;
	/* Of another version of this program: counting begins anew. */
	if (metrics->layout != sizeof *metrics) {
		memset(metrics, 0, sizeof *metrics);
		metrics->layout = sizeof *metrics;
		metrics->started = (uint64_t)time(NULL);
	}
	state.metrics = metrics;
	return true;
}

static bool
take_over(void)
{
	int *const fds[] = {&state.memory, &state.reports, &state.reporting};
	const char *kept = getenv(KEPT);
	struct stat status;
	bool good = kept != NULL;

	for (size_t i = 0; good && i < MEMBERS(fds); i++) {
		char *end;
		*fds[i] = (int)strtol(kept, &end, 10);
		good = end != kept && fcntl(*fds[i], F_SETFD, FD_CLOEXEC) == 0;
		kept = end;
	}
	unsetenv(KEPT);
	return good && fstat(state.memory, &status) == 0 &&
	       status.st_size >= (off_t)sizeof(struct metrics);
}

static bool
make_new(void)
{
	int pipe[2];

	state.memory = memfd_create("sshd-metrics", MFD_CLOEXEC);
	if (state.memory < 0 || ftruncate(state.memory, sizeof(struct metrics)) != 0 ||
	    pipe2(pipe, O_CLOEXEC | O_NONBLOCK) != 0)
		return false;
	state.reports = pipe[0];
	state.reporting = pipe[1];
	return true;
}

void
metrics_keep(void)
{
	char text[64];

	metrics_stop();
	if (state.metrics == NULL)
		return;
	fcntl(state.memory, F_SETFD, 0);
	fcntl(state.reports, F_SETFD, 0);
	fcntl(state.reporting, F_SETFD, 0);
	snprintf(text, sizeof text, "%d %d %d", state.memory, state.reports, state.reporting);
	setenv(KEPT, text, 1);
}

/* The process that serves ------------------------------------------------------------------ */

static int
listen_on_path(const char *path)
{
	struct stat status;

	/* Of a former self; anything but a socket stays. */
	if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode))
		unlink(path);
	return nacre_socket_listen_path(path, 0111, BACKLOG);
}

static int
listen_on_address(const char *text)
{
	char *user = NULL, *host = NULL, service[16];
	struct addrinfo hints = {
	    .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	struct addrinfo *address = NULL;
	int port = 0, fd = -1;

	if (nacre_parse_destination(text, "", &user, &host, &port, NULL) == 0) {
		snprintf(service, sizeof service, "%d", port);
		if (getaddrinfo(host, service, &hints, &address) == 0)
			fd = nacre_socket_listen(address, BACKLOG);
	}
	free(user);
	free(host);
	if (address != NULL)
		freeaddrinfo(address);
	return fd;
}

static const struct metrics *
map_for_reading(void)
{
	const struct metrics *metrics =
	    mmap(NULL, sizeof *metrics, PROT_READ, MAP_SHARED, state.memory, 0);

	if (metrics == MAP_FAILED)
		_exit(255);
	munmap(state.metrics, sizeof *state.metrics);
	return metrics;
}

static void
start_server(void)
{
	int fd = state.address[0] == '/' ? listen_on_path(state.address)
					 : listen_on_address(state.address);

	if (fd < 0) {
		nacre_log(NACRE_LOG_ERROR, "MetricsListen %s: %s; going on without metrics",
		    state.address, strerror(errno));
		return;
	}
	fflush(NULL);
	state.server = fork();
	if (state.server == 0)
		metrics_serve(fd, map_for_reading(), state.privileged);
	if (state.server < 0)
		nacre_log(NACRE_LOG_ERROR, "fork: %s", strerror(errno));
	close(fd);
}

void
metrics_stop(void)
{
	if (state.server <= 0)
		return;
	kill(state.server, SIGKILL);
	while (waitpid(state.server, NULL, 0) < 0 && errno == EINTR)
		;
	state.server = -1;
	if (state.address[0] == '/')
		unlink(state.address);
}

void
metrics_start(const struct nacre_sshd_config *config)
{
	bool kept = take_over();

	if (config->metrics_listen == NULL)
		return;
	state.address = config->metrics_listen;
	state.privileged = geteuid() == 0;
	if ((!kept && !make_new()) || !map_memory()) {
		nacre_log(NACRE_LOG_ERROR, "no memory for metrics: %s", strerror(errno));
		return;
	}
	start_server();
}

/* Counting ------------------------------------------------------------------------------------ */

void
metrics_count_outcome(unsigned outcome)
{
	if (state.metrics != NULL && outcome < METRICS_OUTCOMES)
		state.metrics->outcomes[outcome]++;
}

void
metrics_count_penalty(unsigned outcome)
{
	if (state.metrics != NULL && outcome < METRICS_OUTCOMES)
		state.metrics->penalties[outcome]++;
}

void
metrics_set_startups(size_t count)
{
	if (state.metrics != NULL)
		state.metrics->startups = count;
}

static struct metrics_session *
find_session(int32_t monitor)
{
	struct metrics *metrics = state.metrics;

	for (size_t i = 0; i < metrics->session_count && i < METRICS_SESSIONS; i++)
		if (metrics->sessions[i].monitor == monitor)
			return &metrics->sessions[i];
	return NULL;
}

static void
add_session(int32_t monitor)
{
	struct metrics *metrics = state.metrics;

	/* Beyond the table they are counted, but their channels are not. */
	if (metrics->session_count < METRICS_SESSIONS)
		metrics->sessions[metrics->session_count] =
		    (struct metrics_session){.monitor = monitor};
	metrics->session_count++;
}

static void
remove_session(int32_t monitor)
{
	struct metrics *metrics = state.metrics;
	struct metrics_session *session = find_session(monitor);

	if (session == NULL && metrics->session_count <= METRICS_SESSIONS)
		return;
	metrics->session_count--;
	if (session != NULL && metrics->session_count < METRICS_SESSIONS)
		*session = metrics->sessions[metrics->session_count];
}

static void
count_latency(uint64_t microseconds)
{
	size_t bucket = 0;

	if (microseconds == 0)
		return;
	while (bucket < METRICS_LATENCIES && microseconds > metrics_latency_limits[bucket])
		bucket++;
	state.metrics->latencies[bucket]++;
	state.metrics->latency_sum += microseconds;
}

static void
count_report(const struct metrics_report *report)
{
	struct metrics *metrics = state.metrics;
	struct metrics_session *session = find_session(report->monitor);

	metrics->reports_lost += report->lost;
	for (size_t method = 0; method < METRICS_METHODS; method++)
		for (size_t result = 0; result < METRICS_RESULTS; result++)
			metrics->attempts[method][result] += report->attempts[method][result];
	count_latency(report->latency);
	metrics->sent += report->sent;
	metrics->received += report->received;
	metrics->rekeys += report->rekeys;
	metrics->channels_opened += report->channels_opened;
	/* The report of the login may have been lost. */
	if (session == NULL &&
	    (report->kind == METRICS_LOGIN || report->kind == METRICS_PROGRESS)) {
		add_session(report->monitor);
		session = find_session(report->monitor);
	}
	if (session != NULL)
		session->channels = report->channels;
	if (report->kind == METRICS_LOGOUT)
		remove_session(report->monitor);
}

void
metrics_read_reports(void)
{
	struct metrics_report reports[READ_MOST];
	ssize_t length = read(state.reports, reports, sizeof reports);

	for (ssize_t i = 0; i < length / (ssize_t)sizeof reports[0]; i++)
		count_report(&reports[i]);
}

int
metrics_reports(void)
{
	return state.metrics != NULL ? state.reports : -1;
}

int
metrics_reporting(void)
{
	return state.metrics != NULL ? state.reporting : -1;
}

void
metrics_child_ended(pid_t pid)
{
	if (state.metrics == NULL)
		return;
	if (pid != state.server) {
		/* Its last report may still be in the pipe, and then is of a session that is gone. */
		if (find_session((int32_t)pid) != NULL)
			metrics_read_reports();
		if (find_session((int32_t)pid) != NULL)
			remove_session((int32_t)pid);
		return;
	}
	state.server = -1;
	nacre_log(NACRE_LOG_ERROR, "the process that serves metrics has died%s",
	    state.restarts < RESTART_MOST ? "; starting another one" : "");
	if (state.restarts++ < RESTART_MOST)
		start_server();
}
