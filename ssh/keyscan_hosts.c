/* ssh-keyscan: the hosts to be asked, from the command line and from files. Networks are counted
 * through and never held in memory. */
#include "keyscan.h"

#include <nacre/log.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A file that is read line by line, or a line by itself. */
struct source {
	struct source *next;
	char *text;
	FILE *file;
};

/* Addresses of a network, from the next one to the last. */
struct range {
	int family;
	uint8_t next[16], last[16];
	size_t length; /* bytes; 0: none is left */
};

struct hosts {
	struct source *first, **tail;
	struct range range;
	char *line;
	size_t room;
};

static _Noreturn void
out_of_memory(void)
{
	nacre_fatal("%s", nacre_error_string(NACRE_ERROR_MEMORY));
}

static char *
copy(const char *text)
{
	char *const result = strdup(text);

	if (result == NULL)
		out_of_memory();
	return result;
}

void
target_free(struct target *target)
{
	free(target->addresses);
	free(target->names);
	*target = (struct target){0};
}

struct hosts *
hosts_new(void)
{
	struct hosts *const hosts = calloc(1, sizeof *hosts);

	if (hosts == NULL)
		out_of_memory();
	hosts->tail = &hosts->first;
	return hosts;
}

static void
drop_source(struct hosts *hosts)
{
	struct source *const source = hosts->first;

	if ((hosts->first = source->next) == NULL)
		hosts->tail = &hosts->first;
	if (source->file != NULL && source->file != stdin)
		fclose(source->file);
	free(source->text);
	free(source);
}

void
hosts_free(struct hosts *hosts)
{
	while (hosts->first != NULL)
		drop_source(hosts);
	free(hosts->line);
	free(hosts);
}

static struct source *
add_source(struct hosts *hosts)
{
	struct source *const source = calloc(1, sizeof *source);

	if (source == NULL)
		out_of_memory();
	*hosts->tail = source;
	hosts->tail = &source->next;
	return source;
}

void
hosts_add(struct hosts *hosts, const char *text)
{
	add_source(hosts)->text = copy(text);
}

void
hosts_add_file(struct hosts *hosts, const char *path)
{
	FILE *const file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");

	if (file == NULL)
		nacre_fatal("%s: %s", path, strerror(errno));
	add_source(hosts)->file = file;
}

/* Networks ---------------------------------------------------------------------------------- */

/* Sets the bits behind the first "prefix" ones. */
static void
fill_bits(uint8_t *bytes, size_t length, unsigned prefix, bool ones)
{
	for (unsigned bit = prefix; bit < 8 * length; bit++) {
		const uint8_t mask = (uint8_t)(0x80 >> bit % 8);

		bytes[bit / 8] = (uint8_t)(ones ? bytes[bit / 8] | mask : bytes[bit / 8] & ~mask);
	}
}

/* "ADDRESS/BITS"; false when the text is something else. */
static bool
range_parse(const char *text, struct range *range)
{
	char address[INET6_ADDRSTRLEN + 1];
	const char *const slash = strchr(text, '/');
	char *end;

	if (slash == NULL || (size_t)(slash - text) >= sizeof address)
		return false;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	const unsigned long prefix = strtoul(slash + 1, &end, 10);
	*range = (struct range){.family = AF_INET, .length = 4};
	if (inet_pton(AF_INET, address, range->next) != 1) {
		*range = (struct range){.family = AF_INET6, .length = 16};
		if (inet_pton(AF_INET6, address, range->next) != 1)
			return false;
	}
	if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || prefix > 8 * range->length)
		nacre_fatal("%s: no network has so many bits", text);
	memcpy(range->last, range->next, sizeof range->last);
	fill_bits(range->next, range->length, (unsigned)prefix, false);
	fill_bits(range->last, range->length, (unsigned)prefix, true);
	return true;
}

static bool
range_next(struct range *range, struct target *target)
{
	char text[INET6_ADDRSTRLEN];

	if (range->length == 0 || inet_ntop(range->family, range->next, text, sizeof text) == NULL)
		return false;
	*target = (struct target){copy(text), copy(text), true};
	if (memcmp(range->next, range->last, range->length) == 0) {
		range->length = 0;
		return true;
	}
	size_t i = range->length;
	while (i > 0 && ++range->next[--i] == 0)
		continue;
	return true;
}

/* Lines ------------------------------------------------------------------------------------- */

/* The line of the first source; NULL when it has none any more. */
static char *
next_text(struct hosts *hosts)
{
	struct source *const source = hosts->first;
	char *const text = source->text;

	if (source->file == NULL) {
		source->text = NULL;
		return text;
	}
	const ssize_t length = getline(&hosts->line, &hosts->room, source->file);
	return length < 0 ? NULL : copy(hosts->line);
}

/* "addresses [names]", up to a comment. False when there is nothing. */
static bool
parse_line(struct hosts *hosts, char *text, struct target *target)
{
	static const char blank[] = " \t\r\n";
	char *save = NULL;

	text[strcspn(text, "#")] = '\0';
	const char *const addresses = strtok_r(text, blank, &save);
	const char *const names = addresses != NULL ? strtok_r(NULL, blank, &save) : NULL;
	if (addresses == NULL)
		return false;
	if (range_parse(addresses, &hosts->range))
		return range_next(&hosts->range, target);
	*target = (struct target){copy(addresses), copy(names != NULL ? names : addresses), false};
	return true;
}

bool
hosts_next(struct hosts *hosts, struct target *target)
{
	if (range_next(&hosts->range, target))
		return true;
	while (hosts->first != NULL) {
		char *const text = next_text(hosts);

		if (text == NULL) {
			drop_source(hosts);
			continue;
		}
		const bool found = parse_line(hosts, text, target);
		free(text);
		if (found)
			return true;
	}
	return false;
}
