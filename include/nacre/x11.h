/*
 * What forwarding an X11 display needs beside a channel (RFC 4254 section 6.3), without I/O: which
 * display DISPLAY names, and the cookie in the first message of every connection, which is a false
 * one that only the server was told, and becomes the display's own here.
 */
#ifndef NACRE_X11_H
#define NACRE_X11_H

#include <nacre/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A display, as DISPLAY names it: ":0", "unix:0.1", "host:10.0", "/path" or "/path:0". */
#define NACRE_X11_PATH_MAX 256
struct nacre_x11_display {
	char path[NACRE_X11_PATH_MAX]; /* of its Unix socket; "": TCP */
	char host[NACRE_X11_PATH_MAX];
	unsigned port;
	unsigned number, screen;
};
/* 0 or NACRE_ERROR_FORMAT. "text" holds nothing then that a command line could stumble over. */
int nacre_x11_display_parse(const char *text, struct nacre_x11_display *display);

#define NACRE_X11_COOKIE_MAX   64
#define NACRE_X11_PROTOCOL_MAX 64
struct nacre_x11_cookie {
	char protocol[NACRE_X11_PROTOCOL_MAX];                          /* "MIT-MAGIC-COOKIE-1" */
	uint8_t real[NACRE_X11_COOKIE_MAX], fake[NACRE_X11_COOKIE_MAX]; /* secrets */
	size_t length;                                                  /* of both */
};
/* Takes protocol and cookie from a line of "xauth list" (name, protocol, hexadecimal cookie). False:
 * it is none. */
bool nacre_x11_cookie_read(struct nacre_x11_cookie *cookie, struct nacre_span line);

enum nacre_x11_setup { NACRE_X11_MORE, NACRE_X11_GOOD, NACRE_X11_BAD };
/*
 * Looks at the beginning of what a client sends. GOOD: the first *length bytes are its whole first
 * message, with the false cookie, in whose place the real one is written. BAD: it is no such message
 * or has another cookie. MORE: not all of it is there yet.
 */
enum nacre_x11_setup nacre_x11_setup(
    const struct nacre_x11_cookie *cookie, uint8_t *message, size_t received, size_t *length);

#ifdef __cplusplus
}
#endif
#endif
