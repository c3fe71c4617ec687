/*
 * What goes away at the target: what the source of a synchronised directory does not have, and
 * trees whose place another has taken. Links are removed, never followed.
 */
#include <sftp/transfer.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRIES_MOST 64 /* under way before more are listed */
#define DEPTH_MOST   256

/* A remote directory that is emptied. */
struct removal {
	struct tracked tracked;
	struct removal *parent;
	struct directory *owner; /* of the outermost: released at the end */
	char *path;
	struct handle handle;
	size_t references; /* its listing, its entries, its own removal */
	unsigned depth;
	bool prunes; /* only what the owner's source does not have, and it stays itself */
	bool reading, listed, ended;
};

static void
removal_destroy(struct tracked *object)
{
	struct removal *removal = (struct removal *)object;

	free(removal->path);
	free(removal);
}

/* Takes "path" over. */
static struct removal *
removal_new(struct nacre_transfer *transfer, struct removal *parent, char *path)
{
	struct removal *removal = calloc(1, sizeof *removal);
	struct nacre_sftp_tag tag;

	if (removal == NULL || path == NULL) {
		free(removal);
		free(path);
		transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
		return NULL;
	}
	removal->parent = parent;
	removal->path = path;
	removal->references = 1;
	removal->depth = parent != NULL ? parent->depth + 1 : 0;
	object_track(transfer, &removal->tracked, removal_destroy);
	if (parent != NULL)
		parent->references++;
	tag = transfer_tag(TAG_REMOVAL_OPEN, removal, 0);
	transfer_sent(transfer, nacre_sftp_path_request(transfer->ends[NACRE_TRANSFER_TARGET],
				    NACRE_SFTP_OPENDIR, nacre_span_of(path), &tag));
	return removal;
}

static void
cannot_remove(struct nacre_transfer *transfer, const char *path, const char *reason)
{
	transfer_error(transfer, "remove \"%s\": %s", path, reason);
}

static void
send_readdir(struct nacre_transfer *transfer, struct removal *removal)
{
	struct nacre_sftp_tag tag = transfer_tag(TAG_REMOVAL_READ, removal, 0);

	if (removal->reading || removal->listed || removal->references > ENTRIES_MOST)
		return;
	removal->reading = true;
	removal->references++;
	transfer_sent(transfer, nacre_sftp_handle_request(transfer->ends[NACRE_TRANSFER_TARGET],
				    NACRE_SFTP_READDIR, handle_span(&removal->handle), &tag));
}

static void
end_self(struct nacre_transfer *transfer, struct removal *removal)
{
	struct nacre_sftp_tag tag = transfer_tag(TAG_REMOVAL_SELF, removal, 0);

	removal->ended = true;
	removal->references++;
	transfer_sent(transfer, nacre_sftp_path_request(transfer->ends[NACRE_TRANSFER_TARGET],
				    NACRE_SFTP_RMDIR, nacre_span_of(removal->path), &tag));
}

static void
removal_release(struct nacre_transfer *transfer, struct removal *removal)
{
	while (removal != NULL) {
		struct removal *parent = removal->parent;
		struct directory *owner = removal->owner;

		if (--removal->references > 0) {
			if (removal->handle.open)
				send_readdir(transfer, removal);
			return;
		}
		if (!removal->ended && !removal->prunes && removal->listed) {
			end_self(transfer, removal);
			return;
		}
		object_free(&removal->tracked);
		if (owner != NULL)
			directory_release(transfer, owner);
		removal = parent;
	}
}

static void
remove_entry(struct nacre_transfer *transfer, struct removal *removal, const char *name,
    const struct nacre_sftp_attributes *attributes)
{
	struct nacre_sftp_tag tag = transfer_tag(TAG_REMOVAL_ENTRY, removal, 0);
	char *path = path_join(removal->path, name);

	transfer->progress.pruned += removal->prunes;
	if (removal->prunes && transfer->options.dry_run && path != NULL) {
		transfer_plan(transfer, "remove %s", path);
		free(path);
		return;
	}
	if (S_ISDIR(attributes->permissions) && removal->depth < DEPTH_MOST) {
		removal_new(transfer, removal, path);
		return;
	}
	removal->references++;
	transfer_sent(transfer, path == NULL
				    ? NACRE_ERROR_MEMORY
				    : nacre_sftp_path_request(transfer->ends[NACRE_TRANSFER_TARGET],
					  NACRE_SFTP_REMOVE, nacre_span_of(path), &tag));
	free(path);
}

static bool
is_kept(const struct nacre_transfer *transfer, const struct directory *directory, const char *name)
{
	return names_has(&directory->names, name) || exclude_matches(transfer, directory, name);
}

static void
take_entries(struct nacre_transfer *transfer, struct removal *removal, struct nacre_reader *names)
{
	struct nacre_sftp_name entry;

	while (nacre_sftp_get_name(names, &entry) && !transfer->fatal) {
		char *name =
		    name_is_safe(entry.file_name) ? nacre_span_to_string(entry.file_name) : NULL;

		if (name != NULL && !(removal->prunes && is_kept(transfer, removal->owner, name)))
			remove_entry(transfer, removal, name, &entry.attributes);
		free(name);
	}
}

static void
entries_came(
    struct nacre_transfer *transfer, struct removal *removal, struct nacre_sftp_reply *reply)
{
	removal->reading = false;
	if (reply->message == NACRE_SFTP_NAME && reply->count > 0 && !transfer->cancelled) {
		take_entries(transfer, removal, &reply->names);
		send_readdir(transfer, removal);
		return;
	}
	if (reply->message != NACRE_SFTP_NAME && reply->status != NACRE_SFTP_EOF)
		cannot_remove(transfer, removal->path, transfer_status_text(reply));
	removal->listed = !transfer->cancelled;
	transfer_sent(transfer, nacre_sftp_handle_request(transfer->ends[NACRE_TRANSFER_TARGET],
				    NACRE_SFTP_CLOSE, handle_span(&removal->handle), NULL));
	removal->handle.open = false;
}

void
remove_reply(struct nacre_transfer *transfer, enum tag_kind kind, struct nacre_sftp_reply *reply)
{
	struct removal *removal = reply->tag.context;

	if (kind == TAG_REMOVAL_OPEN && reply->message == NACRE_SFTP_HANDLE) {
		handle_set(&removal->handle, reply->handle);
		send_readdir(transfer, removal);
	} else if (kind == TAG_REMOVAL_OPEN) {
		/* What is not there need not go. */
		if (reply->status != NACRE_SFTP_NO_SUCH_FILE)
			cannot_remove(transfer, removal->path, transfer_status_text(reply));
	} else if (kind == TAG_REMOVAL_READ) {
		entries_came(transfer, removal, reply);
	} else if (reply->status != NACRE_SFTP_OK) {
		cannot_remove(transfer, removal->path, transfer_status_text(reply));
	}
	removal_release(transfer, removal);
}

/* Local -------------------------------------------------------------------------------------- */

static void remove_local(struct nacre_transfer *transfer, int parent, const char *name,
    const char *path, unsigned depth);

static void
empty_local(struct nacre_transfer *transfer, int fd, const char *path, unsigned depth)
{
	DIR *stream = fdopendir(fd);
	const struct dirent *entry;

	if (stream == NULL) {
		cannot_remove(transfer, path, strerror(errno));
		close(fd);
		return;
	}
	while ((entry = readdir(stream)) != NULL) {
		char *below;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if ((below = path_join(path, entry->d_name)) == NULL)
			break;
		remove_local(transfer, dirfd(stream), entry->d_name, below, depth + 1);
		free(below);
	}
	closedir(stream);
}

static void
remove_local(
    struct nacre_transfer *transfer, int parent, const char *name, const char *path, unsigned depth)
{
	int fd;

	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return;
	if (errno != EISDIR || depth > DEPTH_MOST) {
		cannot_remove(transfer, path, strerror(errno));
		return;
	}
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		cannot_remove(transfer, path, strerror(errno));
		return;
	}
	empty_local(transfer, fd, path, depth);
	if (unlinkat(parent, name, AT_REMOVEDIR) != 0)
		cannot_remove(transfer, path, strerror(errno));
}

static void
prune_local(struct nacre_transfer *transfer, struct directory *directory)
{
	DIR *stream = opendir(directory->target_path);
	const struct dirent *entry;

	if (stream == NULL) {
		if (errno != ENOENT || !transfer->options.dry_run)
			cannot_remove(transfer, directory->target_path, strerror(errno));
		return;
	}
	while ((entry = readdir(stream)) != NULL) {
		char *path;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    is_kept(transfer, directory, entry->d_name))
			continue;
		if ((path = path_join(directory->target_path, entry->d_name)) == NULL)
			break;
		transfer->progress.pruned++;
		if (transfer->options.dry_run)
			transfer_plan(transfer, "remove %s", path);
		else
			remove_local(transfer, dirfd(stream), entry->d_name, path, 0);
		free(path);
	}
	closedir(stream);
}

/* Both --------------------------------------------------------------------------------------- */

/* Not when an error has left something unknown: what was not seen must not be taken for gone. */
bool
remove_others(struct nacre_transfer *transfer, struct directory *directory)
{
	struct removal *removal;

	if (!transfer->options.prune || directory->pruning || directory->failed ||
	    directory->fresh || directory->incomplete || transfer->cancelled ||
	    transfer->errors > 0)
		return false;
	directory->pruning = true;
	names_sort(&directory->names);
	if (transfer->ends[NACRE_TRANSFER_TARGET] == NULL) {
		prune_local(transfer, directory);
		return false;
	}
	removal = removal_new(transfer, NULL, strdup(directory->target_path));
	if (removal == NULL)
		return false;
	removal->owner = directory;
	removal->prunes = true;
	directory->references++;
	return true;
}

bool
remove_tree(struct nacre_transfer *transfer, struct directory *directory, const char *path)
{
	struct removal *removal;

	if (transfer->ends[NACRE_TRANSFER_TARGET] == NULL) {
		remove_local(transfer, AT_FDCWD, path, path, 0);
		return false;
	}
	removal = removal_new(transfer, NULL, strdup(path));
	if (removal == NULL)
		return false;
	removal->owner = directory;
	directory->references++;
	return true;
}
