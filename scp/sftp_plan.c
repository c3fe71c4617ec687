/*
 * sftp: what commands touch, in paths. A pattern stands for all that is in the directory in front of
 * its first wildcard. Where paths cannot be compared by their text, the command overlaps with nothing.
 */
#include <scp/sftp_call.h>

#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Without doubled slashes, "." and a slash at the end. False when ".." leads up, which by the text
 * may be wrong. */
static bool
tidy_path(char *path)
{
	char *to = path;

	for (const char *from = path; *from != '\0';) {
		const size_t length = strcspn(from + 1, "/") + 1; /* with the slash in front */

		if (length == 3 && from[1] == '.' && from[2] == '.')
			return false;
		if (length > 1 && !(length == 2 && from[1] == '.')) {
			memmove(to, from, length);
			to += length;
		}
		from += length;
	}
	*to = '\0';
	return true;
}

/* The pattern's plain beginning; both are absolute. */
static char *
plain_part(const char *pattern)
{
	size_t length = strlen(pattern);

	while (nacre_glob_has_wildcards(pattern, length)) {
		while (length > 0 && pattern[length - 1] != '/')
			length--;
		if (length > 0)
			length--;
	}
	return nacre_glob_unquote(pattern, length);
}

/* Takes "pattern" over. */
static void
claim(struct plan *plan, char *pattern, bool remote, bool changes)
{
	char *const path = pattern != NULL && pattern[0] == '/' ? plain_part(pattern) : NULL;

	free(pattern);
	if (path == NULL || !tidy_path(path))
		plan->alone = true;
	plan->claims[plan->count++] =
	    (struct claim){.path = path, .remote = remote, .changes = changes};
	plan->changes |= changes;
}

static char *
local_pattern(const char *pattern)
{
	char *const directory = getcwd(NULL, 0);
	char *const quoted = directory != NULL ? glob_quote(directory) : NULL;
	char *const whole = pattern[0] == '/' || quoted == NULL ? NULL : path_join(quoted, pattern);

	free(directory);
	free(quoted);
	return whole != NULL ? whole : strdup(pattern);
}

static bool
is_local_directory(const char *pattern)
{
	char *const path = glob_unquote(pattern);
	struct stat status;
	const bool result = stat(path, &status) == 0 && S_ISDIR(status.st_mode);

	free(path);
	return result;
}

/* Where a copy goes: the target itself, or a name in it that is the source's. */
static char *
pattern_of_copy(const char *source, const char *target, bool directory)
{
	char *const copy = strdup(source);
	char *result;

	if (copy == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	if (!directory || glob_has_wildcards(source))
		result = strdup(target);
	else
		result = path_join(target, basename(copy));
	free(copy);
	return result;
}

static void
claim_remote(const struct call *call, struct plan *plan, const char *pattern, bool changes)
{
	claim(plan, remote_pattern(&call->sftp->remote, pattern), true, changes);
}

static void
plan_get(const struct call *call, struct plan *plan)
{
	const char *const target = call->count > 1 ? call->words[1] : ".";
	char *const copy = pattern_of_copy(call->words[0], target, is_local_directory(target));

	claim_remote(call, plan, call->words[0], false);
	claim(plan, local_pattern(copy), false, true);
	free(copy);
}

/* Whether a remote target is a directory is known only where there is none, or a slash at its end. */
static void
plan_put(const struct call *call, struct plan *plan)
{
	const char *const target = call->count > 1 ? call->words[1] : "";
	const size_t length = strlen(target);
	char *const copy =
	    pattern_of_copy(call->words[0], target, length == 0 || target[length - 1] == '/');

	claim(plan, local_pattern(call->words[0]), false, false);
	claim_remote(call, plan, copy, true);
	free(copy);
}

static bool
copies_in_turn(const struct call *call)
{
	const struct sftp *const sftp = call->sftp;

	return sftp->show_progress || sftp->options->recursive || call_has(call, 'r') ||
	       call_has(call, 'R') || sftp->options->connection.rate > 0 ||
	       sftp->options->connection.requests > 0;
}

void
plan_of_call(const struct call *call, struct plan *plan)
{
	*plan = (struct plan){0};
	switch (call->command->touches) {
	case TOUCHES_ALONE:
		plan->alone = true;
		break;
	case TOUCHES_NOTHING:
		break;
	case TOUCHES_LOOK:
		claim_remote(call, plan, call->count > 0 ? call->words[0] : "", false);
		break;
	case TOUCHES_FIRST:
		claim_remote(call, plan, call->words[0], true);
		break;
	case TOUCHES_SECOND:
		claim_remote(call, plan, call->words[1], true);
		break;
	case TOUCHES_PAIR:
		claim_remote(call, plan, call->words[0], true);
		claim_remote(call, plan, call->words[1], true);
		break;
	case TOUCHES_GET:
		plan_get(call, plan);
		plan->alone |= copies_in_turn(call);
		break;
	case TOUCHES_PUT:
		plan_put(call, plan);
		plan->alone |= copies_in_turn(call);
		break;
	}
}

static bool
lies_below(const char *path, const char *above)
{
	const size_t length = strlen(above);

	return strncmp(path, above, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

static bool
claims_meet(const struct claim *a, const struct claim *b)
{
	return a->remote == b->remote && (a->changes || b->changes) &&
	       (lies_below(a->path, b->path) || lies_below(b->path, a->path));
}

bool
plans_meet(const struct plan *a, const struct plan *b)
{
	for (size_t i = 0; i < a->count; i++)
		for (size_t j = 0; j < b->count; j++)
			if (claims_meet(&a->claims[i], &b->claims[j]))
				return true;
	return false;
}

void
plan_free(struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		free(plan->claims[i].path);
	plan->count = 0;
}
