/* What the programs of this folder say, on standard output and standard error, or to a transcript
 * while its time has not come. */
#include <scp/scp.h>

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

/* "scp: ", or nothing. */
static const char *prefix = "";
/* NULL: all is said at once. */
static struct nacre_buffer *transcript;

enum stream { STREAM_OUTPUT = 1, STREAM_ERRORS = 2 };

void
message_prefix(const char *text)
{
	prefix = text;
}

char *
make_visible(char *text)
{
	for (char *p = text; *p != '\0'; p++)
		if (((unsigned char)*p < 0x20 && *p != '\t' && (*p != '\n' || p[1] != '\0')) ||
		    *p == 0x7f)
			*p = '?';
	return text;
}

struct nacre_buffer *
message_divert(struct nacre_buffer *to)
{
	struct nacre_buffer *const before = transcript;

	transcript = to;
	return before;
}

static void
emit(enum stream stream, struct nacre_span text)
{
	if (transcript != NULL) {
		nacre_put_byte(transcript, (uint8_t)stream);
		nacre_put_string_span(transcript, text);
		return;
	}
	/* A meter may have left the cursor in its line. */
	if (stream == STREAM_ERRORS && isatty(STDOUT_FILENO)) {
		fputs("\r", stdout);
		fflush(stdout);
	}
	fwrite(text.data, 1, text.length, stream == STREAM_ERRORS ? stderr : stdout);
}

void
message_replay(const struct nacre_buffer *from)
{
	struct nacre_reader reader = nacre_reader_of(nacre_buffer_span(from));

	while (reader.length > 0 && !reader.failed) {
		const enum stream stream = (enum stream)nacre_get_byte(&reader);

		/* In the order in which it was said. */
		if (stream == STREAM_ERRORS && transcript == NULL)
			fflush(stdout);
		emit(stream, nacre_get_string(&reader));
	}
	if (from->failed)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
}

/* A printable character at "text", or what may stand in a message besides; 0: none. On standard
 * error only ASCII is, as OpenSSH has it. */
static size_t
printable_length(enum stream stream, const char *text, size_t left)
{
	const unsigned char c = (unsigned char)*text;
	mbstate_t state = {0};
	wchar_t character;

	if (c < 0x80)
		return (c >= 0x20 && c != 0x7f) || c == '\t' || (c == '\n' && left == 1) ? 1 : 0;
	if (stream == STREAM_ERRORS)
		return 0;
	const size_t length = mbrtowc(&character, text, left, &state);
	return length <= left && iswprint((wint_t)character) ? length : 0;
}

/* Names come from others: what a terminal would act on is shown in octal. */
static void
print_message(enum stream stream, const char *format, va_list arguments)
{
	struct nacre_buffer shown = {0};
	char *text;
	const int length = vasprintf(&text, format, arguments);

	if (length < 0)
		return;
	for (size_t at = 0, left = (size_t)length; left > 0;) {
		size_t count = printable_length(stream, text + at, left);

		/* Errors are quoted as OpenSSH's are. */
		if (stream == STREAM_ERRORS && text[at] == '\\')
			nacre_put_byte(&shown, '\\');
		if (count > 0)
			nacre_put_bytes(&shown, (const uint8_t *)text + at, count);
		else
			nacre_put_format(&shown, "\\%03o", (unsigned char)text[at]);
		count = count > 0 ? count : 1;
		at += count;
		left -= count;
	}
	emit(stream, nacre_buffer_span(&shown));
	nacre_buffer_free(&shown);
	free(text);
}

void
say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_message(STREAM_OUTPUT, format, arguments);
	va_end(arguments);
}

static void
print_complaint(const char *format, va_list arguments)
{
	char *whole;

	if (asprintf(&whole, "%s%s\n", prefix, format) < 0)
		return;
	print_message(STREAM_ERRORS, whole, arguments);
	free(whole);
}

void
complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_complaint(format, arguments);
	va_end(arguments);
}

void
die(const char *format, ...)
{
	va_list arguments;

	transcript = NULL;
	va_start(arguments, format);
	print_complaint(format, arguments);
	va_end(arguments);
	exit(255);
}
