/* Memory of one configuration. */
#include "arena.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_BLOCK_SIZE  ((size_t)8192)
#define ARENA_TOTAL_LIMIT ((size_t)64 * 1024 * 1024)
#define ARENA_ALIGNMENT   ((size_t)16)

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	_Alignas(16) uint8_t bytes[];
};

static struct arena_block *
arena_block(struct arena *arena, size_t size)
{
	struct arena_block *block = arena->blocks;

	if (block != NULL && block->size - block->used >= size)
		return block;
	if (size > ARENA_TOTAL_LIMIT - arena->total)
		return NULL;
	if (size < ARENA_BLOCK_SIZE)
		size = ARENA_BLOCK_SIZE;
	block = malloc(sizeof *block + size);
	if (block == NULL)
		return NULL;
	block->next = arena->blocks;
	block->used = 0;
	block->size = size;
	arena->blocks = block;
	arena->total +=
	    size < ARENA_TOTAL_LIMIT - arena->total ? size : ARENA_TOTAL_LIMIT - arena->total;
	return block;
}

void *
arena_allocate(struct arena *arena, size_t size)
{
	struct arena_block *block;
	uint8_t *place;

	if (size > ARENA_TOTAL_LIMIT || arena->failed) {
		arena->failed = true;
		return NULL;
	}
	size = (size + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
	block = arena_block(arena, size);
	if (block == NULL) {
		arena->failed = true;
		return NULL;
	}
	place = block->bytes + block->used;
	block->used += size;
	memset(place, 0, size);
	return place;
}

char *
arena_span(struct arena *arena, struct nacre_span span)
{
	char *copy = arena_allocate(arena, span.length + 1);

	if (copy != NULL && span.length > 0)
		memcpy(copy, span.data, span.length);
	return copy;
}

char *
arena_string(struct arena *arena, const char *text)
{
	return arena_span(arena, nacre_span_of(text));
}

char *
arena_lower(struct arena *arena, const char *text)
{
	char *copy = arena_string(arena, text);

	for (char *at = copy; at != NULL && *at != '\0'; at++)
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at - 'A' + 'a');
	return copy;
}

char *
arena_buffer(struct arena *arena, struct nacre_buffer *buffer)
{
	char *copy = buffer->failed ? NULL : arena_span(arena, nacre_buffer_span(buffer));

	nacre_buffer_free(buffer);
	return copy;
}

/* Capacity is the next power of two, so that it need not be kept. */
void *
arena_grow(struct arena *arena, void *items, size_t count, size_t size)
{
	void *grown;

	if ((count & (count - 1)) != 0)
		return items;
	grown = arena_allocate(arena, (count > 0 ? 2 * count : 1) * size);
	if (grown != NULL && count > 0)
		memcpy(grown, items, count * size);
	return grown;
}

void
arena_add_word(struct arena *arena, struct nacre_words *words, const char *word)
{
	char *copy = arena_string(arena, word);
	char **grown = arena_grow(arena, words->words, words->count, sizeof *words->words);

	if (copy == NULL || grown == NULL)
		return;
	words->words = grown;
	words->words[words->count++] = copy;
}

void
arena_free(struct arena *arena)
{
	while (arena->blocks != NULL) {
		struct arena_block *next = arena->blocks->next;

		free(arena->blocks);
		arena->blocks = next;
	}
	*arena = (struct arena){0};
}
