/* Agent forwarding, the client's end: a channel that the server opens is joined to our agent. */
#include <nacre/agent.h>
#include <nacre/agent_relay.h>
#include <nacre/log.h>
#include <nacre/socket.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* How long the agent may take to answer, milliseconds: the session stands still meanwhile. */
#define BIND_PATIENCE 2000

/* Tells the agent that what follows comes from the server. False when the agent is not to be used:
 * it is gone, or does not answer. One that does not know sessions will do. */
static bool
bind_session(struct nacre_client *client, int fd)
{
	const struct nacre_session *const session = nacre_client_session(client);
	struct nacre_agent *agent;
	const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int error;

	if (copy < 0)
		return false;
	if (nacre_agent_of_fd(copy, &agent) != 0) {
		close(copy);
		return false;
	}
	nacre_agent_timeout_set(agent, BIND_PATIENCE);
	error = nacre_agent_session_bind(agent, nacre_session_host_key(session),
	    nacre_session_identifier(session), nacre_session_host_key_signature(session), true);
	nacre_agent_free(agent);
	if (error != 0)
		nacre_log(NACRE_LOG_DEBUG1, "The agent does not bind the connection: %s",
		    nacre_error_string(error));
	return error == 0 || error == NACRE_ERROR_REFUSED || error == NACRE_ERROR_UNSUPPORTED;
}

int
nacre_client_connect_agent(struct nacre_client *client)
{
	const char *const path = nacre_client_forward_agent_path(client);

	const int fd = path != NULL ? nacre_socket_connect_path(path, 0) : -1;

	if (fd < 0)
		return fd;
	if (bind_session(client, fd) && fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
		return fd;
	close(fd);
	return -1;
}

static struct nacre_relay **
entry_of(struct nacre_agent_relays *relays, const struct nacre_relay *relay)
{
	for (size_t i = 0; i < NACRE_AGENT_RELAYS_MAX; i++)
		if (relays->list[i] == relay)
			return &relays->list[i];
	return NULL;
}

static void
flush(void *context)
{
	const struct nacre_agent_relays *const relays = context;

	nacre_client_flush(relays->client);
}

static bool
prepare(struct nacre_agent_relays *relays, struct nacre_client *client)
{
	if (relays->host.poller != NULL)
		return true;
	relays->client = client;
	relays->host = (struct nacre_relay_host){
	    .session = nacre_client_session(client), .flush = flush, .context = relays};
	return nacre_poller_new(&relays->host.poller) == 0;
}

static bool
join(struct nacre_agent_relays *relays, struct nacre_client *client, uint32_t channel)
{
	struct nacre_relay **const entry = entry_of(relays, NULL);
	struct nacre_relay *const relay = entry != NULL ? malloc(sizeof *relay) : NULL;
	const int fd =
	    relay != NULL && prepare(relays, client) ? nacre_client_connect_agent(client) : -1;

	if (fd < 0) {
		free(relay);
		return false;
	}
	nacre_relay_init(relay, &relays->host, channel);
	nacre_relay_add(relay, 0, fd, true, true, NACRE_STREAM_DATA);
	*entry = relay;
	nacre_channel_accept(relays->host.session, channel);
	nacre_channel_set_context(relays->host.session, channel, relay);
	nacre_log(NACRE_LOG_DEBUG1, "channel %u: new authentication agent connection", channel);
	nacre_relay_start(relay);
	return true;
}

static bool
opened_by_server(
    struct nacre_agent_relays *relays, struct nacre_client *client, const struct nacre_event *event)
{
	if (event->u.channel_open.kind != NACRE_CHANNEL_AGENT ||
	    nacre_client_forward_agent_path(client) == NULL)
		return false;
	if (!join(relays, client, event->channel)) {
		nacre_log(NACRE_LOG_DEBUG1, "agent channel refused: the agent does not answer");
		nacre_channel_refuse(nacre_client_session(client), event->channel,
		    NACRE_OPEN_CONNECT_FAILED, "no agent");
	}
	return true;
}

static void
ended(struct nacre_agent_relays *relays, struct nacre_relay *relay)
{
	*entry_of(relays, relay) = NULL;
	nacre_relay_release(relay);
	free(relay);
}

bool
nacre_agent_relays_event(
    struct nacre_agent_relays *relays, struct nacre_client *client, const struct nacre_event *event)
{
	struct nacre_relay *relay;

	if (event->kind == NACRE_EVENT_CHANNEL_OPEN)
		return opened_by_server(relays, client, event);
	if (event->kind < NACRE_EVENT_CHANNEL_DATA || event->kind > NACRE_EVENT_CHANNEL_CLOSED)
		return false;
	relay = nacre_channel_context(nacre_client_session(client), event->channel);
	if (relay == NULL || entry_of(relays, relay) == NULL)
		return false;
	if (event->kind == NACRE_EVENT_CHANNEL_DATA)
		nacre_relay_received(relay, event->u.stream);
	else if (event->kind == NACRE_EVENT_CHANNEL_WRITABLE)
		nacre_relay_writable(relay);
	else if (event->kind == NACRE_EVENT_CHANNEL_EOF)
		nacre_relay_eof(relay);
	else if (event->kind == NACRE_EVENT_CHANNEL_CLOSED)
		ended(relays, relay);
	return true;
}

int
nacre_agent_relays_fd(const struct nacre_agent_relays *relays)
{
	return relays->host.poller != NULL ? nacre_poller_fd(relays->host.poller) : -1;
}

void
nacre_agent_relays_ready(struct nacre_agent_relays *relays)
{
	if (relays->host.poller != NULL)
		nacre_watch_dispatch(relays->host.poller, 0);
}

void
nacre_agent_relays_close(struct nacre_agent_relays *relays)
{
	for (size_t i = 0; i < NACRE_AGENT_RELAYS_MAX; i++)
		if (relays->list[i] != NULL)
			ended(relays, relays->list[i]);
	nacre_poller_free(relays->host.poller);
	*relays = (struct nacre_agent_relays){0};
}
