/* What a monitor tells the listener for the metrics. It never waits: what cannot be told is lost,
 * and counted. */
#include "metrics.h"

#include <nacre/poller.h>

#include <string.h>
#include <unistd.h>

#define INTERVAL_MS 1000

static struct {
	int pipe;
	struct metrics_report report; /* what has not been told yet */
	struct metrics_totals totals; /* that were */
	uint64_t told;                /* when, milliseconds */
} reporting = {.pipe = -1};

static const char *const methods[METRICS_METHODS] = {
    "none", "password", "publickey", "keyboard-interactive", "hostbased"};

void
metrics_report_to(int pipe)
{
	reporting.pipe = pipe;
}

void
metrics_report_forget(void)
{
	if (reporting.pipe >= 0)
		close(reporting.pipe);
	reporting.pipe = -1;
}

static void
tell(enum metrics_kind kind)
{
	struct metrics_report *report = &reporting.report;

	if (reporting.pipe < 0)
		return;
	report->monitor = (int32_t)getpid();
	report->kind = (uint8_t)kind;
	/* Shorter than PIPE_BUF: all or nothing, and never mixed with another's. */
	bool told = write(reporting.pipe, report, sizeof *report) == (ssize_t)sizeof *report;
	uint8_t lost = report->lost;
	if (told)
		*report = (struct metrics_report){0};
	else if (lost < UINT8_MAX)
		report->lost++;
	reporting.told = nacre_clock_ms();
}

static size_t
method_number(const char *method)
{
	for (size_t i = 0; i < METRICS_OTHER; i++)
		if (strcmp(methods[i], method) == 0)
			return i;
	return METRICS_OTHER;
}

void
metrics_report_attempt(const char *method, enum metrics_result result)
{
	uint8_t *count = &reporting.report.attempts[method_number(method)][result];

	if (*count < UINT8_MAX)
		++*count;
}

void
metrics_report_ended(void)
{
	tell(METRICS_ENDED);
	metrics_report_forget();
}

void
metrics_report_login(uint64_t microseconds)
{
	reporting.report.latency = microseconds;
	tell(METRICS_LOGIN);
}

/* Totals only grow; a session that says otherwise is not believed. */
static uint64_t
growth(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

void
metrics_report_progress(const struct metrics_totals *totals)
{
	struct metrics_report *report = &reporting.report;
	struct metrics_totals *before = &reporting.totals;

	report->sent += growth(totals->sent, before->sent);
	report->received += growth(totals->received, before->received);
	report->rekeys += growth(totals->rekeys, before->rekeys);
	report->channels_opened += growth(totals->channels_opened, before->channels_opened);
	report->channels = (uint32_t)totals->channels;
	*before = *totals;
	if (nacre_clock_ms() - reporting.told >= INTERVAL_MS)
		tell(METRICS_PROGRESS);
}

void
metrics_report_logout(void)
{
	reporting.report.channels = 0;
	tell(METRICS_LOGOUT);
	metrics_report_forget();
}
