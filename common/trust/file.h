/* Files that decide who is trusted: how long they may be, and how they are rewritten. */
#ifndef TRUST_FILE_H
#define TRUST_FILE_H

#include <nacre/file.h>
#include <wire/text.h>

#define TRUST_FILE_MAX ((size_t)64 * 1024 * 1024)
#define TRUST_LINE_MAX ((size_t)64 * 1024)

/* Puts "text" in the place of the file with the file's mode; with "keep_old" the file that was
 * there stays as FILE.old. A reader sees the old text or the new one. NACRE_ERROR_SYSTEM with
 * errno. */
int trust_rewrite_file(const char *path, struct nacre_span text, bool keep_old);

#endif
