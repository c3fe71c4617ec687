/* What one process hands to another: bytes with descriptors over a socket, sealed memory files. */
#include <nacre/file.h>
#include <nacre/process.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

union control_space {
	char bytes[CMSG_SPACE(sizeof(int) * NACRE_PROCESS_DESCRIPTORS)];
	struct cmsghdr align;
};

static int
wait_until(int fd, short what)
{
	struct pollfd entry = {.fd = fd, .events = what};

	return poll(&entry, 1, -1) < 0 && errno != EINTR ? NACRE_ERROR_SYSTEM : 0;
}

static int
call_failed(int socket, short what)
{
	if (errno == EINTR)
		return 0;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return wait_until(socket, what);
	return errno == EPIPE || errno == ECONNRESET ? NACRE_ERROR_CLOSED : NACRE_ERROR_SYSTEM;
}

static void
attach_descriptors(struct msghdr *message, union control_space *space, const int *descriptors,
    size_t descriptor_count)
{
	memset(space, 0, sizeof *space);
	message->msg_control = space->bytes;
	message->msg_controllen = CMSG_SPACE(sizeof(int) * descriptor_count);
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int) * descriptor_count);
	memcpy(CMSG_DATA(header), descriptors, sizeof(int) * descriptor_count);
}

int
nacre_process_send(
    int socket, struct nacre_span data, const int *descriptors, size_t descriptor_count)
{
	union control_space space;

	if (data.length == 0 || descriptor_count > NACRE_PROCESS_DESCRIPTORS)
		return NACRE_ERROR_ARGUMENT;
	while (data.length > 0) {
		struct iovec part = {(void *)data.data, data.length};
		struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
		if (descriptors != NULL && descriptor_count > 0)
			attach_descriptors(&message, &space, descriptors, descriptor_count);
		ssize_t count = sendmsg(socket, &message, MSG_NOSIGNAL);
		if (count < 0) {
			int error = call_failed(socket, POLLOUT);
			if (error != 0)
				return error;
			continue;
		}
		descriptor_count = 0;
		data.data += count;
		data.length -= (size_t)count;
	}
	return 0;
}

static void
take_descriptors(struct msghdr *message, int *descriptors, size_t room, size_t *taken)
{
	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
	     header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
			if (*taken < room)
				descriptors[(*taken)++] = fd;
			else
				close(fd);
		}
	}
}

int
nacre_process_receive(
    int socket, void *data, size_t length, int *descriptors, size_t *descriptor_count)
{
	size_t room = descriptor_count != NULL ? *descriptor_count : 0;
	size_t taken = 0, done = 0;
	int result = 0;

	while (done < length && result == 0) {
		union control_space space;
		struct iovec part = {(uint8_t *)data + done, length - done};
		struct msghdr message = {.msg_iov = &part,
		    .msg_iovlen = 1,
		    .msg_control = space.bytes,
		    .msg_controllen = sizeof space.bytes};
		ssize_t count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
		if (count < 0) {
			result = call_failed(socket, POLLIN);
			continue;
		}
		take_descriptors(&message, descriptors, room, &taken);
		if (count == 0)
			result = NACRE_ERROR_CLOSED;
		done += (size_t)count;
	}
	if (descriptor_count != NULL)
		*descriptor_count = taken;
	return result;
}

int
nacre_process_memory_file(const char *name, struct nacre_span content, int *fd)
{
	*fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return NACRE_ERROR_SYSTEM;
	if (nacre_write_all(*fd, content) != 0 || lseek(*fd, 0, SEEK_SET) != 0 ||
	    fcntl(*fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) !=
		0) {
		close(*fd);
		*fd = -1;
		return NACRE_ERROR_SYSTEM;
	}
	return 0;
}
