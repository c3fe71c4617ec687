/* ChrootDirectory: which directory it is for a login, and that nobody but root can change it. */
#include "login.h"

#include <nacre/config.h>
#include <nacre/log.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void
expand(const struct login *login, char *path, size_t room)
{
	const char *pattern = login->config->chroot_directory;
	struct nacre_buffer expanded = {0};
	char uid[24];
	const struct nacre_token tokens[] = {
	    {'h', login->account.home}, {'u', login->account.name}, {'U', uid}};

	snprintf(uid, sizeof uid, "%ld", (long)login->account.uid);
	if (nacre_expand_tokens(pattern, tokens, MEMBERS(tokens), false, &expanded, NULL) != 0 ||
	    nacre_buffer_length(&expanded) >= room)
		nacre_fatal("bad ChrootDirectory \"%s\"", pattern);
	snprintf(path, room, "%.*s", (int)nacre_buffer_length(&expanded),
	    (const char *)expanded.data + expanded.start);
	nacre_buffer_free(&expanded);
	if (path[0] != '/')
		nacre_fatal("chroot path does not begin at root");
}

static void
check(const char *path, bool whole)
{
	const char *component = whole ? "" : "component ";
	struct stat status;

	if (stat(path, &status) != 0)
		nacre_fatal("stat(\"%s\"): %s", path, strerror(errno));
	if (status.st_uid != 0 || (status.st_mode & 022) != 0)
		nacre_fatal(
		    "bad ownership or modes for chroot directory %s\"%s\"", component, path);
	if (!S_ISDIR(status.st_mode))
		nacre_fatal("chroot path %s\"%s\" is not a directory", component, path);
}

const char *
chroot_path(const struct login *login)
{
	static char path[4096];

	if (login->config->chroot_directory == NULL)
		return NULL;
	expand(login, path, sizeof path);
	check("/", path[1] == '\0');
	for (char *slash = path; (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
		*slash = '\0';
		check(path, slash[1] == '\0');
	}
	check(path, true);
	return path;
}
