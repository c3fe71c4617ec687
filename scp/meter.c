/* The progress meter: a line for the file that is under way, in the form of OpenSSH's scp. */
#include <scp/scp.h>

#include <nacre/poller.h>

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define FIELDS_WIDTH  35 /* columns behind the name */
#define WIDTH_DEFAULT 80
#define INTERVAL      200 /* ms between two drawings */
#define LINE_MAX_     512

struct meter {
	char *name;
	uint64_t size, copied, started, drawn;
	uint64_t rate_at, rate_copied; /* where the present rate is measured from */
	double rate;                   /* bytes per second, smoothed */
};

struct meter *
meter_new(void)
{
	if (!isatty(STDOUT_FILENO) || tcgetpgrp(STDOUT_FILENO) != getpgrp())
		return NULL;
	return calloc(1, sizeof(struct meter));
}

void
meter_free(struct meter *meter)
{
	if (meter != NULL)
		free(meter->name);
	free(meter);
}

/* Asked each time: the window may have been resized. */
static size_t
terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return WIDTH_DEFAULT;
	return size.ws_col < LINE_MAX_ ? size.ws_col : LINE_MAX_ - 1;
}

static void
format_size(char *text, size_t length, double bytes)
{
	static const char units[] = " KMGTPE";
	size_t unit = 0;

	while (bytes >= 10000 && units[unit + 1] != '\0') {
		bytes /= 1024;
		unit++;
	}
	snprintf(text, length, "%4.0f%c%c", bytes, units[unit], unit > 0 ? 'B' : ' ');
}

static void
format_rate(char *text, size_t length, double rate)
{
	static const char units[] = "KMGT";
	size_t unit = 0;

	for (rate /= 1024; rate >= 1000 && units[unit + 1] != '\0'; unit++)
		rate /= 1024;
	snprintf(text, length, "%5.1f%cB/s", rate, units[unit]);
}

static void
format_time(char *text, size_t length, double seconds)
{
	unsigned long whole = seconds > 359999 ? 359999 : (unsigned long)seconds;

	if (whole >= 3600)
		snprintf(
		    text, length, "%lu:%02lu:%02lu", whole / 3600, whole / 60 % 60, whole % 60);
	else
		snprintf(text, length, "  %02lu:%02lu", whole / 60, whole % 60);
}

static void
put_name(char *line, size_t width, const char *name)
{
	const size_t length = strlen(name) < width ? strlen(name) : width;

	memcpy(line, name, length);
	memset(line + length, ' ', width - length);
	line[width] = '\0';
	make_visible(line);
}

static void
draw(struct meter *meter, bool done, uint64_t now)
{
	size_t width = terminal_width();
	size_t name_width = width > FIELDS_WIDTH ? width - FIELDS_WIDTH : 1;
	double elapsed = (double)(now - meter->started) / 1000;
	double left = meter->size > meter->copied ? (double)(meter->size - meter->copied) : 0;
	double rate = done && elapsed > 0 ? (double)meter->copied / elapsed : meter->rate;
	unsigned percent =
	    meter->size > 0 ? (unsigned)((double)meter->copied * 100 / (double)meter->size) : 100;
	char name[LINE_MAX_ + 1], size[16], speed[24], when[24];

	put_name(name, name_width, meter->name != NULL ? meter->name : "");
	format_size(size, sizeof size, (double)meter->copied);
	format_rate(speed, sizeof speed, rate);
	if (done)
		format_time(when, sizeof when, elapsed);
	else if (rate <= 0)
		snprintf(when, sizeof when, "  --:--");
	else
		format_time(when, sizeof when, left / rate);
	printf("\r%s %3u%% %s %s %s%s", name, percent > 100 ? 100 : percent, size, speed, when,
	    done ? "    \n" : " ETA");
	fflush(stdout);
	meter->drawn = now;
}

void
meter_start(struct meter *meter, const char *name, uint64_t size)
{
	if (meter == NULL)
		return;
	free(meter->name);
	meter->name = strdup(name);
	meter->size = size;
	meter->copied = meter->rate_copied = 0;
	meter->started = meter->rate_at = nacre_clock_ms();
	meter->rate = 0;
}

void
meter_update(struct meter *meter, uint64_t copied)
{
	uint64_t now;
	double present;

	if (meter == NULL || meter->name == NULL)
		return;
	now = nacre_clock_ms();
	meter->copied = copied;
	if (now < meter->drawn + INTERVAL)
		return;
	present = (double)(copied - meter->rate_copied) * 1000 / (double)(now - meter->rate_at + 1);
	meter->rate = meter->rate > 0 ? meter->rate * 0.9 + present * 0.1 : present;
	meter->rate_at = now;
	meter->rate_copied = copied;
	draw(meter, false, now);
}

void
meter_finish(struct meter *meter, const char *name, uint64_t size, uint64_t copied)
{
	if (meter == NULL)
		return;
	if (meter->name == NULL || strcmp(meter->name, name) != 0)
		meter_start(meter, name, size);
	meter->size = size;
	meter->copied = copied;
	draw(meter, true, nacre_clock_ms());
	free(meter->name);
	meter->name = NULL;
}

void
meter_show_tree(struct meter *meter, const struct nacre_transfer_progress *progress, bool finished)
{
	const uint64_t done = progress->files_done + progress->files_failed;
	char name[64];

	if (meter == NULL)
		return;
	if (meter->name == NULL)
		meter_start(meter, "", 0);
	snprintf(name, sizeof name, "%llu of %llu files", (unsigned long long)done,
	    (unsigned long long)progress->files_found);
	free(meter->name);
	meter->name = strdup(name);
	meter->size = progress->bytes_found;
	if (finished)
		meter_finish(meter, name, progress->bytes_found, progress->bytes_done);
	else
		meter_update(meter, progress->bytes_done);
}
