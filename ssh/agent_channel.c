/* Agent forwarding: channels that the server opens, joined to our agent. */
#include "ssh/connection.h"

#include <nacre/agent_relay.h>
#include <nacre/log.h>

static const struct channel_kind agent_kind = {"agent-connection", RELAYED};

void
agent_channel_open(struct connection *connection, const struct nacre_event *event)
{
	if (nacre_client_forward_agent_path(connection->client) == NULL) {
		nacre_log(NACRE_LOG_ERROR, "Warning: ssh server tried agent forwarding.");
		nacre_log(NACRE_LOG_ERROR, "Warning: this is probably a break-in attempt by a "
					   "malicious server.");
		nacre_channel_refuse(connection->session, event->channel,
		    NACRE_OPEN_ADMINISTRATIVELY_PROHIBITED, "not requested");
		return;
	}
	const int fd = nacre_client_connect_agent(connection->client);
	if (fd < 0) {
		nacre_log(NACRE_LOG_DEBUG1, "agent channel refused: the agent does not answer");
		nacre_channel_refuse(
		    connection->session, event->channel, NACRE_OPEN_CONNECT_FAILED, "no agent");
		return;
	}
	nacre_channel_accept(connection->session, event->channel);
	nacre_log(
	    NACRE_LOG_DEBUG1, "channel %u: new authentication agent connection", event->channel);
	relayed_add(connection, &agent_kind, event->channel, fd, false);
}
