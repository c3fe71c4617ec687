/*
 * What ssh and ssh-keysign, which signs with the keys of this machine for users of it, agree on.
 *
 * ssh starts ssh-keysign with the connection to the server as descriptor 3 and writes to its standard
 * input one string (RFC 4251 section 5): what is to be signed (RFC 4252 section 9), the session
 * identifier first. The signature comes back on standard output.
 */
#ifndef NACRE_KEYSIGN_H
#define NACRE_KEYSIGN_H

#include <nacre/error.h>
#include <nacre/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NACRE_KEYSIGN_CONNECTION 3
#define NACRE_KEYSIGN_DATA_MAX   ((size_t)64 * 1024)

/* The name of this machine as the server at the other end of the socket knows it: that of the local
 * address, or of the machine where there is no such address; lower case, with a dot behind it. The
 * caller frees *name. 0 or NACRE_ERROR_MEMORY. */
int nacre_keysign_local_name(int socket, char **name);

/* Whether "data" is a request that "user" of the machine "host" may have signed, and nothing else:
 * 0 with the algorithm and the key that are to sign, as spans into it; NACRE_ERROR_FORMAT, or
 * NACRE_ERROR_REFUSED when it speaks for somebody else. */
int nacre_keysign_check(struct nacre_span data, const char *user, const char *host,
    struct nacre_span *algorithm, struct nacre_span *blob);

#ifdef __cplusplus
}
#endif
#endif
