/*
 * SOCKS clients: those of DynamicForward, who connect to us and whose connection becomes a channel
 * once they have said where it is to go; and with RemoteForward of a port alone the server's, whose
 * channel is there first and whose connection we make.
 */
#include "ssh/forward.h"

#include <nacre/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct nacre_span
answer_of(const struct nacre_socks *socks)
{
	return (struct nacre_span){socks->answer, socks->answer_length};
}

static void
log_refused(const struct nacre_socks *socks)
{
	nacre_log(NACRE_LOG_DEBUG1, "SOCKS client refused: %s", socks->problem);
}

/* Ours ---------------------------------------------------------------------------------------- */

/* A client that has not finished to speak. */
struct socks_client {
	struct socks_client *next, **link;
	struct connection *connection;
	struct nacre_watch watch;
	struct nacre_socks socks;
	char *originator;
	unsigned originator_port, listen_port;
};

/* A channel on its way: the client gets its answer when it is open. */
struct dynamic_channel {
	struct relayed relayed;
	struct nacre_socks socks;
};

static void
client_free(struct socks_client *client)
{
	*client->link = client->next;
	if (client->next != NULL)
		client->next->link = client->link;
	nacre_watch_close(&client->watch);
	free(client->originator);
	connection_retire(client->connection, client);
}

/* A few bytes, for which a socket that has sent nothing yet has room. */
static bool
tell(int fd, const struct nacre_socks *socks)
{
	const struct nacre_span answer = answer_of(socks);

	return answer.length == 0 ||
	       write(fd, answer.data, answer.length) == (ssize_t)answer.length;
}

static void
on_opened(struct channel *channel)
{
	struct dynamic_channel *const dynamic = (struct dynamic_channel *)channel;

	nacre_socks_finish(&dynamic->socks, NACRE_SOCKS_CONNECTED);
	tell(dynamic->relayed.relay.ends[0].watch.fd, &dynamic->socks);
	relayed_opened(channel);
}

static void
on_refused(struct channel *channel, const struct nacre_event *event)
{
	struct dynamic_channel *const dynamic = (struct dynamic_channel *)channel;

	channel_log_refusal(channel, event);
	nacre_socks_finish(
	    &dynamic->socks, event->u.refused.reason == NACRE_OPEN_ADMINISTRATIVELY_PROHIBITED
				 ? NACRE_SOCKS_NOT_ALLOWED
				 : NACRE_SOCKS_FAILED);
	tell(dynamic->relayed.relay.ends[0].watch.fd, &dynamic->socks);
}

static const struct channel_kind dynamic_kind = {
    .name = "direct-tcpip",
    .opened = on_opened,
    .refused = on_refused,
    .data = relayed_data,
    .room = relayed_room,
    .eof = relayed_eof,
    .close = relayed_close,
    .release = relayed_release,
};

static void
open_channel(struct socks_client *client)
{
	struct connection *const connection = client->connection;
	const struct nacre_socks *const socks = &client->socks;
	struct dynamic_channel *const dynamic = calloc(1, sizeof *dynamic);
	uint32_t number;
	char *text = NULL;

	if (dynamic == NULL)
		nacre_fatal("out of memory");
	if (nacre_channel_open_direct_tcpip(connection->session, socks->host, (uint16_t)socks->port,
		client->originator, (uint16_t)client->originator_port, &number) != 0) {
		free(dynamic);
		client_free(client);
		return;
	}
	const int fd = nacre_watch_release(&client->watch);
	dynamic->socks = *socks;
	relayed_begin(&dynamic->relayed, connection, &dynamic_kind, number, fd, true);
	if (asprintf(&text,
		"direct-tcpip: listening port %u for %s port %u, connect from %s port %u",
		client->listen_port, socks->host, socks->port, client->originator,
		client->originator_port) >= 0)
		dynamic->relayed.channel.description = text;
	nacre_log(NACRE_LOG_DEBUG1, "channel %u: dynamic request: connect to %s port %u", number,
	    socks->host, socks->port);
	client_free(client);
}

/* What is behind the request stays where it is: it belongs to the connection. */
static void
client_ready(struct nacre_watch *watch, unsigned what)
{
	struct socks_client *const client = watch->owner;
	uint8_t bytes[NACRE_SOCKS_REQUEST_MAX];
	size_t taken;

	(void)what;
	const ssize_t got = recv(watch->fd, bytes, sizeof bytes, MSG_PEEK);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		client_free(client);
		return;
	}
	const enum nacre_socks_step step =
	    nacre_socks_take(&client->socks, (struct nacre_span){bytes, (size_t)got}, &taken);
	(void)!recv(watch->fd, bytes, taken, 0);
	if (step == NACRE_SOCKS_CONNECT) {
		open_channel(client);
		return;
	}
	const bool told = tell(watch->fd, &client->socks);
	if (step == NACRE_SOCKS_REFUSED)
		log_refused(&client->socks);
	if (step == NACRE_SOCKS_REFUSED || !told)
		client_free(client);
}

void
dynamic_accept(struct connection *connection, int fd, const char *originator,
    unsigned originator_port, unsigned listen_port)
{
	struct socks_client *const client = calloc(1, sizeof *client);

	if (client == NULL || (client->originator = strdup(originator)) == NULL)
		nacre_fatal("out of memory");
	client->connection = connection;
	client->originator_port = originator_port;
	client->listen_port = listen_port;
	nacre_watch_init(
	    &client->watch, connection_host(connection)->poller, fd, client_ready, client);
	nacre_watch_want(&client->watch, NACRE_POLL_READ);
	client->link = &connection->socks_clients;
	client->next = *client->link;
	if (client->next != NULL)
		client->next->link = &client->next;
	*client->link = client;
}

void
dynamic_end(struct connection *connection)
{
	while (connection->socks_clients != NULL)
		client_free(connection->socks_clients);
}

/* The server's ----------------------------------------------------------------------------------- */

struct remote_client {
	struct relayed relayed;
	struct nacre_socks socks;
	struct connecting *connecting;
	bool asked;  /* where to; the rest is for the connection */
	bool joined; /* the relay has the channel */
};

static bool
permitted(const struct connection *connection, const char *host, unsigned port)
{
	const struct nacre_words *const words = &connection->plan->config->permit_remote_open;

	for (size_t i = 0; i < words->count; i++)
		if (strcmp(words->words[i], "any") == 0 ||
		    nacre_permit_open_fits(words->words[i], host, port))
			return true;
	return words->count == 0;
}

static void
answer(struct remote_client *client)
{
	const struct channel *const channel = &client->relayed.channel;

	nacre_channel_write(channel->connection->session, channel->number, NACRE_STREAM_DATA,
	    answer_of(&client->socks));
}

static void
refuse(struct remote_client *client)
{
	answer(client);
	nacre_channel_eof(
	    client->relayed.channel.connection->session, client->relayed.channel.number);
	nacre_relay_close(&client->relayed.relay);
}

static void
connected(void *context, int fd, const char *why)
{
	struct remote_client *const client = context;

	(void)why;
	client->connecting = NULL;
	nacre_socks_finish(&client->socks, fd >= 0 ? NACRE_SOCKS_CONNECTED : NACRE_SOCKS_FAILED);
	if (fd < 0) {
		refuse(client);
		return;
	}
	answer(client);
	client->joined = true;
	nacre_relay_add(&client->relayed.relay, 0, fd, true, true, NACRE_STREAM_DATA);
	nacre_relay_start(&client->relayed.relay);
}

static void
connect_for(struct remote_client *client)
{
	struct connection *const connection = client->relayed.channel.connection;
	const struct nacre_socks *const socks = &client->socks;

	client->asked = true;
	if (!permitted(connection, socks->host, socks->port)) {
		nacre_log(
		    NACRE_LOG_DEBUG1, "rdynamic_connect_finish: requested forward not permitted");
		nacre_socks_finish(&client->socks, NACRE_SOCKS_NOT_ALLOWED);
		refuse(client);
		return;
	}
	const struct nacre_endpoint target = {
	    .host = client->socks.host, .port = (int)client->socks.port};
	client->connecting = connect_to(connection, &target, connected, client);
}

static void
on_data(struct channel *channel, enum nacre_stream stream)
{
	struct remote_client *const client = (struct remote_client *)channel;
	struct nacre_session *const session = channel->connection->session;
	struct nacre_span data;

	if (client->joined) {
		relayed_data(channel, stream);
		return;
	}
	while (
	    !client->asked &&
	    (data = nacre_channel_data(session, channel->number, NACRE_STREAM_DATA)).length > 0) {
		size_t taken;
		const enum nacre_socks_step step = nacre_socks_take(&client->socks, data, &taken);

		nacre_channel_consume(session, channel->number, NACRE_STREAM_DATA, taken);
		if (step == NACRE_SOCKS_CONNECT) {
			connect_for(client);
		} else if (step == NACRE_SOCKS_REFUSED) {
			client->asked = true;
			log_refused(&client->socks);
			refuse(client);
		} else {
			answer(client);
		}
	}
}

/* Without a connection there is nothing to wait for. */
static void
on_eof(struct channel *channel)
{
	struct remote_client *const client = (struct remote_client *)channel;

	relayed_eof(channel);
	if (!client->joined && client->connecting == NULL)
		nacre_relay_close(&client->relayed.relay);
}

static void
release(struct channel *channel)
{
	struct remote_client *const client = (struct remote_client *)channel;

	connect_to_cancel(client->connecting);
	relayed_release(channel);
}

static const struct channel_kind remote_kind = {
    .name = "forwarded-tcpip",
    .data = on_data,
    .room = relayed_room,
    .eof = on_eof,
    .close = relayed_close,
    .release = release,
};

void
dynamic_remote(struct connection *connection, uint32_t channel)
{
	struct remote_client *const client = calloc(1, sizeof *client);

	if (client == NULL)
		nacre_fatal("out of memory");
	relayed_begin(&client->relayed, connection, &remote_kind, channel, -1, true);
	client->relayed.channel.opening = false;
}
