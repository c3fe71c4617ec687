/* What a master tells of its connection and of the channels in it. */
#include "ssh/mux_master.h"

#include <nacre/log.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEXT(span) (int)(span).length, (const char *)(span).data

static void
put_endpoints(const struct nacre_client *client, struct nacre_buffer *text)
{
	const int fd = nacre_client_read_fd(client);
	struct sockaddr_storage own, peer;
	socklen_t own_length = sizeof own, peer_length = sizeof peer;
	char own_text[NACRE_ADDRESS_ROOM], peer_text[NACRE_ADDRESS_ROOM];

	if (getsockname(fd, (struct sockaddr *)&own, &own_length) != 0 ||
	    getpeername(fd, (struct sockaddr *)&peer, &peer_length) != 0 ||
	    own.ss_family == AF_UNIX) {
		nacre_put_format(text, "  proxied\r\n");
		return;
	}
	const unsigned own_port = nacre_address_text(&own, own_length, own_text);
	const unsigned peer_port = nacre_address_text(&peer, peer_length, peer_text);
	nacre_put_format(
	    text, "  tcp %s:%u -> %s:%u\r\n", own_text, own_port, peer_text, peer_port);
}

/* One name, or both where the directions differ. */
static void
put_pair(struct nacre_buffer *text, const char *what, const char *out, const char *in)
{
	if (strcmp(out, in) == 0)
		nacre_put_format(text, "  %s %s\r\n", what, out);
	else
		nacre_put_format(text, "  %s %s out, %s in\r\n", what, out, in);
}

static void
put_algorithms(const struct nacre_session *session, struct nacre_buffer *text)
{
	struct nacre_session_algorithms agreed;

	nacre_session_algorithms(session, &agreed);
	nacre_put_format(
	    text, "  kexalgorithm %s\r\n  hostkeyalgorithm %s\r\n", agreed.kex, agreed.host_key);
	put_pair(text, "cipher", agreed.cipher_client_to_server, agreed.cipher_server_to_client);
	put_pair(text, "mac", agreed.mac_client_to_server, agreed.mac_server_to_client);
	put_pair(text, "compression", agreed.compression_client_to_server,
	    agreed.compression_server_to_client);
}

static void
report_connection(const struct mux_master *master, struct nacre_buffer *text)
{
	const struct connection *const connection = master->connection;
	const uint64_t seconds = (nacre_clock_ms() - master->started) / 1000;
	uint64_t sent, received;

	nacre_put_format(text, "Connection information for %s pid %ld\r\n",
	    connection->plan->config->host, (long)getpid());
	put_endpoints(connection->client, text);
	nacre_put_format(text, "  duration %02u:%02u:%02u\r\n", (unsigned)(seconds / 3600),
	    (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60));
	put_algorithms(connection->session, text);
	nacre_session_traffic(connection->session, &sent, &received);
	nacre_put_format(text, "  traffic %llu bytes in, %llu bytes out\r\n",
	    (unsigned long long)received, (unsigned long long)sent);
}

static void
report_channels(const struct mux_master *master, struct nacre_buffer *text)
{
	nacre_put_format(text, "The following connections are open:\r\n");
	for (const struct channel *at = master->connection->channels; at != NULL; at = at->next) {
		if (at->gone)
			continue;
		nacre_put_format(text, "  #%u %s%s\r\n", at->number,
		    at->description != NULL ? at->description : at->kind->name,
		    at->opening ? " (opening)"
		    : at->idle  ? " (in reserve)"
				: "");
	}
}

static const struct {
	const char *name;
	void (*report)(const struct mux_master *master, struct nacre_buffer *text);
} reports[] = {
    {"connection", report_connection},
    {"channels", report_channels},
};

bool
mux_report(const struct mux_master *master, struct nacre_span what, struct nacre_buffer *text)
{
	for (size_t i = 0; i < sizeof reports / sizeof *reports; i++)
		if (nacre_span_equals(what, reports[i].name)) {
			reports[i].report(master, text);
			return true;
		}
	return false;
}
