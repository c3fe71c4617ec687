/*
 * Comparing what is at the target with the source: by hashes that the servers make of their files
 * (check-file-name of draft-ietf-secsh-filexfer-extensions-00 section 3), so that nothing is moved,
 * or, with a server that makes none, by reading a piece back from it.
 */
#include <crypto/hash.h>
#include <sftp/transfer.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALGORITHM   hash_sha512
#define NAME        "sha512"
#define LENGTH      64
#define BLOCK       ((uint32_t)256 * 1024)
#define STEP        ((uint64_t)64 * BLOCK) /* of one question */
#define PENDING_MAX 4
#define SIDE_SHIFT  8

bool
verify_can_hash(const struct nacre_transfer *transfer, const struct file *file)
{
	for (size_t i = 0; i < 2; i++) {
		const struct nacre_sftp *sftp =
		    file_end(transfer, file, (enum nacre_transfer_side)i);

		if (sftp != NULL && (nacre_sftp_extensions(sftp) & NACRE_SFTP_CHECK_FILE) == 0)
			return false;
	}
	return true;
}

/* The one that is not local; between servers the target. */
static struct nacre_sftp *
remote_end(const struct nacre_transfer *transfer, const struct file *file)
{
	struct nacre_sftp *target = file_end(transfer, file, NACRE_TRANSFER_TARGET);

	return target != NULL ? target : file_end(transfer, file, NACRE_TRANSFER_SOURCE);
}

static bool
across(const struct nacre_transfer *transfer, const struct file *file)
{
	return file_end(transfer, file, NACRE_TRANSFER_SOURCE) != NULL &&
	       file_end(transfer, file, NACRE_TRANSFER_TARGET) != NULL;
}

static const char *
path_at(const struct file *file, enum nacre_transfer_side side)
{
	return side == NACRE_TRANSFER_SOURCE ? file->source_path : file->check->path;
}

static uint64_t
step_length(const struct check *check, uint64_t offset, uint64_t step)
{
	return check->end - offset < step ? check->end - offset : step;
}

static void
note_difference(struct check *check, uint64_t offset)
{
	if (offset < check->differs)
		check->differs = offset;
}

static void
ask_for_hashes(struct nacre_transfer *transfer, struct file *file, enum nacre_transfer_side side)
{
	struct check *check = file->check;
	struct nacre_sftp_tag tag = transfer_tag(
	    (uint32_t)TAG_CHECK_HASH | (uint32_t)side << SIDE_SHIFT, file, check->next);
	struct nacre_buffer payload = {0};

	nacre_put_cstring(&payload, path_at(file, side));
	nacre_put_cstring(&payload, NAME);
	nacre_put_u64(&payload, check->next);
	nacre_put_u64(&payload, step_length(check, check->next, STEP));
	nacre_put_u32(&payload, BLOCK);
	check->pending++;
	transfer_sent(transfer, payload.failed
				    ? NACRE_ERROR_MEMORY
				    : nacre_sftp_extended_request(file_end(transfer, file, side),
					  "check-file-name", nacre_buffer_span(&payload), &tag));
	nacre_buffer_free(&payload);
}

static void
ask_to_read(struct nacre_transfer *transfer, struct file *file)
{
	struct check *check = file->check;
	struct nacre_sftp *sftp = remote_end(transfer, file);
	struct nacre_sftp_tag tag = transfer_tag(TAG_CHECK_READ, file, check->next);
	const uint64_t most = nacre_sftp_limits(sftp)->read;
	const uint32_t length = (uint32_t)step_length(check, check->next, most);

	check->pending++;
	transfer_sent(transfer,
	    nacre_sftp_read(sftp, handle_span(&check->handle), check->next, length, &tag));
	check->next += length;
}

static void
finish(struct nacre_transfer *transfer, struct file *file)
{
	struct check *check = file->check;

	if (check->handle.open)
		transfer_sent(transfer, nacre_sftp_handle_request(remote_end(transfer, file),
					    NACRE_SFTP_CLOSE, handle_span(&check->handle), NULL));
	check->handle.open = false;
	if (check->fd >= 0)
		close(check->fd);
	check->fd = -1;
	examine_compared(transfer, file);
}

/* Asks for more, until the end or a difference. */
static void
go_on(struct nacre_transfer *transfer, struct file *file)
{
	struct check *check = file->check;
	const bool both = across(transfer, file);
	const unsigned most = both ? 1 : PENDING_MAX;

	while (check->next < check->end && check->differs == UINT64_MAX && check->pending < most &&
	       !transfer->fatal && !transfer->cancelled) {
		if (!check->hashing) {
			ask_to_read(transfer, file);
			continue;
		}
		if (both)
			ask_for_hashes(transfer, file, NACRE_TRANSFER_SOURCE);
		ask_for_hashes(transfer, file,
		    file_end(transfer, file, NACRE_TRANSFER_TARGET) != NULL
			? NACRE_TRANSFER_TARGET
			: NACRE_TRANSFER_SOURCE);
		check->next += step_length(check, check->next, STEP);
	}
	if (check->pending == 0)
		finish(transfer, file);
}

static bool
read_exactly(int fd, uint8_t *room, size_t length, uint64_t offset)
{
	while (length > 0) {
		const ssize_t count = pread(fd, room, length, (off_t)offset);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return false;
		room += count;
		length -= (size_t)count;
		offset += (uint64_t)count;
	}
	return true;
}

/* The hashes of a step of the local file beside those of the server. */
static void
compare_local(struct check *check, struct nacre_span hashes, uint64_t offset, uint64_t length)
{
	uint8_t *block = malloc(BLOCK), digest[LENGTH];

	for (; length > 0 && hashes.length > 0 && block != NULL; hashes.data += LENGTH) {
		const size_t count = length < BLOCK ? (size_t)length : BLOCK;

		if (!read_exactly(check->fd, block, count, offset) ||
		    hash_span(&ALGORITHM, (struct nacre_span){block, count}, digest) != 0 ||
		    memcmp(digest, hashes.data, LENGTH) != 0)
			break;
		offset += count;
		length -= count;
	}
	if (length > 0)
		note_difference(check, offset);
	free(block);
}

static void
compare_servers(struct check *check, struct nacre_span hashes, uint64_t offset)
{
	if (check->hashes == NULL) {
		if ((check->hashes = malloc(hashes.length)) == NULL)
			note_difference(check, offset);
		else
			memcpy(check->hashes, hashes.data, hashes.length);
		return;
	}
	for (size_t at = 0; at < hashes.length; at += LENGTH)
		if (memcmp(check->hashes + at, hashes.data + at, LENGTH) != 0)
			note_difference(check, offset + at / LENGTH * BLOCK);
	free(check->hashes);
	check->hashes = NULL;
}

/* Some servers put the extension's name in front of the algorithm's. */
static struct nacre_span
hashes_of(struct nacre_reader *payload)
{
	struct nacre_span name = nacre_get_string(payload);

	if (nacre_span_equals(name, "check-file"))
		name = nacre_get_string(payload);
	if (payload->failed || !nacre_span_equals(name, NAME))
		return (struct nacre_span){NULL, 0};
	return nacre_get_rest(payload);
}

static void
hashes_came(struct nacre_transfer *transfer, struct file *file, struct nacre_sftp_reply *reply)
{
	struct check *check = file->check;
	const uint64_t offset = reply->tag.value, length = step_length(check, offset, STEP);
	struct nacre_span hashes = {NULL, 0};

	if (reply->message == NACRE_SFTP_EXTENDED_REPLY)
		hashes = hashes_of(&reply->names);
	if (hashes.length != (length + BLOCK - 1) / BLOCK * LENGTH)
		note_difference(check, offset);
	else if (across(transfer, file))
		compare_servers(check, hashes, offset);
	else
		compare_local(check, hashes, offset, length);
}

static void
data_came(struct check *check, const struct nacre_sftp_reply *reply)
{
	uint8_t block[4096];
	struct nacre_span data = reply->data;
	uint64_t offset = reply->tag.value + reply->data_offset;

	while (data.length > 0) {
		const size_t count = data.length < sizeof block ? data.length : sizeof block;

		if (!read_exactly(check->fd, block, count, offset) ||
		    memcmp(block, data.data, count) != 0) {
			note_difference(check, offset);
			return;
		}
		data.data += count;
		data.length -= count;
		offset += count;
	}
}

/* A short answer counts as different: what is left is copied again. */
static void
read_came(struct nacre_transfer *transfer, struct file *file, const struct nacre_sftp_reply *reply)
{
	struct check *check = file->check;
	const uint64_t most = nacre_sftp_limits(remote_end(transfer, file))->read;

	if (reply->message != NACRE_SFTP_DATA)
		note_difference(check, reply->tag.value);
	else
		data_came(check, reply);
	if (reply->message == NACRE_SFTP_DATA && reply->last &&
	    reply->data_total < step_length(check, reply->tag.value, most))
		note_difference(check, reply->tag.value + reply->data_total);
}

static void
opened(struct check *check, const struct nacre_sftp_reply *reply)
{
	if (reply->message == NACRE_SFTP_HANDLE)
		handle_set(&check->handle, reply->handle);
	else
		note_difference(check, check->next);
}

void
verify_reply(struct nacre_transfer *transfer, enum tag_kind kind, struct nacre_sftp_reply *reply)
{
	struct file *file = reply->tag.context;

	if (kind == TAG_CHECK_OPEN)
		opened(file->check, reply);
	else if (kind == TAG_CHECK_HASH)
		hashes_came(transfer, file, reply);
	else
		read_came(transfer, file, reply);
	if (reply->message == NACRE_SFTP_DATA && !reply->last)
		return;
	file->check->pending--;
	go_on(transfer, file);
}

static bool
open_local(const struct nacre_transfer *transfer, struct file *file)
{
	const bool upload = file_end(transfer, file, NACRE_TRANSFER_SOURCE) == NULL;

	file->check->fd = open(upload ? file->source_path : file->check->path,
	    O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	return file->check->fd >= 0;
}

static void
open_remote(struct nacre_transfer *transfer, struct file *file)
{
	struct nacre_sftp_tag tag = transfer_tag(TAG_CHECK_OPEN, file, 0);
	const struct nacre_sftp_attributes none = {0};
	const bool upload = file_end(transfer, file, NACRE_TRANSFER_SOURCE) == NULL;

	file->check->pending++;
	transfer_sent(transfer, nacre_sftp_open(remote_end(transfer, file),
				    nacre_span_of(upload ? file->check->path : file->source_path),
				    NACRE_SFTP_OPEN_READ, &none, &tag));
}

bool
verify_start(struct nacre_transfer *transfer, struct file *file, const char *path, uint64_t begin,
    uint64_t end)
{
	struct check *check = file->check;
	const bool download = file_end(transfer, file, NACRE_TRANSFER_TARGET) == NULL;

	check->hashing = verify_can_hash(transfer, file);
	/* Reading all of a remote source is copying it. */
	if (!check->hashing && (across(transfer, file) || (download && check->whole)))
		return false;
	free(check->path);
	if ((check->path = strdup(path)) == NULL)
		return false;
	check->next = begin;
	check->end = end;
	check->differs = UINT64_MAX;
	if (!across(transfer, file) && !open_local(transfer, file))
		return false;
	if (check->hashing)
		go_on(transfer, file);
	else
		open_remote(transfer, file);
	return true;
}
