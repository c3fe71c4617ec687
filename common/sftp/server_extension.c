/* The extensions of OpenSSH's PROTOCOL document, section 4, and copy-data and home-directory of
 * draft-ietf-secsh-filexfer-extensions-00. */
#include <sftp/server.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int
send_statvfs(struct nacre_sftp_server *server, uint32_t id, const struct statvfs *status)
{
	size_t mark = server_reply_begin(server, NACRE_SFTP_EXTENDED_REPLY, id);
	const uint64_t fields[] = {status->f_bsize, status->f_frsize, status->f_blocks,
	    status->f_bfree, status->f_bavail, status->f_files, status->f_ffree, status->f_favail,
	    status->f_fsid,
	    (status->f_flag & ST_RDONLY ? 1U : 0U) | (status->f_flag & ST_NOSUID ? 2U : 0U),
	    status->f_namemax};

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		nacre_put_u64(&server->output, fields[i]);
	server_reply_end(server, mark);
	return HANDLER_REPLIED;
}

int
server_statvfs(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	char path[PATH_MAX];
	struct statvfs status;
	int result;

	if (!server_get_path(request, path, &result))
		return result;
	if (statvfs(path, &status) != 0)
		return server_result(-1);
	return send_statvfs(server, id, &status);
}

int
server_fstatvfs(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	struct server_handle *handle = server_get_file(server, request);
	struct statvfs status;

	if (request->failed)
		return HANDLER_MALFORMED;
	if (handle == NULL)
		return NACRE_SFTP_FAILURE;
	if (fstatvfs(handle->fd, &status) != 0)
		return server_result(-1);
	return send_statvfs(server, id, &status);
}

int
server_fsync(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	struct server_handle *handle = server_get_file(server, request);

	(void)id;
	if (request->failed)
		return HANDLER_MALFORMED;
	if (handle == NULL)
		return NACRE_SFTP_NO_SUCH_FILE;
	return server_result(fsync(handle->fd));
}

int
server_limits(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	size_t mark = server_reply_begin(server, NACRE_SFTP_EXTENDED_REPLY, id);

	(void)request;
	nacre_put_u64(&server->output, NACRE_SFTP_MESSAGE_MAX);
	nacre_put_u64(&server->output, NACRE_SFTP_DATA_MAX);
	nacre_put_u64(&server->output, NACRE_SFTP_DATA_MAX);
	nacre_put_u64(&server->output, server->handle_limit);
	server_reply_end(server, mark);
	return HANDLER_REPLIED;
}

/* "~" and "~/x" lie where the session started, "~user" and "~user/x" in that user's home. */
static bool
expand_tilde(const char *path, char expanded[PATH_MAX])
{
	size_t length = strcspn(path + 1, "/");
	const char *rest = path + 1 + length;
	const struct passwd *account = NULL;
	char user[256];
	int written;

	if (length == 0) {
		written = snprintf(expanded, PATH_MAX, "%s", rest[0] == '/' ? rest + 1 : "");
		return written >= 0 && written < PATH_MAX;
	}
	if (length >= sizeof user)
		return false;
	memcpy(user, path + 1, length);
	user[length] = '\0';
	if ((account = getpwnam(user)) == NULL)
		return false;
	written = snprintf(expanded, PATH_MAX, "%s%s", account->pw_dir, rest);
	return written >= 0 && written < PATH_MAX;
}

int
server_expand_path(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	char path[PATH_MAX], expanded[PATH_MAX], canonical[PATH_MAX];
	int status;

	if (!server_get_path(request, path, &status))
		return status;
	if (path[0] == '~' && !expand_tilde(path, expanded)) {
		server_send_status(server, id, NACRE_SFTP_NO_SUCH_FILE, "no such user");
		return HANDLER_REPLIED;
	}
	if (!server_canonical_path(path[0] == '~' ? expanded : path, canonical))
		return server_result(-1);
	return server_send_name(server, id, canonical);
}

/* An empty name stands for the user whose session it is. */
int
server_home_directory(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	char user[PATH_MAX];
	const struct passwd *account;
	int status;

	if (!server_get_path(request, user, &status))
		return status;
	account = user[0] != '\0' ? getpwnam(user) : getpwuid(getuid());
	if (account == NULL)
		return NACRE_SFTP_FAILURE;
	return server_send_name(server, id, account->pw_dir);
}

static const char *
name_of_user(uint32_t id)
{
	const struct passwd *account = getpwuid(id);

	return account != NULL ? account->pw_name : "";
}

static const char *
name_of_group(uint32_t id)
{
	const struct group *group = getgrgid(id);

	return group != NULL ? group->gr_name : "";
}

static bool
put_names(struct nacre_sftp_server *server, struct nacre_span ids,
    const char *(*name_of)(uint32_t id), size_t reply)
{
	struct nacre_reader reader = nacre_reader_of(ids);
	size_t mark = nacre_put_string_begin(&server->output);

	while (reader.length > 0) {
		nacre_put_cstring(&server->output, name_of(nacre_get_u32(&reader)));
		if (reader.failed ||
		    nacre_buffer_length(&server->output) - reply > NACRE_SFTP_DATA_MAX)
			return false;
	}
	nacre_put_string_end(&server->output, mark);
	return true;
}

int
server_users_groups(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	struct nacre_span users = nacre_get_string(request), groups = nacre_get_string(request);
	size_t mark;

	if (request->failed)
		return HANDLER_MALFORMED;
	mark = server_reply_begin(server, NACRE_SFTP_EXTENDED_REPLY, id);
	if (!put_names(server, users, name_of_user, mark) ||
	    !put_names(server, groups, name_of_group, mark)) {
		nacre_buffer_truncate(&server->output, mark);
		return NACRE_SFTP_BAD_MESSAGE;
	}
	server_reply_end(server, mark);
	return HANDLER_REPLIED;
}

static ssize_t
copy_by_buffer(int from, off_t *from_offset, int to, off_t *to_offset, size_t length)
{
	uint8_t block[32768];
	ssize_t count =
	    pread(from, block, length < sizeof block ? length : sizeof block, *from_offset);
	ssize_t done = 0;

	while (done < count) {
		ssize_t written =
		    pwrite(to, block + done, (size_t)(count - done), *to_offset + done);

		if (written <= 0)
			return -1;
		done += written;
	}
	if (count > 0) {
		*from_offset += count;
		*to_offset += count;
	}
	return count;
}

/* Copies "length" bytes, or up to the end when that is 0. */
static int
copy_range(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t length)
{
	off_t source = (off_t)from_offset, target = (off_t)to_offset;
	uint64_t left = length > 0 ? length : UINT64_MAX;
	bool in_kernel = true;

	while (left > 0) {
		size_t step = left < 1U << 30 ? (size_t)left : 1U << 30;
		ssize_t count = in_kernel ? copy_file_range(from, &source, to, &target, step, 0)
					  : copy_by_buffer(from, &source, to, &target, step);

		if (count < 0 && in_kernel && errno != EFBIG && errno != ENOSPC &&
		    errno != EDQUOT) {
			in_kernel = false;
			continue;
		}
		if (count < 0)
			return -1;
		if (count == 0)
			break;
		left -= (uint64_t)count;
	}
	return 0;
}

static bool
same_file(const struct server_handle *a, const struct server_handle *b)
{
	struct stat first, second;

	return a == b || fstat(a->fd, &first) != 0 || fstat(b->fd, &second) != 0 ||
	       (first.st_dev == second.st_dev && first.st_ino == second.st_ino);
}

int
server_copy_data(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	struct server_handle *from = server_get_file(server, request), *to;
	uint64_t from_offset = nacre_get_u64(request), length = nacre_get_u64(request), to_offset;

	(void)id;
	to = server_get_file(server, request);
	to_offset = nacre_get_u64(request);
	if (request->failed)
		return HANDLER_MALFORMED;
	if (from == NULL || to == NULL || same_file(from, to))
		return NACRE_SFTP_FAILURE;
	server_log(
	    server, NACRE_LOG_VERBOSE, "copy-data from \"%s\" to \"%s\"", from->path, to->path);
	return server_result(copy_range(from->fd, from_offset, to->fd, to_offset, length));
}
