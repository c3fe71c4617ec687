/*
 * Agent forwarding, the client's end: channels that the server opens, each joined to a connection to
 * our agent. For programs whose loop has nothing else of the kind: they give it the events, and wait
 * for its one descriptor.
 */
#ifndef NACRE_AGENT_RELAY_H
#define NACRE_AGENT_RELAY_H

#include <nacre/client.h>
#include <nacre/relay.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NACRE_AGENT_RELAYS_MAX 64 /* connections at once; more are refused */

/* All zero at first. */
struct nacre_agent_relays {
	struct nacre_client *client;
	struct nacre_relay_host host;
	struct nacre_relay *list[NACRE_AGENT_RELAYS_MAX]; /* NULL: free */
};

/* Connects to the agent that is to be forwarded (ForwardAgent): a non-blocking socket that the
 * caller closes, or -1. */
int nacre_client_connect_agent(struct nacre_client *client);

/* Acts on an event of the client's session when it is about an agent channel: one that the server
 * opens (refused unless ForwardAgent allows it) or one that is here. True when it was. */
bool nacre_agent_relays_event(struct nacre_agent_relays *relays, struct nacre_client *client,
    const struct nacre_event *event);
/* Becomes readable when nacre_agent_relays_ready() is due; -1: nothing is waited for. */
int nacre_agent_relays_fd(const struct nacre_agent_relays *relays);
/* Moves what can be moved. */
void nacre_agent_relays_ready(struct nacre_agent_relays *relays);
/* Closes all connections to the agent, and what was used for them. */
void nacre_agent_relays_close(struct nacre_agent_relays *relays);

#ifdef __cplusplus
}
#endif
#endif
