/*
 * The log of a program: to standard error, a file or syslog, as lines of text or as JSON objects. A
 * process has one log; the library's protocol core never writes to it.
 */
#ifndef NACRE_LOG_H
#define NACRE_LOG_H

#include <nacre/session.h>

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

enum nacre_log_output { NACRE_LOG_STDERR, NACRE_LOG_FILE, NACRE_LOG_SYSLOG };
enum nacre_log_format { NACRE_LOG_TEXT, NACRE_LOG_JSON };

/*
 * Where lines go from now on. "program" is borrowed and names the process in syslog. "path" is for
 * NACRE_LOG_FILE (opened for appending, created with mode 0600); "facility" for NACRE_LOG_SYSLOG.
 * Lines on standard error end in CR LF; those of levels DEBUG1 to 3 begin with "debug1: ", and in
 * syslog those of ERROR and FATAL with "error: " and "fatal: ". 0 or NACRE_ERROR_SYSTEM.
 */
int nacre_log_open(
    const char *program, enum nacre_log_output output, const char *path, int facility);
/* The most verbose level that is written; INFO at first. */
void nacre_log_level_set(enum nacre_log_level level);
enum nacre_log_level nacre_log_level_get(void);
/*
 * Lines that are written whatever their level: each is a list of patterns for FILE:FUNCTION():LINE,
 * the place in the program that logs (LogVerbose). Borrowed; count 0: none.
 */
void nacre_log_verbose_set(char *const *patterns, size_t count);
/* NACRE_LOG_TEXT at first. */
void nacre_log_format_set(enum nacre_log_format format);
/* "INFO" and so on to the level, and back; -1 or NULL when there is none. */
int nacre_log_level_of_name(const char *name);
const char *nacre_log_level_name(enum nacre_log_level level);
/* "AUTH", "LOCAL0", ... to syslog's number, and back. */
int nacre_log_facility_of_name(const char *name);
const char *nacre_log_facility_name(int facility);

/* One line, as by printf, without a newline at its end. Control characters, and bytes beyond ASCII,
 * are written as \ooo, so that nothing hostile reaches a terminal or forges a line. */
#define nacre_log(level, ...) \
	nacre_log_at((level), NACRE_LOG_FILE_NAME, __func__, __LINE__, __VA_ARGS__)
void nacre_log_at(enum nacre_log_level level, const char *file, const char *function, int line,
    const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same whatever the level, for a part of the program that has a level of its own. */
void nacre_log_va(enum nacre_log_level level, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
/* Each line of a text. */
void nacre_log_lines(enum nacre_log_level level, struct nacre_span text);
/* Logs at FATAL and exits with status 255. */
_Noreturn void nacre_fatal(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
#ifdef __FILE_NAME__
#define NACRE_LOG_FILE_NAME __FILE_NAME__
#else
#define NACRE_LOG_FILE_NAME __FILE__
#endif

/* A member of a JSON object; made with the functions below. */
struct nacre_log_field {
	const char *name;
	enum { NACRE_FIELD_ABSENT, NACRE_FIELD_TEXT, NACRE_FIELD_NUMBER, NACRE_FIELD_BOOLEAN } kind;
	struct nacre_span text;
	uint64_t number;
};

static inline struct nacre_log_field
nacre_field_span(const char *name, struct nacre_span text)
{
	struct nacre_log_field field = {name, NACRE_FIELD_TEXT, text, 0};

	return field;
}

/* NULL: the object has no such member. */
static inline struct nacre_log_field
nacre_field_text(const char *name, const char *text)
{
	struct nacre_log_field field = {name, NACRE_FIELD_ABSENT, {NULL, 0}, 0};

	return text != NULL ? nacre_field_span(name, nacre_span_of(text)) : field;
}

static inline struct nacre_log_field
nacre_field_number(const char *name, uint64_t number)
{
	struct nacre_log_field field = {name, NACRE_FIELD_NUMBER, {NULL, 0}, number};

	return field;
}

static inline struct nacre_log_field
nacre_field_boolean(const char *name, bool value)
{
	struct nacre_log_field field = {name, NACRE_FIELD_BOOLEAN, {NULL, 0}, value};

	return field;
}

/*
 * Something that happened: as text the line alone, if its level is written; as JSON an object with
 * the event's name, its members and the line as "message", from level INFO on, whatever "level".
 */
void nacre_log_event(enum nacre_log_level level, const char *event,
    const struct nacre_log_field *fields, size_t count, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Members that every object of this process has from now on, and of processes that it forks. They
 * are copied. */
void nacre_log_context_set(const struct nacre_log_field *fields, size_t count);

/*
 * One object on one line without a line end: appends it. Valid UTF-8 whatever the texts hold (what
 * is not becomes U+FFFD), of at most NACRE_LOG_OBJECT_MOST bytes: texts that are too long are cut
 * and "truncated" is set.
 */
#define NACRE_LOG_OBJECT_MOST ((size_t)8000)
struct nacre_log_object {
	const char *program, *level, *event;
	struct nacre_span context; /* as nacre_log_put_fields() made it */
	const struct nacre_log_field *fields;
	size_t field_count;
	struct nacre_span message;
};
void nacre_log_put_object(struct nacre_buffer *json, const struct nacre_log_object *object);
/* Members, each with a comma in front. */
void nacre_log_put_fields(
    struct nacre_buffer *json, const struct nacre_log_field *fields, size_t count, bool *truncated);

#ifdef __cplusplus
}
#endif
#endif
