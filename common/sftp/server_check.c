/*
 * Hashes of files and of their blocks, so that a client can tell what it need not copy:
 * check-file-name and check-file-handle of draft-ietf-secsh-filexfer-extensions-00 section 3.
 */
#include <crypto/hash.h>
#include <sftp/server.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define BLOCK_LEAST 256
#define BLOCK_MOST  ((size_t)4 * 1024 * 1024) /* it is hashed in one piece */
#define REPLY_MOST  ((size_t)128 * 1024)

static const struct {
	const char *name;
	const struct hash_algorithm *hash;
} algorithms[] = {{"sha256", &hash_sha256}, {"sha384", &hash_sha384}, {"sha512", &hash_sha512}};

struct question {
	struct nacre_span algorithms; /* a list, the best first */
	uint64_t offset, length;      /* 0: to the end */
	uint32_t block;               /* 0: one hash over all */
};

static void
get_question(struct nacre_reader *request, struct question *question)
{
	question->algorithms = nacre_get_string(request);
	question->offset = nacre_get_u64(request);
	question->length = nacre_get_u64(request);
	question->block = nacre_get_u32(request);
}

/* The first of the list that is known, or NULL. */
static const struct hash_algorithm *
choose_algorithm(struct nacre_span list, const char **name)
{
	struct nacre_span item;

	while ((item = nacre_list_next(&list)).length > 0)
		for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
			if (nacre_span_equals(item, algorithms[i].name)) {
				*name = algorithms[i].name;
				return algorithms[i].hash;
			}
	return NULL;
}

/* Reads as much of a block as the file has. */
static ssize_t
read_block(int fd, uint8_t *room, size_t length, uint64_t offset)
{
	size_t used = 0;

	while (used < length) {
		const ssize_t count = pread(fd, room + used, length - used, (off_t)(offset + used));

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -1;
		if (count == 0)
			break;
		used += (size_t)count;
	}
	return (ssize_t)used;
}

static bool
put_hashes(struct nacre_buffer *output, int fd, const struct question *question,
    const struct hash_algorithm *hash, size_t step, uint8_t *room)
{
	uint64_t offset = question->offset, end = question->offset + question->length;
	size_t put = 0;

	while (offset < end) {
		const size_t wanted = end - offset < step ? (size_t)(end - offset) : step;
		const ssize_t count = read_block(fd, room, wanted, offset);
		uint8_t digest[HASH_LENGTH_MAX];

		if (count < 0 || put + hash->length > REPLY_MOST)
			return false;
		if (count == 0)
			break;
		if (hash_span(hash, (struct nacre_span){room, (size_t)count}, digest) != 0)
			return false;
		nacre_put_bytes(output, digest, hash->length);
		put += hash->length;
		offset += (uint64_t)count;
		if ((size_t)count < wanted)
			break;
	}
	return true;
}

static int
answer(struct nacre_sftp_server *server, uint32_t id, int fd, struct question *question)
{
	const char *name = NULL;
	const struct hash_algorithm *hash = choose_algorithm(question->algorithms, &name);
	struct stat status;
	uint8_t *room;
	size_t step, mark;
	bool good;

	if (fstat(fd, &status) != 0)
		return server_result(-1);
	if (hash == NULL || !S_ISREG(status.st_mode))
		return NACRE_SFTP_FAILURE;
	if (question->offset > (uint64_t)status.st_size)
		return NACRE_SFTP_EOF;
	if (question->length == 0 || question->length > (uint64_t)status.st_size - question->offset)
		question->length = (uint64_t)status.st_size - question->offset;
	step = question->block != 0 ? question->block : (size_t)question->length;
	if (step > BLOCK_MOST || (question->block != 0 && step < BLOCK_LEAST))
		return NACRE_SFTP_FAILURE;
	if ((room = malloc(step > 0 ? step : 1)) == NULL)
		return NACRE_SFTP_FAILURE;
	mark = server_reply_begin(server, NACRE_SFTP_EXTENDED_REPLY, id);
	nacre_put_cstring(&server->output, name);
	good = put_hashes(&server->output, fd, question, hash, step, room);
	free(room);
	if (!good) {
		nacre_buffer_truncate(&server->output, mark);
		return NACRE_SFTP_FAILURE;
	}
	server_reply_end(server, mark);
	return HANDLER_REPLIED;
}

int
server_check_file_name(struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	struct question question;
	char path[PATH_MAX];
	int status = 0, fd;
	const bool path_good = server_get_path(request, path, &status);

	get_question(request, &question);
	if (request->failed)
		return HANDLER_MALFORMED;
	if (!path_good)
		return status;
	server_log(server, NACRE_LOG_VERBOSE, "check-file-name \"%s\"", path);
	/* Not to hang on a pipe. */
	if ((fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) < 0)
		return server_result(-1);
	status = answer(server, id, fd, &question);
	close(fd);
	return status;
}

int
server_check_file_handle(
    struct nacre_sftp_server *server, uint32_t id, struct nacre_reader *request)
{
	const struct server_handle *handle = server_get_file(server, request);
	struct question question;

	get_question(request, &question);
	if (request->failed)
		return HANDLER_MALFORMED;
	return handle != NULL ? answer(server, id, handle->fd, &question) : NACRE_SFTP_FAILURE;
}
