/*
 * The connection protocol for the session (RFC 4254): messages 80 to 127, both roles.
 */
#ifndef CONNECTION_CONNECTION_H
#define CONNECTION_CONNECTION_H

#include <transport/transport.h>

struct connection;

int connection_new(struct transport *transport, const struct nacre_session_options *options,
    struct connection **connection);
void connection_free(struct connection *connection);

/* Handles a message (never called before authentication is done): 1 when *event is filled, 0 when
 * not, or an error after transport_fail(). */
int connection_message(struct connection *connection, uint8_t message, struct nacre_reader *payload,
    struct nacre_event *event);
/* What must happen before the receive buffer is reused: unread channel data is kept aside. Called
 * at the start of every nacre_session_next_event() and nacre_session_input_room(). */
void connection_settle(struct connection *connection);
/* Events without a message (WRITABLE, EOF after the data was read, CLOSED, window adjustments that
 * are due): 1 when *event is filled. */
int connection_pending(struct connection *connection, struct nacre_event *event);
/* The part of it that can happen before authentication is done: 1 with *event filled when the peer
 * did not know what to do with the open of an early channel. */
int connection_early_pending(struct connection *connection, struct nacre_event *event);
/* When connection_pending() wants to be called though nothing came, ms; UINT64_MAX: not. */
uint64_t connection_deadline(const struct connection *connection);
/* True when there is no channel. */
bool connection_idle(const struct connection *connection);
/* True while our programs have so much unread data, all channels together, that the peer must wait.
 * Windows keep it from coming to that unless there are thousands of channels. */
bool connection_full(const struct connection *connection);

#endif
