/* Directory listings of the SFTP server, with the "ls -l" line that version 3 sends. */
#include <sftp/server.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A reply stays below what the draft says that every client takes (34,000 bytes). */
#define LISTING_BOUND ((size_t)32000)
#define LISTING_ENTRY ((size_t)NAME_MAX * 2 + 256)
#define HALF_YEAR     (365 * 24 * 60 * 60 / 2)

int
server_opendir(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	struct server_handle *handle;
	char path[PATH_MAX];
	DIR *directory;
	int status;

	if (!server_get_path(request, path, &status))
		return status;
	server_log(server, NACRE_LOG_INFO, "opendir \"%s\"", path);
	if ((directory = opendir(path)) == NULL)
		return server_result(-1);
	if ((handle = server_handle_new(server, path, 0)) == NULL) {
		closedir(directory);
		return NACRE_SFTP_FAILURE;
	}
	handle->kind = HANDLE_DIRECTORY;
	handle->directory = directory;
	return server_send_handle(server, id, handle);
}

/* Asking the user database may cost a round trip of its own; few ids occur in one directory. */
static struct name_cache_entry *
cache_entry(struct name_cache_entry *cache, uint32_t id, bool *fresh)
{
	struct name_cache_entry *entry = &cache[id % NAME_CACHE_SIZE];

	*fresh = !entry->used || entry->id != id;
	entry->used = true;
	entry->id = id;
	return entry;
}

static const char *
user_name(struct nacre_sftp_server *server, uint32_t id)
{
	bool fresh;
	struct name_cache_entry *entry = cache_entry(server->users, id, &fresh);

	if (fresh) {
		const struct passwd *account = getpwuid(id);

		if (account != NULL)
			snprintf(entry->name, sizeof entry->name, "%.32s", account->pw_name);
		else
			snprintf(entry->name, sizeof entry->name, "%u", id);
	}
	return entry->name;
}

static const char *
group_name(struct nacre_sftp_server *server, uint32_t id)
{
	bool fresh;
	struct name_cache_entry *entry = cache_entry(server->groups, id, &fresh);

	if (fresh) {
		const struct group *group = getgrgid(id);

		if (group != NULL)
			snprintf(entry->name, sizeof entry->name, "%.32s", group->gr_name);
		else
			snprintf(entry->name, sizeof entry->name, "%u", id);
	}
	return entry->name;
}

static char
type_letter(mode_t mode)
{
	static const struct {
		mode_t type;
		char letter;
	} letters[] = {{S_IFREG, '-'}, {S_IFDIR, 'd'}, {S_IFLNK, 'l'}, {S_IFBLK, 'b'},
	    {S_IFCHR, 'c'}, {S_IFIFO, 'p'}, {S_IFSOCK, 's'}};

	for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++)
		if ((mode & S_IFMT) == letters[i].type)
			return letters[i].letter;
	return '?';
}

/* "drwxr-xr-x", with s, S, t and T as ls writes them. */
static void
mode_text(mode_t mode, char text[11])
{
	static const char letters[] = "rwxrwxrwx";
	static const struct {
		mode_t bit;
		size_t place;
		char with_x, without_x;
	} special[] = {{S_ISUID, 3, 's', 'S'}, {S_ISGID, 6, 's', 'S'}, {S_ISVTX, 9, 't', 'T'}};

	text[0] = type_letter(mode);
	for (size_t i = 0; i < 9; i++)
		text[1 + i] = mode & (0400U >> i) ? letters[i] : '-';
	for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
		if (mode & special[i].bit)
			text[special[i].place] = text[special[i].place] == 'x'
						     ? special[i].with_x
						     : special[i].without_x;
	text[10] = '\0';
}

static void
put_long_name(
    struct nacre_sftp_server *server, const char *name, const struct stat *status, time_t now)
{
	char mode[11], date[32] = "";
	bool recent = status->st_mtime > now - HALF_YEAR && status->st_mtime <= now;
	struct tm when;
	size_t mark = nacre_put_string_begin(&server->output);

	mode_text(status->st_mode, mode);
	if (localtime_r(&status->st_mtime, &when) == NULL ||
	    strftime(date, sizeof date, recent ? "%b %e %H:%M" : "%b %e  %Y", &when) == 0)
		date[0] = '\0';
	nacre_put_format(&server->output, "%s %4lu %-8s %-8s %8llu %s %s", mode,
	    (unsigned long)status->st_nlink, user_name(server, status->st_uid),
	    group_name(server, status->st_gid), (unsigned long long)status->st_size, date, name);
	nacre_put_string_end(&server->output, mark);
}

static void
put_entry(struct nacre_sftp_server *server, const char *name, const struct stat *status, time_t now)
{
	struct nacre_sftp_attributes attributes;

	nacre_sftp_attributes_of_stat(status, &attributes);
	nacre_put_cstring(&server->output, name);
	put_long_name(server, name, status, now);
	nacre_sftp_put_attributes(&server->output, &attributes);
}

static uint32_t
put_entries(struct nacre_sftp_server *server, DIR *directory, size_t mark)
{
	time_t now = time(NULL);
	const struct dirent *entry;
	struct stat status;
	uint32_t count = 0;

	while (nacre_buffer_length(&server->output) - mark < LISTING_BOUND - LISTING_ENTRY &&
	       (entry = readdir(directory)) != NULL) {
		if (fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		put_entry(server, entry->d_name, &status, now);
		count++;
	}
	return count;
}

int
server_readdir(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	struct server_handle *handle = server_get_handle(server, request);
	uint32_t count;
	size_t mark, count_mark;

	if (request->failed)
		return HANDLER_MALFORMED;
	if (handle == NULL || handle->kind != HANDLE_DIRECTORY)
		return NACRE_SFTP_FAILURE;
	mark = server_reply_begin(server, NACRE_SFTP_NAME, id);
	count_mark = nacre_put_string_begin(&server->output);
	count = put_entries(server, handle->directory, mark);
	if (count == 0) {
		nacre_buffer_truncate(&server->output, mark);
		return NACRE_SFTP_EOF;
	}
	if (!server->output.failed) {
		uint8_t *place = server->output.data + server->output.start + count_mark;

		for (int i = 0; i < 4; i++)
			place[i] = (uint8_t)(count >> (24 - 8 * i));
	}
	server_reply_end(server, mark);
	return HANDLER_REPLIED;
}
