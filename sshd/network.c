/*
 * The network process: before login it alone reads what a stranger sends. It has no identity worth
 * having, an empty root directory, a filter on its system calls, the connection, and a socket to
 * the monitor, which decides. After login the session leaves it, and it ends.
 */
#include "monitor.h"
#include "server.h"

#include <nacre/crypto.h>
#include <nacre/log.h>
#include <nacre/poller.h>
#include <nacre/process.h>
#include <nacre/sandbox.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MONITOR          3
#define DESCRIPTOR_LIMIT 6 /* 0 to 2 are /dev/null, the monitor, the connection's two */
#define MEMORY_LIMIT     ((size_t)128 * 1024 * 1024)

#if defined(NACRE_SANITIZED) || defined(NACRE_UNCONFINED)
#define CONFINED false /* for tools that make calls of their own: the sanitizers, valgrind */
#else
#define CONFINED true
#endif

struct network {
	struct nacre_session *session;
	struct nacre_buffer frame;
	int input, output;
	bool identified;
};

/* Tells the monitor and ends. */
static _Noreturn void
end(struct network *network, bool by_peer, int error, uint32_t reason, struct nacre_span text)
{
	frame_begin(&network->frame, MONITOR_END);
	nacre_put_boolean(&network->frame, by_peer);
	nacre_put_boolean(&network->frame, network->identified);
	nacre_put_u32(&network->frame, (uint32_t)-error);
	nacre_put_u32(&network->frame, reason);
	nacre_put_string_span(&network->frame, text);
	(void)frame_send(MONITOR, &network->frame);
	_exit(255);
}

/* Writes what there is to send; false when the socket takes no more now. */
static bool
flush(struct network *network)
{
	for (;;) {
		struct nacre_span output = nacre_session_output(network->session);
		if (output.length == 0)
			return true;
		ssize_t count = write(network->output, output.data, output.length);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0 && errno == EAGAIN)
			return false;
		if (count <= 0)
			end(network, true, NACRE_ERROR_SYSTEM, 0, (struct nacre_span){NULL, 0});
		nacre_session_sent(network->session, (size_t)count);
	}
}

static void
log_line(struct network *network, enum nacre_log_level level, struct nacre_span text)
{
	frame_begin(&network->frame, MONITOR_LOG);
	nacre_put_u32(&network->frame, level < NACRE_LOG_ERROR ? NACRE_LOG_ERROR : level);
	nacre_put_string_span(&network->frame, text);
	if (frame_send(MONITOR, &network->frame) != 0)
		_exit(255);
}

static void
disconnected(struct network *network, const struct nacre_event *event)
{
	bool by_peer = event->u.disconnected.by_peer;
	uint32_t reason = event->u.disconnected.reason;

	flush(network);
	/* It closed the connection without a word. */
	if (by_peer && (!network->identified || reason == NACRE_DISCONNECT_CONNECTION_LOST))
		reason = 0;
	end(network, by_peer, event->u.disconnected.error, reason, event->u.disconnected.text);
}

static void
sign(struct network *network, const struct nacre_event *event)
{
	struct nacre_buffer signature = {0};

	if (monitor_ask_signature(MONITOR, event->u.sign.algorithm, event->u.sign.blob,
		event->u.sign.data, &signature) != 0)
		_exit(255);
	nacre_session_signature(network->session, nacre_buffer_span(&signature));
	nacre_buffer_free(&signature);
}

static void
act_on(struct network *network, const struct answer *answer)
{
	struct nacre_session *session = network->session;
	const char *text = (const char *)answer->text.data;
	const struct nacre_auth_prompt prompt = {
	    .text = nacre_buffer_span(&answer->text), .echo = answer->echo};

	if (nacre_buffer_length(&answer->banner) > 0)
		nacre_auth_banner(session, nacre_buffer_span(&answer->banner));
	switch (answer->kind) {
	case ANSWER_SUCCESS:
		nacre_auth_accept(session);
		break;
	case ANSWER_PUBLICKEY_OK:
		nacre_auth_publickey_ok(session);
		break;
	case ANSWER_CHANGE_PASSWORD:
		nacre_auth_change_password(session, text);
		break;
	case ANSWER_ASK:
		nacre_auth_ask(
		    session, "", (const char *)answer->instruction.data, &prompt, answer->prompts);
		break;
	case ANSWER_DISCONNECT:
		nacre_session_disconnect(
		    session, (enum nacre_disconnect_reason)answer->reason, text);
		flush(network);
		end(network, false, NACRE_ERROR_REFUSED, answer->reason,
		    nacre_buffer_span(&answer->text));
	default:
		nacre_auth_reject(session, (const char *)answer->methods.data, answer->partial);
	}
}

static void
ask_monitor(struct network *network)
{
	struct answer answer = {0};
	struct nacre_reader reader;
	uint8_t type;

	if (frame_send(MONITOR, &network->frame) != 0 ||
	    frame_receive(MONITOR, &network->frame, MONITOR_FRAME_LIMIT, &type, &reader) != 0 ||
	    type != MONITOR_ANSWER || answer_decode(&reader, &answer) != 0)
		_exit(255);
	act_on(network, &answer);
	answer_free(&answer);
}

static void
authenticate_request(struct network *network, const struct nacre_event *event)
{
	struct nacre_buffer *frame = &network->frame;

	frame_begin(frame, MONITOR_AUTHENTICATE);
	nacre_put_string_span(frame, event->u.auth_request.user);
	nacre_put_string_span(frame, event->u.auth_request.service);
	nacre_put_byte(frame, (uint8_t)event->u.auth_request.method);
	nacre_put_string_span(frame, event->u.auth_request.method_name);
	if (event->u.auth_request.method == NACRE_METHOD_PASSWORD) {
		nacre_put_boolean(frame, event->u.auth_request.change);
		nacre_put_string_span(frame, event->u.auth_request.password);
		nacre_put_string_span(frame, event->u.auth_request.new_password);
	} else if (event->u.auth_request.method == NACRE_METHOD_PUBLICKEY) {
		nacre_put_boolean(frame, event->u.auth_request.has_signature);
		nacre_put_boolean(frame, event->u.auth_request.host_bound);
		nacre_put_string_span(frame, event->u.auth_request.algorithm);
		nacre_put_string_span(frame, event->u.auth_request.blob);
		nacre_put_string_span(frame, event->u.auth_request.signature);
	} else if (event->u.auth_request.method == NACRE_METHOD_HOSTBASED) {
		nacre_put_string_span(frame, event->u.auth_request.algorithm);
		nacre_put_string_span(frame, event->u.auth_request.blob);
		nacre_put_string_span(frame, event->u.auth_request.client_host);
		nacre_put_string_span(frame, event->u.auth_request.client_user);
		nacre_put_string_span(frame, event->u.auth_request.signature);
	}
	ask_monitor(network);
}

static void
responses(struct network *network, const struct nacre_event *event)
{
	frame_begin(&network->frame, MONITOR_RESPOND);
	nacre_put_u32(&network->frame, (uint32_t)event->u.auth_responses.count);
	for (size_t i = 0; i < event->u.auth_responses.count; i++)
		nacre_put_string_span(&network->frame, event->u.auth_responses.responses[i]);
	ask_monitor(network);
}

/* The session goes to the monitor, which starts the user's process with it. */
static void
authenticated(struct network *network)
{
	struct nacre_buffer state = {0};

	flush(network);
	if (nacre_session_export(network->session, &state) != 0)
		end(network, false, NACRE_ERROR_STATE, 0, nacre_span_of("cannot pass it on"));
	frame_begin(&network->frame, MONITOR_EXPORT);
	nacre_put_string_span(&network->frame, nacre_buffer_span(&state));
	(void)frame_send(MONITOR, &network->frame);
	nacre_buffer_free(&state);
	nacre_buffer_free(&network->frame);
	_exit(0);
}

static void
handle(struct network *network, const struct nacre_event *event)
{
	switch (event->kind) {
	case NACRE_EVENT_LOG:
		log_line(network, event->u.log.level, event->u.log.text);
		break;
	case NACRE_EVENT_IDENTIFIED:
		network->identified = true;
		break;
	case NACRE_EVENT_SIGN:
		sign(network, event);
		break;
	case NACRE_EVENT_AUTH_REQUEST:
		authenticate_request(network, event);
		break;
	case NACRE_EVENT_AUTH_RESPONSES:
		responses(network, event);
		break;
	case NACRE_EVENT_AUTHENTICATED:
		authenticated(network);
		break;
	case NACRE_EVENT_DISCONNECTED:
		disconnected(network, event);
		break;
	default:
		break;
	}
}

static void
receive(struct network *network)
{
	size_t length;
	uint8_t *room = nacre_session_input_room(network->session, &length);
	ssize_t count = room != NULL ? read(network->input, room, length) : 1;

	if (room == NULL)
		return;
	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count < 0)
		end(network, true, NACRE_ERROR_SYSTEM, 0, (struct nacre_span){NULL, 0});
	nacre_session_received(network->session, (size_t)count, nacre_clock_ms());
}

static int
timeout_of(const struct nacre_session *session)
{
	uint64_t deadline = nacre_session_deadline(session), now = nacre_clock_ms();

	if (deadline == UINT64_MAX)
		return -1;
	return deadline > now ? (int)(deadline - now < 60000 ? deadline - now : 60000) : 0;
}

static _Noreturn void
talk(struct network *network)
{
	struct nacre_event event;

	for (;;) {
		while (nacre_session_next_event(network->session, nacre_clock_ms(), &event))
			handle(network, &event);
		bool sent = flush(network);
		struct pollfd polled[3] = {{.fd = network->input, .events = POLLIN},
		    {.fd = sent ? -1 : network->output, .events = POLLOUT}, {.fd = MONITOR}};
		if (poll(polled, 3, timeout_of(network->session)) > 0 && polled[0].revents != 0)
			receive(network);
		if (polled[2].revents != 0)
			_exit(255);
	}
}

static void
confine(const struct server *server)
{
	struct nacre_sandbox sandbox = {
	    .descriptor_limit = DESCRIPTOR_LIMIT, .memory_limit = MEMORY_LIMIT};

	if (CONFINED)
		confine_for_good(&sandbox, server->privileged);
}

/* What a proxy sends in front of everything else. */
static void
read_proxy_header(struct network *network)
{
	struct nacre_buffer rest = {0};
	const char *problem;
	int error = proxy_read_header(network->input, MONITOR, &rest, &problem);
	struct nacre_span left = nacre_buffer_span(&rest);

	if (error != 0)
		end(network, error == NACRE_ERROR_CLOSED, error, 0, nacre_span_of(problem));
	while (left.length > 0) {
		size_t length;
		uint8_t *room = nacre_session_input_room(network->session, &length);
		if (room == NULL)
			break; /* there is room for more than a header could be */
		length = length < left.length ? length : left.length;
		memcpy(room, left.data, length);
		nacre_session_received(network->session, length, nacre_clock_ms());
		left.data += length;
		left.length -= length;
	}
	nacre_buffer_free(&rest);
}

static void
wait_for_connection(struct network *network)
{
	struct nacre_reader reader;
	uint8_t type;
	int fds[2];
	size_t count = 2;

	if (frame_receive_with(MONITOR, &network->frame, 4096, &type, &reader, fds, &count) != 0 ||
	    type != MONITOR_CONNECTION || count != 2)
		_exit(0);
	network->input = fds[0];
	network->output = fds[1];
	if (nacre_get_boolean(&reader))
		read_proxy_header(network);
}

_Noreturn void
network_main(struct server *server, int monitor)
{
	static struct network network;
	struct nacre_span blobs[2 * server->host_key_count + 1];
	struct nacre_session_options options;

	title_set("[net]");
	/* What a peer may choose must be there before the file system is gone. */
	nacre_crypto_preload(false);
	server_session_options(server, &options, blobs);
	if (nacre_session_new(&options, nacre_clock_ms(), &network.session) != 0)
		nacre_fatal(
		    "cannot make a session: check the algorithm lists of the configuration");
	confine_descriptors(monitor, MONITOR, CONFINED);
	confine(server);
	wait_for_connection(&network);
	talk(&network);
}
