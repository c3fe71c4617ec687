/*
 * The SFTP client and the tree transfer, joined in memory with the server engine, and with a
 * scripted server that lies.
 */
#include <nacre/sftp_server.h>
#include <nacre/transfer.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define STEPS_MAX 1000000

struct fixture {
	char folder[64];
	int start;
	struct nacre_sftp *source, *target;
	struct nacre_sftp_server *source_server, *target_server;
	size_t room;  /* bytes of one packet */
	size_t piece; /* bytes received at once */
	unsigned errors, warnings, done;
	char text[512]; /* all error texts */
};

static int
set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	strcpy(fixture->folder, "/tmp/nacre-sftp-XXXXXX");
	fixture->start = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fixture->room = 32768;
	fixture->piece = 32768;
	if (mkdtemp(fixture->folder) == NULL || chdir(fixture->folder) != 0)
		return -1;
	*state = fixture;
	return 0;
}

static void
free_ends(struct fixture *fixture)
{
	nacre_sftp_free(fixture->source);
	nacre_sftp_free(fixture->target);
	nacre_sftp_server_free(fixture->source_server);
	nacre_sftp_server_free(fixture->target_server);
	fixture->source = fixture->target = NULL;
	fixture->source_server = fixture->target_server = NULL;
}

static int
tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[256];
	int result;

	free_ends(fixture);
	result = fchdir(fixture->start);
	close(fixture->start);
	snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s", fixture->folder,
	    fixture->folder);
	result |= system(command);
	free(fixture);
	return result;
}

static void
add_end(struct nacre_sftp **sftp, struct nacre_sftp_server **server, const char *denied)
{
	const struct nacre_sftp_server_options options = {.umask = 022, .denied = denied};

	assert_int_equal(nacre_sftp_new(sftp), 0);
	assert_int_equal(nacre_sftp_server_new(&options, server), 0);
}

static void
take_events(struct fixture *fixture, struct nacre_transfer *transfer)
{
	struct nacre_transfer_event event;

	while (nacre_transfer_next_event(transfer, &event)) {
		if (event.kind == NACRE_TRANSFER_DONE)
			fixture->done += event.ok;
		if (event.kind != NACRE_TRANSFER_ERROR)
			continue;
		*(event.ok ? &fixture->warnings : &fixture->errors) += 1;
		strncat(
		    fixture->text, event.text, sizeof fixture->text - strlen(fixture->text) - 2);
		strcat(fixture->text, "\n");
	}
}

static void
move_requests(struct fixture *fixture, struct nacre_transfer *transfer,
    enum nacre_transfer_side side, struct nacre_sftp_server *server)
{
	uint8_t *room = malloc(fixture->room);

	for (int i = 0; i < 64; i++) {
		size_t length =
		    nacre_transfer_output(transfer, 0, side, room, fixture->room, (uint64_t)i);
		struct nacre_span span = {room, length};

		assert_true(length <= fixture->room);
		if (length == 0)
			break;
		while (span.length > 0) {
			ssize_t used = nacre_sftp_server_input(server, span);
			struct nacre_span replies = nacre_sftp_server_output(server);

			assert_true(used >= 0);
			while (used == 0 && replies.length > 0) {
				size_t part = replies.length < fixture->piece ? replies.length
									      : fixture->piece;

				nacre_transfer_receive(
				    transfer, 0, side, (struct nacre_span){replies.data, part}, 0);
				nacre_sftp_server_sent(server, part);
				replies = nacre_sftp_server_output(server);
			}
			span.data += used;
			span.length -= (size_t)used;
		}
	}
	free(room);
}

static void
move_replies(struct fixture *fixture, struct nacre_transfer *transfer,
    enum nacre_transfer_side side, struct nacre_sftp_server *server)
{
	struct nacre_span replies;

	while ((replies = nacre_sftp_server_output(server)).length > 0) {
		size_t part = replies.length < fixture->piece ? replies.length : fixture->piece;

		if (nacre_transfer_receive(
			transfer, 0, side, (struct nacre_span){replies.data, part}, 1) != 0)
			return;
		nacre_sftp_server_sent(server, part);
	}
}

static void
pump(struct fixture *fixture, struct nacre_transfer *transfer)
{
	int steps = 0;

	while (!nacre_transfer_finished(transfer)) {
		assert_true(steps++ < STEPS_MAX);
		for (int side = 0; side < 2; side++) {
			struct nacre_sftp_server *server =
			    side == 0 ? fixture->source_server : fixture->target_server;

			if (server == NULL)
				continue;
			move_requests(fixture, transfer, (enum nacre_transfer_side)side, server);
			move_replies(fixture, transfer, (enum nacre_transfer_side)side, server);
		}
		take_events(fixture, transfer);
	}
	take_events(fixture, transfer);
}

static void
copy(struct fixture *fixture, const char *source, const char *target, bool preserve)
{
	const struct nacre_transfer_options options = {
	    .source = fixture->source,
	    .target = fixture->target,
	    .target_path = target,
	    .recursive = true,
	    .preserve = preserve,
	};
	struct nacre_transfer *transfer;

	assert_int_equal(nacre_transfer_new(&options, &transfer), 0);
	assert_int_equal(nacre_transfer_add(transfer, source), 0);
	pump(fixture, transfer);
	nacre_transfer_free(transfer);
}

static void
shell(const char *command)
{
	assert_int_equal(system(command), 0);
}

/* Names of all kinds, sizes around the blocks, modes, times, empty and deep directories. */
static void
make_tree(void)
{
	shell("mkdir -p tree/empty 'tree/a b' tree/deep/deep/deep/deep;"
	      "for n in 0 1 2047 32767 32768 32769 261119 261120 261121 700000; do"
	      "  head -c $n /dev/urandom > tree/size$n; done;"
	      "i=0; while [ $i -lt 300 ]; do echo $i > \"tree/deep/deep/f$i\"; i=$((i+1)); done;"
	      "echo x > 'tree/a b/new\nline'; echo y > \"$(printf 'tree/\\377\\376')\";"
	      "echo z > 'tree/-rf'; echo q > 'tree/quo\"te'; ln -s size1 tree/link;"
	      "chmod 600 tree/size1; chmod 755 tree/size0; chmod 555 tree/deep/deep/deep;"
	      "touch -d 2001-02-03T04:05:06 tree/size1 tree/empty");
}

static void
trees_equal(const char *other, bool times)
{
	char command[512];

	snprintf(command, sizeof command, "diff -r tree %s", other);
	shell(command);
	snprintf(command, sizeof command,
	    "(cd tree; find -L . -printf '%%p %%m %s\\n' | sort) > A;"
	    "(cd %s; find -L . -printf '%%p %%m %s\\n' | sort) > B; cmp A B",
	    times ? "%Ts" : "", other, times ? "%Ts" : "");
	shell(command);
}

static void
tree_goes_up_and_down(struct fixture *fixture)
{
	make_tree();
	add_end(&fixture->target, &fixture->target_server, NULL);
	copy(fixture, "tree", "up", true);
	assert_int_equal(fixture->errors, 0);
	assert_int_equal(fixture->done, 315);
	trees_equal("up", true);
	free_ends(fixture);
	add_end(&fixture->source, &fixture->source_server, NULL);
	copy(fixture, "tree", "down", true);
	assert_int_equal(fixture->errors, 0);
	trees_equal("down", true);
}

static void
copies_trees(void **state)
{
	tree_goes_up_and_down(*state);
}

static void
copies_in_small_pieces(void **state)
{
	struct fixture *fixture = *state;

	fixture->room = 100;
	fixture->piece = 7;
	tree_goes_up_and_down(fixture);
}

static void
copies_in_large_rooms(void **state)
{
	struct fixture *fixture = *state;

	fixture->room = 1 << 20;
	fixture->piece = 1 << 20;
	tree_goes_up_and_down(fixture);
}

static void
works_without_extensions(void **state)
{
	struct fixture *fixture = *state;

	make_tree();
	add_end(&fixture->target, &fixture->target_server,
	    "limits,expand-path,posix-rename,fsync,statvfs,lsetstat,hardlink,copy-data");
	copy(fixture, "tree", "up", false);
	assert_int_equal(fixture->errors, 0);
	assert_true(nacre_sftp_limits(fixture->target)->write == 32768);
	trees_equal("up", false);
}

static void
copies_between_servers(void **state)
{
	struct fixture *fixture = *state;

	make_tree();
	add_end(&fixture->source, &fixture->source_server, NULL);
	add_end(&fixture->target, &fixture->target_server, NULL);
	copy(fixture, "tree", "across", true);
	assert_int_equal(fixture->errors, 0);
	trees_equal("across", true);
}

static void
overwrites_what_is_longer(void **state)
{
	struct fixture *fixture = *state;

	make_tree();
	add_end(&fixture->target, &fixture->target_server, NULL);
	shell("mkdir -p up; cp -r tree up/tree; chmod -R u+w up; head -c 999999 /dev/zero > "
	      "up/tree/size1;"
	      "head -c 999999 /dev/zero > up/tree/size32768");
	copy(fixture, "tree", "up", true);
	assert_int_equal(fixture->errors, 0);
	trees_equal("up/tree", true);
	free_ends(fixture);
	add_end(&fixture->source, &fixture->source_server, NULL);
	shell("mkdir down; cp -r up/tree down/tree; chmod -R u+w down;"
	      "head -c 999999 /dev/zero > down/tree/size1");
	copy(fixture, "tree", "down", true);
	assert_int_equal(fixture->errors, 0);
	trees_equal("down/tree", true);
}

static void
expands_patterns(void **state)
{
	struct fixture *fixture = *state;

	make_tree();
	add_end(&fixture->source, &fixture->source_server, NULL);
	shell("mkdir out; echo literal > 'tree/[x]'");
	copy(fixture, "tr?e/size3*", "out", false);
	copy(fixture, "tree/[x]", "out", false);
	copy(fixture, "tree/de*/*/f1[0-9]", "out", false);
	assert_int_equal(fixture->errors, 0);
	shell("test \"$(ls out | wc -l)\" = 14 && cmp out/size32767 tree/size32767 &&"
	      "test -f 'out/[x]' && test -f out/f19");
	copy(fixture, "tree/nothing*", "out", false);
	assert_int_equal(fixture->errors, 1);
	assert_non_null(strstr(fixture->text, "tree/nothing*: No such file or directory"));
}

static void
goes_on_after_errors(void **state)
{
	struct fixture *fixture = *state;

	make_tree();
	add_end(&fixture->target, &fixture->target_server, NULL);
	shell("mkfifo tree/pipe; mkdir -p up/tree/size2047; echo > up/tree/empty; ln -s none "
	      "tree/gone");
	copy(fixture, "tree", "up", false);
	/* A dangling link, a file onto a directory, a directory onto a file. */
	assert_int_equal(fixture->errors, 1 + 2 + 2);
	assert_int_equal(fixture->warnings, 1);
	assert_int_equal(fixture->done, 314);
	assert_non_null(strstr(fixture->text, "exists but is not a directory"));
}

/* The lying server: answers each request by a rule of the test. */
struct liar {
	struct nacre_buffer replies;
	unsigned readdirs;
	const char *evil_name;
};

static void
answer_status(struct liar *liar, uint32_t id, uint32_t status)
{
	nacre_put_u32(&liar->replies, 17);
	nacre_put_byte(&liar->replies, NACRE_SFTP_STATUS);
	nacre_put_u32(&liar->replies, id);
	nacre_put_u32(&liar->replies, status);
	nacre_put_cstring(&liar->replies, "");
	nacre_put_cstring(&liar->replies, "");
}

static void
answer_attributes(struct liar *liar, uint32_t id, uint32_t mode, uint64_t size)
{
	size_t mark = nacre_put_string_begin(&liar->replies);
	const struct nacre_sftp_attributes attributes = {
	    .flags = NACRE_SFTP_ATTR_PERMISSIONS | NACRE_SFTP_ATTR_SIZE,
	    .permissions = mode,
	    .size = size,
	};

	nacre_put_byte(&liar->replies, NACRE_SFTP_ATTRS);
	nacre_put_u32(&liar->replies, id);
	nacre_sftp_put_attributes(&liar->replies, &attributes);
	nacre_put_string_end(&liar->replies, mark);
}

static void
answer_names(struct liar *liar, uint32_t id)
{
	const struct nacre_sftp_attributes attributes = {
	    .flags = NACRE_SFTP_ATTR_PERMISSIONS | NACRE_SFTP_ATTR_SIZE,
	    .permissions = 0100644,
	    .size = 1000,
	};
	const char *names[] = {liar->evil_name, "good"};
	size_t mark;

	if (liar->readdirs++ > 0) {
		answer_status(liar, id, NACRE_SFTP_EOF);
		return;
	}
	mark = nacre_put_string_begin(&liar->replies);
	nacre_put_byte(&liar->replies, NACRE_SFTP_NAME);
	nacre_put_u32(&liar->replies, id);
	nacre_put_u32(&liar->replies, 2);
	for (size_t i = 0; i < 2; i++) {
		nacre_put_cstring(&liar->replies, names[i]);
		nacre_put_cstring(&liar->replies, "");
		nacre_sftp_put_attributes(&liar->replies, &attributes);
	}
	nacre_put_string_end(&liar->replies, mark);
}

/* 1,000 bytes, each its offset, at most 77 at once. */
static void
answer_read(struct liar *liar, uint32_t id, struct nacre_reader *request)
{
	uint64_t offset;
	uint32_t length;
	size_t mark;

	nacre_get_string(request);
	offset = nacre_get_u64(request);
	length = nacre_get_u32(request);
	if (offset >= 1000) {
		answer_status(liar, id, NACRE_SFTP_EOF);
		return;
	}
	if (length > 77)
		length = 77;
	if (offset + length > 1000)
		length = (uint32_t)(1000 - offset);
	mark = nacre_put_string_begin(&liar->replies);
	nacre_put_byte(&liar->replies, NACRE_SFTP_DATA);
	nacre_put_u32(&liar->replies, id);
	nacre_put_u32(&liar->replies, length);
	for (uint32_t i = 0; i < length; i++)
		nacre_put_byte(&liar->replies, (uint8_t)(offset + i));
	nacre_put_string_end(&liar->replies, mark);
}

static void
lie(struct liar *liar, struct nacre_span message)
{
	struct nacre_reader request = nacre_reader_of(message);
	uint8_t type = nacre_get_byte(&request);
	uint32_t id = nacre_get_u32(&request);

	if (type == NACRE_SFTP_INIT) {
		nacre_put_u32(&liar->replies, 5);
		nacre_put_byte(&liar->replies, NACRE_SFTP_VERSION_REPLY);
		nacre_put_u32(&liar->replies, 3);
	} else if (type == NACRE_SFTP_STAT) {
		answer_attributes(liar, id, 040755, 0);
	} else if (type == NACRE_SFTP_OPENDIR || type == NACRE_SFTP_OPEN) {
		nacre_put_u32(&liar->replies, 10);
		nacre_put_byte(&liar->replies, NACRE_SFTP_HANDLE);
		nacre_put_u32(&liar->replies, id);
		nacre_put_cstring(&liar->replies, "h");
	} else if (type == NACRE_SFTP_READDIR) {
		answer_names(liar, id);
	} else if (type == NACRE_SFTP_READ) {
		answer_read(liar, id, &request);
	} else {
		answer_status(liar, id,
		    type == NACRE_SFTP_EXTENDED ? NACRE_SFTP_OP_UNSUPPORTED : NACRE_SFTP_OK);
	}
}

static void
download_from_liar(struct fixture *fixture, struct liar *liar, const char *target)
{
	struct nacre_transfer_options options = {.target_path = target, .recursive = true};
	struct nacre_transfer *transfer;
	uint8_t room[4096];

	assert_int_equal(nacre_sftp_new(&fixture->source), 0);
	options.source = fixture->source;
	assert_int_equal(nacre_transfer_new(&options, &transfer), 0);
	assert_int_equal(nacre_transfer_add(transfer, "folder"), 0);
	for (int i = 0; i < 1000 && !nacre_transfer_finished(transfer); i++) {
		size_t length = nacre_transfer_output(
		    transfer, 0, NACRE_TRANSFER_SOURCE, room, sizeof room, (uint64_t)i);
		struct nacre_reader reader = nacre_reader_of((struct nacre_span){room, length});
		struct nacre_span replies;

		while (reader.length > 0)
			lie(liar, nacre_get_string(&reader));
		assert_false(reader.failed);
		replies = nacre_buffer_span(&liar->replies);
		nacre_transfer_receive(transfer, 0, NACRE_TRANSFER_SOURCE, replies, (uint64_t)i);
		nacre_buffer_consume(&liar->replies, replies.length);
		take_events(fixture, transfer);
	}
	assert_true(nacre_transfer_finished(transfer));
	nacre_transfer_free(transfer);
	nacre_buffer_free(&liar->replies);
	free_ends(fixture);
}

static void
refuses_names_that_leave(void **state)
{
	static const char *const evil[] = {"../evil", "/tmp/evil", "a/b", ""};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof evil / sizeof evil[0]; i++) {
		struct liar liar = {.evil_name = evil[i]};
		char target[16];

		snprintf(target, sizeof target, "out%zu", i);
		download_from_liar(fixture, &liar, target);
		assert_int_equal(fixture->errors, i + 1);
	}
	shell("test ! -e evil && test ! -e ../evil && test -f out0/good");
}

static void
puts_short_reads_together(void **state)
{
	struct fixture *fixture = *state;
	struct liar liar = {.evil_name = "."};
	uint8_t bytes[1001];
	FILE *file;

	download_from_liar(fixture, &liar, "out");
	assert_int_equal(fixture->errors, 0);
	file = fopen("out/good", "r");
	assert_non_null(file);
	assert_int_equal(fread(bytes, 1, sizeof bytes, file), 1000);
	fclose(file);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(bytes[i], (uint8_t)i);
}

static void
ends_on_nonsense(void **state)
{
	static const struct {
		uint8_t bytes[32];
		size_t length;
	} cases[] = {
	    {"Welcome to this host!\r\n", 23}, {{0, 0, 0, 5, 2, 0, 0, 0, 9}, 9}, /* version 9 */
	    {{0, 0, 0, 5, 2, 0, 0, 0, 3, 0, 0, 0, 5, 101, 9, 9, 9, 9}, 18},      /* unknown id */
	    {{0, 0, 0, 5, 2, 0, 0, 0, 3, 0, 0, 0, 9, 103, 0, 1, 0, 0, 0, 0, 0, 0}, 22},
	    {{0, 0, 0, 5, 2, 0, 0, 0, 3, 0, 0, 0, 0}, 13},
	    {{0, 0, 0, 9, 2, 0, 0, 0, 3, 0, 0, 0, 9}, 13}, /* bad extension */
	};
	struct nacre_sftp_reply reply;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct nacre_span span = {cases[i].bytes, cases[i].length};
		struct nacre_sftp *sftp;
		ssize_t used = 1;

		assert_int_equal(nacre_sftp_new(&sftp), 0);
		while (used >= 0 && span.length > 0) {
			used = nacre_sftp_receive(sftp, span, &reply);
			if (used > 0) {
				span.data += used;
				span.length -= (size_t)used;
			}
		}
		assert_int_equal(used, NACRE_ERROR_PROTOCOL);
		assert_true(nacre_sftp_error(sftp)[0] != '\0');
		nacre_sftp_free(sftp);
	}
}

int
main(void)
{
#define CLIENT_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    CLIENT_TEST(copies_trees),
	    CLIENT_TEST(copies_in_small_pieces),
	    CLIENT_TEST(copies_in_large_rooms),
	    CLIENT_TEST(works_without_extensions),
	    CLIENT_TEST(copies_between_servers),
	    CLIENT_TEST(overwrites_what_is_longer),
	    CLIENT_TEST(expands_patterns),
	    CLIENT_TEST(goes_on_after_errors),
	    CLIENT_TEST(refuses_names_that_leave),
	    CLIENT_TEST(puts_short_reads_together),
	    CLIENT_TEST(ends_on_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
