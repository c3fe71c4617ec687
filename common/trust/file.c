/* Whole files of text, lines and words. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
trust_read_descriptor(int fd, size_t limit, struct nacre_buffer *text)
{
	struct stat status;
	size_t room = 16384;
	ssize_t got;

	if (fstat(fd, &status) != 0)
		return NACRE_ERROR_SYSTEM;
	/* One byte more than the file shows its end in one call. */
	if (S_ISREG(status.st_mode) && status.st_size > 0 && (uint64_t)status.st_size < limit)
		room = (size_t)status.st_size + 1;
	for (;;) {
		uint8_t *place = nacre_buffer_room(text, room);

		if (place == NULL)
			return NACRE_ERROR_MEMORY;
		got = read(fd, place, room);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? NACRE_ERROR_SYSTEM : 0;
		nacre_buffer_added(text, (size_t)got);
		if (nacre_buffer_length(text) > limit)
			return NACRE_ERROR_MEMORY;
		room = (size_t)got < room ? room - (size_t)got : 65536;
	}
}

int
trust_read_file(const char *path, size_t limit, struct nacre_buffer *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int error, saved;

	if (fd < 0)
		return NACRE_ERROR_SYSTEM;
	error = trust_read_descriptor(fd, limit, text);
	saved = errno;
	close(fd);
	errno = saved;
	return error;
}

static int
write_all(int fd, struct nacre_span text)
{
	while (text.length > 0) {
		ssize_t wrote = write(fd, text.data, text.length);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote < 0)
			return NACRE_ERROR_SYSTEM;
		text.data += wrote;
		text.length -= (size_t)wrote;
	}
	return 0;
}

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
	if (write_all(fd, text) != 0 || fsync(fd) != 0)
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

bool
trust_next_line(struct nacre_span *text, struct nacre_span *line)
{
	const uint8_t *end;

	if (text->length == 0)
		return false;
	end = memchr(text->data, '\n', text->length);
	line->data = text->data;
	line->length = end != NULL ? (size_t)(end - text->data) : text->length;
	text->data += line->length + (end != NULL);
	text->length -= line->length + (end != NULL);
	if (line->length > 0 && line->data[line->length - 1] == '\r')
		line->length--;
	return true;
}

static bool
is_blank(uint8_t byte)
{
	return byte == ' ' || byte == '\t';
}

struct nacre_span
trust_trim(struct nacre_span text)
{
	while (text.length > 0 && is_blank(text.data[0])) {
		text.data++;
		text.length--;
	}
	while (text.length > 0 && is_blank(text.data[text.length - 1]))
		text.length--;
	return text;
}

struct nacre_span
trust_next_word(struct nacre_span *text)
{
	struct nacre_span word;

	while (text->length > 0 && is_blank(text->data[0])) {
		text->data++;
		text->length--;
	}
	word = (struct nacre_span){text->data, 0};
	while (word.length < text->length && !is_blank(text->data[word.length]))
		word.length++;
	text->data += word.length;
	text->length -= word.length;
	return word;
}
