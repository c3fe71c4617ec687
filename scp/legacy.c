/*
 * The rcp protocol (-O): a source announces files and directories by lines, the sink answers each
 * with a byte; the same code runs at both ends. A sink believes a name only when it was asked for.
 */
#include <scp/scp.h>

#include <nacre/file.h>
#include <nacre/rcp.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK        ((size_t)64 * 1024)
#define OWNER_ENTERS 0700

/* One end of the protocol: over a link, or as the remote end over standard input and output. */
struct peer {
	const struct options *options;
	struct link *link; /* NULL: standard input and output */
	struct meter *meter;
	uint64_t errors;
	struct words
	    patterns; /* what a name of the first level must match one of; none: any will do */
	bool broken;
};

static bool
read_all(struct peer *peer, void *bytes, size_t length)
{
	uint8_t *place = bytes;

	if (peer->link != NULL)
		return link_read(peer->link, bytes, length);
	while (length > 0) {
		ssize_t count = read(STDIN_FILENO, place, length);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return false;
		place += count;
		length -= (size_t)count;
	}
	return true;
}

static bool
write_all(struct peer *peer, const void *bytes, size_t length)
{
	if (peer->link != NULL)
		return link_write(peer->link, bytes, length);
	return nacre_write_all(STDOUT_FILENO, (struct nacre_span){bytes, length}) == 0;
}

static void
lose(struct peer *peer)
{
	if (!peer->broken && peer->link != NULL)
		complain("Connection closed");
	peer->broken = true;
	peer->errors++;
}

/* An error of this end: shown here, and told to the other when it shows nothing itself. */
__attribute__((format(printf, 2, 3))) static void
report(struct peer *peer, const char *format, ...)
{
	va_list arguments;
	char *text, *line;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	peer->errors++;
	if (length < 0)
		return;
	for (char *p = text; *p != '\0'; p++)
		if (*p == '\n')
			*p = '?';
	length = asprintf(&line, "\001scp: %s\n", text);
	if (length > 0 && !write_all(peer, line, (size_t)length))
		peer->broken = true;
	if (length > 0)
		free(line);
	if (peer->link != NULL)
		complain("%s", text);
	free(text);
}

static bool
acknowledge(struct peer *peer)
{
	if (write_all(peer, "", 1))
		return true;
	lose(peer);
	return false;
}

/* A line without its LF; its first byte was read. */
static bool
read_line(struct peer *peer, uint8_t first, struct nacre_buffer *line)
{
	uint8_t byte = first;

	nacre_buffer_clear(line);
	do {
		nacre_put_byte(line, byte);
		if (nacre_buffer_length(line) > NACRE_RCP_LINE_MAX || line->failed) {
			complain("protocol error: line too long");
			return false;
		}
		if (!read_all(peer, &byte, 1))
			return false;
	} while (byte != '\n');
	return true;
}

/* What the other end says, as it is but for bytes that a terminal would act on. */
static void
tell(struct nacre_span text)
{
	char *copy = nacre_span_to_string(text);

	if (copy != NULL)
		fprintf(stderr, "%s\n", make_visible(copy));
	free(copy);
}

/* 0: go on; 1: the other end refused this; -1: nothing goes on. */
static int
read_answer(struct peer *peer)
{
	struct nacre_buffer line = {0};
	struct nacre_span text;
	uint8_t answer;
	int result;

	if (!read_all(peer, &answer, 1)) {
		lose(peer);
		return -1;
	}
	if (answer == NACRE_RCP_OK)
		return 0;
	result = answer == NACRE_RCP_FATAL ? -1 : 1;
	if (!read_line(peer, answer, &line))
		result = -1;
	text = nacre_buffer_span(&line);
	/* Without a code the whole line is the message: a shell that talks. */
	if (answer == NACRE_RCP_WARNING || answer == NACRE_RCP_FATAL) {
		text.data++;
		text.length--;
	}
	if (peer->link != NULL && text.length > 0)
		tell(text);
	nacre_buffer_free(&line);
	peer->errors++;
	if (result < 0)
		peer->broken = true;
	return result;
}

/* Source ------------------------------------------------------------------------------------ */

static const char *
base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* A line feed in a name would end the line: it goes as "\^J". */
static void
put_name(struct nacre_buffer *line, const char *name)
{
	for (; *name != '\0'; name++) {
		if (*name == '\n')
			nacre_put_bytes(line, "\\^J", 3);
		else
			nacre_put_byte(line, (uint8_t)*name);
	}
}

static bool
send_line(struct peer *peer, struct nacre_buffer *line)
{
	struct nacre_span bytes;
	bool sent;

	nacre_put_byte(line, '\n');
	bytes = nacre_buffer_span(line);
	sent = !line->failed && write_all(peer, bytes.data, bytes.length);
	nacre_buffer_free(line);
	if (!sent) {
		lose(peer);
		return false;
	}
	return read_answer(peer) == 0;
}

static bool
send_times(struct peer *peer, const struct stat *status)
{
	struct nacre_buffer line = {0};

	if (!peer->options->preserve)
		return true;
	nacre_put_format(&line, "T%lld 0 %lld 0",
	    status->st_mtime > 0 ? (long long)status->st_mtime : 0LL,
	    status->st_atime > 0 ? (long long)status->st_atime : 0LL);
	return send_line(peer, &line);
}

/* Exactly "size" bytes: zeros stand for what cannot be read, and the trailer tells. */
static bool
send_content(struct peer *peer, int fd, const char *name, uint64_t size)
{
	static uint8_t block[BLOCK];
	uint64_t sent = 0;
	int error = 0;

	while (sent < size) {
		size_t length = size - sent < BLOCK ? (size_t)(size - sent) : BLOCK;
		ssize_t count = error == 0 ? read(fd, block, length) : -1;

		if (count <= 0) {
			if (error == 0)
				error = count == 0 ? EIO : errno;
			memset(block, 0, length);
			count = (ssize_t)length;
		}
		if (!write_all(peer, block, (size_t)count)) {
			lose(peer);
			return false;
		}
		sent += (uint64_t)count;
		meter_update(peer->meter, sent);
	}
	if (error != 0)
		report(peer, "%s: %s", name, strerror(error));
	else if (!acknowledge(peer))
		return false;
	return read_answer(peer) == 0 && error == 0;
}

static void source_path(struct peer *peer, const char *path);

static void
source_directory(struct peer *peer, const char *path, const struct stat *status)
{
	struct nacre_buffer line = {0};
	DIR *directory = opendir(path);
	const struct dirent *entry;

	if (directory == NULL) {
		report(peer, "%s: %s", path, strerror(errno));
		return;
	}
	if (send_times(peer, status)) {
		nacre_put_format(&line, "D%04o 0 ", status->st_mode & 07777);
		put_name(&line, base_of(path));
		if (send_line(peer, &line)) {
			while (!peer->broken && (entry = readdir(directory)) != NULL) {
				char child[PATH_MAX];

				if (strcmp(entry->d_name, ".") == 0 ||
				    strcmp(entry->d_name, "..") == 0)
					continue;
				if (snprintf(child, sizeof child, "%s/%s", path, entry->d_name) >=
				    (int)sizeof child)
					report(peer, "%s/%s: name too long", path, entry->d_name);
				else
					source_path(peer, child);
			}
			nacre_put_byte(&line, 'E');
			if (!peer->broken)
				send_line(peer, &line);
		}
	}
	nacre_buffer_free(&line);
	closedir(directory);
}

static void
source_file(struct peer *peer, const char *path, int fd, const struct stat *status)
{
	struct nacre_buffer line = {0};
	uint64_t size = (uint64_t)status->st_size;
	const char *name = base_of(path);

	if (!send_times(peer, status))
		return;
	nacre_put_format(&line, "C%04o %llu ", status->st_mode & 07777, (unsigned long long)size);
	put_name(&line, name);
	if (!send_line(peer, &line))
		return;
	meter_start(peer->meter, name, size);
	if (send_content(peer, fd, path, size))
		meter_finish(peer->meter, name, size, size);
}

static void
source_path(struct peer *peer, const char *path)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &status) != 0)
		report(peer, "%s: %s", path, strerror(errno));
	else if (S_ISREG(status.st_mode))
		source_file(peer, path, fd, &status);
	else if (S_ISDIR(status.st_mode) && peer->options->recursive)
		source_directory(peer, path, &status);
	else
		report(peer, "%s: not a regular file", path);
	if (fd >= 0)
		close(fd);
}

static char *
without_slashes(const char *path)
{
	char *copy = strdup(path);
	size_t length = copy != NULL ? strlen(copy) : 0;

	if (copy == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	while (length > 1 && copy[length - 1] == '/')
		copy[--length] = '\0';
	return copy;
}

static void
source_all(struct peer *peer, char *const *paths, size_t count)
{
	if (read_answer(peer) != 0)
		return;
	for (size_t i = 0; i < count && !peer->broken; i++) {
		char *path = without_slashes(paths[i]);

		source_path(peer, path);
		free(path);
	}
}

/* Sink -------------------------------------------------------------------------------------- */

struct entry_times {
	bool known;
	struct timespec times[2];
};

static void
apply_times(struct peer *peer, const char *path, const struct entry_times *times)
{
	if (times->known && utimensat(AT_FDCWD, path, times->times, 0) != 0)
		report(peer, "%s: set times: %s", path, strerror(errno));
}

/* Reads the content whatever happens to the file; returns the first error. */
static int
receive_content(struct peer *peer, int fd, uint64_t size)
{
	static uint8_t block[BLOCK];
	uint64_t received = 0;
	int error = 0;

	while (received < size) {
		size_t length = size - received < BLOCK ? (size_t)(size - received) : BLOCK;

		if (!read_all(peer, block, length)) {
			lose(peer);
			return EIO;
		}
		if (error == 0 && nacre_write_all(fd, (struct nacre_span){block, length}) != 0)
			error = errno;
		received += length;
		meter_update(peer->meter, received);
	}
	return error;
}

static void
sink_file(struct peer *peer, const char *path, const char *name,
    const struct nacre_rcp_message *message, const struct entry_times *times)
{
	mode_t mode = message->mode & 0777;
	struct stat status;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, mode | S_IWUSR), error;
	bool existed = fd >= 0 && fstat(fd, &status) == 0 && status.st_size > 0;

	if (fd < 0) {
		report(peer, "%s: %s", path, strerror(errno));
		return;
	}
	if (!acknowledge(peer)) {
		close(fd);
		return;
	}
	meter_start(peer->meter, name, message->size);
	error = receive_content(peer, fd, message->size);
	if (error == 0 && existed && S_ISREG(status.st_mode) &&
	    ftruncate(fd, (off_t)message->size) != 0)
		error = errno;
	if (error == 0 && peer->options->preserve && fchmod(fd, mode) != 0)
		error = errno;
	if (close(fd) != 0 && error == 0)
		error = errno;
	if (peer->broken || read_answer(peer) < 0)
		return;
	if (error != 0) {
		report(peer, "%s: %s", path, strerror(error));
		return;
	}
	apply_times(peer, path, times);
	meter_finish(peer->meter, name, message->size, message->size);
	acknowledge(peer);
}

static bool sink(struct peer *peer, const char *target, bool is_directory, bool top);

static void
sink_directory(struct peer *peer, const char *path, const struct nacre_rcp_message *message,
    const struct entry_times *times)
{
	mode_t mode = message->mode & 0777;
	struct stat status;
	bool made = false;

	if (!peer->options->recursive) {
		report(peer, "received directory without -r");
		peer->broken = true;
		return;
	}
	if (stat(path, &status) == 0) {
		if (!S_ISDIR(status.st_mode)) {
			report(peer, "%s: %s", path, strerror(ENOTDIR));
			return;
		}
	} else if (mkdir(path, mode | OWNER_ENTERS) != 0) {
		report(peer, "%s: %s", path, strerror(errno));
		return;
	} else {
		made = true;
	}
	if (!sink(peer, path, true, false))
		return;
	apply_times(peer, path, times);
	if ((peer->options->preserve || (made && (mode & OWNER_ENTERS) != OWNER_ENTERS)) &&
	    chmod(path, mode) != 0)
		report(peer, "%s: %s", path, strerror(errno));
}

static bool
name_was_asked_for(const struct peer *peer, const char *name, bool top)
{
	bool matches = !top || peer->patterns.count == 0;

	for (size_t i = 0; i < peer->patterns.count && !matches; i++) {
		const char *pattern = peer->patterns.items[i];

		matches = fnmatch(pattern, name, 0) == 0 || strcmp(pattern, name) == 0;
	}
	return matches;
}

static bool
sink_entry(struct peer *peer, const char *target, bool is_directory, bool top,
    const struct nacre_rcp_message *message, const struct entry_times *times)
{
	char *name = nacre_span_to_string(message->name), path[PATH_MAX];
	int length;

	if (name == NULL || !name_was_asked_for(peer, name, top)) {
		report(peer, "protocol error: filename does not match request");
		peer->broken = true;
		free(name);
		return false;
	}
	length = is_directory ? snprintf(path, sizeof path, "%s%s%s", target,
				    target[strlen(target) - 1] == '/' ? "" : "/", name)
			      : snprintf(path, sizeof path, "%s", target);
	if (length < 0 || (size_t)length >= sizeof path)
		report(peer, "%s: name too long", name);
	else if (message->kind == NACRE_RCP_DIRECTORY)
		sink_directory(peer, path, message, times);
	else
		sink_file(peer, path, name, message, times);
	free(name);
	return !peer->broken;
}

/* A line that is no control line: most often what a remote shell said at its start. */
static void
refuse_line(struct peer *peer, struct nacre_span line, int result)
{
	if (result == NACRE_ERROR_REFUSED)
		report(peer, "error: unexpected filename in \"%.*s\"",
		    (int)(line.length < 200 ? line.length : 200), (const char *)line.data);
	else
		report(peer, "protocol error: unexpected line \"%.*s\"",
		    (int)(line.length < 200 ? line.length : 200), (const char *)line.data);
	peer->broken = true;
}

/* One message. 0: go on; 1: this level ends. */
static int
sink_message(struct peer *peer, struct nacre_span line, const char *target, bool is_directory,
    bool top, struct entry_times *times)
{
	struct nacre_rcp_message message;
	int result = nacre_rcp_parse(line, &message);

	if (result != 0) {
		refuse_line(peer, line, result);
		return 1;
	}
	switch (message.kind) {
	case NACRE_RCP_WARNING:
	case NACRE_RCP_FATAL:
		peer->errors++;
		if (peer->link != NULL)
			tell(message.name);
		peer->broken |= message.kind == NACRE_RCP_FATAL;
		return peer->broken ? 1 : 0;
	case NACRE_RCP_END:
		if (top)
			refuse_line(peer, line, NACRE_ERROR_FORMAT);
		else
			acknowledge(peer);
		return 1;
	case NACRE_RCP_TIMES:
		times->known = peer->options->preserve;
		times->times[0] = message.accessed;
		times->times[1] = message.modified;
		return acknowledge(peer) ? 0 : 1;
	default:
		if (!sink_entry(peer, target, is_directory, top, &message, times))
			return 1;
		times->known = false;
		return 0;
	}
}

/* Takes entries into "target" until the level ends; false when nothing goes on. */
static bool
sink(struct peer *peer, const char *target, bool is_directory, bool top)
{
	struct nacre_buffer line = {0};
	struct entry_times times = {0};
	uint8_t first;

	if (!acknowledge(peer))
		return false;
	while (!peer->broken && read_all(peer, &first, 1)) {
		if (first == '\n' || !read_line(peer, first, &line)) {
			lose(peer);
			break;
		}
		if (sink_message(
			peer, nacre_buffer_span(&line), target, is_directory, top, &times) != 0)
			break;
	}
	nacre_buffer_free(&line);
	return !peer->broken;
}

static void
sink_all(struct peer *peer, const char *target, bool must_be_directory)
{
	struct stat status;
	bool is_directory = stat(target, &status) == 0 && S_ISDIR(status.st_mode);

	if (must_be_directory && !is_directory) {
		report(
		    peer, "%s: %s", target, strerror(stat(target, &status) == 0 ? ENOTDIR : errno));
		return;
	}
	sink(peer, target, is_directory, true);
}

int
serve_rcp(const struct options *options, bool source, char **paths, size_t count)
{
	struct peer peer = {.options = options};

	if (count == 0 || (!source && count != 1)) {
		report(&peer, "ambiguous target");
		return 1;
	}
	if (source)
		source_all(&peer, paths, count);
	else
		sink_all(&peer, paths[0], options->to_directory);
	return peer.errors == 0 ? 0 : 1;
}

/* This side ---------------------------------------------------------------------------------- */

/* The other end's command line. Its path is the remote shell's to expand, as it always was. */
static char *
remote_command(const struct options *options, const char *role, bool to_directory, const char *path)
{
	char *command;

	if (asprintf(&command, "scp%s%s%s%s %s %s%s", options->verbose ? " -v" : "",
		options->recursive ? " -r" : "", options->preserve ? " -p" : "",
		to_directory ? " -d" : "", role, path[0] == '-' ? "-- " : "", path) < 0)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	return command;
}

static struct link *
open_remote(const struct options *options, const struct location *location, const char *role,
    bool to_directory)
{
	char *command = remote_command(options, role, to_directory, location->path);
	struct link *link = link_open(options, location, command);

	free(command);
	if (link == NULL)
		exit(255);
	return link;
}

static uint64_t
upload(const struct options *options, const struct location *sources, size_t count,
    const struct location *target, struct meter *meter, bool to_directory)
{
	struct peer peer = {.options = options, .meter = meter};
	char **paths = calloc(count, sizeof *paths);

	if (paths == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	for (size_t i = 0; i < count; i++)
		paths[i] = sources[i].path;
	peer.link = open_remote(options, target, "-t", to_directory);
	source_all(&peer, paths, count);
	free(paths);
	if (link_close(peer.link) != 0 && peer.errors == 0)
		peer.errors++;
	return peer.errors;
}

/* A remote shell makes several paths of braces; the last component of each may come. */
static void
expect_names(struct peer *peer, const char *path)
{
	struct words paths = {0};

	if (!brace_expand(path, &paths))
		die("%s: too many names; -T takes whatever the server sends", path);
	for (size_t i = 0; i < paths.count; i++)
		words_add(&peer->patterns, base_of(paths.items[i]));
	words_free(&paths);
}

static uint64_t
download(const struct options *options, const struct location *source,
    const struct location *target, struct meter *meter, bool to_directory)
{
	struct peer peer = {.options = options, .meter = meter};
	char *path = without_slashes(source->path);
	const char *base = base_of(path);
	/* ".", ".." and "~" are named by the server. */
	bool named =
	    base[0] != '\0' && strcmp(base, ".") != 0 && strcmp(base, "..") != 0 && base[0] != '~';

	if (named && !options->trust_names)
		expect_names(&peer, path);
	peer.link = open_remote(options, source, "-f", false);
	sink_all(&peer, target->path, to_directory);
	words_free(&peer.patterns);
	free(path);
	if (link_close(peer.link) != 0 && peer.errors == 0)
		peer.errors++;
	return peer.errors;
}

/* Bytes from one remote end to the other; both see each other's messages. */
static uint64_t
relay(const struct options *options, const struct location *source, const struct location *target,
    bool to_directory)
{
	struct link *links[2] = {open_remote(options, source, "-f", false),
	    open_remote(options, target, "-t", to_directory)};
	const bool wants[2] = {true, true};
	struct nacre_span data;
	uint64_t errors = 0;

	while (!link_ended(links[0]) && !link_ended(links[1])) {
		for (int i = 0; i < 2; i++) {
			while (link_data(links[i], &data)) {
				size_t length = data.length;

				if (!link_write(links[1 - i], data.data, length))
					break;
				link_consumed(links[i], length);
			}
			link_flush(links[i]);
		}
		if (!link_ended(links[0]) && !link_ended(links[1]))
			link_wait(links, wants, 2, -1);
	}
	for (int i = 0; i < 2; i++)
		if (link_close(links[i]) != 0)
			errors++;
	return errors;
}

int
copy_by_rcp(
    const struct options *options, struct location *sources, size_t count, struct location *target)
{
	struct meter *meter = options->quiet ? NULL : meter_new();
	uint64_t errors = 0;
	size_t next;

	for (size_t i = 0; i < count; i = next) {
		next = i + 1;
		if (sources[i].remote && target->remote) {
			errors += relay(options, &sources[i], target, count > 1);
		} else if (sources[i].remote) {
			errors += download(options, &sources[i], target, meter, count > 1);
		} else {
			while (next < count && !sources[next].remote)
				next++;
			errors += upload(options, &sources[i], next - i, target, meter, count > 1);
		}
	}
	meter_free(meter);
	return errors == 0 ? 0 : 1;
}
