/*
 * Forwarded connections: what is listened at on either side, and the channels of the connections that
 * come. The forwardings that are given to these functions are copied.
 */
#ifndef SSH_FORWARD_H
#define SSH_FORWARD_H

#include "ssh/connection.h"

#include <nacre/config.h>
#include <nacre/listen.h>
#include <nacre/socks.h>

struct addrinfo;

/* forward.c --------------------------------------------------------------------------------- */

/* Everything that the configuration asks for: listens here, asks the server to listen. The process
 * ends where ExitOnForwardFailure wants that. */
void forward_start(struct connection *connection);
/* Stops everything: the process ends. */
void forward_end(struct connection *connection);

/* "HOST", "*", "LOCALHOST" or a path and its port, as -v names a place to listen at; and the target
 * of a forwarding. Both as strings that the caller frees. */
char *forward_listen_text(const struct nacre_forward *forward, bool gateway);
char *forward_target_text(const struct nacre_forward *forward);
/* Whether both name the same place to listen at, in the same words. */
bool forward_same_place(const struct nacre_endpoint *one, const struct nacre_endpoint *other);
struct nacre_forward *forward_copy(const struct nacre_forward *forward);
void forward_free(struct nacre_forward *forward);

/* forward_local.c: LocalForward and DynamicForward ----------------------------------------------- */

/* Starts to listen. False when that cannot be done anywhere, which has been logged. */
bool forward_listen(struct connection *connection, const struct nacre_forward *forward);
/* Stops to listen where "forward" says; connections that are open stay. False: it was not there. */
bool forward_listen_cancel(
    struct connection *connection, const struct nacre_endpoint *listen, bool dynamic);
void forward_listen_end(struct connection *connection);

/* forward_remote.c: RemoteForward ------------------------------------------------------------- */

/* Asks the server to listen. "done" is told its answer, and the port that it listens at (0 for a
 * path); it comes after the forwarding has begun to count. */
typedef void forward_done(struct connection *connection, void *context,
    const struct nacre_forward *forward, bool success, unsigned port);
bool forward_request(struct connection *connection, const struct nacre_forward *forward,
    forward_done *done, void *context);
/* Asks it to stop. False: there is no such forwarding. */
bool forward_request_cancel(struct connection *connection, const struct nacre_endpoint *listen);
void forward_request_end(struct connection *connection);
/* forwarded-tcpip and forwarded-streamlocal@openssh.com. */
void forward_remote_open(struct connection *connection, const struct nacre_event *event);

/* forward_dynamic.c: SOCKS clients ------------------------------------------------------------- */

/* A client of ours has connected; takes the descriptor over. */
void dynamic_accept(struct connection *connection, int fd, const char *originator,
    unsigned originator_port, unsigned listen_port);
void dynamic_end(struct connection *connection);
/* One of the server's: its channel is open. */
void dynamic_remote(struct connection *connection, uint32_t channel);

/* connect_to.c: connections that we make for the server ------------------------------------------ */

struct connecting;
/* Connects to a path or to host and port; "done" gets the descriptor, which is its own, or -1 after
 * the reason was logged. It may be called at once. The result is for connect_to_cancel() and NULL
 * once "done" was called. */
struct connecting *connect_to(struct connection *connection, const struct nacre_endpoint *target,
    void (*done)(void *context, int fd, const char *why), void *context);
void connect_to_cancel(struct connecting *connecting);
void connect_to_end(struct connection *connection);

#endif
