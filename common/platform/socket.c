/* TCP sockets and long paths. */
#include <nacre/socket.h>

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define LONG_ROUND_TRIP 5000u /* microseconds */
/* The kernel lowers it to net.core.wmem_max and doubles it. */
#define SEND_BUFFER (8 * 1024 * 1024)
#define UNSENT_MAX  (1024 * 1024)

uint32_t
nacre_socket_round_trip(int socket)
{
	struct tcp_info info = {.tcpi_min_rtt = UINT32_MAX};
	socklen_t length = sizeof info;

	if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0)
		return UINT32_MAX;
	return info.tcpi_min_rtt;
}

void
nacre_socket_fit_path(int socket)
{
	const uint32_t round_trip = nacre_socket_round_trip(socket);
	const int buffer = SEND_BUFFER, unsent = UNSENT_MAX;

	if (round_trip == UINT32_MAX || round_trip < LONG_ROUND_TRIP)
		return;
	setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
	setsockopt(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
}

void
nacre_socket_acknowledge(int socket)
{
	const int on = 1;

	setsockopt(socket, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}
