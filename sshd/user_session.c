/* The session process: its loop, the events of the connection, keepalives and the end. */
#include "user_session.h"
#include "monitor.h"
#include "record.h"

#include <nacre/log.h>
#include <nacre/process.h>
#include <nacre/socket.h>

#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_MOST 16
#define IDLE_MS    1500 /* after so long a process gives back what it can */

void
endpoint_init(struct endpoint *endpoint)
{
	*endpoint = (struct endpoint){.fd = -1};
}

void
endpoint_want(struct user_session *user, struct endpoint *endpoint, unsigned what)
{
	if (endpoint->fd < 0 || endpoint->wanted == what)
		return;
	endpoint->wanted = what;
	if (nacre_poller_set(user->poller, endpoint->fd, what, endpoint) != 0)
		nacre_fatal("poller: %s", strerror(errno));
}

void
endpoint_close(struct user_session *user, struct endpoint *endpoint)
{
	if (endpoint->fd < 0)
		return;
	endpoint_want(user, endpoint, 0);
	close(endpoint->fd);
	endpoint->fd = -1;
	endpoint->source = endpoint->sink = false;
}

void
endpoint_forget(struct user_session *user, struct endpoint *endpoint)
{
	endpoint_want(user, endpoint, 0);
	endpoint->fd = -1;
}

/* The end ------------------------------------------------------------------------------------ */

static struct user_session *current;

/* Also on the way out of nacre_fatal(). */
static void
remove_files(void)
{
	auth_info_remove(current);
	acceptor_remove_files(current);
	agent_remove_directory(current);
}

/* Terminals hang up when their other side is closed; nothing else is done to running programs. */
void
user_leave(struct user_session *user, int status)
{
	totals_tell(user, true);
	remove_files();
	for (struct channel *channel = user->channels; channel != NULL; channel = channel->next)
		for (size_t i = 0; i < CHANNEL_ENDPOINTS; i++)
			if (channel->endpoints[i].fd >= 0)
				close(channel->endpoints[i].fd);
	_exit(status);
}

static _Noreturn void
lost(struct user_session *user, const char *how)
{
	record_logout(user->login, how, (struct nacre_span){NULL, 0}, user->sent, user->received);
	user_leave(user, 255);
}

static _Noreturn void
disconnected(struct user_session *user, const struct nacre_event *event)
{
	const struct login *login = user->login;
	const struct nacre_span text = event->u.disconnected.text;
	bool by_peer = event->u.disconnected.by_peer;
	uint32_t reason = event->u.disconnected.reason;

	user_flush(user);
	if (by_peer && reason == NACRE_DISCONNECT_CONNECTION_LOST)
		lost(user, "closed");
	if (by_peer)
		nacre_log(record_disconnect_level(reason),
		    "Received disconnect from %s port %d:%u: %.*s", login->peer.address,
		    login->peer.port, reason, (int)(text.length < 500 ? text.length : 500),
		    (const char *)text.data);
	record_logout(
	    login, by_peer ? "disconnected" : "protocol_error", text, user->sent, user->received);
	user_leave(user, by_peer ? 0 : 255);
}

void
user_mark_packets(struct user_session *user)
{
	const struct nacre_sshd_config *config = user->config;
	int value = user->bulk_channels > 0 ? config->ipqos_bulk : config->ipqos_interactive;

	if (value == NACRE_IPQOS_NONE && user->marked >= 0)
		value = 0;
	if (value == NACRE_IPQOS_NONE || value == user->marked)
		return;
	user->marked = value;
	/* What one of them is not for, it does not take. */
	setsockopt(user->output.fd, IPPROTO_IPV6, IPV6_TCLASS, &value, sizeof value);
	setsockopt(user->output.fd, IPPROTO_IP, IP_TOS, &value, sizeof value);
}

/* The socket --------------------------------------------------------------------------------- */

void
user_flush(struct user_session *user)
{
	struct nacre_span output;

	while ((output = nacre_session_output(user->session)).length > 0) {
		ssize_t count = write(user->output.fd, output.data, output.length);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0 && errno == EAGAIN)
			return;
		if (count <= 0)
			lost(user, "reset");
		user->sent += (uint64_t)count;
		nacre_session_sent(user->session, (size_t)count);
	}
}

static void
receive(struct user_session *user)
{
	size_t length;
	uint8_t *room = nacre_session_input_room(user->session, &length);

	user->input_blocked = room == NULL;
	if (room == NULL)
		return;
	ssize_t count = read(user->input.fd, room, length);
	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count < 0)
		lost(user, "reset");
	user->received += (uint64_t)count;
	user->last_heard = nacre_clock_ms();
	user->unanswered = 0;
	nacre_session_received(user->session, (size_t)count, user->last_heard);
}

static void
socket_ready(struct user_session *user, struct endpoint *endpoint, unsigned what)
{
	(void)endpoint;
	if ((what & NACRE_POLL_WRITE) != 0)
		user_flush(user);
	if ((what & (NACRE_POLL_READ | NACRE_POLL_HANGUP)) != 0)
		receive(user);
}

static void
monitor_ready(struct user_session *user, struct endpoint *endpoint, unsigned what)
{
	/* It speaks only when spoken to: this is its end. */
	(void)endpoint;
	(void)what;
	user_leave(user, 255);
}

static void
signals_ready(struct user_session *user, struct endpoint *endpoint, unsigned what)
{
	struct signalfd_siginfo info;
	pid_t pid;
	int status;

	(void)what;
	if (read(endpoint->fd, &info, sizeof info) != sizeof info)
		return;
	if (info.ssi_signo != SIGCHLD) {
		nacre_log(NACRE_LOG_INFO, "Exiting on signal %u", info.ssi_signo);
		lost(user, "terminated");
	}
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct channel *channel = channel_by_child(user, pid);
		if (channel != NULL)
			session_child_ended(channel, status);
	}
}

/* Events ------------------------------------------------------------------------------------- */

static void
sign(struct user_session *user, const struct nacre_event *event)
{
	struct nacre_buffer signature = {0};

	if (monitor_ask_signature(user->monitor_fd, event->u.sign.algorithm, event->u.sign.blob,
		event->u.sign.data, &signature) != 0)
		user_leave(user, 255);
	nacre_session_signature(user->session, nacre_buffer_span(&signature));
	nacre_buffer_free(&signature);
}

static void
open_session(struct user_session *user, const struct nacre_event *event)
{
	if (user->session_count >= user->config->max_sessions) {
		nacre_log(NACRE_LOG_VERBOSE, "no more sessions: MaxSessions is %d",
		    user->config->max_sessions);
		nacre_channel_refuse(
		    user->session, event->channel, NACRE_OPEN_CONNECT_FAILED, "open failed");
		return;
	}
	struct channel *channel = channel_add(user, event->channel);
	channel->is_session = channel->opened = true;
	timeout_set(channel, "session");
	user->session_count++;
	nacre_channel_accept(user->session, event->channel);
}

static void
channel_open(struct user_session *user, const struct nacre_event *event)
{
	switch (event->u.channel_open.kind) {
	case NACRE_CHANNEL_SESSION:
		open_session(user, event);
		break;
	case NACRE_CHANNEL_DIRECT_TCPIP:
	case NACRE_CHANNEL_DIRECT_STREAMLOCAL:
		forward_open(user, event);
		break;
	case NACRE_CHANNEL_TUNNEL:
		tunnel_open(user, event);
		break;
	default:
		nacre_channel_refuse(user->session, event->channel, NACRE_OPEN_UNKNOWN_CHANNEL_TYPE,
		    "unknown channel type");
		break;
	}
}

static void
channel_event(struct user_session *user, struct channel *channel, const struct nacre_event *event)
{
	switch (event->kind) {
	case NACRE_EVENT_CHANNEL_OPENED:
		channel->opened = true;
		channel_start(channel);
		break;
	case NACRE_EVENT_CHANNEL_REFUSED:
	case NACRE_EVENT_CHANNEL_CLOSED:
		channel_remove(channel);
		break;
	case NACRE_EVENT_CHANNEL_DATA:
		channel_received(channel);
		break;
	case NACRE_EVENT_CHANNEL_WRITABLE:
		channel_writable(channel);
		break;
	case NACRE_EVENT_CHANNEL_EOF:
		channel_peer_eof(channel);
		break;
	case NACRE_EVENT_CHANNEL_REQUEST: {
		bool want_reply = event->u.channel_request.want_reply;
		bool success = channel->is_session && session_request(channel, event);
		if (want_reply)
			nacre_channel_request_reply(user->session, event->channel, success);
		if (success)
			channel_start(channel);
		break;
	}
	default:
		break;
	}
}

static void
handle(struct user_session *user, const struct nacre_event *event)
{
	struct channel *channel;

	switch (event->kind) {
	case NACRE_EVENT_LOG:
		nacre_log(event->u.log.level, "%.*s", (int)event->u.log.text.length,
		    (const char *)event->u.log.text.data);
		break;
	case NACRE_EVENT_SIGN:
		sign(user, event);
		break;
	case NACRE_EVENT_KEYS_EXCHANGED:
		user->rekeys++;
		break;
	case NACRE_EVENT_GLOBAL_REQUEST:
		global_request(user, event);
		break;
	case NACRE_EVENT_CHANNEL_OPEN:
		channel_open(user, event);
		break;
	case NACRE_EVENT_DISCONNECTED:
		disconnected(user, event);
	case NACRE_EVENT_CHANNEL_OPENED:
	case NACRE_EVENT_CHANNEL_REFUSED:
	case NACRE_EVENT_CHANNEL_DATA:
	case NACRE_EVENT_CHANNEL_WRITABLE:
	case NACRE_EVENT_CHANNEL_EOF:
	case NACRE_EVENT_CHANNEL_REQUEST:
	case NACRE_EVENT_CHANNEL_CLOSED:
		channel = nacre_channel_context(user->session, event->channel);
		if (channel != NULL)
			channel_event(user, channel, event);
		break;
	default:
		break;
	}
}

/* Time --------------------------------------------------------------------------------------- */

static int64_t
timeout_of(const struct user_session *user)
{
	uint64_t deadline = nacre_session_deadline(user->session);
	uint64_t timeout = timeout_next(user), totals = totals_deadline(user);
	uint64_t now = nacre_clock_ms();

	if (timeout < deadline)
		deadline = timeout;
	if (totals < deadline)
		deadline = totals;
	if (deadline == UINT64_MAX)
		return -1;
	return deadline > now ? (int64_t)(deadline - now) : 0;
}

/* The loop ----------------------------------------------------------------------------------- */

static void
want_socket(struct user_session *user)
{
	unsigned receiving = user->input_blocked ? 0 : NACRE_POLL_READ;
	unsigned sending = nacre_session_output(user->session).length > 0 ? NACRE_POLL_WRITE : 0;

	if (user->input.fd == user->output.fd) {
		endpoint_want(user, &user->input, receiving | sending);
		return;
	}
	endpoint_want(user, &user->input, receiving);
	endpoint_want(user, &user->output, sending);
}

static void
handle_events(struct user_session *user)
{
	struct nacre_event event;

	while (nacre_session_next_event(user->session, nacre_clock_ms(), &event))
		handle(user, &event);
	if (user->input_blocked) {
		size_t length;
		user->input_blocked = nacre_session_input_room(user->session, &length) == NULL;
	}
	user_flush(user);
	/* What was sent may have made room for a channel that waits. */
	while (nacre_session_next_event(user->session, nacre_clock_ms(), &event)) {
		handle(user, &event);
		user_flush(user);
	}
}

static int
wait_for(struct user_session *user, struct nacre_ready *ready)
{
	int64_t timeout = timeout_of(user);
	bool release = !user->released && (timeout < 0 || timeout > IDLE_MS);
	int count = nacre_poller_wait(user->poller, release ? IDLE_MS : timeout, ready, READY_MOST);

	if (release && count == 0)
		nacre_process_release_memory();
	user->released = count == 0 && (release || user->released);
	return count;
}

static _Noreturn void
run(struct user_session *user)
{
	struct nacre_ready ready[READY_MOST];

	for (;;) {
		handle_events(user);
		if (user->something_gone) {
			user->something_gone = false;
			channel_free_gone(user);
			acceptor_free_gone(user);
		}
		if (!timeout_check(user))
			lost(user, "timeout");
		totals_tell(user, false);
		want_socket(user);
		int count = wait_for(user, ready);
		user->now = nacre_clock_ms();
		for (int i = 0; i < count; i++) {
			struct endpoint *endpoint = ready[i].context;
			if (endpoint->fd == ready[i].fd && endpoint->ready != NULL)
				endpoint->ready(user, endpoint, ready[i].what);
		}
	}
}

/* The beginning ------------------------------------------------------------------------------ */

static void
watch(struct user_session *user, struct endpoint *endpoint, int fd,
    void (*ready)(struct user_session *, struct endpoint *, unsigned))
{
	endpoint_init(endpoint);
	endpoint->fd = fd;
	endpoint->ready = ready;
	endpoint_want(user, endpoint, NACRE_POLL_READ);
}

static int
open_signals(void)
{
	sigset_t set;

	signal(SIGALRM, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* hostkeys-00@openssh.com: all our keys, so that clients can learn the new ones. */
static void
send_host_keys(struct user_session *user)
{
	const struct server *server = user->login->server;
	struct nacre_buffer blobs = {0};

	for (size_t i = 0; i < server->host_key_count; i++)
		nacre_put_string_span(&blobs, nacre_buffer_span(&server->host_keys[i].blob));
	nacre_global_request(
	    user->session, "hostkeys-00@openssh.com", false, nacre_buffer_span(&blobs));
	nacre_buffer_free(&blobs);
}

static void
take_permissions(struct user_session *user)
{
	const struct authentication *authentication = &user->login->authentication;
	const struct nacre_key_options *options = &authentication->options;
	bool unlimited = !authentication->has_options;
	const struct nacre_sshd_config *config = user->config;

	user->permit_pty = config->permit_tty && (unlimited || options->permit_pty);
	user->permit_agent = config->allow_agent_forwarding && !config->disable_forwarding &&
			     (unlimited || options->permit_agent_forwarding) &&
			     !user->login->password_expired;
	user->permit_forwarding = !config->disable_forwarding &&
				  (unlimited || options->permit_port_forwarding) &&
				  !user->login->password_expired;
	/* A key with tunnel= is for a tunnel, whatever else it forbids. */
	user->permit_tunnel =
	    !config->disable_forwarding && !user->login->password_expired &&
	    (unlimited || options->permit_port_forwarding || options->tunnel >= 0);
	user->permit_x11 = config->x11_forwarding && !config->disable_forwarding &&
			   (unlimited || options->permit_x11_forwarding) &&
			   !user->login->password_expired;
}

/* A thousand forwarded connections are more than what programs are usually given; those of the user
 * get what was there before. */
static void
raise_descriptor_limit(struct user_session *user)
{
	if (getrlimit(RLIMIT_NOFILE, &user->descriptors) != 0)
		nacre_fatal("getrlimit: %s", strerror(errno));
	struct rlimit all = {user->descriptors.rlim_max, user->descriptors.rlim_max};
	if (setrlimit(RLIMIT_NOFILE, &all) != 0)
		nacre_log(NACRE_LOG_DEBUG1, "setrlimit: %s", strerror(errno));
}

/* What the kernel has measured by now, if the peer is at the other end of a TCP connection. */
static void
learn_round_trip(struct user_session *user)
{
	const uint32_t microseconds = nacre_socket_round_trip(user->input.fd);

	if (microseconds != UINT32_MAX)
		nacre_session_round_trip_known(user->session, microseconds / 1000);
}

_Noreturn void
user_session_main(struct login *login, int monitor, struct nacre_span state)
{
	static struct user_session user;
	struct nacre_span blobs[2 * login->server->host_key_count + 1];
	struct nacre_session_options options;

	user = (struct user_session){
	    .login = login, .config = login->config, .monitor_fd = monitor, .marked = -1};
	server_session_options(login->server, &options, blobs);
	user.now = user.last_heard = nacre_clock_ms();
	timeout_begin(&user);
	if (nacre_session_import(&options, state, user.last_heard, &user.session) != 0)
		nacre_fatal("the session cannot be taken over");
	/* The state lies in the monitor's frame, of which this process has a copy. */
	explicit_bzero((void *)state.data, state.length);
	if (nacre_poller_new(&user.poller) != 0)
		nacre_fatal("poller: %s", strerror(errno));
	watch(&user, &user.input, login->input, socket_ready);
	user.output = user.input;
	user.output.fd = login->output;
	user.output.wanted = 0;
	learn_round_trip(&user);
	watch(&user, &user.monitor, monitor, monitor_ready);
	watch(&user, &user.signals, open_signals(), signals_ready);
	current = &user;
	atexit(remove_files);
	take_permissions(&user);
	auth_info_expose(&user);
	raise_descriptor_limit(&user);
	title_set("%s", login->account.name);
	send_host_keys(&user);
	run(&user);
}
