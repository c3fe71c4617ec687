/* The person's terminal: raw mode and back, size. */
#ifndef NACRE_TERMINAL_H
#define NACRE_TERMINAL_H

#include <nacre/error.h>
#include <nacre/session.h>

#include <termios.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Puts the terminal "fd" into raw mode and remembers its settings: a process has one terminal at a
 * time. Calling again while raw changes nothing. 0 or NACRE_ERROR_SYSTEM. */
int nacre_terminal_raw(int fd);
/* Restores what nacre_terminal_raw() changed, if it did. Safe in a signal handler. */
void nacre_terminal_restore(void);
/* True between the two. */
bool nacre_terminal_is_raw(void);

/* Size of the terminal "fd"; all zero and NACRE_ERROR_SYSTEM when it is none. */
int nacre_terminal_size(int fd, struct nacre_window_size *size);

/* The settings of the terminal "fd", those from before raw mode if it is raw: what
 * nacre_terminal_modes_encode() wants. 0 or NACRE_ERROR_SYSTEM when it is none. */
int nacre_terminal_settings(int fd, struct termios *settings);

#ifdef __cplusplus
}
#endif
#endif
