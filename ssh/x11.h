/* X11 forwarding: the display and the cookies, and the channels of its connections. */
#ifndef SSH_X11_H
#define SSH_X11_H

#include <nacre/session.h>
#include <nacre/ssh_config.h>
#include <nacre/x11.h>

struct connection;

struct x11_forward {
	struct nacre_x11_display display;
	struct nacre_x11_cookie cookie;
	int timeout;        /* seconds that connections are taken for; 0: for ever */
	uint64_t refuse_at; /* milliseconds, once the session runs; 0: never */
};

/* x11.c: finds the display, and a cookie for it with xauth; what it cannot do it says. False:
 * nothing is to be forwarded. */
bool x11_prepare(struct x11_forward *x11, const struct nacre_ssh_config *config);
/* Asks for forwarding in a session channel; wants an answer. */
void x11_request(const struct x11_forward *x11, struct nacre_session *session, uint32_t channel);

/* x11_channel.c: the server has a connection for the display. */
void x11_channel_open(struct connection *connection, const struct nacre_event *event);

#endif
