/*
 * Encoded terminal modes, RFC 4254 section 8 and RFC 8160: how a pty-req carries the settings of
 * the client's terminal to the server's pty.
 */
#ifndef NACRE_TERMINAL_MODES_H
#define NACRE_TERMINAL_MODES_H

#include <nacre/error.h>
#include <nacre/wire.h>

#include <termios.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Appends all modes that this system has, the speeds, and TTY_OP_END. */
void nacre_terminal_modes_encode(const struct termios *termios, struct nacre_buffer *modes);
/*
 * Sets in *termios what "modes" (hostile) says and this system has; the rest stays. Opcodes up to
 * 159 that are unknown are skipped; the list ends at TTY_OP_END, an opcode from 160 on, or its
 * end. NACRE_ERROR_FORMAT when an argument is cut short: what came before it is set.
 */
int nacre_terminal_modes_apply(struct nacre_span modes, struct termios *termios);

#ifdef __cplusplus
}
#endif
#endif
