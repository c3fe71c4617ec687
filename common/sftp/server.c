/*
 * The SFTP server's frame: cuts the input into messages, finds the handler for each and sends what
 * it returns. The requests themselves are in server_file.c, _path.c, _directory.c, _extension.c.
 */
#include <sftp/server.h>

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OUTPUT_BOUND ((size_t)256 * 1024)

const struct server_request server_requests[] = {
    {NACRE_SFTP_OPEN, "open", NULL, NULL, server_open, false},
    {NACRE_SFTP_CLOSE, "close", NULL, NULL, server_close, false},
    {NACRE_SFTP_READ, "read", NULL, NULL, server_read, false},
    {NACRE_SFTP_WRITE, "write", NULL, NULL, server_write, true},
    {NACRE_SFTP_LSTAT, "lstat", NULL, NULL, server_lstat, false},
    {NACRE_SFTP_FSTAT, "fstat", NULL, NULL, server_fstat, false},
    {NACRE_SFTP_SETSTAT, "setstat", NULL, NULL, server_setstat, true},
    {NACRE_SFTP_FSETSTAT, "fsetstat", NULL, NULL, server_fsetstat, true},
    {NACRE_SFTP_OPENDIR, "opendir", NULL, NULL, server_opendir, false},
    {NACRE_SFTP_READDIR, "readdir", NULL, NULL, server_readdir, false},
    {NACRE_SFTP_REMOVE, "remove", NULL, NULL, server_remove, true},
    {NACRE_SFTP_MKDIR, "mkdir", NULL, NULL, server_mkdir, true},
    {NACRE_SFTP_RMDIR, "rmdir", NULL, NULL, server_rmdir, true},
    {NACRE_SFTP_REALPATH, "realpath", NULL, NULL, server_realpath, false},
    {NACRE_SFTP_STAT, "stat", NULL, NULL, server_stat, false},
    {NACRE_SFTP_RENAME, "rename", NULL, NULL, server_rename, true},
    {NACRE_SFTP_READLINK, "readlink", NULL, NULL, server_readlink, false},
    {NACRE_SFTP_SYMLINK, "symlink", NULL, NULL, server_symlink, true},
    {NACRE_SFTP_EXTENDED, "posix-rename", "posix-rename@openssh.com", "1", server_posix_rename,
	true},
    {NACRE_SFTP_EXTENDED, "statvfs", "statvfs@openssh.com", "2", server_statvfs, false},
    {NACRE_SFTP_EXTENDED, "fstatvfs", "fstatvfs@openssh.com", "2", server_fstatvfs, false},
    {NACRE_SFTP_EXTENDED, "hardlink", "hardlink@openssh.com", "1", server_hardlink, true},
    {NACRE_SFTP_EXTENDED, "fsync", "fsync@openssh.com", "1", server_fsync, true},
    {NACRE_SFTP_EXTENDED, "lsetstat", "lsetstat@openssh.com", "1", server_lsetstat, true},
    {NACRE_SFTP_EXTENDED, "limits", "limits@openssh.com", "1", server_limits, false},
    {NACRE_SFTP_EXTENDED, "expand-path", "expand-path@openssh.com", "1", server_expand_path, false},
    {NACRE_SFTP_EXTENDED, "copy-data", "copy-data", "1", server_copy_data, true},
    {NACRE_SFTP_EXTENDED, "home-directory", "home-directory", "1", server_home_directory, false},
    {NACRE_SFTP_EXTENDED, "users-groups-by-id", "users-groups-by-id@openssh.com", "1",
	server_users_groups, false},
    {NACRE_SFTP_EXTENDED, "check-file-name", "check-file-name", "1", server_check_file_name, false},
    {NACRE_SFTP_EXTENDED, "check-file-handle", "check-file-handle", "1", server_check_file_handle,
	false},
    {NACRE_SFTP_EXTENDED, "exchange", "exchange@nacre", "1", server_exchange, true},
};
const size_t server_request_count = sizeof server_requests / sizeof server_requests[0];
_Static_assert(sizeof server_requests / sizeof server_requests[0] <= SERVER_REQUESTS_MAX,
    "a bit for each request");

void
server_log(struct nacre_sftp_server *server, enum nacre_log_level level, const char *format, ...)
{
	va_list arguments;

	if (server->log == NULL || level > server->log_level)
		return;
	va_start(arguments, format);
	server->log(level, format, arguments);
	va_end(arguments);
}

static const struct {
	int error;
	enum nacre_sftp_status status;
} errno_statuses[] = {
    {0, NACRE_SFTP_OK},
    {ENOENT, NACRE_SFTP_NO_SUCH_FILE},
    {ENOTDIR, NACRE_SFTP_NO_SUCH_FILE},
    {EBADF, NACRE_SFTP_NO_SUCH_FILE},
    {ELOOP, NACRE_SFTP_NO_SUCH_FILE},
    {EPERM, NACRE_SFTP_PERMISSION_DENIED},
    {EACCES, NACRE_SFTP_PERMISSION_DENIED},
    {EFAULT, NACRE_SFTP_PERMISSION_DENIED},
    {ENAMETOOLONG, NACRE_SFTP_BAD_MESSAGE},
    {EINVAL, NACRE_SFTP_BAD_MESSAGE},
    {ENOSYS, NACRE_SFTP_OP_UNSUPPORTED},
};

uint32_t
server_status_of_errno(int error)
{
	for (size_t i = 0; i < sizeof errno_statuses / sizeof errno_statuses[0]; i++)
		if (errno_statuses[i].error == error)
			return errno_statuses[i].status;
	return NACRE_SFTP_FAILURE;
}

int
server_result(int result)
{
	return result == 0 ? NACRE_SFTP_OK : (int)server_status_of_errno(errno);
}

size_t
server_reply_begin(struct nacre_sftp_server *server, uint8_t message, uint32_t id)
{
	size_t mark = nacre_put_string_begin(&server->output);

	nacre_put_byte(&server->output, message);
	nacre_put_u32(&server->output, id);
	return mark;
}

void
server_reply_end(struct nacre_sftp_server *server, size_t mark)
{
	nacre_put_string_end(&server->output, mark);
}

void
server_send_status(struct nacre_sftp_server *server, uint32_t id, uint32_t status, const char *text)
{
	size_t mark = server_reply_begin(server, NACRE_SFTP_STATUS, id);

	if (status > NACRE_SFTP_EOF)
		server_log(
		    server, NACRE_LOG_VERBOSE, "sent status %s", nacre_sftp_status_string(status));
	nacre_put_u32(&server->output, status);
	nacre_put_cstring(&server->output, text != NULL ? text : nacre_sftp_status_string(status));
	nacre_put_cstring(&server->output, "");
	server_reply_end(server, mark);
}

int
server_send_attributes(struct nacre_sftp_server *server, uint32_t id, const struct stat *status)
{
	size_t mark = server_reply_begin(server, NACRE_SFTP_ATTRS, id);
	struct nacre_sftp_attributes attributes;

	nacre_sftp_attributes_of_stat(status, &attributes);
	nacre_sftp_put_attributes(&server->output, &attributes);
	server_reply_end(server, mark);
	return HANDLER_REPLIED;
}

int
server_send_name(struct nacre_sftp_server *server, uint32_t id, const char *name)
{
	size_t mark = server_reply_begin(server, NACRE_SFTP_NAME, id);

	nacre_put_u32(&server->output, 1);
	nacre_put_cstring(&server->output, name);
	nacre_put_cstring(&server->output, name);
	nacre_put_u32(&server->output, 0);
	server_reply_end(server, mark);
	return HANDLER_REPLIED;
}

bool
server_get_path(struct nacre_reader *request, char path[PATH_MAX], int *status)
{
	struct nacre_span bytes = nacre_get_string(request);

	path[0] = '\0';
	if (request->failed) {
		*status = HANDLER_MALFORMED;
		return false;
	}
	if (bytes.length >= PATH_MAX ||
	    (bytes.length > 0 && memchr(bytes.data, '\0', bytes.length) != NULL)) {
		*status = NACRE_SFTP_BAD_MESSAGE;
		return false;
	}
	if (bytes.length > 0)
		memcpy(path, bytes.data, bytes.length);
	path[bytes.length] = '\0';
	return true;
}

/* The version reply; extensions that are denied are not offered. */
static void
send_version(struct nacre_sftp_server *server)
{
	size_t mark = nacre_put_string_begin(&server->output);

	nacre_put_byte(&server->output, NACRE_SFTP_VERSION_REPLY);
	nacre_put_u32(&server->output, NACRE_SFTP_VERSION);
	for (size_t i = 0; i < server_request_count; i++) {
		if (server_requests[i].extension == NULL ||
		    (server->denied & UINT64_C(1) << i) != 0)
			continue;
		nacre_put_cstring(&server->output, server_requests[i].extension);
		nacre_put_cstring(&server->output, server_requests[i].version);
	}
	server_reply_end(server, mark);
}

static int
initialize(struct nacre_sftp_server *server, struct nacre_reader *request)
{
	uint32_t version = nacre_get_u32(request);

	if (request->failed || server->initialized)
		return NACRE_ERROR_PROTOCOL;
	server->initialized = true;
	server_log(server, NACRE_LOG_VERBOSE, "received client version %u", version);
	send_version(server);
	return 0;
}

static const struct server_request *
request_find(uint8_t message, struct nacre_reader *request)
{
	struct nacre_span extension = {NULL, 0};

	if (message == NACRE_SFTP_EXTENDED)
		extension = nacre_get_string(request);
	for (size_t i = 0; i < server_request_count; i++) {
		if (server_requests[i].message != message)
			continue;
		if (message != NACRE_SFTP_EXTENDED ||
		    nacre_span_equals(extension, server_requests[i].extension))
			return &server_requests[i];
	}
	return NULL;
}

static bool
request_refused(struct nacre_sftp_server *server, const struct server_request *row)
{
	if ((server->denied & UINT64_C(1) << (row - server_requests)) != 0) {
		server_log(server, NACRE_LOG_VERBOSE, "Refusing denied %s request", row->name);
		return true;
	}
	if (server->read_only && row->changes) {
		server_log(
		    server, NACRE_LOG_VERBOSE, "Refusing %s request in read-only mode", row->name);
		return true;
	}
	return false;
}

static int
serve_message(struct nacre_sftp_server *server, struct nacre_span message)
{
	struct nacre_reader request = nacre_reader_of(message);
	uint8_t type = nacre_get_byte(&request);
	const struct server_request *row;
	uint32_t id;
	int status;

	if (type == NACRE_SFTP_INIT)
		return initialize(server, &request);
	id = nacre_get_u32(&request);
	if (request.failed || !server->initialized)
		return NACRE_ERROR_PROTOCOL;
	row = request_find(type, &request);
	if (request.failed)
		return NACRE_ERROR_PROTOCOL;
	if (row == NULL)
		status = NACRE_SFTP_OP_UNSUPPORTED;
	else if (request_refused(server, row))
		status = NACRE_SFTP_PERMISSION_DENIED;
	else
		status = row->handler(server, id, &request);
	if (status == HANDLER_MALFORMED) {
		server_log(server, NACRE_LOG_ERROR, "malformed %s request", row->name);
		return NACRE_ERROR_PROTOCOL;
	}
	if (status >= 0)
		server_send_status(server, id, (uint32_t)status, NULL);
	return server->output.failed ? NACRE_ERROR_MEMORY : 0;
}

/* Length of the message at the start of "bytes" with its length field: 0 while that is not there,
 * SIZE_MAX when it is impossible. */
static size_t
message_length(struct nacre_span bytes)
{
	struct nacre_reader reader = nacre_reader_of(bytes);
	uint32_t length = nacre_get_u32(&reader);

	if (reader.failed)
		return 0;
	return length == 0 || length > NACRE_SFTP_MESSAGE_MAX ? SIZE_MAX : (size_t)length + 4;
}

/* Adds to the incomplete message what it lacks; returns how much that was. */
static ssize_t
complete_input(struct nacre_sftp_server *server, struct nacre_span bytes)
{
	size_t held = nacre_buffer_length(&server->input);
	size_t wanted = message_length(nacre_buffer_span(&server->input));
	size_t take = wanted == 0 ? 4 - held : wanted - held;

	if (take > bytes.length)
		take = bytes.length;
	nacre_put_bytes(&server->input, bytes.data, take);
	if (server->input.failed)
		return NACRE_ERROR_MEMORY;
	return message_length(nacre_buffer_span(&server->input)) == SIZE_MAX ? NACRE_ERROR_PROTOCOL
									     : (ssize_t)take;
}

/* Serves the message that "server->input" holds, when it is complete. */
static int
serve_held(struct nacre_sftp_server *server)
{
	struct nacre_span held = nacre_buffer_span(&server->input);
	int result;

	if (message_length(held) == 0 || message_length(held) != held.length)
		return 0;
	result = serve_message(server, (struct nacre_span){held.data + 4, held.length - 4});
	nacre_buffer_consume(&server->input, held.length);
	return result;
}

/* One step of the input: returns how many bytes it took. */
static ssize_t
input_step(struct nacre_sftp_server *server, struct nacre_span bytes)
{
	size_t length = message_length(bytes);
	int result;

	if (nacre_buffer_length(&server->input) > 0 || length == 0 || length > bytes.length) {
		ssize_t taken = length == SIZE_MAX && nacre_buffer_length(&server->input) == 0
				    ? NACRE_ERROR_PROTOCOL
				    : complete_input(server, bytes);

		result = taken < 0 ? (int)taken : serve_held(server);
		return result < 0 ? result : taken;
	}
	result = serve_message(server, (struct nacre_span){bytes.data + 4, length - 4});
	return result < 0 ? result : (ssize_t)length;
}

ssize_t
nacre_sftp_server_input(struct nacre_sftp_server *server, struct nacre_span bytes)
{
	size_t used = 0;

	while (used < bytes.length && nacre_buffer_length(&server->output) < server->output_bound) {
		ssize_t taken =
		    input_step(server, (struct nacre_span){bytes.data + used, bytes.length - used});

		if (taken < 0)
			return taken;
		used += (size_t)taken;
	}
	return (ssize_t)used;
}

struct nacre_span
nacre_sftp_server_output(const struct nacre_sftp_server *server)
{
	return nacre_buffer_span(&server->output);
}

void
nacre_sftp_server_sent(struct nacre_sftp_server *server, size_t length)
{
	nacre_buffer_consume(&server->output, length);
}

/* The bits of the requests that a list names; false when one is unknown. */
static bool
requests_of_list(const char *text, uint64_t *requests)
{
	struct nacre_span list = nacre_span_of(text), name;

	*requests = 0;
	while ((name = nacre_list_next(&list)).length > 0) {
		size_t i = 0;

		while (
		    i < server_request_count && !nacre_span_equals(name, server_requests[i].name))
			i++;
		if (i == server_request_count)
			return false;
		*requests |= UINT64_C(1) << i;
	}
	return true;
}

static int
set_policy(struct nacre_sftp_server *server, const struct nacre_sftp_server_options *options)
{
	uint64_t listed;

	server->read_only = options->read_only;
	if (options->denied != NULL) {
		if (!requests_of_list(options->denied, &listed))
			return NACRE_ERROR_ARGUMENT;
		server->denied |= listed;
	}
	if (options->allowed != NULL) {
		if (!requests_of_list(options->allowed, &listed))
			return NACRE_ERROR_ARGUMENT;
		server->denied |= ~listed;
	}
	return 0;
}

static int
set_names(struct nacre_sftp_server *server, const struct nacre_sftp_server_options *options)
{
	const struct passwd *account = NULL;

	if (options->user == NULL || options->home == NULL)
		account = getpwuid(getuid());
	server->user = strdup(options->user != NULL ? options->user
			      : account != NULL     ? account->pw_name
						    : "UNKNOWN");
	server->home = strdup(options->home != NULL ? options->home
			      : account != NULL     ? account->pw_dir
						    : "/");
	server->peer = strdup(options->peer != NULL ? options->peer : "UNKNOWN");
	if (server->user == NULL || server->home == NULL || server->peer == NULL)
		return NACRE_ERROR_MEMORY;
	return 0;
}

int
nacre_sftp_server_new(
    const struct nacre_sftp_server_options *options, struct nacre_sftp_server **server_out)
{
	struct nacre_sftp_server *server = calloc(1, sizeof *server);
	int result;

	*server_out = NULL;
	if (server == NULL)
		return NACRE_ERROR_MEMORY;
	server->log = options->log;
	server->log_level = options->log_level;
	server->output_bound = OUTPUT_BOUND;
	server->input.limit = NACRE_SFTP_MESSAGE_MAX + 4;
	if ((result = set_policy(server, options)) != 0 ||
	    (result = set_names(server, options)) != 0 ||
	    (result = server_handles_init(server)) != 0) {
		nacre_sftp_server_free(server);
		return result;
	}
	if (options->umask >= 0)
		umask((mode_t)options->umask & 0777);
	if (options->start_directory != NULL && chdir(options->start_directory) != 0)
		server_log(server, NACRE_LOG_ERROR, "chdir to \"%s\" failed: %s",
		    options->start_directory, strerror(errno));
	server_log(server, NACRE_LOG_INFO, "session opened for local user %s from [%s]",
	    server->user, server->peer);
	*server_out = server;
	return 0;
}

void
nacre_sftp_server_free(struct nacre_sftp_server *server)
{
	if (server == NULL)
		return;
	server_handles_free(server);
	if (server->user != NULL && server->peer != NULL)
		server_log(server, NACRE_LOG_INFO, "session closed for local user %s from [%s]",
		    server->user, server->peer);
	nacre_buffer_free(&server->input);
	nacre_buffer_free(&server->output);
	free(server->user);
	free(server->home);
	free(server->peer);
	free(server);
}
