/*
 * Inside of the SFTP server: its state and what its files share. One handler serves one request;
 * the tables in server.c and server_extension.c say which.
 */
#ifndef SFTP_SERVER_H
#define SFTP_SERVER_H

#include <nacre/sftp_server.h>

#include <dirent.h>
#include <limits.h>

/* What a handler returns besides a status to be sent. */
enum { HANDLER_REPLIED = -1, HANDLER_MALFORMED = -2 };

#define SERVER_REQUESTS_MAX 64

struct server_handle {
	enum { HANDLE_FREE, HANDLE_FILE, HANDLE_DIRECTORY } kind;
	uint32_t generation; /* a number given again is told from its former life */
	uint32_t next_free;
	int fd;
	uint32_t flags; /* of the open request */
	DIR *directory;
	char *path;
	uint64_t bytes_read, bytes_written;
};

struct name_cache_entry {
	bool used;
	uint32_t id;
	char name[33];
};

#define NAME_CACHE_SIZE 64

struct nacre_sftp_server {
	bool initialized, read_only;
	uint64_t denied; /* a bit for each row of server_requests */
	char *user, *home, *peer;
	void (*log)(enum nacre_log_level level, const char *format, va_list arguments);
	enum nacre_log_level log_level;
	struct nacre_buffer input; /* the beginning of a message that is not complete */
	struct nacre_buffer output;
	/* Replies that may wait; further requests are left unread until these are sent. Small
	 * enough to stay in the cache on their way. */
	size_t output_bound;
	struct server_handle *handles;
	uint32_t handle_count, handle_limit, first_free;
	struct name_cache_entry users[NAME_CACHE_SIZE], groups[NAME_CACHE_SIZE];
};

struct server_request {
	uint8_t message;
	const char *name;      /* for -P, -p and -Q */
	const char *extension; /* of an EXTENDED message, with its version */
	const char *version;
	int (*handler)(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request);
	bool changes; /* refused in read-only mode */
};

extern const struct server_request server_requests[];
extern const size_t server_request_count;

void server_log(struct nacre_sftp_server *server, enum nacre_log_level level, const char *format,
    ...) __attribute__((format(printf, 3, 4)));
/* The status that OpenSSH's server gives for an errno; 0 gives OK. */
uint32_t server_status_of_errno(int error);
/* OK or the status of errno for a system call's result. */
int server_result(int result);
size_t server_reply_begin(struct nacre_sftp_server *server, uint8_t message, uint32_t id);
void server_reply_end(struct nacre_sftp_server *server, size_t mark);
void server_send_status(
    struct nacre_sftp_server *server, uint32_t id, uint32_t status, const char *text);
int server_send_attributes(
    struct nacre_sftp_server *server, uint32_t id, const struct stat *status);
/* A NAME reply with one entry and no attributes, as REALPATH and READLINK give. */
int server_send_name(struct nacre_sftp_server *server, uint32_t id, const char *name);
/* Reads a path string to "path"; false leaves *status with what is to be returned. */
bool server_get_path(struct nacre_reader *request, char path[PATH_MAX], int *status);

/* Handles (server_handle.c). */
int server_handles_init(struct nacre_sftp_server *server);
void server_handles_free(struct nacre_sftp_server *server);
/* A new handle, or NULL when the table is full; takes neither descriptor nor path over then. */
struct server_handle *server_handle_new(
    struct nacre_sftp_server *server, const char *path, uint32_t flags);
int server_handle_close(struct nacre_sftp_server *server, struct server_handle *handle);
int server_send_handle(
    struct nacre_sftp_server *server, uint32_t id, const struct server_handle *handle);
/* The handle that a request's string names; NULL when there is none (or malformed). */
struct server_handle *server_get_handle(
    struct nacre_sftp_server *server, struct nacre_reader *request);
struct server_handle *server_get_file(
    struct nacre_sftp_server *server, struct nacre_reader *request);

#define SERVER_HANDLER(name) \
	int name(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
/* server_file.c */
SERVER_HANDLER(server_open);
SERVER_HANDLER(server_close);
SERVER_HANDLER(server_read);
SERVER_HANDLER(server_write);
SERVER_HANDLER(server_fstat);
SERVER_HANDLER(server_fsetstat);
/* server_path.c */
SERVER_HANDLER(server_lstat);
SERVER_HANDLER(server_stat);
SERVER_HANDLER(server_setstat);
SERVER_HANDLER(server_lsetstat);
SERVER_HANDLER(server_remove);
SERVER_HANDLER(server_mkdir);
SERVER_HANDLER(server_rmdir);
SERVER_HANDLER(server_realpath);
SERVER_HANDLER(server_rename);
SERVER_HANDLER(server_readlink);
SERVER_HANDLER(server_symlink);
SERVER_HANDLER(server_posix_rename);
SERVER_HANDLER(server_hardlink);
SERVER_HANDLER(server_exchange);
/* server_directory.c */
SERVER_HANDLER(server_opendir);
SERVER_HANDLER(server_readdir);
/* server_extension.c */

SERVER_HANDLER(server_statvfs);
SERVER_HANDLER(server_fstatvfs);

SERVER_HANDLER(server_fsync);
SERVER_HANDLER(server_limits);
SERVER_HANDLER(server_expand_path);
SERVER_HANDLER(server_copy_data);
SERVER_HANDLER(server_home_directory);
SERVER_HANDLER(server_users_groups);
/* server_check.c */
SERVER_HANDLER(server_check_file_name);
SERVER_HANDLER(server_check_file_handle);

/* Canonical form of a path whose last component may be missing; false with errno. */
bool server_canonical_path(const char *path, char canonical[PATH_MAX]);

#endif
