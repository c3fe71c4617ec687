/*
 * A TCP connection to the server: resolution, the addresses one after another, socket options.
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
name_address(struct nacre_client *client, const struct addrinfo *address)
{
	char text[NI_MAXHOST];

	if (getnameinfo(address->ai_addr, address->ai_addrlen, text, sizeof text, NULL, 0,
		NI_NUMERICHOST) != 0)
		snprintf(text, sizeof text, "UNKNOWN");
	free(client->address);
	client->address = strdup(text);
}

/* Starts with one address; 0 when it is under way or done. */
static int
start_address(struct nacre_client *client, const struct addrinfo *address)
{
	name_address(client, address);
	nacre_log(NACRE_LOG_DEBUG1, "Connecting to %s [%s] port %d.", client->config->hostname,
	    client->address, client->config->port);
	const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (bind_local(client, fd, address->ai_family) == 0) {
		set_options(client, fd, address->ai_family);
		if (connect(fd, address->ai_addr, address->ai_addrlen) == 0 ||
		    errno == EINPROGRESS) {
			client->fd = fd;
			return 0;
		}
	}
	const int error = errno;
	close(fd);
	errno = error;
	return -1;
}

static void
note_failure(struct nacre_client *client, int error)
{
	client->connect.error = error;
	nacre_log(NACRE_LOG_DEBUG1, "connect to address %s port %d: %s", client->address,
	    client->config->port, strerror(error));
}

/* Starts with the next address that lets itself be started with. */
static int
start_next(struct nacre_client *client)
{
	struct connect_state *const connect = &client->connect;

	while (connect->next != NULL) {
		const struct addrinfo *const address = connect->next;

		connect->next = address->ai_next;
		if (start_address(client, address) == 0)
			return 0;
		note_failure(client, errno);
	}
	return NACRE_ERROR_SYSTEM;
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
	client->connect.next = first_address(client);
	/* A failure here is reported, and other attempts are made, by connect_finish(). */
	start_next(client);
	return 0;
}

/* Milliseconds until the deadline for poll(). */
static int
time_left(uint64_t deadline)
{
	const uint64_t now = nacre_clock_ms();

	if (deadline == UINT64_MAX)
		return -1;
	return deadline <= now ? 0 : (int)(deadline - now);
}

/* Waits for the current address: 0 or its errno. */
static int
wait_connected(const struct nacre_client *client)
{
	struct pollfd wait = {.fd = client->fd, .events = POLLOUT};
	socklen_t length = sizeof(int);
	int error = 0, ready;

	trace_wait_begin(client->trace);
	do
		ready = poll(&wait, 1, time_left(client->handshake_deadline));
	while (ready < 0 && errno == EINTR);
	trace_wait_end(client->trace);
	if (ready == 0)
		return ETIMEDOUT;
	if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
		return errno;
	if (error == 0)
		nacre_socket_fit_path(client->fd);
	return error;
}

static int
report_failure(struct nacre_client *client)
{
	nacre_log(NACRE_LOG_ERROR, "ssh: connect to host %s port %d: %s", client->config->hostname,
	    client->config->port, strerror(client->connect.error));
	connect_hint(client, client->connect.error);
	return NACRE_ERROR_SYSTEM;
}

/* Another round over all addresses; false when there is none left. */
static bool
start_again(struct nacre_client *client)
{
	if (--client->connect.attempts_left <= 0)
		return false;
	nacre_log(NACRE_LOG_DEBUG1, "Trying again...");
	poll(NULL, 0, ATTEMPT_INTERVAL_MS);
	client->connect.next = first_address(client);
	return true;
}

int
connect_finish(struct nacre_client *client)
{
	trace_stage(client->trace, "connect to", client->address);
	trace_sent(client->trace);
	for (;;) {
		if (client->fd >= 0) {
			const int error = wait_connected(client);

			if (error == 0)
				break;
			close(client->fd);
			client->fd = -1;
			note_failure(client, error);
		}
		if (client->connect.next == NULL && !start_again(client))
			return report_failure(client);
		connect_deadline(client);
		start_next(client);
	}
	trace_received(client->trace);
	nacre_log(NACRE_LOG_DEBUG1, "Connection established.");
	return 0;
}

void
connect_free(struct nacre_client *client)
{
	if (client->connect.resolved != NULL)
		freeaddrinfo(client->connect.resolved);
	client->connect.resolved = NULL;
}
