/* Forwarded connections that the client opens: direct-tcpip, direct-streamlocal@openssh.com. */
#include "user_session.h"

#include <nacre/log.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void connected(struct user_session *user, struct endpoint *endpoint, unsigned what);

/* "host:port" of PermitOpen or permitopen=, where the host may be "*" and the port, too. */
static bool
permits(const char *word, const char *host, unsigned port)
{
	const char *colon = strrchr(word, ':');
	size_t length = colon != NULL ? (size_t)(colon - word) : 0;
	char number[16];

	if (colon == NULL)
		return strcmp(word, "any") == 0;
	if (length >= 2 && word[0] == '[' && word[length - 1] == ']') {
		word++;
		length -= 2;
	}
	snprintf(number, sizeof number, "%u", port);
	bool host_fits = (length == 1 && word[0] == '*') ||
			 (strlen(host) == length && strncasecmp(word, host, length) == 0);
	return host_fits && (strcmp(colon + 1, "*") == 0 || strcmp(colon + 1, number) == 0);
}

static bool
list_permits(char *const *words, size_t count, const char *host, unsigned port)
{
	for (size_t i = 0; i < count; i++)
		if (permits(words[i], host, port))
			return true;
	return count == 0;
}

static bool
may_connect(const struct user_session *user, const char *host, unsigned port)
{
	const struct nacre_key_options *options = &user->login->authentication.options;

	return user->permit_forwarding &&
	       (user->config->allow_tcp_forwarding & NACRE_FORWARD_LOCAL) != 0 &&
	       list_permits(
		   user->config->permit_open.words, user->config->permit_open.count, host, port) &&
	       list_permits(options->permit_open, options->permit_open_count, host, port);
}

static void
refuse(struct user_session *user, uint32_t number, enum nacre_open_failure reason, const char *text)
{
	nacre_channel_refuse(user->session, number, reason, text);
}

static void
give_up(struct channel *channel)
{
	refuse(channel->user, channel->number, NACRE_OPEN_CONNECT_FAILED, "Connection refused");
	channel_remove(channel);
}

static void
established(struct channel *channel)
{
	struct endpoint *endpoint = &channel->endpoints[0];
	void (*pump)(struct user_session *, struct endpoint *, unsigned) =
	    channel->endpoints[1].ready;
	int on = 1;

	setsockopt(endpoint->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	channel->connecting = false;
	channel->opened = true;
	endpoint->ready = pump;
	endpoint->source = endpoint->sink = true;
	endpoint_want(channel->user, endpoint, 0);
	nacre_channel_accept(channel->user->session, channel->number);
	channel_start(channel);
}

/* Tries address after address until a connection is there or under way. */
static void
try_next(struct channel *channel)
{
	struct endpoint *endpoint = &channel->endpoints[0];

	while (channel->next_address != NULL) {
		const struct addrinfo *address = channel->next_address;
		channel->next_address = address->ai_next;
		endpoint_close(channel->user, endpoint);
		endpoint->fd =
		    socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (endpoint->fd < 0)
			continue;
		if (connect(endpoint->fd, address->ai_addr, address->ai_addrlen) == 0) {
			established(channel);
			return;
		}
		if (errno == EINPROGRESS) {
			endpoint_want(channel->user, endpoint, NACRE_POLL_WRITE);
			return;
		}
	}
	give_up(channel);
}

static void
connected(struct user_session *user, struct endpoint *endpoint, unsigned what)
{
	int error = 0;
	socklen_t length = sizeof error;

	(void)user;
	(void)what;
	if (endpoint->channel->gone)
		return;
	if (getsockopt(endpoint->fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0)
		established(endpoint->channel);
	else
		try_next(endpoint->channel);
}

static struct channel *
add_connecting(struct user_session *user, uint32_t number)
{
	struct channel *channel = channel_add(user, number);

	channel->connecting = true;
	channel->endpoints[0].ready = connected;
	return channel;
}

static void
open_tcp(struct user_session *user, uint32_t number, const char *host, unsigned port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	char service[16];

	if (!may_connect(user, host, port)) {
		nacre_log(NACRE_LOG_INFO,
		    "Received request from %.100s port %d to connect to host %.100s port %u, but "
		    "the request was denied.",
		    user->login->peer.address, user->login->peer.port, host, port);
		refuse(user, number, NACRE_OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed");
		return;
	}
	snprintf(service, sizeof service, "%u", port);
	int error = getaddrinfo(host, service, &hints, &list);
	if (error != 0) {
		nacre_log(NACRE_LOG_INFO, "connect_to %.100s: unknown host (%s)", host,
		    gai_strerror(error));
		refuse(user, number, NACRE_OPEN_CONNECT_FAILED, "Name or service not known");
		return;
	}
	struct channel *channel = add_connecting(user, number);
	channel->addresses = channel->next_address = list;
	try_next(channel);
}

static void
open_path(struct user_session *user, uint32_t number, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (!user->permit_forwarding ||
	    (user->config->allow_stream_local_forwarding & NACRE_FORWARD_LOCAL) == 0) {
		refuse(user, number, NACRE_OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed");
		return;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool fits = strlen(path) < sizeof address.sun_path;
	if (fits)
		memcpy(address.sun_path, path, strlen(path));
	if (fd < 0 || !fits ||
	    connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
		if (fd >= 0)
			close(fd);
		refuse(user, number, NACRE_OPEN_CONNECT_FAILED, "open failed");
		return;
	}
	struct channel *channel = add_connecting(user, number);
	channel->endpoints[0].fd = fd;
	established(channel);
}

void
forward_open(struct user_session *user, const struct nacre_event *event, bool local_socket)
{
	struct nacre_reader reader = nacre_reader_of(event->u.channel_open.payload);
	char *host = nacre_span_to_string(nacre_get_string(&reader));
	uint32_t port = local_socket ? 0 : nacre_get_u32(&reader);

	nacre_get_string(&reader);
	nacre_get_u32(&reader);
	if (host == NULL || port > 65535 || !nacre_reader_done(&reader))
		refuse(user, event->channel, NACRE_OPEN_CONNECT_FAILED, "malformed request");
	else if (local_socket)
		open_path(user, event->channel, host);
	else
		open_tcp(user, event->channel, host, port);
	free(host);
}
