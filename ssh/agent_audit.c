/* The record of signatures (-O audit=FILE): one line each, written before the signature leaves. */
#include <ssh/agent_serve.h>

#include <nacre/log.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int
audit_open(const char *path)
{
	struct stat status;
	int fd =
	    open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

	if (fd < 0 || fstat(fd, &status) != 0)
		nacre_fatal("audit file %s: %s", path, strerror(errno));
	if (!S_ISREG(status.st_mode))
		nacre_fatal("audit file %s: not a regular file", path);
	if (status.st_uid != geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		nacre_fatal(
		    "audit file %s: it must be ours alone to write: chown and chmod 600", path);
	return fd;
}

bool
process_name(pid_t pid, char *name, size_t size)
{
	char path[64];
	ssize_t length;
	int fd;

	snprintf(path, sizeof path, "/proc/%ld/comm", (long)pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return false;
	length = read(fd, name, size - 1);
	close(fd);
	if (length <= 0)
		return false;
	name[name[length - 1] == '\n' ? length - 1 : length] = '\0';
	return true;
}

/* In quotes, with what could break a line, or pretend to end the text, as \ooo. */
static void
put_quoted(struct nacre_buffer *line, const char *name, const char *text)
{
	nacre_put_format(line, " %s=\"", name);
	for (; text != NULL && *text != '\0'; text++) {
		const unsigned char c = (unsigned char)*text;

		if (c < ' ' || c == 0x7f || c == '"' || c == '\\')
			nacre_put_format(line, "\\%03o", c);
		else
			nacre_put_byte(line, c);
	}
	nacre_put_byte(line, '"');
}

static void
put_fingerprint(
    const struct agent_options *options, struct nacre_span blob, struct nacre_buffer *line)
{
	struct nacre_key *key;

	if (nacre_key_from_blob(blob, &key) != 0) {
		nacre_put_format(line, "-");
		return;
	}
	nacre_key_fingerprint(key, options->fingerprint_hash, line);
	nacre_key_free(key);
}

static void
put_time(struct nacre_buffer *line)
{
	const time_t now = time(NULL);
	struct tm parts;
	char text[32];

	gmtime_r(&now, &parts);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
	nacre_put_format(line, "%s", text);
}

bool
audit_write(const struct agent_options *options, const struct nacre_keyring_use *use)
{
	struct nacre_buffer line = {0};
	struct nacre_span text;
	ssize_t written;

	if (options->audit < 0)
		return true;
	put_time(&line);
	nacre_put_format(&line, " %s key=", use->made ? "permitted" : "refused");
	put_fingerprint(options, use->blob, &line);
	put_quoted(&line, "comment", use->comment);
	put_quoted(&line, "user", use->user);
	nacre_put_format(&line, " host-key=");
	put_fingerprint(options, use->host_key, &line);
	put_quoted(&line, "host", use->host);
	put_quoted(&line, "process", use->process);
	nacre_put_format(&line, " pid=%ld%s\n", (long)use->pid, use->forwarded ? " forwarded" : "");
	text = nacre_buffer_span(&line);
	written = line.failed ? -1 : write(options->audit, text.data, text.length);
	if (written != (ssize_t)text.length)
		nacre_log(NACRE_LOG_ERROR, "audit file cannot be written: %s",
		    written < 0 ? strerror(errno) : "no room for a whole line");
	nacre_buffer_free(&line);
	return written == (ssize_t)text.length;
}
