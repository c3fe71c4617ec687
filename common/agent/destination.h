/*
 * Where a key may be used: restrict-destination-v00@openssh.com (OpenSSH's PROTOCOL.agent). Pure:
 * constraints are read from bytes and asked about the sessions that a connection is bound to.
 */
#ifndef AGENT_DESTINATION_H
#define AGENT_DESTINATION_H

#include <nacre/key.h>

struct destination_key {
	struct nacre_key *key;
	bool authority; /* of host certificates */
};

/* One end of a hop. "from" is empty for the host that the agent is on. */
struct destination_host {
	char *user; /* a pattern; NULL: any */
	char *name;
	struct destination_key *keys;
	size_t key_count;
};

struct destination {
	struct destination_host from, to;
};

struct destinations {
	struct destination *list;
	size_t count;
};

/* What a connection said of one session on the way to its client. */
struct destination_hop {
	const struct nacre_key *host_key;
	bool forwarding;
};

/* Reads the content of the extension. 0, NACRE_ERROR_FORMAT or NACRE_ERROR_MEMORY. */
int destinations_read(struct nacre_span content, struct destinations *destinations);
void destinations_free(struct destinations *destinations);
/* May a connection with these hops (none: a client on this host) use the key, as "user" at the last
 * hop (NULL: not to sign, only to see it)? "host" (may be NULL) becomes the name that a constraint
 * has for the last hop, or NULL. */
bool destinations_permit(const struct destinations *destinations,
    const struct destination_hop *hops, size_t count, const char *user, const char **host);

#endif
