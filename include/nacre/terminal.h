/*
 * Terminals: raw mode and back, size, and the encoded terminal modes of RFC 4254 section 8 (with
 * RFC 8160).
 */
#ifndef NACRE_TERMINAL_H
#define NACRE_TERMINAL_H

#include <nacre/error.h>
#include <nacre/session.h>
#include <nacre/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Puts the terminal "fd" into raw mode and remembers its settings: a process has one terminal at a
 * time. Calling again while raw changes nothing. 0 or NACRE_ERROR_SYSTEM. */
int nacre_terminal_raw(int fd);
/* Restores what nacre_terminal_raw() changed, if it did. Safe in a signal handler. */
void nacre_terminal_restore(void);
bool nacre_terminal_is_raw(void);

/* Size of the terminal "fd"; all zero and NACRE_ERROR_SYSTEM when it is none. */
int nacre_terminal_size(int fd, struct nacre_window_size *size);

/* Appends the modes of the terminal "fd" as a pty-req carries them (those before raw mode, if it is
 * raw); just the end mark when fd is not a terminal. 0 or NACRE_ERROR_MEMORY. */
int nacre_terminal_modes_encode(int fd, struct nacre_buffer *modes);
/*
 * Server: applies encoded modes to the terminal "fd" (the slave of a pty). Opcodes that this system
 * does not know are skipped. NACRE_ERROR_FORMAT for a truncated list (what came before it is
 * applied), NACRE_ERROR_SYSTEM when the terminal refuses.
 */
int nacre_terminal_modes_apply(int fd, struct nacre_span modes);

#ifdef __cplusplus
}
#endif
#endif
