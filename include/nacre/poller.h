/*
 * Waiting for file descriptors, pulled: what is ready comes as a list, nobody is called back.
 * Descriptors that cannot be waited for (regular files) count as always ready.
 */
#ifndef NACRE_POLLER_H
#define NACRE_POLLER_H

#include <nacre/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nacre_poller;

enum { NACRE_POLL_READ = 1, NACRE_POLL_WRITE = 2, NACRE_POLL_HANGUP = 4 };

struct nacre_ready {
	int fd;
	unsigned what; /* NACRE_POLL_..., HANGUP also comes when it was not asked for */
	void *context;
};

/* A poller that waits for nothing yet. 0, NACRE_ERROR_MEMORY or NACRE_ERROR_SYSTEM. */
int nacre_poller_new(struct nacre_poller **poller);
/* Frees it, the descriptors stay open; NULL is allowed. */
void nacre_poller_free(struct nacre_poller *poller);
/* What is waited for on "fd" from now on; 0 removes it (do so before closing fd). Unchanged calls
 * cost nothing. */
int nacre_poller_set(struct nacre_poller *poller, int fd, unsigned what, void *context);
/* Waits until something is ready or "timeout" milliseconds have passed (negative: for ever; a
 * signal ends the wait, too). Fills up to "most" entries; returns how many, or a negative error. */
int nacre_poller_wait(
    struct nacre_poller *poller, int64_t timeout, struct nacre_ready *ready, size_t most);

/* Waits up to "timeout" milliseconds until "fd" can be written to, but no longer than until one of
 * the "count" descriptors in "readable" can be read. True when fd is writable. It spares a program
 * that has nothing else to do the copy that setting the data aside would cost. */
bool nacre_poller_wait_writable(int fd, const int *readable, size_t count, int timeout);

/* Milliseconds of the monotonic clock. */
uint64_t nacre_clock_ms(void);

#ifdef __cplusplus
}
#endif
#endif
