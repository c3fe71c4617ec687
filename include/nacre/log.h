/*
 * The log of a program: to standard error, a file or syslog. A process has one log; the library's
 * protocol core never writes to it.
 */
#ifndef NACRE_LOG_H
#define NACRE_LOG_H

#include <nacre/session.h>

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

enum nacre_log_output { NACRE_LOG_STDERR, NACRE_LOG_FILE, NACRE_LOG_SYSLOG };

/*
 * Where lines go from now on. "program" is borrowed and names the process in syslog. "path" is for
 * NACRE_LOG_FILE (opened for appending, created with mode 0600); "facility" for NACRE_LOG_SYSLOG.
 * Lines on standard error end in CR LF, and those of levels DEBUG1 to 3 begin with "debug1: ". 0 or
 * NACRE_ERROR_SYSTEM.
 */
int nacre_log_open(
    const char *program, enum nacre_log_output output, const char *path, int facility);
/* The most verbose level that is written; INFO at first. */
void nacre_log_level_set(enum nacre_log_level level);
enum nacre_log_level nacre_log_level_get(void);
/* "INFO" and so on to the level, and back; -1 or NULL when there is none. */
int nacre_log_level_of_name(const char *name);
const char *nacre_log_level_name(enum nacre_log_level level);
/* "AUTH", "LOCAL0", ... to syslog's number, and back. */
int nacre_log_facility_of_name(const char *name);
const char *nacre_log_facility_name(int facility);

/* One line, as by printf, without a newline at its end. Control characters are written as \ooo,
 * so that nothing hostile reaches a terminal or forges a line. */
void nacre_log(enum nacre_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void nacre_log_va(enum nacre_log_level level, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
/* Logs at FATAL and exits with status 255. */
_Noreturn void nacre_fatal(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#ifdef __cplusplus
}
#endif
#endif
