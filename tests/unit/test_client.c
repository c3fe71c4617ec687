/*
 * The client's pieces that need no server: what it remembers of servers, and what escape sequences
 * make of typed bytes.
 */
#include <client/client.h>
#include <ssh/ssh.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ssh/escape.c"

/* Escape sequences ---------------------------------------------------------------------------- */

/* Feeds "typed" and joins what passes; the actions are joined as digits. */
static void
filter(struct escape *escape, const char *typed, char *sent, char *actions)
{
	uint8_t out[256];
	size_t length = strlen(typed), done = 0, taken, put;

	*sent = *actions = '\0';
	while (done < length) {
		const enum escape_action action = escape_filter(
		    escape, (const uint8_t *)typed + done, length - done, &taken, out, &put);

		assert_true(taken > 0 && taken <= length - done && put <= taken + 1);
		strncat(sent, (const char *)out, put);
		if (action != ESCAPE_NONE)
			sprintf(actions + strlen(actions), "%d,", (int)action);
		done += taken;
	}
}

static void
assert_filter(const char *typed, const char *expected_sent, enum escape_action expected)
{
	struct escape escape = {.character = '~', .at_line_start = true};
	char sent[256], actions[256], expected_actions[16] = "";

	if (expected != ESCAPE_NONE)
		snprintf(expected_actions, sizeof expected_actions, "%d,", (int)expected);
	filter(&escape, typed, sent, actions);
	assert_string_equal(sent, expected_sent);
	assert_string_equal(actions, expected_actions);
}

static void
test_escapes(void **state)
{
	(void)state;
	assert_filter("plain ~. text", "plain ~. text", ESCAPE_NONE);
	assert_filter("~.", "", ESCAPE_TERMINATE);
	assert_filter("ls\r~.", "ls\r", ESCAPE_TERMINATE);
	assert_filter("ls\n~?", "ls\n", ESCAPE_HELP);
	assert_filter("~~.", "~.", ESCAPE_NONE);
	assert_filter("~x", "~x", ESCAPE_NONE);
	assert_filter("\r~\x1a"
		      "more",
	    "\rmore", ESCAPE_SUSPEND);
	assert_filter("x~", "x~", ESCAPE_NONE);
	assert_filter("~", "", ESCAPE_NONE);
	assert_filter("~R", "", ESCAPE_REKEY);
}

static void
test_escape_across_reads(void **state)
{
	struct escape escape = {.character = '~', .at_line_start = true};
	char sent[64], actions[64];

	(void)state;
	filter(&escape, "a\r", sent, actions);
	filter(&escape, "~", sent, actions);
	assert_string_equal(sent, "");
	filter(&escape, "#", sent, actions);
	assert_string_equal(sent, "");
	assert_int_equal(atoi(actions), ESCAPE_LIST);
	/* Right behind an escape the line has not begun again by itself. */
	filter(&escape, "~~b", sent, actions);
	assert_string_equal(sent, "~b");
}

/* The mark of "server": the start of its HMAC-SHA256 under a salt of zeros, a little-endian number;
 * computed with Python's hmac. */
#define SERVER_MARK "23f96867eb0f9872"

/* Preferences --------------------------------------------------------------------------------- */

struct place {
	char folder[64], file[96], known[96];
};

static int
set_up(void **state)
{
	struct place *const place = calloc(1, sizeof *place);

	strcpy(place->folder, "/tmp/nacre-test-XXXXXX");
	assert_non_null(mkdtemp(place->folder));
	snprintf(place->file, sizeof place->file, "%s/nacre_hosts", place->folder);
	snprintf(place->known, sizeof place->known, "%s/known_hosts", place->folder);
	*state = place;
	return 0;
}

static int
tear_down(void **state)
{
	struct place *const place = *state;

	unlink(place->file);
	rmdir(place->folder);
	free(place);
	return 0;
}

static void
write_file(const char *path, const char *text, size_t length)
{
	FILE *const file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

/* What a client with this known_hosts and server name reads. */
static struct preference
load(char *known, char *name)
{
	struct nacre_ssh_config config = {.remember_servers = true};
	struct nacre_client client = {
	    .config = &config, .user_known_hosts = known, .known_name = name, .fd = -1};

	preference_load(&client);
	const struct preference found = client.preference;
	preference_free(&client);
	return found;
}

static void
test_preferences_are_read(void **state)
{
	static const char text[] = "nacre-hosts 1 00000000000000000000000000000000\n"
				   "1111111111111111 other-kex other-key 5 0\n"
				   "%s sntrup761x25519-sha512 rsa-sha2-512 32 3387492a6139919d\n";
	struct place *const place = *state;
	char name[] = "server", other[] = "stranger", content[256];

	snprintf(content, sizeof content, text, SERVER_MARK);
	write_file(place->file, content, strlen(content));
	const struct preference found = load(place->known, name);
	assert_string_equal(found.kex, "sntrup761x25519-sha512");
	assert_string_equal(found.host_key, "rsa-sha2-512");
	assert_int_equal(found.round_trip, 50);
	assert_true(found.identity == 0x3387492a6139919d);
	assert_true(found.early == 0);
	assert_string_equal(load(place->known, other).kex, "");
}

static void
test_early_preferences_are_read(void **state)
{
	static const struct {
		const char *word;
		bool good;
		uint64_t early;
		uint32_t channel;
	} cases[] = {
	    {"0000000012345678fedcba98", true, 0x12345678fedcba98, 0},
	    {"ffffffff12345678fedcba98", true, 0x12345678fedcba98, PREFERENCE_CHANNEL_UNSTEADY},
	    {"0000002a0000000000000001", true, 1, 42},
	    {"0000000012345678fedcba9", false, 0, 0},
	    {"0000000012345678fedcba988", false, 0, 0},
	    {"00000000 2345678fedcba98", false, 0, 0},
	    {"0000000g12345678fedcba98", false, 0, 0},
	    {"0000000012345678fedcba98 0", false, 0, 0},
	};
	struct place *const place = *state;
	char name[] = "server", content[256];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		snprintf(content, sizeof content,
		    "nacre-hosts 1 00000000000000000000000000000000\n" SERVER_MARK " a b 1 2 %s\n",
		    cases[i].word);
		write_file(place->file, content, strlen(content));
		const struct preference found = load(place->known, name);
		assert_string_equal(found.kex, cases[i].good ? "a" : "");
		assert_true(found.early == cases[i].early);
		assert_int_equal(found.channel, cases[i].channel);
	}
}

static void
test_hostile_preferences(void **state)
{
	static const char header[] = "nacre-hosts 1 00000000000000000000000000000000\n";
	static const char *const lines[] = {
	    "",
	    SERVER_MARK "\n",
	    SERVER_MARK " a b c d e f\n",
	    SERVER_MARK " a b 1 2",
	    SERVER_MARK " a b 1 2 \n",
	    SERVER_MARK " a b 123456789 2\n",
	    SERVER_MARK " a b 1 zz\n",
	    "\n\n\n",
	    "%s%n\n",
	};
	struct place *const place = *state;
	char name[] = "server", content[1024];

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		snprintf(content, sizeof content, "%s%s", header, lines[i]);
		write_file(place->file, content, strlen(content));
		assert_string_equal(load(place->known, name).kex, "");
	}
	/* A name that is too long for its place, and a line that is too long. */
	memset(content, 'k', sizeof content);
	memcpy(content, header, sizeof header - 1);
	memcpy(content + sizeof header - 1, SERVER_MARK " ", 17);
	memcpy(content + 200, " b 1 2\n", 7);
	write_file(place->file, content, 207);
	assert_string_equal(load(place->known, name).kex, "");
	memcpy(content + sizeof content - 7, " b 1 2\n", 7);
	write_file(place->file, content, sizeof content);
	assert_string_equal(load(place->known, name).kex, "");
}

static void
test_preferences_nowhere(void **state)
{
	struct place *const place = *state;
	char name[] = "server", null[] = "/dev/null";

	assert_string_equal(load(null, name).kex, "");
	assert_string_equal(load(NULL, name).kex, "");
	/* A symbolic link is not followed. */
	assert_int_equal(symlink("/etc/passwd", place->file), 0);
	assert_string_equal(load(place->known, name).kex, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_escapes),
	    cmocka_unit_test(test_escape_across_reads),
	    cmocka_unit_test_setup_teardown(test_preferences_are_read, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_early_preferences_are_read, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_hostile_preferences, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_preferences_nowhere, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
