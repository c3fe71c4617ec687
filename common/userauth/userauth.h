/*
 * The authentication protocol for the session (RFC 4252, 4256): messages 50 to 79, both roles.
 */
#ifndef USERAUTH_USERAUTH_H
#define USERAUTH_USERAUTH_H

#include <transport/transport.h>

struct userauth;

int userauth_new(struct transport *transport, struct userauth **userauth);
void userauth_free(struct userauth *userauth);

/* True once authentication has succeeded. */
bool userauth_done(const struct userauth *userauth);
/* A service request of the client (message 5; server side) or its acceptance (message 6; client
 * side) arrived. */
int userauth_service_request(struct userauth *userauth, struct nacre_span service);
int userauth_service_accept(struct userauth *userauth, struct nacre_span service);
/* True while a question is unanswered, so that no further message may be read. */
bool userauth_blocked(const struct userauth *userauth);
/* Handles a message: 1 when *event is filled, 0 when there is nothing to tell, or an error after
 * transport_fail(). */
int userauth_message(struct userauth *userauth, uint8_t message, struct nacre_reader *payload,
    struct nacre_event *event);
/* Events that come without a message (signatures to ask for once the session identifier is known):
 * 1 when *event is filled. Called when the transport is idle, too. */
int userauth_pending(struct userauth *userauth, struct nacre_event *event);
/* The program's answer to a SIGN event that userauth_pending() gave. */
int userauth_signature(struct userauth *userauth, struct nacre_span signature);

#endif
