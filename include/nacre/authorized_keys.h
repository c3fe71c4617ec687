/*
 * Which user keys are believed: authorized_keys files, as the AUTHORIZED_KEYS FILE FORMAT section
 * of sshd(8) describes them, and the checks of owner and mode that go with them (StrictModes).
 */
#ifndef NACRE_AUTHORIZED_KEYS_H
#define NACRE_AUTHORIZED_KEYS_H

#include <nacre/certificate.h>
#include <nacre/error.h>
#include <nacre/key.h>
#include <nacre/wire.h>

#include <sys/types.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Options of a line. All zero but the permits is what "restrict" makes; without options all
 * permits are true. Start with NACRE_KEY_OPTIONS_INIT. */
struct nacre_key_options {
	bool permit_port_forwarding;
	bool permit_agent_forwarding;
	bool permit_x11_forwarding;
	bool permit_pty;
	bool permit_user_rc;
	bool restricted; /* "restrict" was there */
	bool cert_authority;
	bool no_touch_required;
	bool verify_required;
	char *command;         /* forced, or NULL */
	char *from;            /* pattern list, or NULL */
	char *source_address;  /* of a certificate: addresses with CIDR masks, or NULL */
	char *principals;      /* comma-separated, or NULL */
	uint64_t valid_before; /* expiry-time: seconds since 1970 UTC; 0: none */
	int tunnel;            /* -1: not given */
	char **environment;    /* "NAME=VALUE", the first of a name wins */
	size_t environment_count;
	char **permit_open; /* "host:port" */
	size_t permit_open_count;
	char **permit_listen; /* "[host:]port" */
	size_t permit_listen_count;
};

/* What a line without options permits. */
void nacre_key_options_default(struct nacre_key_options *options);
/* Frees what the options hold. */
void nacre_key_options_free(struct nacre_key_options *options);
/*
 * Reads "option,option=..." as it stands before the key. Strict: an unknown or doubled option, an
 * open quote or a bad value is NACRE_ERROR_FORMAT with the reason in *reason (static storage).
 */
int nacre_key_options_parse(
    struct nacre_span text, struct nacre_key_options *options, const char **reason);
/* Whether the options let a peer in now: expiry-time, from= (with its name and address), and a
 * certificate's source-address. "host" may equal "address". */
enum nacre_key_verdict {
	NACRE_KEY_ALLOWED,
	NACRE_KEY_EXPIRED,
	NACRE_KEY_NOT_FROM_HOST,
	NACRE_KEY_NOT_FROM_ADDRESS
};
enum nacre_key_verdict nacre_key_options_allow(
    const struct nacre_key_options *options, const char *host, const char *address, time_t now);
/*
 * What a user certificate says about its sessions: its critical options and extensions
 * (PROTOCOL.certkeys); what no extension permits is forbidden. Extensions that we do not know are
 * passed over, critical options are not: NACRE_ERROR_REFUSED. Both leave lines, ended by LF, in
 * "notes". Free *options after success.
 */
int nacre_key_options_of_certificate(const struct nacre_certificate *certificate,
    struct nacre_key_options *options, struct nacre_buffer *notes);
/* Merges the restrictions of a certificate's options into those of its authority's line: what
 * either forbids is forbidden. NACRE_ERROR_REFUSED when the two force different commands. */
int nacre_key_options_merge(struct nacre_key_options *options,
    const struct nacre_key_options *certificate, const char **reason);

struct nacre_authorized_key {
	struct nacre_key_options options;
	struct nacre_key *key;
	unsigned line;
	char *comment; /* or NULL */
};

/* One line (no newline): *authorized is filled; NACRE_ERROR_NOT_FOUND for blank lines and
 * comments. *reason says why a line was refused (static storage). */
int nacre_authorized_key_parse(
    struct nacre_span line, struct nacre_authorized_key *authorized, const char **reason);
/* Frees what it holds. */
void nacre_authorized_key_free(struct nacre_authorized_key *authorized);

/*
 * Looks for lines with "key" in the text of a file, beginning at *offset, which moves behind the
 * line found, so that a caller goes on when a line's options refuse. "authority": looks for
 * cert-authority lines with this key instead of plain lines. Lines longer than 64 KiB or refused
 * are passed over; each adds "line N: reason" to "notes" (may be NULL). *line_number begins at 0. 0
 * or NACRE_ERROR_NOT_FOUND.
 */
int nacre_authorized_keys_find(struct nacre_span text, size_t *offset, unsigned *line_number,
    const struct nacre_key *key, bool authority, struct nacre_authorized_key *authorized,
    struct nacre_buffer *notes);

/*
 * Looks for a key (of a certificate: the key in it) in a list of public keys, one a line; 0 or
 * NACRE_ERROR_NOT_FOUND. A line before it that is neither a key nor a comment is
 * NACRE_ERROR_FORMAT: who relies on the list must know that it is none. *line_number is the line
 * that decided.
 */
int nacre_key_list_find(struct nacre_span text, const struct nacre_key *key, unsigned *line_number);

/*
 * Whether a file, which holds a list of public keys or a key revocation list (krl.h), revokes a key
 * or what it is certified by. A file that cannot be read revokes everything. Then *message tells
 * how, in OpenSSH's words, for "what": "authentication key" or "host key".
 */
bool nacre_key_is_revoked(const char *path, const struct nacre_key *key, const char *what,
    enum nacre_fingerprint_hash hash, struct nacre_buffer *message);

/* Reads a file of authorized keys, principals or CA keys: opened without following a FIFO or
 * device, at most "limit" bytes (0: 8 MiB), checked with nacre_secure_path() for "owner" up to
 * "home" if "strict". Reason in *message (a buffer, may be NULL). */
int nacre_read_trusted_file(const char *path, const char *home, uid_t owner, bool strict,
    size_t limit, struct nacre_buffer *text, struct nacre_buffer *message);

/*
 * StrictModes: the file and each directory above it up to and including "home" (NULL: up to "/")
 * belongs to "owner" or root and is writable by nobody else (by a group only if it is the owner's
 * private one). "fd" is the opened file. 0 or
 * NACRE_ERROR_PERMISSION with "bad ownership or modes for file ..." in *message.
 */
int nacre_secure_path(
    int fd, const char *path, const char *home, uid_t owner, struct nacre_buffer *message);

/* One line of an AuthorizedPrincipalsFile: "[options] principal"; *name points into the line. */
int nacre_authorized_principal_parse(struct nacre_span line, struct nacre_key_options *options,
    struct nacre_span *name, const char **reason);

#ifdef __cplusplus
}
#endif
#endif
