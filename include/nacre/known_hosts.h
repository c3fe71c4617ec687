/*
 * Which host keys are believed: known_hosts files, as the SSH_KNOWN_HOSTS FILE FORMAT section of
 * sshd(8) describes them, and their upkeep (ssh-keygen -F, -H, -R).
 */
#ifndef NACRE_KNOWN_HOSTS_H
#define NACRE_KNOWN_HOSTS_H

#include <nacre/certificate.h>
#include <nacre/error.h>
#include <nacre/key.h>
#include <nacre/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

enum nacre_known_host_marker {
	NACRE_KNOWN_HOST_PLAIN,
	NACRE_KNOWN_HOST_AUTHORITY, /* @cert-authority */
	NACRE_KNOWN_HOST_REVOKED    /* @revoked */
};

/* A line that names the host. */
struct nacre_known_host {
	enum nacre_known_host_marker marker;
	struct nacre_key *key; /* NULL when the line's key type is not one we have */
	char *key_format;      /* "ssh-ed25519" ... as on the line */
	char *file;
	unsigned line;
	char *comment; /* or NULL */
	bool hashed;
	bool by_address; /* found by the address, not by the name */
	/* The lookup was for "[host]:port", the line names the host alone: its key is believed, but
	 * another key is no change. */
	bool without_port;
};

/* All lines found, in the order of the files. */
struct nacre_known_hosts {
	struct nacre_known_host *hosts;
	size_t count;
	char *name; /* what was looked up: "host" or "[host]:port" */
	/* Lines that name the host, but whose key cannot be read: "FILE:LINE: reason\n" each. */
	struct nacre_buffer notes;
};

/* "host", or "[host]:port" when the port is not 22; lower case. The caller frees it; NULL without
 * memory. */
char *nacre_known_hosts_name(const char *host, int port);

/* An empty list, to load files into. 0 or NACRE_ERROR_MEMORY. */
int nacre_known_hosts_new(struct nacre_known_hosts **known);
/* Frees it with all that it holds; NULL is allowed. */
void nacre_known_hosts_free(struct nacre_known_hosts *known);

/*
 * Adds the lines of "file" that name "name" (see nacre_known_hosts_name()) or, when "address" is
 * not NULL, the address (in the same form). Lines that
 * cannot be read are passed over; those that name the host leave a note. 0 or NACRE_ERROR_SYSTEM
 * (with errno: ENOENT for a file that is not there), NACRE_ERROR_MEMORY.
 */
int nacre_known_hosts_load(
    struct nacre_known_hosts *known, const char *file, const char *name, const char *address);
/* The same from text (the output of KnownHostsCommand); "file" names it in results. */
int nacre_known_hosts_load_text(struct nacre_known_hosts *known, struct nacre_span text,
    const char *file, const char *name, const char *address);

/* Takes out the lines that came from this file. */
void nacre_known_hosts_forget(struct nacre_known_hosts *known, const char *file);

enum nacre_host_verdict {
	NACRE_HOST_OK,      /* this key is on a line; for a certificate: its authority is */
	NACRE_HOST_NEW,     /* no line with a key */
	NACRE_HOST_CHANGED, /* lines with other keys only, of whatever type */
	NACRE_HOST_REVOKED  /* the key, or a certificate's authority, is marked @revoked */
};

/* What the lines say about "key" (or the certificate's authority, whose plain key is given in
 * "authority"; NULL for a plain key). *found (may be NULL): the line that decides, or NULL. Lines
 * found by address count when "by_address" is true, the others when it is false. */
enum nacre_host_verdict nacre_known_hosts_check(const struct nacre_known_hosts *known,
    const struct nacre_key *key, const struct nacre_key *authority, bool by_address,
    const struct nacre_known_host **found);
/* True when plain keys of this format ("ssh-ed25519"; empty: any) are known for the host's name. */
bool nacre_known_hosts_has(const struct nacre_known_hosts *known, struct nacre_span key_format);
/* True when a @cert-authority line names the host. */
bool nacre_known_hosts_has_authority(const struct nacre_known_hosts *known);

/* Whether a certificate is one of this host's now: its kind, its validity, and a principal that is
 * the host's name or a pattern of it. 0 or NACRE_ERROR_REFUSED with *reason (static). */
int nacre_certificate_check_host(const struct nacre_certificate *certificate, const char *host,
    uint64_t now, const char **reason);

/* What the DNS says of a host key: SSHFP records, RFC 4255. */
struct nacre_sshfp_votes {
	bool same, other; /* records of this key, and of another of its type */
};
struct nacre_sshfp {
	bool found;  /* there are some for this host, of kinds that are known */
	bool match;  /* they are of this key, all that are of its type */
	bool secure; /* the resolver vouches for them: it has checked their signatures */
	struct nacre_sshfp_votes sha256, sha1; /* how "match" came about */
};
/* Compares the records of a resolver's answer (RFC 1035 section 4.1) with a plain key's "format" and
 * "blob". Fills *result; an answer that is malformed has no records. */
void nacre_sshfp_judge(struct nacre_span answer, const char *format, struct nacre_span blob,
    struct nacre_sshfp *result);

/* For a question about an unknown key: appends the names under which the file has it,
 * "    FILE:LINE: NAMES\n" each, as long as *count, which counts on, is below "most". */
void nacre_known_hosts_put_names(const char *file, const struct nacre_key *key, size_t most,
    size_t *count, struct nacre_buffer *text);

/* Appends the lines themselves to a text: one for "names", or, hashed, one a name. 0 or
 * NACRE_ERROR_LIBRARY, when names cannot be hashed, or NACRE_ERROR_MEMORY. */
int nacre_known_hosts_put(
    const char *names, const struct nacre_key *key, bool hash, struct nacre_buffer *text);
/*
 * Appends a line for "names" ("host" or "host,address", in the form of nacre_known_hosts_name())
 * with "key" to the file; with "hash" one line a name with the name hashed. Makes the file (mode
 * 0600) and its directory (0700) if need be and begins on a line of its own. NACRE_ERROR_SYSTEM
 * with errno.
 */
int nacre_known_hosts_append(
    const char *file, const char *names, const struct nacre_key *key, bool hash);

/* One change of a key set (UpdateHostKeys): removes the lines of "name" whose key is in "drop" and
 * appends "add". Atomic; keeps the old file's mode. */
int nacre_known_hosts_replace(const char *file, const char *name, struct nacre_key *const *drop,
    size_t drop_count, struct nacre_key *const *add, size_t add_count, bool hash);

/*
 * ssh-keygen -F, -R, -H. They append what OpenSSH prints to "out" (standard output) and "messages"
 * (standard error). FIND: 0, or NACRE_ERROR_NOT_FOUND. The file is rewritten atomically, the old
 * one kept as FILE.old.
 */
struct nacre_known_hosts_job {
	const char *file;
	const char *name;  /* as given by the user: "host" or "[host]:port"; NULL for -H */
	bool hash;         /* FIND: print found names hashed */
	bool quiet;        /* do not tell where a name was found */
	bool fingerprints; /* FIND: print fingerprints (-l) */
	bool randomart;    /* and pictures (-v) */
	enum nacre_fingerprint_hash fingerprint_hash;
};
int nacre_known_hosts_find(const struct nacre_known_hosts_job *job, struct nacre_buffer *out,
    struct nacre_buffer *messages);
int nacre_known_hosts_remove(const struct nacre_known_hosts_job *job, struct nacre_buffer *out,
    struct nacre_buffer *messages);
int nacre_known_hosts_hash(const struct nacre_known_hosts_job *job, struct nacre_buffer *out,
    struct nacre_buffer *messages);

#ifdef __cplusplus
}
#endif
#endif
