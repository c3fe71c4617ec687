/* The figures as OpenMetrics text. Names stay; a scraper's rules depend on them. */
#include "metrics.h"

#include <stdio.h>

#define PREFIX "nacre_sshd_"

static const char *const outcomes[METRICS_OUTCOMES] = {
    [OUTCOME_AUTHENTICATED] = "authenticated",
    [OUTCOME_NO_ATTEMPT] = "no_attempt",
    [OUTCOME_SILENT] = "silent",
    [OUTCOME_GARBAGE] = "garbage",
    [OUTCOME_AUTH_FAILED] = "auth_failed",
    [OUTCOME_INVALID_USER] = "invalid_user",
    [OUTCOME_REFUSED] = "refused",
    [OUTCOME_GRACE_EXCEEDED] = "grace_exceeded",
    [OUTCOME_CRASHED] = "crashed",
    [OUTCOME_FAILED] = "failed",
    [DROP_STARTUPS] = "dropped_max_startups",
    [DROP_SOURCE] = "dropped_per_source",
    [DROP_PENALTY] = "dropped_penalty",
};
static const char *const methods[METRICS_METHODS] = {
    "none", "password", "publickey", "keyboard-interactive", "hostbased", "other"};
static const char *const results[METRICS_RESULTS] = {"accepted", "failed", "partial", "postponed"};

const uint64_t metrics_latency_limits[METRICS_LATENCIES] = {2500, 5000, 10000, 25000, 50000, 100000,
    250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000};

static void
put_family(struct nacre_buffer *text, const char *name, const char *type, const char *unit,
    const char *help)
{
	nacre_put_format(text, "# TYPE " PREFIX "%s %s\n", name, type);
	if (unit != NULL)
		nacre_put_format(text, "# UNIT " PREFIX "%s %s\n", name, unit);
	nacre_put_format(text, "# HELP " PREFIX "%s %s\n", name, help);
}

static void
put_value(struct nacre_buffer *text, const char *name, const char *label, const char *value,
    uint64_t number)
{
	nacre_put_format(text, PREFIX "%s", name);
	if (label != NULL)
		nacre_put_format(text, "{%s=\"%s\"}", label, value);
	nacre_put_format(text, " %llu\n", (unsigned long long)number);
}

static void
put_attempts(const struct metrics *metrics, struct nacre_buffer *text)
{
	put_family(text, "authentications", "counter", NULL,
	    "Attempts to authenticate, by method and result.");
	for (size_t method = 0; method < METRICS_METHODS; method++)
		for (size_t result = 0; result < METRICS_RESULTS; result++)
			nacre_put_format(text,
			    PREFIX "authentications_total{method=\"%s\",result=\"%s\"} %llu\n",
			    methods[method], results[result],
			    (unsigned long long)metrics->attempts[method][result]);
}

static void
put_latencies(const struct metrics *metrics, struct nacre_buffer *text)
{
	uint64_t count = 0;

	put_family(text, "login_seconds", "histogram", "seconds",
	    "From the connection to the login that it led to.");
	for (size_t i = 0; i < METRICS_LATENCIES; i++) {
		count += metrics->latencies[i];
		nacre_put_format(text, PREFIX "login_seconds_bucket{le=\"%g\"} %llu\n",
		    (double)metrics_latency_limits[i] / 1e6, (unsigned long long)count);
	}
	count += metrics->latencies[METRICS_LATENCIES];
	put_value(text, "login_seconds_bucket", "le", "+Inf", count);
	put_value(text, "login_seconds_count", NULL, NULL, count);
	nacre_put_format(
	    text, PREFIX "login_seconds_sum %.6f\n", (double)metrics->latency_sum / 1e6);
}

static void
put_by_outcome(struct nacre_buffer *text, const char *name, const char *label,
    const uint64_t *counts, size_t first, size_t last)
{
	for (size_t i = first; i <= last; i++)
		put_value(text, name, label, outcomes[i], counts[i]);
}

static uint64_t
open_channels(const struct metrics *metrics)
{
	uint64_t count = 0;

	for (size_t i = 0; i < metrics->session_count && i < METRICS_SESSIONS; i++)
		count += metrics->sessions[i].channels;
	return count;
}

/* Figures without labels. */
static void
put_plain(const struct metrics *metrics, struct nacre_buffer *text)
{
	const struct {
		const char *name, *type, *unit, *help;
		uint64_t value;
	} rows[] = {
	    {"startups", "gauge", NULL, "Connections that have not logged in.", metrics->startups},
	    {"sessions", "gauge", NULL, "Connections that are logged in.", metrics->session_count},
	    {"channels", "gauge", NULL, "Open channels of those.", open_channels(metrics)},
	    {"channels_opened", "counter", NULL, "Channels that were opened.",
		metrics->channels_opened},
	    {"received_bytes", "counter", "bytes", "Received after login.", metrics->received},
	    {"sent_bytes", "counter", "bytes", "Sent after login.", metrics->sent},
	    {"rekeys", "counter", NULL, "Key exchanges after login.", metrics->rekeys},
	    {"reports_lost", "counter", NULL,
		"Reports about connections that came too fast to be counted.",
		metrics->reports_lost},
	    {"start_time_seconds", "gauge", "seconds", "When counting began, in Unix time.",
		metrics->started},
	};
	char name[64];

	for (size_t i = 0; i < MEMBERS(rows); i++) {
		bool counter = rows[i].type[0] == 'c';
		put_family(text, rows[i].name, rows[i].type, rows[i].unit, rows[i].help);
		snprintf(name, sizeof name, "%s%s", rows[i].name, counter ? "_total" : "");
		put_value(text, name, NULL, NULL, rows[i].value);
	}
}

void
metrics_put_text(const struct metrics *metrics, struct nacre_buffer *text)
{
	put_family(text, "connections", "counter", NULL,
	    "Connections whose time before login is over, or that were not let in, by outcome.");
	put_by_outcome(
	    text, "connections_total", "outcome", metrics->outcomes, 0, METRICS_OUTCOMES - 1);
	put_family(
	    text, "penalties", "counter", NULL, "Penalties that sources were given, by what for.");
	put_by_outcome(text, "penalties_total", "reason", metrics->penalties, OUTCOME_NO_ATTEMPT,
	    OUTCOME_CRASHED);
	put_attempts(metrics, text);
	put_latencies(metrics, text);
	put_plain(metrics, text);
	put_family(text, "build", "info", NULL, "The version of the server.");
	put_value(text, "build_info", "version", NACRE_VERSION, 1);
	nacre_put_format(text, "# EOF\n");
}
