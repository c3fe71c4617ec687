/* Whole files of text: read with a bound, rewritten atomically. */
#ifndef TRUST_FILE_H
#define TRUST_FILE_H

#include <nacre/error.h>
#include <nacre/wire.h>

#include <sys/stat.h>

#define TRUST_FILE_MAX ((size_t)64 * 1024 * 1024)
#define TRUST_LINE_MAX ((size_t)64 * 1024)

/* Appends what can be read from "fd", at most "limit" bytes. */
int trust_read_descriptor(int fd, size_t limit, struct nacre_buffer *text);
/* The same for a path. NACRE_ERROR_SYSTEM with errno, NACRE_ERROR_MEMORY when it is longer. */
int trust_read_file(const char *path, size_t limit, struct nacre_buffer *text);
/* Puts "text" in the place of the file with the file's mode; with "keep_old" the file that was
 * there stays as FILE.old. A reader sees the old text or the new one. NACRE_ERROR_SYSTEM with
 * errno. */
int trust_rewrite_file(const char *path, struct nacre_span text, bool keep_old);
/* Takes the next line off *text, without its end. */
bool trust_next_line(struct nacre_span *text, struct nacre_span *line);
/* Takes the next word off *text: what stands before a space or tab. Empty at the end. */
struct nacre_span trust_next_word(struct nacre_span *text);
struct nacre_span trust_trim(struct nacre_span text);

#endif
