/* ssh-keygen -V: from when and until when a certificate is valid. */
#include "keygen.h"

#include <nacre/config.h>
#include <nacre/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Clocks differ: what is valid from now on is so from the minute before on. */
#define SKEW 59

/* "+1h" or "-2w3d" from now. "what": what the complaint calls it. */
static uint64_t
relative(const char *text, const char *what)
{
	const int64_t now = time(NULL);
	int seconds;

	if (nacre_parse_time(text + 1, &seconds) != 0)
		nacre_fatal("Invalid relative certificate %s %s", what, text);
	if (*text == '-')
		return now > seconds ? (uint64_t)(now - seconds) : 0;
	return (uint64_t)(now + seconds);
}

static uint64_t
hexadecimal(const char *text)
{
	uint64_t value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 16);
	if (text[2] == '\0' || *end != '\0')
		nacre_fatal("Invalid certificate time: not a number");
	if (errno == ERANGE)
		nacre_fatal("Invalid certificate time: %s", strerror(errno));
	return value;
}

/* One end; "open" is the word for there being none, which is "without_end". */
static uint64_t
end_parse(const char *text, const char *open, uint64_t without_end, const char *name)
{
	uint64_t value;

	if (strcmp(text, open) == 0)
		return without_end;
	if (*text == '-' || *text == '+')
		return relative(text, "time");
	if (strncmp(text, "0x", 2) == 0)
		return hexadecimal(text);
	if (nacre_parse_date(text, &value) != 0)
		nacre_fatal("Invalid %s time \"%s\"", name, text);
	return value;
}

void
keygen_validity_parse(const char *text, uint64_t *after, uint64_t *before)
{
	const char *colon = strchr(text, ':');
	char *from;

	*after = 0;
	*before = UINT64_MAX;
	if (text[0] == '+' && colon == NULL) {
		*before = relative(text, "life");
		*after = ((uint64_t)time(NULL) - SKEW) / 60 * 60;
		return;
	}
	if (colon == NULL || colon == text || colon[1] == '\0')
		nacre_fatal("Invalid certificate life specification %s", text);
	if ((from = strndup(text, (size_t)(colon - text))) == NULL)
		nacre_fatal("out of memory");
	*after = end_parse(from, "always", 0, "from");
	*before = end_parse(colon + 1, "forever", UINT64_MAX, "to");
	free(from);
	if (*before <= *after)
		nacre_fatal("Empty certificate validity interval");
}

static void
put_date(struct nacre_buffer *text, uint64_t seconds)
{
	const time_t moment = (time_t)seconds;
	char date[48];
	struct tm when;

	if (seconds <= INT64_MAX && localtime_r(&moment, &when) != NULL &&
	    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &when) > 0)
		nacre_put_format(text, "%s", date);
	else
		nacre_put_format(text, "0x%llx", (unsigned long long)seconds);
}

void
keygen_put_validity(struct nacre_buffer *text, uint64_t after, uint64_t before)
{
	const bool ends = before != UINT64_MAX;

	if (after == 0 && !ends) {
		nacre_put_format(text, "forever");
		return;
	}
	if (after != 0) {
		nacre_put_format(text, ends ? "from " : "after ");
		put_date(text, after);
	}
	if (ends) {
		nacre_put_format(text, after != 0 ? " to " : "before ");
		put_date(text, before);
	}
}
