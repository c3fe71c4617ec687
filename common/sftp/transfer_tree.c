/*
 * What a transfer copies: its target, its sources and the directories under them. Local trees are
 * walked as files are wanted; remote ones are listed ahead, while files are copied, up to a bound.
 */
#include <sftp/transfer.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX    64
#define LISTINGS_MAX 32
#define FOUND_MAX    8192 /* files listed ahead */
#define READDIRS_MAX 2    /* at once for a directory: most end with the second */
#define OWNER_ENTERS 0300

char *
path_join(const char *directory, const char *name)
{
	size_t length = strlen(directory);
	bool slash = length > 0 && directory[length - 1] != '/';
	char *path;

	return asprintf(&path, "%s%s%s", directory, slash ? "/" : "", name) < 0 ? NULL : path;
}

char *
path_base(const char *path)
{
	size_t end = strlen(path), start;

	while (end > 1 && path[end - 1] == '/')
		end--;
	for (start = end; start > 0 && path[start - 1] != '/'; start--)
		;
	return start == end ? strdup(".") : strndup(path + start, end - start);
}

bool
name_is_safe(struct nacre_span name)
{
	return name.length > 0 && name.length <= NAME_MAX && !nacre_span_equals(name, ".") &&
	       !nacre_span_equals(name, "..") && memchr(name.data, '/', name.length) == NULL &&
	       memchr(name.data, '\0', name.length) == NULL;
}

static bool
is_remote(const struct nacre_transfer *transfer, enum nacre_transfer_side side)
{
	return transfer->ends[side] != NULL;
}

static bool
is_directory(const struct nacre_sftp_attributes *attributes)
{
	return (attributes->flags & NACRE_SFTP_ATTR_PERMISSIONS) &&
	       S_ISDIR(attributes->permissions);
}

static bool
is_special(const struct nacre_sftp_attributes *attributes)
{
	const mode_t type = attributes->permissions & S_IFMT;

	return (attributes->flags & NACRE_SFTP_ATTR_PERMISSIONS) && type != 0 && type != S_IFREG &&
	       type != S_IFDIR && type != S_IFLNK;
}

/* Target ------------------------------------------------------------------------------------ */

static void
target_is(struct nacre_transfer *transfer, bool exists, bool directory)
{
	transfer->target_exists = exists;
	transfer->target_is_directory = directory;
	transfer->target_known = true;
}

static void
resolve_local_target(struct nacre_transfer *transfer)
{
	struct stat status;
	bool exists;

	if (transfer->target_path[0] == '\0') {
		free(transfer->target_path);
		transfer->target_path = strdup(".");
		if (transfer->target_path == NULL) {
			transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
			return;
		}
	}
	exists = stat(transfer->target_path, &status) == 0;
	target_is(transfer, exists, exists && S_ISDIR(status.st_mode));
	if (transfer->options.target_is_directory && !transfer->target_is_directory) {
		transfer_error(transfer, "%s: %s", transfer->target_path,
		    exists ? strerror(ENOTDIR) : strerror(ENOENT));
		transfer->fatal = true;
	}
}

static void
target_request(struct nacre_transfer *transfer, enum tag_kind kind)
{
	struct nacre_sftp *sftp = transfer->ends[NACRE_TRANSFER_TARGET];
	const char *path = transfer->target_path;
	struct nacre_sftp_tag tag = transfer_tag(kind, NULL, 0);
	struct nacre_sftp_attributes attributes = {
	    .flags = NACRE_SFTP_ATTR_PERMISSIONS, .permissions = 0777};
	struct nacre_buffer payload = {0};
	int result;

	switch (kind) {
	case TAG_TARGET_EXPAND:
		nacre_put_cstring(&payload, path);
		result = nacre_sftp_extended_request(
		    sftp, "expand-path@openssh.com", nacre_buffer_span(&payload), &tag);
		nacre_buffer_free(&payload);
		break;
	case TAG_TARGET_MKDIR:
		result = nacre_sftp_attributes_request(
		    sftp, NACRE_SFTP_MKDIR, nacre_span_of(path), &attributes, &tag);
		break;
	default:
		result = nacre_sftp_path_request(sftp, NACRE_SFTP_STAT, nacre_span_of(path), &tag);
		break;
	}
	transfer_sent(transfer, result);
}

/* "~" and "~/x" lie where an SFTP session starts; only "~user" needs the server's help. */
static bool
strip_tilde(char *path)
{
	if (path[0] != '~' || (path[1] != '\0' && path[1] != '/'))
		return false;
	memmove(path, path + 1, strlen(path));
	while (path[0] == '/')
		memmove(path, path + 1, strlen(path));
	return true;
}

void
tree_target_resolve(struct nacre_transfer *transfer)
{
	char *path;

	if (!is_remote(transfer, NACRE_TRANSFER_TARGET)) {
		resolve_local_target(transfer);
		return;
	}
	if (transfer->options.exact) {
		target_is(transfer, false, false);
		return;
	}
	if (transfer->target_asked)
		return;
	transfer->target_asked = true;
	strip_tilde(transfer->target_path);
	if (transfer->target_path[0] == '\0') {
		if ((path = strdup(".")) == NULL)
			transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
		else {
			free(transfer->target_path);
			transfer->target_path = path;
		}
	}
	target_request(
	    transfer, transfer->target_path[0] == '~' ? TAG_TARGET_EXPAND : TAG_TARGET_STAT);
}

static void
target_expanded(struct nacre_transfer *transfer, struct nacre_sftp_reply *reply)
{
	struct nacre_sftp_name name;
	char *path = NULL;

	if (reply->message == NACRE_SFTP_NAME && nacre_sftp_get_name(&reply->names, &name))
		path = nacre_span_to_string(name.file_name);
	if (path == NULL) {
		transfer_error(transfer, "%s: %s", transfer->target_path,
		    reply->status == NACRE_SFTP_OP_UNSUPPORTED
			? "the server cannot expand ~user paths; write the path out"
			: transfer_status_text(reply));
		transfer->fatal = true;
		return;
	}
	free(transfer->target_path);
	transfer->target_path = path;
	target_request(transfer, TAG_TARGET_STAT);
}

static void
target_examined(struct nacre_transfer *transfer, const struct nacre_sftp_reply *reply)
{
	bool exists = reply->message == NACRE_SFTP_ATTRS;
	bool directory = exists && is_directory(&reply->attributes);

	if (transfer->options.target_is_directory && !directory && transfer->options.dry_run)
		target_is(transfer, true, true);
	else if (transfer->options.target_is_directory && !directory)
		target_request(transfer, TAG_TARGET_MKDIR);
	else
		target_is(transfer, exists, directory);
}

static void
target_made(struct nacre_transfer *transfer, const struct nacre_sftp_reply *reply)
{
	if (reply->status == NACRE_SFTP_OK) {
		target_is(transfer, true, true);
		return;
	}
	transfer_error(transfer, "remote mkdir \"%s\": %s", transfer->target_path,
	    transfer_status_text(reply));
	transfer->fatal = transfer->hopeless = true;
}

void
tree_target_reply(
    struct nacre_transfer *transfer, enum tag_kind kind, struct nacre_sftp_reply *reply)
{
	if (kind == TAG_TARGET_EXPAND)
		target_expanded(transfer, reply);
	else if (kind == TAG_TARGET_STAT)
		target_examined(transfer, reply);
	else
		target_made(transfer, reply);
}

bool
tree_target_for_many(struct nacre_transfer *transfer)
{
	const struct nacre_sftp_attributes attributes = {
	    .flags = NACRE_SFTP_ATTR_PERMISSIONS, .permissions = 0777};

	if (transfer->target_is_directory)
		return true;
	if (transfer->target_exists) {
		transfer_error(transfer,
		    "Multiple files match pattern, but destination \"%s\" is not a directory",
		    transfer->target_path);
		return false;
	}
	if (transfer->options.dry_run) {
		transfer_plan(transfer, "make directory %s", transfer->target_path);
	} else if (!is_remote(transfer, NACRE_TRANSFER_TARGET)) {
		if (mkdir(transfer->target_path, 0777) != 0) {
			transfer_error(
			    transfer, "mkdir %s: %s", transfer->target_path, strerror(errno));
			return false;
		}
	} else {
		transfer_sent(transfer,
		    nacre_sftp_attributes_request(transfer->ends[NACRE_TRANSFER_TARGET],
			NACRE_SFTP_MKDIR, nacre_span_of(transfer->target_path), &attributes, NULL));
	}
	target_is(transfer, true, true);
	return true;
}

/* Directories ------------------------------------------------------------------------------- */

static void
directory_destroy(struct tracked *object)
{
	struct directory *directory = (struct directory *)object;

	free(directory->source_path);
	free(directory->target_path);
	names_free(&directory->names);
	free(directory->handle);
	stage_free(directory);
	free(directory);
}

static bool
enters(const struct directory *directory)
{
	return (directory->attributes.permissions & OWNER_ENTERS) == OWNER_ENTERS;
}

static bool
wants_setstat(const struct nacre_transfer *transfer, const struct directory *directory)
{
	return !directory->failed && !transfer->options.dry_run &&
	       (transfer_sets_times(transfer) || !enters(directory));
}

static void
send_setstat(struct nacre_transfer *transfer, struct directory *directory)
{
	struct nacre_sftp_tag tag = transfer_tag(TAG_DIRECTORY_SETSTAT, directory, 0);
	const bool modes = transfer->options.preserve || !enters(directory);
	struct nacre_sftp_attributes attributes = {
	    .flags = (modes ? NACRE_SFTP_ATTR_PERMISSIONS : 0U) |
		     (transfer_sets_times(transfer)
			     ? directory->attributes.flags & (uint32_t)NACRE_SFTP_ATTR_TIMES
			     : 0),
	    .permissions = directory->attributes.permissions & 0777,
	    .atime = directory->attributes.atime,
	    .mtime = directory->attributes.mtime,
	};

	directory->finishing = true;
	directory->references++;
	transfer_sent(transfer,
	    nacre_sftp_attributes_request(transfer->ends[NACRE_TRANSFER_TARGET], NACRE_SFTP_SETSTAT,
		nacre_span_of(directory->target_path), &attributes, &tag));
}

/* True while there is something to be waited for. */
static bool
finish_directory(struct nacre_transfer *transfer, struct directory *directory)
{
	if (remove_others(transfer, directory))
		return true;
	if (!directory->finishing && wants_setstat(transfer, directory)) {
		if (is_remote(transfer, NACRE_TRANSFER_TARGET)) {
			send_setstat(transfer, directory);
			return true;
		}
		local_finish_directory(transfer, directory);
	}
	if (!directory->finishing && transfer->options.atomic && !directory->failed &&
	    !transfer->options.dry_run && !is_remote(transfer, NACRE_TRANSFER_TARGET))
		atomic_flush_directory(transfer, directory->target_path);
	directory->finishing = true;
	return stage_continue(transfer, directory);
}

/* The last reference removes what the source does not have and sets what copying would have
 * changed: the mode and the times. */
void
directory_release(struct nacre_transfer *transfer, struct directory *directory)
{
	while (directory != NULL && --directory->references == 0) {
		struct directory *parent = directory->parent;

		if (finish_directory(transfer, directory))
			return;
		object_free(&directory->tracked);
		directory = parent;
	}
}

static void
send_mkdir(struct nacre_transfer *transfer, struct directory *directory)
{
	struct nacre_sftp_tag tag = transfer_tag(TAG_MKDIR, directory, 0);
	struct nacre_sftp_attributes attributes = {
	    .flags = NACRE_SFTP_ATTR_PERMISSIONS,
	    .permissions = (directory->attributes.permissions & 0777) | OWNER_ENTERS,
	};

	directory->creating = true;
	directory->references++;
	transfer_sent(transfer,
	    nacre_sftp_attributes_request(transfer->ends[NACRE_TRANSFER_TARGET], NACRE_SFTP_MKDIR,
		nacre_span_of(directory->target_path), &attributes, &tag));
}

static void
begin_listing(struct nacre_transfer *transfer, struct directory *directory)
{
	transfer_event(transfer, NACRE_TRANSFER_DIRECTORY, NULL, directory->source_path, true);
	if (is_remote(transfer, NACRE_TRANSFER_SOURCE)) {
		directory->next = NULL;
		*transfer->to_list_tail = directory;
		transfer->to_list_tail = &directory->next;
		return;
	}
	if (!local_list(transfer, directory)) {
		directory->incomplete = true;
		directory_release(transfer, directory);
		return;
	}
	directory->next = transfer->walk;
	transfer->walk = directory;
}

/* Where the path of what is below a source begins. */
static size_t
below_start(const char *path)
{
	const size_t length = strlen(path);

	return length > 0 && path[length - 1] == '/' ? length : length + 1;
}

/* Takes the paths over. */
static void
directory_add(struct nacre_transfer *transfer, struct directory *parent, char *source_path,
    char *target_path, const struct nacre_sftp_attributes *attributes)
{
	struct directory *directory = calloc(1, sizeof *directory);

	if (directory == NULL) {
		free(source_path);
		free(target_path);
		transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
		return;
	}
	directory->source_path = source_path;
	directory->target_path = target_path;
	directory->attributes = *attributes;
	directory->references = 1;
	directory->parent = parent;
	directory->depth = parent != NULL ? parent->depth + 1 : 0;
	if (parent != NULL)
		parent->references++;
	directory->relative = parent != NULL ? parent->relative : below_start(source_path);
	object_track(transfer, &directory->tracked, directory_destroy);
	if (!stage_prepare(transfer, directory)) {
		directory->failed = true;
	} else if (directory->depth >= DEPTH_MAX) {
		transfer_error(transfer, "Maximum directory depth exceeded: %d levels", DEPTH_MAX);
		directory->failed = true;
	} else if (!is_remote(transfer, NACRE_TRANSFER_TARGET) && !transfer->options.dry_run) {
		directory->failed = !local_mkdir(transfer, directory);
	}
	if (directory->failed) {
		directory_release(transfer, directory);
		return;
	}
	if (is_remote(transfer, NACRE_TRANSFER_TARGET) && !transfer->options.dry_run)
		send_mkdir(transfer, directory);
	begin_listing(transfer, directory);
}

static void
mkdir_answered(struct nacre_transfer *transfer, struct directory *directory,
    const struct nacre_sftp_reply *reply)
{
	struct nacre_sftp_tag tag = transfer_tag(TAG_MKDIR_STAT, directory, reply->status);

	if (reply->status == NACRE_SFTP_OK) {
		directory->creating = false;
		directory->fresh = true;
		directory_release(transfer, directory);
		return;
	}
	/* It may be there already: version 3 has no status for that. */
	transfer_sent(transfer, nacre_sftp_path_request(transfer->ends[NACRE_TRANSFER_TARGET],
				    NACRE_SFTP_STAT, nacre_span_of(directory->target_path), &tag));
}

static void
mkdir_examined(struct nacre_transfer *transfer, struct directory *directory,
    const struct nacre_sftp_reply *reply)
{
	directory->creating = false;
	if (reply->message != NACRE_SFTP_ATTRS || !is_directory(&reply->attributes)) {
		directory->failed = true;
		if (reply->message == NACRE_SFTP_ATTRS)
			transfer_error(transfer, "\"%s\" exists but is not a directory",
			    directory->target_path);
		else
			transfer_error(transfer, "remote mkdir \"%s\": %s", directory->target_path,
			    nacre_sftp_status_string((uint32_t)reply->tag.value));
		transfer_error(transfer, "failed to upload directory %s to %s",
		    directory->source_path, directory->target_path);
	} else if (directory->stage != NULL && !transfer->options.verify) {
		directory->failed = true;
		stage_refuse(transfer, directory);
	} else if (!transfer->options.preserve) {
		/* Without -p what is there keeps its mode. */
		directory->attributes.permissions |= OWNER_ENTERS;
	}
	directory_release(transfer, directory);
}

/* Listing of remote directories --------------------------------------------------------------- */

static void
send_readdir(struct nacre_transfer *transfer, struct directory *directory)
{
	struct nacre_sftp_tag tag = transfer_tag(TAG_LIST_READDIR, directory, 0);

	while (
	    directory->readdirs < READDIRS_MAX &&
	    transfer_sent(transfer, nacre_sftp_handle_request(transfer->ends[NACRE_TRANSFER_SOURCE],
					NACRE_SFTP_READDIR, handle_span(directory->handle), &tag)))
		directory->readdirs++;
}

static void
end_listing(struct nacre_transfer *transfer, struct directory *directory)
{
	if (directory->handle != NULL && directory->handle->open)
		transfer_sent(
		    transfer, nacre_sftp_handle_request(transfer->ends[NACRE_TRANSFER_SOURCE],
				  NACRE_SFTP_CLOSE, handle_span(directory->handle), NULL));
	free(directory->handle);
	directory->handle = NULL;
	transfer->listings--;
	directory_release(transfer, directory);
}

static void
list_opened(struct nacre_transfer *transfer, struct directory *directory,
    const struct nacre_sftp_reply *reply)
{
	if (reply->message == NACRE_SFTP_HANDLE &&
	    (directory->handle = calloc(1, sizeof *directory->handle)) != NULL) {
		handle_set(directory->handle, reply->handle);
		send_readdir(transfer, directory);
		return;
	}
	transfer_error(transfer, "remote opendir(\"%s\"): %s", directory->source_path,
	    transfer_status_text(reply));
	directory->incomplete = true;
	end_listing(transfer, directory);
}

static void
add_entry(struct nacre_transfer *transfer, struct directory *directory,
    const struct nacre_sftp_name *entry)
{
	char *name;

	if (nacre_span_equals(entry->file_name, ".") || nacre_span_equals(entry->file_name, ".."))
		return;
	name = name_is_safe(entry->file_name) ? nacre_span_to_string(entry->file_name) : NULL;
	if (name == NULL) {
		transfer_error(transfer,
		    "Server sent suspect path \"%.*s\" during readdir of \"%s\"",
		    (int)(entry->file_name.length < 200 ? entry->file_name.length : 200),
		    entry->file_name.length > 0 ? (const char *)entry->file_name.data : "",
		    directory->source_path);
		return;
	}
	if (exclude_matches(transfer, directory, name)) {
		free(name);
		return;
	}
	if (transfer->options.prune && !names_add(&directory->names, name))
		transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
	tree_add_item(transfer, directory, path_join(directory->source_path, name),
	    path_join(directory->target_path, name), &entry->attributes);
	free(name);
}

static void
list_continue(struct nacre_transfer *transfer, struct directory *directory)
{
	directory->listed |= transfer->cancelled;
	directory->incomplete |= transfer->cancelled;
	if (directory->listed) {
		if (directory->readdirs == 0)
			end_listing(transfer, directory);
	} else if (transfer->found.count < FOUND_MAX) {
		send_readdir(transfer, directory);
	} else if (directory->readdirs == 0) {
		directory->next = NULL;
		*transfer->parked_tail = directory;
		transfer->parked_tail = &directory->next;
	}
}

static void
list_read(
    struct nacre_transfer *transfer, struct directory *directory, struct nacre_sftp_reply *reply)
{
	struct nacre_sftp_name entry;

	directory->readdirs--;
	if (reply->message != NACRE_SFTP_NAME) {
		if (reply->status != NACRE_SFTP_EOF && !directory->listed)
			transfer_error(transfer, "remote readdir(\"%s\"): %s",
			    directory->source_path, transfer_status_text(reply));
		directory->listed = true;
	} else if (reply->count == 0) {
		directory->listed = true;
	}
	while (reply->message == NACRE_SFTP_NAME && nacre_sftp_get_name(&reply->names, &entry))
		add_entry(transfer, directory, &entry);
	if (reply->message == NACRE_SFTP_NAME && reply->names.failed)
		transfer_fatal(transfer, "Malformed directory listing from the SFTP server");
	else
		list_continue(transfer, directory);
}

void
tree_directory_reply(
    struct nacre_transfer *transfer, enum tag_kind kind, struct nacre_sftp_reply *reply)
{
	struct directory *directory = reply->tag.context;

	switch (kind) {
	case TAG_LIST:
		list_opened(transfer, directory, reply);
		break;
	case TAG_LIST_READDIR:
		list_read(transfer, directory, reply);
		break;
	case TAG_MKDIR:
		mkdir_answered(transfer, directory, reply);
		break;
	case TAG_MKDIR_STAT:
		mkdir_examined(transfer, directory, reply);
		break;
	case TAG_STAGE_SWAP:
		stage_reply(transfer, directory, reply);
		break;
	default:
		if (reply->status != NACRE_SFTP_OK)
			transfer_error(transfer, "remote setstat \"%s\": %s",
			    directory->target_path, transfer_status_text(reply));
		directory_release(transfer, directory);
		break;
	}
}

void
tree_start_listings(struct nacre_transfer *transfer)
{
	struct directory *directory;

	while (transfer->parked != NULL && transfer->found.count < FOUND_MAX / 2) {
		directory = transfer->parked;
		if ((transfer->parked = directory->next) == NULL)
			transfer->parked_tail = &transfer->parked;
		list_continue(transfer, directory);
	}
	while ((directory = transfer->to_list) != NULL && transfer->cancelled) {
		if ((transfer->to_list = directory->next) == NULL)
			transfer->to_list_tail = &transfer->to_list;
		directory_release(transfer, directory);
	}
	while ((directory = transfer->to_list) != NULL && transfer->listings < LISTINGS_MAX &&
	       transfer->found.count < FOUND_MAX && transfer_has_room(transfer)) {
		struct nacre_sftp_tag tag = transfer_tag(TAG_LIST, directory, 0);

		if ((transfer->to_list = directory->next) == NULL)
			transfer->to_list_tail = &transfer->to_list;
		transfer->listings++;
		if (!transfer_sent(transfer,
			nacre_sftp_path_request(transfer->ends[NACRE_TRANSFER_SOURCE],
			    NACRE_SFTP_OPENDIR, nacre_span_of(directory->source_path), &tag)))
			return;
	}
}

/* Items ------------------------------------------------------------------------------------- */

static void
examine_item(struct nacre_transfer *transfer, struct file *file)
{
	struct nacre_sftp_tag tag = transfer_tag(TAG_ITEM_STAT, file, 0);

	transfer_sent(transfer, nacre_sftp_path_request(transfer->ends[NACRE_TRANSFER_SOURCE],
				    NACRE_SFTP_STAT, nacre_span_of(file->source_path), &tag));
}

static void
refuse_special(struct nacre_transfer *transfer, const char *path)
{
	if (is_remote(transfer, NACRE_TRANSFER_SOURCE))
		transfer_warning(transfer, "%s \"%s\": not a regular file",
		    is_remote(transfer, NACRE_TRANSFER_TARGET) ? "origin" : "download", path);
	else
		transfer_warning(transfer, "%s: not a regular file",
		    strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path);
}

static void
found_file(struct nacre_transfer *transfer, struct file *file)
{
	transfer->progress.files_found++;
	transfer->progress.bytes_found += file->attributes.size;
	queue_push(&transfer->found, file);
}

/* Takes the paths over. */
void
tree_add_item(struct nacre_transfer *transfer, struct directory *parent, char *source_path,
    char *target_path, const struct nacre_sftp_attributes *attributes)
{
	const bool typed = (attributes->flags & NACRE_SFTP_ATTR_PERMISSIONS) &&
			   (attributes->permissions & S_IFMT) != 0;
	struct file *file;

	if (source_path == NULL || target_path == NULL || transfer->cancelled) {
		free(source_path);
		free(target_path);
		if (!transfer->cancelled)
			transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
		return;
	}
	if (typed && S_ISDIR(attributes->permissions)) {
		directory_add(transfer, parent, source_path, target_path, attributes);
		return;
	}
	if (is_special(attributes)) {
		refuse_special(transfer, source_path);
		free(source_path);
		free(target_path);
		return;
	}
	file = file_new(transfer, parent, source_path, target_path, attributes);
	if (file == NULL)
		return;
	if (!typed || S_ISLNK(attributes->permissions))
		examine_item(transfer, file);
	else
		found_file(transfer, file);
}

void
tree_item_reply(struct nacre_transfer *transfer, struct nacre_sftp_reply *reply)
{
	struct file *file = reply->tag.context;
	struct directory *parent = file->directory;
	char *source_path = file->source_path, *target_path = file->target_path;

	if (reply->message != NACRE_SFTP_ATTRS) {
		transfer_error(
		    transfer, "remote stat \"%s\": %s", source_path, transfer_status_text(reply));
	} else {
		/* A server that tells no type even now means a file. */
		if ((reply->attributes.permissions & S_IFMT) == 0 ||
		    S_ISLNK(reply->attributes.permissions))
			reply->attributes.permissions =
			    (reply->attributes.permissions & 07777) | S_IFREG;
		if (!(reply->attributes.flags & NACRE_SFTP_ATTR_PERMISSIONS))
			reply->attributes.permissions = S_IFREG | 0666;
		reply->attributes.flags |= NACRE_SFTP_ATTR_PERMISSIONS;
		file->source_path = file->target_path = NULL;
		tree_add_item(transfer, parent, source_path, target_path, &reply->attributes);
	}
	object_free(&file->tracked);
	directory_release(transfer, parent);
}

/* A source that the user named and that is no file, or a directory without "recursive". */
static void
refuse_root(struct nacre_transfer *transfer, const char *path, bool directory)
{
	const char *slash = directory && path[strlen(path) - 1] != '/' ? "/" : "";
	/* OpenSSH's scp says it so. */
	const char *quote = is_remote(transfer, NACRE_TRANSFER_TARGET) ? "\"" : "";

	if (is_remote(transfer, NACRE_TRANSFER_SOURCE)) {
		transfer_error(
		    transfer, "download %s%s%s%s: not a regular file", quote, path, slash, quote);
		return;
	}
	transfer_error(transfer, "local \"%s\" is not a regular file", path);
	if (!transfer->options.brief)
		transfer_error(transfer, "failed to upload file %s to %s", path,
		    transfer->options.target_path);
}

void
tree_add_root(struct nacre_transfer *transfer, const char *path,
    const struct nacre_sftp_attributes *attributes)
{
	char *base, *target;

	if (is_special(attributes) || (is_directory(attributes) && !transfer->options.recursive)) {
		refuse_root(transfer, path, is_directory(attributes));
		return;
	}
	if (is_directory(attributes) && transfer->target_exists && !transfer->target_is_directory) {
		transfer_error(
		    transfer, "\"%s\" exists but is not a directory", transfer->target_path);
		transfer_error(transfer, "failed to %s directory %s to %s",
		    is_remote(transfer, NACRE_TRANSFER_SOURCE) ? "download" : "upload", path,
		    transfer->target_path);
		return;
	}
	base = path_base(path);
	if (base != NULL && transfer->target_is_directory && !transfer->options.exact)
		target = path_join(transfer->target_path, base);
	else
		target = base != NULL ? strdup(transfer->target_path) : NULL;
	free(base);
	tree_add_item(transfer, NULL, strdup(path), target, attributes);
}

/* Local trees ------------------------------------------------------------------------------- */

static void
add_local_root(struct nacre_transfer *transfer)
{
	struct root *root = transfer->roots;
	struct nacre_sftp_attributes attributes;
	struct stat status;

	if ((transfer->roots = root->next) == NULL)
		transfer->roots_tail = &transfer->roots;
	if (transfer->cancelled) {
		object_free(&root->tracked);
		return;
	}
	if (stat(root->path, &status) != 0) {
		transfer_error(transfer, "stat local \"%s\": %s", root->path, strerror(errno));
		transfer->hopeless = true;
	} else {
		nacre_sftp_attributes_of_stat(&status, &attributes);
		tree_add_root(transfer, root->path, &attributes);
	}
	object_free(&root->tracked);
}

static void
add_local_entry(struct nacre_transfer *transfer, struct directory *directory, const char *name)
{
	char *source_path, *target_path;
	struct nacre_sftp_attributes attributes = {0};
	struct stat status;

	if (exclude_matches(transfer, directory, name))
		return;
	source_path = path_join(directory->source_path, name);
	target_path = path_join(directory->target_path, name);
	if (source_path != NULL && stat(source_path, &status) != 0) {
		transfer_error(transfer, "stat local \"%s\": %s", source_path, strerror(errno));
		free(source_path);
		free(target_path);
		return;
	}
	if (source_path != NULL)
		nacre_sftp_attributes_of_stat(&status, &attributes);
	tree_add_item(transfer, directory, source_path, target_path, &attributes);
}

bool
tree_walk_local(struct nacre_transfer *transfer)
{
	struct directory *directory = transfer->walk;

	if (is_remote(transfer, NACRE_TRANSFER_SOURCE))
		return false;
	if (directory == NULL) {
		if (transfer->roots == NULL)
			return false;
		add_local_root(transfer);
		return true;
	}
	if (directory->failed || transfer->cancelled ||
	    directory->name_next == directory->names.count) {
		transfer->walk = directory->next;
		directory->incomplete = directory->name_next < directory->names.count;
		if (!transfer->options.prune)
			names_free(&directory->names);
		directory_release(transfer, directory);
		return true;
	}
	add_local_entry(transfer, directory, names_at(&directory->names, directory->name_next++));
	return true;
}
