/* The names in a directory, in one block of memory: for walking them in order and looking one up. */
#include <sftp/transfer.h>

#include <stdlib.h>
#include <string.h>

static bool
make_room(struct names *names, size_t length)
{
	if (names->capacity - names->length < length) {
		const size_t capacity = names->capacity * 2 + 4096;
		char *bytes = realloc(names->bytes, capacity);

		if (bytes == NULL)
			return false;
		names->bytes = bytes;
		names->capacity = capacity;
	}
	if (names->count == names->offset_capacity) {
		const size_t capacity = names->offset_capacity * 2 + 64;
		uint32_t *offsets = reallocarray(names->offsets, capacity, sizeof *offsets);

		if (offsets == NULL)
			return false;
		names->offsets = offsets;
		names->offset_capacity = capacity;
	}
	return names->length <= UINT32_MAX - length;
}

bool
names_add(struct names *names, const char *name)
{
	const size_t length = strlen(name) + 1;

	if (!make_room(names, length))
		return false;
	names->offsets[names->count++] = (uint32_t)names->length;
	memcpy(names->bytes + names->length, name, length);
	names->length += length;
	return true;
}

const char *
names_at(const struct names *names, size_t index)
{
	return names->bytes + names->offsets[index];
}

static int
compare_names(const void *a, const void *b, void *bytes)
{
	return strcmp(
	    (const char *)bytes + *(const uint32_t *)a, (const char *)bytes + *(const uint32_t *)b);
}

void
names_sort(struct names *names)
{
	if (names->count > 1)
		qsort_r(names->offsets, names->count, sizeof *names->offsets, compare_names,
		    names->bytes);
}

bool
names_has(const struct names *names, const char *name)
{
	size_t low = 0, high = names->count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		const int order = strcmp(name, names_at(names, middle));

		if (order == 0)
			return true;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

void
names_free(struct names *names)
{
	free(names->bytes);
	free(names->offsets);
	*names = (struct names){0};
}
