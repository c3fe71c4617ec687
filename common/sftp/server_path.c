/* SFTP requests on path names. */
#include <sftp/server.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
stat_reply(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request, int flags)
{
	char path[PATH_MAX];
	struct stat status;
	int result;

	if (!server_get_path(request, path, &result))
		return result;
	if (fstatat(AT_FDCWD, path, &status, flags) != 0)
		return server_result(-1);
	return server_send_attributes(server, id, &status);
}

int
server_lstat(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	return stat_reply(server, id, request, AT_SYMLINK_NOFOLLOW);
}

int
server_stat(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	return stat_reply(server, id, request, 0);
}

static int
set_size(struct nacre_sftp_server *server, const char *path, uint64_t size)
{
	server_log(server, NACRE_LOG_INFO, "set \"%s\" size %llu", path, (unsigned long long)size);
	return server_result(truncate(path, (off_t)size));
}

static int
set_mode(struct nacre_sftp_server *server, const char *path, uint32_t permissions, int flags)
{
	server_log(server, NACRE_LOG_INFO, "set \"%s\" mode %04o", path, permissions & 07777);
	return server_result(fchmodat(AT_FDCWD, path, permissions & 07777, flags));
}

static int
set_times(const char *path, const struct nacre_sftp_attributes *attributes, int flags)
{
	const struct timespec times[2] = {
	    {.tv_sec = attributes->atime}, {.tv_sec = attributes->mtime}};

	return server_result(utimensat(AT_FDCWD, path, times, flags));
}

static int
set_owner(struct nacre_sftp_server *server, const char *path,
    const struct nacre_sftp_attributes *attributes, int flags)
{
	server_log(server, NACRE_LOG_INFO, "set \"%s\" owner %u group %u", path, attributes->uid,
	    attributes->gid);
	return server_result(fchownat(AT_FDCWD, path, attributes->uid, attributes->gid, flags));
}

/* Applies each part and remembers the last error, as a client expects of one request. */
static int
attributes_set(struct nacre_sftp_server *server, struct nacre_reader *request, int flags)
{
	struct nacre_sftp_attributes attributes;
	char path[PATH_MAX];
	int results[4] = {NACRE_SFTP_OK}, status = NACRE_SFTP_OK, bad = 0;
	bool path_good = server_get_path(request, path, &bad);

	nacre_sftp_get_attributes(request, &attributes);
	if (request->failed)
		return HANDLER_MALFORMED;
	if (!path_good)
		return bad;
	/* Nothing can be cut off a link. */
	if (attributes.flags & NACRE_SFTP_ATTR_SIZE)
		results[0] = flags == AT_SYMLINK_NOFOLLOW ? NACRE_SFTP_BAD_MESSAGE
							  : set_size(server, path, attributes.size);
	if (attributes.flags & NACRE_SFTP_ATTR_PERMISSIONS)
		results[1] = set_mode(server, path, attributes.permissions, flags);
	if (attributes.flags & NACRE_SFTP_ATTR_TIMES)
		results[2] = set_times(path, &attributes, flags);
	if (attributes.flags & NACRE_SFTP_ATTR_OWNER)
		results[3] = set_owner(server, path, &attributes, flags);
	for (size_t i = 0; i < sizeof results / sizeof results[0]; i++)
		status = results[i] != NACRE_SFTP_OK ? results[i] : status;
	return status;
}

int
server_setstat(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	(void)id;
	return attributes_set(server, request, 0);
}

int
server_lsetstat(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	(void)id;
	return attributes_set(server, request, AT_SYMLINK_NOFOLLOW);
}

int
server_remove(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	char path[PATH_MAX];
	int status;

	(void)id;
	if (!server_get_path(request, path, &status))
		return status;
	server_log(server, NACRE_LOG_INFO, "remove name \"%s\"", path);
	return server_result(unlink(path));
}

int
server_mkdir(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	struct nacre_sftp_attributes attributes;
	char path[PATH_MAX];
	mode_t mode = 0777;
	int bad = 0;
	bool path_good = server_get_path(request, path, &bad);

	(void)id;
	nacre_sftp_get_attributes(request, &attributes);
	if (request->failed)
		return HANDLER_MALFORMED;
	if (!path_good)
		return bad;
	if (attributes.flags & NACRE_SFTP_ATTR_PERMISSIONS)
		mode = attributes.permissions & 07777;
	server_log(server, NACRE_LOG_INFO, "mkdir name \"%s\" mode 0%o", path, mode);
	return server_result(mkdir(path, mode));
}

int
server_rmdir(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	char path[PATH_MAX];
	int status;

	(void)id;
	if (!server_get_path(request, path, &status))
		return status;
	server_log(server, NACRE_LOG_INFO, "rmdir name \"%s\"", path);
	return server_result(rmdir(path));
}

/* The canonical directory of "path" and its last component behind it. */
static bool
canonical_parent(const char *path, char canonical[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	const char *base = slash != NULL ? slash + 1 : path;
	char parent[PATH_MAX];
	size_t length;

	if (base[0] == '\0' || strcmp(base, ".") == 0 || strcmp(base, "..") == 0) {
		errno = ENOENT;
		return false;
	}
	snprintf(parent, sizeof parent, "%.*s", slash != NULL ? (int)(slash - path) : 1,
	    slash != NULL ? path : ".");
	if (realpath(parent[0] != '\0' ? parent : "/", canonical) == NULL)
		return false;
	length = strlen(canonical);
	if (length + strlen(base) + 2 > PATH_MAX) {
		errno = ENAMETOOLONG;
		return false;
	}
	snprintf(canonical + length, PATH_MAX - length, "%s%s", length > 1 ? "/" : "", base);
	return true;
}

/* Follows a link whose target is missing, so that its target's name is the answer. */
static bool
canonical_missing(const char *path, char canonical[PATH_MAX])
{
	char target[PATH_MAX], joined[PATH_MAX];
	ssize_t length = readlink(path, target, sizeof target - 1);
	const char *slash = strrchr(path, '/');
	int joined_length;

	if (length < 0)
		return canonical_parent(path, canonical);
	target[length] = '\0';
	if (target[0] == '/')
		return canonical_parent(target, canonical);
	joined_length = snprintf(joined, sizeof joined, "%.*s%s",
	    slash != NULL ? (int)(slash - path) + 1 : 0, path, target);
	if (joined_length < 0 || (size_t)joined_length >= sizeof joined) {
		errno = ENAMETOOLONG;
		return false;
	}
	return canonical_parent(joined, canonical);
}

bool
server_canonical_path(const char *path, char canonical[PATH_MAX])
{
	char trimmed[PATH_MAX];
	size_t length = strlen(path);

	/* A file's name with a slash behind it is taken for the file, as clients are used to. */
	snprintf(trimmed, sizeof trimmed, "%s", length > 0 ? path : ".");
	if (realpath(trimmed, canonical) != NULL)
		return true;
	if (errno == ENOTDIR && length > 1 && trimmed[length - 1] == '/') {
		trimmed[length - 1] = '\0';
		return realpath(trimmed, canonical) != NULL;
	}
	return errno == ENOENT && canonical_missing(trimmed, canonical);
}

int
server_realpath(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	char path[PATH_MAX], canonical[PATH_MAX];
	int status;

	if (!server_get_path(request, path, &status))
		return status;
	if (!server_canonical_path(path, canonical))
		return server_result(-1);
	return server_send_name(server, id, canonical);
}

/* Without replacing: in one step where the file system can, else by a link, which fails when the
 * name exists. */
static int
rename_exclusive(const char *from, const char *to)
{
	struct stat status;

	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (lstat(from, &status) == 0 && S_ISREG(status.st_mode))
		return link(from, to) == 0 ? unlink(from) : -1;
	if (lstat(to, &status) == 0) {
		errno = EEXIST;
		return -1;
	}
	return rename(from, to);
}

static bool
get_two_paths(
    struct nacre_reader *request, char first[PATH_MAX], char second[PATH_MAX], int *status)
{
	int second_status = 0;
	bool first_good = server_get_path(request, first, status);
	bool second_good = server_get_path(request, second, &second_status);

	if (!second_good && (first_good || second_status == HANDLER_MALFORMED))
		*status = second_status;
	return first_good && second_good;
}

/* Requests that do one thing with two paths. */
static int
act_on_two(struct nacre_sftp_server *server, struct nacre_reader *request, const char *name,
    int (*act)(const char *first, const char *second))
{
	char first[PATH_MAX], second[PATH_MAX];
	int status;

	if (!get_two_paths(request, first, second, &status))
		return status;
	server_log(server, NACRE_LOG_INFO, "%s old \"%s\" new \"%s\"", name, first, second);
	return server_result(act(first, second));
}

int
server_rename(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	(void)id;
	return act_on_two(server, request, "rename", rename_exclusive);
}

int
server_posix_rename(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	(void)id;
	return act_on_two(server, request, "posix-rename", rename);
}

static int
exchange(const char *first, const char *second)
{
	return renameat2(AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE);
}

/* exchange@nacre: the two names change places in one step, so that neither is ever missing. */
int
server_exchange(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	(void)id;
	return act_on_two(server, request, "exchange", exchange);
}

int
server_hardlink(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	(void)id;
	return act_on_two(server, request, "hardlink", link);
}

/* OpenSSH sends the link's content first, against the draft, and everybody follows it. */
int
server_symlink(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	(void)id;
	return act_on_two(server, request, "symlink", symlink);
}

int
server_readlink(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	char path[PATH_MAX], content[PATH_MAX];
	ssize_t length;
	int status;

	if (!server_get_path(request, path, &status))
		return status;
	if ((length = readlink(path, content, sizeof content - 1)) < 0)
		return server_result(-1);
	content[length] = '\0';
	return server_send_name(server, id, content);
}
