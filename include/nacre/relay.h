/*
 * Joins a channel to descriptors: data is read straight into the packet that will carry it and
 * written straight from the buffer that it was decrypted in; each direction ends by itself; a slow
 * reader holds up its own channel and nothing else. Forwarded connections have one descriptor for
 * both directions; a program's session has up to three.
 *
 * The program owns the poller and the session: it tells the relay of the channel's events and of
 * descriptors that are ready (nacre_watch_dispatch() does that), and frees it when the channel is
 * closed.
 */
#ifndef NACRE_RELAY_H
#define NACRE_RELAY_H

#include <nacre/poller.h>
#include <nacre/session.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the relays of one connection share. */
struct nacre_relay_host {
	struct nacre_session *session;
	struct nacre_poller *poller;
	/* Writes what the session has to send, as far as the network takes it at once. */
	void (*flush)(void *context);
	void *context;
	uint64_t now; /* milliseconds, kept up to date by the program: for relay->last_active */
};

struct nacre_relay;

struct nacre_relay_end {
	struct nacre_watch watch; /* its "owner" is the end */
	struct nacre_relay *relay;
	bool source; /* what is read from it is sent */
	bool sink;   /* what the channel brings is written to it */
	enum nacre_stream stream;
};

#define NACRE_RELAY_ENDS 3
struct nacre_relay {
	struct nacre_relay_host *host;
	uint32_t channel;
	struct nacre_relay_end ends[NACRE_RELAY_ENDS];
	/* Set by the program before nacre_relay_start(): */
	bool is_session; /* the peer closes the channel, and wants to know when nobody reads it */
	void *context;   /* the program's own */

	bool started, eof_sent, peer_eof;
	bool stalled; /* its reader was waited for in vain and has not caught up since */
	bool closing; /* we have closed the channel */
	uint64_t last_active;
};

/* A relay without descriptors for this channel. */
void nacre_relay_init(struct nacre_relay *relay, struct nacre_relay_host *host, uint32_t channel);
/* Gives it a descriptor, non-blocking, which it closes in the end. Ends are numbered from 0. */
void nacre_relay_add(struct nacre_relay *relay, size_t end, int fd, bool source, bool sink,
    enum nacre_stream stream);
/* The channel is open: data may flow. What was received before is written. */
void nacre_relay_start(struct nacre_relay *relay);
/* CHANNEL_DATA, CHANNEL_WRITABLE and CHANNEL_EOF of its channel. Data without a sink is dropped. */
void nacre_relay_received(struct nacre_relay *relay, enum nacre_stream stream);
void nacre_relay_writable(struct nacre_relay *relay);
void nacre_relay_eof(struct nacre_relay *relay);
/* Reads nothing more, as if all sources had ended. */
void nacre_relay_end_sources(struct nacre_relay *relay);
/* Closes the channel now, whatever is under way, and the descriptors. */
void nacre_relay_close(struct nacre_relay *relay);
/* Closes the descriptors only: the channel is closed, or was never open. */
void nacre_relay_release(struct nacre_relay *relay);

#ifdef __cplusplus
}
#endif
#endif
