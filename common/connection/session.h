/* What a session is made of: one object a layer. The session drives them (session.c). */
#ifndef CONNECTION_SESSION_H
#define CONNECTION_SESSION_H

#include <connection/connection.h>
#include <transport/transport.h>
#include <userauth/userauth.h>

struct nacre_session {
	struct transport *transport;
	struct userauth *userauth;
	struct connection *connection;
	unsigned premature_messages; /* of the connection protocol, before authentication */
};

#endif
