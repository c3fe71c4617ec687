/*
 * The keywords of ssh_config(5), in the order in which ssh -G prints them. The last column of a row
 * is NULL when the client does what the keyword says; otherwise it is "" or the values, besides the
 * default, that ask for nothing it cannot do: any other value is refused before connecting.
 */
#include "ssh_private.h"
#include "ssh_values.h"

#include <stddef.h>

#define AT(member) offsetof(struct nacre_ssh_config, member)

#define IN_EFFECT NULL

static const struct choice choices_canonicalize[] = {{"false", NACRE_NO}, {"true", NACRE_YES},
    {"no", NACRE_NO}, {"yes", NACRE_YES}, {"always", NACRE_ALWAYS}, {NULL, 0}};
static const struct choice choices_compression[] = {{"yes", 1}, {"no", 0}, {NULL, 0}};
static const struct choice choices_control_master[] = {{"true", NACRE_YES}, {"yes", NACRE_YES},
    {"false", NACRE_NO}, {"no", NACRE_NO}, {"auto", NACRE_AUTO}, {"ask", NACRE_ASK},
    {"autoask", NACRE_AUTO_ASK}, {NULL, 0}};
static const struct choice choices_pubkey[] = {{"true", NACRE_PUBKEY_YES},
    {"false", NACRE_PUBKEY_NO}, {"yes", NACRE_PUBKEY_YES}, {"no", NACRE_PUBKEY_NO},
    {"unbound", NACRE_PUBKEY_UNBOUND}, {"host-bound", NACRE_PUBKEY_HOSTBOUND}, {NULL, 0}};
static const struct choice choices_request_tty[] = {{"true", NACRE_YES}, {"yes", NACRE_YES},
    {"false", NACRE_NO}, {"no", NACRE_NO}, {"force", NACRE_FORCE}, {"auto", NACRE_AUTO}, {NULL, 0}};
static const struct choice choices_session_type[] = {{"none", NACRE_SESSION_NONE},
    {"subsystem", NACRE_SESSION_SUBSYSTEM}, {"default", NACRE_SESSION_DEFAULT}, {NULL, 0}};
static const struct choice choices_strict[] = {{"true", NACRE_YES}, {"false", NACRE_OFF},
    {"yes", NACRE_YES}, {"no", NACRE_OFF}, {"ask", NACRE_ASK}, {"off", NACRE_OFF},
    {"accept-new", NACRE_ACCEPT_NEW}, {NULL, 0}};
static const struct choice choices_yes_no_ask[] = {{"true", NACRE_YES}, {"false", NACRE_NO},
    {"yes", NACRE_YES}, {"no", NACRE_NO}, {"ask", NACRE_ASK}, {NULL, 0}};
static const struct choice choices_ssh_tunnel[] = {{"ethernet", NACRE_TUNNEL_ETHERNET},
    {"point-to-point", NACRE_TUNNEL_POINT_TO_POINT}, {"true", NACRE_TUNNEL_POINT_TO_POINT},
    {"yes", NACRE_TUNNEL_POINT_TO_POINT}, {"false", NACRE_TUNNEL_NO}, {"no", NACRE_TUNNEL_NO},
    {NULL, 0}};
static const struct choice choices_weak[] = {{"yes", NACRE_WEAK_CRYPTO_YES},
    {"no", NACRE_WEAK_CRYPTO_NO}, {"no-pq-kex", NACRE_WEAK_CRYPTO_NO_PQ_KEX}, {NULL, 0}};

enum {
	NONE = KEYWORD_NONE,
	APPENDS = KEYWORD_APPENDS,
	UNIQUE = KEYWORD_APPENDS | KEYWORD_UNIQUE,
	PRINT_NONE = KEYWORD_NONE | KEYWORD_PRINT_NONE,
	EXPANDS = KEYWORD_TOKENS | KEYWORD_TILDE
};

#define GLOBAL_FILES NACRE_SYSCONFDIR "/ssh_known_hosts " NACRE_SYSCONFDIR "/ssh_known_hosts2"
#define USER_FILES   "~/.ssh/known_hosts ~/.ssh/known_hosts2"
#define IDENTITY_FILES \
	"~/.ssh/id_rsa ~/.ssh/id_ecdsa ~/.ssh/id_ecdsa_sk ~/.ssh/id_ed25519 ~/.ssh/id_ed25519_sk"

/* clang-format off */
const struct keyword ssh_keywords[] = {
/*	name				type			member				second / details / flags		default			not yet, except */
{"Host",				&value_ssh_host,	AT(host),			0, NULL, APPENDS,			NULL,			IN_EFFECT},
{"User",				&value_string,		AT(user),			0, NULL, 0,				NULL,			IN_EFFECT},
{"Hostname",				&value_string,		AT(hostname),			0, NULL, KEYWORD_LOWER,			NULL,			IN_EFFECT},
{"Port",				&value_port,		AT(port),			0, NULL, 0,				"22",			IN_EFFECT},
{"AddressFamily",			&value_choice,		AT(address_family),		0, choices_address_family, 0,		"any",			IN_EFFECT},
{"BatchMode",				&value_boolean,		AT(batch_mode),			0, NULL, 0,				"no",			IN_EFFECT},
{"CanonicalizeFallbackLocal",		&value_boolean,		AT(canonicalize_fallback_local), 0, NULL, 0,			"yes",			IN_EFFECT},
{"CanonicalizeHostname",		&value_choice,		AT(canonicalize_hostname),	0, choices_canonicalize, 0,		"no",			IN_EFFECT},
{"CheckHostIP",				&value_boolean,		AT(check_host_ip),		0, NULL, 0,				"no",			IN_EFFECT},
{"Compression",				&value_boolean,		AT(compression),		0, choices_compression, 0,		"no",			IN_EFFECT},
{"ControlMaster",			&value_choice,		AT(control_master),		0, choices_control_master, 0,		"no",			IN_EFFECT},
{"EnableSSHKeysign",			&value_boolean,		AT(enable_ssh_keysign),		0, NULL, 0,				"no",			IN_EFFECT},
{"ClearAllForwardings",			&value_boolean,		AT(clear_all_forwardings),	0, NULL, 0,				"no",			IN_EFFECT},
{"ExitOnForwardFailure",		&value_boolean,		AT(exit_on_forward_failure),	0, NULL, 0,				"no",			IN_EFFECT},
{"FingerprintHash",			&value_choice,		AT(fingerprint_hash),		0, choices_fingerprint_hash, 0,		"SHA256",		IN_EFFECT},
{"ForwardX11",				&value_boolean,		AT(forward_x11),		0, NULL, 0,				"no",			IN_EFFECT},
{"ForwardX11Trusted",			&value_boolean,		AT(forward_x11_trusted),	0, NULL, 0,				"yes",			IN_EFFECT},
{"GatewayPorts",			&value_boolean,		AT(gateway_ports),		0, NULL, 0,				"no",			IN_EFFECT},
{"HashKnownHosts",			&value_boolean,		AT(hash_known_hosts),		0, NULL, 0,				"no",			IN_EFFECT},
{"HostbasedAuthentication",		&value_boolean,		AT(hostbased_authentication),	0, NULL, 0,				"no",			IN_EFFECT},
{"IdentitiesOnly",			&value_boolean,		AT(identities_only),		0, NULL, 0,				"no",			IN_EFFECT},
{"KbdInteractiveAuthentication",	&value_boolean,		AT(kbd_interactive_authentication), 0, NULL, 0,			"yes",			IN_EFFECT},
{"NoHostAuthenticationForLocalhost",	&value_boolean,		AT(no_host_authentication_for_localhost), 0, NULL, 0,		"no",			IN_EFFECT},
{"PasswordAuthentication",		&value_boolean,		AT(password_authentication),	0, NULL, 0,				"yes",			IN_EFFECT},
{"PermitLocalCommand",			&value_boolean,		AT(permit_local_command),	0, NULL, 0,				"no",			IN_EFFECT},
{"ProxyUseFdpass",			&value_boolean,		AT(proxy_use_fdpass),		0, NULL, 0,				"no",			IN_EFFECT},
{"PubkeyAuthentication",		&value_choice,		AT(pubkey_authentication),	0, choices_pubkey, 0,			"yes",			IN_EFFECT},
{"RequestTTY",				&value_choice,		AT(request_tty),		0, choices_request_tty, 0,		"auto",			IN_EFFECT},
{"SessionType",				&value_choice,		AT(session_type),		0, choices_session_type, 0,		"default",		IN_EFFECT},
{"StdinNull",				&value_boolean,		AT(stdin_null),			0, NULL, 0,				"no",			IN_EFFECT},
{"ForkAfterAuthentication",		&value_boolean,		AT(fork_after_authentication),	0, NULL, 0,				"no",			IN_EFFECT},
{"StreamLocalBindUnlink",		&value_boolean,		AT(stream_local_bind_unlink),	0, NULL, 0,				"no",			IN_EFFECT},
{"StrictHostKeyChecking",		&value_choice,		AT(strict_host_key_checking),	0, choices_strict, 0,			"ask",			IN_EFFECT},
{"TCPKeepAlive",			&value_boolean,		AT(tcp_keep_alive),		0, NULL, 0,				"yes",			IN_EFFECT},
{"Tunnel",				&value_choice,		AT(tunnel),			0, choices_ssh_tunnel, 0,		"no",			IN_EFFECT},
{"VerifyHostKeyDNS",			&value_choice,		AT(verify_host_key_dns),	0, choices_yes_no_ask, 0,		"no",			IN_EFFECT},
{"VisualHostKey",			&value_boolean,		AT(visual_host_key),		0, NULL, 0,				"no",			IN_EFFECT},
/* Ours: see LOGIN TRACE and SPEED in ssh(1). */
{"LoginTrace",			&value_boolean,		AT(login_trace),		0, NULL, 0,				"no",			IN_EFFECT},
{"RememberServers",		&value_boolean,		AT(remember_servers),		0, NULL, 0,				"yes",			IN_EFFECT},
{"UpdateHostKeys",			&value_choice,		AT(update_host_keys),		0, choices_yes_no_ask, 0,		"yes",			IN_EFFECT},
{"EnableEscapeCommandline",		&value_boolean,		AT(enable_escape_commandline),	0, NULL, 0,				"no",			IN_EFFECT},
{"CanonicalizeMaxDots",			&value_integer,		AT(canonicalize_max_dots),	0, NULL, 0,				"1",			IN_EFFECT},
{"ConnectionAttempts",			&value_attempts,	AT(connection_attempts),	0, NULL, 0,				"1",			IN_EFFECT},
{"ForwardX11Timeout",			&value_time,		AT(forward_x11_timeout),	0, NULL, 0,				"20m",			IN_EFFECT},
{"NumberOfPasswordPrompts",		&value_integer,		AT(number_of_password_prompts),	0, NULL, 0,				"3",			IN_EFFECT},
{"ServerAliveCountMax",			&value_integer,		AT(server_alive_count_max),	0, NULL, 0,				"3",			IN_EFFECT},
{"ServerAliveInterval",			&value_time,		AT(server_alive_interval),	0, NULL, 0,				"0",			IN_EFFECT},
{"RequiredRSASize",			&value_integer,		AT(required_rsa_size),		0, NULL, 0,				"1024",			IN_EFFECT},
{"ObscureKeystrokeTiming",		&value_obscure,		AT(obscure_keystroke_timing),	AT(obscure_keystroke_interval), NULL, 0, "yes",			IN_EFFECT},
{"WarnWeakCrypto",			&value_choice,		AT(warn_weak_crypto),		0, choices_weak, 0,			"yes",			IN_EFFECT},
{"BindAddress",				&value_string,		AT(bind_address),		0, NULL, 0,				NULL,			IN_EFFECT},
{"BindInterface",			&value_string,		AT(bind_interface),		0, NULL, 0,				NULL,			IN_EFFECT},
{"Ciphers",				&value_algorithms,	AT(ciphers),			0, &list_ciphers, 0,			NULL,			IN_EFFECT},
{"ControlPath",				&value_string,		AT(control_path),		0, NULL, NONE | EXPANDS,		NULL,			IN_EFFECT},
{"HostKeyAlgorithms",			&value_algorithms,	AT(host_key_algorithms),	0, &list_host_keys, 0,			NULL,			IN_EFFECT},
{"HostKeyAlias",			&value_string,		AT(host_key_alias),		0, NULL, KEYWORD_LOWER,			NULL,			IN_EFFECT},
{"HostbasedAcceptedAlgorithms",		&value_algorithms,	AT(hostbased_accepted_algorithms), 0, &list_hostbased, 0,		NULL,			IN_EFFECT},
{"IdentityAgent",			&value_string,		AT(identity_agent),		0, NULL, EXPANDS,			NULL,			IN_EFFECT},
{"IgnoreUnknown",			&value_string,		AT(ignore_unknown),		0, NULL, 0,				NULL,			IN_EFFECT},
{"KbdInteractiveDevices",		&value_string,		AT(kbd_interactive_devices),	0, NULL, 0,				NULL,			IN_EFFECT},
{"KexAlgorithms",			&value_algorithms,	AT(kex_algorithms),		0, &list_kex, 0,			NULL,			IN_EFFECT},
{"CASignatureAlgorithms",		&value_algorithms,	AT(ca_signature_algorithms),	0, &list_ca_signatures, 0,		NULL,			IN_EFFECT},
{"LocalCommand",			&value_rest,		AT(local_command),		0, NULL, NONE,				NULL,			IN_EFFECT},
{"RemoteCommand",			&value_rest,		AT(remote_command),		0, NULL, NONE | KEYWORD_TOKENS,		NULL,			IN_EFFECT},
{"LogLevel",				&value_choice,		AT(log_level),			0, choices_log_level, 0,		"INFO",			IN_EFFECT},
{"MACs",				&value_algorithms,	AT(macs),			0, &list_macs, 0,			NULL,			IN_EFFECT},
{"PKCS11Provider",			&value_string,		AT(pkcs11_provider),		0, NULL, NONE,				NULL,			IN_EFFECT},
{"SecurityKeyProvider",			&value_string,		AT(security_key_provider),	0, NULL, NONE,				"internal",		IN_EFFECT},
{"PreferredAuthentications",		&value_string,		AT(preferred_authentications),	0, NULL, 0,				NULL,			IN_EFFECT},
{"PubkeyAcceptedAlgorithms",		&value_algorithms,	AT(pubkey_accepted_algorithms), 0, &list_pubkey, 0,			NULL,			IN_EFFECT},
{"RevokedHostKeys",			&value_string,		AT(revoked_host_keys),		0, NULL, NONE,				NULL,			IN_EFFECT},
{"XAuthLocation",			&value_string,		AT(xauth_location),		0, NULL, 0,				"/usr/bin/xauth",	IN_EFFECT},
{"KnownHostsCommand",			&value_rest,		AT(known_hosts_command),	0, NULL, NONE,				NULL,			IN_EFFECT},
{"Tag",					&value_string,		AT(tag),			0, NULL, 0,				NULL,			IN_EFFECT},
{"RefuseConnection",			&value_rest,		AT(refuse_connection),		0, NULL, NONE,				NULL,			IN_EFFECT},
{"VersionAddendum",			&value_rest,		AT(version_addendum),		0, NULL, NONE,				NULL,			IN_EFFECT},
{"DynamicForward",			&value_forward,		AT(local_forward),		0, &forward_dynamic, APPENDS,		NULL,			IN_EFFECT},
{"LocalForward",			&value_forward,		AT(local_forward),		0, &forward_local, APPENDS,		NULL,			IN_EFFECT},
{"RemoteForward",			&value_forward,		AT(remote_forward),		0, &forward_remote, APPENDS,		NULL,			IN_EFFECT},
{"IdentityFile",			&value_lines,		AT(identity_file),		0, NULL, UNIQUE,			IDENTITY_FILES,		IN_EFFECT},
{"CanonicalDomains",			&value_domains,		AT(canonical_domains),		0, NULL, PRINT_NONE,			NULL,			IN_EFFECT},
{"CertificateFile",			&value_lines,		AT(certificate_file),		0, NULL, UNIQUE,			NULL,			IN_EFFECT},
{"GlobalKnownHostsFile",		&value_words,		AT(global_known_hosts_file),	0, NULL, PRINT_NONE | KEYWORD_ALONE,	GLOBAL_FILES,		IN_EFFECT},
{"UserKnownHostsFile",			&value_words,		AT(user_known_hosts_file),	0, NULL, PRINT_NONE | KEYWORD_ALONE | EXPANDS, USER_FILES,	IN_EFFECT},
{"SendEnv",				&value_send_env,	AT(send_env),			0, NULL, APPENDS,			NULL,			IN_EFFECT},
{"SetEnv",				&value_environment,	AT(set_env),			0, NULL, 0,				NULL,			IN_EFFECT},
{"LogVerbose",				&value_words,		AT(log_verbose),		0, NULL, PRINT_NONE,			NULL,			IN_EFFECT},
{"ChannelTimeout",			&value_timeouts,	AT(channel_timeout),		0, NULL, PRINT_NONE,		NULL,			IN_EFFECT},
{"PermitRemoteOpen",			&value_permit_open,	AT(permit_remote_open),		0, NULL, 0,				"any",			IN_EFFECT},
{"AddKeysToAgent",			&value_add_keys,	AT(add_keys_to_agent),		AT(add_keys_to_agent_lifespan), NULL, 0, "no",			IN_EFFECT},
{"ForwardAgent",			&value_boolean_or_text,AT(forward_agent),		AT(forward_agent_socket), NULL, 0,	"no",			IN_EFFECT},
{"ConnectTimeout",			&value_time,		AT(connect_timeout),		0, NULL, NONE,				"none",			IN_EFFECT},
{"TunnelDevice",			&value_tunnel_device,	AT(tunnel_local),		AT(tunnel_remote), NULL, 0,		"any:any",		IN_EFFECT},
{"CanonicalizePermittedCNAMEs",		&value_cnames,		AT(canonicalize_permitted_cnames), 0, NULL, PRINT_NONE,		NULL,			IN_EFFECT},
{"ControlPersist",			&value_persist,		AT(control_persist),		AT(control_persist_timeout), NULL, 0,	"no",			IN_EFFECT},
{"EscapeChar",				&value_escape,		AT(escape_char),		0, NULL, 0,				"~",			IN_EFFECT},
{"IPQoS",				&value_ipqos,		AT(ipqos_interactive),		AT(ipqos_bulk), NULL, 0,		"lowdelay throughput",	IN_EFFECT},
{"RekeyLimit",				&value_rekey,		AT(rekey_limit),		AT(rekey_interval), NULL, 0,		"default none",		IN_EFFECT},
{"StreamLocalBindMask",			&value_mask,		AT(stream_local_bind_mask),	0, NULL, 0,				"0177",			IN_EFFECT},
{"SyslogFacility",			&value_choice,		AT(syslog_facility),		0, choices_facility, 0,			"USER",			IN_EFFECT},
{"ProxyCommand",			&value_proxy_command,	AT(proxy_command),		0, NULL, NONE,				NULL,			IN_EFFECT},
{"ProxyJump",				&value_proxy_jump,	AT(proxy_jump),			0, NULL, NONE,				NULL,			IN_EFFECT},

/* Steering. */
{"Match",				&value_ssh_match,	0, 0, NULL, APPENDS,		NULL, IN_EFFECT},
{"Include",				&value_ssh_include,	0, 0, NULL, APPENDS,		NULL, IN_EFFECT},

/* Former names. */
{"KeepAlive",				&value_alias,	0, 0, "TCPKeepAlive", 0,			NULL, IN_EFFECT},
{"ChallengeResponseAuthentication",	&value_alias,	0, 0, "KbdInteractiveAuthentication", 0,	NULL, IN_EFFECT},
{"SkeyAuthentication",			&value_alias,	0, 0, "KbdInteractiveAuthentication", 0,	NULL, IN_EFFECT},
{"TISAuthentication",			&value_alias,	0, 0, "KbdInteractiveAuthentication", 0,	NULL, IN_EFFECT},
{"DSAAuthentication",			&value_alias,	0, 0, "PubkeyAuthentication", 0,		NULL, IN_EFFECT},
{"PubkeyAcceptedKeyTypes",		&value_alias,	0, 0, "PubkeyAcceptedAlgorithms", 0,		NULL, IN_EFFECT},
{"HostbasedKeyTypes",			&value_alias,	0, 0, "HostbasedAcceptedAlgorithms", 0,		NULL, IN_EFFECT},
{"IdentityFile2",			&value_alias,	0, 0, "IdentityFile", 0,			NULL, IN_EFFECT},
{"SmartcardDevice",			&value_alias,	0, 0, "PKCS11Provider", 0,			NULL, IN_EFFECT},
{"ProtocolKeepAlives",			&value_alias,	0, 0, "ServerAliveInterval", 0,			NULL, IN_EFFECT},
{"SetupTimeOut",			&value_alias,	0, 0, "ServerAliveInterval", 0,			NULL, IN_EFFECT},

/* Obsolete: ignored, as OpenSSH does. */
{"Protocol",				&value_ignored,	0, 0, NULL, KEYWORD_QUIET,	NULL, IN_EFFECT},
{"Cipher",				&value_ignored,	0, 0, NULL, KEYWORD_QUIET,	NULL, IN_EFFECT},
{"FallBackToRsh",			&value_ignored,	0, 0, NULL, 0,			NULL, IN_EFFECT},
{"GlobalKnownHostsFile2",		&value_ignored,	0, 0, NULL, 0,			NULL, IN_EFFECT},
{"RhostsAuthentication",		&value_ignored,	0, 0, NULL, 0,			NULL, IN_EFFECT},
{"UserKnownHostsFile2",			&value_ignored,	0, 0, NULL, 0,			NULL, IN_EFFECT},
{"UseRoaming",				&value_ignored,	0, 0, NULL, 0,			NULL, IN_EFFECT},
{"UseRsh",				&value_ignored,	0, 0, NULL, 0,			NULL, IN_EFFECT},
{"UsePrivilegedPort",			&value_ignored,	0, 0, NULL, 0,			NULL, IN_EFFECT},

/* Not in this build: passed over, as OpenSSH does when it is built without them. */
{"GSSAPIAuthentication",		&value_ignored,	0, 0, NULL, 0,			NULL, IN_EFFECT},
{"GSSAPIDelegateCredentials",		&value_ignored,	0, 0, NULL, 0,			NULL, IN_EFFECT},
{"GSSAPIKeyExchange",			&value_ignored,	0, 0, NULL, 0,			NULL, IN_EFFECT},
{"GSSAPIClientIdentity",		&value_ignored,	0, 0, NULL, 0,			NULL, IN_EFFECT},
{"GSSAPIServerIdentity",		&value_ignored,	0, 0, NULL, 0,			NULL, IN_EFFECT},
{"GSSAPITrustDns",			&value_ignored,	0, 0, NULL, 0,			NULL, IN_EFFECT},
{"GSSAPIRenewalForcesRekey",		&value_ignored,	0, 0, NULL, 0,			NULL, IN_EFFECT},
{"GSSAPIKexAlgorithms",			&value_ignored,	0, 0, NULL, 0,			NULL, IN_EFFECT},
{"AFSTokenPassing",			&value_unsupported, 0, 0, NULL, 0,		NULL, IN_EFFECT},
{"KerberosAuthentication",		&value_unsupported, 0, 0, NULL, 0,		NULL, IN_EFFECT},
{"KerberosTgtPassing",			&value_unsupported, 0, 0, NULL, 0,		NULL, IN_EFFECT},
{"RSAAuthentication",			&value_unsupported, 0, 0, NULL, 0,		NULL, IN_EFFECT},
{"RhostsRSAAuthentication",		&value_unsupported, 0, 0, NULL, 0,		NULL, IN_EFFECT},
{"CompressionLevel",			&value_unsupported, 0, 0, NULL, 0,		NULL, IN_EFFECT},
};
/* clang-format on */

const size_t ssh_keyword_count = sizeof ssh_keywords / sizeof ssh_keywords[0];
_Static_assert(sizeof ssh_keywords / sizeof ssh_keywords[0] <= KEYWORDS_MAX, "table size");
