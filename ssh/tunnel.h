/* -w: a network interface here, joined to one of the server's. */
#ifndef SSH_TUNNEL_H
#define SSH_TUNNEL_H

struct connection;

/* Opens the interface that the configuration asks for, if it does, and its channel. The process ends
 * where ExitOnForwardFailure wants that. */
void tunnel_start(struct connection *connection);

#endif
