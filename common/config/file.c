/* Reading configuration files and finding those that Include names. */
#include "keyword.h"

#include <nacre/file.h>

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

static int
file_read_descriptor(int fd, bool owner_checked, struct nacre_buffer *text)
{
	struct stat status;

	if (fstat(fd, &status) != 0)
		return NACRE_ERROR_SYSTEM;
	if (owner_checked && ((status.st_uid != 0 && status.st_uid != getuid()) ||
				 (status.st_mode & (S_IWGRP | S_IWOTH)) != 0))
		return NACRE_ERROR_PERMISSION;
	if (S_ISDIR(status.st_mode)) {
		errno = EISDIR;
		return NACRE_ERROR_SYSTEM;
	}
	return nacre_file_read_descriptor(fd, LEXER_FILE_MAX, text);
}

int
file_read(const char *path, bool owner_checked, struct nacre_buffer *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int error, saved;

	if (fd < 0)
		return NACRE_ERROR_SYSTEM;
	error = file_read_descriptor(fd, owner_checked, text);
	saved = errno;
	close(fd);
	errno = saved;
	return error;
}

void
file_glob(struct arena *arena, const char *pattern, struct nacre_words *words)
{
	glob_t found = {0};

	if (glob(pattern, 0, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			arena_add_word(arena, words, found.gl_pathv[i]);
	globfree(&found);
}
