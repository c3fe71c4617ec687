/* sftp: patterns as glob(7) has them, on the server. */
#include <scp/sftp.h>

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool
glob_has_wildcards(const char *pattern)
{
	return nacre_glob_has_wildcards(pattern, strlen(pattern));
}

char *
glob_unquote(const char *pattern)
{
	char *const text = nacre_glob_unquote(pattern, strlen(pattern));

	if (text == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	return text;
}

char *
glob_quote(const char *path)
{
	char *const text = malloc(2 * strlen(path) + 1);
	size_t used = 0;

	if (text == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	for (; *path != '\0'; path++) {
		if (strchr("*?[\\", *path) != NULL)
			text[used++] = '\\';
		text[used++] = *path;
	}
	text[used] = '\0';
	return text;
}

char *
remote_pattern(const struct remote *remote, const char *pattern)
{
	char *const directory = glob_quote(remote->directory);
	char *result;

	if (pattern[0] == '/')
		result = strdup(pattern);
	else if (asprintf(&result, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, pattern) <
		 0)
		result = NULL;
	if (result == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	free(directory);
	return result;
}

char *
path_join(const char *base, const char *name)
{
	const size_t length = strlen(base);
	char *text;

	if (asprintf(
		&text, "%s%s%s", base, length > 0 && base[length - 1] != '/' ? "/" : "", name) < 0)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	return text;
}

static int
compare_found(const void *a, const void *b)
{
	return strcmp(((const struct found *)a)->path, ((const struct found *)b)->path);
}

static void expand(struct remote *remote, const char *base, const char *pattern, bool must_exist,
    struct found_list *list);

/* A component without wildcards: taken as it is, unless it is the last. */
static void
descend(struct remote *remote, const char *base, const char *component, const char *rest,
    bool must_exist, struct found_list *list)
{
	char *const name = glob_unquote(component);
	char *const path = path_join(base, name);
	struct answer answer = {0};

	if (*rest != '\0')
		expand(remote, path, rest, must_exist, list);
	else if (!must_exist || remote_stat(remote, path, false, &answer))
		found_add(list, strdup(path), &answer.attributes, NULL);
	answer_free(&answer);
	free(name);
	free(path);
}

static void
match(struct remote *remote, const char *base, const char *component, const char *rest,
    struct found_list *list)
{
	struct found_list entries = {0};
	struct answer answer = {0};

	/* What is no directory has nothing in it; that is no error here. */
	if (remote_stat(remote, *base != '\0' ? base : ".", true, &answer) &&
	    S_ISDIR(answer.attributes.permissions) &&
	    !remote_list(remote, *base != '\0' ? base : ".", &entries))
		found_free(&entries);
	answer_free(&answer);
	if (entries.count > 1)
		qsort(entries.items, entries.count, sizeof *entries.items, compare_found);
	for (size_t i = 0; i < entries.count; i++) {
		struct found *const entry = &entries.items[i];

		if (fnmatch(component, entry->path, FNM_PERIOD) != 0)
			continue;
		char *const path = path_join(base, entry->path);
		if (*rest != '\0') {
			expand(remote, path, rest, true, list);
			free(path);
		} else {
			found_add(list, path, &entry->attributes, entry->long_name);
			entry->long_name = NULL;
		}
	}
	found_free(&entries);
}

static void
expand(struct remote *remote, const char *base, const char *pattern, bool must_exist,
    struct found_list *list)
{
	const char *const slash = strchr(pattern, '/');
	const char *rest = slash != NULL ? slash + 1 : "";
	char *const component =
	    slash != NULL ? strndup(pattern, (size_t)(slash - pattern)) : strdup(pattern);

	if (component == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	while (*rest == '/')
		rest++;
	if (glob_has_wildcards(component))
		match(remote, base, component, rest, list);
	else
		descend(remote, base, component, rest, must_exist, list);
	free(component);
}

bool
remote_glob(struct remote *remote, const char *pattern, bool must_exist, struct found_list *list)
{
	if (!glob_has_wildcards(pattern))
		descend(remote, "", pattern, "", must_exist, list);
	else
		expand(remote, pattern[0] == '/' ? "/" : "", pattern + strspn(pattern, "/"),
		    must_exist, list);
	return list->count > 0;
}

static bool
says_enough(const struct nacre_sftp_attributes *attributes)
{
	return (attributes->flags & NACRE_SFTP_ATTR_PERMISSIONS) != 0 &&
	       (attributes->permissions & S_IFMT) != 0 && !S_ISLNK(attributes->permissions);
}

void
remote_follow(struct remote *remote, struct found_list *list)
{
	struct answer *const answers = calloc(list->count + 1, sizeof *answers);

	if (answers == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	for (size_t i = 0; i < list->count; i++) {
		const struct nacre_sftp_tag tag = answer_tag(&answers[i]);

		if (!says_enough(&list->items[i].attributes))
			nacre_sftp_path_request(remote->sftp, NACRE_SFTP_STAT,
			    nacre_span_of(list->items[i].path), &tag);
	}
	for (size_t i = 0; i < list->count; i++) {
		if (!says_enough(&list->items[i].attributes) && remote_await(remote, &answers[i]) &&
		    answers[i].message == NACRE_SFTP_ATTRS)
			list->items[i].attributes = answers[i].attributes;
		answer_free(&answers[i]);
	}
	free(answers);
}
