/* What a directory holds and is neither copied nor removed: the patterns of --exclude. */
#include <sftp/transfer.h>

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* With a slash (one at the start says no more) it is for the path below the source. */
static bool
pattern_matches(const char *pattern, const char *path, const char *name)
{
	if (strchr(pattern, '/') == NULL)
		return fnmatch(pattern, name, 0) == 0;
	return fnmatch(pattern + (pattern[0] == '/'), path, FNM_PATHNAME) == 0;
}

bool
exclude_matches(
    const struct nacre_transfer *transfer, const struct directory *directory, const char *name)
{
	const char *below = directory->source_path + directory->relative;
	bool matches = false;
	char *path;

	if (transfer->options.excluded_count == 0)
		return false;
	if (asprintf(&path, "%s%s%s", below, below[0] != '\0' ? "/" : "", name) < 0)
		return false;
	for (size_t i = 0; i < transfer->options.excluded_count && !matches; i++)
		matches = pattern_matches(transfer->options.excluded[i], path, name);
	free(path);
	return matches;
}
