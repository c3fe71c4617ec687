/* What ssh-pkcs11-helper and ssh-sk-helper have in common: how they start and how they are asked. */
#ifndef SSH_PROVIDER_SERVE_H
#define SSH_PROVIDER_SERVE_H

#include <nacre/wire.h>

/* Protects memory, opens the log; exits with a word to who started the program by hand. */
void provider_begin(const char *name, int count, char **arguments);
/* Receives one request from standard input and sends what "handle" makes of it; false when the other
 * end is gone. */
bool provider_serve_one(
    void (*handle)(void *context, struct nacre_span message, struct nacre_buffer *answer),
    void *context);

#endif
