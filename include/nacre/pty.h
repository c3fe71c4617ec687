/* Pseudo-terminals: opening one for a user and telling its size. */
#ifndef NACRE_PTY_H
#define NACRE_PTY_H

#include <nacre/error.h>
#include <nacre/session.h>

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NACRE_PTY_NAME_LENGTH 64

/* Opens a pair (close-on-exec); "name" becomes the device of the terminal side. The terminal
 * belongs to the effective user, its group is tty (mode 620) where the system does that, and its
 * mode is 600 where not. 0 or NACRE_ERROR_SYSTEM. */
int nacre_pty_open(int *master, int *terminal, char name[NACRE_PTY_NAME_LENGTH]);
/* Sets the size of the terminal, which tells its programs (SIGWINCH). 0 or NACRE_ERROR_SYSTEM. */
int nacre_pty_set_size(int fd, const struct nacre_window_size *size);

#ifdef __cplusplus
}
#endif
#endif
