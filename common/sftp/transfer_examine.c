/*
 * What a file's target is like before it is written: the same already, the beginning of it, or to
 * be written as a whole. For sync, verify and dry runs; others write without a question.
 */
#include <sftp/transfer.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Without hashes from the server a beginning is believed when the piece before its last part is
 * what the source has there; the last part, which may have been under way, is copied again. */
#define COPIED_AGAIN ((uint64_t)4 * 1024 * 1024)
#define COMPARED     ((uint64_t)1024 * 1024)
#define MODE_BITS    0777U

void
check_free(struct file *file)
{
	struct check *check = file->check;

	if (check == NULL)
		return;
	if (check->fd >= 0)
		close(check->fd);
	free(check->path);
	free(check->hashes);
	free(check);
	file->check = NULL;
}

static bool
is_file(const struct nacre_sftp_attributes *attributes)
{
	return (attributes->flags & NACRE_SFTP_ATTR_SIZE) != 0 &&
	       ((attributes->flags & NACRE_SFTP_ATTR_PERMISSIONS) == 0 ||
		   S_ISREG(attributes->permissions));
}

/* In seconds: the protocol has no finer times. */
static bool
same_time(const struct nacre_sftp_attributes *a, const struct nacre_sftp_attributes *b)
{
	return (a->flags & b->flags & NACRE_SFTP_ATTR_TIMES) != 0 && a->mtime == b->mtime;
}

static bool
same_mode(const struct nacre_sftp_attributes *a, const struct nacre_sftp_attributes *b)
{
	return (a->flags & b->flags & NACRE_SFTP_ATTR_PERMISSIONS) == 0 ||
	       (a->permissions & MODE_BITS) == (b->permissions & MODE_BITS);
}

static void
is_same(struct nacre_transfer *transfer, struct file *file)
{
	transfer->progress.files_same++;
	file_settled(transfer, file, false);
}

/* The content is right: what else is to be as at the source is made so. */
static void
settle(struct nacre_transfer *transfer, struct file *file)
{
	struct nacre_sftp *target = file_end(transfer, file, NACRE_TRANSFER_TARGET);
	const struct nacre_sftp_attributes *there = &file->check->there;
	struct nacre_sftp_tag tag = transfer_tag(TAG_SETTLE, file, 0);
	struct nacre_sftp_attributes attributes = file->attributes;
	uint32_t wanted = 0;

	if (!same_time(there, &attributes))
		wanted |= NACRE_SFTP_ATTR_TIMES;
	if (transfer->options.preserve && !same_mode(there, &attributes))
		wanted |= NACRE_SFTP_ATTR_PERMISSIONS;
	attributes.flags &= wanted;
	attributes.permissions &= MODE_BITS;
	if (attributes.flags == 0 || transfer->options.dry_run) {
		is_same(transfer, file);
	} else if (target == NULL) {
		if (local_set_attributes(transfer, file, -1))
			is_same(transfer, file);
		else
			file_settled(transfer, file, true);
	} else {
		transfer_sent(transfer, nacre_sftp_attributes_request(target, NACRE_SFTP_SETSTAT,
					    nacre_span_of(file->target_path), &attributes, &tag));
	}
}

static void
settled(struct nacre_transfer *transfer, struct file *file, const struct nacre_sftp_reply *reply)
{
	if (reply->status == NACRE_SFTP_OK) {
		is_same(transfer, file);
		return;
	}
	transfer_error(
	    transfer, "remote setstat \"%s\": %s", file->target_path, transfer_status_text(reply));
	file_settled(transfer, file, true);
}

static void
copy(struct nacre_transfer *transfer, struct file *file, uint64_t offset)
{
	if (transfer->options.dry_run) {
		transfer_plan(transfer, "copy %s to %s", file->source_path, file->target_path);
		file_settled(transfer, file, false);
		return;
	}
	file_copy(transfer, file, offset);
}

/* Continues what a copy has left, when it can be seen to be right. */
static bool
compare_beginning(struct nacre_transfer *transfer, struct file *file)
{
	const struct check *check = file->check;
	const bool part = file->part_path != NULL;
	const struct nacre_sftp_attributes *left = part ? &check->part : &check->there;
	const char *path = part ? file->part_path : file->target_path;
	uint64_t begin = 0, end = left->size;

	if (!transfer->options.verify || !is_file(left) || end == 0)
		return false;
	if (!verify_can_hash(transfer, file)) {
		/* One of the full size may have holes: several connections have written it. */
		if (end >= file->attributes.size || end < COPIED_AGAIN + COMPARED)
			return false;
		end -= COPIED_AGAIN;
		begin = end - COMPARED;
	}
	if (end > file->attributes.size)
		end = file->attributes.size;
	return end > begin && verify_start(transfer, file, path, begin, end);
}

static void
decide(struct nacre_transfer *transfer, struct file *file)
{
	struct check *check = file->check;
	const struct nacre_sftp_attributes *there = &check->there;
	const bool same_size = is_file(there) && there->size == file->attributes.size;

	if (transfer->cancelled || transfer->fatal) {
		file_settled(transfer, file, true);
		return;
	}
	if (same_size && !transfer->options.checksum && same_time(there, &file->attributes)) {
		settle(transfer, file);
		return;
	}
	if (same_size && transfer->options.checksum) {
		if (there->size == 0) {
			settle(transfer, file);
			return;
		}
		check->whole = true;
		if (verify_start(transfer, file, file->target_path, 0, there->size))
			return;
		check->whole = false;
	}
	if (transfer->options.dry_run || !compare_beginning(transfer, file))
		copy(transfer, file, 0);
}

void
examine_compared(struct nacre_transfer *transfer, struct file *file)
{
	struct check *check = file->check;
	const bool same = check->differs == UINT64_MAX;
	uint64_t offset = same ? check->end : check->differs;

	if (transfer->cancelled || transfer->fatal) {
		file_settled(transfer, file, true);
		return;
	}
	if (check->whole) {
		check->whole = false;
		if (same)
			settle(transfer, file);
		else if (transfer->options.dry_run || !transfer->options.verify ||
			 file->part_path != NULL)
			copy(transfer, file, 0);
		else
			copy(transfer, file, offset);
		return;
	}
	copy(transfer, file, !same && !check->hashing ? 0 : offset);
}

static bool
look_at_local(const char *path, bool follow, struct nacre_sftp_attributes *attributes)
{
	struct stat status;

	if ((follow ? stat(path, &status) : lstat(path, &status)) != 0)
		return false;
	nacre_sftp_attributes_of_stat(&status, attributes);
	return true;
}

static void
ask(struct nacre_transfer *transfer, struct file *file)
{
	struct nacre_sftp *target = file_end(transfer, file, NACRE_TRANSFER_TARGET);
	struct nacre_sftp_tag tag = transfer_tag(TAG_EXAMINE, file, 0);

	file->check->pending++;
	transfer_sent(transfer, nacre_sftp_path_request(target, NACRE_SFTP_STAT,
				    nacre_span_of(file->target_path), &tag));
	if (file->part_path == NULL)
		return;
	tag.kind = TAG_EXAMINE_PART;
	file->check->pending++;
	transfer_sent(transfer, nacre_sftp_path_request(target, NACRE_SFTP_LSTAT,
				    nacre_span_of(file->part_path), &tag));
}

bool
examine_start(struct nacre_transfer *transfer, struct file *file)
{
	const struct nacre_transfer_options *options = &transfer->options;

	if (file->examined || !(options->sync || options->verify || options->dry_run))
		return false;
	file->examined = true;
	if ((file->check = calloc(1, sizeof *file->check)) == NULL) {
		transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
		return false;
	}
	file->check->fd = -1;
	file->check->differs = UINT64_MAX;
	if (!options->sync && !options->verify) {
		copy(transfer, file, 0);
	} else if (file_end(transfer, file, NACRE_TRANSFER_TARGET) != NULL) {
		ask(transfer, file);
	} else {
		look_at_local(file->target_path, true, &file->check->there);
		if (file->part_path != NULL)
			look_at_local(file->part_path, false, &file->check->part);
		decide(transfer, file);
	}
	return true;
}

void
examine_reply(struct nacre_transfer *transfer, enum tag_kind kind, struct nacre_sftp_reply *reply)
{
	struct file *file = reply->tag.context;

	if (kind == TAG_SETTLE) {
		settled(transfer, file, reply);
		return;
	}
	if (reply->message == NACRE_SFTP_ATTRS)
		*(kind == TAG_EXAMINE ? &file->check->there : &file->check->part) =
		    reply->attributes;
	if (--file->check->pending == 0)
		decide(transfer, file);
}
