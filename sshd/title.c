/* What ps shows: the memory of the arguments, which a worker is started with enough of. */
#include "server.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

static char *title_start;
static size_t title_room;

void
title_prepare(int argc, char **argv)
{
	char *end = argv[0];

	/* The arguments lie one behind the other. */
	for (int i = 0; i < argc && argv[i] == end; i++)
		end = argv[i] + strlen(argv[i]) + 1;
	/* A worker is executed through a descriptor, whose name pgrep and killall would not find. */
	prctl(PR_SET_NAME, "sshd");
	title_start = argv[0];
	title_room = (size_t)(end - argv[0]);
}

void
title_set(const char *format, ...)
{
	char text[256];
	va_list arguments;

	if (title_room == 0)
		return;
	int start = snprintf(text, sizeof text, "sshd: ");
	va_start(arguments, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	vsnprintf(text + start, sizeof text - (size_t)start, format, arguments);
	va_end(arguments);
	memset(title_start, 0, title_room);
	snprintf(title_start, title_room, "%s", text);
}
