/* Files that are rewritten as a whole. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* FILE.old becomes a second name of the file that is about to be replaced. */
static int
keep_old_file(const char *path)
{
	char *old;
	int error = 0;

	if (asprintf(&old, "%s.old", path) < 0)
		return NACRE_ERROR_MEMORY;
	if ((unlink(old) != 0 && errno != ENOENT) || link(path, old) != 0)
		error = NACRE_ERROR_SYSTEM;
	free(old);
	return error;
}

static int
fill_temporary(int fd, const char *path, struct nacre_span text)
{
	struct stat status;
	mode_t mode = stat(path, &status) == 0 ? status.st_mode & 0777 : 0600;

	if (fchmod(fd, mode) != 0)
		return NACRE_ERROR_SYSTEM;
	if (nacre_write_all(fd, text) != 0 || fsync(fd) != 0)
		return NACRE_ERROR_SYSTEM;
	return 0;
}

int
trust_rewrite_file(const char *path, struct nacre_span text, bool keep_old)
{
	char *real = realpath(path, NULL), *temporary = NULL;
	int fd = -1, error, saved;

	/* Behind a symbolic link the file itself is replaced. */
	if (real != NULL)
		path = real;
	if (asprintf(&temporary, "%s.XXXXXXXXXX", path) < 0) {
		free(real);
		return NACRE_ERROR_MEMORY;
	}
	fd = mkostemp(temporary, O_CLOEXEC);
	error = fd < 0 ? NACRE_ERROR_SYSTEM : fill_temporary(fd, path, text);
	if (error == 0 && keep_old)
		error = keep_old_file(path);
	if (error == 0 && rename(temporary, path) != 0)
		error = NACRE_ERROR_SYSTEM;
	saved = errno;
	if (fd >= 0)
		close(fd);
	if (fd >= 0 && error != 0)
		unlink(temporary);
	free(temporary);
	free(real);
	errno = saved;
	return error;
}
