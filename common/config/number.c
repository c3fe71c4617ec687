/* Numbers in configuration files: times, dates, sizes with suffixes, ports. */
#include <nacre/config.h>

#include <limits.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Digits into *value; false when there is none or the value does not fit. *text moves on. */
static bool
digits_parse(const char **text, uint64_t *value)
{
	const char *start = *text;

	for (*value = 0; **text >= '0' && **text <= '9'; (*text)++) {
		uint64_t digit = (uint64_t)(**text - '0');

		if (__builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, digit, value))
			return false;
	}
	return *text != start;
}

/* Seconds of a unit; 0: none of that name. The end of the text counts as seconds. */
static uint64_t
time_unit(char unit)
{
	static const struct {
		char names[3];
		uint64_t seconds;
	} units[] = {{"sS", 1}, {"mM", 60}, {"hH", 3600}, {"dD", 86400}, {"wW", 604800}};

	if (unit == '\0')
		return 1;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (strchr(units[i].names, unit) != NULL)
			return units[i].seconds;
	return 0;
}

int
nacre_parse_time(const char *text, int *seconds)
{
	uint64_t total = 0;

	if (*text == '\0')
		return NACRE_ERROR_FORMAT;
	while (*text != '\0') {
		uint64_t value, unit;

		if (!digits_parse(&text, &value) || (unit = time_unit(*text)) == 0)
			return NACRE_ERROR_FORMAT;
		if (__builtin_mul_overflow(value, unit, &value) ||
		    __builtin_add_overflow(total, value, &total) || total > INT_MAX)
			return NACRE_ERROR_FORMAT;
		if (*text != '\0')
			text++;
	}
	*seconds = (int)total;
	return 0;
}

/* "count" digits off the front of *text, which is known to hold digits only; 0 at its end. */
static int
digits_take(const char **text, unsigned count)
{
	int value = 0;

	for (; count > 0 && **text >= '0' && **text <= '9'; count--)
		value = 10 * value + (*(*text)++ - '0');
	return value;
}

int
nacre_parse_date(const char *text, uint64_t *seconds)
{
	struct tm when = {.tm_isdst = -1};
	size_t length = strlen(text);
	bool utc = length > 0 && (text[length - 1] == 'Z' || text[length - 1] == 'z');
	time_t value;

	length -= utc;
	if (strspn(text, "0123456789") != length || (length != 8 && length != 12 && length != 14))
		return NACRE_ERROR_FORMAT;
	when.tm_year = digits_take(&text, 4) - 1900;
	when.tm_mon = digits_take(&text, 2) - 1;
	when.tm_mday = digits_take(&text, 2);
	when.tm_hour = digits_take(&text, 2);
	when.tm_min = digits_take(&text, 2);
	when.tm_sec = digits_take(&text, 2);
	if (when.tm_mon < 0 || when.tm_mon > 11 || when.tm_mday < 1 || when.tm_mday > 31 ||
	    when.tm_hour > 23 || when.tm_min > 59 || when.tm_sec > 60)
		return NACRE_ERROR_FORMAT;
	value = utc ? timegm(&when) : mktime(&when);
	*seconds = value > 0 ? (uint64_t)value : 0;
	return value > 0 ? 0 : NACRE_ERROR_FORMAT;
}

int
nacre_parse_size(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "kmg";
	uint64_t value;
	unsigned shift = 0;

	if (!digits_parse(&text, &value))
		return NACRE_ERROR_FORMAT;
	if (*text != '\0') {
		const char *suffix = strchr(suffixes, *text | 0x20);

		if (suffix == NULL || text[1] != '\0')
			return NACRE_ERROR_FORMAT;
		shift = 10 * (unsigned)(suffix - suffixes + 1);
	}
	if (value > (uint64_t)INT64_MAX >> shift)
		return NACRE_ERROR_FORMAT;
	*bytes = value << shift;
	return 0;
}

int
nacre_parse_port(const char *text, int *port)
{
	struct servent *service;
	uint64_t value;
	const char *end = text;

	if (digits_parse(&end, &value) && *end == '\0') {
		if (value > 65535)
			return NACRE_ERROR_FORMAT;
		*port = (int)value;
		return 0;
	}
	if (*text == '\0' || (*text >= '0' && *text <= '9'))
		return NACRE_ERROR_FORMAT;
	service = getservbyname(text, "tcp");
	if (service == NULL)
		return NACRE_ERROR_FORMAT;
	*port = (service->s_port & 0xff) << 8 | (service->s_port >> 8 & 0xff);
	return 0;
}
