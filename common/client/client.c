/*
 * The order of a login: what is started, what is done while the network is awaited, and the loop
 * until the server has let us in. Afterwards the input and output of the session.
 */
#include <client/client.h>
#include <nacre/poller.h>
#include <nacre/socket.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Fewer bytes than this in one read are an answer or two, not bulk data. */
#define LONE_ANSWER 4096

#define SOFTWARE   "Nacre_" NACRE_VERSION
#define TEXT(span) (int)(span).length, (const char *)(span).data

/* Making a session ---------------------------------------------------------------------------- */

static bool
begins_with(const char *list, const char *name)
{
	struct nacre_span left = nacre_span_of(list);

	return nacre_span_equals(nacre_list_next(&left), name);
}

/* A guess that is known to be wrong costs both sides a key pair for nothing. */
static bool
guess_may_be_right(const struct nacre_client *client, const char *kex, const char *host_key)
{
	const struct preference *const preference = &client->preference;

	return preference->host_key[0] == '\0' ||
	       (begins_with(kex, preference->kex) && begins_with(host_key, preference->host_key));
}

/* Lists that are NULL in the configuration are the library's defaults. */
static int
session_start(struct nacre_client *client)
{
	const struct nacre_ssh_config *const config = client->config;
	struct nacre_buffer kex = {0}, host_key = {0};
	int error = algorithms_kex(client, &kex);

	if (error == 0)
		error = algorithms_host_key(client, &host_key);
	if (error == 0) {
		const struct nacre_session_options options = {
		    .role = NACRE_CLIENT,
		    .software = SOFTWARE,
		    .version_addendum = config->version_addendum,
		    .kex_algorithms = (const char *)kex.data,
		    .host_key_algorithms = (const char *)host_key.data,
		    .ciphers_client_to_server = config->ciphers,
		    .ciphers_server_to_client = config->ciphers,
		    .macs_client_to_server = config->macs,
		    .macs_server_to_client = config->macs,
		    .compression =
			config->compression ? "zlib@openssh.com,none" : "none,zlib@openssh.com",
		    .guess = client->guess && guess_may_be_right(client, (const char *)kex.data,
						  (const char *)host_key.data),
		    .required_rsa_bits = (unsigned)config->required_rsa_size,
		    .rekey_bytes = config->rekey_limit,
		    .rekey_seconds = (uint32_t)config->rekey_interval,
		    .log_level = nacre_log_level_get(),
		};
		error = nacre_session_new(&options, nacre_clock_ms(), &client->session);
	}
	nacre_buffer_free(&kex);
	nacre_buffer_free(&host_key);
	if (error != 0)
		nacre_log(NACRE_LOG_ERROR, "Cannot start a session: %s", nacre_error_string(error));
	return error;
}

static int
name_peer(struct nacre_client *client)
{
	const char *const address = client->address != NULL ? client->address : "UNKNOWN";

	return asprintf(&client->peer, "%s port %d", address,
		   client->address != NULL ? client->config->port : 65535) < 0
		   ? NACRE_ERROR_MEMORY
		   : 0;
}

static bool
has_proxy(const struct nacre_client *client)
{
	return client->config->proxy_command != NULL || client->config->proxy_jump != NULL;
}

/* Everything up to the first flight. The connection is under way while files are read and keys
 * made. */
static int
establish(struct nacre_client *client)
{
	int error = nacre_ssh_config_check(client->config);

	if (error != 0) {
		nacre_log_lines(NACRE_LOG_FATAL, nacre_buffer_span(&client->config->error));
		return error;
	}
	if (client->config->login_trace)
		client->trace = trace_new();
	connect_deadline(client);
	trace_stage(
	    client->trace, has_proxy(client) ? "start the proxy" : "resolve the name", NULL);
	error = has_proxy(client) ? proxy_start(client) : connect_start(client);
	trace_stage(client->trace, "read known hosts, make keys", NULL);
	if (error == 0)
		error = host_key_load_known(client);
	if (error == 0) {
		preference_load(client);
		error = session_start(client);
	}
	if (error == 0 && !has_proxy(client))
		error = connect_finish(client);
	if (error == 0)
		error = name_peer(client);
	return error;
}

/* Events -------------------------------------------------------------------------------------- */

static void
log_guess(const struct nacre_client *client)
{
	struct nacre_session_algorithms agreed;

	nacre_session_algorithms(client->session, &agreed);
	nacre_log(NACRE_LOG_DEBUG2, "kex: guess %s",
	    !agreed.guess_sent   ? "not sent"
	    : agreed.guess_right ? "right"
				 : "wrong");
}

static bool
contains(struct nacre_span text, const char *word)
{
	return memmem(text.data, text.length, word, strlen(word)) != NULL;
}

/* Before its identification a server mostly ends a connection because it does not want the person's
 * address, or nobody, just now. */
static void
log_lost_early(const struct nacre_client *client)
{
	const bool greeted = client->early.identification != NULL;

	if (!greeted)
		nacre_log(NACRE_LOG_ERROR, "kex_exchange_identification: %s",
		    client->reset ? "read: Connection reset by peer"
				  : "Connection closed by remote host");
	nacre_log(NACRE_LOG_ERROR, "Connection %s by %s", client->reset ? "reset" : "closed",
	    client->peer);
	if (!greeted && client->proxy == 0)
		nacre_log(NACRE_LOG_INFO,
		    "hint: the server closed before it said anything: it may be full "
		    "(MaxStartups), "
		    "punish this address for a while (PerSourcePenalties), or be no SSH server. "
		    "Wait a minute, then: ssh -v -p %d %s",
		    client->config->port, client->config->host);
	else if (client->proxy != 0)
		nacre_log(NACRE_LOG_INFO,
		    "hint: the command or host between could not reach %s. "
		    "Try: ssh -v %s",
		    client->config->hostname, client->config->host);
}

/* Without a reason the words depend on how far we were. */
static void
log_lost(const struct nacre_client *client)
{
	if (client->authenticated)
		nacre_log(NACRE_LOG_INFO, "Connection to %s closed by remote host.",
		    client->config->hostname);
	else
		log_lost_early(client);
}

/* What tells the person why the connection ended, in the words of ssh(1). */
static void
log_disconnected(struct nacre_client *client, const struct nacre_event *event)
{
	const struct nacre_span text = event->u.disconnected.text;
	const uint32_t reason = event->u.disconnected.reason;
	const int error = event->u.disconnected.error;
	/* A connection that is lost has ended without a word. */
	const bool said = event->u.disconnected.by_peer && reason != 0 &&
			  reason != NACRE_DISCONNECT_CONNECTION_LOST;

	if (error == NACRE_ERROR_NEGOTIATION) {
		nacre_log(
		    NACRE_LOG_FATAL, "Unable to negotiate with %s: %.*s", client->peer, TEXT(text));
	} else if (said) {
		nacre_log(NACRE_LOG_FATAL, "Received disconnect from %s:%u: %.*s", client->peer,
		    reason, TEXT(text));
		nacre_log(NACRE_LOG_FATAL, "Disconnected from %s", client->peer);
	} else if (error == NACRE_ERROR_CLOSED || event->u.disconnected.by_peer) {
		log_lost(client);
	} else {
		nacre_log(NACRE_LOG_FATAL, "Connection to %s: %.*s", client->peer,
		    text.length > 0 ? (int)text.length : (int)strlen(nacre_error_string(error)),
		    text.length > 0 ? (const char *)text.data : nacre_error_string(error));
	}
	hint_disconnected(client, text);
}

static bool
on_log(struct nacre_client *client, const struct nacre_event *event)
{
	(void)client;
	nacre_log(event->u.log.level, "%.*s", TEXT(event->u.log.text));
	return true;
}

static bool
on_identified(struct nacre_client *client, const struct nacre_event *event)
{
	trace_stage(client->trace, "key exchange", NULL);
	client->early.identification = nacre_span_to_string(event->u.text);
	client->openssh_like =
	    contains(event->u.text, "OpenSSH") || contains(event->u.text, "Nacre");
	nacre_log(NACRE_LOG_DEBUG1, "Authenticating to %s:%d as '%s'", client->config->hostname,
	    client->config->port, client->config->user);
	return true;
}

static bool
on_preamble(struct nacre_client *client, const struct nacre_event *event)
{
	(void)client;
	nacre_log(NACRE_LOG_DEBUG1, "kex_exchange_identification: banner line: %.*s",
	    TEXT(event->u.text));
	return true;
}

static bool
on_host_key(struct nacre_client *client, const struct nacre_event *event)
{
	trace_stage(client->trace, "host key", NULL);
	const bool trusted = host_key_trusted(client, event->u.host_key.blob);

	trace_stage(client->trace, "key exchange", NULL);
	/* A person may have thought about it for longer than ConnectTimeout. */
	client->handshake_deadline = UINT64_MAX;
	client->failed |= !trusted;
	nacre_session_trust_host_key(client->session, trusted);
	return true;
}

/* WarnWeakCrypto: what was recorded today is read once there are quantum computers. */
static void
warn_weak_exchange(const struct nacre_client *client)
{
	struct nacre_session_algorithms agreed;

	nacre_session_algorithms(client->session, &agreed);
	if (client->config->warn_weak_crypto != NACRE_WEAK_CRYPTO_YES ||
	    strstr(agreed.kex, "mlkem") != NULL || strstr(agreed.kex, "sntrup") != NULL)
		return;
	nacre_log(NACRE_LOG_INFO,
	    "** WARNING: connection is not using a post-quantum key exchange algorithm.");
	nacre_log(NACRE_LOG_INFO,
	    "** This session may be vulnerable to \"store now, decrypt later\" attacks.");
	nacre_log(NACRE_LOG_INFO,
	    "** The server may need to be upgraded. See https://openssh.com/pq.html");
}

static bool
on_keys_exchanged(struct nacre_client *client, const struct nacre_event *event)
{
	if (event->u.keys_exchanged.first) {
		client->keys_exchanged = true;
		warn_weak_exchange(client);
	}
	log_guess(client);
	return true;
}

/* A byte of a banner, or a question mark for what might control the terminal. */
static int
banner_byte(struct nacre_span text, size_t at)
{
	uint8_t byte = text.data[at];
	bool control = (byte < ' ' && strchr("\t\r\n", byte) == NULL) || byte == 0 || byte == 0x7f;
	/* In UTF-8 there are 32 more, in two bytes. */
	bool late = byte >= 0x80 && byte <= 0x9f && at > 0 && text.data[at - 1] == 0xc2;

	return control || late ? '?' : byte;
}

static bool
on_banner(struct nacre_client *client, const struct nacre_event *event)
{
	(void)client;
	/* It is for the user, not for a log in a file. */
	if (nacre_log_level_get() < NACRE_LOG_INFO)
		return true;
	for (size_t i = 0; i < event->u.text.length; i++)
		fputc(banner_byte(event->u.text, i), stderr);
	fflush(stderr);
	return true;
}

static bool
on_sign(struct nacre_client *client, const struct nacre_event *event)
{
	client->failed |= authenticate_sign(client, event) != 0;
	return true;
}

static bool
on_auth_reply(struct nacre_client *client, const struct nacre_event *event)
{
	if (client->early.sent && event->u.auth_reply.result != NACRE_AUTH_SUCCESS)
		early_refused(client);
	client->failed |= authenticate_reply(client, event) != 0;
	return true;
}

static bool
on_authenticated(struct nacre_client *client, const struct nacre_event *event)
{
	(void)event;
	client->authenticated = true;
	trace_stage(client->trace, "session", NULL);
	return true;
}

static bool
on_global_request(struct nacre_client *client, const struct nacre_event *event)
{
	if (nacre_span_equals(event->u.global_request.name, "hostkeys-00@openssh.com"))
		host_key_update_offered(client, event->u.global_request.payload);
	if (event->u.global_request.want_reply)
		nacre_global_request_reply(client->session, false, (struct nacre_span){0});
	return true;
}

void
client_expect_reply(struct nacre_client *client, enum reply_to whose)
{
	nacre_put_byte(&client->replies, (uint8_t)whose);
}

void
nacre_client_expect_reply(struct nacre_client *client)
{
	client_expect_reply(client, REPLY_TO_PROGRAM);
}

/* Replies come in the order of our requests. */
static bool
on_global_reply(struct nacre_client *client, const struct nacre_event *event)
{
	const struct nacre_span due = nacre_buffer_span(&client->replies);
	const enum reply_to whose = due.length > 0 ? due.data[0] : REPLY_TO_KEEPALIVE;

	if (due.length > 0)
		nacre_buffer_consume(&client->replies, 1);
	if (whose == REPLY_TO_PROOF)
		host_key_update_proved(
		    client, event->u.global_reply.success, event->u.global_reply.payload);
	return whose != REPLY_TO_PROGRAM;
}

static bool
on_pong(struct nacre_client *client, const struct nacre_event *event)
{
	(void)client;
	(void)event;
	return true;
}

/* Some servers (those made with paramiko, for one) take a guess that is wrong for the message they
 * wait for, instead of dropping it (RFC 4253 section 7), and hang up: worth another try without. */
static bool
stumbled_over_guess(const struct nacre_client *client)
{
	struct nacre_session_algorithms agreed;

	nacre_session_algorithms(client->session, &agreed);
	return !client->keys_exchanged && !client->failed && agreed.guess_sent &&
	       !agreed.guess_right && agreed.kex[0] != '\0';
}

static bool
on_disconnected(struct nacre_client *client, const struct nacre_event *event)
{
	if (event->u.disconnected.by_peer && stumbled_over_guess(client))
		client->retry = WITHOUT_GUESS;
	else if (early_lost(client, event))
		client->retry = WITHOUT_EARLY;
	client->disconnect_seen |= client->retry != WITHOUT_NOTHING;
	/* What we refused ourselves has been said. */
	if (!client->failed && !client->disconnect_seen)
		log_disconnected(client, event);
	client->disconnect_seen = true;
	client->closed = true;
	return false;
}

/* The program's own event; only the number is noted, for the next login. */
static bool
on_channel_opened(struct nacre_client *client, const struct nacre_event *event)
{
	struct early *const early = &client->early;

	if (!early->number_known)
		early->number_known =
		    nacre_channel_peer_number(client->session, event->channel, &early->number) == 0;
	return false;
}

static bool (*const handlers[])(struct nacre_client *, const struct nacre_event *) = {
    [NACRE_EVENT_LOG] = on_log,
    [NACRE_EVENT_IDENTIFIED] = on_identified,
    [NACRE_EVENT_PREAMBLE] = on_preamble,
    [NACRE_EVENT_HOST_KEY] = on_host_key,
    [NACRE_EVENT_KEYS_EXCHANGED] = on_keys_exchanged,
    [NACRE_EVENT_BANNER] = on_banner,
    [NACRE_EVENT_SIGN] = on_sign,
    [NACRE_EVENT_AUTH_REPLY] = on_auth_reply,
    [NACRE_EVENT_AUTHENTICATED] = on_authenticated,
    [NACRE_EVENT_GLOBAL_REQUEST] = on_global_request,
    [NACRE_EVENT_GLOBAL_REPLY] = on_global_reply,
    [NACRE_EVENT_PONG] = on_pong,
    [NACRE_EVENT_CHANNEL_OPENED] = on_channel_opened,
    [NACRE_EVENT_DISCONNECTED] = on_disconnected,
};

bool
nacre_client_event(struct nacre_client *client, const struct nacre_event *event)
{
	if ((size_t)event->kind >= sizeof handlers / sizeof *handlers ||
	    handlers[event->kind] == NULL)
		return event->kind == NACRE_EVENT_SERVICE_ACCEPTED;
	return handlers[event->kind](client, event);
}

/* Input and output ----------------------------------------------------------------------------- */

int
nacre_client_flush(struct nacre_client *client)
{
	struct nacre_span output;

	while ((output = nacre_session_output(client->session)).length > 0) {
		const ssize_t sent = write(client->fd, output.data, output.length);

		if (sent > 0) {
			trace_sent(client->trace);
			nacre_session_sent(client->session, (size_t)sent);
			if ((size_t)sent < output.length)
				return 1;
		} else if (sent < 0 && errno == EAGAIN) {
			return 1;
		} else if (sent < 0 && errno != EINTR) {
			/* What the peer said before it closed is still to be read. */
			client->reset |= errno == ECONNRESET;
			return NACRE_ERROR_CLOSED;
		}
	}
	return 0;
}

ssize_t
nacre_client_receive(struct nacre_client *client)
{
	size_t length;
	uint8_t *const room = nacre_session_input_room(client->session, &length);
	ssize_t got;

	if (room == NULL)
		return NACRE_ERROR_STATE;
	do
		got = read(client->fd, room, length);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		return 0;
	if (got < 0)
		client->reset = errno == ECONNRESET;
	if (got > 0)
		trace_received(client->trace);
	if (got > 0 && got < LONE_ANSWER)
		nacre_socket_acknowledge(client->fd);
	nacre_session_received(
	    client->session, got > 0 ? (size_t)got : 0, client->last_received = nacre_clock_ms());
	client->keepalives_unanswered = 0;
	return got > 0 ? got : NACRE_ERROR_CLOSED;
}

uint64_t
nacre_client_deadline(const struct nacre_client *client)
{
	const uint64_t session = nacre_session_deadline(client->session);
	const uint64_t interval = (uint64_t)client->config->server_alive_interval * 1000;

	if (!client->authenticated || interval == 0)
		return session;
	const uint64_t keepalive = client->keepalives_unanswered > 0
				       ? client->next_keepalive
				       : client->last_received + interval;
	return keepalive < session ? keepalive : session;
}

int
nacre_client_tick(struct nacre_client *client, uint64_t now)
{
	const struct nacre_ssh_config *const config = client->config;
	const uint64_t interval = (uint64_t)config->server_alive_interval * 1000;

	if (!client->authenticated || interval == 0 || now < client->last_received + interval ||
	    (client->keepalives_unanswered > 0 && now < client->next_keepalive))
		return 0;
	if (client->keepalives_unanswered >= (unsigned)config->server_alive_count_max) {
		nacre_log(NACRE_LOG_ERROR, "Timeout, server %s not responding.", config->hostname);
		client->disconnect_seen = true;
		return NACRE_ERROR_CLOSED;
	}
	client->keepalives_unanswered++;
	client->next_keepalive = now + interval;
	client_expect_reply(client, REPLY_TO_KEEPALIVE);
	return nacre_global_request(
	    client->session, "keepalive@openssh.com", true, (struct nacre_span){0});
}

/* The login ------------------------------------------------------------------------------------ */

static int
handshake_timeout(const struct nacre_client *client)
{
	uint64_t deadline = nacre_session_deadline(client->session);
	const uint64_t now = nacre_clock_ms();

	if (!client->authentication_started && client->handshake_deadline < deadline)
		deadline = client->handshake_deadline;
	if (deadline == UINT64_MAX)
		return -1;
	return deadline <= now ? 0 : (int)(deadline - now);
}

/* OpenSSH's server sends small answers one by one under Nagle's algorithm until a session runs:
 * each waits for the one before it to be acknowledged, so that a delayed acknowledgement holds up
 * the login. The kernel forgets the setting now and then. */
static void
acknowledge_at_once(const struct nacre_client *client)
{
	const int on = 1;

	setsockopt(client->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

static int
await_input(struct nacre_client *client, bool output_waits)
{
	struct pollfd wait = {
	    .fd = client->fd, .events = (short)(POLLIN | (output_waits ? POLLOUT : 0))};
	int ready;

	acknowledge_at_once(client);
	trace_wait_begin(client->trace);
	ready = poll(&wait, 1, handshake_timeout(client));
	trace_wait_end(client->trace);
	if (ready < 0 && errno != EINTR)
		return NACRE_ERROR_SYSTEM;
	if (ready == 0 && !client->authentication_started &&
	    nacre_clock_ms() >= client->handshake_deadline) {
		nacre_log(NACRE_LOG_ERROR, "Connection timed out during banner exchange");
		nacre_log(NACRE_LOG_ERROR, "Connection to %s timed out", client->peer);
		return NACRE_ERROR_CLOSED;
	}
	if (ready > 0 && (wait.revents & ~POLLOUT) != 0)
		nacre_client_receive(client);
	return 0;
}

static bool
login_done(const struct nacre_client *client)
{
	return client->authenticated && !early_waits(client);
}

static void
take_events(struct nacre_client *client)
{
	struct nacre_event event;

	while (!login_done(client) && !client->failed &&
	       nacre_session_next_event(client->session, nacre_clock_ms(), &event))
		if (!nacre_client_event(client, &event))
			early_event(client, &event);
}

/* One turn: events, requests that have become possible, output, input. */
static int
login_step(struct nacre_client *client)
{
	take_events(client);
	if (client->keys_exchanged && !client->authentication_started && !client->failed) {
		/* What came with NEWKEYS, as a rule the algorithms for signatures, is known now. */
		client->authentication_started = true;
		identities_settle(client);
		client->failed |= authenticate_start(client) != 0;
		take_events(client);
		early_send(client);
	}
	const int flushed = nacre_client_flush(client);
	if (client->failed || client->closed)
		return NACRE_ERROR_REFUSED;
	if (login_done(client))
		return 0;
	return await_input(client, flushed == 1);
}

static int
login(struct nacre_client *client)
{
	int error;

	nacre_client_flush(client);
	/* The first flight is on its way: time for what is needed when the answer comes. */
	trace_stage(client->trace, "read identities", NULL);
	if ((error = identities_load(client)) != 0)
		return error;
	trace_stage(client->trace, "identification", NULL);
	while (!login_done(client))
		if ((error = login_step(client)) != 0)
			return error;
	const uint32_t round_trip =
	    client->proxy == 0 ? nacre_socket_round_trip(client->fd) : UINT32_MAX;
	trace_network(client->trace, round_trip);
	if (round_trip != UINT32_MAX)
		nacre_session_round_trip_known(client->session, round_trip / 1000);
	nacre_log(NACRE_LOG_VERBOSE, "Authenticated to %s ([%s]:%d) using \"%s\".",
	    client->config->hostname, client->address != NULL ? client->address : "via proxy",
	    client->config->port,
	    client->authentication.current != NULL ? client->authentication.current->name : "none");
	return 0;
}

/* Once there is nothing left of the login, or it has failed. */
static void
print_trace(struct nacre_client *client)
{
	struct nacre_buffer text = {0};

	if (client->trace == NULL)
		return;
	trace_put(client->trace, client->config->host, &text);
	fwrite(text.data, 1, nacre_buffer_length(&text), stderr);
	nacre_buffer_free(&text);
	trace_free(client->trace);
	client->trace = NULL;
}

/* One try; *retry says what another one would better do without. */
static int
open_once(const struct nacre_client_options *options, const bool *without, enum without *retry,
    struct nacre_client **client)
{
	struct nacre_client *const new = calloc(1, sizeof *new);

	if (new == NULL)
		return NACRE_ERROR_MEMORY;
	new->guess = !without[WITHOUT_GUESS];
	new->early.request = without[WITHOUT_EARLY] ? NULL : options->request;
	new->early.context = options->context;
	new->config = options->config;
	new->ssh_program = options->ssh_program;
	new->user_file = options->user_file;
	new->interactive = options->interactive;
	new->fd = -1;
	new->handshake_deadline = UINT64_MAX;
	/* A peer that goes away is told by errors, not by a signal. */
	signal(SIGPIPE, SIG_IGN);
	int error = establish(new);
	if (error == 0)
		error = login(new);
	*retry = new->retry;
	if (error != 0) {
		print_trace(new);
		proxy_end(new);
		nacre_client_free(new);
		return error;
	}
	new->last_received = nacre_clock_ms();
	*client = new;
	return 0;
}

int
nacre_client_open(const struct nacre_client_options *options, struct nacre_client **client)
{
	static const char *const reasons[] = {
	    [WITHOUT_GUESS] = "The server hung up after our key exchange guess",
	    [WITHOUT_EARLY] = "The server did not take the session that was opened early",
	};
	bool without[sizeof reasons / sizeof *reasons] = {false};

	for (;;) {
		enum without retry = WITHOUT_NOTHING;
		const int error = open_once(options, without, &retry, client);

		if (error == 0 || retry == WITHOUT_NOTHING || without[retry])
			return error;
		nacre_log(NACRE_LOG_DEBUG1, "%s; trying without", reasons[retry]);
		without[retry] = true;
	}
}

bool
nacre_client_early_channel(const struct nacre_client *client, uint32_t *channel)
{
	if (client->early.opened)
		*channel = client->early.channel;
	return client->early.opened;
}

void
nacre_client_settle(struct nacre_client *client)
{
	print_trace(client);
	if (!client->settled)
		preference_store(client, client->authentication.accepted);
	client->settled = true;
	identities_free(client);
	authenticate_free(client);
}

void
nacre_client_free(struct nacre_client *client)
{
	if (client == NULL)
		return;
	if (client->fd >= 0)
		close(client->fd);
	trace_free(client->trace);
	nacre_session_free(client->session);
	nacre_known_hosts_free(client->known);
	nacre_buffer_free(&client->host_key);
	host_key_update_free(client);
	nacre_buffer_free(&client->replies);
	identities_free(client);
	authenticate_free(client);
	hostbased_free(client);
	preference_free(client);
	early_free(client);
	connect_free(client);
	free(client->address);
	free(client->peer);
	free(client->known_name);
	free(client->user_known_hosts);
	free(client->agent_path);
	free(client->forward_agent_path);
	free(client);
}

void
nacre_client_close(struct nacre_client *client)
{
	if (client == NULL)
		return;
	if (!client->closed) {
		nacre_session_disconnect(
		    client->session, NACRE_DISCONNECT_BY_APPLICATION, "disconnected by user");
		nacre_client_flush(client);
	}
	nacre_client_settle(client);
	proxy_end(client);
	nacre_client_free(client);
}

struct nacre_session *
nacre_client_session(const struct nacre_client *client)
{
	return client->session;
}

bool
nacre_client_knows_openssh(const struct nacre_client *client)
{
	return client->openssh_like;
}

int
nacre_client_read_fd(const struct nacre_client *client)
{
	return client->fd;
}

int
nacre_client_write_fd(const struct nacre_client *client)
{
	return client->fd;
}

const char *
nacre_client_peer(const struct nacre_client *client)
{
	return client->peer;
}

const char *
nacre_client_forward_agent_path(struct nacre_client *client)
{
	struct nacre_ssh_config *const config = client->config;
	const char *const socket = config->forward_agent_socket;

	if (!config->forward_agent)
		return NULL;
	if (socket == NULL)
		return client->agent_path;
	if (client->forward_agent_path == NULL && *socket == '$' && socket[1] != '{') {
		const char *const value = getenv(socket + 1);
		client->forward_agent_path = value != NULL ? strdup(value) : NULL;
	} else if (client->forward_agent_path == NULL) {
		client->forward_agent_path =
		    nacre_ssh_config_expand(config, "ForwardAgent", socket, NULL, 0);
	}
	return client->forward_agent_path;
}
