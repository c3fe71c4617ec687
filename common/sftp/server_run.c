/* The SFTP server as a blocking loop over two descriptors. */
#include <nacre/file.h>
#include <nacre/sftp_server.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define INPUT_ROOM ((size_t)320 * 1024)

static int
serve_input(struct nacre_sftp_server *server, struct nacre_span bytes, int fd_out)
{
	while (bytes.length > 0) {
		ssize_t used = nacre_sftp_server_input(server, bytes);
		struct nacre_span replies = nacre_sftp_server_output(server);

		if (nacre_write_all(fd_out, replies) != 0)
			return NACRE_ERROR_CLOSED;
		nacre_sftp_server_sent(server, replies.length);
		if (used < 0)
			return (int)used;
		bytes.data += used;
		bytes.length -= (size_t)used;
	}
	return 0;
}

static int
serve_descriptors(struct nacre_sftp_server *server, int fd_in, int fd_out, uint8_t *room)
{
	for (;;) {
		ssize_t count = read(fd_in, room, INPUT_ROOM);
		int result;

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return count == 0 ? 0 : NACRE_ERROR_SYSTEM;
		result = serve_input(server, (struct nacre_span){room, (size_t)count}, fd_out);
		if (result != 0)
			return result;
	}
}

int
nacre_sftp_server_run(int fd_in, int fd_out, const struct nacre_sftp_server_options *options)
{
	struct nacre_sftp_server *server;
	uint8_t *room = malloc(INPUT_ROOM);
	int result;

	if (room == NULL)
		return NACRE_ERROR_MEMORY;
	if ((result = nacre_sftp_server_new(options, &server)) == 0) {
		result = serve_descriptors(server, fd_in, fd_out, room);
		nacre_sftp_server_free(server);
	}
	free(room);
	return result;
}
