/* ssh_config: which value wins, what a host gets, what is refused. (What -G prints is compared with
 * OpenSSH in tests/interop/test_config.py.) */
#include <nacre/session.h>
#include <nacre/ssh_config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/nacre-test-XXXXXX";
static char home_config[64], system_config[64];

static void
write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int
group_setup(void **state)
{
	char path[64];

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/.ssh", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(home_config, sizeof home_config, "%s/.ssh/config", folder);
	snprintf(system_config, sizeof system_config, "%s/system", folder);
	return 0;
}

static int
group_teardown(void **state)
{
	char path[64];

	(void)state;
	unlink(home_config);
	unlink(system_config);
	snprintf(path, sizeof path, "%s/.ssh", folder);
	rmdir(path);
	return rmdir(folder);
}

static int
load(struct nacre_ssh_config **config, const char *option, const char *user_text,
    const char *system_text, const char *host)
{
	struct nacre_ssh_config_request request = {.host = host,
	    .home = folder,
	    .local_user = "me",
	    .session_type = "shell",
	    .version = "Nacre_1",
	    .system_file = system_config};

	write_file(home_config, user_text);
	write_file(system_config, system_text);
	assert_int_equal(nacre_ssh_config_new(config), 0);
	if (option != NULL)
		assert_int_equal(nacre_ssh_config_set(*config, option, "command-line", 0), 0);
	return nacre_ssh_config_load(*config, &request);
}

static bool
error_contains(struct nacre_ssh_config *config, const char *text)
{
	nacre_put_byte(&config->error, 0);
	return strstr((const char *)nacre_buffer_span(&config->error).data, text) != NULL;
}

static void
has_defaults(void **state)
{
	struct nacre_ssh_config *config;

	(void)state;
	assert_int_equal(load(&config, NULL, "", "", "Host.Example"), 0);
	assert_string_equal(config->host, "Host.Example");
	assert_string_equal(config->hostname, "host.example");
	assert_int_equal(config->port, 22);
	assert_string_equal(config->user, "me");
	assert_int_equal(config->strict_host_key_checking, NACRE_ASK);
	assert_int_equal(config->update_host_keys, NACRE_YES);
	assert_int_equal(config->log_level, NACRE_LOG_INFO);
	assert_int_equal(config->escape_char, '~');
	assert_int_equal(config->connect_timeout, -1);
	assert_int_equal(config->user_known_hosts_file.count, 2);
	assert_string_equal(config->identity_file.words[0], "~/.ssh/id_rsa");
	assert_null(config->proxy_command);
	assert_null(config->ciphers);
	assert_false(nacre_ssh_config_is_set(config, "port"));
	nacre_ssh_config_free(config);
}

static void
takes_the_first_value(void **state)
{
	struct nacre_ssh_config *config;

	(void)state;
	assert_int_equal(load(&config, "Port=1",
			     "Host h\n Port 2\n User u\n IdentityFile a\nHost *\n User v\n"
			     "IdentityFile b\nIdentityFile a\n",
			     "User w\nCompression yes\nIdentityFile c\n", "h"),
	    0);
	assert_int_equal(config->port, 1);
	assert_string_equal(config->user, "u");
	assert_true(config->compression);
	assert_int_equal(config->identity_file.count, 3);
	assert_string_equal(config->identity_file.words[2], "c");
	assert_true(nacre_ssh_config_is_set(config, "PORT"));
	nacre_ssh_config_free(config);
}

static void
evaluates_match(void **state)
{
	struct nacre_ssh_config *config;

	(void)state;
	assert_int_equal(load(&config, NULL,
			     "Tag work\n"
			     "Match tagged work,home\n Port 7\n"
			     "Match sessiontype exec\n User wrong\n"
			     "Match version Nacre_* sessiontype shell\n Compression yes\n"
			     "Match command \"\"\n User quiet\n"
			     "Match exec \"test %u-%p = me-7\"\n BatchMode yes\n"
			     "Match localnetwork 203.0.113.0/24\n User wrong\n"
			     "Match final\n HostKeyAlias last\n",
			     "", "h"),
	    0);
	assert_int_equal(config->port, 7);
	assert_true(config->compression);
	assert_true(config->batch_mode);
	assert_string_equal(config->user, "quiet");
	assert_string_equal(config->host_key_alias, "last");
	nacre_ssh_config_free(config);
}

static int
canonical_name(struct nacre_ssh_config *config, char **name)
{
	assert_string_equal(config->hostname, "h");
	assert_int_equal(config->canonicalize_max_dots, 1);
	assert_true(config->canonicalize_fallback_local);
	*name = strdup("H.example.com");
	return 0;
}

static void
reads_again_for_a_canonical_name(void **state)
{
	const struct nacre_ssh_config_request request = {.host = "h",
	    .home = folder,
	    .local_user = "me",
	    .system_file = system_config,
	    .canonicalize = canonical_name};
	struct nacre_ssh_config *config;

	(void)state;
	write_file(home_config, "Host h\n User first\nHost h.example.com\n User second\n Port 9\n"
				" IdentityFile x\nMatch canonical\n Compression yes\n"
				"Match all\n ControlPath /%%%h\n LocalForward /a%%b /%h\n"
				" CanonicalizeHostname yes\n");
	write_file(system_config, "");
	assert_int_equal(nacre_ssh_config_new(&config), 0);
	assert_int_equal(nacre_ssh_config_load(config, &request), 0);
	assert_string_equal(config->hostname, "h.example.com");
	assert_string_equal(config->user, "first");
	assert_int_equal(config->port, 9);
	assert_true(config->compression);
	assert_int_equal(config->identity_file.count, 1);
	assert_string_equal(config->control_path, "/%h.example.com");
	assert_int_equal(config->local_forward.count, 1);
	assert_string_equal(config->local_forward.forwards[0].listen.path, "/a%b");
	assert_string_equal(config->local_forward.forwards[0].connect.path, "/h.example.com");
	nacre_ssh_config_free(config);
}

static void
says_file_and_line(void **state)
{
	char expected[320];
	struct nacre_ssh_config *config;

	(void)state;
	assert_int_equal(load(&config, NULL, "\n\nPort x\nFoo 1\n", "", "h"), NACRE_ERROR_FORMAT);
	snprintf(expected, sizeof expected,
	    "%s line 3: Bad port 'x'.\n%s: line 4: Bad configuration option: foo\n"
	    "%s: terminating, 2 bad configuration options\n",
	    home_config, home_config, home_config);
	assert_true(error_contains(config, expected));
	nacre_ssh_config_free(config);
}

static void
refuses_a_file_that_others_may_write(void **state)
{
	struct nacre_ssh_config *config;
	int error;

	(void)state;
	write_file(home_config, "");
	assert_int_equal(chmod(home_config, 0666), 0);
	error = load(&config, NULL, "", "", "h");
	assert_int_equal(chmod(home_config, 0600), 0);
	assert_int_equal(error, NACRE_ERROR_PERMISSION);
	assert_true(error_contains(config, "Bad owner or permissions on "));
	nacre_ssh_config_free(config);
}

static void
bounds_include(void **state)
{
	struct nacre_ssh_config *config;

	(void)state;
	assert_int_equal(load(&config, NULL, "Include config\n", "", "h"), NACRE_ERROR_FORMAT);
	assert_true(error_contains(config, "Too many recursive configuration includes"));
	nacre_ssh_config_free(config);
}

static void
refuses_what_it_cannot_do(void **state)
{
	struct nacre_ssh_config *config;

	(void)state;
	assert_int_equal(load(&config, NULL,
			     "Host other\n Tunnel yes\nHost *\n Tunnel no\n"
			     "GSSAPIAuthentication yes\nHashKnownHosts yes\n",
			     "", "h"),
	    0);
	assert_int_equal(nacre_ssh_config_check(config), 0);
	nacre_ssh_config_free(config);
	assert_int_equal(load(&config, NULL, "\nTunnel yes\n", "", "h"), 0);
	if (nacre_ssh_config_check(config) != 0) {
		assert_true(error_contains(config, "config line 2: Tunnel is not supported"));
	}
	nacre_ssh_config_free(config);
}

static void
expands_values(void **state)
{
	const struct nacre_token more[] = {{'T', "tun0"}};
	struct nacre_ssh_config *config;
	char *text;

	(void)state;
	assert_int_equal(
	    load(&config, NULL,
		"Hostname %h.example\nUser you\nPort 7\nControlPath ~/%r@%h:%p-%n\n"
		"ProxyJump j1,me@[::1]:22\nSetEnv A=1 A=2 B=3\nSendEnv X Y\nSendEnv -Y\n",
		"", "h"),
	    0);
	assert_string_equal(config->hostname, "h.example");
	assert_string_equal(strrchr(config->control_path, '/'), "/you@h.example:7-h");
	assert_string_equal(config->proxy_jump, "j1,me@[::1]:22");
	assert_int_equal(config->set_env.count, 2);
	assert_int_equal(config->send_env.count, 1);
	text = nacre_ssh_config_expand(config, "LocalCommand", "x %T %j", more, 1);
	assert_string_equal(text, "x tun0 j1,me@[::1]:22");
	free(text);
	assert_null(nacre_ssh_config_expand(config, "ProxyCommand", "%d", NULL, 0));
	assert_true(error_contains(config, "unknown key %d"));
	nacre_ssh_config_free(config);
}

/* -o takes the same road as a file. */
static void
checks_options(void **state)
{
	struct nacre_ssh_config *config;

	(void)state;
	assert_int_equal(nacre_ssh_config_new(&config), 0);
	assert_int_equal(
	    nacre_ssh_config_set(config, "Port x", "command-line", 0), NACRE_ERROR_FORMAT);
	assert_int_equal(
	    nacre_ssh_config_set(config, "Bogus=1", "command-line", 0), NACRE_ERROR_FORMAT);
	assert_int_equal(nacre_ssh_config_set(config, "", "command-line", 0), 0);
	assert_true(
	    error_contains(config, "command-line line 0: Bad port 'x'.\n"
				   "command-line: line 0: Bad configuration option: bogus\n"));
	nacre_ssh_config_free(config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(has_defaults),
	    cmocka_unit_test(takes_the_first_value),
	    cmocka_unit_test(evaluates_match),
	    cmocka_unit_test(reads_again_for_a_canonical_name),
	    cmocka_unit_test(says_file_and_line),
	    cmocka_unit_test(refuses_a_file_that_others_may_write),
	    cmocka_unit_test(bounds_include),
	    cmocka_unit_test(refuses_what_it_cannot_do),
	    cmocka_unit_test(expands_values),
	    cmocka_unit_test(checks_options),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
