/* Descriptors that know what to do when they are ready: see nacre/poller.h. */
#include <nacre/log.h>
#include <nacre/poller.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define READY_MOST 64

void
nacre_watch_init(struct nacre_watch *watch, struct nacre_poller *poller, int fd,
    void (*ready)(struct nacre_watch *watch, unsigned what), void *owner)
{
	*watch = (struct nacre_watch){.poller = poller, .fd = fd, .ready = ready, .owner = owner};
}

void
nacre_watch_want(struct nacre_watch *watch, unsigned what)
{
	if (watch->fd < 0 || watch->wanted == what)
		return;
	watch->wanted = what;
	if (nacre_poller_set(watch->poller, watch->fd, what, watch) != 0)
		nacre_fatal("poller: %s", strerror(errno));
}

void
nacre_watch_close(struct nacre_watch *watch)
{
	if (watch->fd < 0)
		return;
	nacre_watch_want(watch, 0);
	close(watch->fd);
	watch->fd = -1;
}

int
nacre_watch_release(struct nacre_watch *watch)
{
	const int fd = watch->fd;

	nacre_watch_want(watch, 0);
	watch->fd = -1;
	return fd;
}

void
nacre_watch_dispatch(struct nacre_poller *poller, int64_t timeout)
{
	struct nacre_ready ready[READY_MOST];
	const int count = nacre_poller_wait(poller, timeout, ready, READY_MOST);

	for (int i = 0; i < count; i++) {
		struct nacre_watch *const watch = ready[i].context;

		/* One that was served before may have closed it. */
		if (watch->fd == ready[i].fd && watch->wanted != 0)
			watch->ready(watch, ready[i].what);
	}
}
