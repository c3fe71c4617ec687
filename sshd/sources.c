/* The table of sources, and their penalties in one heap for each kind of address. */
#include "sources.h"

#include <nacre/crypto.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CHAINS 64

/* Penalties by their end, the first to end on top. */
struct heap {
	struct source **entries;
	size_t count, room, most;
	bool deny_all;
};

struct sources {
	const struct nacre_sshd_config *config;
	struct source **chains;
	size_t chain_count, count; /* a power of two, and how many sources there are */
	/* Strongly universal hashing: whoever does not know these finds no addresses that collide. */
	uint64_t factors[5], addend;
	struct heap heaps[2]; /* IPv4 and the rest, IPv6 */
};

int
sources_new(const struct nacre_sshd_config *config, struct sources **sources)
{
	const struct nacre_penalties *penalties = &config->per_source_penalties;
	struct sources *new = calloc(1, sizeof *new);

	if (new == NULL)
		return NACRE_ERROR_MEMORY;
	new->config = config;
	new->chains = calloc(FIRST_CHAINS, sizeof(void *));
	new->chain_count = FIRST_CHAINS;
	nacre_random(new->factors, sizeof new->factors);
	nacre_random(&new->addend, sizeof new->addend);
	new->heaps[0].most = (size_t)penalties->max_sources4;
	new->heaps[0].deny_all = penalties->overflow_deny_all;
	new->heaps[1].most = (size_t)penalties->max_sources6;
	new->heaps[1].deny_all = penalties->overflow6_deny_all;
	*sources = new;
	if (new->chains != NULL)
		return 0;
	sources_free(new);
	return NACRE_ERROR_MEMORY;
}

void
sources_free(struct sources *sources)
{
	for (size_t i = 0; sources->chains != NULL && i < sources->chain_count; i++)
		for (struct source *next, *at = sources->chains[i]; at != NULL; at = next) {
			next = at->next;
			free(at);
		}
	free(sources->chains);
	free(sources->heaps[0].entries);
	free(sources->heaps[1].entries);
	free(sources);
}

/* The table ---------------------------------------------------------------------------------- */

static size_t
chain_of(const struct sources *sources, const struct source *source)
{
	uint64_t sum = sources->addend + sources->factors[4] * source->family;

	for (size_t i = 0; i < 4; i++) {
		uint32_t word;
		memcpy(&word, source->address + 4 * i, sizeof word);
		sum += sources->factors[i] * word;
	}
	return (size_t)(sum >> 32) & (sources->chain_count - 1);
}

static void
grow(struct sources *sources)
{
	size_t old_count = sources->chain_count;
	struct source **old = sources->chains;
	struct source **chains = calloc(old_count * 2, sizeof(void *));

	/* Without memory the chains get longer. */
	if (chains == NULL)
		return;
	sources->chains = chains;
	sources->chain_count = old_count * 2;
	for (size_t i = 0; i < old_count; i++)
		for (struct source *next, *at = old[i]; at != NULL; at = next) {
			size_t chain = chain_of(sources, at);
			next = at->next;
			at->next = chains[chain];
			chains[chain] = at;
		}
	free(old);
}

static void
mask(uint8_t *address, size_t length, int bits)
{
	for (size_t i = 0; i < length; i++) {
		int kept = bits - 8 * (int)i;
		if (kept < 8)
			address[i] = (uint8_t)(address[i] & (kept <= 0 ? 0 : 0xff << (8 - kept)));
	}
}

static int
bits_of(const struct sources *sources, uint8_t family)
{
	return family == 6 ? sources->config->per_source_net_block_size6
			   : sources->config->per_source_net_block_size4;
}

static void
mask_key(const struct sources *sources, struct source *key)
{
	mask(key->address, key->family == 6 ? 16 : 4, bits_of(sources, key->family));
}

static void
key_of(const struct sources *sources, const struct sockaddr_storage *address, struct source *key)
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;

	*key = (struct source){0};
	if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
		key->family = 4;
		memcpy(key->address, six->sin6_addr.s6_addr + 12, 4);
	} else if (address->ss_family == AF_INET6) {
		key->family = 6;
		memcpy(key->address, six->sin6_addr.s6_addr, 16);
	} else if (address->ss_family == AF_INET) {
		key->family = 4;
		memcpy(key->address, &four->sin_addr, 4);
	}
	mask_key(sources, key);
}

static struct source *
find_by_key(struct sources *sources, const struct source *key)
{
	struct source *at;

	for (at = sources->chains[chain_of(sources, key)]; at != NULL; at = at->next)
		if (at->family == key->family &&
		    memcmp(at->address, key->address, sizeof key->address) == 0)
			return at;
	if ((at = malloc(sizeof *at)) == NULL)
		return NULL;
	*at = (struct source){.family = key->family};
	memcpy(at->address, key->address, sizeof at->address);
	crowd_init_shares(at->shares);
	if (++sources->count > sources->chain_count)
		grow(sources);
	size_t chain = chain_of(sources, at);
	at->next = sources->chains[chain];
	sources->chains[chain] = at;
	return at;
}

struct source *
sources_find(struct sources *sources, const struct sockaddr_storage *address)
{
	struct source key;

	key_of(sources, address, &key);
	return find_by_key(sources, &key);
}

void
sources_drop(struct sources *sources, struct source *source)
{
	struct source **at = &sources->chains[chain_of(sources, source)];

	if (source->penalty_end != 0)
		return;
	for (size_t class = 0; class < STRANGER_CLASSES; class ++)
		if (source->shares[class].count > 0)
			return;
	while (*at != source)
		at = &(*at)->next;
	*at = source->next;
	sources->count--;
	free(source);
}

size_t
source_inside(const struct source *source)
{
	return source->shares[STRANGER_INSIDE].count + source->shares[STRANGER_ASKED].count;
}

const char *
source_text(const struct sources *sources, const struct source *source, char *text, size_t room)
{
	char address[INET6_ADDRSTRLEN] = "UNKNOWN";

	inet_ntop(
	    source->family == 6 ? AF_INET6 : AF_INET, source->address, address, sizeof address);
	snprintf(text, room, "%s/%d", address, bits_of(sources, source->family));
	return text;
}

/* The heaps ---------------------------------------------------------------------------------- */

static struct heap *
heap_of(struct sources *sources, const struct source *source)
{
	return &sources->heaps[source->family == 6];
}

static void
heap_put(struct heap *heap, size_t place, struct source *source)
{
	heap->entries[place] = source;
	source->place = place;
}

/* Moves the entry at "place" to where its end belongs. */
static void
heap_settle(struct heap *heap, size_t place)
{
	struct source *moved = heap->entries[place];

	while (place > 0 && heap->entries[(place - 1) / 2]->penalty_end > moved->penalty_end) {
		heap_put(heap, place, heap->entries[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * place + 1;
		if (child + 1 < heap->count &&
		    heap->entries[child + 1]->penalty_end < heap->entries[child]->penalty_end)
			child++;
		if (child >= heap->count || heap->entries[child]->penalty_end >= moved->penalty_end)
			break;
		heap_put(heap, place, heap->entries[child]);
		place = child;
	}
	heap_put(heap, place, moved);
}

static bool
heap_add(struct heap *heap, struct source *source)
{
	if (heap->count == heap->room) {
		size_t room = heap->room > 0 ? heap->room * 2 : 16;
		struct source **entries = reallocarray(heap->entries, room, sizeof(void *));
		if (entries == NULL)
			return false;
		heap->entries = entries;
		heap->room = room;
	}
	heap->entries[heap->count++] = source;
	heap_settle(heap, heap->count - 1);
	return true;
}

/* Takes the first one off and forgets its penalty, and the source if that was all of it. */
static void
heap_pop(struct sources *sources, struct heap *heap)
{
	struct source *first = heap->entries[0];

	heap->entries[0] = heap->entries[--heap->count];
	if (heap->count > 0)
		heap_settle(heap, 0);
	first->penalty_end = 0;
	first->penalty_active = false;
	sources_drop(sources, first);
}

/* All but the source at hand, which the caller goes on with. */
static void
expire(struct sources *sources, struct heap *heap, const struct source *kept, uint64_t now)
{
	while (heap->count > 0 && heap->entries[0]->penalty_end <= now && heap->entries[0] != kept)
		heap_pop(sources, heap);
}

/* Penalties ---------------------------------------------------------------------------------- */

enum source_state
sources_judge(struct sources *sources, const struct source *source, uint64_t now)
{
	struct heap *heap = heap_of(sources, source);

	if (!sources->config->per_source_penalties.enabled)
		return SOURCE_GOOD;
	expire(sources, heap, source, now);
	if (heap->deny_all && heap->count >= heap->most)
		return SOURCE_TABLE_FULL;
	return source->penalty_active && source->penalty_end > now ? SOURCE_PENALISED : SOURCE_GOOD;
}

static int
seconds_for(const struct nacre_penalties *penalties, enum worker_outcome outcome)
{
	switch (outcome) {
	case OUTCOME_NO_ATTEMPT:
	case OUTCOME_SILENT:
	case OUTCOME_GARBAGE:
		return penalties->noauth;
	case OUTCOME_AUTH_FAILED:
		return penalties->authfail;
	case OUTCOME_INVALID_USER:
		return penalties->invaliduser;
	case OUTCOME_REFUSED:
		return penalties->refuseconnection;
	case OUTCOME_GRACE_EXCEEDED:
		return penalties->grace_exceeded;
	case OUTCOME_CRASHED:
		return penalties->crash;
	default:
		return 0;
	}
}

const char *
penalty_text(enum worker_outcome outcome)
{
	switch (outcome) {
	case OUTCOME_AUTH_FAILED:
		return "penalty: failed authentication";
	case OUTCOME_INVALID_USER:
		return "penalty: attempted authentication by invalid user";
	case OUTCOME_REFUSED:
		return "penalty: connection prohibited by RefuseConnection";
	case OUTCOME_GRACE_EXCEEDED:
		return "penalty: exceeded LoginGraceTime";
	case OUTCOME_CRASHED:
		return "penalty: caused crash";
	default:
		return "penalty: connections without attempting authentication";
	}
}

/* A place in the heap for a source that has none; the penalty that ends first makes room. */
static bool
make_place(struct sources *sources, struct source *source)
{
	struct heap *heap = heap_of(sources, source);

	if (heap->count >= heap->most && heap->deny_all)
		return false;
	while (heap->count >= heap->most)
		heap_pop(sources, heap);
	return heap_add(heap, source);
}

enum penalty_change
sources_penalise(struct sources *sources, struct source *source, enum worker_outcome outcome,
    uint64_t now, unsigned *seconds)
{
	const struct nacre_penalties *penalties = &sources->config->per_source_penalties;
	uint64_t amount = (uint64_t)seconds_for(penalties, outcome) * 1000;
	uint64_t most = now + (uint64_t)penalties->max * 1000;
	bool new = source->penalty_end == 0, was_active = source->penalty_active;

	if (!penalties->enabled || amount == 0)
		return PENALTY_NONE;
	expire(sources, heap_of(sources, source), source, now);
	if (source->penalty_end <= now) {
		was_active = false;
		source->penalty_end = now;
	}
	source->penalty_end += amount;
	if (source->penalty_end > most)
		source->penalty_end = most;
	if (new && !make_place(sources, source)) {
		source->penalty_end = 0;
		return PENALTY_NONE;
	}
	if (!new)
		heap_settle(heap_of(sources, source), source->place);
	source->penalty_for = outcome;
	*seconds = (unsigned)((source->penalty_end - now + 999) / 1000);
	source->penalty_active = source->penalty_end - now >= (uint64_t)penalties->min * 1000;
	source->penalty_active |= was_active;
	if (new)
		return PENALTY_NEW;
	return source->penalty_active && !was_active ? PENALTY_ACTIVATED : PENALTY_ADDED;
}

/* From one life of the server to the next ---------------------------------------------------- */

static void
keep_penalty(const struct sources *sources, const struct source *source, struct nacre_buffer *kept)
{
	nacre_put_byte(kept, source->family);
	nacre_put_bytes(kept, source->address, sizeof source->address);
	nacre_put_u32(kept, (uint32_t)bits_of(sources, source->family));
	nacre_put_u64(kept, source->penalty_end);
	nacre_put_boolean(kept, source->penalty_active);
	nacre_put_byte(kept, (uint8_t)source->penalty_for);
}

void
sources_keep(const struct sources *sources, struct nacre_buffer *kept)
{
	nacre_put_u32(kept, (uint32_t)(sources->heaps[0].count + sources->heaps[1].count));
	for (size_t i = 0; i < MEMBERS(sources->heaps); i++)
		for (size_t j = 0; j < sources->heaps[i].count; j++)
			keep_penalty(sources, sources->heaps[i].entries[j], kept);
}

static void
take_penalty(struct sources *sources, const struct source *kept, uint64_t now)
{
	struct source *source = find_by_key(sources, kept);
	uint64_t most = now + (uint64_t)sources->config->per_source_penalties.max * 1000;
	uint64_t end = kept->penalty_end < most ? kept->penalty_end : most;
	bool new = source != NULL && source->penalty_end == 0;

	/* Networks that are one now have the longer penalty of theirs. */
	if (source == NULL || end <= source->penalty_end)
		return;
	source->penalty_end = end;
	source->penalty_active |= kept->penalty_active;
	source->penalty_for = kept->penalty_for;
	if (!new) {
		heap_settle(heap_of(sources, source), source->place);
	} else if (!make_place(sources, source)) {
		source->penalty_end = 0;
		source->penalty_active = false;
		sources_drop(sources, source);
	}
}

void
sources_take_over(struct sources *sources, struct nacre_reader *kept, uint64_t now)
{
	const bool enabled = sources->config->per_source_penalties.enabled;

	for (uint32_t count = nacre_get_u32(kept); count > 0 && !kept->failed; count--) {
		struct source source = {.family = nacre_get_byte(kept)};
		struct nacre_span address = nacre_get_bytes(kept, sizeof source.address);
		int bits = (int)nacre_get_u32(kept);
		source.penalty_end = nacre_get_u64(kept);
		source.penalty_active = nacre_get_boolean(kept);
		source.penalty_for = (enum worker_outcome)nacre_get_byte(kept);
		if (kept->failed || !enabled || source.penalty_end <= now ||
		    bits < bits_of(sources, source.family))
			continue;
		memcpy(source.address, address.data, sizeof source.address);
		mask_key(sources, &source);
		take_penalty(sources, &source, now);
	}
}
