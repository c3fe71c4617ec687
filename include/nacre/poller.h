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

/* A descriptor that is readable while anything waited for is ready (regular files apart), for a
 * program that waits for more than this poller. */
int nacre_poller_fd(const struct nacre_poller *poller);
/* Whether a regular file is among what is waited for: something is always ready then. */
bool nacre_poller_always_ready(const struct nacre_poller *poller);

/*
 * A descriptor of a poller whose contexts are watches, and what is done when it is ready. One that is
 * ready may close another; it must not free one before nacre_watch_dispatch() has returned.
 */
struct nacre_watch {
	struct nacre_poller *poller;
	int fd; /* -1: none */
	unsigned wanted;
	void (*ready)(struct nacre_watch *watch, unsigned what);
	void *owner;
};
/* Waits for nothing yet; "fd" may be -1, to be set later. */
void nacre_watch_init(struct nacre_watch *watch, struct nacre_poller *poller, int fd,
    void (*ready)(struct nacre_watch *watch, unsigned what), void *owner);
/* What is waited for from now on, NACRE_POLL_...; 0: nothing. Without memory the program ends. */
void nacre_watch_want(struct nacre_watch *watch, unsigned what);
/* Stops to wait, and closes the descriptor if there is one. */
void nacre_watch_close(struct nacre_watch *watch);
/* Stops to wait; the descriptor, which is the caller's now. */
int nacre_watch_release(struct nacre_watch *watch);
/* Waits as nacre_poller_wait() does, once, and serves what is ready. */
void nacre_watch_dispatch(struct nacre_poller *poller, int64_t timeout);

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
