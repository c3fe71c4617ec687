/*
 * The loop of a connection: what the server says goes to the channels that it is about, what
 * descriptors bring to whoever watches them. A plain session has no poller and waits for its four
 * descriptors alone.
 */
#include "ssh/forward.h"
#include "ssh/mux_master.h"
#include "ssh/tunnel.h"
#include "ssh/x11.h"

#include <nacre/crypto.h>
#include <nacre/log.h>
#include <nacre/resolver.h>
#include <nacre/terminal.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT(span) (int)(span).length, (const char *)(span).data

/* Rounds of bulk data between two looks at everything else. */
#define BULK_ROUNDS 16
/* A read that brings less than this was the last for now. */
#define BULK_READ 16384

/* Signals ------------------------------------------------------------------------------------- */

static volatile sig_atomic_t window_changed, end_signal;

static void
on_window_change(int number)
{
	(void)number;
	window_changed = 1;
}

static void
on_end_signal(int number)
{
	end_signal = number;
}

void
connection_check_window_size(void)
{
	window_changed = 1;
}

/* They strike only while ppoll() waits with *mask. */
static void
catch_signals(sigset_t *mask)
{
	static const int ends[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
	struct sigaction action = {.sa_handler = on_end_signal}, before;
	sigset_t block;

	sigemptyset(&block);
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		sigaction(ends[i], NULL, &before);
		if (before.sa_handler == SIG_IGN)
			continue;
		sigaction(ends[i], &action, NULL);
		sigaddset(&block, ends[i]);
	}
	action.sa_handler = on_window_change;
	sigaction(SIGWINCH, &action, NULL);
	sigaddset(&block, SIGWINCH);
	sigprocmask(SIG_BLOCK, &block, mask);
}

/* Channels ------------------------------------------------------------------------------------ */

void
connection_add(struct connection *connection, struct channel *channel,
    const struct channel_kind *kind, uint32_t number, bool opening)
{
	channel->kind = kind;
	channel->connection = connection;
	channel->number = number;
	channel->opening = opening;
	channel->next = connection->channels;
	connection->channels = channel;
	channel->activity = &channel->last_active;
	nacre_channel_set_context(connection->session, number, channel);
	idle_begin(channel);
}

static bool
any_channel(const struct connection *connection)
{
	for (const struct channel *at = connection->channels; at != NULL; at = at->next)
		if (!at->gone && !at->idle)
			return true;
	return false;
}

/* The process stays for connections that outlive its session. */
static void
mark_gone(struct channel *channel)
{
	struct connection *const connection = channel->connection;

	channel->gone = connection->something_gone = true;
	if (connection->own_over && !any_channel(connection))
		connection_finish(connection, EXIT_OWN_ERROR);
}

static void
free_gone(struct connection *connection, bool all)
{
	struct channel **at = &connection->channels;

	connection->something_gone = false;
	while (*at != NULL) {
		struct channel *const channel = *at;

		if (!channel->gone && !all) {
			at = &channel->next;
			continue;
		}
		*at = channel->next;
		free(channel->description);
		channel->kind->release(channel);
	}
}

static void
flush(void *context)
{
	const struct connection *const connection = context;

	nacre_client_flush(connection->client);
}

struct nacre_relay_host *
connection_host(struct connection *connection)
{
	struct nacre_relay_host *const host = &connection->host;

	if (host->poller == NULL && nacre_poller_new(&host->poller) != 0)
		nacre_fatal("poller: %s", strerror(errno));
	return host;
}

static void
answers_ready(struct nacre_watch *watch, unsigned what)
{
	const struct connection *const connection = watch->owner;

	(void)what;
	nacre_resolver_ready(connection->resolver);
}

struct nacre_resolver *
connection_resolver(struct connection *connection)
{
	if (connection->resolver != NULL)
		return connection->resolver;
	connection->resolver = nacre_resolver_new(connection->plan->config->address_family);
	if (connection->resolver == NULL)
		nacre_fatal("out of memory");
	nacre_watch_init(&connection->resolver_watch, connection_host(connection)->poller,
	    nacre_resolver_fd(connection->resolver), answers_ready, connection);
	nacre_watch_want(&connection->resolver_watch, NACRE_POLL_READ);
	return connection->resolver;
}

void
connection_retire(struct connection *connection, void *pointer)
{
	nacre_put_bytes(&connection->retired, &pointer, sizeof pointer);
}

static void
free_retired(struct connection *connection)
{
	const struct nacre_span retired = nacre_buffer_span(&connection->retired);
	void *pointer;

	for (size_t at = 0; at < retired.length; at += sizeof pointer) {
		memcpy(&pointer, retired.data + at, sizeof pointer);
		free(pointer);
	}
	nacre_buffer_clear(&connection->retired);
}

/* Time ---------------------------------------------------------------------------------------- */

void
connection_timer_set(struct connection *connection, struct timer *timer, uint64_t when)
{
	struct timer **at = &connection->timers;

	while (*at != NULL && *at != timer)
		at = &(*at)->next;
	if (*at == NULL && when != 0) {
		timer->next = NULL;
		*at = timer;
	} else if (*at != NULL && when == 0) {
		*at = timer->next;
	}
	timer->when = when;
}

static uint64_t
timers_deadline(const struct connection *connection)
{
	uint64_t deadline = UINT64_MAX;

	for (const struct timer *at = connection->timers; at != NULL; at = at->next)
		if (at->when < deadline)
			deadline = at->when;
	return deadline;
}

/* One that is due may set or stop others. */
static void
serve_timers(struct connection *connection)
{
	const uint64_t now = connection->timers != NULL ? nacre_clock_ms() : 0;
	struct timer *at = connection->timers;

	while (at != NULL) {
		if (at->when > now) {
			at = at->next;
			continue;
		}
		connection_timer_set(connection, at, 0);
		at->due(connection, at);
		at = connection->timers;
	}
}

void
connection_finish(struct connection *connection, int status)
{
	connection->finished = true;
	if (connection->status < 0)
		connection->status = status;
}

/* Global requests ------------------------------------------------------------------------------ */

void
connection_expect_reply(struct connection *connection,
    void (*done)(
	struct connection *connection, void *context, bool success, struct nacre_span payload),
    void *context)
{
	struct reply *const reply = calloc(1, sizeof *reply);

	if (reply == NULL)
		nacre_fatal("out of memory");
	reply->done = done;
	reply->context = context;
	*connection->replies_end = reply;
	connection->replies_end = &reply->next;
	nacre_client_expect_reply(connection->client);
}

static void
on_global_reply(struct connection *connection, const struct nacre_event *event)
{
	struct reply *const reply = connection->replies;

	if (reply == NULL)
		return;
	connection->replies = reply->next;
	if (reply->next == NULL)
		connection->replies_end = &connection->replies;
	reply->done(connection, reply->context, event->u.global_reply.success,
	    event->u.global_reply.payload);
	free(reply);
}

/* Events -------------------------------------------------------------------------------------- */

void
channel_log_refusal(const struct channel *channel, const struct nacre_event *event)
{
	static const char *const reasons[] = {"unknown reason", "administratively prohibited",
	    "connect failed", "unknown channel type", "resource shortage"};
	const uint32_t reason = event->u.refused.reason;

	nacre_log(NACRE_LOG_ERROR, "channel %u: open failed: %s: %.*s", channel->number,
	    reasons[reason < sizeof reasons / sizeof *reasons ? reason : 0],
	    TEXT(event->u.refused.text));
}

void
channel_log_refusal_of(struct channel *channel, const struct nacre_event *event)
{
	channel_log_refusal(channel, event);
}

static void
on_opened(struct channel *channel, const struct nacre_event *event)
{
	(void)event;
	channel->opening = false;
	channel->last_active = nacre_clock_ms();
	if (channel->kind->opened != NULL)
		channel->kind->opened(channel);
}

static void
on_refused(struct channel *channel, const struct nacre_event *event)
{
	if (channel->kind->refused != NULL)
		channel->kind->refused(channel, event);
	mark_gone(channel);
}

static void
on_data(struct channel *channel, const struct nacre_event *event)
{
	if (channel->kind->data != NULL)
		channel->kind->data(channel, event->u.stream);
}

static void
on_room(struct channel *channel, const struct nacre_event *event)
{
	(void)event;
	if (channel->kind->room != NULL)
		channel->kind->room(channel);
}

static void
on_eof(struct channel *channel, const struct nacre_event *event)
{
	(void)event;
	if (channel->kind->eof != NULL)
		channel->kind->eof(channel);
}

static void
on_reply(struct channel *channel, const struct nacre_event *event)
{
	if (channel->kind->reply != NULL)
		channel->kind->reply(channel, event->u.channel_reply.success);
}

static void
on_closed(struct channel *channel, const struct nacre_event *event)
{
	(void)event;
	if (channel->kind->closed != NULL)
		channel->kind->closed(channel);
	mark_gone(channel);
}

static void
on_request(struct channel *channel, const struct nacre_event *event)
{
	nacre_log(NACRE_LOG_DEBUG1, "client_input_channel_req: channel %u rtype %.*s reply %d",
	    event->channel, TEXT(event->u.channel_request.name),
	    event->u.channel_request.want_reply);
	const bool known = channel->kind->request != NULL && channel->kind->request(channel, event);
	if (event->u.channel_request.want_reply)
		nacre_channel_request_reply(channel->connection->session, event->channel, known);
}

static void (*const channel_handlers[])(struct channel *, const struct nacre_event *) = {
    [NACRE_EVENT_CHANNEL_OPENED] = on_opened,
    [NACRE_EVENT_CHANNEL_REFUSED] = on_refused,
    [NACRE_EVENT_CHANNEL_DATA] = on_data,
    [NACRE_EVENT_CHANNEL_WRITABLE] = on_room,
    [NACRE_EVENT_CHANNEL_EOF] = on_eof,
    [NACRE_EVENT_CHANNEL_REQUEST] = on_request,
    [NACRE_EVENT_CHANNEL_REPLY] = on_reply,
    [NACRE_EVENT_CHANNEL_CLOSED] = on_closed,
};

/* Channels that a server may ask for. */
static const struct opener {
	enum nacre_channel_kind kind;
	void (*open)(struct connection *connection, const struct nacre_event *event);
} openers[] = {
    {NACRE_CHANNEL_AGENT, agent_channel_open},
    {NACRE_CHANNEL_X11, x11_channel_open},
    {NACRE_CHANNEL_FORWARDED_TCPIP, forward_remote_open},
    {NACRE_CHANNEL_FORWARDED_STREAMLOCAL, forward_remote_open},
};

static void
on_open(struct connection *connection, const struct nacre_event *event)
{
	for (size_t i = 0; i < sizeof openers / sizeof *openers; i++)
		if (openers[i].kind == event->u.channel_open.kind) {
			openers[i].open(connection, event);
			return;
		}
	nacre_log(NACRE_LOG_ERROR,
	    "WARNING: Server requests a channel (%.*s) that was not asked for; refused.",
	    TEXT(event->u.channel_open.type));
	nacre_channel_refuse(connection->session, event->channel,
	    NACRE_OPEN_ADMINISTRATIVELY_PROHIBITED, "not requested");
}

static void
handle(struct connection *connection, const struct nacre_event *event)
{
	const size_t kind = (size_t)event->kind;
	struct channel *channel;

	if (event->kind == NACRE_EVENT_CHANNEL_OPEN) {
		on_open(connection, event);
	} else if (event->kind == NACRE_EVENT_GLOBAL_REPLY) {
		on_global_reply(connection, event);
	} else if (event->kind == NACRE_EVENT_DISCONNECTED) {
		connection_finish(connection, EXIT_OWN_ERROR);
	} else if (kind < sizeof channel_handlers / sizeof *channel_handlers &&
		   channel_handlers[kind] != NULL) {
		channel = nacre_channel_context(connection->session, event->channel);
		if (channel != NULL)
			channel_handlers[kind](channel, event);
	}
}

static void
take_events(struct connection *connection)
{
	struct nacre_event event;

	while (!connection->finished &&
	       nacre_session_next_event(connection->session, nacre_clock_ms(), &event))
		if (!nacre_client_event(connection->client, &event))
			handle(connection, &event);
}

/* As nacre_client_flush(). What was sent may have made room for a channel that waits for it. */
static int
flush_all(struct connection *connection)
{
	struct nacre_event event;
	int flushed = nacre_client_flush(connection->client);

	while (!connection->finished &&
	       nacre_session_next_event(connection->session, nacre_clock_ms(), &event)) {
		if (!nacre_client_event(connection->client, &event))
			handle(connection, &event);
		flushed = nacre_client_flush(connection->client);
	}
	return flushed;
}

/* Waiting ------------------------------------------------------------------------------------- */

static size_t
collect_waits(const struct connection *connection, bool network_full, struct pollfd *waits)
{
	size_t room, count = 0;
	const bool reads = nacre_session_input_room(connection->session, &room) != NULL;

	waits[count++] = (struct pollfd){.fd = nacre_client_read_fd(connection->client),
	    .events = (short)((reads ? POLLIN : 0) | (network_full ? POLLOUT : 0))};
	if (connection->host.poller != NULL)
		waits[count++] = (struct pollfd){
		    .fd = nacre_poller_fd(connection->host.poller), .events = POLLIN};
	if (connection->own != NULL)
		count += session_waits(connection->own, network_full, waits + count);
	return count;
}

static int64_t
wait_time(const struct connection *connection)
{
	const uint64_t timers = timers_deadline(connection);
	uint64_t deadline = nacre_client_deadline(connection->client);
	const uint64_t now = nacre_clock_ms();

	if (timers < deadline)
		deadline = timers;
	if (connection->host.poller != NULL && nacre_poller_always_ready(connection->host.poller))
		return 0;
	if (connection->master != NULL && mux_master_deadline(connection->master) < deadline)
		deadline = mux_master_deadline(connection->master);
	if (deadline == UINT64_MAX)
		return -1;
	return deadline <= now ? 0 : (int64_t)(deadline - now);
}

static void
wait_for(struct pollfd *waits, size_t count, int64_t milliseconds, const sigset_t *mask)
{
	const struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};

	/* After a signal nothing is ready. */
	if (ppoll(waits, (nfds_t)count, milliseconds < 0 ? NULL : &time, mask) < 0)
		for (size_t i = 0; i < count; i++)
			waits[i].revents = 0;
}

/* Everything that the socket holds, in bounds, and what follows from it. */
static void
pump_network(struct connection *connection)
{
	for (int i = 0; i < BULK_ROUNDS && !connection->finished; i++) {
		const ssize_t got = nacre_client_receive(connection->client);

		if (got == 0 || got == NACRE_ERROR_STATE)
			return;
		take_events(connection);
		/* What is to be sent now leaves together with the input that may be there. */
		if (got < BULK_READ || nacre_client_flush(connection->client) < 0)
			return;
	}
}

static void
serve(struct connection *connection, const struct pollfd *waits)
{
	struct nacre_poller *const poller = connection->host.poller;

	connection->host.now = nacre_clock_ms();
	if ((waits[0].revents & ~POLLOUT) != 0)
		pump_network(connection);
	/* The second wait, or one that was made meanwhile. */
	if (poller != NULL && !connection->finished)
		nacre_watch_dispatch(poller, 0);
	if (connection->own != NULL && !connection->finished)
		session_pump_output(connection->own);
}

/* Once there is nothing to do but to wait for the server: what is left of the login. */
static void
settle(struct connection *connection)
{
	const struct session_channel *const own = connection->own;

	if (!connection->settled && (own == NULL || own->started || !own->open)) {
		nacre_client_settle(connection->client);
		connection->settled = true;
	}
}

static void
on_signal(struct connection *connection)
{
	nacre_log(NACRE_LOG_VERBOSE, "Killed by signal %d.", (int)end_signal);
	connection->status = EXIT_OWN_ERROR;
	connection_finish(connection, EXIT_OWN_ERROR);
}

static void
send_window_sizes(struct connection *connection)
{
	window_changed = 0;
	if (connection->own != NULL)
		session_send_window_size(connection->own);
	if (connection->master != NULL)
		mux_master_check_windows(connection->master);
}

/* One turn of the loop. */
static void
turn(struct connection *connection, const sigset_t *mask)
{
	struct pollfd waits[WAITS_MAX];

	take_events(connection);
	if (connection->master != NULL)
		mux_master_tend(connection->master, any_channel(connection));
	const bool more = connection->own != NULL && session_pump_input(connection->own);
	const int flushed = flush_all(connection);
	if (connection->something_gone)
		free_gone(connection, false);
	if (nacre_buffer_length(&connection->retired) > 0)
		free_retired(connection);
	if (connection->finished)
		return;
	settle(connection);
	wait_for(waits, collect_waits(connection, flushed == 1, waits),
	    more && flushed == 0 ? 0 : wait_time(connection), mask);
	if (end_signal != 0) {
		on_signal(connection);
		return;
	}
	if (window_changed)
		send_window_sizes(connection);
	serve(connection, waits);
	serve_timers(connection);
	if (!connection->finished && nacre_client_tick(connection->client, nacre_clock_ms()) != 0)
		connection_finish(connection, EXIT_OWN_ERROR);
}

/* The beginning and the end ------------------------------------------------------------------- */

static void
log_end(const struct connection *connection)
{
	uint64_t sent, received;

	nacre_session_traffic(connection->session, &sent, &received);
	if (connection->plan->terminal)
		nacre_log(
		    NACRE_LOG_INFO, "Connection to %s closed.", connection->plan->config->hostname);
	nacre_log(NACRE_LOG_VERBOSE, "Transferred: sent %llu, received %llu bytes",
	    (unsigned long long)sent, (unsigned long long)received);
	nacre_log(NACRE_LOG_DEBUG1, "Exit status %d", connection->status);
}

static void
let_go(struct connection *connection)
{
	forward_end(connection);
	free_gone(connection, true);
	free_retired(connection);
	nacre_buffer_free(&connection->retired);
	if (connection->master != NULL)
		mux_master_end(connection->master);
	while (connection->replies != NULL) {
		struct reply *const reply = connection->replies;

		connection->replies = reply->next;
		free(reply);
	}
	nacre_poller_free(connection->host.poller);
}

/* The channel of the plan is all that we want; who takes over this process gets no other session. */
static void
forbid_sessions(const struct connection *connection)
{
	if (!nacre_client_knows_openssh(connection->client))
		return;
	nacre_log(NACRE_LOG_DEBUG1, "Requesting no-more-sessions@openssh.com");
	nacre_session_no_more_sessions(connection->session);
}

static void
leave_descriptors(bool but_for_messages)
{
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	for (int fd = 0; fd <= (but_for_messages ? 1 : 2); fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

/* -f: at once, or when it is known whether the server forwards what must be forwarded. */
static void
detach(struct connection *connection)
{
	const struct nacre_ssh_config *const config = connection->plan->config;

	if (config->exit_on_forward_failure && connection->forwards_pending > 0)
		nacre_log(NACRE_LOG_DEBUG1,
		    "deferring postauth fork until remote forward confirmation received");
	while (config->exit_on_forward_failure && connection->forwards_pending > 0 &&
	       !connection->finished)
		turn(connection, NULL);
	if (connection->finished)
		return;
	go_to_background(connection->client);
	/* Whoever reads from us would wait for as long as connections are forwarded. */
	if (connection->own == NULL)
		leave_descriptors(nacre_log_level_get() >= NACRE_LOG_DEBUG1);
}

int
connection_run(struct nacre_client *client, const struct session_plan *plan)
{
	static struct connection connection; /* one a process */
	sigset_t mask;

	connection = (struct connection){.client = client,
	    .session = nacre_client_session(client),
	    .plan = plan,
	    .replies_end = &connection.replies,
	    .status = -1};
	connection.host = (struct nacre_relay_host){.session = connection.session,
	    .flush = flush,
	    .context = &connection,
	    .now = nacre_clock_ms()};
	if (plan->master != NULL)
		mux_master_start(plan->master, &connection);
	forward_start(&connection);
	if (!connection.finished)
		tunnel_start(&connection);
	if (!connection.finished && session_open(&connection) != 0)
		connection_finish(&connection, EXIT_OWN_ERROR);
	if (plan->master == NULL)
		forbid_sessions(&connection);
	nacre_log(NACRE_LOG_DEBUG1, "Entering interactive session.");
	nacre_client_flush(client);
	if (plan->detached)
		leave_descriptors(nacre_log_level_get() >= NACRE_LOG_DEBUG1);
	else if (plan->config->fork_after_authentication)
		detach(&connection);
	/* While the server opens the channel: */
	catch_signals(&mask);
	if (connection.own != NULL)
		session_take_streams(connection.own);
	while (!connection.finished)
		turn(&connection, &mask);
	nacre_terminal_restore();
	log_end(&connection);
	let_go(&connection);
	return connection.status;
}
