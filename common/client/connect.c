/*
 * A TCP connection to the server: resolution, the addresses of each family one after another and the
 * two families side by side (RFC 8305), socket options.
 * Started early and finished late, so that keys are made and files read while it is on its way.
 */
#include <client/client.h>
#include <nacre/poller.h>
#include <nacre/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ConnectionAttempts are made one a second. */
#define ATTEMPT_INTERVAL_MS 1000
/* RFC 8305, section 5: how long the first family of addresses is alone. */
#define SECOND_FAMILY_MS 250

/* What mostly causes an error, and what to type next (the host follows). */
static const struct connect_hint {
	int error;
	const char *cause, *command;
} connect_hints[] = {
    {ECONNREFUSED, "nothing listens on that port; is sshd running there, or on another port? Try",
	"ssh -p PORT"},
    {ETIMEDOUT, "no answer: a firewall, a wrong address, or the host is down. Try", "ping"},
    {EHOSTUNREACH, "no way to that host; is the network or VPN up? Try", "ip route get"},
    {ENETUNREACH, "no way to that network; is it or the VPN up? For IPv4 only", "ssh -4"},
    {EADDRNOTAVAIL, "the address to connect from (BindAddress, -b) is not one of this host. See",
	"ssh -G"},
};

static void
connect_hint(const struct nacre_client *client, int error)
{
	for (size_t i = 0; i < sizeof connect_hints / sizeof *connect_hints; i++)
		if (connect_hints[i].error == error)
			nacre_log(NACRE_LOG_INFO, "hint: %s: %s %s", connect_hints[i].cause,
			    connect_hints[i].command, client->config->host);
}

/* Fills connect.numeric without the resolver (and what it loads) when the host is an address. */
static bool
resolve_numeric(struct nacre_client *client)
{
	const struct nacre_ssh_config *const config = client->config;
	struct connect_state *const connect = &client->connect;
	struct sockaddr_in *const four = (struct sockaddr_in *)&connect->own;
	struct sockaddr_in6 *const six = (struct sockaddr_in6 *)&connect->own;

	if (config->address_family != AF_INET6 &&
	    inet_pton(AF_INET, config->hostname, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons((uint16_t)config->port);
		connect->numeric.ai_addrlen = sizeof *four;
	} else if (config->address_family != AF_INET &&
		   inet_pton(AF_INET6, config->hostname, &six->sin6_addr) == 1) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons((uint16_t)config->port);
		connect->numeric.ai_addrlen = sizeof *six;
	} else {
		return false;
	}
	connect->numeric.ai_family = connect->own.ss_family;
	connect->numeric.ai_addr = (struct sockaddr *)&connect->own;
	return true;
}

static int
resolve(struct nacre_client *client)
{
	const struct nacre_ssh_config *const config = client->config;
	const struct addrinfo hints = {
	    .ai_family = config->address_family, .ai_socktype = SOCK_STREAM};
	char port[8];

	if (resolve_numeric(client))
		return 0;
	snprintf(port, sizeof port, "%d", config->port);
	const int error = getaddrinfo(config->hostname, port, &hints, &client->connect.resolved);
	if (error == 0)
		return 0;
	nacre_log(NACRE_LOG_ERROR, "ssh: Could not resolve hostname %s: %s", config->hostname,
	    error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
	if (error == EAI_AGAIN)
		nacre_log(NACRE_LOG_INFO,
		    "hint: no name server answers; is the network or VPN up? Try: getent hosts %s",
		    config->hostname);
	else
		nacre_log(NACRE_LOG_INFO,
		    "hint: check the spelling; a short name may need a \"Host %s\" block with "
		    "HostName in ~/.ssh/config. Try: getent hosts %s",
		    config->host, config->hostname);
	return NACRE_ERROR_NOT_FOUND;
}

static const struct addrinfo *
first_address(const struct nacre_client *client)
{
	return client->connect.resolved != NULL ? client->connect.resolved
						: &client->connect.numeric;
}

/* Binds to the first address of BindInterface that has the family of the server's. */
static int
bind_to_interface(int fd, const char *interface, int family)
{
	struct ifaddrs *all, *one;
	int result = -1;

	if (getifaddrs(&all) != 0)
		return -1;
	errno = EADDRNOTAVAIL;
	for (one = all; one != NULL; one = one->ifa_next)
		if (one->ifa_addr != NULL && one->ifa_addr->sa_family == family &&
		    strcmp(one->ifa_name, interface) == 0) {
			result = bind(fd, one->ifa_addr,
			    family == AF_INET ? sizeof(struct sockaddr_in)
					      : sizeof(struct sockaddr_in6));
			break;
		}
	const int error = errno;
	freeifaddrs(all);
	errno = error;
	return result;
}

static int
bind_to_address(int fd, const char *address, int family)
{
	const struct addrinfo hints = {
	    .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *local;

	if (getaddrinfo(address, NULL, &hints, &local) != 0) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	const int result = bind(fd, local->ai_addr, local->ai_addrlen);
	const int error = errno;
	freeaddrinfo(local);
	errno = error;
	return result;
}

static int
bind_local(const struct nacre_client *client, int fd, int family)
{
	const struct nacre_ssh_config *const config = client->config;

	if (config->bind_address != NULL)
		return bind_to_address(fd, config->bind_address, family);
	if (config->bind_interface != NULL)
		return bind_to_interface(fd, config->bind_interface, family);
	return 0;
}

static void
set_options(const struct nacre_client *client, int fd, int family)
{
	const struct nacre_ssh_config *const config = client->config;
	const int on = 1;
	const int service = client->interactive ? config->ipqos_interactive : config->ipqos_bulk;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (config->tcp_keep_alive)
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	if (service != NACRE_IPQOS_NONE && family == AF_INET)
		setsockopt(fd, IPPROTO_IP, IP_TOS, &service, sizeof service);
	else if (service != NACRE_IPQOS_NONE && family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &service, sizeof service);
}

static void
name_address(char *text, size_t room, const struct addrinfo *address)
{
	if (getnameinfo(address->ai_addr, address->ai_addrlen, text, (socklen_t)room, NULL, 0,
		NI_NUMERICHOST) != 0)
		snprintf(text, room, "UNKNOWN");
}

static uint64_t
deadline_from_now(const struct nacre_client *client)
{
	const int seconds = client->config->connect_timeout;

	return seconds > 0 ? nacre_clock_ms() + (uint64_t)seconds * 1000 : UINT64_MAX;
}

/* Starts with one address. The socket, or -1 with errno set. */
static int
start_address(const struct nacre_client *client, const struct addrinfo *address)
{
	char text[NI_MAXHOST];

	name_address(text, sizeof text, address);
	nacre_log(NACRE_LOG_DEBUG1, "Connecting to %s [%s] port %d.", client->config->hostname,
	    text, client->config->port);
	const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (bind_local(client, fd, address->ai_family) == 0) {
		set_options(client, fd, address->ai_family);
		if (connect(fd, address->ai_addr, address->ai_addrlen) == 0 || errno == EINPROGRESS)
			return fd;
	}
	const int error = errno;
	close(fd);
	errno = error;
	return -1;
}

static void
note_failure(struct nacre_client *client, const struct addrinfo *address, int error)
{
	char text[NI_MAXHOST];

	name_address(text, sizeof text, address);
	client->connect.error = error;
	nacre_log(NACRE_LOG_DEBUG1, "connect to address %s port %d: %s", text, client->config->port,
	    strerror(error));
}

/* The next address of the list that is, or is not, of this family. */
static const struct addrinfo *
find_family(const struct addrinfo *address, int family, bool same)
{
	while (address != NULL && (address->ai_family == family) != same)
		address = address->ai_next;
	return address;
}

/* Starts with the lane's next address that lets itself be started with. True when all could be. */
static bool
lane_start(struct nacre_client *client, struct connect_lane *lane)
{
	const int family = first_address(client)->ai_family;
	const bool first = lane == client->connect.lanes;
	bool all = true;

	while (lane->fd < 0 && lane->next != NULL) {
		lane->current = lane->next;
		lane->next = find_family(lane->current->ai_next, family, first);
		lane->deadline = deadline_from_now(client);
		lane->fd = start_address(client, lane->current);
		if (lane->fd < 0) {
			note_failure(client, lane->current, errno);
			all = false;
		}
	}
	return all;
}

/* The other family follows when the first has failed once or is slow. */
static void
lanes_begin(struct nacre_client *client)
{
	struct connect_state *const connect = &client->connect;
	const struct addrinfo *const first = first_address(client);

	for (size_t i = 0; i < CONNECT_LANES; i++)
		connect->lanes[i] = (struct connect_lane){.fd = -1,
		    .next = find_family(first, first->ai_family, i == 0),
		    .deadline = UINT64_MAX};
	connect->second_started = false;
	connect->second_start = nacre_clock_ms() + SECOND_FAMILY_MS;
	if (!lane_start(client, &connect->lanes[0]))
		connect->second_start = 0;
}

void
connect_deadline(struct nacre_client *client)
{
	if (client->config->connect_timeout > 0)
		client->handshake_deadline =
		    nacre_clock_ms() + (uint64_t)client->config->connect_timeout * 1000;
}

int
connect_start(struct nacre_client *client)
{
	const int error = resolve(client);

	if (error != 0)
		return error;
	client->connect.attempts_left = client->config->connection_attempts;
	/* A failure here is reported, and other attempts are made, by connect_finish(). */
	lanes_begin(client);
	return 0;
}

static void
lane_failed(struct nacre_client *client, struct connect_lane *lane, int error)
{
	close(lane->fd);
	lane->fd = -1;
	note_failure(client, lane->current, error);
	client->connect.second_start = 0;
	lane_start(client, lane);
}

/* 0: it stands; EINPROGRESS: not yet; else why not. */
static int
lane_result(const struct connect_lane *lane, short revents)
{
	socklen_t length = sizeof(int);
	int error = 0;

	if (revents == 0)
		return nacre_clock_ms() >= lane->deadline ? ETIMEDOUT : EINPROGRESS;
	return getsockopt(lane->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0 ? errno : error;
}

/* Milliseconds until something is due, for poll(). */
static int
lanes_timeout(const struct connect_state *connect)
{
	const uint64_t now = nacre_clock_ms();
	uint64_t until = UINT64_MAX;

	for (size_t i = 0; i < CONNECT_LANES; i++)
		if (connect->lanes[i].fd >= 0 && connect->lanes[i].deadline < until)
			until = connect->lanes[i].deadline;
	if (!connect->second_started && connect->lanes[1].next != NULL &&
	    connect->second_start < until)
		until = connect->second_start;
	if (until == UINT64_MAX)
		return -1;
	return until <= now ? 0 : (int)(until - now);
}

static void
take_winner(struct nacre_client *client, struct connect_lane *lane)
{
	char text[NI_MAXHOST];

	name_address(text, sizeof text, lane->current);
	free(client->address);
	client->address = strdup(text);
	client->fd = lane->fd;
	client->handshake_deadline = lane->deadline;
	lane->fd = -1;
	nacre_socket_fit_path(client->fd);
}

/* One wait. True when one of the sockets is connected: it is the client's then. */
static bool
lanes_wait(struct nacre_client *client)
{
	struct connect_state *const connect = &client->connect;
	struct pollfd waits[CONNECT_LANES];

	for (size_t i = 0; i < CONNECT_LANES; i++)
		waits[i] = (struct pollfd){.fd = connect->lanes[i].fd, .events = POLLOUT};
	trace_wait_begin(client->trace);
	const int ready = poll(waits, CONNECT_LANES, lanes_timeout(connect));
	trace_wait_end(client->trace);
	if (ready < 0)
		return false;
	for (size_t i = 0; i < CONNECT_LANES; i++) {
		struct connect_lane *const lane = &connect->lanes[i];

		if (lane->fd < 0)
			continue;
		const int error = lane_result(lane, waits[i].revents);
		if (error == 0) {
			take_winner(client, lane);
			return true;
		}
		if (error != EINPROGRESS)
			lane_failed(client, lane, error);
	}
	return false;
}

/* All addresses once; false when none of them can be connected to. */
static bool
race(struct nacre_client *client)
{
	struct connect_state *const connect = &client->connect;

	for (;;) {
		if (!connect->second_started && nacre_clock_ms() >= connect->second_start) {
			connect->second_started = true;
			lane_start(client, &connect->lanes[1]);
		}
		if (connect->lanes[0].fd < 0 && connect->lanes[1].fd < 0)
			return false;
		if (lanes_wait(client))
			return true;
	}
}

static int
report_failure(struct nacre_client *client)
{
	nacre_log(NACRE_LOG_ERROR, "ssh: connect to host %s port %d: %s", client->config->hostname,
	    client->config->port, strerror(client->connect.error));
	connect_hint(client, client->connect.error);
	return NACRE_ERROR_SYSTEM;
}

static void
lanes_close(struct connect_state *connect)
{
	for (size_t i = 0; i < CONNECT_LANES; i++)
		if (connect->lanes[i].fd > 0)
			close(connect->lanes[i].fd);
	memset(connect->lanes, 0, sizeof connect->lanes);
}

int
connect_finish(struct nacre_client *client)
{
	struct connect_state *const connect = &client->connect;

	trace_stage(client->trace, "connect to", client->config->hostname);
	trace_sent(client->trace);
	while (!race(client)) {
		if (--connect->attempts_left <= 0)
			return report_failure(client);
		nacre_log(NACRE_LOG_DEBUG1, "Trying again...");
		poll(NULL, 0, ATTEMPT_INTERVAL_MS);
		lanes_begin(client);
	}
	trace_received(client->trace);
	lanes_close(connect);
	nacre_log(NACRE_LOG_DEBUG1, "Connection established.");
	return 0;
}

void
connect_free(struct nacre_client *client)
{
	lanes_close(&client->connect);
	if (client->connect.resolved != NULL)
		freeaddrinfo(client->connect.resolved);
	client->connect.resolved = NULL;
}
