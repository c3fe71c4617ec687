/*
 * The strangers: connections that nobody has logged in on yet, by the source that they come from.
 * Which of them has to go when others need the room is answered in constant time.
 */
#ifndef SSHD_CROWD_H
#define SSHD_CROWD_H

#include "server.h"

#include <stddef.h>

/* A place in a doubly linked ring; the ring's head is one, too. */
struct link {
	struct link *previous, *next;
};
/* What a link is part of. */
#define LINKED(type, member, pointer) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))
void link_init(struct link *head);
bool link_empty(const struct link *head);
/* Puts it at the end of the ring. */
void link_append(struct link *head, struct link *link);
/* Takes it out; what is in no ring stays so. */
void link_remove(struct link *link);

/* What is known of a stranger, from who is most easily spared on. */
enum stranger_class {
	STRANGER_SILENT, /* at the door: accepted, no process yet, has not begun to speak */
	STRANGER_SPEAKS, /* at the door: has begun, waits for a place inside */
	STRANGER_INSIDE, /* has processes, has not tried to authenticate */
	STRANGER_ASKED,  /* has tried */
	STRANGER_CLASSES
};

/* A source's strangers of one class, oldest first. */
struct share {
	struct link bucket; /* with the other shares of this size, in the order of getting it */
	struct link strangers;
	size_t count;
};

/* What the listener's loop waits for; first member of what it is told then. */
enum watched {
	WATCHED_SIGNALS,
	WATCHED_WAITING,
	WATCHED_SOCKET,
	WATCHED_STRANGER,
	WATCHED_METRICS
};

struct source;
struct stranger {
	enum watched watched;
	struct link share;    /* among its source's */
	struct link arrival;  /* at the door */
	struct share *shares; /* of its source, one a class */
	struct source *source;
	enum stranger_class class;
	bool doomed; /* MaxStartups would not have it: it must speak to get in */
	bool gone;
	struct stranger *next_gone;
	bool by_proxy;  /* a trusted proxy, which has not named its client yet */
	uint64_t since; /* milliseconds: in its place, that is at the door or inside */
	int fd;         /* its connection while it is at the door; later the worker's control */
	pid_t worker;
	struct peer peer;
};

struct crowd {
	struct link *buckets[STRANGER_CLASSES]; /* shares by size, up to "room" */
	size_t largest[STRANGER_CLASSES];
	size_t counts[STRANGER_CLASSES];
	size_t room;
};

/* For at most "room" strangers of each class. 0 or NACRE_ERROR_MEMORY. */
int crowd_init(struct crowd *crowd, size_t room);
void crowd_free(struct crowd *crowd);
/* A source's shares before its first stranger; these must be zero again before it is freed. */
void crowd_init_shares(struct share *shares);
/* Adds to the class, which must not be full. */
void crowd_add(struct crowd *crowd, struct stranger *stranger, enum stranger_class class);
void crowd_remove(struct crowd *crowd, struct stranger *stranger);
/* The oldest stranger of the source that has most of this class; NULL when there is none. */
struct stranger *crowd_spared(const struct crowd *crowd, enum stranger_class class);
/* The newest stranger of a source that has least of this class, and least inside; NULL when there is
 * none. */
struct stranger *crowd_preferred(const struct crowd *crowd, enum stranger_class class);
/* Calls visit(stranger, context) for all of a class, those of one source in the order of coming. */
void crowd_each(const struct crowd *crowd, enum stranger_class class,
    void (*visit)(const struct stranger *stranger, void *context), void *context);

#endif
