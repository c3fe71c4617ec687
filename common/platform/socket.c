/* TCP sockets and long paths. */
#include <nacre/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define LONG_ROUND_TRIP 5000u /* microseconds */
/* The kernel lowers it to net.core.wmem_max and doubles it. */
#define SEND_BUFFER (8 * 1024 * 1024)
#define UNSENT_MAX  (1024 * 1024)

void
nacre_socket_fit_path(int socket)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof info;
	const int buffer = SEND_BUFFER, unsent = UNSENT_MAX;

	if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0 ||
	    info.tcpi_rtt < LONG_ROUND_TRIP)
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
