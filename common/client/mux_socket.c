/* The Unix socket of a shared connection: who is at its other end, messages, and the descriptors
 * that come with them. */
#include <nacre/mux.h>
#include <nacre/socket.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE ((size_t)8192)

static int
connect_error(int error)
{
	if (error == ENAMETOOLONG)
		return NACRE_ERROR_ARGUMENT;
	if (error == ENOENT)
		return NACRE_ERROR_NOT_FOUND;
	return error == ECONNREFUSED ? NACRE_ERROR_REFUSED : NACRE_ERROR_SYSTEM;
}

/* Our descriptors, the terminal among them, go to nobody else. */
static bool
is_trustworthy(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

int
nacre_mux_connect(const char *path, struct nacre_mux_socket *control)
{
	const int fd = nacre_socket_connect_path(path, 0);

	*control = (struct nacre_mux_socket){.fd = -1};
	if (fd < 0)
		return connect_error(errno);
	if (!is_trustworthy(fd)) {
		close(fd);
		return NACRE_ERROR_PERMISSION;
	}
	control->fd = fd;
	return 0;
}

/* Sending ------------------------------------------------------------------------------------- */

/* Room for one descriptor, aligned as the kernel wants it. */
union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr header;
};

static void
attach(struct msghdr *message, union control *control, int descriptor)
{
	message->msg_control = control->bytes;
	message->msg_controllen = sizeof control->bytes;
	struct cmsghdr *const header = CMSG_FIRSTHDR(message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
}

static int
send_all(int fd, struct nacre_span bytes)
{
	while (bytes.length > 0) {
		const ssize_t sent = send(fd, bytes.data, bytes.length, MSG_NOSIGNAL);

		if (sent < 0 && errno == EAGAIN) {
			struct pollfd wait = {.fd = fd, .events = POLLOUT};

			poll(&wait, 1, -1);
		} else if (sent < 0 && errno != EINTR) {
			return NACRE_ERROR_CLOSED;
		} else if (sent > 0) {
			bytes.data += sent;
			bytes.length -= (size_t)sent;
		}
	}
	return 0;
}

int
nacre_mux_send(const struct nacre_mux_socket *socket, struct nacre_span packets,
    const int *descriptors, size_t descriptor_count)
{
	static char nothing = '\0';
	struct iovec byte = {.iov_base = &nothing, .iov_len = 1};
	struct mmsghdr messages[NACRE_MUX_DESCRIPTORS] = {0};
	union control controls[NACRE_MUX_DESCRIPTORS];
	size_t done = 0;
	int error = send_all(socket->fd, packets);

	for (size_t i = 0; i < descriptor_count; i++) {
		messages[i].msg_hdr.msg_iov = &byte;
		messages[i].msg_hdr.msg_iovlen = 1;
		attach(&messages[i].msg_hdr, &controls[i], descriptors[i]);
	}
	while (error == 0 && done < descriptor_count) {
		const int sent = sendmmsg(
		    socket->fd, messages + done, (unsigned)(descriptor_count - done), MSG_NOSIGNAL);

		if (sent > 0)
			done += (size_t)sent;
		else if (errno != EINTR)
			error = NACRE_ERROR_CLOSED;
	}
	return error;
}

/* Receiving ----------------------------------------------------------------------------------- */

static void
keep_descriptors(struct nacre_mux_socket *socket, struct msghdr *message)
{
	const size_t most = sizeof socket->descriptors / sizeof *socket->descriptors;

	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
	     header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
			if (socket->descriptor_count < most) {
				socket->descriptors[socket->descriptor_count++] = fd;
			} else {
				close(fd);
				socket->flooded = true;
			}
		}
	}
}

ssize_t
nacre_mux_receive(struct nacre_mux_socket *socket, bool wait)
{
	uint8_t *const room = nacre_buffer_room(&socket->input, READ_SIZE);
	union {
		char bytes[CMSG_SPACE(NACRE_MUX_DESCRIPTORS * sizeof(int))];
		struct cmsghdr header;
	} control;
	struct iovec place = {.iov_base = room, .iov_len = READ_SIZE};
	struct msghdr message = {.msg_iov = &place,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof control.bytes};

	if (room == NULL)
		return NACRE_ERROR_CLOSED;
	const ssize_t got =
	    recvmsg(socket->fd, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : NACRE_ERROR_CLOSED;
	socket->flooded |= (message.msg_flags & MSG_CTRUNC) != 0;
	keep_descriptors(socket, &message);
	if (socket->flooded || got == 0)
		return NACRE_ERROR_CLOSED;
	nacre_buffer_added(&socket->input, (size_t)got);
	return got;
}

static void
give_descriptors(struct nacre_mux_socket *socket, int *descriptors, size_t count)
{
	memcpy(descriptors, socket->descriptors, count * sizeof *descriptors);
	socket->descriptor_count -= count;
	memmove(socket->descriptors, socket->descriptors + count,
	    socket->descriptor_count * sizeof *descriptors);
}

int
nacre_mux_take(struct nacre_mux_socket *socket, struct nacre_mux_message *message,
    int descriptors[NACRE_MUX_DESCRIPTORS])
{
	struct nacre_span packet;
	int error;

	nacre_buffer_consume(&socket->input, socket->taken);
	socket->taken = 0;
	const struct nacre_span all = nacre_buffer_span(&socket->input);
	struct nacre_span left = all;
	if (!nacre_mux_packet(&left, &packet, &error))
		return error;
	error = nacre_mux_decode(packet, message);
	if (error == NACRE_ERROR_FORMAT)
		return error;
	const size_t count = error == 0 ? nacre_mux_descriptors(message->kind) : 0;
	if (left.length < count || socket->descriptor_count < count)
		return left.length < count ? 0 : NACRE_ERROR_FORMAT;
	give_descriptors(socket, descriptors, count);
	socket->taken = all.length - left.length + count;
	return error == 0 ? 1 : error;
}

void
nacre_mux_close(struct nacre_mux_socket *socket)
{
	for (size_t i = 0; i < socket->descriptor_count; i++)
		close(socket->descriptors[i]);
	socket->descriptor_count = 0;
	if (socket->fd >= 0)
		close(socket->fd);
	socket->fd = -1;
	nacre_buffer_free(&socket->input);
	socket->taken = 0;
}
