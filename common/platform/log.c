/* The log of a program: standard error, a file or syslog; hostile bytes are made visible. */
#include <nacre/log.h>

#include <nacre/pattern.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_BYTES     4096
#define POSITION_BYTES 200

static struct {
	const char *program;
	enum nacre_log_output output;
	enum nacre_log_format format;
	enum nacre_log_level level;
	int facility;
	int fd;
	char *const *verbose;
	size_t verbose_count;
	struct nacre_buffer context;
} log_state = {.program = "nacre",
    .output = NACRE_LOG_STDERR,
    .level = NACRE_LOG_INFO,
    .facility = LOG_AUTH,
    .fd = STDERR_FILENO};

static const struct {
	const char *name;
	enum nacre_log_level level;
	int priority;
	const char *word; /* in JSON */
	const char *syslog_prefix, *prefix;
} levels[] = {
    {"QUIET", NACRE_LOG_QUIET, LOG_CRIT, "fatal", "", ""},
    {"FATAL", NACRE_LOG_FATAL, LOG_CRIT, "fatal", "fatal: ", ""},
    {"ERROR", NACRE_LOG_ERROR, LOG_ERR, "error", "error: ", ""},
    {"INFO", NACRE_LOG_INFO, LOG_INFO, "info", "", ""},
    {"VERBOSE", NACRE_LOG_VERBOSE, LOG_INFO, "verbose", "", ""},
    {"DEBUG", NACRE_LOG_DEBUG1, LOG_DEBUG, "debug1", "debug1: ", "debug1: "},
    {"DEBUG1", NACRE_LOG_DEBUG1, LOG_DEBUG, "debug1", "debug1: ", "debug1: "},
    {"DEBUG2", NACRE_LOG_DEBUG2, LOG_DEBUG, "debug2", "debug2: ", "debug2: "},
    {"DEBUG3", NACRE_LOG_DEBUG3, LOG_DEBUG, "debug3", "debug3: ", "debug3: "},
};

static const struct {
	const char *name;
	int facility;
} facilities[] = {
    {"DAEMON", LOG_DAEMON},
    {"USER", LOG_USER},
    {"AUTH", LOG_AUTH},
    {"AUTHPRIV", LOG_AUTHPRIV},
    {"LOCAL0", LOG_LOCAL0},
    {"LOCAL1", LOG_LOCAL1},
    {"LOCAL2", LOG_LOCAL2},
    {"LOCAL3", LOG_LOCAL3},
    {"LOCAL4", LOG_LOCAL4},
    {"LOCAL5", LOG_LOCAL5},
    {"LOCAL6", LOG_LOCAL6},
    {"LOCAL7", LOG_LOCAL7},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

int
nacre_log_level_of_name(const char *name)
{
	for (size_t i = 0; i < COUNT(levels); i++)
		if (strcasecmp(levels[i].name, name) == 0)
			return (int)levels[i].level;
	return -1;
}

/* The row of a level; of the two names of DEBUG1 the longer one. */
static size_t
level_row(enum nacre_log_level level)
{
	size_t row = COUNT(levels) - 1;

	while (row > 0 && levels[row].level != level)
		row--;
	return row;
}

const char *
nacre_log_level_name(enum nacre_log_level level)
{
	return levels[level_row(level)].name;
}

int
nacre_log_facility_of_name(const char *name)
{
	for (size_t i = 0; i < COUNT(facilities); i++)
		if (strcasecmp(facilities[i].name, name) == 0)
			return facilities[i].facility;
	return -1;
}

const char *
nacre_log_facility_name(int facility)
{
	for (size_t i = 0; i < COUNT(facilities); i++)
		if (facilities[i].facility == facility)
			return facilities[i].name;
	return NULL;
}

int
nacre_log_open(const char *program, enum nacre_log_output output, const char *path, int facility)
{
	int fd = STDERR_FILENO;

	if (output == NACRE_LOG_FILE &&
	    (fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600)) < 0)
		return NACRE_ERROR_SYSTEM;
	if (log_state.output == NACRE_LOG_FILE)
		close(log_state.fd);
	log_state.program = program;
	log_state.output = output;
	log_state.facility = facility;
	log_state.fd = fd;
	/* At once: a process may lose sight of the file system later. */
	if (output == NACRE_LOG_SYSLOG)
		openlog(program, LOG_PID | LOG_NDELAY, facility);
	return 0;
}

void
nacre_log_level_set(enum nacre_log_level level)
{
	log_state.level = level;
}

enum nacre_log_level
nacre_log_level_get(void)
{
	return log_state.level;
}

void
nacre_log_verbose_set(char *const *patterns, size_t count)
{
	log_state.verbose = patterns;
	log_state.verbose_count = count;
}

void
nacre_log_format_set(enum nacre_log_format format)
{
	log_state.format = format;
}

void
nacre_log_context_set(const struct nacre_log_field *fields, size_t count)
{
	bool truncated = false;

	nacre_buffer_clear(&log_state.context);
	nacre_log_put_fields(&log_state.context, fields, count, &truncated);
}

/* Copies "text", all but printable ASCII and tab as \ooo. */
static void
text_escape(const char *text, char *out, size_t room)
{
	size_t length = 0;

	for (; *text != '\0' && room - length > 4; text++) {
		unsigned char byte = (unsigned char)*text;

		if ((byte < 0x20 && byte != '\t') || byte >= 0x7f)
			length += (size_t)snprintf(out + length, room - length, "\\%03o", byte);
		else
			out[length++] = (char)byte;
	}
	out[length] = '\0';
}

static void
write_all(const char *from, size_t left)
{
	while (left > 0) {
		ssize_t wrote = write(log_state.fd, from, left);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
			return; /* a log that cannot be written to must not stop the program */
		from += wrote;
		left -= (size_t)wrote;
	}
}

/* In one piece, so that lines of several processes do not mix. */
static void
line_write(const char *prefix, const char *text, const char *end)
{
	char line[NACRE_LOG_OBJECT_MOST + 64];
	int length = snprintf(line, sizeof line, "%s%s%s", prefix, text, end);

	write_all(line, length < (int)sizeof line ? (size_t)length : sizeof line - 1);
}

static void
text_write(size_t row, const char *position, const char *message)
{
	char escaped[LINE_BYTES];
	char prefix[POSITION_BYTES + 16];
	bool to_syslog = log_state.output == NACRE_LOG_SYSLOG;

	text_escape(message, escaped, sizeof escaped);
	snprintf(prefix, sizeof prefix, "%s%s%s",
	    to_syslog ? levels[row].syslog_prefix : levels[row].prefix, position,
	    position[0] != '\0' ? ": " : "");
	if (to_syslog)
		syslog(levels[row].priority, "%s%s", prefix, escaped);
	else /* A terminal in raw mode needs the carriage return; a file does not want it. */
		line_write(prefix, escaped, log_state.output == NACRE_LOG_FILE ? "\n" : "\r\n");
}

static void
json_write(size_t row, const struct nacre_log_object *object)
{
	struct nacre_buffer json = {0};

	nacre_log_put_object(&json, object);
	nacre_put_byte(&json, 0);
	const char *line = json.failed ? "" : (const char *)json.data + json.start;
	if (log_state.output == NACRE_LOG_SYSLOG)
		syslog(levels[row].priority, "%s", line);
	else
		line_write("", line, "\n");
	nacre_buffer_free(&json);
}

/* LogVerbose: whether lines from this place are written at any level. Then *position names it. */
static bool
position_wanted(const char *file, const char *function, int line, char *position)
{
	if (log_state.verbose_count == 0 || file == NULL)
		return false;
	const char *slash = strrchr(file, '/');
	int length = snprintf(position, POSITION_BYTES, "%s:%s():%d",
	    slash != NULL ? slash + 1 : file, function, line);
	struct nacre_span place = {(const uint8_t *)position, (size_t)length};
	for (size_t i = 0; i < log_state.verbose_count && length < POSITION_BYTES; i++)
		if (nacre_pattern_list(place, nacre_span_of(log_state.verbose[i]), false) ==
		    NACRE_MATCH_FOUND)
			return true;
	position[0] = '\0';
	return false;
}

static void
message_write(enum nacre_log_level level, const char *position, struct nacre_log_object *object,
    const char *format, va_list arguments)
{
	char text[LINE_BYTES];
	size_t row = level_row(level);
	int saved_errno = errno;

	vsnprintf(text, sizeof text, format, arguments);
	if (log_state.format == NACRE_LOG_TEXT) {
		text_write(row, position, text);
	} else {
		object->program = log_state.program;
		object->level = levels[row].word;
		object->context = nacre_buffer_span(&log_state.context);
		object->message = nacre_span_of(text);
		json_write(row, object);
	}
	errno = saved_errno;
}

static bool
level_written(enum nacre_log_level level)
{
	return level <= log_state.level && level != NACRE_LOG_QUIET;
}

void
nacre_log_va(enum nacre_log_level level, const char *format, va_list arguments)
{
	message_write(level, "", &(struct nacre_log_object){.event = "log"}, format, arguments);
}

void
nacre_log_at(enum nacre_log_level level, const char *file, const char *function, int line,
    const char *format, ...)
{
	char position[POSITION_BYTES] = "";
	bool forced = position_wanted(file, function, line, position);
	const struct nacre_log_field field = nacre_field_text("source", position);
	va_list arguments;

	if (!forced && !level_written(level))
		return;
	va_start(arguments, format);
	message_write(level, position,
	    &(struct nacre_log_object){.event = "log", .fields = &field, .field_count = forced},
	    format, arguments);
	va_end(arguments);
}

void
nacre_log_event(enum nacre_log_level level, const char *event, const struct nacre_log_field *fields,
    size_t count, const char *format, ...)
{
	struct nacre_log_object object = {.event = event, .fields = fields, .field_count = count};
	va_list arguments;

	/* Whoever wants objects wants all that happened. */
	if (log_state.format == NACRE_LOG_JSON && level > NACRE_LOG_INFO)
		level = NACRE_LOG_INFO;
	if (!level_written(level))
		return;
	va_start(arguments, format);
	message_write(level, "", &object, format, arguments);
	va_end(arguments);
}

void
nacre_fatal(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (level_written(NACRE_LOG_FATAL))
		nacre_log_va(NACRE_LOG_FATAL, format, arguments);
	va_end(arguments);
	exit(255);
}

void
nacre_log_lines(enum nacre_log_level level, struct nacre_span text)
{
	struct nacre_span line;

	while (nacre_line_next(&text, &line))
		nacre_log(level, "%.*s", (int)line.length, (const char *)line.data);
}
