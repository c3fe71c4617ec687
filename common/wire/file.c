/* Buffers from files and spans to descriptors; what is in them is their readers' business. */
#include <nacre/file.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int
nacre_file_read_descriptor(int fd, size_t limit, struct nacre_buffer *content)
{
	struct stat status;
	size_t room = 16384, before = nacre_buffer_length(content);
	ssize_t got;

	if (fstat(fd, &status) != 0)
		return NACRE_ERROR_SYSTEM;
	/* One byte more than the file shows its end in one call. */
	if (S_ISREG(status.st_mode) && status.st_size > 0 && (uint64_t)status.st_size < limit)
		room = (size_t)status.st_size + 1;
	for (;;) {
		uint8_t *place = nacre_buffer_room(content, room);

		if (place == NULL)
			return NACRE_ERROR_MEMORY;
		got = read(fd, place, room);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? NACRE_ERROR_SYSTEM : 0;
		nacre_buffer_added(content, (size_t)got);
		if (nacre_buffer_length(content) - before > limit)
			return NACRE_ERROR_MEMORY;
		room = (size_t)got < room ? room - (size_t)got : 65536;
	}
}

int
nacre_file_read(const char *path, size_t limit, struct nacre_buffer *content)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int error, saved;

	if (fd < 0)
		return NACRE_ERROR_SYSTEM;
	error = nacre_file_read_descriptor(fd, limit, content);
	saved = errno;
	close(fd);
	errno = saved;
	return error;
}

int
nacre_write_all(int fd, struct nacre_span bytes)
{
	while (bytes.length > 0) {
		ssize_t count = write(fd, bytes.data, bytes.length);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0) {
			errno = count == 0 ? EIO : errno;
			return NACRE_ERROR_SYSTEM;
		}
		bytes.data += count;
		bytes.length -= (size_t)count;
	}
	return 0;
}
