/*
 * Figures about the server (MetricsListen). The listener counts, from what it does itself and from
 * what the monitors report, in memory that a process of its own shows to others: that process has
 * no rights and may only read the figures, so that nobody who asks for them can hold up the
 * listener or do it harm. Without MetricsListen nothing of this exists, and counting does nothing.
 */
#ifndef SSHD_METRICS_H
#define SSHD_METRICS_H

#include "server.h"

#include <sys/types.h>

/* How a connection ended before login, or was not let in: those of enum worker_outcome, and these. */
enum metrics_drop {
	DROP_STARTUPS = OUTCOME_FAILED + 1, /* MaxStartups */
	DROP_SOURCE,                        /* PerSourceMaxStartups */
	DROP_PENALTY,                       /* PerSourcePenalties */
	METRICS_OUTCOMES
};

enum metrics_method {
	METRICS_NONE,
	METRICS_PASSWORD,
	METRICS_PUBLICKEY,
	METRICS_INTERACTIVE,
	METRICS_HOSTBASED,
	METRICS_OTHER,
	METRICS_METHODS
};

enum metrics_result {
	METRICS_ACCEPTED,
	METRICS_FAILED,
	METRICS_PARTIAL,
	METRICS_POSTPONED,
	METRICS_RESULTS
};

#define METRICS_LATENCIES 14 /* limits of the histogram; a last one is infinite */
#define METRICS_SESSIONS  4096

/* The figures, in memory that is shared; the listener alone writes. */
struct metrics {
	uint64_t layout;  /* sizeof of this: a program that was replaced has its own */
	uint64_t started; /* seconds since 1970 */
	uint64_t outcomes[METRICS_OUTCOMES];
	uint64_t attempts[METRICS_METHODS][METRICS_RESULTS];
	uint64_t sent, received; /* bytes after login */
	uint64_t rekeys;
	uint64_t channels_opened;
	uint64_t penalties[METRICS_OUTCOMES]; /* by their reason */
	uint64_t latencies[METRICS_LATENCIES + 1];
	uint64_t latency_sum; /* microseconds */
	uint64_t reports_lost;
	uint64_t startups; /* connections that have not logged in */
	/* Those who are logged in. */
	uint64_t session_count;
	struct metrics_session {
		int32_t monitor; /* process */
		uint32_t channels;
	} sessions[METRICS_SESSIONS];
};

/* What a monitor reports; one write to a pipe, which is dropped when that is full. */
struct metrics_report {
	int32_t monitor;
	uint8_t kind; /* enum metrics_kind */
	uint8_t lost; /* reports before this that were dropped */
	uint8_t attempts[METRICS_METHODS][METRICS_RESULTS];
	uint32_t channels;                                /* open now */
	uint64_t latency;                                 /* LOGIN: microseconds */
	uint64_t sent, received, rekeys, channels_opened; /* since the last report */
};
enum metrics_kind { METRICS_ENDED = 1, METRICS_LOGIN, METRICS_PROGRESS, METRICS_LOGOUT };

/* metrics.c: the listener's side. */
/* Makes the memory and the pipe, or takes over those of a former self, and starts to serve. */
void metrics_start(const struct nacre_sshd_config *config);
/* Before the program is executed anew: keeps the figures, ends the server. */
void metrics_keep(void);
/* Ends the server. */
void metrics_stop(void);
/* A child has ended: when it was the server another one is started, when it was a monitor its
 * session is over. */
void metrics_child_ended(pid_t pid);
/* A connection's outcome (enum worker_outcome or enum metrics_drop); a penalty for one. */
void metrics_count_outcome(unsigned outcome);
void metrics_count_penalty(unsigned outcome);
void metrics_set_startups(size_t count);
/* The end of the pipe that can be read when reports are there; -1: no metrics. */
int metrics_reports(void);
void metrics_read_reports(void);
/* The end of the pipe that monitors write to; -1. */
int metrics_reporting(void);

/* metrics_report.c: the monitor's side. */
struct login;
/* "pipe" is taken over; -1: there are no metrics, and all else does nothing. */
void metrics_report_to(int pipe);
void metrics_report_attempt(const char *method, enum metrics_result result);
/* The connection is over without a login. */
void metrics_report_ended(void);
void metrics_report_login(uint64_t microseconds);
/* Totals since login, from the session; passed on once a second. */
struct metrics_totals {
	uint64_t sent, received, rekeys, channels_opened;
	uint64_t channels; /* open */
};
void metrics_report_progress(const struct metrics_totals *totals);
void metrics_report_logout(void);

/* Closes the pipe: this process is no monitor any more. */
void metrics_report_forget(void);

/* metrics_serve.c: the process that answers requests. Does not return. */
_Noreturn void metrics_serve(int socket, const struct metrics *metrics, bool privileged);
/* metrics_text.c: appends the figures as OpenMetrics text. */
void metrics_put_text(const struct metrics *metrics, struct nacre_buffer *text);
/* The limits of the latencies' histogram in microseconds. */
extern const uint64_t metrics_latency_limits[METRICS_LATENCIES];

#endif
