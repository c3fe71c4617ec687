/* Waiting for descriptors with epoll; regular files, which epoll refuses, are always ready. */
#include <nacre/poller.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 64

struct registration {
	unsigned what;
	bool known;  /* the kernel has it */
	bool always; /* it cannot be waited for */
	void *context;
};

struct nacre_poller {
	int epoll;
	struct registration *registrations; /* by descriptor */
	size_t registration_count;
	size_t always_count; /* "always" registrations that wait for something */
};

uint64_t
nacre_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int
nacre_poller_new(struct nacre_poller **poller)
{
	struct nacre_poller *new = calloc(1, sizeof *new);

	if (new == NULL)
		return NACRE_ERROR_MEMORY;
	if ((new->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0) {
		free(new);
		return NACRE_ERROR_SYSTEM;
	}
	*poller = new;
	return 0;
}

void
nacre_poller_free(struct nacre_poller *poller)
{
	if (poller == NULL)
		return;
	close(poller->epoll);
	free(poller->registrations);
	free(poller);
}

static int
registrations_grow(struct nacre_poller *poller, size_t count)
{
	struct registration *grown;
	size_t wanted = poller->registration_count > 0 ? poller->registration_count : 16;

	while (wanted < count)
		wanted *= 2;
	if ((grown = reallocarray(poller->registrations, wanted, sizeof *grown)) == NULL)
		return NACRE_ERROR_MEMORY;
	memset(grown + poller->registration_count, 0,
	    (wanted - poller->registration_count) * sizeof *grown);
	poller->registrations = grown;
	poller->registration_count = wanted;
	return 0;
}

/* Tells the kernel. 0 with registration->always set where it declines. */
static int
kernel_set(struct nacre_poller *poller, int fd, struct registration *registration, unsigned what)
{
	struct epoll_event event = {.data.fd = fd};
	int operation = registration->known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (what == 0)
		operation = EPOLL_CTL_DEL;
	event.events = ((what & NACRE_POLL_READ) ? (unsigned)EPOLLIN : 0u) |
		       ((what & NACRE_POLL_WRITE) ? (unsigned)EPOLLOUT : 0u);
	if (epoll_ctl(poller->epoll, operation, fd, &event) == 0) {
		registration->known = what != 0;
		return 0;
	}
	if (errno == EPERM) {
		registration->always = true;
		return 0;
	}
	/* Removing a descriptor that was closed before: the kernel has forgotten it already. */
	if (what == 0) {
		registration->known = false;
		return 0;
	}
	if (errno == ENOENT && operation == EPOLL_CTL_MOD &&
	    epoll_ctl(poller->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	return NACRE_ERROR_SYSTEM;
}

int
nacre_poller_set(struct nacre_poller *poller, int fd, unsigned what, void *context)
{
	struct registration *registration;
	int error;

	if (fd < 0)
		return NACRE_ERROR_ARGUMENT;
	if ((size_t)fd >= poller->registration_count) {
		if (what == 0)
			return 0;
		if ((error = registrations_grow(poller, (size_t)fd + 1)) < 0)
			return error;
	}
	registration = &poller->registrations[fd];
	registration->context = context;
	if (registration->what == what)
		return 0;
	if (!registration->always && (error = kernel_set(poller, fd, registration, what)) < 0)
		return error;
	if (registration->always) {
		poller->always_count += (what != 0 ? 1u : 0u);
		poller->always_count -= (registration->what != 0 ? 1u : 0u);
	}
	registration->what = what;
	if (what == 0)
		registration->always = false;
	return 0;
}

static size_t
always_ready(const struct nacre_poller *poller, struct nacre_ready *ready, size_t most)
{
	size_t count = 0;

	for (size_t fd = 0; fd < poller->registration_count && count < most; fd++) {
		const struct registration *registration = &poller->registrations[fd];

		if (registration->always && registration->what != 0)
			ready[count++] = (struct nacre_ready){
			    (int)fd, registration->what, registration->context};
	}
	return count;
}

int
nacre_poller_wait(
    struct nacre_poller *poller, int64_t timeout, struct nacre_ready *ready, size_t most)
{
	struct epoll_event events[EVENTS_MAX];
	size_t count = 0;
	int got;

	if (poller->always_count > 0) {
		count = always_ready(poller, ready, most);
		timeout = 0;
	}
	if (count == most)
		return (int)count;
	got = epoll_wait(poller->epoll, events,
	    most - count < EVENTS_MAX ? (int)(most - count) : EVENTS_MAX,
	    timeout > INT_MAX ? INT_MAX
	    : timeout < 0     ? -1
			      : (int)timeout);
	if (got < 0)
		return errno == EINTR || count > 0 ? (int)count : NACRE_ERROR_SYSTEM;
	for (int i = 0; i < got; i++) {
		unsigned what = events[i].events;
		int fd = events[i].data.fd;

		ready[count++] = (struct nacre_ready){fd,
		    ((what & EPOLLIN) ? (unsigned)NACRE_POLL_READ : 0u) |
			((what & EPOLLOUT) ? (unsigned)NACRE_POLL_WRITE : 0u) |
			((what & (EPOLLHUP | EPOLLERR)) ? (unsigned)NACRE_POLL_HANGUP : 0u),
		    poller->registrations[fd].context};
	}
	return (int)count;
}

int
nacre_poller_fd(const struct nacre_poller *poller)
{
	return poller->epoll;
}

bool
nacre_poller_always_ready(const struct nacre_poller *poller)
{
	return poller->always_count > 0;
}

#define READABLE_MOST 7

bool
nacre_poller_wait_writable(int fd, const int *readable, size_t count, int timeout)
{
	struct pollfd wait[1 + READABLE_MOST] = {{.fd = fd, .events = POLLOUT}};

	if (count > READABLE_MOST)
		count = READABLE_MOST;
	for (size_t i = 0; i < count; i++)
		wait[1 + i] = (struct pollfd){.fd = readable[i], .events = POLLIN};
	return poll(wait, 1 + count, timeout) > 0 && (wait[0].revents & POLLOUT) != 0;
}
