/*
 * The standard descriptors. They are shared with other processes, which must not find them
 * non-blocking: pipes and terminals are opened once more through /proc for a description of our
 * own; sockets are asked call by call; the rest does not block.
 */
#include "ssh/ssh.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Pipes that carry much get a buffer in which writer and reader meet less often. */
#define GROW_AFTER   (1u << 20)
#define GROWN_BUFFER (1 << 20)

void
stream_open(struct stream *stream, int standard)
{
	char path[32];
	struct stat status;

	*stream = (struct stream){.fd = standard, .standard = standard};
	if (fstat(standard, &status) != 0)
		return;
	stream->socket = S_ISSOCK(status.st_mode);
	stream->pipe = S_ISFIFO(status.st_mode);
	if (!stream->pipe && !(S_ISCHR(status.st_mode) && isatty(standard)))
		return;
	snprintf(path, sizeof path, "/proc/self/fd/%d", standard);
	const int fd = open(path,
	    (standard == STDIN_FILENO ? O_RDONLY : O_WRONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0)
		stream->fd = fd;
}

void
stream_close(struct stream *stream)
{
	if (stream->fd < 0)
		return;
	if (stream->fd != stream->standard)
		close(stream->fd);
	/* Messages still go to standard error. */
	if (stream->standard != STDERR_FILENO) {
		const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		if (null >= 0) {
			dup2(null, stream->standard);
			close(null);
		}
	}
	stream->fd = -1;
}

static ssize_t
moved(struct stream *stream, ssize_t length)
{
	if (length <= 0)
		return length;
	stream->moved += (uint64_t)length;
	if (stream->pipe && !stream->grown && stream->moved > GROW_AFTER) {
		stream->grown = true;
		fcntl(stream->fd, F_SETPIPE_SZ, GROWN_BUFFER);
	}
	return length;
}

ssize_t
stream_read(struct stream *stream, void *data, size_t length)
{
	ssize_t got;

	do
		got = stream->socket ? recv(stream->fd, data, length, MSG_DONTWAIT)
				     : read(stream->fd, data, length);
	while (got < 0 && errno == EINTR);
	return moved(stream, got);
}

ssize_t
stream_write(struct stream *stream, const void *data, size_t length)
{
	ssize_t put;

	do
		put = stream->socket ? send(stream->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL)
				     : write(stream->fd, data, length);
	while (put < 0 && errno == EINTR);
	return moved(stream, put);
}
