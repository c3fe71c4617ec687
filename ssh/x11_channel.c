/* Connections to the forwarded display, which the server opens: each begins with the false cookie,
 * or goes nowhere. */
#include "ssh/forward.h"
#include "ssh/x11.h"

#include <nacre/log.h>

#include <stdlib.h>
#include <unistd.h>

struct x11_channel {
	struct relayed relayed;
	struct nacre_buffer setup; /* what came of the first message; it holds a cookie */
	bool joined;
};

static void
reject(struct x11_channel *x11)
{
	nacre_log(NACRE_LOG_INFO, "X11 connection rejected because of wrong authentication.");
	nacre_relay_close(&x11->relayed.relay);
}

/* A few hundred bytes, for which a new socket has room. */
static void
join(struct x11_channel *x11)
{
	const struct nacre_span message = nacre_buffer_span(&x11->setup);
	const ssize_t put =
	    write(x11->relayed.relay.ends[0].watch.fd, message.data, message.length);

	const bool whole = put == (ssize_t)message.length;

	nacre_buffer_free(&x11->setup);
	if (!whole) {
		nacre_relay_close(&x11->relayed.relay);
		return;
	}
	x11->joined = true;
	nacre_relay_start(&x11->relayed.relay);
}

static void
take_setup(struct x11_channel *x11)
{
	const struct channel *const channel = &x11->relayed.channel;
	struct nacre_session *const session = channel->connection->session;
	const struct nacre_span data =
	    nacre_channel_data(session, channel->number, NACRE_STREAM_DATA);
	size_t length = 0;

	nacre_put_span(&x11->setup, data);
	nacre_channel_consume(session, channel->number, NACRE_STREAM_DATA, data.length);
	if (x11->setup.failed) {
		reject(x11);
		return;
	}
	/* What lies behind the message follows it. */
	const enum nacre_x11_setup result = nacre_x11_setup(&channel->connection->plan->x11->cookie,
	    (uint8_t *)nacre_buffer_span(&x11->setup).data, nacre_buffer_length(&x11->setup),
	    &length);
	if (result == NACRE_X11_BAD)
		reject(x11);
	else if (result == NACRE_X11_GOOD)
		join(x11);
}

static void
on_data(struct channel *channel, enum nacre_stream stream)
{
	struct x11_channel *const x11 = (struct x11_channel *)channel;

	if (x11->joined || x11->relayed.relay.closing || stream != NACRE_STREAM_DATA)
		relayed_data(channel, stream);
	else
		take_setup(x11);
}

static void
on_eof(struct channel *channel)
{
	struct x11_channel *const x11 = (struct x11_channel *)channel;

	if (x11->joined)
		relayed_eof(channel);
	else
		reject(x11);
}

static void
release(struct channel *channel)
{
	nacre_buffer_free(&((struct x11_channel *)channel)->setup);
	relayed_release(channel);
}

static const struct channel_kind x11_kind = {
    .name = "x11-connection",
    .data = on_data,
    .room = relayed_room,
    .eof = on_eof,
    .close = relayed_close,
    .release = release,
};

/* Opening ----------------------------------------------------------------------------------------- */

struct opening {
	struct connection *connection;
	uint32_t channel;
};

static void
connected(void *context, int fd, const char *why)
{
	struct opening *const opening = context;
	struct connection *const connection = opening->connection;
	struct x11_channel *x11;

	if (fd < 0) {
		nacre_channel_refuse(
		    connection->session, opening->channel, NACRE_OPEN_CONNECT_FAILED, why);
	} else {
		if ((x11 = calloc(1, sizeof *x11)) == NULL)
			nacre_fatal("out of memory");
		nacre_channel_accept(connection->session, opening->channel);
		relayed_begin(&x11->relayed, connection, &x11_kind, opening->channel, fd, true);
		x11->relayed.channel.opening = false;
		nacre_log(NACRE_LOG_DEBUG1, "channel %u: new X11 connection", opening->channel);
	}
	free(opening);
}

static bool
permitted(const struct connection *connection)
{
	const struct x11_forward *const x11 = connection->plan->x11;

	if (x11 == NULL) {
		nacre_log(NACRE_LOG_ERROR, "Warning: ssh server tried X11 forwarding.");
		nacre_log(NACRE_LOG_ERROR, "Warning: this is probably a break-in attempt by a "
					   "malicious server.");
		return false;
	}
	if (x11->refuse_at != 0 && nacre_clock_ms() >= x11->refuse_at) {
		nacre_log(
		    NACRE_LOG_VERBOSE, "Rejected X11 connection after ForwardX11Timeout expired");
		return false;
	}
	return true;
}

void
x11_channel_open(struct connection *connection, const struct nacre_event *event)
{
	const struct x11_forward *const x11 = connection->plan->x11;
	struct opening *const opening = calloc(1, sizeof *opening);

	if (opening == NULL)
		nacre_fatal("out of memory");
	if (!permitted(connection)) {
		nacre_channel_refuse(connection->session, event->channel,
		    NACRE_OPEN_ADMINISTRATIVELY_PROHIBITED, "not requested");
		free(opening);
		return;
	}
	const struct nacre_endpoint target = {
	    .host = (char *)x11->display.host,
	    .port = (int)x11->display.port,
	    .path = x11->display.path[0] != '\0' ? (char *)x11->display.path : NULL,
	};
	*opening = (struct opening){connection, event->channel};
	connect_to(connection, &target, connected, opening);
}
