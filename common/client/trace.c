/*
 * LoginTrace: where the time of a login went, stage by stage, in milliseconds and round trips. A
 * round trip is counted when something comes after something was sent.
 */
#include <client/trace.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Servers and people can make a login longer than anyone reads. */
#define STAGES_MAX      40
#define NAME_MAX_LENGTH 48

struct stage {
	char name[NAME_MAX_LENGTH];
	uint64_t begin, took, waited; /* microseconds */
	unsigned round_trips;
};

struct login_trace {
	struct stage stages[STAGES_MAX];
	size_t count;
	uint64_t start, wait_begin;
	uint32_t network;
	bool sent;
};

static uint64_t
clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

struct login_trace *
trace_new(void)
{
	struct login_trace *const trace = calloc(1, sizeof *trace);
	/* What the process has done so far was to load itself and its configuration. */
	const uint64_t before = clock_us(CLOCK_PROCESS_CPUTIME_ID);

	if (trace == NULL)
		return NULL;
	trace->start = clock_us(CLOCK_MONOTONIC) - before;
	trace->network = UINT32_MAX;
	trace->count = 1;
	trace->stages[0].begin = trace->start;
	snprintf(trace->stages[0].name, NAME_MAX_LENGTH, "start and configuration");
	return trace;
}

void
trace_free(struct login_trace *trace)
{
	free(trace);
}

static struct stage *
current(struct login_trace *trace)
{
	return &trace->stages[trace->count - 1];
}

void
trace_stage(struct login_trace *trace, const char *name, const char *detail)
{
	char full[NAME_MAX_LENGTH];

	if (trace == NULL)
		return;
	snprintf(full, sizeof full, "%s%s%s", name, detail != NULL ? " " : "",
	    detail != NULL ? detail : "");
	if (strcmp(current(trace)->name, full) == 0 || trace->count == STAGES_MAX)
		return;
	const uint64_t now = clock_us(CLOCK_MONOTONIC);
	current(trace)->took = now - current(trace)->begin;
	trace->count++;
	memcpy(current(trace)->name, full, sizeof full);
	current(trace)->begin = now;
}

void
trace_wait_begin(struct login_trace *trace)
{
	if (trace != NULL)
		trace->wait_begin = clock_us(CLOCK_MONOTONIC);
}

void
trace_wait_end(struct login_trace *trace)
{
	if (trace != NULL)
		current(trace)->waited += clock_us(CLOCK_MONOTONIC) - trace->wait_begin;
}

void
trace_sent(struct login_trace *trace)
{
	if (trace != NULL)
		trace->sent = true;
}

void
trace_received(struct login_trace *trace)
{
	if (trace == NULL || !trace->sent)
		return;
	trace->sent = false;
	current(trace)->round_trips++;
}

void
trace_network(struct login_trace *trace, uint32_t microseconds)
{
	if (trace != NULL)
		trace->network = microseconds;
}

static double
milliseconds(uint64_t microseconds)
{
	return (double)microseconds / 1000;
}

void
trace_put(struct login_trace *trace, const char *host, struct nacre_buffer *text)
{
	const uint64_t now = clock_us(CLOCK_MONOTONIC);
	unsigned round_trips = 0;

	current(trace)->took = now - current(trace)->begin;
	nacre_put_format(text, "Login to %s, in milliseconds:\n", host);
	nacre_put_format(text, "%9s %9s %9s %6s  %s\n", "at", "took", "waiting", "trips", "stage");
	for (size_t i = 0; i < trace->count; i++) {
		const struct stage *const stage = &trace->stages[i];

		nacre_put_format(text, "%9.1f %9.1f %9.1f %6u  %s\n",
		    milliseconds(stage->begin - trace->start), milliseconds(stage->took),
		    milliseconds(stage->waited), stage->round_trips, stage->name);
		round_trips += stage->round_trips;
	}
	nacre_put_format(
	    text, "%9s %9.1f %9s %6u  all", "", milliseconds(now - trace->start), "", round_trips);
	if (trace->network != UINT32_MAX)
		nacre_put_format(
		    text, "; the network's round trip takes %.2f", milliseconds(trace->network));
	nacre_put_format(text, "\n");
}
