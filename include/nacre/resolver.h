/*
 * Host names for a program that must not wait: the system's resolver blocks, so it runs on a few
 * threads that end when there is nothing to look up. Numeric addresses need none of them.
 */
#ifndef NACRE_RESOLVER_H
#define NACRE_RESOLVER_H

#include <nacre/error.h>

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct addrinfo;
struct nacre_resolver;

/* Takes over "list" (NULL when "error", one of getaddrinfo()'s, is not 0). */
typedef void nacre_resolver_done(void *context, int error, struct addrinfo *list);

/* "family" is AF_UNSPEC, AF_INET or AF_INET6. NULL without memory or descriptors. It stays until the
 * process ends. */
struct nacre_resolver *nacre_resolver_new(int family);
/* Becomes readable when nacre_resolver_ready() is due. */
int nacre_resolver_fd(const struct nacre_resolver *resolver);
/* Gives the answers that have come. */
void nacre_resolver_ready(struct nacre_resolver *resolver);
/* "done" is called once: before this returns where nothing is to be looked up, else by
 * nacre_resolver_ready(). "host" NULL: this machine's addresses to listen at, with "passive" all of
 * them, else the loopback's; the string is copied. */
void nacre_resolver_ask(struct nacre_resolver *resolver, const char *host, unsigned port,
    bool passive, nacre_resolver_done *done, void *context);

#ifdef __cplusplus
}
#endif
#endif
