/* Adding lines to a known_hosts file, and exchanging the keys of a host. */
#include "file.h"
#include "host_name.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
put_entry(
    struct nacre_span names, const struct nacre_key *key, bool hashed, struct nacre_buffer *text)
{
	if (hashed)
		host_name_put_hashed(names, text);
	else
		nacre_put_span(text, names);
	nacre_put_byte(text, ' ');
	if (nacre_key_put_line(key, NULL, text) != 0)
		text->failed = true;
	nacre_put_byte(text, '\n');
}

/* One line for all names, or one each when they are hashed. */
static void
put_entries(const char *names, const struct nacre_key *key, bool hashed, struct nacre_buffer *text)
{
	struct nacre_span list = nacre_span_of(names);

	if (!hashed) {
		put_entry(list, key, false, text);
		return;
	}
	while (list.length > 0)
		put_entry(nacre_list_next(&list), key, true, text);
}

int
nacre_known_hosts_put(
    const char *names, const struct nacre_key *key, bool hash, struct nacre_buffer *text)
{
	put_entries(names, key, hash, text);
	if (!text->failed)
		return 0;
	return hash ? NACRE_ERROR_LIBRARY : NACRE_ERROR_MEMORY;
}

/* The directory of a file that may not be there yet. */
static void
make_directory(const char *file)
{
	char *copy = strdup(file);

	if (copy != NULL)
		mkdir(dirname(copy), 0700);
	free(copy);
}

/* True when the file's last line has no end. */
static bool
ends_open(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char last;

	return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

static int
append_text(const char *file, struct nacre_buffer *text)
{
	int fd = open(file, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	struct nacre_buffer whole = {0};
	ssize_t wrote;
	int saved;

	if (fd < 0)
		return NACRE_ERROR_SYSTEM;
	if (ends_open(fd))
		nacre_put_byte(&whole, '\n');
	nacre_put_span(&whole, nacre_buffer_span(text));
	/* In one call, so that two programs that append at once do not mix their lines. */
	do
		wrote = write(fd, whole.data, nacre_buffer_length(&whole));
	while (wrote < 0 && errno == EINTR);
	saved = wrote < 0 ? errno : ENOSPC;
	close(fd);
	errno = saved;
	if (whole.failed || wrote != (ssize_t)nacre_buffer_length(&whole)) {
		nacre_buffer_free(&whole);
		return NACRE_ERROR_SYSTEM;
	}
	nacre_buffer_free(&whole);
	return 0;
}

int
nacre_known_hosts_append(
    const char *file, const char *names, const struct nacre_key *key, bool hash)
{
	struct nacre_buffer text = {0};
	int error = NACRE_ERROR_MEMORY;

	put_entries(names, key, hash, &text);
	if (!text.failed) {
		make_directory(file);
		error = append_text(file, &text);
	}
	nacre_buffer_free(&text);
	return error;
}

static bool
line_dropped(struct nacre_span text, struct nacre_span name, struct nacre_key *const *drop,
    size_t drop_count)
{
	struct known_line line;
	struct nacre_key *key;
	bool dropped = false;

	if (known_line_parse(text, &line) != KNOWN_LINE_HOST ||
	    line.marker != NACRE_KNOWN_HOST_PLAIN || !known_line_matches(&line, name) ||
	    nacre_key_from_line(line.key, &key, NULL) != 0)
		return false;
	for (size_t i = 0; i < drop_count && !dropped; i++)
		dropped = nacre_key_equal(drop[i], key);
	nacre_key_free(key);
	return dropped;
}

int
nacre_known_hosts_replace(const char *file, const char *name, struct nacre_key *const *drop,
    size_t drop_count, struct nacre_key *const *add, size_t add_count, bool hash)
{
	struct nacre_buffer old = {0}, text = {0};
	struct nacre_span rest, line;
	int error = nacre_file_read(file, TRUST_FILE_MAX, &old);

	if (error == NACRE_ERROR_SYSTEM && errno == ENOENT) {
		make_directory(file);
		error = 0;
	}
	rest = nacre_buffer_span(&old);
	while (error == 0 && nacre_line_next(&rest, &line)) {
		if (line_dropped(line, nacre_span_of(name), drop, drop_count))
			continue;
		nacre_put_span(&text, line);
		nacre_put_byte(&text, '\n');
	}
	for (size_t i = 0; i < add_count; i++)
		put_entry(nacre_span_of(name), add[i], hash, &text);
	if (error == 0)
		error = text.failed ? NACRE_ERROR_MEMORY
				    : trust_rewrite_file(file, nacre_buffer_span(&text), false);
	nacre_buffer_free(&old);
	nacre_buffer_free(&text);
	return error;
}
