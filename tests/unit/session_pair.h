/*
 * Two sessions joined in memory, for tests: bytes go from one to the other, questions are answered,
 * and what happened is counted.
 */
#ifndef TESTS_SESSION_PAIR_H
#define TESTS_SESSION_PAIR_H

#include <nacre/key.h>
#include <nacre/session.h>

struct pair_side {
	struct nacre_session *session;
	unsigned keys_exchanged, authenticated, disconnected, host_keys, signs, pongs, opened,
	    refused;
	bool ended_by_peer;
	int error;
	uint32_t channel; /* newest */
	char text[1024];  /* of the end */
	struct nacre_buffer log;
	uint64_t bytes_received; /* channel data that arrived */
	uint64_t bytes_checked;
	bool corrupt;      /* channel data is not the pattern */
	unsigned requests; /* channel requests seen */
};

struct pair {
	struct pair_side client, server;
	struct nacre_key *host_key, *user_key;
	struct nacre_buffer host_blob, user_blob;
	struct nacre_span host_spans[1];
	struct nacre_session_options client_options, server_options;
	uint64_t now;
	size_t chunk; /* bytes delivered at a time; 0: all there is */
	bool distrust;
	/* Called for each piece before it is delivered; may change it. */
	void (*tamper)(struct pair *pair, bool to_server, uint8_t *bytes, size_t length);
	uint64_t delivered[2]; /* bytes to the client, to the server */
	uint64_t tamper_at;
	bool tamper_server;
	unsigned flights; /* times that bytes went from the client */
};

/* Options and an ed25519 host key; then change options, then pair_start(). */
void pair_init(struct pair *pair);
void pair_init_key(struct pair *pair, enum nacre_key_type type);
void pair_start(struct pair *pair);
void pair_free(struct pair *pair);
/* Moves bytes and answers questions until nothing happens any more. */
void pair_run(struct pair *pair);
/* One exchange of what is there; true when something happened. */
bool pair_step(struct pair *pair);
bool pair_events(struct pair *pair, struct pair_side *side);
/* Runs to an authenticated session with one open session channel. */
void pair_login(struct pair *pair);
void pair_open_channel(struct pair *pair);
/* Sends "length" bytes of a pattern on the channel as room allows, pumping; checks arrival. */
void pair_transfer(struct pair *pair, bool from_client, uint64_t length);

#endif
