/*
 * A service manager (systemd) that has started us: sockets that it passes, and what it is told. The
 * protocols are environment variables and a datagram; no library is needed.
 */
#ifndef SSHD_SERVICE_H
#define SSHD_SERVICE_H

#include <stddef.h>

/* The sockets that were passed (LISTEN_FDS): how many; they begin at SERVICE_FIRST_SOCKET. */
#define SERVICE_FIRST_SOCKET 3
size_t service_sockets(void);

/* Tells the manager (NOTIFY_SOCKET), if there is one. They never wait. */
void service_ready(void);
void service_reloading(void);
/* The reload did not happen: "status" says why. */
void service_goes_on(const char *status);
void service_stopping(void);

#endif
