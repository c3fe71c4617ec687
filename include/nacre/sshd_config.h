/*
 * The server's configuration: sshd_config(5). It is read once, and evaluated for each connection
 * (Match) from the same text, so that a reload cannot mix two states:
 *
 *	nacre_sshd_config_new(&config);
 *	nacre_sshd_config_set(config, "Port 2222", "command-line", 0);     for each -o
 *	nacre_sshd_config_load(config, path, assemble);          global section, defaults
 *	... a connection, a user name ...
 *	nacre_sshd_config_match(config, &connection, &copy);     Match blocks applied
 *
 * Functions that fail leave their complaint in config->error: "FILE line N: ...".
 */
#ifndef NACRE_SSHD_CONFIG_H
#define NACRE_SSHD_CONFIG_H

#include <nacre/config.h>
#include <nacre/error.h>
#include <nacre/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

enum nacre_permit_root {
	NACRE_ROOT_NO,
	NACRE_ROOT_FORCED_COMMANDS_ONLY,
	NACRE_ROOT_PROHIBIT_PASSWORD,
	NACRE_ROOT_YES
};

/* AllowTcpForwarding, AllowStreamLocalForwarding: a set. */
enum nacre_allow_forwarding {
	NACRE_FORWARD_NO = 0,
	NACRE_FORWARD_LOCAL = 1,
	NACRE_FORWARD_REMOTE = 2,
	NACRE_FORWARD_ALL = 3
};

enum nacre_gateway_ports { NACRE_GATEWAY_NO, NACRE_GATEWAY_YES, NACRE_GATEWAY_CLIENT };
enum nacre_ignore_rhosts { NACRE_RHOSTS_NO, NACRE_RHOSTS_YES, NACRE_RHOSTS_SHOSTS };

/* PubkeyAuthOptions: a set. */
enum nacre_pubkey_options { NACRE_PUBKEY_TOUCH_REQUIRED = 1, NACRE_PUBKEY_VERIFY_REQUIRED = 2 };

/* ListenAddress, with the ports of Port where it names none. */
struct nacre_listen_address {
	const char *host; /* NULL: any address */
	int port;
	char *routing_domain; /* always NULL today: refused */
};

struct nacre_subsystem {
	char *name;
	char *command; /* with its arguments */
};

struct nacre_channel_timeout {
	char *type; /* pattern */
	int seconds;
	char *written; /* "type=interval" */
};

/* PerSourcePenalties; times in seconds. */
struct nacre_penalties {
	bool enabled;
	int crash, authfail, invaliduser, refuseconnection, noauth, grace_exceeded;
	int min, max;
	int max_sources4, max_sources6;
	bool overflow_deny_all, overflow6_deny_all;
};

/*
 * Every keyword has a member named like it, with words separated by '_'. Strings that are NULL: not
 * set, or "none". Paths and commands are as written: tokens are expanded when they are used, with
 * nacre_expand_tokens().
 */
/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): grouped by subject, one a connection */
struct nacre_sshd_config {
	/* Listening. */
	int address_family;      /* AF_UNSPEC, AF_INET or AF_INET6 */
	struct nacre_words port; /* the numbers of Port; see listen_addresses for what to bind */
	struct nacre_listen_address *listen_addresses;
	size_t listen_address_count;
	char *pid_file;
	char *version_addendum;
	char *moduli_file;
	int max_startups_begin, max_startups_rate, max_startups_full;
	int per_source_max_startups; /* INT_MAX: no limit */
	int per_source_net_block_size4, per_source_net_block_size6;
	struct nacre_penalties per_source_penalties;
	char *per_source_penalty_exempt_list;
	bool tcp_keep_alive;
	int ipqos_interactive; /* the value of the IP field, or NACRE_IPQOS_NONE */
	int ipqos_bulk;
	bool use_dns;

	/* Host keys; algorithms as assembled (see nacre_config_assemble), as written, or NULL. */
	struct nacre_words host_key; /* the default files when none was given */
	struct nacre_words host_certificate;
	char *host_key_agent;
	char *ciphers;
	char *macs;
	char *kex_algorithms;
	char *host_key_algorithms;
	char *hostbased_accepted_algorithms;
	char *pubkey_accepted_algorithms;
	char *ca_signature_algorithms;
	bool compression;
	uint64_t rekey_limit; /* bytes; 0: the cipher's */
	int rekey_interval;   /* seconds; 0: none */
	int required_rsa_size;

	/* Who may log in, and how. */
	struct nacre_words allow_users, deny_users, allow_groups, deny_groups; /* patterns */
	int permit_root_login; /* enum nacre_permit_root */
	int login_grace_time;  /* seconds; 0: no limit */
	int max_auth_tries;
	int max_sessions;
	bool strict_modes;
	bool pubkey_authentication;
	int pubkey_auth_options; /* enum nacre_pubkey_options */
	bool password_authentication;
	bool permit_empty_passwords;
	bool kbd_interactive_authentication;
	bool hostbased_authentication;
	bool hostbased_uses_name_from_packet_only;
	bool ignore_user_known_hosts;
	int ignore_rhosts; /* enum nacre_ignore_rhosts */
	bool use_pam;
	char *pam_service_name;
	struct nacre_words authentication_methods; /* lists; the word "any" is count 0 */
	struct nacre_words authorized_keys_file;   /* "none": count 0 */
	char *authorized_keys_command;
	char *authorized_keys_command_user;
	char *authorized_principals_file;
	char *authorized_principals_command;
	char *authorized_principals_command_user;
	char *trusted_user_ca_keys;
	char *revoked_keys;
	char *security_key_provider;
	bool expose_auth_info;
	bool refuse_connection;
	char *banner;

	/* Sessions. */
	struct nacre_subsystem *subsystems;
	size_t subsystem_count;
	char *force_command;
	char *chroot_directory;
	bool permit_tty;
	bool permit_user_rc;
	bool permit_user_environment;
	char *permit_user_environment_list; /* patterns of names, or NULL: all */
	struct nacre_words accept_env;      /* patterns */
	struct nacre_words set_env;         /* "NAME=VALUE" */
	bool print_motd;
	bool print_last_log;
	int client_alive_interval; /* seconds; 0: off */
	int client_alive_count_max;
	struct nacre_channel_timeout *channel_timeouts;
	size_t channel_timeout_count;
	int unused_connection_timeout; /* seconds; 0: none */

	/* Forwarding. */
	bool disable_forwarding;
	bool allow_agent_forwarding;
	int allow_tcp_forwarding;          /* enum nacre_allow_forwarding */
	int allow_stream_local_forwarding; /* enum nacre_allow_forwarding */
	int gateway_ports;                 /* enum nacre_gateway_ports */
	struct nacre_words permit_open;    /* "host:port"; count 0: any; the word "none" */
	struct nacre_words permit_listen;
	int permit_tunnel; /* enum nacre_tunnel */
	int stream_local_bind_mask;
	bool stream_local_bind_unlink;
	bool x11_forwarding;
	int x11_display_offset;
	bool x11_use_localhost;
	char *xauth_location;

	/* Messages and parts. */
	int log_level;       /* enum nacre_log_level */
	int syslog_facility; /* LOG_... of syslog.h */
	struct nacre_words log_verbose;
	int log_format;       /* enum nacre_log_format */
	char *metrics_listen; /* "ADDRESS:PORT" (loopback) or the path of a socket */
	/* Networks (ADDRESS/MASKLEN or ADDRESS) of proxies that name the client in a header. */
	struct nacre_words proxy_protocol;
	int fingerprint_hash; /* enum nacre_fingerprint_hash */
	char *sshd_auth_path;
	char *sshd_session_path;

	/* What went wrong, one line or several ended by LF, or empty. */
	struct nacre_buffer error;
	/* To show to the administrator although all is well: keywords without an effect. */
	struct nacre_buffer warnings;
	/* Notes for the log, one a line: deprecated keywords passed over and so on. */
	struct nacre_buffer notes;

	struct nacre_sshd_config_private *internal;
};

/* A connection as Match sees it. NULL or -1: not known, no criterion on it matches. */
struct nacre_connection_spec {
	const char *user;
	bool invalid_user;         /* no such account */
	const char *const *groups; /* names of the user's groups; NULL: looked up from "user" */
	size_t group_count;
	const char *host;    /* the peer's name, or its address without UseDNS */
	const char *address; /* the peer's numeric address */
	const char *local_address;
	int local_port;
	const char *routing_domain;
	const char *version; /* of this program */
	bool test;           /* from -C: Match LocalPort is an error when no port was told */
};

/* An empty configuration. 0 or NACRE_ERROR_MEMORY. */
int nacre_sshd_config_new(struct nacre_sshd_config **config);
/* Frees all; NULL is allowed. */
void nacre_sshd_config_free(struct nacre_sshd_config *config);

/* Sets one option, "Keyword value" or "Keyword=value" (from -o, -p, -h: "command-line", 0), unless
 * it is set. */
int nacre_sshd_config_set(
    struct nacre_sshd_config *config, const char *text, const char *source, unsigned line);
/* Keeps a keyword as it was set so far: further lines of it are checked only. */
void nacre_sshd_config_keep(struct nacre_sshd_config *config, const char *keyword);

/*
 * Reads the file with its includes ("none": no file), checks all of it, Match blocks included,
 * takes over what stands outside of Match, and fills in the defaults. All mistakes are found in one
 * run; error ends with "FILE: terminating, N bad configuration options". "assemble" may be NULL.
 */
int nacre_sshd_config_load(
    struct nacre_sshd_config *config, const char *path, nacre_config_assemble assemble);

/*
 * A new configuration with the Match blocks applied that fit the connection (first value wins). It
 * shares nothing with "config" and is freed on its own.
 */
int nacre_sshd_config_match(const struct nacre_sshd_config *config,
    const struct nacre_connection_spec *connection, struct nacre_sshd_config **matched);
/*
 * Moves a loaded configuration to another process without its files: export appends all lines as
 * they were read, import checks nothing again and takes over what stands outside of Match. The
 * state is trusted. 0 or a negative error.
 */
int nacre_sshd_config_export(const struct nacre_sshd_config *config, struct nacre_buffer *state);
int nacre_sshd_config_import(
    struct nacre_reader *state, nacre_config_assemble assemble, struct nacre_sshd_config **config);
/* True when some Match criterion needs the peer's host name. */
bool nacre_sshd_config_has_match(const struct nacre_sshd_config *config);

/* Reads -C: "user=...,host=...,addr=...,laddr=...,lport=...,rdomain=...,invalid-user". Strings go
 * to "memory" and live as long; later calls add to earlier ones. A complaint goes to config->error.
 */
int nacre_connection_spec_parse(
    struct nacre_sshd_config *config, const char *text, struct nacre_connection_spec *connection);

/* Appends what is in force as sshd -T prints it (-G: the same). */
int nacre_sshd_config_print(const struct nacre_sshd_config *config, struct nacre_buffer *text);

/* The command of a subsystem, or NULL. */
const char *nacre_sshd_config_subsystem(
    const struct nacre_sshd_config *config, struct nacre_span name);
/* Seconds after which a channel of this type is closed when idle (ChannelTimeout); 0: never. The
 * type "global", for all channels together, is not what a wildcard means. */
int nacre_sshd_config_channel_timeout(
    const struct nacre_sshd_config *config, struct nacre_span type);

#ifdef __cplusplus
}
#endif
#endif
