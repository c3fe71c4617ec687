/*
 * X11 forwarding (RFC 4254 section 6.3): a display of the machine's own, whose connections go to the
 * client's X server. Its programs find it by DISPLAY, and xauth tells them the cookie, which only
 * the client knows to be false.
 */
#include "user_session.h"

#include <nacre/log.h>
#include <nacre/process.h>
#include <nacre/socket.h>

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DISPLAY_PORT  6000u
#define DISPLAYS_MOST 1000u
#define SCREENS_MOST  400u
#define TEXT_MOST     1024

/* What a session has asked for. */
struct x11 {
	bool single;
	char *protocol, *cookie;
	char display[300];      /* as DISPLAY has it */
	char auth_display[300]; /* as xauth wants it */
};

/* Both go to xauth as words of a line. */
static char *
word_of(struct nacre_span span)
{
	char *text = nacre_span_to_string(span);
	size_t length = text != NULL ? strlen(text) : 0;

	if (length > 0 && length <= TEXT_MOST &&
	    strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:/-_") ==
		length)
		return text;
	free(text);
	return NULL;
}

static bool
permitted(const struct user_session *user)
{
	const struct nacre_sshd_config *config = user->config;

	if (!user->permit_x11) {
		nacre_log(NACRE_LOG_DEBUG1, "X11 forwarding is not permitted");
		return false;
	}
	if (config->xauth_location == NULL || access(config->xauth_location, X_OK) != 0) {
		nacre_log(NACRE_LOG_ERROR, "No xauth program at %s; X11 is not forwarded.",
		    config->xauth_location != NULL ? config->xauth_location : "none");
		return false;
	}
	return true;
}

/* The display's sockets ------------------------------------------------------------------------ */

static void
stop_listening(struct user_session *user, const struct channel *owner)
{
	for (struct acceptor *at = user->acceptors; at != NULL; at = at->next)
		if (at->owner == owner)
			acceptor_remove(user, at);
}

static int
open_x11(struct user_session *user, const struct acceptor *acceptor, const char *originator,
    unsigned originator_port, uint32_t *number)
{
	int error =
	    nacre_channel_open_x11(user->session, originator, (uint16_t)originator_port, number);

	if (error == 0 && acceptor->owner->x11->single)
		stop_listening(user, acceptor->owner);
	return error;
}

/* All addresses, or the number is somebody else's. */
static bool
listen_at(struct channel *channel, const struct addrinfo *list, unsigned port)
{
	struct user_session *user = channel->user;
	bool any = false;

	for (const struct addrinfo *at = list; at != NULL; at = at->ai_next) {
		int fd = nacre_socket_listen(at, NACRE_LISTEN_BACKLOG);
		if (fd < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
			continue;
		if (fd < 0) {
			stop_listening(user, channel);
			return false;
		}
		struct acceptor *acceptor = acceptor_add(user, fd, "display", port);
		acceptor->open = open_x11;
		acceptor->channel_type = "x11-connection";
		acceptor->owner = channel;
		any = true;
	}
	return any;
}

static bool
listen_as(struct channel *channel, unsigned display)
{
	const struct nacre_sshd_config *config = channel->user->config;
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
	    .ai_family = config->address_family,
	    .ai_flags = AI_NUMERICSERV | (config->x11_use_localhost ? 0 : AI_PASSIVE)};
	struct addrinfo *list = NULL;
	char service[16];

	snprintf(service, sizeof service, "%u", DISPLAY_PORT + display);
	if (getaddrinfo(NULL, service, &hints, &list) != 0)
		return false;
	bool good = listen_at(channel, list, DISPLAY_PORT + display);
	freeaddrinfo(list);
	return good;
}

/* The number of a display that nobody else has, or -1. */
static int
find_display(struct channel *channel)
{
	unsigned first = (unsigned)channel->user->config->x11_display_offset;

	for (unsigned i = 0; i < DISPLAYS_MOST && first + i <= UINT16_MAX - DISPLAY_PORT; i++)
		if (listen_as(channel, first + i))
			return (int)(first + i);
	return -1;
}

/* The session's -------------------------------------------------------------------------------- */

static void
name_display(struct x11 *x11, bool localhost, int display, uint32_t screen)
{
	char host[256] = "localhost";

	if (!localhost && gethostname(host, sizeof host) != 0)
		snprintf(host, sizeof host, "localhost");
	host[sizeof host - 1] = '\0';
	snprintf(x11->display, sizeof x11->display, "%s:%d.%u", host, display, screen);
	snprintf(x11->auth_display, sizeof x11->auth_display, "%s:%d.%u", localhost ? "unix" : host,
	    display, screen);
}

bool
x11_request(struct channel *channel, const struct nacre_event *event)
{
	struct user_session *user = channel->user;
	uint32_t screen = event->u.channel_request.x11.screen;
	int display;

	if (!permitted(user) || channel->x11 != NULL || channel->started || screen > SCREENS_MOST)
		return false;
	if ((channel->x11 = calloc(1, sizeof *channel->x11)) == NULL)
		nacre_fatal("out of memory");
	struct x11 *x11 = channel->x11;
	x11->single = event->u.channel_request.x11.single;
	x11->protocol = word_of(event->u.channel_request.x11.protocol);
	x11->cookie = word_of(event->u.channel_request.x11.cookie);
	if (x11->protocol == NULL || x11->cookie == NULL) {
		nacre_log(NACRE_LOG_ERROR,
		    "X11 authentication data of the client are refused: they "
		    "hold characters that xauth might take for commands");
		x11_end(channel);
		return false;
	}
	if ((display = find_display(channel)) < 0) {
		nacre_log(NACRE_LOG_ERROR,
		    "no X11 display is free from number %d on (X11DisplayOffset)",
		    user->config->x11_display_offset);
		x11_end(channel);
		return false;
	}
	name_display(x11, user->config->x11_use_localhost, display, screen);
	return true;
}

void
x11_end(struct channel *channel)
{
	struct x11 *x11 = channel->x11;

	if (x11 == NULL)
		return;
	stop_listening(channel->user, channel);
	free(x11->protocol);
	if (x11->cookie != NULL)
		explicit_bzero(x11->cookie, strlen(x11->cookie));
	free(x11->cookie);
	free(x11);
	channel->x11 = NULL;
}

const char *
x11_display(const struct channel *channel)
{
	return channel->x11 != NULL ? channel->x11->display : NULL;
}

void
x11_for_script(const struct channel *channel, struct nacre_buffer *text)
{
	if (channel->x11 != NULL)
		nacre_put_format(text, "%s %s\n", channel->x11->protocol, channel->x11->cookie);
}

void
x11_for_xauth(const struct channel *channel, struct nacre_buffer *text)
{
	const struct x11 *x11 = channel->x11;

	nacre_put_format(text, "remove %s\nadd %s %s %s\n", x11->auth_display, x11->auth_display,
	    x11->protocol, x11->cookie);
}
