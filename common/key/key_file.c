/* Key files on disk: the only part of this layer that does I/O. */
#include <key/key.h>
#include <nacre/file.h>
#include <wire/text.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_FILE_MAX ((size_t)1024 * 1024)

static void
close_scoped(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

/* A file of our own that group or others can touch at all is not private. Other owners' files are
 * their business: the system decided that we may read them. */
static int
check_mode(int fd, unsigned *mode)
{
	struct stat status;

	if (fstat(fd, &status) != 0)
		return NACRE_ERROR_SYSTEM;
	if (mode != NULL)
		*mode = status.st_mode & 07777;
	if (status.st_uid == getuid() && (status.st_mode & 077) != 0)
		return NACRE_ERROR_PERMISSION;
	return 0;
}

int
nacre_key_load_private_fd(
    int fd, struct nacre_span passphrase, struct nacre_key **key, char **comment, unsigned *mode)
{
	SCOPED_BUFFER struct nacre_buffer content = {0};
	int error = check_mode(fd, mode);

	if (error == 0)
		error = nacre_file_read_descriptor(fd, KEY_FILE_MAX, &content);
	if (error != 0)
		return error;
	return nacre_key_parse_private(nacre_buffer_span(&content), passphrase, key, comment);
}

int
nacre_key_load_private(const char *path, struct nacre_span passphrase, struct nacre_key **key,
    char **comment, unsigned *mode)
{
	SCOPED(close_scoped) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return NACRE_ERROR_SYSTEM;
	return nacre_key_load_private_fd(fd, passphrase, key, comment, mode);
}

void
nacre_key_put_unprotected(const char *path, unsigned mode, struct nacre_buffer *text)
{
	static const char bar[] = "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@";

	nacre_put_format(text,
	    "%s\n@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @\n%s\n", bar, bar);
	nacre_put_format(text, "Permissions 0%3.3o for '%s' are too open.\n", mode & 0777, path);
	nacre_put_format(text, "It is required that your private key files are NOT accessible by "
			       "others.\nThis private key will be ignored.\n");
}

/* The first line that is a key; blank lines and comments are passed over. */
static int
public_from_lines(struct nacre_span text, struct nacre_key **key, char **comment)
{
	struct nacre_span line, rest;
	int error = NACRE_ERROR_FORMAT;

	while (error != 0 && nacre_line_next(&text, &line)) {
		line = text_trim(line);
		if (line.length == 0 || line.data[0] == '#')
			continue;
		error = nacre_key_from_line(line, key, &rest);
	}
	if (error != 0 || comment == NULL)
		return error;
	if ((*comment = nacre_span_to_string(rest)) != NULL)
		return 0;
	nacre_key_free(*key);
	*key = NULL;
	return NACRE_ERROR_FORMAT;
}

static int
public_from_file(const char *path, struct nacre_key **key, char **comment)
{
	SCOPED_BUFFER struct nacre_buffer content = {0};
	int error = nacre_file_read(path, KEY_FILE_MAX, &content);

	return error != 0 ? error : public_from_lines(nacre_buffer_span(&content), key, comment);
}

int
nacre_key_load_public(const char *path, struct nacre_key **key, char **comment)
{
	SCOPED_BUFFER struct nacre_buffer content = {0};
	int error = nacre_file_read(path, KEY_FILE_MAX, &content), saved = errno, line_error;
	char *beside = NULL;

	if (comment != NULL)
		*comment = NULL;
	if (error == 0) {
		line_error = public_from_lines(nacre_buffer_span(&content), key, comment);
		/* Anything but "this is no line with a key" is the answer. */
		if (line_error == 0 ||
		    (line_error != NACRE_ERROR_FORMAT && line_error != NACRE_ERROR_UNSUPPORTED))
			return line_error;
	}
	if (asprintf(&beside, "%s.pub", path) < 0)
		return NACRE_ERROR_MEMORY;
	if (public_from_file(beside, key, comment) == 0) {
		free(beside);
		return 0;
	}
	free(beside);
	if (error == 0)
		error = nacre_key_parse_private_public(nacre_buffer_span(&content), key);
	if (error == 0 && comment != NULL && (*comment = strdup("")) == NULL) {
		nacre_key_free(*key);
		*key = NULL;
		return NACRE_ERROR_MEMORY;
	}
	errno = saved;
	return error;
}
