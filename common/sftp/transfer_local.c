/* The local file system's part in a transfer: blocking calls, errors in the words of scp(1). */
#include <sftp/transfer.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OWNER_ENTERS 0300

static mode_t
mode_of(const struct nacre_sftp_attributes *attributes)
{
	return attributes->flags & NACRE_SFTP_ATTR_PERMISSIONS ? attributes->permissions & 0777
							       : 0666;
}

static void
times_of(const struct nacre_sftp_attributes *attributes, struct timespec times[2])
{
	bool known = (attributes->flags & NACRE_SFTP_ATTR_TIMES) != 0;

	times[0] =
	    (struct timespec){.tv_sec = attributes->atime, .tv_nsec = known ? 0 : UTIME_OMIT};
	times[1] =
	    (struct timespec){.tv_sec = attributes->mtime, .tv_nsec = known ? 0 : UTIME_OMIT};
}

bool
local_open_source(struct nacre_transfer *transfer, struct file *file)
{
	struct stat status;

	/* Not to hang on a pipe that took a file's place. */
	file->fd = open(file->source_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (file->fd < 0 || fstat(file->fd, &status) != 0) {
		transfer_error(
		    transfer, "open local \"%s\": %s", file->source_path, strerror(errno));
		return false;
	}
	if (!S_ISREG(status.st_mode)) {
		transfer_error(transfer, "local \"%s\" is not a regular file", file->source_path);
		return false;
	}
	nacre_sftp_attributes_of_stat(&status, &file->attributes);
	return true;
}

/* Behind what is there already. */
static bool
continue_target(struct nacre_transfer *transfer, struct file *file)
{
	if (file->local_size > file->attributes.size) {
		transfer_error(transfer,
		    "Unable to resume download of \"%s\": local file is larger than remote",
		    file->target_path);
		return false;
	}
	file->next_offset = file->copied = file->local_size;
	if (file->local_size > 0 && file->local_size == file->attributes.size) {
		transfer_warning(transfer, "File \"%s\" was not modified", file->target_path);
		file->end = file->local_size;
	}
	return true;
}

bool
local_open_target(struct nacre_transfer *transfer, struct file *file)
{
	struct stat status;

	/* Not cut yet: it may be the very file that is read at the other end. */
	file->fd = open(file_write_path(file),
	    O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | (file->part_path != NULL ? O_NOFOLLOW : 0),
	    mode_of(&file->attributes) | S_IWUSR);
	if (file->fd < 0) {
		transfer_error(
		    transfer, "open local \"%s\": %s", file_write_path(file), strerror(errno));
		return false;
	}
	if (fstat(file->fd, &status) == 0 && S_ISREG(status.st_mode))
		file->local_size = (uint64_t)status.st_size;
	return !transfer->options.resume || continue_target(transfer, file);
}

/* Devices and pipes take bytes in order, which they come in from servers that keep it. */
bool
local_write(
    struct nacre_transfer *transfer, struct file *file, struct nacre_span data, uint64_t offset)
{
	while (data.length > 0) {
		ssize_t count = pwrite(file->fd, data.data, data.length, (off_t)offset);

		if (count < 0 && errno == ESPIPE)
			count = write(file->fd, data.data, data.length);
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0) {
			transfer_error(transfer, "write local \"%s\": %s", file->target_path,
			    strerror(count == 0 ? EIO : errno));
			return false;
		}
		data.data += count;
		data.length -= (size_t)count;
		offset += (uint64_t)count;
	}
	return true;
}

/* By the descriptor, or by the name when that is -1. */
bool
local_set_attributes(struct nacre_transfer *transfer, struct file *file, int fd)
{
	const mode_t mode = mode_of(&file->attributes);
	struct timespec times[2];

	times_of(&file->attributes, times);
	if (transfer->options.preserve &&
	    (fd >= 0 ? fchmod(fd, mode) : chmod(file->target_path, mode)) != 0) {
		transfer_error(
		    transfer, "local chmod \"%s\": %s", file->target_path, strerror(errno));
		return false;
	}
	if ((fd >= 0 ? futimens(fd, times) : utimensat(AT_FDCWD, file->target_path, times, 0)) !=
	    0) {
		transfer_error(
		    transfer, "local set times on \"%s\": %s", file->target_path, strerror(errno));
		return false;
	}
	return true;
}

bool
local_finish(struct nacre_transfer *transfer, struct file *file)
{
	bool good = true;

	const uint64_t size = file_final_size(transfer, file);

	if (file->local_size > size && ftruncate(file->fd, (off_t)size) != 0) {
		transfer_error(
		    transfer, "local truncate \"%s\": %s", file->target_path, strerror(errno));
		good = false;
	}
	if (transfer_sets_times(transfer) && !local_set_attributes(transfer, file, file->fd))
		good = false;
	if ((transfer->options.flush || transfer->options.atomic) && fsync(file->fd) != 0) {
		transfer_error(
		    transfer, "local fsync \"%s\": %s", file->target_path, strerror(errno));
		good = false;
	}
	if (close(file->fd) != 0) {
		transfer_error(
		    transfer, "close local \"%s\": %s", file->target_path, strerror(errno));
		good = false;
	}
	file->fd = -1;
	return good;
}

bool
local_mkdir(struct nacre_transfer *transfer, struct directory *directory)
{
	struct stat status;
	int error;

	if (mkdir(directory->target_path, mode_of(&directory->attributes) | OWNER_ENTERS) == 0) {
		directory->fresh = true;
		return true;
	}
	error = errno;
	if (error == EEXIST && directory->stage != NULL && !transfer->options.verify) {
		stage_refuse(transfer, directory);
		return false;
	}
	if (error == EEXIST && stat(directory->target_path, &status) == 0 &&
	    S_ISDIR(status.st_mode)) {
		/* Without -p what is there keeps its mode. */
		if (!transfer->options.preserve)
			directory->attributes.permissions |= OWNER_ENTERS;
		return true;
	}
	transfer_error(transfer, "mkdir %s: %s", directory->target_path,
	    strerror(error == EEXIST ? ENOTDIR : error));
	return false;
}

void
local_finish_directory(struct nacre_transfer *transfer, struct directory *directory)
{
	struct timespec times[2];

	times_of(&directory->attributes, times);
	if ((transfer->options.preserve ||
		(directory->attributes.permissions & OWNER_ENTERS) != OWNER_ENTERS) &&
	    chmod(directory->target_path, mode_of(&directory->attributes)) != 0)
		transfer_error(
		    transfer, "local chmod \"%s\": %s", directory->target_path, strerror(errno));
	if (transfer_sets_times(transfer) &&
	    utimensat(AT_FDCWD, directory->target_path, times, 0) != 0)
		transfer_error(transfer, "local set times on \"%s\": %s", directory->target_path,
		    strerror(errno));
}

static bool
read_names(struct names *names, DIR *stream)
{
	const struct dirent *entry;

	while ((entry = readdir(stream)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (!names_add(names, entry->d_name))
			return false;
	}
	return true;
}

bool
local_list(struct nacre_transfer *transfer, struct directory *directory)
{
	DIR *stream = opendir(directory->source_path);
	bool good;

	if (stream == NULL) {
		transfer_error(
		    transfer, "local opendir \"%s\": %s", directory->source_path, strerror(errno));
		return false;
	}
	good = read_names(&directory->names, stream);
	closedir(stream);
	if (!good)
		transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
	names_sort(&directory->names);
	return good;
}
