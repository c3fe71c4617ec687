/*
 * Files that appear under their names when they are complete: they are written beside, under a name
 * that tells from which version of the source, so that a broken copy is continued by the same
 * version only and two copies of different ones do not meet.
 */
#include <crypto/hash.h>
#include <sftp/transfer.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUFFIX   ".part"
#define KEY_SIZE 6 /* bytes of the hash in the name */

/* The source's name, size and time, as hexadecimal digits. */
static bool
version_key(const struct file *file, const char *name, char key[2 * KEY_SIZE + 1])
{
	const uint64_t numbers[] = {file->attributes.size, file->attributes.mtime};
	const struct nacre_span spans[] = {
	    nacre_span_of(name), {(const uint8_t *)numbers, sizeof numbers}};
	uint8_t digest[HASH_LENGTH_MAX];

	if (hash_spans(&hash_sha256, spans, 2, digest) != 0)
		return false;
	for (size_t i = 0; i < KEY_SIZE; i++)
		snprintf(key + 2 * i, 3, "%02x", digest[i]);
	return true;
}

bool
atomic_prepare(struct nacre_transfer *transfer, struct file *file)
{
	const char *path = file->target_path, *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	char key[2 * KEY_SIZE + 1];
	const size_t more = 2 + sizeof key - 1 + strlen(SUFFIX);
	int kept;

	if (!transfer->options.atomic || file->part_path != NULL || name[0] == '\0' ||
	    (file->directory != NULL && file->directory->staged))
		return true;
	kept = (int)(strlen(name) + more > NAME_MAX ? NAME_MAX - more : strlen(name));
	if (!version_key(file, name, key) || asprintf(&file->part_path, "%.*s.%.*s.%s" SUFFIX,
						 (int)(name - path), path, kept, name, key) < 0) {
		file->part_path = NULL;
		transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
		return false;
	}
	return true;
}

bool
atomic_flush_directory(struct nacre_transfer *transfer, const char *path)
{
	const int fd = open(path[0] != '\0' ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Not every file system knows how. */
	const bool good = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);

	if (!good)
		transfer_error(transfer, "local fsync \"%s\": %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return good;
}

static bool
flush_parent(struct nacre_transfer *transfer, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *parent = slash == NULL   ? strdup(".")
		       : slash == path ? strdup("/")
				       : strndup(path, (size_t)(slash - path));
	const bool good = parent != NULL && atomic_flush_directory(transfer, parent);

	free(parent);
	return good;
}

static void
rename_failed(struct nacre_transfer *transfer, struct file *file, const char *reason)
{
	transfer_error(
	    transfer, "rename \"%s\" to \"%s\": %s", file->part_path, file->target_path, reason);
	file_fail(transfer, file);
}

static void
send_rename(struct nacre_transfer *transfer, struct file *file, bool replacing)
{
	struct nacre_sftp *sftp = file_end(transfer, file, NACRE_TRANSFER_TARGET);
	struct nacre_sftp_tag tag = transfer_tag(TAG_RENAME, file, replacing);
	struct nacre_buffer payload = {0};
	int result;

	file->pending++;
	if ((nacre_sftp_extensions(sftp) & NACRE_SFTP_POSIX_RENAME) == 0) {
		result = nacre_sftp_paths_request(sftp, NACRE_SFTP_RENAME,
		    nacre_span_of(file->part_path), nacre_span_of(file->target_path), &tag);
	} else {
		nacre_put_cstring(&payload, file->part_path);
		nacre_put_cstring(&payload, file->target_path);
		result = payload.failed
			     ? NACRE_ERROR_MEMORY
			     : nacre_sftp_extended_request(sftp, "posix-rename@openssh.com",
				   nacre_buffer_span(&payload), &tag);
		nacre_buffer_free(&payload);
	}
	transfer_sent(transfer, result);
}

void
atomic_rename(struct nacre_transfer *transfer, struct file *file)
{
	file->renamed = true;
	if (file_end(transfer, file, NACRE_TRANSFER_TARGET) != NULL) {
		send_rename(transfer, file, false);
		return;
	}
	if (rename(file->part_path, file->target_path) != 0)
		rename_failed(transfer, file, strerror(errno));
	else if (file->directory == NULL && !flush_parent(transfer, file->target_path))
		file_fail(transfer, file);
}

/* A server without posix-rename does not replace: what is there goes first, for a moment. */
void
atomic_reply(
    struct nacre_transfer *transfer, struct file *file, const struct nacre_sftp_reply *reply)
{
	struct nacre_sftp *sftp = file_end(transfer, file, NACRE_TRANSFER_TARGET);

	if (reply->status == NACRE_SFTP_OK)
		return;
	if ((nacre_sftp_extensions(sftp) & NACRE_SFTP_POSIX_RENAME) == 0 && reply->tag.value == 0 &&
	    !transfer->cancelled) {
		transfer_sent(transfer, nacre_sftp_path_request(sftp, NACRE_SFTP_REMOVE,
					    nacre_span_of(file->target_path), NULL));
		send_rename(transfer, file, true);
		return;
	}
	rename_failed(transfer, file, transfer_status_text(reply));
}
