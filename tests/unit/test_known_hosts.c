/* known_hosts: looking up, verdicts, adding, and the upkeep of ssh-keygen. */
#include <nacre/known_hosts.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define KEY_1 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIFTNUGsjH7DPQc4NU5lOw+FhrvGqc5K3STOqPmNw7Rr"
#define KEY_2 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDgsR/WuWD1zes37EVDXmo/aUOX8Uhn8beAVJbtr9LYA"
#define KEY_3 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK9SHv3Xj+q/7ChFE4LjIOO0mSwqp2uqfSmJPonvrjvQ"

/* The name "host.example.com" as ssh-keygen -H of OpenSSH 9.2 wrote it. */
#define HASHED "|1|OUhXHjKIc+8wZJkD+P1UK1LQI2E=|rjq12gD8CNKu9t7Rc0+BmUkXNeM="

static char folder[] = "/tmp/nacre-test-XXXXXX";
static char path[64], old_path[80];
static struct nacre_key *key_1, *key_2, *key_3;

static int
group_setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/ssh/known_hosts", folder);
	snprintf(old_path, sizeof old_path, "%s.old", path);
	assert_int_equal(nacre_key_from_line(nacre_span_of(KEY_1), &key_1, NULL), 0);
	assert_int_equal(nacre_key_from_line(nacre_span_of(KEY_2), &key_2, NULL), 0);
	assert_int_equal(nacre_key_from_line(nacre_span_of(KEY_3), &key_3, NULL), 0);
	return 0;
}

static int
group_teardown(void **state)
{
	char inner[64];

	(void)state;
	nacre_key_free(key_1);
	nacre_key_free(key_2);
	nacre_key_free(key_3);
	unlink(path);
	unlink(old_path);
	snprintf(inner, sizeof inner, "%s/ssh", folder);
	rmdir(inner);
	return rmdir(folder);
}

static void
write_file(const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	fclose(file);
}

static void
assert_file(const char *name, const char *text)
{
	char content[4096] = "";
	FILE *file = fopen(name, "r");

	assert_non_null(file);
	content[fread(content, 1, sizeof content - 1, file)] = '\0';
	fclose(file);
	assert_string_equal(content, text);
}

static struct nacre_known_hosts *
look_up(const char *text, const char *name, const char *address)
{
	struct nacre_known_hosts *known;

	assert_int_equal(nacre_known_hosts_new(&known), 0);
	assert_int_equal(
	    nacre_known_hosts_load_text(known, nacre_span_of(text), "file", name, address), 0);
	return known;
}

static void
makes_names(void **state)
{
	char *name = nacre_known_hosts_name("Host.Example", 22);

	(void)state;
	assert_string_equal(name, "host.example");
	free(name);
	name = nacre_known_hosts_name("::1", 2222);
	assert_string_equal(name, "[::1]:2222");
	free(name);
}

static void
finds_lines(void **state)
{
	static const char text[] = "# comment\n\nother " KEY_1 "\n"
				   "Host.example.com,192.0.2.1 " KEY_1 " a comment\n"
				   "*.example.com,!host.example.com " KEY_2 "\n"
				   "host.example.com ssh-future AAAA\n"
				   "host.example.com ssh-ed25519 damaged\n"
				   "broken\n"
				   "@unknown host.example.com " KEY_2 "\n" HASHED " " KEY_3 "\r\n";
	const struct nacre_known_host *found;
	struct nacre_known_hosts *known = look_up(text, "host.example.com", NULL);

	(void)state;
	assert_int_equal(known->count, 3);
	assert_int_equal(known->hosts[0].line, 4);
	assert_string_equal(known->hosts[0].comment, "a comment");
	assert_string_equal(known->hosts[1].key_format, "ssh-future");
	assert_null(known->hosts[1].key);
	assert_true(known->hosts[2].hashed);
	assert_int_equal(nacre_known_hosts_check(known, key_1, NULL, false, &found), NACRE_HOST_OK);
	assert_int_equal(found->line, 4);
	assert_int_equal(nacre_known_hosts_check(known, key_3, NULL, false, &found), NACRE_HOST_OK);
	assert_int_equal(
	    nacre_known_hosts_check(known, key_2, NULL, false, &found), NACRE_HOST_CHANGED);
	assert_int_equal(found->line, 4);
	assert_true(nacre_known_hosts_has(known, nacre_span_of("ssh-ed25519")));
	assert_false(nacre_known_hosts_has(known, nacre_span_of("ssh-rsa")));
	nacre_known_hosts_free(known);
	known = look_up(text, "unheard.of", "192.0.2.1");
	assert_int_equal(known->count, 1);
	assert_true(known->hosts[0].by_address);
	assert_int_equal(
	    nacre_known_hosts_check(known, key_1, NULL, false, &found), NACRE_HOST_NEW);
	assert_null(found);
	assert_int_equal(nacre_known_hosts_check(known, key_1, NULL, true, &found), NACRE_HOST_OK);
	nacre_known_hosts_free(known);
}

static void
heeds_markers(void **state)
{
	static const char text[] = "@cert-authority *.example.com " KEY_1 "\n"
				   "@revoked * " KEY_2 "\n"
				   "a.example.com " KEY_2 "\n";
	struct nacre_known_hosts *known = look_up(text, "a.example.com", NULL);

	(void)state;
	assert_true(nacre_known_hosts_has_authority(known));
	assert_int_equal(
	    nacre_known_hosts_check(known, key_2, NULL, false, NULL), NACRE_HOST_REVOKED);
	assert_int_equal(nacre_known_hosts_check(known, key_3, key_1, false, NULL), NACRE_HOST_OK);
	assert_int_equal(
	    nacre_known_hosts_check(known, key_3, key_2, false, NULL), NACRE_HOST_REVOKED);
	assert_int_equal(nacre_known_hosts_check(known, key_1, key_3, false, NULL), NACRE_HOST_NEW);
	/* An authority's key is no host key. */
	assert_int_not_equal(
	    nacre_known_hosts_check(known, key_1, NULL, false, NULL), NACRE_HOST_OK);
	nacre_known_hosts_free(known);
}

static void
treats_ports_apart(void **state)
{
	static const char text[] = "[host]:2222 " KEY_1 "\nhost " KEY_2 "\n";
	struct nacre_known_hosts *known = look_up(text, "[host]:2222", NULL);

	(void)state;
	assert_int_equal(nacre_known_hosts_check(known, key_1, NULL, false, NULL), NACRE_HOST_OK);
	assert_int_equal(nacre_known_hosts_check(known, key_2, NULL, false, NULL), NACRE_HOST_OK);
	assert_int_equal(
	    nacre_known_hosts_check(known, key_3, NULL, false, NULL), NACRE_HOST_CHANGED);
	nacre_known_hosts_free(known);
	known = look_up("host " KEY_2 "\n", "[host]:2222", NULL);
	assert_int_equal(nacre_known_hosts_check(known, key_1, NULL, false, NULL), NACRE_HOST_NEW);
	nacre_known_hosts_free(known);
	known = look_up(text, "host", NULL);
	assert_int_equal(known->count, 1);
	nacre_known_hosts_free(known);
}

static void
appends_lines(void **state)
{
	struct nacre_known_hosts *known;
	struct stat status;

	(void)state;
	assert_int_equal(nacre_known_hosts_append(path, "host,192.0.2.1", key_1, false), 0);
	assert_file(path, "host,192.0.2.1 " KEY_1 "\n");
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	write_file("last without end");
	assert_int_equal(nacre_known_hosts_append(path, "host", key_2, false), 0);
	assert_file(path, "last without end\nhost " KEY_2 "\n");
	write_file("");
	assert_int_equal(nacre_known_hosts_append(path, "host,192.0.2.1", key_3, true), 0);
	assert_int_equal(nacre_known_hosts_new(&known), 0);
	assert_int_equal(nacre_known_hosts_load(known, path, "host", "192.0.2.1"), 0);
	assert_int_equal(known->count, 2);
	assert_true(known->hosts[0].hashed && known->hosts[1].by_address);
	nacre_known_hosts_free(known);
	assert_int_equal(
	    nacre_known_hosts_append("/nonexistent/x/y", "host", key_1, false), NACRE_ERROR_SYSTEM);
}

static void
replaces_keys(void **state)
{
	struct nacre_key *const drop[] = {key_1}, *const add[] = {key_3};

	(void)state;
	write_file("# kept\nhost " KEY_1 "\nhost " KEY_2 "\nother " KEY_1 "\n");
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(nacre_known_hosts_replace(path, "host", drop, 1, add, 1, false), 0);
	assert_file(path, "# kept\nhost " KEY_2 "\nother " KEY_1 "\nhost " KEY_3 "\n");
	assert_int_equal(chmod(path, 0600), 0);
}

/* Runs a job and compares both outputs. */
static void
assert_job(int (*job_run)(
	       const struct nacre_known_hosts_job *, struct nacre_buffer *, struct nacre_buffer *),
    const struct nacre_known_hosts_job *job, int result, const char *out_text,
    const char *message_text)
{
	struct nacre_buffer out = {0}, messages = {0};

	assert_int_equal(job_run(job, &out, &messages), result);
	nacre_put_byte(&out, 0);
	nacre_put_byte(&messages, 0);
	assert_string_equal((const char *)out.data, out_text);
	assert_string_equal((const char *)messages.data, message_text);
	nacre_buffer_free(&out);
	nacre_buffer_free(&messages);
}

static void
finds_and_removes(void **state)
{
	static const char text[] = "foo " KEY_1 " c1\n@revoked * " KEY_2 "\n*.x.com " KEY_3 "\n";
	struct nacre_known_hosts_job job = {.file = path, .name = "FOO"};
	char out[512];

	(void)state;
	write_file(text);
	assert_job(nacre_known_hosts_find, &job, 0,
	    "# Host FOO found: line 1 \nfoo " KEY_1 " c1\n"
	    "# Host FOO found: line 2 REVOKED\n@revoked * " KEY_2 "\n",
	    "");
	job.fingerprints = true;
	job.name = "a.x.com";
	assert_job(nacre_known_hosts_find, &job, 0,
	    "# Host a.x.com found: line 2 REVOKED\n"
	    "a.x.com ED25519 SHA256:ZUAopO1Mh8a53LvWBTEtyUiP+BwTYr0Di6A8PD7nJeU\n"
	    "# Host a.x.com found: line 3 \n"
	    "a.x.com ED25519 SHA256:msHDaJhkRTMa4b9mDPBKs/QRoKolGfk+YcX2723+0cA\n",
	    "");
	job.name = "foo";
	snprintf(out, sizeof out,
	    "# Host foo found: line 1\n%s updated.\nOriginal contents retained as %s.old\n", path,
	    path);
	assert_job(nacre_known_hosts_remove, &job, 0, out, "");
	assert_file(path, "@revoked * " KEY_2 "\n*.x.com " KEY_3 "\n");
	assert_file(old_path, text);
	snprintf(out, sizeof out, "Host foo not found in %s\n", path);
	assert_job(nacre_known_hosts_remove, &job, 0, "", out);
	write_file("other " KEY_1 "\n");
	assert_job(nacre_known_hosts_find, &job, NACRE_ERROR_NOT_FOUND, "", "");
}

static void
keeps_a_damaged_file(void **state)
{
	const struct nacre_known_hosts_job job = {.file = path, .name = "foo"};
	char messages[512];

	(void)state;
	write_file("foo " KEY_1 "\nbad line\n");
	snprintf(messages, sizeof messages,
	    "%s:2: invalid line\n%s is not a valid known_hosts file.\n"
	    "Not replacing existing known_hosts file because of errors\n",
	    path, path);
	assert_job(nacre_known_hosts_remove, &job, NACRE_ERROR_FORMAT, "# Host foo found: line 1\n",
	    messages);
	assert_file(path, "foo " KEY_1 "\nbad line\n");
}

static void
hashes_names(void **state)
{
	const struct nacre_known_hosts_job job = {.file = path};
	struct nacre_known_hosts *known;
	char out[512], messages[512];

	(void)state;
	write_file("# c\nfoo,bar " KEY_1 " c1\n*.x.com " KEY_2 "\n@cert-authority ca " KEY_3 "\n");
	snprintf(
	    out, sizeof out, "%s updated.\nOriginal contents retained as %s.old\n", path, path);
	snprintf(messages, sizeof messages,
	    "%s:3: ignoring host name with wildcard: *.x.com\n"
	    "WARNING: %s.old contains unhashed entries\n"
	    "Delete this file to ensure privacy of hostnames\n",
	    path, path);
	assert_job(nacre_known_hosts_hash, &job, 0, out, messages);
	assert_int_equal(nacre_known_hosts_new(&known), 0);
	assert_int_equal(nacre_known_hosts_load(known, path, "bar", NULL), 0);
	assert_int_equal(known->count, 1);
	assert_int_equal(known->hosts[0].line, 3);
	assert_true(known->hosts[0].hashed);
	assert_string_equal(known->hosts[0].comment, "c1");
	nacre_known_hosts_free(known);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(makes_names),
	    cmocka_unit_test(finds_lines),
	    cmocka_unit_test(heeds_markers),
	    cmocka_unit_test(treats_ports_apart),
	    cmocka_unit_test(appends_lines),
	    cmocka_unit_test(replaces_keys),
	    cmocka_unit_test(finds_and_removes),
	    cmocka_unit_test(keeps_a_damaged_file),
	    cmocka_unit_test(hashes_names),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
