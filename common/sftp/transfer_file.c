/*
 * One file's way through a transfer: opened at both ends, its blocks moved, many at once, its
 * attributes set, closed. Requests of different files overlap freely; for one file nothing is
 * waited for but its handle.
 */
#include <sftp/transfer.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WINDOW_MAX   ((uint64_t)64 * 1024 * 1024)
#define REQUESTS_MAX 8192
#define DELAY_SLACK  20   /* ms of queue at the server that do no harm */
#define WRITE_LEAST  1024 /* a smaller piece is not begun where more room will come */
#define WRITE_SMALL  4096
#define QUEUE_BOUND  ((size_t)256 * 1024)
#define FILES_LEAST  8
#define SPLIT_LEAST  ((uint64_t)16 * 1024 * 1024) /* of a range that a connection copies */
#define SPLIT_STEP   ((uint64_t)1024 * 1024)

static bool
is_remote(const struct nacre_transfer *transfer, enum nacre_transfer_side side)
{
	return transfer->ends[side] != NULL;
}

struct nacre_sftp *
file_end(
    const struct nacre_transfer *transfer, const struct file *file, enum nacre_transfer_side side)
{
	return transfer->lanes[file->lane].ends[side];
}

const char *
file_write_path(const struct file *file)
{
	return file->part_path != NULL ? file->part_path : file->target_path;
}

const char *
file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

static void
file_destroy(struct tracked *object)
{
	struct file *file = (struct file *)object;
	struct block *block;

	if (file->fd >= 0)
		close(file->fd);
	while ((block = file->incoming) != NULL) {
		file->incoming = block->next;
		free(block);
	}
	check_free(file);
	free(file->part_path);
	free(file->source_path);
	free(file->target_path);
	free(file);
}

/* Takes the paths over, also when it fails. */
struct file *
file_new(struct nacre_transfer *transfer, struct directory *directory, char *source_path,
    char *target_path, const struct nacre_sftp_attributes *attributes)
{
	struct file *file = calloc(1, sizeof *file);

	if (file == NULL) {
		free(source_path);
		free(target_path);
		transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
		return NULL;
	}
	file->directory = directory;
	file->source_path = source_path;
	file->target_path = target_path;
	file->attributes = *attributes;
	file->fd = -1;
	file->end = file->limit = UINT64_MAX;
	file->number = ++transfer->next_number;
	if (directory != NULL)
		directory->references++;
	object_track(transfer, &file->tracked, file_destroy);
	return file;
}

static void file_check(struct nacre_transfer *transfer, struct file *file);

static void
close_source(struct nacre_transfer *transfer, struct file *file)
{
	if (file->source.open && is_remote(transfer, NACRE_TRANSFER_SOURCE))
		transfer_sent(transfer,
		    nacre_sftp_handle_request(file_end(transfer, file, NACRE_TRANSFER_SOURCE),
			NACRE_SFTP_CLOSE, handle_span(&file->source), NULL));
	file->source.open = false;
}

/* A range of a file is through. */
static void
range_done(struct nacre_transfer *transfer, struct file *file)
{
	struct file *master = file->master;

	if (file->failed)
		file_fail(transfer, master);
	master->copied += file->copied;
	master->ranges--;
	if (transfer->current == file)
		transfer->current = master;
	transfer->lanes[file->lane].in_flight--;
	object_free(&file->tracked);
	file_check(transfer, master);
}

/* The end of a file's way, good or not. */
static void
file_done(struct nacre_transfer *transfer, struct file *file)
{
	struct directory *directory = file->directory;

	close_source(transfer, file);
	if (file->master != NULL) {
		range_done(transfer, file);
		return;
	}
	if (file->failed)
		transfer->progress.files_failed++;
	else
		transfer->progress.files_done++;
	if (file->begun)
		transfer_event(transfer, NACRE_TRANSFER_DONE, file, file_name(file->source_path),
		    !file->failed);
	if (transfer->current == file)
		transfer->current = NULL;
	transfer->in_flight--;
	transfer->lanes[file->lane].in_flight--;
	object_free(&file->tracked);
	directory_release(transfer, directory);
}

void
file_settled(struct nacre_transfer *transfer, struct file *file, bool failed)
{
	file->failed |= failed;
	file_done(transfer, file);
}

static void
fail_upload(struct nacre_transfer *transfer, struct file *file)
{
	file->failed = true;
	if ((transfer->options.brief && file->directory == NULL) || file->master != NULL)
		return;
	transfer_error(
	    transfer, "failed to upload file %s to %s", file->source_path, file->target_path);
}

static void
fail_download(struct nacre_transfer *transfer, struct file *file)
{
	file->failed = true;
	/* For a file that the user named, its own error says all. */
	if (file->directory != NULL && file->master == NULL)
		transfer_error(transfer, "Download of file %s to %s failed", file->source_path,
		    file->target_path);
}

void
file_fail(struct nacre_transfer *transfer, struct file *file)
{
	if (file->failed)
		return;
	if (is_remote(transfer, NACRE_TRANSFER_TARGET))
		fail_upload(transfer, file);
	else
		fail_download(transfer, file);
}

/* Opening ----------------------------------------------------------------------------------- */

static void
open_target(struct nacre_transfer *transfer, struct file *file)
{
	struct nacre_sftp_tag tag = transfer_tag(TAG_TARGET_OPEN, file, 0);
	struct nacre_sftp_attributes attributes = {
	    .flags = file->attributes.flags & NACRE_SFTP_ATTR_PERMISSIONS,
	    .permissions = file->attributes.permissions & 0777,
	};

	/* Not cut yet: it may be the very file that is read at this end. A name of ours beside is
	 * made anew, so that no link that somebody has laid there is followed. */
	const bool made = file->part_path != NULL && !file->part_there;
	const uint32_t flags = NACRE_SFTP_OPEN_WRITE | NACRE_SFTP_OPEN_CREATE |
			       (made ? (uint32_t)NACRE_SFTP_OPEN_EXCLUSIVE : 0U);

	file->opened_early = file->directory != NULL && file->directory->creating;
	file->pending++;
	transfer_sent(
	    transfer, nacre_sftp_open(file_end(transfer, file, NACRE_TRANSFER_TARGET),
			  nacre_span_of(file_write_path(file)), flags, &attributes, &tag));
}

static void
open_source(struct nacre_transfer *transfer, struct file *file)
{
	struct nacre_sftp_tag tag = transfer_tag(TAG_SOURCE_OPEN, file, 0);
	const struct nacre_sftp_attributes none = {0};

	file->pending++;
	transfer_sent(
	    transfer, nacre_sftp_open(file_end(transfer, file, NACRE_TRANSFER_SOURCE),
			  nacre_span_of(file->source_path), NACRE_SFTP_OPEN_READ, &none, &tag));
}

static void
announce(struct nacre_transfer *transfer, struct file *file)
{
	if (file->begun)
		return;
	file->begun = true;
	transfer_event(transfer, NACRE_TRANSFER_BEGUN, file, file_name(file->source_path), true);
}

static void
open_ends(struct nacre_transfer *transfer, struct file *file)
{
	if (is_remote(transfer, NACRE_TRANSFER_SOURCE)) {
		open_source(transfer, file);
	} else if (local_open_source(transfer, file)) {
		open_target(transfer, file);
	} else {
		file_fail(transfer, file);
		file_done(transfer, file);
		return;
	}
	if (file->master == NULL)
		announce(transfer, file);
}

void
file_copy(struct nacre_transfer *transfer, struct file *file, uint64_t offset)
{
	if (file->check != NULL)
		file->part_there = (file->check->part.flags & NACRE_SFTP_ATTR_PERMISSIONS) != 0 &&
				   S_ISREG(file->check->part.permissions);
	check_free(file);
	file->next_offset = file->copied = offset;
	transfer->progress.bytes_done += offset;
	open_ends(transfer, file);
}

void
file_start(struct nacre_transfer *transfer, struct file *file)
{
	if (transfer->cancelled || (file->directory != NULL && file->directory->failed)) {
		/* Its directory's error was reported. */
		file->failed = true;
		file_done(transfer, file);
		return;
	}
	if (atomic_prepare(transfer, file) && !examine_start(transfer, file))
		open_ends(transfer, file);
}

static void
move(struct nacre_transfer *transfer, struct file *file)
{
	file->queued = true;
	queue_push(&transfer->lanes[file->lane].movers, file);
}

/* Once more, when the server may have run out of handles, or took requests out of order and did
 * not have the directory yet. */
static bool
retry_open(struct nacre_transfer *transfer, struct file *file, const struct nacre_sftp_reply *reply)
{
	bool crowded = reply->status == NACRE_SFTP_FAILURE && transfer->in_flight > FILES_LEAST;
	bool early = reply->status == NACRE_SFTP_NO_SUCH_FILE && file->opened_early;

	if (file->retried || file->master != NULL || (!crowded && !early))
		return false;
	file->retried = true;
	close_source(transfer, file);
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	transfer->in_flight--;
	transfer->lanes[file->lane].in_flight--;
	if (crowded && transfer->files_max > FILES_LEAST)
		transfer->files_max -= transfer->files_max / 8;
	queue_push_front(&transfer->found, file);
	return true;
}

/* Ranges ------------------------------------------------------------------------------------ */

static void
add_range(struct nacre_transfer *transfer, struct file *master, size_t lane, uint64_t start,
    uint64_t limit)
{
	struct file *file = calloc(1, sizeof *file);

	if (file == NULL || (file->source_path = strdup(master->source_path)) == NULL ||
	    (file->target_path = strdup(file_write_path(master))) == NULL) {
		if (file != NULL)
			free(file->source_path);
		free(file);
		transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
		return;
	}
	file->attributes = master->attributes;
	file->number = master->number;
	file->fd = -1;
	file->end = UINT64_MAX;
	file->examined = file->begun = true;
	file->next_offset = start;
	file->limit = limit;
	file->lane = lane;
	file->master = master;
	master->ranges++;
	transfer->lanes[lane].in_flight++;
	object_track(transfer, &file->tracked, file_destroy);
	open_ends(transfer, file);
}

/* A file of full size from the beginning: what a broken copy leaves is not taken for a beginning
 * without holes. */
static void
claim_size(struct nacre_transfer *transfer, struct file *file)
{
	const struct nacre_sftp_attributes attributes = {
	    .flags = NACRE_SFTP_ATTR_SIZE, .size = file->attributes.size};

	if (is_remote(transfer, NACRE_TRANSFER_TARGET))
		transfer_sent(transfer,
		    nacre_sftp_attributes_request(file_end(transfer, file, NACRE_TRANSFER_TARGET),
			NACRE_SFTP_FSETSTAT, handle_span(&file->target), &attributes, NULL));
	else if (ftruncate(file->fd, (off_t)attributes.size) != 0)
		transfer_warning(
		    transfer, "local truncate \"%s\": %s", file->target_path, strerror(errno));
}

/* Once a large file is open at its target, the other connections take ranges of it. */
static void
split(struct nacre_transfer *transfer, struct file *file)
{
	const uint64_t size = file->attributes.size;
	uint64_t count = size / SPLIT_LEAST, range;

	if (count > transfer->lane_count)
		count = transfer->lane_count;
	if (count < 2 || file->master != NULL || file->next_offset > 0 || transfer->options.resume)
		return;
	claim_size(transfer, file);
	range = (size / count + SPLIT_STEP - 1) / SPLIT_STEP * SPLIT_STEP;
	file->limit = range;
	for (size_t i = 1; i < count && !transfer->fatal; i++)
		add_range(transfer, file, (file->lane + i) % transfer->lane_count, i * range,
		    i + 1 < count ? (i + 1) * range : UINT64_MAX);
}

static void
source_opened(
    struct nacre_transfer *transfer, struct file *file, const struct nacre_sftp_reply *reply)
{
	if (reply->message != NACRE_SFTP_HANDLE) {
		if (retry_open(transfer, file, reply))
			return;
		transfer_error(transfer, "remote open \"%s\": %s", file->source_path,
		    transfer_status_text(reply));
		file->failed = true;
		file_done(transfer, file);
		return;
	}
	handle_set(&file->source, reply->handle);
	if (is_remote(transfer, NACRE_TRANSFER_TARGET)) {
		open_target(transfer, file);
	} else if (local_open_target(transfer, file)) {
		split(transfer, file);
		if (file->end != UINT64_MAX)
			file_check(transfer, file);
		else
			move(transfer, file);
	} else {
		fail_download(transfer, file);
		file_done(transfer, file);
	}
}

/* Where to go on: how much is there already. */
static void
ask_target_size(struct nacre_transfer *transfer, struct file *file)
{
	struct nacre_sftp_tag tag = transfer_tag(TAG_TARGET_SIZE, file, 0);

	file->pending++;
	transfer_sent(
	    transfer, nacre_sftp_handle_request(file_end(transfer, file, NACRE_TRANSFER_TARGET),
			  NACRE_SFTP_FSTAT, handle_span(&file->target), &tag));
}

static void
target_size_known(
    struct nacre_transfer *transfer, struct file *file, const struct nacre_sftp_reply *reply)
{
	const bool told = reply->message == NACRE_SFTP_ATTRS &&
			  (reply->attributes.flags & NACRE_SFTP_ATTR_SIZE) != 0;

	if (told && reply->attributes.size > 0 && reply->attributes.size >= file->attributes.size) {
		transfer_error(transfer, "resume \"%s\": destination file same size or larger",
		    file->source_path);
		file->failed = true;
	} else if (told) {
		file->next_offset = file->copied = reply->attributes.size;
	} else {
		transfer_error(transfer, "resume \"%s\": its size at the other end is not told",
		    file->source_path);
		file->failed = true;
	}
	move(transfer, file);
}

/* The name beside may be that of a copy that was broken off. */
static void
ask_about_part(struct nacre_transfer *transfer, struct file *file)
{
	struct nacre_sftp_tag tag = transfer_tag(TAG_PART_STAT, file, 0);

	file->part_there = true;
	file->pending++;
	transfer_sent(
	    transfer, nacre_sftp_path_request(file_end(transfer, file, NACRE_TRANSFER_TARGET),
			  NACRE_SFTP_LSTAT, nacre_span_of(file->part_path), &tag));
}

static void
part_known(struct nacre_transfer *transfer, struct file *file, const struct nacre_sftp_reply *reply)
{
	if (reply->message != NACRE_SFTP_ATTRS || S_ISREG(reply->attributes.permissions)) {
		open_target(transfer, file);
		return;
	}
	transfer_error(transfer, "dest open \"%s\": is there and no file", file->part_path);
	fail_upload(transfer, file);
	file_done(transfer, file);
}

static void
target_opened(
    struct nacre_transfer *transfer, struct file *file, const struct nacre_sftp_reply *reply)
{
	if (reply->message == NACRE_SFTP_HANDLE) {
		handle_set(&file->target, reply->handle);
		split(transfer, file);
		if (transfer->options.resume)
			ask_target_size(transfer, file);
		else
			move(transfer, file);
		return;
	}
	if (file->part_path != NULL && !file->part_there && reply->status == NACRE_SFTP_FAILURE) {
		ask_about_part(transfer, file);
		return;
	}
	if (retry_open(transfer, file, reply))
		return;
	if (file->directory == NULL || !file->directory->failed) {
		transfer_error(transfer, "dest open \"%s\": %s", file_write_path(file),
		    transfer_status_text(reply));
		fail_upload(transfer, file);
	}
	file->failed = true;
	file_done(transfer, file);
}

/* Finishing --------------------------------------------------------------------------------- */

uint64_t
file_final_size(const struct nacre_transfer *transfer, const struct file *file)
{
	if (file->limit != UINT64_MAX)
		return file->attributes.size;
	return is_remote(transfer, NACRE_TRANSFER_SOURCE) ? file->end : file->next_offset;
}

/* Cuts off what a file that was there before had more. */
static void
truncate_target(struct nacre_transfer *transfer, struct file *file)
{
	struct nacre_sftp_tag tag = transfer_tag(TAG_FILE_TRUNCATE, file, 0);
	const struct nacre_sftp_attributes attributes = {
	    .flags = NACRE_SFTP_ATTR_SIZE,
	    .size = file_final_size(transfer, file),
	};

	const bool fresh = file->directory != NULL && file->directory->fresh;

	if (file->failed || (fresh && file->part_path == NULL && file->limit == UINT64_MAX))
		return;
	file->pending++;
	transfer_sent(
	    transfer, nacre_sftp_attributes_request(file_end(transfer, file, NACRE_TRANSFER_TARGET),
			  NACRE_SFTP_FSETSTAT, handle_span(&file->target), &attributes, &tag));
}

/* A server without the extension has done what it can. */
static void
flush_target(struct nacre_transfer *transfer, struct file *file)
{
	struct nacre_sftp *sftp = file_end(transfer, file, NACRE_TRANSFER_TARGET);
	struct nacre_sftp_tag tag = transfer_tag(TAG_FILE_FLUSH, file, 0);
	struct nacre_buffer payload = {0};

	if (!(transfer->options.flush || transfer->options.atomic) || file->failed ||
	    (nacre_sftp_extensions(sftp) & NACRE_SFTP_FSYNC) == 0)
		return;
	nacre_put_string_span(&payload, handle_span(&file->target));
	file->pending++;
	transfer_sent(transfer, nacre_sftp_extended_request(
				    sftp, "fsync@openssh.com", nacre_buffer_span(&payload), &tag));
	nacre_buffer_free(&payload);
}

static void
set_target_attributes(struct nacre_transfer *transfer, struct file *file)
{
	struct nacre_sftp_tag tag = transfer_tag(TAG_FILE_SETSTAT, file, 0);
	struct nacre_sftp_attributes attributes = file->attributes;

	attributes.flags &= (transfer->options.preserve ? NACRE_SFTP_ATTR_PERMISSIONS : 0U) |
			    (transfer_sets_times(transfer) ? NACRE_SFTP_ATTR_TIMES : 0U);
	attributes.permissions &= 0777;
	if (attributes.flags == 0 || file->failed)
		return;
	file->pending++;
	transfer_sent(
	    transfer, nacre_sftp_attributes_request(file_end(transfer, file, NACRE_TRANSFER_TARGET),
			  NACRE_SFTP_FSETSTAT, handle_span(&file->target), &attributes, &tag));
}

/* Sends what ends a file at a remote target, right behind its data. */
static void
finish_target(struct nacre_transfer *transfer, struct file *file)
{
	struct nacre_sftp *sftp = file_end(transfer, file, NACRE_TRANSFER_TARGET);
	struct nacre_sftp_tag tag = transfer_tag(TAG_FILE_CLOSE, file, 0);

	file->finishing = true;
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	if (file->master == NULL) {
		truncate_target(transfer, file);
		set_target_attributes(transfer, file);
		flush_target(transfer, file);
	}
	file->pending++;
	transfer_sent(transfer,
	    nacre_sftp_handle_request(sftp, NACRE_SFTP_CLOSE, handle_span(&file->target), &tag));
}

static void read_next(struct nacre_transfer *transfer, struct file *file);

/* Goes on when nothing of the file is under way or waiting. */
static void
file_check(struct nacre_transfer *transfer, struct file *file)
{
	bool source_remote = is_remote(transfer, NACRE_TRANSFER_SOURCE);
	bool read_all = file->failed || !source_remote || file->end != UINT64_MAX;

	if (file->queued || file->block_count > 0 || file->reads > 0 || file->ranges > 0)
		return;
	if (!read_all) {
		read_next(transfer, file);
		return;
	}
	if (is_remote(transfer, NACRE_TRANSFER_TARGET) && !file->finishing && file->target.open)
		finish_target(transfer, file);
	if (file->pending > 0)
		return;
	if (file->fd >= 0 && source_remote && !file->failed && file->master == NULL &&
	    !local_finish(transfer, file))
		fail_download(transfer, file);
	if (file->part_path != NULL && !file->failed && !file->renamed)
		atomic_rename(transfer, file);
	if (file->pending == 0)
		file_done(transfer, file);
}

/* A server that gets more than it can write at once lets it wait, and some become the slower the
 * more there is: the window grows while answers come as soon as they can, and else shrinks. */
static void
write_finished(
    struct nacre_transfer *transfer, const struct file *file, const struct nacre_sftp_reply *reply)
{
	struct lane *lane = &transfer->lanes[file->lane];
	const uint64_t bytes = reply->tag.value;
	const uint64_t delay = transfer->now > reply->sent_at ? transfer->now - reply->sent_at : 0;

	transfer->write_requests--;
	lane->written -= bytes;
	if (delay < lane->least_write_delay)
		lane->least_write_delay = delay;
	if (delay > 2 * lane->least_write_delay + DELAY_SLACK) {
		if (lane->write_window >= WRITE_WINDOW_START + bytes / 2)
			lane->write_window -= bytes / 2;
	} else if (lane->write_window < WINDOW_MAX) {
		lane->write_window += bytes;
	}
}

static void
write_answered(struct nacre_transfer *transfer, struct file *file, enum tag_kind kind,
    const struct nacre_sftp_reply *reply)
{
	static const char *const doings[] = {
	    [TAG_WRITE] = "write remote",
	    [TAG_FILE_TRUNCATE] = "remote truncate",
	    [TAG_FILE_SETSTAT] = "remote fsetstat",
	    [TAG_FILE_FLUSH] = "remote fsync",
	    [TAG_FILE_CLOSE] = "close remote",
	};

	/* Devices and pipes have no length. */
	bool harmless = kind == TAG_FILE_TRUNCATE && reply->status == NACRE_SFTP_BAD_MESSAGE;

	if (kind == TAG_WRITE)
		write_finished(transfer, file, reply);
	if (reply->status != NACRE_SFTP_OK && !harmless && !file->failed) {
		transfer_error(transfer, "%s \"%s\": %s", doings[kind], file->target_path,
		    transfer_status_text(reply));
		fail_upload(transfer, file);
	}
	file_check(transfer, file);
}

/* Reading ----------------------------------------------------------------------------------- */

static uint32_t
read_block(const struct nacre_transfer *transfer)
{
	uint64_t block = nacre_sftp_limits(transfer->ends[NACRE_TRANSFER_SOURCE])->read;

	if (transfer->options.block > 0 && transfer->options.block < block)
		block = transfer->options.block;
	if (transfer->read_block > 0 && transfer->read_block < block)
		block = transfer->read_block;
	return (uint32_t)block;
}

/* One byte more than the file should have left shows its end without another round trip. */
static uint32_t
read_length(const struct nacre_transfer *transfer, const struct file *file)
{
	uint32_t block = read_block(transfer);
	uint64_t size = file->attributes.size;

	if (file->limit != UINT64_MAX)
		return file->limit - file->next_offset < block
			   ? (uint32_t)(file->limit - file->next_offset)
			   : block;
	if (size == 0 || file->next_offset > size || size - file->next_offset >= block)
		return block;
	return (uint32_t)(size - file->next_offset) + 1;
}

static void
send_read(struct nacre_transfer *transfer, struct file *file, uint64_t offset, uint32_t length)
{
	struct nacre_sftp_tag tag =
	    transfer_tag((uint32_t)TAG_READ | length << TAG_LENGTH_SHIFT, file, offset);

	file->pending++;
	file->reads++;
	transfer->read_requests++;
	transfer->read_bytes += length;
	if (is_remote(transfer, NACRE_TRANSFER_TARGET))
		transfer->cross_bytes += length;
	transfer_rate_count(transfer, length);
	transfer_sent(transfer, nacre_sftp_read(file_end(transfer, file, NACRE_TRANSFER_SOURCE),
				    handle_span(&file->source), offset, length, &tag));
}

static void
read_next(struct nacre_transfer *transfer, struct file *file)
{
	uint32_t length = read_length(transfer, file);

	send_read(transfer, file, file->next_offset, length);
	file->next_offset += length;
	if (file->next_offset == file->limit)
		file->end = file->limit;
}

static bool
may_read(const struct nacre_transfer *transfer, const struct lane *lane)
{
	uint32_t most = transfer->options.requests > 0 ? transfer->options.requests : REQUESTS_MAX;

	return !transfer->fatal && transfer->read_requests < most &&
	       transfer->read_bytes < transfer->window && transfer->cross_bytes < CROSS_BOUND &&
	       transfer_rate_allows(transfer) &&
	       nacre_sftp_output_length(lane->ends[NACRE_TRANSFER_SOURCE]) < QUEUE_BOUND;
}

void
file_schedule_reads(struct nacre_transfer *transfer, struct lane *lane)
{
	struct file *file;

	if (!is_remote(transfer, NACRE_TRANSFER_SOURCE))
		return;
	while ((file = lane->movers.first) != NULL && may_read(transfer, lane)) {
		if (!file->failed && file->end == UINT64_MAX &&
		    file->next_offset <= file->attributes.size) {
			read_next(transfer, file);
			continue;
		}
		queue_pop(&lane->movers);
		file->queued = false;
		file_check(transfer, file);
	}
}

/* As long as answers do not wait in a queue, more may be asked for: the window follows the path. */
static void
follow_path(struct nacre_transfer *transfer, uint64_t sent_at, uint64_t bytes)
{
	uint64_t delay = transfer->now > sent_at ? transfer->now - sent_at : 0;

	if (delay < transfer->least_delay)
		transfer->least_delay = delay;
	if (delay <= 2 * transfer->least_delay + DELAY_SLACK && transfer->window < WINDOW_MAX)
		transfer->window += bytes;
}

static void
read_finished(struct nacre_transfer *transfer, struct file *file, uint32_t length)
{
	file->reads--;
	transfer->read_requests--;
	transfer->read_bytes -= length;
}

static void
source_ends(struct file *file, uint64_t offset)
{
	if (offset < file->end)
		file->end = offset;
}

/* A reply that brought less than was asked for: the end, or the server's way. */
static void
read_short(struct nacre_transfer *transfer, struct file *file, uint64_t offset, uint32_t length,
    size_t total)
{
	uint64_t reached = offset + total;

	if (total == 0 || (file->attributes.size > 0 && reached >= file->attributes.size)) {
		source_ends(file, reached);
		return;
	}
	/* The end may be known already, from a READ behind this one. */
	if (reached >= file->end)
		return;
	if (total >= WRITE_LEAST && reached < file->attributes.size)
		transfer->read_block = (uint32_t)total;
	send_read(transfer, file, reached, length - (uint32_t)total);
}

static struct block *
incoming_block(struct nacre_transfer *transfer, struct file *file, uint64_t offset, size_t length)
{
	struct block *block;

	for (block = file->incoming; block != NULL; block = block->next)
		if (block->offset == offset)
			return block;
	if ((block = calloc(1, sizeof *block + length)) == NULL) {
		transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
		return NULL;
	}
	block->file = file;
	block->offset = offset;
	block->length = length;
	block->next = file->incoming;
	file->incoming = block;
	return block;
}

/* Between servers: a block that is complete waits for room in the other channel. */
static void
pass_block(struct nacre_transfer *transfer, struct file *file, struct block *block)
{
	struct block **link = &file->incoming;

	while (*link != block)
		link = &(*link)->next;
	*link = block->next;
	if (file->failed || block->length == 0) {
		transfer->cross_bytes -= block->length;
		free(block);
		return;
	}
	block->next = NULL;
	*transfer->lanes[file->lane].blocks_tail = block;
	transfer->lanes[file->lane].blocks_tail = &block->next;
	file->block_count++;
}

static void
keep_data(struct nacre_transfer *transfer, struct file *file, const struct nacre_sftp_reply *reply)
{
	struct block *block = incoming_block(transfer, file, reply->tag.value, reply->data_total);

	if (block == NULL)
		return;
	if (reply->data.length > 0)
		memcpy(block->data + reply->data_offset, reply->data.data, reply->data.length);
	if (reply->last)
		pass_block(transfer, file, block);
}

static void
data_arrived(struct nacre_transfer *transfer, struct file *file, struct nacre_sftp_reply *reply)
{
	uint32_t length = reply->tag.kind >> TAG_LENGTH_SHIFT;

	transfer->current = file;
	file->copied += reply->data.length;
	transfer->progress.bytes_done += reply->data.length;
	if (is_remote(transfer, NACRE_TRANSFER_TARGET))
		keep_data(transfer, file, reply);
	else if (!file->failed &&
		 !local_write(transfer, file, reply->data, reply->tag.value + reply->data_offset))
		fail_download(transfer, file);
	if (!reply->last || transfer->fatal)
		return;
	file->pending--;
	read_finished(transfer, file, length);
	if (is_remote(transfer, NACRE_TRANSFER_TARGET))
		transfer->cross_bytes -= length - reply->data_total;
	follow_path(transfer, reply->sent_at, length);
	if (!file->failed && reply->data_total < length)
		read_short(transfer, file, reply->tag.value, length, reply->data_total);
	file_check(transfer, file);
}

static void
read_refused(struct nacre_transfer *transfer, struct file *file, struct nacre_sftp_reply *reply)
{
	uint32_t length = reply->tag.kind >> TAG_LENGTH_SHIFT;

	read_finished(transfer, file, length);
	if (is_remote(transfer, NACRE_TRANSFER_TARGET))
		transfer->cross_bytes -= length;
	if (reply->status == NACRE_SFTP_EOF) {
		source_ends(file, reply->tag.value);
	} else if (!file->failed) {
		transfer_error(transfer, "read remote \"%s\": %s", file->source_path,
		    transfer_status_text(reply));
		file_fail(transfer, file);
	}
	file_check(transfer, file);
}

void
file_reply(struct nacre_transfer *transfer, enum tag_kind kind, struct nacre_sftp_reply *reply)
{
	struct file *file = reply->tag.context;

	file->failed |= transfer->cancelled;
	if (reply->message == NACRE_SFTP_DATA) {
		data_arrived(transfer, file, reply);
		return;
	}
	file->pending--;
	if (kind == TAG_SOURCE_OPEN)
		source_opened(transfer, file, reply);
	else if (kind == TAG_TARGET_OPEN)
		target_opened(transfer, file, reply);
	else if (kind == TAG_PART_STAT)
		part_known(transfer, file, reply);
	else if (kind == TAG_RENAME) {
		atomic_reply(transfer, file, reply);
		file_check(transfer, file);
	} else if (kind == TAG_TARGET_SIZE)
		target_size_known(transfer, file, reply);
	else if (kind == TAG_READ)
		read_refused(transfer, file, reply);
	else
		write_answered(transfer, file, kind, reply);
}

/* Writing ----------------------------------------------------------------------------------- */

static size_t
write_head_length(const struct file *file)
{
	return 4 + 1 + 4 + 4 + (size_t)file->target.length + 8 + 4;
}

static size_t
write_block(const struct nacre_transfer *transfer)
{
	uint64_t block = nacre_sftp_limits(transfer->ends[NACRE_TRANSFER_TARGET])->write;

	if (transfer->options.block > 0 && transfer->options.block < block)
		block = transfer->options.block;
	return (size_t)block;
}

static bool
may_write(const struct nacre_transfer *transfer, const struct lane *lane)
{
	uint32_t most = transfer->options.requests > 0 ? transfer->options.requests : REQUESTS_MAX;

	return transfer->write_requests < most && lane->written < lane->write_window &&
	       transfer_rate_allows(transfer);
}

static void
count_write(struct nacre_transfer *transfer, struct file *file, size_t length)
{
	transfer->write_requests++;
	transfer->lanes[file->lane].written += length;
	transfer_rate_count(transfer, length);
	file->pending++;
}

/* From memory, between servers. */
static size_t
write_from_block(struct nacre_transfer *transfer, struct lane *lane, uint8_t *room, size_t length,
    bool whole_room)
{
	struct block *block = lane->blocks;
	struct file *file = block->file;
	struct nacre_sftp *sftp = lane->ends[NACRE_TRANSFER_TARGET];
	struct nacre_sftp_tag tag = transfer_tag(TAG_WRITE, file, 0);
	size_t left = block->length - block->sent, head = write_head_length(file);
	size_t least = head + (left < WRITE_LEAST ? left : WRITE_LEAST), count, used = 0;

	if (length < least && !whole_room)
		return 0;
	count = length < least ? WRITE_LEAST : length - head;
	if (count > write_block(transfer))
		count = write_block(transfer);
	if (count > left)
		count = left;
	tag.value = count;
	if (!file->failed && length < least) {
		transfer_sent(transfer,
		    nacre_sftp_write(sftp, handle_span(&file->target), block->offset + block->sent,
			(struct nacre_span){block->data + block->sent, count}, &tag));
		count_write(transfer, file, count);
	} else if (!file->failed) {
		used = nacre_sftp_write_head(sftp, room, handle_span(&file->target),
		    block->offset + block->sent, (uint32_t)count, &tag, transfer->now);
		if (used == 0)
			return 0;
		memcpy(room + used, block->data + block->sent, count);
		used += count;
		count_write(transfer, file, count);
	} else {
		count = left;
	}
	block->sent += count;
	transfer->cross_bytes -= count;
	if (block->sent == block->length) {
		if ((lane->blocks = block->next) == NULL)
			lane->blocks_tail = &lane->blocks;
		free(block);
		file->block_count--;
		file_check(transfer, file);
	}
	return used;
}

static void
stop_moving(struct nacre_transfer *transfer, struct lane *lane)
{
	struct file *file = queue_pop(&lane->movers);

	file->queued = false;
	file_check(transfer, file);
}

static ssize_t
read_local(struct nacre_transfer *transfer, struct file *file, uint8_t *room, size_t length)
{
	ssize_t count;

	do
		count = pread(file->fd, room, length, (off_t)file->next_offset);
	while (count < 0 && errno == EINTR);
	if (count < 0) {
		transfer_error(
		    transfer, "read local \"%s\": %s", file->source_path, strerror(errno));
		file_fail(transfer, file);
	}
	return count;
}

static void
account_upload(struct nacre_transfer *transfer, struct file *file, size_t count, size_t asked)
{
	count_write(transfer, file, count);
	transfer->current = file;
	file->next_offset += count;
	file->copied += count;
	transfer->progress.bytes_done += count;
	if ((count < asked && file->next_offset >= file->attributes.size) ||
	    file->next_offset >= file->limit)
		stop_moving(transfer, &transfer->lanes[file->lane]);
}

/* Through the queue, for a room that a whole WRITE does not fit in. */
static void
write_small(struct nacre_transfer *transfer, struct file *file)
{
	struct nacre_sftp_tag tag = transfer_tag(TAG_WRITE, file, 0);
	size_t asked = write_block(transfer);
	uint8_t data[WRITE_SMALL];
	ssize_t count;

	if (asked > sizeof data)
		asked = sizeof data;
	if (asked > file->limit - file->next_offset)
		asked = (size_t)(file->limit - file->next_offset);
	count = read_local(transfer, file, data, asked);
	if (count <= 0) {
		stop_moving(transfer, &transfer->lanes[file->lane]);
		return;
	}
	tag.value = (uint64_t)count;
	transfer_sent(transfer, nacre_sftp_write(file_end(transfer, file, NACRE_TRANSFER_TARGET),
				    handle_span(&file->target), file->next_offset,
				    (struct nacre_span){data, (size_t)count}, &tag));
	account_upload(transfer, file, (size_t)count, asked);
}

/* Reads the file straight into the packet, behind the place of the head. */
static size_t
write_in_place(struct nacre_transfer *transfer, struct file *file, uint8_t *room, size_t length)
{
	struct nacre_sftp_tag tag = transfer_tag(TAG_WRITE, file, 0);
	size_t head = write_head_length(file), asked = length - head;
	ssize_t count;

	if (asked > write_block(transfer))
		asked = write_block(transfer);
	if (asked > file->limit - file->next_offset)
		asked = (size_t)(file->limit - file->next_offset);
	count = read_local(transfer, file, room + head, asked);
	if (count <= 0) {
		stop_moving(transfer, &transfer->lanes[file->lane]);
		return 0;
	}
	tag.value = (uint64_t)count;
	if (nacre_sftp_write_head(file_end(transfer, file, NACRE_TRANSFER_TARGET), room,
		handle_span(&file->target), file->next_offset, (uint32_t)count, &tag,
		transfer->now) != head) {
		transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
		return 0;
	}
	account_upload(transfer, file, (size_t)count, asked);
	return head + (size_t)count;
}

static size_t
write_from_file(struct nacre_transfer *transfer, struct file *file, uint8_t *room, size_t length,
    bool whole_room)
{
	uint64_t size = file->attributes.size;
	uint64_t left = size > file->next_offset ? size - file->next_offset : 1;
	size_t least = write_head_length(file) + (left < WRITE_LEAST ? (size_t)left : WRITE_LEAST);

	if (length >= least)
		return write_in_place(transfer, file, room, length);
	if (whole_room)
		write_small(transfer, file);
	return 0;
}

size_t
file_produce_write(struct nacre_transfer *transfer, struct lane *lane, uint8_t *room, size_t length,
    bool whole_room)
{
	struct file *file;

	if (!may_write(transfer, lane))
		return 0;
	if (is_remote(transfer, NACRE_TRANSFER_SOURCE))
		return lane->blocks != NULL
			   ? write_from_block(transfer, lane, room, length, whole_room)
			   : 0;
	while ((file = lane->movers.first) != NULL && file->failed)
		stop_moving(transfer, lane);
	if (file == NULL || nacre_sftp_output_length(lane->ends[NACRE_TRANSFER_TARGET]) > 0)
		return 0;
	return write_from_file(transfer, file, room, length, whole_room);
}
