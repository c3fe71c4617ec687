/* sftp: ls, in the forms of ls(1). */
#include <scp/sftp.h>

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WIDTH_DEFAULT 80
#define HALF_A_YEAR   (365 * 24 * 3600 / 2)

/* Names of users and groups, as the server knows them. */
struct owner {
	uint32_t id;
	char *name; /* NULL: it has none */
};
struct owners {
	struct owner *list;
	size_t count;
};

struct listing {
	struct remote *remote;
	unsigned flags;
	struct owners users, groups;
};

void
format_bytes(uint64_t bytes, bool full, char *text, size_t room)
{
	static const char units[] = "BKMGTPE";
	double value = (double)bytes;
	size_t unit = 0;

	for (; value >= 1000 && units[unit + 1] != '\0'; unit++)
		value /= 1024;
	if (unit == 0)
		snprintf(text, room, "%lluB", (unsigned long long)bytes);
	else
		snprintf(text, room, value < 99.95 ? "%.1f%c%s" : "%.0f%c%s", value, units[unit],
		    full ? "B" : "");
}

/* Owners ------------------------------------------------------------------------------------ */

static void
add_owner(struct owners *owners, uint32_t id)
{
	for (size_t i = 0; i < owners->count; i++)
		if (owners->list[i].id == id)
			return;
	struct owner *const list = reallocarray(owners->list, owners->count + 1, sizeof *list);
	if (list == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	owners->list = list;
	owners->list[owners->count++] = (struct owner){.id = id};
}

static void
put_ids(const struct owners *owners, struct nacre_buffer *payload)
{
	const size_t mark = nacre_put_string_begin(payload);

	for (size_t i = 0; i < owners->count; i++)
		nacre_put_u32(payload, owners->list[i].id);
	nacre_put_string_end(payload, mark);
}

static void
take_owners(struct owners *owners, struct nacre_span names)
{
	struct nacre_reader reader = nacre_reader_of(names);

	for (size_t i = 0; i < owners->count && reader.length > 0; i++) {
		const struct nacre_span name = nacre_get_string(&reader);

		if (!reader.failed && name.length > 0)
			owners->list[i].name = nacre_span_to_string(name);
	}
}

/* All of them in one request. */
static void
ask_owners(struct listing *listing, const struct found_list *list)
{
	struct nacre_buffer payload = {0};
	struct answer answer = {0};
	const struct nacre_sftp_tag tag = answer_tag(&answer);

	if ((listing->flags & LIST_LONG) == 0 || (listing->flags & LIST_NUMERIC) != 0 ||
	    (nacre_sftp_extensions(listing->remote->sftp) & NACRE_SFTP_USERS_GROUPS_BY_ID) == 0)
		return;
	for (size_t i = 0; i < list->count; i++) {
		add_owner(&listing->users, list->items[i].attributes.uid);
		add_owner(&listing->groups, list->items[i].attributes.gid);
	}
	put_ids(&listing->users, &payload);
	put_ids(&listing->groups, &payload);
	nacre_sftp_extended_request(listing->remote->sftp, "users-groups-by-id@openssh.com",
	    nacre_buffer_span(&payload), &tag);
	nacre_buffer_free(&payload);
	if (remote_await(listing->remote, &answer) && answer.message == NACRE_SFTP_EXTENDED_REPLY) {
		struct nacre_reader reader = nacre_reader_of(nacre_buffer_span(&answer.content));

		take_owners(&listing->users, nacre_get_string(&reader));
		take_owners(&listing->groups, nacre_get_string(&reader));
	}
	answer_free(&answer);
}

static void
free_owners(struct owners *owners)
{
	for (size_t i = 0; i < owners->count; i++)
		free(owners->list[i].name);
	free(owners->list);
}

static void
owner_text(const struct owners *owners, uint32_t id, char *text, size_t room)
{
	snprintf(text, room, "%u", id);
	for (size_t i = 0; i < owners->count; i++)
		if (owners->list[i].id == id && owners->list[i].name != NULL)
			snprintf(text, room, "%s", owners->list[i].name);
}

/* Lines --------------------------------------------------------------------------------------- */

static char
type_letter(uint32_t mode)
{
	static const struct {
		uint32_t type;
		char letter;
	} types[] = {{S_IFDIR, 'd'}, {S_IFLNK, 'l'}, {S_IFIFO, 'p'}, {S_IFSOCK, 's'},
	    {S_IFCHR, 'c'}, {S_IFBLK, 'b'}};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if ((mode & S_IFMT) == types[i].type)
			return types[i].letter;
	return '-';
}

static void
mode_text(uint32_t mode, char text[11])
{
	static const char letters[] = "rwxrwxrwx";

	text[0] = type_letter(mode);
	for (unsigned i = 0; i < 9; i++)
		text[i + 1] = (char)((mode >> (8 - i) & 1) != 0 ? letters[i] : '-');
	if ((mode & S_ISUID) != 0)
		text[3] = (char)(text[3] == 'x' ? 's' : 'S');
	if ((mode & S_ISGID) != 0)
		text[6] = (char)(text[6] == 'x' ? 's' : 'S');
	if ((mode & S_ISVTX) != 0)
		text[9] = (char)(text[9] == 'x' ? 't' : 'T');
	text[10] = '\0';
}

static void
time_text(uint32_t when, char *text, size_t room)
{
	const time_t now = time(NULL), then = (time_t)when;
	const bool old = then > now || now - then >= HALF_A_YEAR;
	struct tm parts;

	if (localtime_r(&then, &parts) == NULL ||
	    strftime(text, room, old ? "%b %e  %Y" : "%b %e %H:%M", &parts) == 0)
		snprintf(text, room, "?");
}

static void
print_long(const struct listing *listing, const struct found *found, const char *name)
{
	const struct nacre_sftp_attributes *const attributes = &found->attributes;
	char mode[11], user[64], group[64], size[32], when[32];

	if (found->long_name != NULL) {
		say("%s\n", found->long_name);
		return;
	}
	mode_text(attributes->permissions, mode);
	owner_text(&listing->users, attributes->uid, user, sizeof user);
	owner_text(&listing->groups, attributes->gid, group, sizeof group);
	if ((listing->flags & LIST_HUMAN) != 0)
		format_bytes(attributes->size, false, size, sizeof size);
	else
		snprintf(size, sizeof size, "%llu", (unsigned long long)attributes->size);
	time_text(attributes->mtime, when, sizeof when);
	say("%s    ? %-8s %-8s %8s %s %s\n", mode, user, group, size, when, name);
}

static unsigned
terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return WIDTH_DEFAULT;
	return size.ws_col;
}

static const char *
shown(const struct found *found, const char *strip)
{
	const size_t length = strlen(strip);

	return strncmp(found->path, strip, length) == 0 ? found->path + length : found->path;
}

/* "longest": the widest name, or what it is laid out as. */
static void
print_columns(const struct found_list *list, const char *strip, size_t longest)
{
	const size_t width = terminal_width();
	const size_t columns = width / (longest + 2) > 0 ? width / (longest + 2) : 1;
	struct nacre_buffer row = {0};

	for (size_t i = 0; i < list->count; i++) {
		nacre_put_format(
		    &row, "%-*s", (int)(width / columns), shown(&list->items[i], strip));
		if ((i + 1) % columns != 0 && i + 1 < list->count)
			continue;
		nacre_put_byte(&row, 0);
		if (row.failed)
			die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
		say("%s\n", (const char *)nacre_buffer_span(&row).data);
		nacre_buffer_consume(&row, nacre_buffer_length(&row));
	}
	nacre_buffer_free(&row);
}

/* Order --------------------------------------------------------------------------------------- */

static int
compare(const void *left, const void *right, void *context)
{
	const struct found *const a = left, *const b = right;
	const unsigned flags = *(const unsigned *)context;
	const int sign = (flags & LIST_REVERSE) != 0 ? -1 : 1;

	if ((flags & LIST_BY_TIME) != 0 && a->attributes.mtime != b->attributes.mtime)
		return a->attributes.mtime < b->attributes.mtime ? sign : -sign;
	if ((flags & LIST_BY_SIZE) != 0 && a->attributes.size != b->attributes.size)
		return a->attributes.size < b->attributes.size ? sign : -sign;
	const int order = strcmp(a->path, b->path);
	return order < 0 ? -sign : order > 0 ? sign : 0;
}

static void
print(struct listing *listing, struct found_list *list, const char *strip, size_t longest)
{
	if ((listing->flags & LIST_UNSORTED) == 0 && list->count > 1)
		qsort_r(list->items, list->count, sizeof *list->items, compare, &listing->flags);
	ask_owners(listing, list);
	if ((listing->flags & (LIST_LONG | LIST_ONE_COLUMN)) == 0)
		print_columns(list, strip, longest);
	for (size_t i = 0; i < list->count && (listing->flags & (LIST_LONG | LIST_ONE_COLUMN)) != 0;
	     i++) {
		const char *const name = shown(&list->items[i], strip);

		if ((listing->flags & LIST_LONG) != 0) {
			print_long(listing, &list->items[i], name);
		} else {
			say("%s\n", name);
		}
	}
}

/* Directories ------------------------------------------------------------------------------- */

/* Their entries, with "prefix" in front of each. */
static int
list_directory(struct listing *listing, const char *path, const char *prefix)
{
	struct found_list all = {0}, list = {0};
	/* Without names for owners the server's own lines tell more. */
	const bool as_told =
	    (listing->flags & (LIST_NUMERIC | LIST_HUMAN)) == 0 &&
	    (nacre_sftp_extensions(listing->remote->sftp) & NACRE_SFTP_USERS_GROUPS_BY_ID) == 0;
	size_t longest = 0;

	if (!remote_list(listing->remote, path, &all)) {
		found_free(&all);
		return 1;
	}
	for (size_t i = 0; i < all.count; i++) {
		char *whole, *line = NULL;

		if (all.items[i].path[0] == '.' && (listing->flags & LIST_ALL) == 0)
			continue;
		if (asprintf(&whole, "%s%s", prefix, all.items[i].path) < 0)
			die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
		if (strlen(whole) > longest)
			longest = strlen(whole);
		if (as_told) {
			line = all.items[i].long_name;
			all.items[i].long_name = NULL;
		}
		found_add(&list, whole, &all.items[i].attributes, line);
	}
	print(listing, &list, "", longest);
	found_free(&all);
	found_free(&list);
	return 0;
}

/* The remote directory with a slash, which is not shown in front of what is in it. */
static char *
strip_of(const struct remote *remote, const char *pattern)
{
	return pattern[0] == '/' ? strdup("") : remote_absolute(remote, "");
}

/* Of several that a pattern names; they are told by their own lines no more. */
static void
mark_directories(struct found_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		struct found *const found = &list->items[i];

		free(found->long_name);
		found->long_name = NULL;
		if (!S_ISDIR(found->attributes.permissions))
			continue;
		char *const marked = path_join(found->path, "");
		free(found->path);
		found->path = marked;
	}
}

static int
list_matches(struct listing *listing, const char *pattern, struct found_list *list)
{
	char *const strip = strip_of(listing->remote, pattern);
	size_t longest = 0;
	int status = 0;

	if (strip == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	if (list->count == 1 && S_ISDIR(list->items[0].attributes.permissions)) {
		const char *const name = shown(&list->items[0], strip);
		const char *const slash = *name != '\0' && name[strlen(name) - 1] != '/' ? "/" : "";
		char *prefix;

		if (asprintf(&prefix, "%s%s", name, slash) < 0)
			die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
		status = list_directory(listing, list->items[0].path, prefix);
		free(prefix);
	} else {
		mark_directories(list);
		for (size_t i = 0; i < list->count; i++)
			if (strlen(list->items[i].path) > longest)
				longest = strlen(list->items[i].path);
		print(listing, list, strip, longest);
	}
	free(strip);
	return status;
}

int
list_remote(struct sftp *sftp, const char *pattern, unsigned flags)
{
	struct listing listing = {.remote = &sftp->remote, .flags = flags};
	struct found_list list = {0};
	int status;

	if (pattern == NULL) {
		status = list_directory(&listing, sftp->remote.directory, "");
	} else {
		char *const path = remote_pattern(&sftp->remote, pattern);

		if (remote_glob(&sftp->remote, path, true, &list)) {
			remote_follow(&sftp->remote, &list);
			status = list_matches(&listing, pattern, &list);
		} else {
			complain("Can't ls: \"%s\" not found", path);
			status = 1;
		}
		free(path);
	}
	found_free(&list);
	free_owners(&listing.users);
	free_owners(&listing.groups);
	return status;
}
