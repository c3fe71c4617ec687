/* ObscureKeystrokeTiming: when keystrokes leave says nothing about when they were typed. */
#ifndef SSH_OBSCURE_H
#define SSH_OBSCURE_H

#include "ssh/connection.h"

/* Begins to watch over what is typed, if the configuration and the server let us. */
void obscure_begin(struct session_channel *own);
/* Whether what was typed (own->typed) is to stay until the next beat. */
bool obscure_holds(struct session_channel *own);

#endif
