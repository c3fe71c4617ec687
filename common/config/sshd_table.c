/*
 * The keywords of sshd_config(5), in the order in which sshd -T prints them.
 */
#include "sshd_private.h"
#include "sshd_values.h"

#include <stddef.h>

#define AT(member) offsetof(struct nacre_sshd_config, member)

static const struct choice choices_permit_root[] = {
    {"without-password", NACRE_ROOT_PROHIBIT_PASSWORD},
    {"prohibit-password", NACRE_ROOT_PROHIBIT_PASSWORD},
    {"forced-commands-only", NACRE_ROOT_FORCED_COMMANDS_ONLY}, {"yes", NACRE_ROOT_YES},
    {"no", NACRE_ROOT_NO}, {NULL, 0}};
static const struct choice choices_rhosts[] = {{"yes", NACRE_RHOSTS_YES}, {"no", NACRE_RHOSTS_NO},
    {"shosts-only", NACRE_RHOSTS_SHOSTS}, {NULL, 0}};
static const struct choice choices_server_compression[] = {
    {"yes", 1}, {"delayed", 1}, {"no", 0}, {NULL, 0}};
static const struct choice choices_gateway[] = {{"clientspecified", NACRE_GATEWAY_CLIENT},
    {"yes", NACRE_GATEWAY_YES}, {"no", NACRE_GATEWAY_NO}, {NULL, 0}};
static const struct choice choices_forwarding[] = {{"yes", NACRE_FORWARD_ALL},
    {"all", NACRE_FORWARD_ALL}, {"no", NACRE_FORWARD_NO}, {"remote", NACRE_FORWARD_REMOTE},
    {"local", NACRE_FORWARD_LOCAL}, {NULL, 0}};
static const struct choice choices_strictly_yes_no[] = {{"yes", 1}, {"no", 0}, {NULL, 0}};

enum {
	MATCH = KEYWORD_IN_MATCH,
	PRINT_NONE = KEYWORD_NONE | KEYWORD_PRINT_NONE,
	FROM_HERE = KEYWORD_FROM_HERE,
	TILDE = KEYWORD_TILDE,
	ONE_FILE = KEYWORD_APPENDS | KEYWORD_FROM_HERE | KEYWORD_UNIQUE | KEYWORD_NONE,
	APPENDS = KEYWORD_APPENDS
};

#define HOST_KEYS                                              \
	NACRE_SYSCONFDIR "/ssh_host_rsa_key " NACRE_SYSCONFDIR \
			 "/ssh_host_ecdsa_key " NACRE_SYSCONFDIR "/ssh_host_ed25519_key"

/* clang-format off */
const struct keyword sshd_keywords[] = {
/*	name				type			member				second / details / flags		default */
{"Port",				&value_ports,		AT(port),			0, NULL, APPENDS,			"22",			NULL},
{"AddressFamily",			&value_choice,		AT(address_family),		0, choices_address_family, 0,		"any",			NULL},
{"ListenAddress",			&value_listen_address,	0,				0, NULL, APPENDS,			NULL,			NULL},
{"UsePAM",				&value_boolean,		AT(use_pam),			0, choices_strictly_yes_no, 0,		"no",			NULL},
{"PAMServiceName",			&value_string,		AT(pam_service_name),		0, NULL, 0,				"sshd",			NULL},
{"LoginGraceTime",			&value_time,		AT(login_grace_time),		0, NULL, 0,				"120",			NULL},
{"X11DisplayOffset",			&value_integer,		AT(x11_display_offset),		0, NULL, MATCH,				"10",			NULL},
{"MaxAuthTries",			&value_integer,		AT(max_auth_tries),		0, NULL, MATCH,				"6",			NULL},
{"MaxSessions",				&value_integer,		AT(max_sessions),		0, NULL, MATCH,				"10",			NULL},
{"ClientAliveInterval",			&value_time,		AT(client_alive_interval),	0, NULL, MATCH,				"0",			NULL},
{"ClientAliveCountMax",			&value_integer,		AT(client_alive_count_max),	0, NULL, MATCH,				"3",			NULL},
{"RequiredRSASize",			&value_integer,		AT(required_rsa_size),		0, NULL, MATCH,				"1024",			NULL},
{"StreamLocalBindMask",			&value_mask,		AT(stream_local_bind_mask),	0, NULL, MATCH,				"0177",			NULL},
{"UnusedConnectionTimeout",		&value_time,		AT(unused_connection_timeout),	0, NULL, MATCH | PRINT_NONE,		"none",			NULL},
{"PermitRootLogin",			&value_choice,		AT(permit_root_login),		0, choices_permit_root, MATCH,		"prohibit-password",	NULL},
{"IgnoreRhosts",			&value_choice,		AT(ignore_rhosts),		0, choices_rhosts, MATCH,		"yes",			NULL},
{"IgnoreUserKnownHosts",		&value_boolean,		AT(ignore_user_known_hosts),	0, choices_strictly_yes_no, 0,		"no",			NULL},
{"HostbasedAuthentication",		&value_boolean,		AT(hostbased_authentication),	0, choices_strictly_yes_no, MATCH,	"no",			NULL},
{"HostbasedUsesNameFromPacketOnly",	&value_boolean,		AT(hostbased_uses_name_from_packet_only), 0, choices_strictly_yes_no, MATCH, "no",	NULL},
{"PubkeyAuthentication",		&value_boolean,		AT(pubkey_authentication),	0, choices_strictly_yes_no, MATCH,	"yes",			NULL},
{"PasswordAuthentication",		&value_boolean,		AT(password_authentication),	0, choices_strictly_yes_no, MATCH,	"yes",			NULL},
{"KbdInteractiveAuthentication",	&value_boolean,		AT(kbd_interactive_authentication), 0, choices_strictly_yes_no, MATCH, "yes",			NULL},
{"PrintMotd",				&value_boolean,		AT(print_motd),			0, choices_strictly_yes_no, 0,		"yes",			NULL},
{"PrintLastLog",			&value_boolean,		AT(print_last_log),		0, choices_strictly_yes_no, 0,		"yes",			NULL},
{"X11Forwarding",			&value_boolean,		AT(x11_forwarding),		0, choices_strictly_yes_no, MATCH,	"no",			NULL},
{"X11UseLocalhost",			&value_boolean,		AT(x11_use_localhost),		0, choices_strictly_yes_no, MATCH,	"yes",			NULL},
{"PermitTTY",				&value_boolean,		AT(permit_tty),			0, choices_strictly_yes_no, MATCH,	"yes",			NULL},
{"PermitUserRC",			&value_boolean,		AT(permit_user_rc),		0, choices_strictly_yes_no, MATCH,	"yes",			NULL},
{"StrictModes",				&value_boolean,		AT(strict_modes),		0, choices_strictly_yes_no, 0,		"yes",			NULL},
{"TCPKeepAlive",			&value_boolean,		AT(tcp_keep_alive),		0, choices_strictly_yes_no, 0,		"yes",			NULL},
{"PermitEmptyPasswords",		&value_boolean,		AT(permit_empty_passwords),	0, choices_strictly_yes_no, MATCH,	"no",			NULL},
{"Compression",				&value_boolean,		AT(compression),		0, choices_server_compression, 0,	"yes",			NULL},
{"GatewayPorts",			&value_choice,		AT(gateway_ports),		0, choices_gateway, MATCH,		"no",			NULL},
{"UseDNS",				&value_boolean,		AT(use_dns),			0, choices_strictly_yes_no, 0,		"no",			NULL},
{"AllowTcpForwarding",			&value_choice,		AT(allow_tcp_forwarding),	0, choices_forwarding, MATCH,		"yes",			NULL},
{"AllowAgentForwarding",		&value_boolean,		AT(allow_agent_forwarding),	0, choices_strictly_yes_no, MATCH,	"yes",			NULL},
{"DisableForwarding",			&value_boolean,		AT(disable_forwarding),		0, choices_strictly_yes_no, MATCH,	"no",			NULL},
{"AllowStreamLocalForwarding",		&value_choice,		AT(allow_stream_local_forwarding), 0, choices_forwarding, MATCH,	"yes",			NULL},
{"StreamLocalBindUnlink",		&value_boolean,		AT(stream_local_bind_unlink),	0, choices_strictly_yes_no, MATCH,	"no",			NULL},
{"FingerprintHash",			&value_choice,		AT(fingerprint_hash),		0, choices_fingerprint_hash, 0,		"SHA256",		NULL},
{"ExposeAuthInfo",			&value_boolean,		AT(expose_auth_info),		0, choices_strictly_yes_no, MATCH,	"no",			NULL},
{"RefuseConnection",			&value_boolean,		AT(refuse_connection),		0, choices_strictly_yes_no, MATCH,	"no",			NULL},
{"PidFile",				&value_string,		AT(pid_file),			0, NULL, PRINT_NONE | FROM_HERE,	"/run/sshd.pid",	NULL},
{"ModuliFile",				&value_string,		AT(moduli_file),		0, NULL, PRINT_NONE | FROM_HERE,	NACRE_SYSCONFDIR "/moduli", NULL},
{"XAuthLocation",			&value_string,		AT(xauth_location),		0, NULL, PRINT_NONE | FROM_HERE,		"/usr/bin/xauth",	NULL},
{"Ciphers",				&value_algorithms,	AT(ciphers),			0, &list_ciphers, 0,			NULL,			NULL},
{"MACs",				&value_algorithms,	AT(macs),			0, &list_macs, 0,			NULL,			NULL},
{"Banner",				&value_string,		AT(banner),			0, NULL, MATCH | PRINT_NONE | FROM_HERE, NULL,			NULL},
{"ForceCommand",			&value_rest,		AT(force_command),		0, NULL, MATCH | PRINT_NONE,		NULL,			NULL},
{"ChrootDirectory",			&value_string,		AT(chroot_directory),		0, NULL, MATCH | PRINT_NONE,		NULL,			NULL},
{"TrustedUserCAKeys",			&value_string,		AT(trusted_user_ca_keys),	0, NULL, MATCH | PRINT_NONE | FROM_HERE, NULL,			NULL},
{"RevokedKeys",				&value_string,		AT(revoked_keys),		0, NULL, MATCH | PRINT_NONE | FROM_HERE, NULL,			NULL},
{"SecurityKeyProvider",			&value_other_part,	AT(security_key_provider),	0, "host keys are in files or in an agent", PRINT_NONE, "internal",	NULL},
{"AuthorizedPrincipalsFile",		&value_string,		AT(authorized_principals_file),	0, NULL, MATCH | PRINT_NONE | TILDE,		NULL,			NULL},
{"VersionAddendum",			&value_rest,		AT(version_addendum),		0, NULL, PRINT_NONE,			NULL,			NULL},
{"AuthorizedKeysCommand",		&value_rest,		AT(authorized_keys_command),	0, NULL, MATCH | PRINT_NONE | KEYWORD_ABSOLUTE, NULL,		NULL},
{"AuthorizedKeysCommandUser",		&value_string,		AT(authorized_keys_command_user), 0, NULL, MATCH | PRINT_NONE,		NULL,			NULL},
{"AuthorizedPrincipalsCommand",		&value_rest,		AT(authorized_principals_command), 0, NULL, MATCH | PRINT_NONE | KEYWORD_ABSOLUTE, NULL,	NULL},
{"AuthorizedPrincipalsCommandUser",	&value_string,		AT(authorized_principals_command_user), 0, NULL, MATCH | PRINT_NONE,	NULL,			NULL},
{"HostKeyAgent",			&value_string,		AT(host_key_agent),		0, NULL, PRINT_NONE | TILDE,			NULL,			NULL},
{"KexAlgorithms",			&value_algorithms,	AT(kex_algorithms),		0, &list_kex, 0,			NULL,			NULL},
{"CASignatureAlgorithms",		&value_algorithms,	AT(ca_signature_algorithms),	0, &list_ca_signatures, MATCH,		NULL,			NULL},
{"HostbasedAcceptedAlgorithms",		&value_algorithms,	AT(hostbased_accepted_algorithms), 0, &list_hostbased, MATCH,		NULL,			NULL},
{"HostKeyAlgorithms",			&value_algorithms,	AT(host_key_algorithms),	0, &list_host_keys, 0,			NULL,			NULL},
{"PubkeyAcceptedAlgorithms",		&value_algorithms,	AT(pubkey_accepted_algorithms), 0, &list_pubkey, MATCH,		NULL,			NULL},
{"SshdSessionPath",			&value_other_part,	AT(sshd_session_path),		0, "the parts of Nacre's sshd are one program", 0, NULL,		NULL},
{"SshdAuthPath",			&value_other_part,	AT(sshd_auth_path),		0, "the parts of Nacre's sshd are one program", 0, NULL,		NULL},
{"PerSourcePenaltyExemptList",		&value_exempt,		AT(per_source_penalty_exempt_list), 0, NULL, PRINT_NONE,		NULL,			NULL},
{"LogLevel",				&value_choice,		AT(log_level),			0, choices_log_level, MATCH,		"INFO",			NULL},
{"SyslogFacility",			&value_choice,		AT(syslog_facility),		0, choices_facility, 0,			"AUTH",			NULL},
{"LogVerbose",				&value_words,		AT(log_verbose),		0, NULL, MATCH | KEYWORD_NONE | KEYWORD_ALONE,			NULL,			NULL},
{"AuthorizedKeysFile",			&value_words,		AT(authorized_keys_file),	0, NULL, MATCH | PRINT_NONE | TILDE,		".ssh/authorized_keys .ssh/authorized_keys2", NULL},
{"HostKey",				&value_files,		AT(host_key),			0, NULL, ONE_FILE,			 HOST_KEYS,	NULL},
{"HostCertificate",			&value_files,		AT(host_certificate),		0, NULL, ONE_FILE,			 NULL,		NULL},
{"AllowUsers",				&value_user_patterns,	AT(allow_users),		0, NULL, MATCH | APPENDS,		NULL,			NULL},
{"DenyUsers",				&value_user_patterns,	AT(deny_users),			0, NULL, MATCH | APPENDS,		NULL,			NULL},
{"AllowGroups",				&value_lines,		AT(allow_groups),		0, NULL, MATCH | APPENDS,		NULL,			NULL},
{"DenyGroups",				&value_lines,		AT(deny_groups),		0, NULL, MATCH | APPENDS,		NULL,			NULL},
{"AcceptEnv",				&value_accept_env,	AT(accept_env),			0, NULL, MATCH | APPENDS,		NULL,			NULL},
{"SetEnv",				&value_environment,	AT(set_env),			0, NULL, MATCH,				NULL,			NULL},
{"AuthenticationMethods",		&value_methods,		AT(authentication_methods),	0, NULL, MATCH,				NULL,			NULL},
{"ChannelTimeout",			&value_channel_timeouts, 0,				0, NULL, MATCH,				NULL,			NULL},
{"Subsystem",				&value_subsystem,	0,				0, NULL, MATCH | APPENDS,		NULL,			NULL},
{"MaxStartups",				&value_max_startups,	0,				0, NULL, 0,				"10:30:100",		NULL},
{"PerSourceMaxStartups",		&value_per_source,	AT(per_source_max_startups),	0, NULL, 0,				"none",			NULL},
{"PerSourceNetBlockSize",		&value_block_size,	AT(per_source_net_block_size4),	AT(per_source_net_block_size6), NULL, 0, "32:128",		NULL},
{"PermitTunnel",			&value_permit_tunnel,	AT(permit_tunnel),		0, NULL, MATCH,				"no",			NULL},
{"IPQoS",				&value_ipqos,		AT(ipqos_interactive),		AT(ipqos_bulk), NULL, MATCH,		"ef cs0",		NULL},
{"RekeyLimit",				&value_rekey,		AT(rekey_limit),		AT(rekey_interval), NULL, MATCH,	"default none",		NULL},
{"PermitOpen",				&value_server_open,	AT(permit_open),		0, NULL, MATCH,				NULL,			NULL},
{"PermitListen",			&value_server_listen,	AT(permit_listen),		0, NULL, MATCH,				NULL,			NULL},
{"PermitUserEnvironment",		&value_boolean_or_text, AT(permit_user_environment),	AT(permit_user_environment_list), NULL, 0, "no",		NULL},
{"PubkeyAuthOptions",			&value_pubkey_options,	AT(pubkey_auth_options),	0, NULL, MATCH,				"none",			NULL},
{"PerSourcePenalties",			&value_penalties,	AT(per_source_penalties),	0, NULL, 0,				"yes",			NULL},

/* Ours alone: printed where they are set. */
{"LogFormat",				&value_log_format,	AT(log_format),			0, choices_log_format, 0,		"text",			NULL},
{"MetricsListen",			&value_metrics_listen,	AT(metrics_listen),		0, NULL, KEYWORD_NONE,			NULL,			NULL},
{"ProxyProtocol",			&value_networks,	AT(proxy_protocol),		0, NULL, KEYWORD_NONE | KEYWORD_ALONE | APPENDS, NULL,		NULL},

/* Steering. */
{"Match",				&value_sshd_match,	0, 0, NULL, MATCH | APPENDS,	NULL, NULL},
{"Include",				&value_sshd_include,	0, 0, NULL, MATCH | APPENDS,	NULL, NULL},

/* Former names. */
{"ChallengeResponseAuthentication",	&value_alias,	0, 0, "KbdInteractiveAuthentication", 0,	NULL, NULL},
{"SkeyAuthentication",			&value_alias,	0, 0, "KbdInteractiveAuthentication", 0,	NULL, NULL},
{"DSAAuthentication",			&value_alias,	0, 0, "PubkeyAuthentication", 0,		NULL, NULL},
{"HostbasedAcceptedKeyTypes",		&value_alias,	0, 0, "HostbasedAcceptedAlgorithms", 0,		NULL, NULL},
{"HostDsaKey",				&value_alias,	0, 0, "HostKey", 0,				NULL, NULL},
{"KeepAlive",				&value_alias,	0, 0, "TCPKeepAlive", 0,			NULL, NULL},
{"PubkeyAcceptedKeyTypes",		&value_alias,	0, 0, "PubkeyAcceptedAlgorithms", 0,		NULL, NULL},

/* Obsolete: ignored, as OpenSSH does. */
{"Protocol",				&value_ignored,		0, 0, NULL, KEYWORD_QUIET,	NULL, NULL},
{"DebianBanner",			&value_ignored,		0, 0, NULL, KEYWORD_QUIET,	NULL, NULL},
{"AuthorizedKeysFile2",			&value_deprecated,	0, 0, NULL, 0,			NULL, NULL},
{"CheckMail",				&value_deprecated,	0, 0, NULL, 0,			NULL, NULL},
{"KeyRegenerationInterval",		&value_deprecated,	0, 0, NULL, 0,			NULL, NULL},
{"PAMAuthenticationViaKbdInt",		&value_deprecated,	0, 0, NULL, 0,			NULL, NULL},
{"ReverseMappingCheck",			&value_deprecated,	0, 0, NULL, 0,			NULL, NULL},
{"RhostsAuthentication",		&value_deprecated,	0, 0, NULL, 0,			NULL, NULL},
{"RhostsRSAAuthentication",		&value_deprecated,	0, 0, NULL, 0,			NULL, NULL},
{"RSAAuthentication",			&value_deprecated,	0, 0, NULL, 0,			NULL, NULL},
{"ServerKeyBits",			&value_deprecated,	0, 0, NULL, 0,			NULL, NULL},
{"UseLogin",				&value_deprecated,	0, 0, NULL, 0,			NULL, NULL},
{"UsePrivilegeSeparation",		&value_deprecated,	0, 0, NULL, 0,			NULL, NULL},
{"VerifyReverseMapping",		&value_deprecated,	0, 0, NULL, 0,			NULL, NULL},

/* Not in this program. */
{"AFSTokenPassing",			&value_unsupported,	0, 0, NULL, 0,			NULL, NULL},
{"KerberosTgtPassing",			&value_unsupported,	0, 0, NULL, 0,			NULL, NULL},
{"GSSAPIAuthentication",		&value_kerberos,	0, 0, NULL, MATCH,		NULL, NULL},
{"GSSAPICleanupCredentials",		&value_ignored,		0, 0, NULL, 0,			NULL, NULL},
{"GSSAPIDelegateCredentials",		&value_ignored,		0, 0, NULL, 0,			NULL, NULL},
{"GSSAPIEnablek5users",			&value_kerberos,	0, 0, NULL, 0,			NULL, NULL},
{"GSSAPIKeyExchange",			&value_kerberos,	0, 0, NULL, 0,			NULL, NULL},
{"GSSAPIKexAlgorithms",			&value_ignored,		0, 0, NULL, 0,			NULL, NULL},
{"GSSAPIStoreCredentialsOnRekey",	&value_ignored,		0, 0, NULL, 0,			NULL, NULL},
{"GSSAPIStrictAcceptorCheck",		&value_ignored,		0, 0, NULL, 0,			NULL, NULL},
{"KerberosAuthentication",		&value_kerberos,	0, 0, NULL, MATCH,		NULL, NULL},
{"KerberosGetAFSToken",			&value_kerberos,	0, 0, NULL, 0,			NULL, NULL},
{"KerberosOrLocalPasswd",		&value_ignored,		0, 0, NULL, 0,			NULL, NULL},
{"KerberosTicketCleanup",		&value_ignored,		0, 0, NULL, 0,			NULL, NULL},
{"RDomain",				&value_routing_domain,	0, 0, NULL, MATCH,		NULL, NULL},
};
/* clang-format on */

const size_t sshd_keyword_count = sizeof sshd_keywords / sizeof sshd_keywords[0];
_Static_assert(sizeof sshd_keywords / sizeof sshd_keywords[0] <= KEYWORDS_MAX, "table size");
