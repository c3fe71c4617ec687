/* Reading configuration files and finding those that Include names. */
#include "keyword.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

static int
file_read_descriptor(int fd, bool owner_checked, struct nacre_buffer *text)
{
	struct stat status;
	size_t room;
	ssize_t got;

	if (fstat(fd, &status) != 0)
		return NACRE_ERROR_SYSTEM;
	if (owner_checked && ((status.st_uid != 0 && status.st_uid != getuid()) ||
				 (status.st_mode & (S_IWGRP | S_IWOTH)) != 0))
		return NACRE_ERROR_PERMISSION;
	if (S_ISDIR(status.st_mode)) {
		errno = EISDIR;
		return NACRE_ERROR_SYSTEM;
	}
	text->limit = 2 * LEXER_FILE_MAX;
	room = status.st_size > 0 && (size_t)status.st_size < LEXER_FILE_MAX
		   ? (size_t)status.st_size + 1
		   : 4096;
	for (;;) {
		uint8_t *place = nacre_buffer_room(text, room);

		if (place == NULL || nacre_buffer_length(text) > LEXER_FILE_MAX)
			return NACRE_ERROR_MEMORY;
		got = read(fd, place, room);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? NACRE_ERROR_SYSTEM : 0;
		nacre_buffer_added(text, (size_t)got);
		if ((size_t)got == room)
			room = 65536;
		else
			room -= (size_t)got;
	}
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
