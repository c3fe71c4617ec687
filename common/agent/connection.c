/* The client's connection to an agent: one request out, one answer in, over a Unix socket. */
#include <nacre/agent.h>
#include <nacre/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEADER_LENGTH 4

struct nacre_agent {
	int fd;
	unsigned timeout; /* milliseconds; 0: none */
};

int
nacre_agent_of_fd(int fd, struct nacre_agent **agent)
{
	struct nacre_agent *made = calloc(1, sizeof *made);

	if (made == NULL)
		return NACRE_ERROR_MEMORY;
	made->fd = fd;
	*agent = made;
	return 0;
}

int
nacre_agent_connect(const char *path, struct nacre_agent **agent)
{
	int fd, error;

	if (path == NULL)
		path = getenv("SSH_AUTH_SOCK");
	if (path == NULL || path[0] == '\0')
		return NACRE_ERROR_NOT_FOUND;
	if ((fd = nacre_socket_connect_path(path, 0)) < 0)
		return NACRE_ERROR_SYSTEM;
	if ((error = nacre_agent_of_fd(fd, agent)) != 0)
		close(fd);
	return error;
}

void
nacre_agent_free(struct nacre_agent *agent)
{
	if (agent == NULL)
		return;
	close(agent->fd);
	free(agent);
}

int
nacre_agent_fd(const struct nacre_agent *agent)
{
	return agent->fd;
}

void
nacre_agent_timeout_set(struct nacre_agent *agent, unsigned milliseconds)
{
	agent->timeout = milliseconds;
}

static uint64_t
clock_milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Waits for the socket until "deadline" (0: for ever). A blocking call without a deadline waits by
 * itself. */
static int
agent_wait(const struct nacre_agent *agent, short what, uint64_t deadline)
{
	struct pollfd entry = {.fd = agent->fd, .events = what};
	uint64_t now;
	int count;

	do {
		now = clock_milliseconds();
		if (deadline != 0 && now >= deadline) {
			errno = ETIMEDOUT;
			return NACRE_ERROR_SYSTEM;
		}
		count = poll(&entry, 1,
		    deadline == 0 || deadline - now > INT32_MAX ? -1 : (int)(deadline - now));
	} while (count == 0 || (count < 0 && errno == EINTR));
	return count < 0 ? NACRE_ERROR_SYSTEM : 0;
}

/* Judges the result of send() or recv(): 0 to go on (progress or a signal), or an error. */
static int
agent_moved(const struct nacre_agent *agent, ssize_t count, short what, uint64_t deadline)
{
	if (count > 0)
		return 0;
	if (count == 0 || errno == EPIPE || errno == ECONNRESET)
		return NACRE_ERROR_CLOSED;
	if (errno == EINTR)
		return 0;
	return errno == EAGAIN ? agent_wait(agent, what, deadline) : NACRE_ERROR_SYSTEM;
}

static int
agent_send(const struct nacre_agent *agent, struct nacre_span bytes, uint64_t deadline)
{
	int flags = MSG_NOSIGNAL | (deadline != 0 ? MSG_DONTWAIT : 0), error = 0;
	ssize_t count;

	while (bytes.length > 0 && error == 0) {
		count = send(agent->fd, bytes.data, bytes.length, flags);
		error = agent_moved(agent, count, POLLOUT, deadline);
		if (count > 0) {
			bytes.data += count;
			bytes.length -= (size_t)count;
		}
	}
	return error;
}

/* Receives until "answer" holds "length" bytes, or more. */
static int
agent_receive(
    const struct nacre_agent *agent, size_t length, uint64_t deadline, struct nacre_buffer *answer)
{
	size_t held;
	ssize_t count;
	uint8_t *room;
	int error;

	while ((held = nacre_buffer_length(answer)) < length) {
		if ((room = nacre_buffer_room(answer, length - held)) == NULL)
			return NACRE_ERROR_MEMORY;
		count = recv(agent->fd, room, length - held, deadline != 0 ? MSG_DONTWAIT : 0);
		if ((error = agent_moved(agent, count, POLLIN, deadline)) != 0)
			return error;
		if (count > 0)
			nacre_buffer_added(answer, (size_t)count);
	}
	return 0;
}

/* One answer, without its length field. */
static int
answer_receive(const struct nacre_agent *agent, uint64_t deadline, struct nacre_buffer *answer)
{
	struct nacre_reader reader;
	uint32_t length;
	int error;

	nacre_buffer_clear(answer);
	if ((error = agent_receive(agent, HEADER_LENGTH, deadline, answer)) != 0)
		return error;
	reader = nacre_reader_of(nacre_buffer_span(answer));
	length = nacre_get_u32(&reader);
	if (length == 0 || length > NACRE_AGENT_MESSAGE_MAX)
		return NACRE_ERROR_PROTOCOL;
	nacre_buffer_consume(answer, HEADER_LENGTH);
	return agent_receive(agent, length, deadline, answer);
}

int
nacre_agent_requests(struct nacre_agent *agent, const struct nacre_span *requests, size_t count,
    struct nacre_buffer *answers)
{
	uint64_t deadline = agent->timeout != 0 ? clock_milliseconds() + agent->timeout : 0;
	struct nacre_buffer framed = {0};
	int error = 0;

	for (size_t i = 0; i < count && error == 0; i++) {
		if (requests[i].length == 0 || requests[i].length > NACRE_AGENT_MESSAGE_MAX)
			error = NACRE_ERROR_ARGUMENT;
		nacre_put_string_span(&framed, requests[i]);
	}
	if (error == 0)
		error = framed.failed ? NACRE_ERROR_MEMORY
				      : agent_send(agent, nacre_buffer_span(&framed), deadline);
	nacre_buffer_free(&framed);
	for (size_t i = 0; i < count && error == 0; i++)
		error = answer_receive(agent, deadline, &answers[i]);
	return error;
}

int
nacre_agent_request(
    struct nacre_agent *agent, struct nacre_span request, struct nacre_buffer *answer)
{
	return nacre_agent_requests(agent, &request, 1, answer);
}
