/*
 * The process that shows the figures: HTTP on one page, for a few at a time. It may read the
 * figures, and has a socket that listens; nothing else.
 */
#include "metrics.h"

#include <nacre/http_request.h>
#include <nacre/log.h>
#include <nacre/poller.h>
#include <nacre/process.h>
#include <nacre/sandbox.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS          8
#define PATIENCE_MS      5000 /* from a client's connection to the end of its answer */
#define SOCKET           3
#define DESCRIPTOR_LIMIT (SOCKET + 1 + CLIENTS + 1)
#define MEMORY_LIMIT     ((size_t)32 * 1024 * 1024)
#define CONTENT_TYPE     "application/openmetrics-text; version=1.0.0; charset=utf-8"

#if defined(__SANITIZE_ADDRESS__) || defined(NACRE_UNCONFINED)
#define CONFINED false /* for tools that make calls of their own: the sanitizers, valgrind */
#else
#define CONFINED true
#endif

struct client {
	int fd; /* -1: free */
	uint64_t since;
	struct nacre_buffer request, answer;
	bool ended; /* the answer has been sent: waiting for the client to close */
};

static const struct {
	int status;
	const char *text;
} statuses[] = {
    {200, "OK"},
    {400, "Bad Request"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {431, "Request Header Fields Too Large"},
};

static const char *
status_text(int status)
{
	for (size_t i = 0; i < MEMBERS(statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].text;
	return "Error";
}

static void
put_answer(struct nacre_buffer *answer, int status, const char *type, struct nacre_span body,
    bool with_body)
{
	nacre_put_format(answer,
	    "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n"
	    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n%s\r\n",
	    status, status_text(status), type, body.length,
	    status == 405 ? "Allow: GET, HEAD\r\n" : "");
	if (with_body)
		nacre_put_span(answer, body);
}

static void
answer_request(
    struct client *client, const struct metrics *metrics, const struct nacre_http_request *request)
{
	struct nacre_buffer body = {0};
	bool head = nacre_span_equals(request->method, "HEAD");
	int status = 200;

	if (!head && !nacre_span_equals(request->method, "GET"))
		status = 405;
	else if (!nacre_span_equals(request->path, "/metrics"))
		status = 404;
	if (status == 200)
		metrics_put_text(metrics, &body);
	else
		nacre_put_format(&body, "%s; the figures are at /metrics\n", status_text(status));
	put_answer(&client->answer, status, status == 200 ? CONTENT_TYPE : "text/plain",
	    nacre_buffer_span(&body), !head);
	nacre_buffer_free(&body);
}

static void
answer_error(struct client *client, int error)
{
	int status = error == NACRE_ERROR_MEMORY ? 431 : 400;

	put_answer(&client->answer, status, "text/plain", nacre_span_of(status_text(status)), true);
}

static void
client_close(struct client *client)
{
	close(client->fd);
	client->fd = -1;
	nacre_buffer_free(&client->request);
	nacre_buffer_free(&client->answer);
	client->ended = false;
}

static void
client_receive(struct client *client, const struct metrics *metrics)
{
	struct nacre_http_request request;
	uint8_t *room = nacre_buffer_room(&client->request, NACRE_HTTP_REQUEST_MOST);
	ssize_t count = room != NULL ? read(client->fd, room, NACRE_HTTP_REQUEST_MOST) : 0;

	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count <= 0) {
		client_close(client);
		return;
	}
	if (client->ended)
		return; /* whatever it still has to say */
	nacre_buffer_added(&client->request, (size_t)count);
	int result = nacre_http_request_parse(nacre_buffer_span(&client->request), &request);
	if (result > 0)
		answer_request(client, metrics, &request);
	else if (result < 0)
		answer_error(client, result);
	if (client->answer.failed)
		client_close(client);
}

static void
client_send(struct client *client)
{
	struct nacre_span answer = nacre_buffer_span(&client->answer);
	ssize_t count = write(client->fd, answer.data, answer.length);

	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count <= 0) {
		client_close(client);
		return;
	}
	nacre_buffer_consume(&client->answer, (size_t)count);
	if (nacre_buffer_length(&client->answer) > 0)
		return;
	/* A close with unread data would reset the connection, and with it the answer. */
	client->ended = true;
	nacre_buffer_clear(&client->request);
	shutdown(client->fd, SHUT_WR);
}

/* A free place; where there is none, that of the client who has been there longest. */
static struct client *
free_place(struct client *clients)
{
	struct client *oldest = &clients[0];

	for (size_t i = 0; i < CLIENTS; i++) {
		if (clients[i].fd < 0)
			return &clients[i];
		if (clients[i].since < oldest->since)
			oldest = &clients[i];
	}
	client_close(oldest);
	return oldest;
}

static void
accept_client(struct client *clients)
{
	int fd = accept4(SOCKET, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	struct client *client = free_place(clients);
	client->fd = fd;
	client->since = nacre_clock_ms();
	client->request.limit = 2 * NACRE_HTTP_REQUEST_MOST;
}

/* Ends those who take too long. Milliseconds until the next one is due, or -1. */
static int
end_slow(struct client *clients)
{
	uint64_t now = nacre_clock_ms();
	int next = -1;

	for (size_t i = 0; i < CLIENTS; i++) {
		if (clients[i].fd < 0)
			continue;
		uint64_t age = now - clients[i].since;
		if (age >= PATIENCE_MS)
			client_close(&clients[i]);
		else if (next < 0 || (int)(PATIENCE_MS - age) < next)
			next = (int)(PATIENCE_MS - age);
	}
	return next;
}

static void
client_ready(struct client *client, const struct metrics *metrics, short what)
{
	if (what == 0 || client->fd < 0)
		return;
	if (nacre_buffer_length(&client->answer) > 0)
		client_send(client);
	else
		client_receive(client, metrics);
}

static _Noreturn void
serve(struct client *clients, const struct metrics *metrics)
{
	struct pollfd polled[CLIENTS + 1];

	for (;;) {
		int timeout = end_slow(clients);
		for (size_t i = 0; i < CLIENTS; i++) {
			bool sending = nacre_buffer_length(&clients[i].answer) > 0;
			polled[i] = (struct pollfd){
			    .fd = clients[i].fd, .events = sending ? POLLOUT : POLLIN};
		}
		polled[CLIENTS] = (struct pollfd){.fd = SOCKET, .events = POLLIN};
		if (poll(polled, CLIENTS + 1, timeout) <= 0)
			continue;
		for (size_t i = 0; i < CLIENTS; i++)
			client_ready(&clients[i], metrics, polled[i].revents);
		if (polled[CLIENTS].revents != 0)
			accept_client(clients);
	}
}

_Noreturn void
metrics_serve(int socket, const struct metrics *metrics, bool privileged)
{
	static struct client clients[CLIENTS];
	struct nacre_sandbox sandbox = {
	    .accepts = true, .descriptor_limit = DESCRIPTOR_LIMIT, .memory_limit = MEMORY_LIMIT};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	title_set("[metrics]");
	for (size_t i = 0; i < CLIENTS; i++)
		clients[i].fd = -1;
	/* Of the listener, which this process was forked from. */
	signal(SIGCHLD, SIG_DFL);
	confine_descriptors(socket, SOCKET, CONFINED);
	if (CONFINED)
		confine_for_good(&sandbox, privileged);
	serve(clients, metrics);
}
