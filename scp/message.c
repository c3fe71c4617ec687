/* What the programs of this folder say on standard error. */
#include <scp/scp.h>

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "scp: ", or nothing. */
static const char *prefix = "";

void
message_prefix(const char *text)
{
	prefix = text;
}

static void
print_message(const char *format, va_list arguments)
{
	char *text;

	/* A meter may have left the cursor in its line. */
	if (isatty(STDOUT_FILENO)) {
		fputs("\r", stdout);
		fflush(stdout);
	}
	if (vasprintf(&text, format, arguments) < 0)
		return;
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	fprintf(stderr, "%s%s\n", prefix, text);
	free(text);
}

void
complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_message(format, arguments);
	va_end(arguments);
}

void
die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_message(format, arguments);
	va_end(arguments);
	exit(255);
}
