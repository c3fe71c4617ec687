/*
 * The client's configuration: ssh_config(5). A configuration is filled from -o options first, then
 * from the user's file, then from the system's; the first value of a keyword wins.
 *
 *	nacre_ssh_config_new(&config);
 *	nacre_ssh_config_set(config, "Port 2222", "command-line", 0);     for each -o
 *	nacre_ssh_config_load(config, &request);     reads the files, fills in the defaults
 *	... config->port, config->hostname, ...
 *	nacre_ssh_config_free(config);
 *
 * Functions that fail leave their complaint in config->error, in the words "FILE line N: ...".
 */
#ifndef NACRE_SSH_CONFIG_H
#define NACRE_SSH_CONFIG_H

#include <nacre/config.h>
#include <nacre/error.h>
#include <nacre/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

enum nacre_session_type { NACRE_SESSION_DEFAULT, NACRE_SESSION_SUBSYSTEM, NACRE_SESSION_NONE };

/* PubkeyAuthentication: a set. */
enum nacre_pubkey_authentication {
	NACRE_PUBKEY_NO = 0,
	NACRE_PUBKEY_UNBOUND = 1,
	NACRE_PUBKEY_HOSTBOUND = 2,
	NACRE_PUBKEY_YES = 3
};

enum nacre_weak_crypto { NACRE_WEAK_CRYPTO_NO, NACRE_WEAK_CRYPTO_YES, NACRE_WEAK_CRYPTO_NO_PQ_KEX };

#define NACRE_ESCAPE_NONE (-1) /* EscapeChar none */

/*
 * Every keyword has a member named like it, with words separated by '_'. Defaults are filled in by
 * nacre_ssh_config_load(). Strings that are NULL: not set, or "none". Already expanded (tokens,
 * variables, ~) are hostname, control_path, identity_agent, user_known_hosts_file, remote_command
 * and the paths in forwardings. The others are as written, to be expanded with
 * nacre_ssh_config_expand() when they are used.
 */
/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): grouped by subject, one a process */
struct nacre_ssh_config {
	/* The target. */
	char *host; /* as given on the command line, %n */
	/* To connect to, %h; tokens already expanded, lower case when it is a name. */
	char *hostname;
	int port;           /* %p */
	char *user;         /* %r */
	int address_family; /* AF_UNSPEC, AF_INET or AF_INET6 */
	char *bind_address;
	char *bind_interface;
	int connect_timeout; /* seconds; -1: the system's */
	int connection_attempts;
	char *proxy_command; /* at most one of the two is not NULL */
	char *proxy_jump;    /* as written, "user@host:port,..." */
	bool proxy_use_fdpass;
	bool tcp_keep_alive;
	int ipqos_interactive; /* the value of the IP field, or NACRE_IPQOS_NONE */
	int ipqos_bulk;
	char *tag;
	char *refuse_connection; /* the message to stop with */
	char *version_addendum;

	/* Canonical names. */
	int canonicalize_hostname; /* NACRE_NO, NACRE_YES, NACRE_ALWAYS */
	struct nacre_words canonical_domains;
	bool canonicalize_fallback_local;
	int canonicalize_max_dots;
	struct nacre_words canonicalize_permitted_cnames; /* "source,...:target,..." */

	/* Algorithms: as assembled (see nacre_config_assemble), or as written, or NULL: default. */
	char *ciphers;
	char *macs;
	char *kex_algorithms;
	char *host_key_algorithms;
	char *hostbased_accepted_algorithms;
	char *pubkey_accepted_algorithms;
	char *ca_signature_algorithms;
	bool compression;
	uint64_t rekey_limit;  /* bytes; 0: the cipher's */
	int rekey_interval;    /* seconds; 0: none */
	int required_rsa_size; /* bits */
	int warn_weak_crypto;  /* enum nacre_weak_crypto */

	/* Trust in the server. */
	int strict_host_key_checking; /* NACRE_YES, NACRE_ASK, NACRE_ACCEPT_NEW, NACRE_OFF */
	bool check_host_ip;
	char *host_key_alias;
	bool hash_known_hosts;
	int update_host_keys;    /* NACRE_NO, NACRE_YES, NACRE_ASK */
	int verify_host_key_dns; /* NACRE_NO, NACRE_YES, NACRE_ASK */
	bool visual_host_key;
	bool remember_servers; /* what they prefer, for faster logins; a keyword of ours */
	int fingerprint_hash;  /* enum nacre_fingerprint_hash */
	bool no_host_authentication_for_localhost;
	struct nacre_words global_known_hosts_file; /* count 0: "none" */
	struct nacre_words user_known_hosts_file;
	char *known_hosts_command;
	char *revoked_host_keys;

	/* Who we are. */
	int pubkey_authentication; /* enum nacre_pubkey_authentication */
	bool password_authentication;
	bool kbd_interactive_authentication;
	char *kbd_interactive_devices;
	bool hostbased_authentication;
	bool enable_ssh_keysign;
	char *preferred_authentications; /* NULL: the default order */
	int number_of_password_prompts;
	bool batch_mode;
	/* Lists in the order given; the word "none" in them stands for no file. The default names
	 * when no identity was given. */
	struct nacre_words identity_file;
	struct nacre_words certificate_file;
	bool identities_only;
	char *identity_agent;  /* "none", "SSH_AUTH_SOCK", "$NAME" or a path; NULL: SSH_AUTH_SOCK */
	int add_keys_to_agent; /* NACRE_NO, NACRE_YES, NACRE_ASK, NACRE_CONFIRM */
	int add_keys_to_agent_lifespan; /* seconds; 0: for ever */
	char *pkcs11_provider;
	char *security_key_provider;

	/* The session. */
	int session_type; /* enum nacre_session_type */
	int request_tty;  /* NACRE_NO, NACRE_YES, NACRE_FORCE, NACRE_AUTO */
	bool stdin_null;
	bool fork_after_authentication;
	char *remote_command;
	char *local_command;
	bool permit_local_command;
	struct nacre_words send_env; /* patterns */
	struct nacre_words set_env;  /* "NAME=VALUE" */
	int escape_char;             /* a character, or NACRE_ESCAPE_NONE */
	bool enable_escape_commandline;
	int server_alive_interval; /* seconds; 0: off */
	int server_alive_count_max;
	bool obscure_keystroke_timing;
	int obscure_keystroke_interval;     /* milliseconds */
	struct nacre_words channel_timeout; /* "type=interval" */

	/* Forwarding. */
	bool forward_agent;
	char *forward_agent_socket; /* a path or "$NAME", or NULL: the agent in use */
	bool forward_x11;
	bool forward_x11_trusted;
	int forward_x11_timeout; /* seconds; 0: none */
	char *xauth_location;
	struct nacre_forwards local_forward; /* dynamic ones among them, in order */
	struct nacre_forwards remote_forward;
	struct nacre_words permit_remote_open; /* "host:port", or the word "any" or "none" */
	bool clear_all_forwardings;
	bool exit_on_forward_failure;
	bool gateway_ports;
	int stream_local_bind_mask;
	bool stream_local_bind_unlink;
	int tunnel;       /* enum nacre_tunnel */
	int tunnel_local; /* number, or NACRE_TUNNEL_ANY */
	int tunnel_remote;

	/* Sharing a connection. */
	int control_master; /* NACRE_NO, NACRE_YES, NACRE_ASK, NACRE_AUTO, NACRE_AUTO_ASK */
	char *control_path;
	bool control_persist;
	int control_persist_timeout; /* seconds; 0: for ever */

	/* Messages. */
	int log_level;       /* enum nacre_log_level */
	int syslog_facility; /* LOG_... of syslog.h */
	struct nacre_words log_verbose;
	char *ignore_unknown;
	bool login_trace; /* a table of the login's stages on standard error; a keyword of ours */

	/* What went wrong, as one line or several ended by LF, or empty. */
	struct nacre_buffer error;
	/* To show to the user although all is well: keywords that have no effect any more. */
	struct nacre_buffer warnings;
	/* Notes for -v, one a line: keywords passed over, files read. */
	struct nacre_buffer notes;

	struct nacre_ssh_config_private *internal;
};

/*
 * Finds the canonical form of a host's name, as CanonicalizeHostname and its kin in ssh_config(5)
 * say; config->hostname is the name so far, and the members that this needs have their defaults. The
 * folder config/ asks no resolver, so the program brings the function along, as
 * nacre_client_canonicalize(). *name: the new name, which the caller frees, or NULL when it stays
 * as it is. 0, or an error with a complaint in config->error.
 */
typedef int (*nacre_config_canonicalize)(struct nacre_ssh_config *config, char **name);

/* What a configuration is looked up for. All strings are borrowed during the call only. */
struct nacre_ssh_config_request {
	const char *host;    /* as the user typed it */
	const char *command; /* the remote command, or NULL; for Match command */
	/* For Match sessiontype: "shell", "exec", "subsystem" or "none". */
	const char *session_type;
	const char *version; /* of this program, for Match version */
	/* -F: read instead of both files; "none": no file; NULL: the usual. */
	const char *user_file;
	const char *system_file;        /* NULL: NACRE_SYSCONFDIR "/ssh_config" */
	const char *home;               /* home directory; NULL: that of the password file */
	const char *local_user;         /* NULL: that of the real user id */
	nacre_config_assemble assemble; /* NULL: algorithm lists stay as written */
	nacre_config_canonicalize canonicalize; /* NULL: names stay as they are */
	bool no_exec;                           /* Match exec is an error (for tests and fuzzing) */
};

/* A configuration in which nothing is set. The caller frees it. */
int nacre_ssh_config_new(struct nacre_ssh_config **config);
/* Frees the configuration and all that it holds; NULL is allowed. */
void nacre_ssh_config_free(struct nacre_ssh_config *config);

/* Sets one option, "Keyword value" or "Keyword=value", unless it is set. "source" and "line" are
 * named in complaints: "command-line" and 0 for -o. 0 or an error. */
int nacre_ssh_config_set(
    struct nacre_ssh_config *config, const char *text, const char *source, unsigned line);
/* True when the keyword (any case) was given a value that is not its default's stand-in. */
bool nacre_ssh_config_is_set(const struct nacre_ssh_config *config, const char *keyword);

/* Reads the files for this request (twice where "Match final" or
 * CanonicalizeHostname asks for that), then fills in the
 * defaults. To be called once. 0 or an error: NACRE_ERROR_FORMAT, NACRE_ERROR_UNSUPPORTED,
 * NACRE_ERROR_PERMISSION (bad owner or mode of the user's file), NACRE_ERROR_SYSTEM. */
int nacre_ssh_config_load(
    struct nacre_ssh_config *config, const struct nacre_ssh_config_request *request);
/* The local user, %u. */
const char *nacre_ssh_config_local_user(const struct nacre_ssh_config *config);

/* Before connecting: refuses what a keyword asks for and this client does not do yet. 0 or
 * NACRE_ERROR_UNSUPPORTED with the file, the line and the remedy in config->error. */
int nacre_ssh_config_check(struct nacre_ssh_config *config);

/* ChannelTimeout: seconds after which a channel of this type ("session", "direct-tcpip", ...), or with
 * "global" all of them, are closed when they are idle; 0: never. */
int nacre_ssh_config_channel_timeout(const struct nacre_ssh_config *config, struct nacre_span type);

/* Appends what is in force as ssh -G prints it. */
int nacre_ssh_config_print(const struct nacre_ssh_config *config, struct nacre_buffer *text);

/*
 * Expands "text", which is the value of "keyword", as ssh_config(5) lets that keyword be: ~ first,
 * then ${VARIABLE}, then tokens. "more" adds tokens known only to the caller (%T, %f, %H, %I, %K,
 * %t, %j). Returns a string that the caller frees, or NULL with a complaint in config->error.
 */
char *nacre_ssh_config_expand(struct nacre_ssh_config *config, const char *keyword,
    const char *text, const struct nacre_token *more, size_t count);

#ifdef __cplusplus
}
#endif
#endif
