/*
 * The client's end of an SFTP connection: requests are queued by calls and numbered, their bytes
 * are fetched for the channel, received bytes give replies one by one. Any number of requests may
 * be under way; the version exchange needs no waiting. See transfer.h for copying of trees.
 */
#ifndef NACRE_SFTP_CLIENT_H
#define NACRE_SFTP_CLIENT_H

#include <nacre/sftp.h>

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nacre_sftp;

/* Extensions that a server names in its version reply. */
enum nacre_sftp_extension {
	NACRE_SFTP_POSIX_RENAME = 1 << 0,
	NACRE_SFTP_STATVFS = 1 << 1,
	NACRE_SFTP_FSTATVFS = 1 << 2,
	NACRE_SFTP_HARDLINK = 1 << 3,
	NACRE_SFTP_FSYNC = 1 << 4,
	NACRE_SFTP_LSETSTAT = 1 << 5,
	NACRE_SFTP_LIMITS = 1 << 6,
	NACRE_SFTP_EXPAND_PATH = 1 << 7,
	NACRE_SFTP_COPY_DATA = 1 << 8,
	NACRE_SFTP_HOME_DIRECTORY = 1 << 9,
	NACRE_SFTP_USERS_GROUPS_BY_ID = 1 << 10,
	/* check-file-name, draft-ietf-secsh-filexfer-extensions-00 section 3: hashes of blocks. */
	NACRE_SFTP_CHECK_FILE = 1 << 11,
	/* exchange@nacre: two paths change places in one step. Payload: string, string. */
	NACRE_SFTP_EXCHANGE = 1 << 12
};

/* What a reply goes back to: both are the caller's and are handed back unchanged. */
struct nacre_sftp_tag {
	void *context;
	uint32_t kind;
	uint64_t value;
};

struct nacre_sftp_reply {
	/* VERSION_REPLY, STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED_REPLY; 0: none is complete. */
	enum nacre_sftp_message message;
	struct nacre_sftp_tag tag;
	void *owner;                             /* nacre_sftp_set_owner() */
	uint32_t status;                         /* STATUS */
	struct nacre_span text;                  /* STATUS: the server's words (hostile) */
	struct nacre_span handle;                /* HANDLE */
	struct nacre_sftp_attributes attributes; /* ATTRS */
	uint32_t count;                          /* NAME: entries; nacre_sftp_get_name() */
	struct nacre_reader names;               /* NAME: them; EXTENDED_REPLY: its payload */
	/* DATA comes in pieces as it arrives: this piece, where it lies in the block that was asked
	 * for, and whether it is the last of its reply. */
	struct nacre_span data;
	size_t data_offset, data_total;
	bool last;
	uint64_t sent_at; /* "now" when the request was fetched for sending */
};

/* Makes a connection's end; SSH_FXP_INIT and limits@openssh.com are queued. */
int nacre_sftp_new(struct nacre_sftp **sftp);
/* Frees it; requests under way get no reply. NULL is allowed. */
void nacre_sftp_free(struct nacre_sftp *sftp);
/* Copies queued bytes to "room"; returns how many. "now" in milliseconds. */
size_t nacre_sftp_output(struct nacre_sftp *sftp, uint8_t *room, size_t length, uint64_t now);
/* How many bytes are queued. */
size_t nacre_sftp_output_length(const struct nacre_sftp *sftp);
/* Takes received bytes up to the end of one reply at most and fills *reply, whose spans live until
 * the next call or as long as "bytes". Returns how many bytes were used, or NACRE_ERROR_PROTOCOL or
 * NACRE_ERROR_MEMORY, with a message in nacre_sftp_error(). */
ssize_t nacre_sftp_receive(
    struct nacre_sftp *sftp, struct nacre_span bytes, struct nacre_sftp_reply *reply);
/* What went wrong, for the user; "" before. */
const char *nacre_sftp_error(const struct nacre_sftp *sftp);
/* True once the version reply has come; then the following are known. */
bool nacre_sftp_ready(const struct nacre_sftp *sftp);
uint32_t nacre_sftp_version(const struct nacre_sftp *sftp);
uint32_t nacre_sftp_extensions(const struct nacre_sftp *sftp); /* enum nacre_sftp_extension */
const struct nacre_sftp_limits *nacre_sftp_limits(const struct nacre_sftp *sftp);
/* Requests under way. */
size_t nacre_sftp_outstanding(const struct nacre_sftp *sftp);

/* Where several use one connection: whose the requests are that are made from now on (NULL: nobody's),
 * which their replies tell. Returns the one before. */
void *nacre_sftp_set_owner(struct nacre_sftp *sftp, void *owner);
/* The replies to requests under way that have this owner, or this context in their tag, are dropped
 * when they come. */
void nacre_sftp_forget(struct nacre_sftp *sftp, const void *whom);

/* Requests: each queues one message. 0, or NACRE_ERROR_MEMORY or NACRE_ERROR_ARGUMENT (too long).
 * Without "tag" the reply is checked and dropped. */
int nacre_sftp_open(struct nacre_sftp *sftp, struct nacre_span path, uint32_t flags,
    const struct nacre_sftp_attributes *attributes, const struct nacre_sftp_tag *tag);
/* CLOSE, FSTAT and READDIR. */
int nacre_sftp_handle_request(struct nacre_sftp *sftp, enum nacre_sftp_message message,
    struct nacre_span handle, const struct nacre_sftp_tag *tag);
int nacre_sftp_read(struct nacre_sftp *sftp, struct nacre_span handle, uint64_t offset,
    uint32_t length, const struct nacre_sftp_tag *tag);
/* Puts the head of a WRITE of "length" bytes into "room" (which takes NACRE_SFTP_WRITE_HEAD_MAX)
 * and returns its size; exactly "length" bytes of data are to follow it on the channel. Legal only
 * when nacre_sftp_output_length() is 0. */
#define NACRE_SFTP_WRITE_HEAD_MAX (4 + 1 + 4 + 4 + NACRE_SFTP_HANDLE_MAX + 8 + 4)
size_t nacre_sftp_write_head(struct nacre_sftp *sftp, uint8_t *room, struct nacre_span handle,
    uint64_t offset, uint32_t length, const struct nacre_sftp_tag *tag, uint64_t now);
/* The same with data that is copied to the queue. */
int nacre_sftp_write(struct nacre_sftp *sftp, struct nacre_span handle, uint64_t offset,
    struct nacre_span data, const struct nacre_sftp_tag *tag);
/* STAT, LSTAT, OPENDIR, REMOVE, RMDIR, REALPATH, READLINK. */
int nacre_sftp_path_request(struct nacre_sftp *sftp, enum nacre_sftp_message message,
    struct nacre_span path, const struct nacre_sftp_tag *tag);
/* SETSTAT and MKDIR on a path, FSETSTAT on a handle. */
int nacre_sftp_attributes_request(struct nacre_sftp *sftp, enum nacre_sftp_message message,
    struct nacre_span target, const struct nacre_sftp_attributes *attributes,
    const struct nacre_sftp_tag *tag);
/* RENAME (old, new), SYMLINK (content, link: in OpenSSH's order). */
int nacre_sftp_paths_request(struct nacre_sftp *sftp, enum nacre_sftp_message message,
    struct nacre_span first, struct nacre_span second, const struct nacre_sftp_tag *tag);
/* EXTENDED with its encoded payload. */
int nacre_sftp_extended_request(struct nacre_sftp *sftp, const char *name,
    struct nacre_span payload, const struct nacre_sftp_tag *tag);

/* One entry of a NAME reply; false at the end or when the rest is malformed. */
struct nacre_sftp_name {
	struct nacre_span file_name, long_name; /* any bytes */
	struct nacre_sftp_attributes attributes;
};
bool nacre_sftp_get_name(struct nacre_reader *names, struct nacre_sftp_name *name);

#ifdef __cplusplus
}
#endif
#endif
