/* Displays and cookies of X11: see nacre/x11.h. The message is that of the X Window System Protocol,
 * "Connection Setup". */
#include <nacre/crypto.h>
#include <nacre/error.h>
#include <nacre/x11.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PORT  6000u
#define NUMBER_MAX  59535u
#define SCREEN_MAX  400u
#define HEADER      ((size_t)12)
#define NAME_LENGTH 6
#define DATA_LENGTH 8

/* Displays --------------------------------------------------------------------------------------- */

static bool
take_number(const char **text, unsigned most, unsigned *number)
{
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	const unsigned long value = strtoul(*text, &end, 10);
	*text = end;
	*number = (unsigned)value;
	return value <= most;
}

/* "NUMBER" or "NUMBER.SCREEN". */
static bool
take_numbers(const char *text, struct nacre_x11_display *display)
{
	if (!take_number(&text, NUMBER_MAX, &display->number))
		return false;
	if (*text == '.') {
		text++;
		if (!take_number(&text, SCREEN_MAX, &display->screen))
			return false;
	}
	return *text == '\0';
}

static bool
harmless(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789:/.-_[]%";

	return text[strspn(text, allowed)] == '\0' && *text != '-';
}

static bool
put_path(struct nacre_x11_display *display, const char *text, size_t length)
{
	return (size_t)snprintf(display->path, sizeof display->path, "%.*s", (int)length, text) <
	       sizeof display->path;
}

int
nacre_x11_display_parse(const char *text, struct nacre_x11_display *display)
{
	const char *const colon = strrchr(text, ':');

	*display = (struct nacre_x11_display){0};
	if (!harmless(text) || *text == '\0' || strlen(text) >= NACRE_X11_PATH_MAX)
		return NACRE_ERROR_FORMAT;
	const bool numbers = colon != NULL && take_numbers(colon + 1, display);
	if (*text == '/') {
		/* Some systems have the socket's whole name, number included, there. */
		put_path(display, text, strlen(text));
		return 0;
	}
	if (!numbers)
		return NACRE_ERROR_FORMAT;
	const size_t host = (size_t)(colon - text);
	if (host == 0 || (host == 4 && memcmp(text, "unix", 4) == 0)) {
		snprintf(
		    display->path, sizeof display->path, "/tmp/.X11-unix/X%u", display->number);
		return 0;
	}
	snprintf(display->host, sizeof display->host, "%.*s", (int)host, text);
	display->port = FIRST_PORT + display->number;
	return 0;
}

/* Cookies ---------------------------------------------------------------------------------------- */

static struct nacre_span
next_word(struct nacre_span *line)
{
	struct nacre_span word = {line->data, 0};
	size_t at = 0;

	while (at < line->length && (line->data[at] == ' ' || line->data[at] == '\t'))
		at++;
	word.data = line->data + at;
	while (at < line->length && line->data[at] != ' ' && line->data[at] != '\t')
		at++;
	word.length = (size_t)(line->data + at - word.data);
	line->data += at;
	line->length -= at;
	return word;
}

static int
digit(uint8_t character)
{
	if (character >= '0' && character <= '9')
		return character - '0';
	character |= 0x20;
	return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

static bool
take_cookie(struct nacre_x11_cookie *cookie, struct nacre_span text)
{
	cookie->length = text.length / 2;
	if (text.length == 0 || text.length % 2 != 0 || cookie->length > sizeof cookie->real)
		return false;
	for (size_t i = 0; i < cookie->length; i++) {
		const int high = digit(text.data[2 * i]), low = digit(text.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		cookie->real[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

bool
nacre_x11_cookie_read(struct nacre_x11_cookie *cookie, struct nacre_span line)
{
	next_word(&line); /* the display */
	const struct nacre_span protocol = next_word(&line), data = next_word(&line);

	if (protocol.length == 0 || protocol.length >= sizeof cookie->protocol)
		return false;
	memcpy(cookie->protocol, protocol.data, protocol.length);
	cookie->protocol[protocol.length] = '\0';
	return take_cookie(cookie, data);
}

/* The first message ------------------------------------------------------------------------------ */

static size_t
length_at(const uint8_t *message, size_t at)
{
	return message[0] == 'B' ? (size_t)message[at] << 8 | message[at + 1]
				 : (size_t)message[at + 1] << 8 | message[at];
}

static size_t
padded(size_t length)
{
	return (length + 3) & ~(size_t)3;
}

enum nacre_x11_setup
nacre_x11_setup(
    const struct nacre_x11_cookie *cookie, uint8_t *message, size_t received, size_t *length)
{
	if (received > 0 && message[0] != 'B' && message[0] != 'l')
		return NACRE_X11_BAD;
	if (received < HEADER)
		return NACRE_X11_MORE;
	const size_t name_length = length_at(message, NAME_LENGTH);
	const size_t data_length = length_at(message, DATA_LENGTH);
	if (name_length != strlen(cookie->protocol) || data_length != cookie->length)
		return NACRE_X11_BAD;
	*length = HEADER + padded(name_length) + padded(data_length);
	if (received < *length)
		return NACRE_X11_MORE;
	uint8_t *const data = message + HEADER + padded(name_length);
	if (memcmp(message + HEADER, cookie->protocol, name_length) != 0 ||
	    !nacre_secret_equal(data, cookie->fake, data_length))
		return NACRE_X11_BAD;
	memcpy(data, cookie->real, data_length);
	return NACRE_X11_GOOD;
}
