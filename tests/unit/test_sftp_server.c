/* The SFTP server engine on a temporary directory: requests as bytes, replies as bytes. */
#include <nacre/sftp_client.h>
#include <nacre/sftp_server.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	char folder[64];
	int start; /* where we were */
	struct nacre_sftp_server *server;
	struct nacre_sftp *client;
	struct nacre_buffer replies; /* keeps what the reply's spans point to */
	struct nacre_sftp_reply reply;
	uint8_t handle[NACRE_SFTP_HANDLE_MAX];
};

static const struct nacre_sftp_tag tag = {.kind = 1};

static void
serve(struct fixture *fixture, const struct nacre_sftp_server_options *options)
{
	assert_int_equal(nacre_sftp_server_new(options, &fixture->server), 0);
	assert_int_equal(nacre_sftp_new(&fixture->client), 0);
}

static int
set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	strcpy(fixture->folder, "/tmp/nacre-sftp-XXXXXX");
	fixture->start = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mkdtemp(fixture->folder) == NULL || chdir(fixture->folder) != 0)
		return -1;
	*state = fixture;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[128];
	int result;

	nacre_sftp_server_free(fixture->server);
	nacre_sftp_free(fixture->client);
	nacre_buffer_free(&fixture->replies);
	result = fchdir(fixture->start);
	close(fixture->start);
	snprintf(command, sizeof command, "rm -rf %s", fixture->folder);
	result |= system(command);
	free(fixture);
	return result;
}

/* Moves all requests to the server and takes its last reply. */
static enum nacre_sftp_message
exchange(struct fixture *fixture)
{
	static uint8_t room[NACRE_SFTP_MESSAGE_MAX + 4];
	struct nacre_span span;
	size_t length;

	while ((length = nacre_sftp_output(fixture->client, room, sizeof room, 0)) > 0)
		assert_int_equal(
		    nacre_sftp_server_input(fixture->server, (struct nacre_span){room, length}),
		    length);
	nacre_buffer_clear(&fixture->replies);
	nacre_put_span(&fixture->replies, nacre_sftp_server_output(fixture->server));
	span = nacre_buffer_span(&fixture->replies);
	nacre_sftp_server_sent(fixture->server, span.length);
	while (span.length > 0) {
		ssize_t used = nacre_sftp_receive(fixture->client, span, &fixture->reply);

		assert_true(used > 0);
		span.data += used;
		span.length -= (size_t)used;
	}
	return fixture->reply.message;
}

static uint32_t
path_status(struct fixture *fixture, enum nacre_sftp_message message, const char *path)
{
	assert_int_equal(
	    nacre_sftp_path_request(fixture->client, message, nacre_span_of(path), &tag), 0);
	return exchange(fixture) == NACRE_SFTP_STATUS ? fixture->reply.status : NACRE_SFTP_OK;
}

static struct nacre_span
open_file(struct fixture *fixture, const char *path, uint32_t flags, uint32_t mode)
{
	const struct nacre_sftp_attributes attributes = {
	    .flags = NACRE_SFTP_ATTR_PERMISSIONS, .permissions = mode};

	nacre_sftp_open(fixture->client, nacre_span_of(path), flags, &attributes, &tag);
	if (exchange(fixture) != NACRE_SFTP_HANDLE)
		return (struct nacre_span){NULL, 0};
	memcpy(fixture->handle, fixture->reply.handle.data, fixture->reply.handle.length);
	return (struct nacre_span){fixture->handle, fixture->reply.handle.length};
}

static void
put_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void
offers_everything(void **state)
{
	struct fixture *fixture = *state;
	const struct nacre_sftp_server_options options = {.umask = -1};

	serve(fixture, &options);
	exchange(fixture);
	assert_true(nacre_sftp_ready(fixture->client));
	assert_int_equal(nacre_sftp_version(fixture->client), 3);
	assert_int_equal(nacre_sftp_extensions(fixture->client), (1U << 13) - 1);
	assert_int_equal(nacre_sftp_limits(fixture->client)->read, 261120);
	assert_true(nacre_sftp_limits(fixture->client)->handles > 0);
}

static void
reads_and_writes(void **state)
{
	struct fixture *fixture = *state;
	const struct nacre_sftp_server_options options = {.umask = 022};
	struct nacre_span handle;
	struct stat status;

	serve(fixture, &options);
	handle = open_file(fixture, "file",
	    NACRE_SFTP_OPEN_READ | NACRE_SFTP_OPEN_WRITE | NACRE_SFTP_OPEN_CREATE, 0666);
	assert_true(handle.length > 0);
	nacre_sftp_write(fixture->client, handle, 3, nacre_span_of("hello"), &tag);
	assert_int_equal(exchange(fixture), NACRE_SFTP_STATUS);
	assert_int_equal(fixture->reply.status, NACRE_SFTP_OK);
	nacre_sftp_read(fixture->client, handle, 4, 100, &tag);
	assert_int_equal(exchange(fixture), NACRE_SFTP_DATA);
	assert_true(nacre_span_equals(fixture->reply.data, "ello"));
	nacre_sftp_read(fixture->client, handle, 8, 100, &tag);
	assert_int_equal(exchange(fixture), NACRE_SFTP_STATUS);
	assert_int_equal(fixture->reply.status, NACRE_SFTP_EOF);
	nacre_sftp_handle_request(fixture->client, NACRE_SFTP_CLOSE, handle, &tag);
	exchange(fixture);
	assert_int_equal(fixture->reply.status, NACRE_SFTP_OK);
	/* The handle is dead, and stays so when its number is given again. */
	nacre_sftp_handle_request(fixture->client, NACRE_SFTP_FSTAT, handle, &tag);
	exchange(fixture);
	assert_int_equal(fixture->reply.status, NACRE_SFTP_FAILURE);
	assert_int_equal(stat("file", &status), 0);
	assert_int_equal(status.st_mode & 0777, 0644);
	assert_int_equal(status.st_size, 8);
}

static void
maps_errors(void **state)
{
	struct fixture *fixture = *state;
	const struct nacre_sftp_server_options options = {.umask = -1};
	char long_name[300];

	memset(long_name, 'x', sizeof long_name - 1);
	long_name[sizeof long_name - 1] = '\0';
	serve(fixture, &options);
	put_file("file", "x");
	assert_int_equal(symlink("loop", "loop"), 0);
	assert_int_equal(mkdir("full", 0755), 0);
	put_file("full/file", "x");
	assert_int_equal(path_status(fixture, NACRE_SFTP_STAT, "none"), NACRE_SFTP_NO_SUCH_FILE);
	assert_int_equal(path_status(fixture, NACRE_SFTP_STAT, "file/x"), NACRE_SFTP_NO_SUCH_FILE);
	assert_int_equal(path_status(fixture, NACRE_SFTP_STAT, "loop"), NACRE_SFTP_NO_SUCH_FILE);
	assert_int_equal(path_status(fixture, NACRE_SFTP_LSTAT, "loop"), NACRE_SFTP_OK);
	assert_int_equal(path_status(fixture, NACRE_SFTP_STAT, long_name), NACRE_SFTP_BAD_MESSAGE);
	assert_int_equal(path_status(fixture, NACRE_SFTP_RMDIR, "full"), NACRE_SFTP_FAILURE);
	assert_int_equal(path_status(fixture, NACRE_SFTP_READLINK, "file"), NACRE_SFTP_BAD_MESSAGE);
	assert_int_equal(path_status(fixture, NACRE_SFTP_REMOVE, "file"), NACRE_SFTP_OK);
	nacre_sftp_extended_request(
	    fixture->client, "nobody@example.com", (struct nacre_span){NULL, 0}, &tag);
	exchange(fixture);
	assert_int_equal(fixture->reply.status, NACRE_SFTP_OP_UNSUPPORTED);
}

static void
read_only_changes_nothing(void **state)
{
	struct fixture *fixture = *state;
	const struct nacre_sftp_server_options options = {.umask = -1, .read_only = true};
	const struct nacre_sftp_attributes none = {0};

	serve(fixture, &options);
	put_file("file", "x");
	assert_int_equal(open_file(fixture, "file", NACRE_SFTP_OPEN_WRITE, 0644).length, 0);
	assert_int_equal(fixture->reply.status, NACRE_SFTP_PERMISSION_DENIED);
	assert_int_equal(
	    open_file(fixture, "new", NACRE_SFTP_OPEN_READ | NACRE_SFTP_OPEN_CREATE, 0644).length,
	    0);
	assert_true(open_file(fixture, "file", NACRE_SFTP_OPEN_READ, 0).length > 0);
	assert_int_equal(
	    path_status(fixture, NACRE_SFTP_REMOVE, "file"), NACRE_SFTP_PERMISSION_DENIED);
	nacre_sftp_attributes_request(
	    fixture->client, NACRE_SFTP_MKDIR, nacre_span_of("folder"), &none, &tag);
	exchange(fixture);
	assert_int_equal(fixture->reply.status, NACRE_SFTP_PERMISSION_DENIED);
	assert_int_equal(access("folder", F_OK), -1);
	assert_int_equal(access("new", F_OK), -1);
	assert_int_equal(access("file", F_OK), 0);
}

static void
denied_requests_are_not_offered(void **state)
{
	struct fixture *fixture = *state;
	struct nacre_sftp_server_options options = {.umask = -1, .denied = "stat,statvfs"};

	serve(fixture, &options);
	assert_int_equal(path_status(fixture, NACRE_SFTP_STAT, "."), NACRE_SFTP_PERMISSION_DENIED);
	assert_int_equal(path_status(fixture, NACRE_SFTP_LSTAT, "."), NACRE_SFTP_OK);
	assert_false(nacre_sftp_extensions(fixture->client) & NACRE_SFTP_STATVFS);
	nacre_sftp_server_free(fixture->server);
	fixture->server = NULL;
	options.denied = "nonsense";
	assert_int_equal(nacre_sftp_server_new(&options, &fixture->server), NACRE_ERROR_ARGUMENT);
}

static void
lists_any_name(void **state)
{
	struct fixture *fixture = *state;
	const struct nacre_sftp_server_options options = {.umask = -1};
	struct nacre_sftp_name name;
	struct nacre_span handle;
	bool found[4] = {false};
	static const char *const names[] = {"a b\n", "\xff\xfe", "-rf", "'\"\\"};
	size_t count = 0;

	serve(fixture, &options);
	for (size_t i = 0; i < 4; i++)
		put_file(names[i], "12345");
	nacre_sftp_path_request(fixture->client, NACRE_SFTP_OPENDIR, nacre_span_of("."), &tag);
	assert_int_equal(exchange(fixture), NACRE_SFTP_HANDLE);
	memcpy(fixture->handle, fixture->reply.handle.data, fixture->reply.handle.length);
	handle = (struct nacre_span){fixture->handle, fixture->reply.handle.length};
	nacre_sftp_handle_request(fixture->client, NACRE_SFTP_READDIR, handle, &tag);
	assert_int_equal(exchange(fixture), NACRE_SFTP_NAME);
	while (nacre_sftp_get_name(&fixture->reply.names, &name)) {
		count++;
		for (size_t i = 0; i < 4; i++)
			if (nacre_span_equals(name.file_name, names[i])) {
				found[i] = true;
				assert_int_equal(name.attributes.size, 5);
				assert_memory_equal(name.long_name.data, "-rw", 3);
			}
	}
	assert_int_equal(count, fixture->reply.count);
	assert_int_equal(count, 6);
	for (size_t i = 0; i < 4; i++)
		assert_true(found[i]);
	nacre_sftp_handle_request(fixture->client, NACRE_SFTP_READDIR, handle, &tag);
	exchange(fixture);
	assert_int_equal(fixture->reply.status, NACRE_SFTP_EOF);
}

static void
handles_are_bounded(void **state)
{
	struct fixture *fixture = *state;
	const struct nacre_sftp_server_options options = {.umask = -1};
	size_t opened = 0;

	serve(fixture, &options);
	put_file("file", "x");
	while (opened < 100000 && open_file(fixture, "file", NACRE_SFTP_OPEN_READ, 0).length > 0)
		opened++;
	assert_in_range(opened, 10, 8192);
	assert_int_equal(fixture->reply.status, NACRE_SFTP_FAILURE);
}

/* A byte at a time, as a slow peer sends it; and the reply bound, as one sends that never reads. */
static void
takes_pieces_and_stops(void **state)
{
	struct fixture *fixture = *state;
	const struct nacre_sftp_server_options options = {.umask = -1};
	uint8_t room[8192];
	size_t length;
	ssize_t used = 1;

	serve(fixture, &options);
	for (int i = 0; i < 10; i++)
		nacre_sftp_path_request(
		    fixture->client, NACRE_SFTP_REALPATH, nacre_span_of("."), &tag);
	length = nacre_sftp_output(fixture->client, room, sizeof room, 0);
	for (size_t i = 0; i < length; i++)
		assert_int_equal(
		    nacre_sftp_server_input(fixture->server, (struct nacre_span){room + i, 1}), 1);
	assert_true(nacre_sftp_server_output(fixture->server).length > 10 * 20);
	for (int i = 0; i < 100000 && used > 0; i++) {
		nacre_sftp_path_request(
		    fixture->client, NACRE_SFTP_REALPATH, nacre_span_of("."), NULL);
		length = nacre_sftp_output(fixture->client, room, sizeof room, 0);
		used = nacre_sftp_server_input(fixture->server, (struct nacre_span){room, length});
	}
	assert_int_equal(used, 0);
	assert_true(nacre_sftp_server_output(fixture->server).length < (size_t)512 * 1024);
}

static void
malformed_input_ends_it(void **state)
{
	static const struct {
		uint8_t bytes[24];
		size_t length;
	} cases[] = {
	    {{0, 0, 0, 0}, 4},                                       /* empty message */
	    {{0, 4, 0, 1, 1, 0}, 6},                                 /* over 256 KiB */
	    {{0, 0, 0, 9, 17, 0, 0, 0, 1, 0, 0, 0, 0}, 13},          /* before INIT */
	    {{0, 0, 0, 5, 1, 0, 0, 0, 3, 0, 0, 0, 3, 17, 0, 0}, 16}, /* no room for an id */
	    {{0, 0, 0, 5, 1, 0, 0, 0, 3, 0, 0, 0, 9, 17, 0, 0, 0, 1, 0, 0, 0, 9}, 22},
	};
	const struct nacre_sftp_server_options options = {.umask = -1};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct nacre_sftp_server *server;

		assert_int_equal(nacre_sftp_server_new(&options, &server), 0);
		assert_int_equal(nacre_sftp_server_input(
				     server, (struct nacre_span){cases[i].bytes, cases[i].length}),
		    NACRE_ERROR_PROTOCOL);
		nacre_sftp_server_free(server);
	}
}

static void
full_disk_is_told(void **state)
{
	struct fixture *fixture = *state;
	const struct nacre_sftp_server_options options = {.umask = -1};
	struct nacre_span handle;

	if (access("/dev/full", W_OK) != 0)
		skip();
	serve(fixture, &options);
	handle = open_file(fixture, "/dev/full", NACRE_SFTP_OPEN_WRITE, 0);
	nacre_sftp_write(fixture->client, handle, 0, nacre_span_of("x"), &tag);
	exchange(fixture);
	assert_int_equal(fixture->reply.status, NACRE_SFTP_FAILURE);
}

static void
await(struct nacre_sftp_thread *thread)
{
	struct pollfd entry = {.fd = nacre_sftp_thread_fd(thread), .events = POLLIN};

	assert_int_equal(poll(&entry, 1, 10000), 1);
	nacre_sftp_thread_acknowledge(thread);
}

static void
works_on_a_thread(void **state)
{
	struct fixture *fixture = *state;
	const struct nacre_sftp_server_options options = {.umask = -1};
	struct nacre_sftp_thread *thread;
	uint8_t room[65536];
	size_t length, got = 0, replies = 0;
	int error;

	assert_int_equal(nacre_sftp_new(&fixture->client), 0);
	assert_int_equal(nacre_sftp_thread_start(&options, &thread), 0);
	for (int i = 0; i < 500; i++)
		nacre_sftp_path_request(fixture->client, NACRE_SFTP_STAT, nacre_span_of("."), &tag);
	length = nacre_sftp_output(fixture->client, room, sizeof room, 0);
	assert_int_equal(
	    nacre_sftp_thread_input(thread, (struct nacre_span){room, length}), length);
	nacre_sftp_thread_end_input(thread);
	while (!nacre_sftp_thread_finished(thread, &error)) {
		struct nacre_span span = {room, 0};

		await(thread);
		span.length = nacre_sftp_thread_output(thread, room, sizeof room);
		got += span.length;
		while (span.length > 0) {
			ssize_t used = nacre_sftp_receive(fixture->client, span, &fixture->reply);

			assert_true(used > 0);
			replies += fixture->reply.message == NACRE_SFTP_ATTRS;
			span.data += used;
			span.length -= (size_t)used;
		}
	}
	assert_int_equal(error, 0);
	assert_int_equal(replies, 500);
	assert_true(got > 500 * 30);
	nacre_sftp_thread_stop(thread);
}

int
main(void)
{
#define SERVER_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    SERVER_TEST(offers_everything),
	    SERVER_TEST(reads_and_writes),
	    SERVER_TEST(maps_errors),
	    SERVER_TEST(read_only_changes_nothing),
	    SERVER_TEST(denied_requests_are_not_offered),
	    SERVER_TEST(lists_any_name),
	    SERVER_TEST(handles_are_bounded),
	    SERVER_TEST(takes_pieces_and_stops),
	    SERVER_TEST(malformed_input_ends_it),
	    SERVER_TEST(full_disk_is_told),
	    SERVER_TEST(works_on_a_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
