/* Memory of one configuration: handed out in small pieces, freed at once. */
#ifndef CONFIG_ARENA_H
#define CONFIG_ARENA_H

#include <nacre/config.h>

struct arena {
	struct arena_block *blocks;
	size_t total;
	bool failed; /* sticky: test once after several requests */
};

/* "size" zeroed bytes, aligned for any type; NULL and "failed" without memory. */
void *arena_allocate(struct arena *arena, size_t size);
char *arena_span(struct arena *arena, struct nacre_span span);
char *arena_string(struct arena *arena, const char *text);
/* Lower case (ASCII). */
char *arena_lower(struct arena *arena, const char *text);
/* The content of a buffer, which is freed. NULL when the buffer failed. */
char *arena_buffer(struct arena *arena, struct nacre_buffer *buffer);
/* Room for one more item in an array of "count" items of "size" bytes each; returns the array,
 * which may have moved, or NULL. The new item is zeroed. */
void *arena_grow(struct arena *arena, void *items, size_t count, size_t size);
void arena_add_word(struct arena *arena, struct nacre_words *words, const char *word);
void arena_free(struct arena *arena);

#endif
