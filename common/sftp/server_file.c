/* SFTP requests on open files: what is read goes straight into the reply, what is written comes
 * straight from the request. */
#include <sftp/server.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const struct {
	uint32_t flag;
	int open_flag;
} open_flags[] = {
    {NACRE_SFTP_OPEN_APPEND, O_APPEND},
    {NACRE_SFTP_OPEN_CREATE, O_CREAT},
    {NACRE_SFTP_OPEN_TRUNCATE, O_TRUNC},
    {NACRE_SFTP_OPEN_EXCLUSIVE, O_EXCL},
};

static int
open_flags_of(uint32_t flags)
{
	bool reads = (flags & NACRE_SFTP_OPEN_READ) != 0;
	bool writes = (flags & NACRE_SFTP_OPEN_WRITE) != 0;
	int result = reads && writes ? O_RDWR : writes ? O_WRONLY : O_RDONLY;

	for (size_t i = 0; i < sizeof open_flags / sizeof open_flags[0]; i++)
		if (flags & open_flags[i].flag)
			result |= open_flags[i].open_flag;
	return result | O_CLOEXEC | O_NOCTTY;
}

static void
log_open(struct nacre_sftp_server *server, const char *path, uint32_t flags, mode_t mode)
{
	server_log(server, NACRE_LOG_INFO, "open \"%s\" flags %s%s%s%s%s%s mode 0%o", path,
	    flags & NACRE_SFTP_OPEN_READ ? "READ" : "",
	    flags & NACRE_SFTP_OPEN_WRITE ? (flags & NACRE_SFTP_OPEN_READ ? ",WRITE" : "WRITE")
					  : "",
	    flags & NACRE_SFTP_OPEN_APPEND ? ",APPEND" : "",
	    flags & NACRE_SFTP_OPEN_CREATE ? ",CREATE" : "",
	    flags & NACRE_SFTP_OPEN_TRUNCATE ? ",TRUNCATE" : "",
	    flags & NACRE_SFTP_OPEN_EXCLUSIVE ? ",EXCL" : "", mode);
}

int
server_open(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	struct nacre_sftp_attributes attributes;
	struct server_handle *handle;
	char path[PATH_MAX];
	uint32_t flags;
	mode_t mode = 0666;
	int status = 0, fd;
	bool path_good = server_get_path(request, path, &status);

	flags = nacre_get_u32(request);
	nacre_sftp_get_attributes(request, &attributes);
	if (request->failed)
		return HANDLER_MALFORMED;
	if (!path_good)
		return status;
	if (attributes.flags & NACRE_SFTP_ATTR_PERMISSIONS)
		mode = attributes.permissions & 07777;
	log_open(server, path, flags, mode);
	if (server->read_only && (flags & ~(uint32_t)NACRE_SFTP_OPEN_READ) != 0) {
		server_log(server, NACRE_LOG_VERBOSE, "Refusing open request in read-only mode");
		return NACRE_SFTP_PERMISSION_DENIED;
	}
	if ((fd = open(path, open_flags_of(flags), mode)) < 0)
		return server_result(-1);
	if ((handle = server_handle_new(server, path, flags)) == NULL) {
		close(fd);
		return NACRE_SFTP_FAILURE;
	}
	handle->fd = fd;
	return server_send_handle(server, id, handle);
}

int
server_close(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	struct server_handle *handle = server_get_handle(server, request);

	(void)id;
	if (request->failed)
		return HANDLER_MALFORMED;
	if (handle == NULL)
		return NACRE_SFTP_NO_SUCH_FILE;
	return server_result(server_handle_close(server, handle));
}

/* A descriptor that cannot seek is read and written as a stream. */
static ssize_t
read_at(int fd, uint8_t *room, size_t length, uint64_t offset)
{
	ssize_t count;

	do
		count = pread(fd, room, length, (off_t)offset);
	while (count < 0 && errno == EINTR);
	if (count < 0 && errno == ESPIPE)
		count = read(fd, room, length);
	return count;
}

int
server_read(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	struct server_handle *handle = server_get_file(server, request);
	uint64_t offset = nacre_get_u64(request);
	size_t length = nacre_get_u32(request), mark, data_mark;
	uint8_t *room;
	ssize_t count;
	int error;

	if (request->failed)
		return HANDLER_MALFORMED;
	if (handle == NULL)
		return NACRE_SFTP_FAILURE;
	if (length > NACRE_SFTP_DATA_MAX)
		length = NACRE_SFTP_DATA_MAX;
	mark = server_reply_begin(server, NACRE_SFTP_DATA, id);
	data_mark = nacre_put_string_begin(&server->output);
	if ((room = nacre_buffer_room(&server->output, length)) == NULL)
		return NACRE_SFTP_FAILURE;
	count = read_at(handle->fd, room, length, offset);
	error = errno;
	if (count < 0 || (count == 0 && length > 0)) {
		nacre_buffer_truncate(&server->output, mark);
		return count == 0 ? NACRE_SFTP_EOF : (int)server_status_of_errno(error);
	}
	nacre_buffer_added(&server->output, (size_t)count);
	nacre_put_string_end(&server->output, data_mark);
	server_reply_end(server, mark);
	handle->bytes_read += (uint64_t)count;
	return HANDLER_REPLIED;
}

/* Writes everything or fails; O_APPEND descriptors ignore the offset. */
static int
write_at(int fd, struct nacre_span data, uint64_t offset)
{
	bool stream = false;

	while (data.length > 0) {
		ssize_t count = stream ? write(fd, data.data, data.length)
				       : pwrite(fd, data.data, data.length, (off_t)offset);

		if (count < 0 && errno == ESPIPE && !stream) {
			stream = true;
			continue;
		}
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return -1;
		data.data += count;
		data.length -= (size_t)count;
		offset += (uint64_t)count;
	}
	return 0;
}

int
server_write(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	struct server_handle *handle = server_get_file(server, request);
	uint64_t offset = nacre_get_u64(request);
	struct nacre_span data = nacre_get_string(request);

	(void)id;
	if (request->failed)
		return HANDLER_MALFORMED;
	if (handle == NULL)
		return NACRE_SFTP_FAILURE;
	if (write_at(handle->fd, data, offset) != 0)
		return server_result(-1);
	handle->bytes_written += data.length;
	return NACRE_SFTP_OK;
}

int
server_fstat(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	struct server_handle *handle = server_get_file(server, request);
	struct stat status;

	if (request->failed)
		return HANDLER_MALFORMED;
	if (handle == NULL)
		return NACRE_SFTP_FAILURE;
	if (fstat(handle->fd, &status) != 0)
		return server_result(-1);
	return server_send_attributes(server, id, &status);
}

/* Applies each part and remembers the last error, as a client expects of one request. */
int
server_fsetstat(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	struct server_handle *handle = server_get_handle(server, request);
	struct nacre_sftp_attributes attributes;
	int status = NACRE_SFTP_OK, fd;

	(void)id;
	nacre_sftp_get_attributes(request, &attributes);
	if (request->failed)
		return HANDLER_MALFORMED;
	if (handle == NULL)
		return NACRE_SFTP_FAILURE;
	fd = handle->kind == HANDLE_DIRECTORY ? dirfd(handle->directory) : handle->fd;
	if ((attributes.flags & NACRE_SFTP_ATTR_SIZE) && ftruncate(fd, (off_t)attributes.size) != 0)
		status = server_result(-1);
	if ((attributes.flags & NACRE_SFTP_ATTR_PERMISSIONS) &&
	    fchmod(fd, attributes.permissions & 07777) != 0)
		status = server_result(-1);
	if (attributes.flags & NACRE_SFTP_ATTR_TIMES) {
		struct timespec times[2] = {
		    {.tv_sec = attributes.atime}, {.tv_sec = attributes.mtime}};

		if (futimens(fd, times) != 0)
			status = server_result(-1);
	}
	if ((attributes.flags & NACRE_SFTP_ATTR_OWNER) &&
	    fchown(fd, attributes.uid, attributes.gid) != 0)
		status = server_result(-1);
	return status;
}
