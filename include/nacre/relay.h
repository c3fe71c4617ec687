/*
 * Agent forwarding, the client's end: channels that the server opens, each joined to a connection to
 * our agent. The program gives it the events and what poll() found, and waits for what it wants.
 */
#ifndef NACRE_RELAY_H
#define NACRE_RELAY_H

#include <nacre/client.h>

#include <poll.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NACRE_RELAYS_MAX 64 /* connections at once; more are refused */

struct nacre_relay {
	uint32_t channel;
	int fd; /* -1: free */
	bool input_over, output_over;
};

/* All zero at first. */
struct nacre_relays {
	struct nacre_relay list[NACRE_RELAYS_MAX];
	size_t used; /* entries below it may be in use */
};

/* Acts on an event of the client's session when it is about an agent channel: one that the server
 * opens (refused unless ForwardAgent allows it) or one that is here. True when it was. */
bool nacre_relays_event(
    struct nacre_relays *relays, struct nacre_client *client, const struct nacre_event *event);
/* Fills what is to be waited for into "entries" (room for NACRE_RELAYS_MAX); returns how many. */
size_t nacre_relays_poll(
    const struct nacre_relays *relays, struct nacre_session *session, struct pollfd *entries);
/* Moves what can be moved, after poll(); of the entries others' are passed over. */
void nacre_relays_ready(struct nacre_relays *relays, struct nacre_session *session,
    const struct pollfd *entries, size_t count);
/* Closes all connections to the agent. */
void nacre_relays_close(struct nacre_relays *relays);

#ifdef __cplusplus
}
#endif
#endif
