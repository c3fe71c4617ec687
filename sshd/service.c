/* The service manager's protocols: see sd_listen_fds(3) and sd_notify(3). */
#include "service.h"

#include <nacre/poller.h>

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKETS_MOST 64

size_t
service_sockets(void)
{
	const char *process = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");

	/* They are for this process only, and stay over a reload, which does not change it. */
	if (process == NULL || count == NULL || strtol(process, NULL, 10) != (long)getpid())
		return 0;
	long number = strtol(count, NULL, 10);
	return number > 0 && number <= SOCKETS_MOST ? (size_t)number : 0;
}

static void
notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (path == NULL || (path[0] != '/' && path[0] != '@') ||
	    strlen(path) >= sizeof address.sun_path)
		return;
	size_t length = strlen(path);
	memcpy(address.sun_path, path, length);
	/* '@' stands for the abstract namespace. */
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	(void)sendto(
	    fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&address, size);
	close(fd);
}

void
service_ready(void)
{
	char text[64];

	snprintf(text, sizeof text, "READY=1\nSTATUS=\nMAINPID=%ld", (long)getpid());
	notify(text);
}

void
service_reloading(void)
{
	char text[64];

	snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu",
	    (unsigned long long)nacre_clock_ms() * 1000);
	notify(text);
}

void
service_goes_on(const char *status)
{
	char text[256];

	snprintf(text, sizeof text, "READY=1\nSTATUS=%s", status);
	notify(text);
}

void
service_stopping(void)
{
	notify("STOPPING=1");
}
