/* The SFTP server's handles: open files and directories under numbers that are hard to confuse. */
#include <sftp/server.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define HANDLES_MAX      8192
#define DESCRIPTORS_KEPT 16 /* for what else the process opens */

int
server_handles_init(struct nacre_sftp_server *server)
{
	struct rlimit limit;
	rlim_t most = HANDLES_MAX;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		most = limit.rlim_cur > DESCRIPTORS_KEPT ? limit.rlim_cur - DESCRIPTORS_KEPT : 1;
	server->handle_limit = most < HANDLES_MAX ? (uint32_t)most : HANDLES_MAX;
	server->first_free = UINT32_MAX;
	return 0;
}

void
server_handles_free(struct nacre_sftp_server *server)
{
	for (uint32_t i = 0; i < server->handle_count; i++)
		if (server->handles[i].kind != HANDLE_FREE)
			server_handle_close(server, &server->handles[i]);
	free(server->handles);
	server->handles = NULL;
	server->handle_count = 0;
}

/* Doubles the table; the new rows become the list of free ones. */
static bool
handles_grow(struct nacre_sftp_server *server)
{
	uint32_t count = server->handle_count == 0 ? 16 : server->handle_count * 2;
	struct server_handle *handles;

	if (count > server->handle_limit)
		count = server->handle_limit;
	if (count == server->handle_count)
		return false;
	if ((handles = reallocarray(server->handles, count, sizeof *handles)) == NULL)
		return false;
	for (uint32_t i = server->handle_count; i < count; i++)
		handles[i] = (struct server_handle){
		    .kind = HANDLE_FREE,
		    .next_free = i + 1 < count ? i + 1 : UINT32_MAX,
		};
	server->first_free = server->handle_count;
	server->handles = handles;
	server->handle_count = count;
	return true;
}

struct server_handle *
server_handle_new(struct nacre_sftp_server *server, const char *path, uint32_t flags)
{
	struct server_handle *handle;
	char *copy;

	if (server->first_free == UINT32_MAX && !handles_grow(server))
		return NULL;
	if ((copy = strdup(path)) == NULL)
		return NULL;
	handle = &server->handles[server->first_free];
	server->first_free = handle->next_free;
	*handle = (struct server_handle){
	    .kind = HANDLE_FILE,
	    .generation = handle->generation + 1,
	    .fd = -1,
	    .flags = flags,
	    .path = copy,
	};
	return handle;
}

static int
close_file(struct nacre_sftp_server *server, struct server_handle *handle)
{
	server_log(server, NACRE_LOG_INFO, "close \"%s\" bytes read %llu written %llu",
	    handle->path, (unsigned long long)handle->bytes_read,
	    (unsigned long long)handle->bytes_written);
	return close(handle->fd);
}

static int
close_directory(struct nacre_sftp_server *server, struct server_handle *handle)
{
	server_log(server, NACRE_LOG_INFO, "closedir \"%s\"", handle->path);
	return closedir(handle->directory);
}

int
server_handle_close(struct nacre_sftp_server *server, struct server_handle *handle)
{
	int result = handle->kind == HANDLE_DIRECTORY ? close_directory(server, handle)
						      : close_file(server, handle);

	free(handle->path);
	handle->path = NULL;
	handle->kind = HANDLE_FREE;
	handle->next_free = server->first_free;
	server->first_free = (uint32_t)(handle - server->handles);
	return result;
}

int
server_send_handle(
    struct nacre_sftp_server *server, uint32_t id, const struct server_handle *handle)
{
	size_t mark = server_reply_begin(server, NACRE_SFTP_HANDLE, id);

	nacre_put_u32(&server->output, 8);
	nacre_put_u32(&server->output, (uint32_t)(handle - server->handles));
	nacre_put_u32(&server->output, handle->generation);
	server_reply_end(server, mark);
	return HANDLER_REPLIED;
}

struct server_handle *
server_get_handle(struct nacre_sftp_server *server, struct nacre_reader *request)
{
	struct nacre_reader reader = nacre_reader_of(nacre_get_string(request));
	uint32_t number = nacre_get_u32(&reader);
	uint32_t generation = nacre_get_u32(&reader);
	struct server_handle *handle;

	if (request->failed || !nacre_reader_done(&reader) || number >= server->handle_count)
		return NULL;
	handle = &server->handles[number];
	return handle->kind != HANDLE_FREE && handle->generation == generation ? handle : NULL;
}

struct server_handle *
server_get_file(struct nacre_sftp_server *server, struct nacre_reader *request)
{
	struct server_handle *handle = server_get_handle(server, request);

	return handle != NULL && handle->kind == HANDLE_FILE ? handle : NULL;
}
