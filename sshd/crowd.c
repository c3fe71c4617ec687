/* Strangers by class and source: rings, and buckets of shares that have the same size. */
#include "crowd.h"

#include <stdint.h>
#include <stdlib.h>

#define LOOKED_AT 64

void
link_init(struct link *head)
{
	head->previous = head->next = head;
}

bool
link_empty(const struct link *head)
{
	return head->next == head;
}

void
link_append(struct link *head, struct link *link)
{
	link->previous = head->previous;
	link->next = head;
	head->previous->next = link;
	head->previous = link;
}

void
link_remove(struct link *link)
{
	link->previous->next = link->next;
	link->next->previous = link->previous;
	link_init(link);
}

int
crowd_init(struct crowd *crowd, size_t room)
{
	*crowd = (struct crowd){.room = room};
	for (size_t class = 0; class < STRANGER_CLASSES; class ++) {
		crowd->buckets[class] = calloc(room + 1, sizeof **crowd->buckets);
		if (crowd->buckets[class] == NULL)
			return NACRE_ERROR_MEMORY;
		for (size_t size = 0; size <= room; size++)
			link_init(&crowd->buckets[class][size]);
	}
	return 0;
}

void
crowd_free(struct crowd *crowd)
{
	for (size_t class = 0; class < STRANGER_CLASSES; class ++)
		free(crowd->buckets[class]);
	*crowd = (struct crowd){0};
}

void
crowd_init_shares(struct share *shares)
{
	for (size_t class = 0; class < STRANGER_CLASSES; class ++) {
		shares[class].count = 0;
		link_init(&shares[class].bucket);
		link_init(&shares[class].strangers);
	}
}

/* Sizes change by one, so that the largest is never far. */
static void
resize(struct crowd *crowd, enum stranger_class class, struct share *share, size_t size)
{
	struct link *buckets = crowd->buckets[class];

	link_remove(&share->bucket);
	share->count = size;
	if (size > 0)
		link_append(&buckets[size], &share->bucket);
	if (size > crowd->largest[class])
		crowd->largest[class] = size;
	else if (crowd->largest[class] > 0 && link_empty(&buckets[crowd->largest[class]]))
		crowd->largest[class]--;
}

void
crowd_add(struct crowd *crowd, struct stranger *stranger, enum stranger_class class)
{
	struct share *share = &stranger->shares[class];

	stranger->class = class;
	link_append(&share->strangers, &stranger->share);
	crowd->counts[class]++;
	resize(crowd, class, share, share->count + 1);
}

void
crowd_remove(struct crowd *crowd, struct stranger *stranger)
{
	struct share *share = &stranger->shares[stranger->class];

	link_remove(&stranger->share);
	crowd->counts[stranger->class]--;
	resize(crowd, stranger->class, share, share->count - 1);
}

struct stranger *
crowd_spared(const struct crowd *crowd, enum stranger_class class)
{
	size_t largest = crowd->largest[class];

	if (largest == 0)
		return NULL;
	struct share *share = LINKED(struct share, bucket, crowd->buckets[class][largest].next);
	return LINKED(struct stranger, share, share->strangers.next);
}

/* Of shares that have the same size, one whose source has least inside; not all are looked at. */
static const struct share *
least_inside(const struct link *bucket, enum stranger_class class)
{
	const struct share *best = NULL;
	const struct link *at = bucket->previous;
	size_t least = SIZE_MAX;

	for (size_t seen = 0; at != bucket && seen < LOOKED_AT && least > 0; seen++) {
		const struct share *share = LINKED(const struct share, bucket, at);
		const struct share *all = share - class;
		size_t inside = all[STRANGER_INSIDE].count + all[STRANGER_ASKED].count;
		if (inside < least) {
			least = inside;
			best = share;
		}
		at = at->previous;
	}
	return best;
}

struct stranger *
crowd_preferred(const struct crowd *crowd, enum stranger_class class)
{
	for (size_t size = 1; size <= crowd->largest[class]; size++) {
		const struct share *share = least_inside(&crowd->buckets[class][size], class);
		if (share != NULL)
			return LINKED(struct stranger, share, share->strangers.previous);
	}
	return NULL;
}

void
crowd_each(const struct crowd *crowd, enum stranger_class class,
    void (*visit)(const struct stranger *stranger, void *context), void *context)
{
	for (size_t size = 1; size <= crowd->largest[class]; size++) {
		const struct link *bucket = &crowd->buckets[class][size];
		for (const struct link *at = bucket->next; at != bucket; at = at->next) {
			const struct share *share = LINKED(const struct share, bucket, at);
			const struct link *head = &share->strangers;
			for (const struct link *one = head->next; one != head; one = one->next)
				visit(LINKED(const struct stranger, share, one), context);
		}
	}
}
