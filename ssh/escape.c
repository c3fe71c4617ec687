/* Escape sequences, as the ESCAPE CHARACTERS section of ssh(1) describes them. */
#include "ssh/ssh.h"

#include <nacre/log.h>

#include <stdio.h>
#include <unistd.h>

#define CONTROL(letter) ((letter)&0x1f)

static const struct escape_row {
	int character;
	enum escape_action action;
	const char *shown, *help;
} escape_rows[] = {
    {'.', ESCAPE_TERMINATE, ".", "terminate connection (and any multiplexed sessions)"},
    {'B', ESCAPE_BREAK, "B", "send a BREAK to the remote system"},
    {'C', ESCAPE_COMMAND_LINE, "C", "open a command line"},
    {'R', ESCAPE_REKEY, "R", "request rekey"},
    {'V', ESCAPE_LESS_VERBOSE, "V/v", "decrease/increase verbosity (LogLevel)"},
    {'v', ESCAPE_MORE_VERBOSE, NULL, NULL},
    {CONTROL('Z'), ESCAPE_SUSPEND, "^Z", "suspend ssh"},
    {'#', ESCAPE_LIST, "#", "list forwarded connections"},
    {'&', ESCAPE_BACKGROUND, "&", "background ssh (when waiting for connections to terminate)"},
    {'?', ESCAPE_HELP, "?", "this message"},
};

#define ROWS (sizeof escape_rows / sizeof *escape_rows)

static enum escape_action
action_of(uint8_t byte)
{
	for (size_t i = 0; i < ROWS; i++)
		if (escape_rows[i].character == byte)
			return escape_rows[i].action;
	return ESCAPE_NONE;
}

enum escape_action
escape_filter(struct escape *escape, const uint8_t *in, size_t length, size_t *taken, uint8_t *out,
    size_t *put)
{
	*put = 0;
	for (size_t i = 0; i < length; i++) {
		const uint8_t byte = in[i];

		*taken = i + 1;
		if (escape->pending) {
			escape->pending = false;
			const enum escape_action action = action_of(byte);
			if (action != ESCAPE_NONE)
				return action;
			/* Twice is once; before anything else it was meant literally. */
			if (byte != escape->character)
				out[(*put)++] = (uint8_t)escape->character;
		} else if (escape->at_line_start && byte == escape->character) {
			escape->pending = true;
			continue;
		}
		escape->at_line_start = byte == '\r' || byte == '\n';
		out[(*put)++] = byte;
	}
	return ESCAPE_NONE;
}

void
escape_print_help(const struct escape *escape)
{
	dprintf(STDERR_FILENO, "%c?\r\nSupported escape sequences:\r\n", escape->character);
	for (size_t i = 0; i < ROWS; i++)
		if (escape_rows[i].help != NULL &&
		    (escape->command_line || escape_rows[i].action != ESCAPE_COMMAND_LINE))
			dprintf(STDERR_FILENO, " %c%-4s- %s\r\n", escape->character,
			    escape_rows[i].shown, escape_rows[i].help);
	dprintf(STDERR_FILENO,
	    " %c%c   - send the escape character by typing it twice\r\n"
	    "(Note that escapes are only recognized immediately after newline.)\r\n",
	    escape->character, escape->character);
}
