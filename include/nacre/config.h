/*
 * What ssh_config and sshd_config share: lists of words, forwardings, algorithm lists, tokens,
 * numbers with suffixes. All strings in a configuration belong to it and live as long as it does.
 */
#ifndef NACRE_CONFIG_H
#define NACRE_CONFIG_H

#include <nacre/error.h>
#include <nacre/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nacre_words {
	char **words;
	size_t count;
};

/* Keywords that name one of a few values. */
enum nacre_yes_no_ask {
	NACRE_NO = 0,
	NACRE_YES = 1,
	NACRE_ASK = 2,
	NACRE_AUTO = 3,       /* ControlMaster, RequestTTY */
	NACRE_AUTO_ASK = 4,   /* ControlMaster */
	NACRE_CONFIRM = 5,    /* AddKeysToAgent */
	NACRE_ACCEPT_NEW = 6, /* StrictHostKeyChecking */
	NACRE_OFF = 7,        /* StrictHostKeyChecking no */
	NACRE_FORCE = 8,      /* RequestTTY */
	NACRE_ALWAYS = 9      /* CanonicalizeHostname */
};

/* Tunnel, PermitTunnel: a set. */
enum nacre_tunnel {
	NACRE_TUNNEL_NO = 0,
	NACRE_TUNNEL_POINT_TO_POINT = 1,
	NACRE_TUNNEL_ETHERNET = 2,
	NACRE_TUNNEL_YES = 3
};
#define NACRE_TUNNEL_ANY (-1) /* TunnelDevice any */

/* IPQoS none: leave the operating system's default. */
#define NACRE_IPQOS_NONE (-1)

/* An end of a forwarding. */
struct nacre_endpoint {
	char *host; /* NULL: none given; "*" or "": all addresses */
	int port;   /* 0: to be chosen (remote listeners); -1: "path" is meant */
	char *path; /* a Unix socket, or NULL */
};

/* LocalForward, RemoteForward, DynamicForward. */
struct nacre_forward {
	struct nacre_endpoint listen;
	struct nacre_endpoint connect;
	bool dynamic; /* "connect" is told by the SOCKS client */
};

struct nacre_forwards {
	struct nacre_forward *forwards;
	size_t count;
};

/*
 * Reads a forwarding as in -L, -R and -D ("[bind:]port:host:hostport", "port", paths) into
 * memory that nacre_forward_free() frees. With "dynamic" the form "[bind:]port" is read; "remote"
 * allows that, too, and port 0. 0 or NACRE_ERROR_FORMAT.
 */
int nacre_forward_parse(const char *text, bool dynamic, bool remote, struct nacre_forward *forward);
/* Frees what it holds. */
void nacre_forward_free(struct nacre_forward *forward);

/*
 * Whether a word of PermitOpen or PermitRemoteOpen ("host:port", "[host]:port", each of them also
 * "*") covers a host and port to connect to, a word of PermitListen ("[pattern:]port") an address to
 * listen at, a word of either a Unix socket. Names are compared as they are written.
 */
bool nacre_permit_open_fits(const char *word, const char *host, unsigned port);
bool nacre_permit_listen_fits(const char *word, const char *host, unsigned port);
bool nacre_permit_path_fits(const char *word, const char *path, unsigned port);

/*
 * Lists of algorithms in a configuration. The folder config/ does not know the algorithms: the
 * program gives a function that makes the list in force from what was written ("+x", "-x", "^x"
 * or a list; NULL: the default) and appends it to "list". It returns 0, or an error when
 * "specification" names something unknown. With no such function lists stay as they were written.
 */
enum nacre_config_algorithms {
	NACRE_CONFIG_CIPHERS,
	NACRE_CONFIG_MACS,
	NACRE_CONFIG_KEX,
	NACRE_CONFIG_HOST_KEY_ALGORITHMS,
	NACRE_CONFIG_HOSTBASED_ALGORITHMS,
	NACRE_CONFIG_PUBKEY_ALGORITHMS,
	NACRE_CONFIG_CA_SIGNATURE_ALGORITHMS
};
typedef int (*nacre_config_assemble)(enum nacre_config_algorithms algorithms,
    const char *specification, bool server, struct nacre_buffer *list);

/* "%x" stands for "value"; NULL values are unknown tokens. */
struct nacre_token {
	char letter;
	const char *value;
};

/*
 * Appends "text" with "%x" replaced by the tokens of the list ("%%" is always known) and, with
 * "environment", "${NAME}" by the environment's. 0; NACRE_ERROR_NOT_FOUND: a variable is not set
 * or a token not known; NACRE_ERROR_FORMAT: a "%" or "${" ends too early. On an error *problem
 * (may be NULL) points to the place in "text".
 */
int nacre_expand_tokens(const char *text, const struct nacre_token *tokens, size_t count,
    bool environment, struct nacre_buffer *out, const char **problem);
/* Appends "path" with a leading "~" or "~user" replaced by that home directory. "home" is that of
 * the user whose process this is. 0 or NACRE_ERROR_NOT_FOUND (no such user). */
int nacre_expand_tilde(const char *path, const char *home, struct nacre_buffer *out);

/* The words of a command line as in AuthorizedKeysCommand: blanks separate, quotes group, a
 * backslash escapes. Free with nacre_words_free(). 0 or NACRE_ERROR_FORMAT (a quote stays open, or
 * nothing is there), NACRE_ERROR_MEMORY. */
int nacre_words_split(const char *text, struct nacre_words *words);
void nacre_words_free(struct nacre_words *words);

/* Reads a destination, "[user@]host" or "ssh://[user@]host[:port]". The strings are the caller's to
 * free (NULL where there is none); *port is -1 when there is none. "scheme": "ssh", "scp" or
 * "sftp"; *path (may be NULL): what follows the host of an URI. 0 or NACRE_ERROR_FORMAT. */
int nacre_parse_destination(
    const char *text, const char *scheme, char **user, char **host, int *port, char **path);

/* Whether names that came from outside (a command line that a program made of an URL, say) can do
 * no harm where a configuration hands them to a shell: in ProxyCommand, Match exec and others. */
bool nacre_user_name_is_safe(const char *user);
bool nacre_host_name_is_safe(const char *host);

/* Seconds of a time as in the TIME FORMATS section of sshd_config(5): "90", "1h30m", "2d". 0 or
 * NACRE_ERROR_FORMAT (also when it does not fit an int). */
int nacre_parse_time(const char *text, int *seconds);
/* Seconds since 1970 of "YYYYMMDD[HHMM[SS]]", in the local zone or, with a Z behind it, in UTC. 0 or
 * NACRE_ERROR_FORMAT (also for what is not later than 1970 began). */
int nacre_parse_date(const char *text, uint64_t *seconds);
/* Bytes with a suffix K, M or G. */
int nacre_parse_size(const char *text, uint64_t *bytes);
/* A port number, 0 to 65535. */
int nacre_parse_port(const char *text, int *port);

#ifdef __cplusplus
}
#endif
#endif
