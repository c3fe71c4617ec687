/* StrictModes: files and directories that only their owner and root may change. */
#include <nacre/authorized_keys.h>

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRUSTED_FILE_MAX ((size_t)8 * 1024 * 1024)

static int
refuse(struct nacre_buffer *message, const char *what, const char *path)
{
	if (message != NULL)
		nacre_put_format(message, "bad ownership or modes for %s %s", what, path);
	return NACRE_ERROR_PERMISSION;
}

/* The group that many systems make with an account, of the same name and with nobody else in it. */
static bool
is_private_group(gid_t gid, uid_t owner)
{
	const struct passwd *user = getpwuid(owner);
	const struct group *group = user != NULL && user->pw_gid == gid ? getgrgid(gid) : NULL;

	if (group == NULL || strcmp(group->gr_name, user->pw_name) != 0)
		return false;
	for (char *const *member = group->gr_mem; *member != NULL; member++)
		if (strcmp(*member, user->pw_name) != 0)
			return false;
	return true;
}

static bool
owner_alone(const struct stat *status, uid_t owner)
{
	return (status->st_uid == 0 || status->st_uid == owner) &&
	       (status->st_mode & S_IWOTH) == 0 &&
	       ((status->st_mode & S_IWGRP) == 0 || is_private_group(status->st_gid, owner));
}

/* Each directory above "path" up to "home" or, when the path does not lead there, up to "/". */
static int
check_parents(char *path, const char *home, uid_t owner, struct nacre_buffer *message)
{
	struct stat status;

	for (;;) {
		path = dirname(path);
		if (stat(path, &status) != 0 || !owner_alone(&status, owner))
			return refuse(message, "directory", path);
		if ((home != NULL && strcmp(path, home) == 0) || strcmp(path, "/") == 0 ||
		    strcmp(path, ".") == 0)
			return 0;
	}
}

int
nacre_secure_path(
    int fd, const char *path, const char *home, uid_t owner, struct nacre_buffer *message)
{
	char *real = realpath(path, NULL);
	char *real_home = home != NULL ? realpath(home, NULL) : NULL;
	struct stat status;
	int error = 0;

	if (real == NULL) {
		if (message != NULL)
			nacre_put_format(message, "realpath %s failed: %s", path, strerror(errno));
		error = NACRE_ERROR_PERMISSION;
	} else if (fstat(fd, &status) != 0 || !owner_alone(&status, owner)) {
		error = refuse(message, "file", real);
	} else {
		error = check_parents(real, real_home, owner, message);
	}
	free(real);
	free(real_home);
	return error;
}

/* The file as it was opened: not a FIFO or device, which could stall us or never end. */
static int
open_trusted(const char *path, struct nacre_buffer *message, int *fd)
{
	struct stat status;

	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (*fd < 0)
		return NACRE_ERROR_SYSTEM;
	if (fstat(*fd, &status) == 0 && S_ISREG(status.st_mode))
		return 0;
	if (message != NULL)
		nacre_put_format(message, "%s is not a regular file", path);
	return NACRE_ERROR_PERMISSION;
}

int
nacre_read_trusted_file(const char *path, const char *home, uid_t owner, bool strict, size_t limit,
    struct nacre_buffer *text, struct nacre_buffer *message)
{
	int fd, saved, error = open_trusted(path, message, &fd);

	if (error == 0 && strict)
		error = nacre_secure_path(fd, path, home, owner, message);
	if (error == 0) {
		error = nacre_file_read_descriptor(fd, limit > 0 ? limit : TRUSTED_FILE_MAX, text);
		if (error == NACRE_ERROR_MEMORY && message != NULL)
			nacre_put_format(message, "%s is too large", path);
	}
	saved = errno;
	if (fd >= 0)
		close(fd);
	errno = saved;
	return error;
}
