/*
 * Connections that come through a proxy which names the client (ProxyProtocol). The header is read
 * by the process that has no rights; the monitor makes an address of what it says, and the listener
 * is told, because its penalties are for the client.
 */
#include "listener.h"
#include "login.h"
#include "monitor.h"
#include "record.h"

#include <nacre/pattern.h>
#include <nacre/poller.h>
#include <nacre/proxy_header.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 10000 /* proxies send the header at once */

bool
proxy_is_trusted(const struct nacre_sshd_config *config, const char *address)
{
	const struct nacre_words *networks = &config->proxy_protocol;

	for (size_t i = 0; i < networks->count; i++)
		if (nacre_address_list_strict(address, nacre_span_of(networks->words[i])) ==
		    NACRE_MATCH_FOUND)
			return true;
	return false;
}

/* The network process ----------------------------------------------------------------------- */

static void
tell_monitor(int monitor, const struct nacre_proxy_header *header)
{
	struct nacre_buffer frame = {0};
	size_t size = header->family == AF_INET6 ? 16 : 4;

	frame_begin(&frame, MONITOR_PROXY);
	nacre_put_boolean(&frame, header->local);
	if (!header->local) {
		nacre_put_byte(&frame, header->family == AF_INET6 ? 6 : 4);
		nacre_put_bytes(&frame, header->source, size);
		nacre_put_bytes(&frame, header->destination, size);
		nacre_put_u32(&frame, header->source_port);
		nacre_put_u32(&frame, header->destination_port);
	}
	(void)frame_send(monitor, &frame);
	nacre_buffer_free(&frame);
}

static const char *
problem_text(int error)
{
	switch (error) {
	case NACRE_ERROR_MEMORY:
		return "its PROXY header is too long";
	case NACRE_ERROR_UNSUPPORTED:
		return "its PROXY header is of a version or transport that is not supported";
	default:
		return "it does not begin with a PROXY header, which ProxyProtocol expects from "
		       "there";
	}
}

/* 1 when bytes were added, 0 when none are there yet, or an error. */
static int
receive_more(int connection, struct nacre_buffer *bytes)
{
	uint8_t *room = nacre_buffer_room(bytes, NACRE_PROXY_HEADER_MOST);
	ssize_t count = room != NULL ? read(connection, room, NACRE_PROXY_HEADER_MOST) : -1;

	if (count < 0 && room != NULL && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (count <= 0)
		return count == 0 || errno == ECONNRESET ? NACRE_ERROR_CLOSED : NACRE_ERROR_SYSTEM;
	nacre_buffer_added(bytes, (size_t)count);
	return 1;
}

int
proxy_read_header(int connection, int monitor, struct nacre_buffer *rest, const char **problem)
{
	uint64_t until = nacre_clock_ms() + PATIENCE_MS, now;
	struct nacre_proxy_header header;
	int result = 0;

	while (result == 0 && (now = nacre_clock_ms()) < until) {
		struct pollfd polled[] = {{.fd = connection, .events = POLLIN}, {.fd = monitor}};
		if (poll(polled, 2, (int)(until - now)) < 0 || polled[1].revents != 0)
			_exit(255);
		if (polled[0].revents != 0)
			result = receive_more(connection, rest);
		if (result > 0)
			result = nacre_proxy_header_parse(nacre_buffer_span(rest), &header);
		else if (result < 0) {
			*problem = "";
			return result;
		}
	}
	*problem = result == 0 ? "no PROXY header within its time" : problem_text(result);
	if (result != 1)
		return result == 0 ? NACRE_ERROR_REFUSED : result;
	tell_monitor(monitor, &header);
	nacre_buffer_consume(rest, header.length);
	return 0;
}

/* The monitor -------------------------------------------------------------------------------- */

static int
take_addresses(struct login *login, struct nacre_reader *request)
{
	struct peer *peer = &login->peer;
	uint8_t family = nacre_get_byte(request);
	size_t size = family == 6 ? 16 : 4;
	struct nacre_span source = nacre_get_bytes(request, size);
	struct nacre_span destination = nacre_get_bytes(request, size);
	uint32_t source_port = nacre_get_u32(request), port = nacre_get_u32(request);

	if (!nacre_reader_done(request) || (family != 4 && family != 6) ||
	    source_port > UINT16_MAX || port > UINT16_MAX)
		return NACRE_ERROR_PROTOCOL;
	login->proxy = *peer;
	struct sockaddr_storage address = address_make(family, source.data, (uint16_t)source_port);
	peer->port =
	    address_describe(&address, sizeof address, peer->address, sizeof peer->address);
	address = address_make(family, destination.data, (uint16_t)port);
	peer->local_port = address_describe(
	    &address, sizeof address, peer->local_address, sizeof peer->local_address);
	monitor_report_proxied(login, family, source);
	return 0;
}

int
proxy_named(struct login *login, struct nacre_reader *request)
{
	bool local = nacre_get_boolean(request);
	int error = local ? (nacre_reader_done(request) ? 0 : NACRE_ERROR_PROTOCOL)
			  : take_addresses(login, request);

	if (error != 0)
		return error;
	login->state = MONITOR_STRANGER;
	record_connection_begins(login);
	return 0;
}
