/* Lists of words: arguments of programs, settings. */
#include <scp/scp.h>

#include <stdlib.h>
#include <string.h>

void
words_add(struct words *words, const char *text)
{
	char **items = reallocarray(words->items, words->count + 2, sizeof *items);

	if (items == NULL || (items[words->count] = strdup(text)) == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	items[++words->count] = NULL;
	words->items = items;
}

void
words_free(struct words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->items[i]);
	free(words->items);
	*words = (struct words){0};
}
