/* The log of a program: standard error, a file or syslog; hostile bytes are made visible. */
#include <nacre/log.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_BYTES 4096

static struct {
	const char *program;
	enum nacre_log_output output;
	enum nacre_log_level level;
	int facility;
	int fd;
} log_state = {"nacre", NACRE_LOG_STDERR, NACRE_LOG_INFO, LOG_AUTH, STDERR_FILENO};

static const struct {
	const char *name;
	enum nacre_log_level level;
	int priority;
	const char *prefix;
} levels[] = {
    {"QUIET", NACRE_LOG_QUIET, LOG_CRIT, ""},
    {"FATAL", NACRE_LOG_FATAL, LOG_CRIT, ""},
    {"ERROR", NACRE_LOG_ERROR, LOG_ERR, ""},
    {"INFO", NACRE_LOG_INFO, LOG_INFO, ""},
    {"VERBOSE", NACRE_LOG_VERBOSE, LOG_INFO, ""},
    {"DEBUG", NACRE_LOG_DEBUG1, LOG_DEBUG, "debug1: "},
    {"DEBUG1", NACRE_LOG_DEBUG1, LOG_DEBUG, "debug1: "},
    {"DEBUG2", NACRE_LOG_DEBUG2, LOG_DEBUG, "debug2: "},
    {"DEBUG3", NACRE_LOG_DEBUG3, LOG_DEBUG, "debug3: "},
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
	if (output == NACRE_LOG_SYSLOG)
		openlog(program, LOG_PID, facility);
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

/* Copies "text", control characters but tab as \ooo. */
static void
text_escape(const char *text, char *out, size_t room)
{
	size_t length = 0;

	for (; *text != '\0' && room - length > 4; text++) {
		unsigned char byte = (unsigned char)*text;

		if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
			length += (size_t)snprintf(out + length, room - length, "\\%03o", byte);
		else
			out[length++] = (char)byte;
	}
	out[length] = '\0';
}

static void
line_write(const char *prefix, const char *text)
{
	char line[LINE_BYTES + 64];
	/* A terminal in raw mode needs the carriage return; a file does not want it. */
	const char *end = log_state.output == NACRE_LOG_FILE ? "\n" : "\r\n";
	int length = snprintf(line, sizeof line, "%s%s%s", prefix, text, end);
	size_t left = length < (int)sizeof line ? (size_t)length : sizeof line - 1;
	const char *from = line;

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

void
nacre_log_va(enum nacre_log_level level, const char *format, va_list arguments)
{
	char text[LINE_BYTES], escaped[LINE_BYTES];
	size_t row = level_row(level);
	int saved_errno = errno;

	if (level > log_state.level || level == NACRE_LOG_QUIET)
		return;
	vsnprintf(text, sizeof text, format, arguments);
	text_escape(text, escaped, sizeof escaped);
	if (log_state.output == NACRE_LOG_SYSLOG)
		syslog(levels[row].priority, "%s%s", levels[row].prefix, escaped);
	else
		line_write(levels[row].prefix, escaped);
	errno = saved_errno;
}

void
nacre_log(enum nacre_log_level level, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	nacre_log_va(level, format, arguments);
	va_end(arguments);
}

void
nacre_fatal(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	nacre_log_va(NACRE_LOG_FATAL, format, arguments);
	va_end(arguments);
	exit(255);
}
