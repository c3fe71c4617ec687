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
/* The session was authenticated in another process (import). */
void userauth_set_done(struct userauth *userauth);
/* A service request of the client (message 5; server side: it is answered here) or its acceptance
 * (message 6; client side: the session makes the SERVICE_ACCEPTED event) arrived. 0 or an error
 * after transport_fail(). */
int userauth_service_request(struct userauth *userauth, struct nacre_span service);
int userauth_service_accept(struct userauth *userauth, struct nacre_span service);
/* True while no further message may be read: a server's question is unanswered, or AUTHENTICATED
 * waits in userauth_pending(). */
bool userauth_blocked(const struct userauth *userauth);
/* Handles a message: 1 when *event is filled, 0 when there is nothing to tell, or an error after
 * transport_fail(). Spans of the event live in the payload or here. */
int userauth_message(struct userauth *userauth, uint8_t message, struct nacre_reader *payload,
    struct nacre_event *event);
/*
 * Events that come without a message (signatures to ask for once the transport is established,
 * AUTHENTICATED): 1 when *event is filled, 0, or an error after transport_fail(). To be called
 * when userauth_blocked(), and otherwise only when the transport is idle: an EXT_INFO that is
 * already there decides how requests are signed. Calls made by the program may make more pending,
 * so it is called anew in every nacre_session_next_event().
 */
int userauth_pending(struct userauth *userauth, struct nacre_event *event);
/* The program's answer to the oldest SIGN event that userauth_pending() gave. */
int userauth_signature(struct userauth *userauth, struct nacre_span signature);

/* The calls of a client: see nacre_auth_...() of <nacre/session.h>. */
int userauth_client_user(struct userauth *userauth, const char *user);
int userauth_client_none(struct userauth *userauth, uint32_t *request);
/* "sign": a signed request; else a query. */
int userauth_client_publickey(struct userauth *userauth, bool sign, const char *algorithm,
    struct nacre_span blob, uint32_t *request);
int userauth_client_hostbased(struct userauth *userauth, const char *algorithm,
    struct nacre_span blob, const char *client_host, const char *client_user, uint32_t *request);
int userauth_client_password(
    struct userauth *userauth, const char *password, const char *new_password, uint32_t *request);
int userauth_client_keyboard_interactive(
    struct userauth *userauth, const char *devices, uint32_t *request);
/* True when a single request is unanswered, it is signed, and it is in the output. */
bool userauth_signed_request_sent(const struct userauth *userauth);
int userauth_client_respond(
    struct userauth *userauth, const struct nacre_span *responses, size_t count);

/* The answers of a server. */
/* True once a signed request was refused: one that a client may have sent a channel behind. */
bool userauth_signed_request_refused(const struct userauth *userauth);
int userauth_server_accept(struct userauth *userauth);
int userauth_server_reject(struct userauth *userauth, const char *methods, bool partial_success);
int userauth_server_publickey_ok(struct userauth *userauth);
int userauth_server_change_password(struct userauth *userauth, const char *prompt);
int userauth_server_ask(struct userauth *userauth, const char *name, const char *instruction,
    const struct nacre_auth_prompt *prompts, size_t count);
int userauth_server_banner(struct userauth *userauth, struct nacre_span text);

#endif
