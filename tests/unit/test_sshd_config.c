/* sshd_config: defaults, Match for a connection, mistakes. (What -T prints is compared with OpenSSH
 * in tests/interop/test_config.py.) */
#include <nacre/session.h>
#include <nacre/sshd_config.h>

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/nacre-test-XXXXXX";

static int
group_setup(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int
group_teardown(void **state)
{
	(void)state;
	return unlink(path);
}

static int
load(struct nacre_sshd_config **config, const char *option, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(nacre_sshd_config_new(config), 0);
	if (option != NULL)
		assert_int_equal(nacre_sshd_config_set(*config, option, "command-line", 0), 0);
	return nacre_sshd_config_load(*config, path, NULL);
}

static bool
contains(struct nacre_buffer *buffer, const char *text)
{
	nacre_put_byte(buffer, 0);
	return strstr((const char *)nacre_buffer_span(buffer).data, text) != NULL;
}

static void
has_defaults(void **state)
{
	struct nacre_sshd_config *config;

	(void)state;
	assert_int_equal(load(&config, NULL, ""), 0);
	assert_int_equal(config->listen_address_count, 1);
	assert_null(config->listen_addresses[0].host);
	assert_int_equal(config->listen_addresses[0].port, 22);
	assert_int_equal(config->host_key.count, 3);
	assert_int_equal(config->permit_root_login, NACRE_ROOT_PROHIBIT_PASSWORD);
	assert_int_equal(config->login_grace_time, 120);
	assert_int_equal(config->max_startups_begin, 10);
	assert_int_equal(config->per_source_max_startups, INT_MAX);
	assert_int_equal(config->allow_tcp_forwarding, NACRE_FORWARD_ALL);
	assert_int_equal(config->authentication_methods.count, 0);
	assert_int_equal(config->permit_open.count, 0);
	assert_true(config->per_source_penalties.enabled);
	assert_int_equal(config->per_source_penalties.crash, 90);
	assert_string_equal(config->pam_service_name, "sshd");
	assert_false(config->use_pam);
	assert_null(config->banner);
	assert_false(nacre_sshd_config_has_match(config));
	nacre_sshd_config_free(config);
}

static void
listens_where_it_is_told(void **state)
{
	struct nacre_sshd_config *config;

	(void)state;
	assert_int_equal(load(&config, "Port 1022",
			     "Port 22\nListenAddress 192.0.2.1\nListenAddress [2001:db8::1]:99\n"),
	    0);
	assert_int_equal(config->listen_address_count, 3);
	assert_string_equal(config->listen_addresses[0].host, "192.0.2.1");
	assert_int_equal(config->listen_addresses[0].port, 1022);
	assert_int_equal(config->listen_addresses[1].port, 22);
	assert_string_equal(config->listen_addresses[2].host, "2001:db8::1");
	assert_int_equal(config->listen_addresses[2].port, 99);
	nacre_sshd_config_free(config);
}

static const char match_text[] = "PasswordAuthentication yes\n"
				 "AcceptEnv LANG\n"
				 "AllowUsers a b\n"
				 "Subsystem sftp internal-sftp\n"
				 "ChannelTimeout session:*=5m x11-connection=0\n"
				 "Match User joe,!jane Address 192.0.2.0/24\n"
				 "  PasswordAuthentication no\n"
				 "  AcceptEnv FOO BAR\n"
				 "  PermitTTY no\n"
				 "Match Group wheel\n"
				 "  PasswordAuthentication yes\n"
				 "  Banner /wheel\n"
				 "Match LocalPort 2222\n"
				 "  Banner /port\n"
				 "  MaxSessions 3\n"
				 "Match invalid-user\n"
				 "  MaxAuthTries 1\n"
				 "Match version Nacre_*\n"
				 "  X11DisplayOffset 99\n"
				 "Match all\n"
				 "  AllowUsers c\n";

static void
applies_match(void **state)
{
	static const char *const groups[] = {"users", "wheel"};
	const struct nacre_connection_spec joe = {.user = "joe",
	    .groups = groups,
	    .group_count = 2,
	    .address = "192.0.2.9",
	    .host = "192.0.2.9",
	    .local_port = 2222,
	    .version = "Nacre_1"};
	const struct nacre_connection_spec nobody = {.user = "nobody-here",
	    .invalid_user = true,
	    .groups = groups,
	    .address = "198.51.100.1",
	    .host = "198.51.100.1",
	    .local_port = 22};
	struct nacre_sshd_config *config, *matched;

	(void)state;
	assert_int_equal(load(&config, NULL, match_text), 0);
	assert_true(nacre_sshd_config_has_match(config));
	assert_true(config->permit_tty);
	assert_int_equal(config->allow_users.count, 2);
	assert_int_equal(nacre_sshd_config_match(config, &joe, &matched), 0);
	assert_false(matched->password_authentication);
	assert_false(matched->permit_tty);
	assert_int_equal(matched->accept_env.count, 2);
	assert_string_equal(matched->accept_env.words[0], "FOO");
	assert_string_equal(matched->banner, "/wheel");
	assert_int_equal(matched->max_sessions, 3);
	assert_int_equal(matched->max_auth_tries, 6);
	assert_int_equal(matched->x11_display_offset, 99);
	assert_int_equal(matched->allow_users.count, 1);
	assert_string_equal(matched->allow_users.words[0], "c");
	nacre_sshd_config_free(matched);
	assert_int_equal(nacre_sshd_config_match(config, &nobody, &matched), 0);
	/* A configuration stands alone. */
	nacre_sshd_config_free(config);
	assert_true(matched->password_authentication);
	assert_null(matched->banner);
	assert_int_equal(matched->max_auth_tries, 1);
	assert_int_equal(matched->accept_env.count, 1);
	assert_string_equal(
	    nacre_sshd_config_subsystem(matched, nacre_span_of("sftp")), "internal-sftp");
	assert_null(nacre_sshd_config_subsystem(matched, nacre_span_of("sft")));
	assert_int_equal(
	    nacre_sshd_config_channel_timeout(matched, nacre_span_of("session:shell")), 300);
	assert_int_equal(
	    nacre_sshd_config_channel_timeout(matched, nacre_span_of("direct-tcpip")), 0);
	nacre_sshd_config_free(matched);
}

static void
reads_test_specifications(void **state)
{
	struct nacre_connection_spec connection = {.local_port = -1};
	struct nacre_sshd_config *config, *matched;

	(void)state;
	assert_int_equal(load(&config, NULL, match_text), 0);
	assert_int_equal(
	    nacre_connection_spec_parse(config, "user=joe,addr=192.0.2.1", &connection), 0);
	assert_string_equal(connection.user, "joe");
	assert_int_equal(
	    nacre_sshd_config_match(config, &connection, &matched), NACRE_ERROR_FORMAT);
	assert_true(contains(&matched->error, "'Match LocalPort' in configuration but 'lport' not "
					      "in connection test specification."));
	nacre_sshd_config_free(matched);
	assert_int_equal(
	    nacre_connection_spec_parse(config, "lport=22,invalid-user", &connection), 0);
	assert_int_equal(nacre_sshd_config_match(config, &connection, &matched), 0);
	assert_int_equal(matched->max_auth_tries, 1);
	nacre_sshd_config_free(matched);
	assert_int_equal(
	    nacre_connection_spec_parse(config, "lport=x", &connection), NACRE_ERROR_FORMAT);
	assert_int_equal(
	    nacre_connection_spec_parse(config, "bogus=1", &connection), NACRE_ERROR_FORMAT);
	assert_true(contains(&config->error, "Invalid test mode specification bogus=1"));
	nacre_sshd_config_free(config);
}

static void
finds_all_mistakes(void **state)
{
	struct nacre_sshd_config *config;

	(void)state;
	assert_int_equal(load(&config, NULL,
			     "Port x\nBogus 1\nMatch User a\n Port 3\n MaxSessions y\n"
			     "Match Address 1.2.3.4/8\n"),
	    NACRE_ERROR_FORMAT);
	assert_true(contains(&config->error, " line 1: Badly formatted port number.\n"));
	assert_true(contains(&config->error, ": line 2: Bad configuration option: Bogus\n"));
	assert_true(contains(
	    &config->error, " line 4: Directive 'Port' is not allowed within a Match block\n"));
	assert_true(contains(&config->error, " line 5: MaxSessions integer value invalid.\n"));
	assert_true(contains(&config->error, "Invalid Match address argument '1.2.3.4/8'"));
	assert_true(contains(&config->error, ": terminating, 5 bad configuration options\n"));
	nacre_sshd_config_free(config);
	assert_int_equal(load(&config, NULL, "AuthorizedKeysCommand /x\n"), NACRE_ERROR_FORMAT);
	assert_true(contains(
	    &config->error, "AuthorizedKeysCommand set without AuthorizedKeysCommandUser"));
	nacre_sshd_config_free(config);
	assert_int_equal(load(&config, NULL, "RDomain x\n"), NACRE_ERROR_FORMAT);
	nacre_sshd_config_free(config);
}

static void
warns_of_what_has_no_effect(void **state)
{
	struct nacre_sshd_config *config;

	(void)state;
	assert_int_equal(load(&config, NULL,
			     "UsePrivilegeSeparation yes\nKerberosAuthentication no\nProtocol 2\n"),
	    0);
	assert_true(
	    contains(&config->warnings, "line 1: Deprecated option UsePrivilegeSeparation\n"));
	assert_false(contains(&config->warnings, "Kerberos"));
	nacre_sshd_config_free(config);
	assert_int_not_equal(load(&config, NULL, "Port 22\nGSSAPIAuthentication yes\n"), 0);
	assert_true(contains(&config->error, "line 2: GSSAPIAuthentication yes is not supported"));
	nacre_sshd_config_free(config);
}

static void
reads_penalties(void **state)
{
	struct nacre_sshd_config *config;

	(void)state;
	assert_int_equal(
	    load(&config, NULL,
		"PerSourcePenalties crash:1h authfail:7 max-sources4:9 overflow:deny-all\n"
		"PerSourcePenaltyExemptList 192.0.2.0/24,2001:db8::1\n"),
	    0);
	assert_int_equal(config->per_source_penalties.crash, 3600);
	assert_int_equal(config->per_source_penalties.authfail, 7);
	assert_int_equal(config->per_source_penalties.max_sources4, 9);
	assert_true(config->per_source_penalties.overflow_deny_all);
	assert_true(config->per_source_penalties.overflow6_deny_all); /* as overflow */
	assert_int_equal(config->per_source_penalties.noauth, 1);
	nacre_sshd_config_free(config);
	assert_int_equal(load(&config, NULL, "PerSourcePenalties no\n"), 0);
	assert_false(config->per_source_penalties.enabled);
	nacre_sshd_config_free(config);
	assert_int_equal(load(&config, NULL, "PerSourcePenalties crash:x\n"), NACRE_ERROR_FORMAT);
	nacre_sshd_config_free(config);
	assert_int_equal(
	    load(&config, NULL, "PerSourcePenaltyExemptList 192.0.2.*\n"), NACRE_ERROR_FORMAT);
	nacre_sshd_config_free(config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(has_defaults),
	    cmocka_unit_test(listens_where_it_is_told),
	    cmocka_unit_test(applies_match),
	    cmocka_unit_test(reads_test_specifications),
	    cmocka_unit_test(finds_all_mistakes),
	    cmocka_unit_test(warns_of_what_has_no_effect),
	    cmocka_unit_test(reads_penalties),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
