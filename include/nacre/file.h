/* Files as a whole: read into a buffer with a bound, bytes written to the last. */
#ifndef NACRE_FILE_H
#define NACRE_FILE_H

#include <nacre/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Appends the content of a file, at most "limit" bytes. NACRE_ERROR_SYSTEM with errno,
 * NACRE_ERROR_MEMORY when it is longer. */
int nacre_file_read(const char *path, size_t limit, struct nacre_buffer *content);
/* The same for what is left of an open file, whose descriptor stays the caller's. */
int nacre_file_read_descriptor(int fd, size_t limit, struct nacre_buffer *content);
/* Writes all of the bytes to a descriptor that blocks. NACRE_ERROR_SYSTEM with errno. */
int nacre_write_all(int fd, struct nacre_span bytes);

#ifdef __cplusplus
}
#endif
#endif
