/*
 * SFTP version 3 (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions: attributes, status codes
 * and the client's end of a connection. No I/O on the connection happens here: the caller moves
 * bytes between this and a channel, a pipe or a test.
 */
#ifndef NACRE_SFTP_H
#define NACRE_SFTP_H

#include <nacre/wire.h>

#include <sys/stat.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NACRE_SFTP_VERSION      3
#define NACRE_SFTP_MESSAGE_MAX  ((size_t)256 * 1024) /* bytes, without the length field */
#define NACRE_SFTP_DATA_MAX     ((size_t)255 * 1024) /* most file data in one message */
#define NACRE_SFTP_DATA_DEFAULT ((size_t)32 * 1024)  /* what every server takes */
#define NACRE_SFTP_HANDLE_MAX   256

enum nacre_sftp_message {
	NACRE_SFTP_INIT = 1,
	NACRE_SFTP_VERSION_REPLY = 2,
	NACRE_SFTP_OPEN = 3,
	NACRE_SFTP_CLOSE = 4,
	NACRE_SFTP_READ = 5,
	NACRE_SFTP_WRITE = 6,
	NACRE_SFTP_LSTAT = 7,
	NACRE_SFTP_FSTAT = 8,
	NACRE_SFTP_SETSTAT = 9,
	NACRE_SFTP_FSETSTAT = 10,
	NACRE_SFTP_OPENDIR = 11,
	NACRE_SFTP_READDIR = 12,
	NACRE_SFTP_REMOVE = 13,
	NACRE_SFTP_MKDIR = 14,
	NACRE_SFTP_RMDIR = 15,
	NACRE_SFTP_REALPATH = 16,
	NACRE_SFTP_STAT = 17,
	NACRE_SFTP_RENAME = 18,
	NACRE_SFTP_READLINK = 19,
	NACRE_SFTP_SYMLINK = 20,
	NACRE_SFTP_STATUS = 101,
	NACRE_SFTP_HANDLE = 102,
	NACRE_SFTP_DATA = 103,
	NACRE_SFTP_NAME = 104,
	NACRE_SFTP_ATTRS = 105,
	NACRE_SFTP_EXTENDED = 200,
	NACRE_SFTP_EXTENDED_REPLY = 201
};

enum nacre_sftp_status {
	NACRE_SFTP_OK = 0,
	NACRE_SFTP_EOF = 1,
	NACRE_SFTP_NO_SUCH_FILE = 2,
	NACRE_SFTP_PERMISSION_DENIED = 3,
	NACRE_SFTP_FAILURE = 4,
	NACRE_SFTP_BAD_MESSAGE = 5,
	NACRE_SFTP_NO_CONNECTION = 6,
	NACRE_SFTP_CONNECTION_LOST = 7,
	NACRE_SFTP_OP_UNSUPPORTED = 8
};

/* pflags of SSH_FXP_OPEN. */
enum {
	NACRE_SFTP_OPEN_READ = 0x01,
	NACRE_SFTP_OPEN_WRITE = 0x02,
	NACRE_SFTP_OPEN_APPEND = 0x04,
	NACRE_SFTP_OPEN_CREATE = 0x08,
	NACRE_SFTP_OPEN_TRUNCATE = 0x10,
	NACRE_SFTP_OPEN_EXCLUSIVE = 0x20
};

/* Which fields of the attributes are there (section 5). */
enum {
	NACRE_SFTP_ATTR_SIZE = 0x00000001,
	NACRE_SFTP_ATTR_OWNER = 0x00000002,
	NACRE_SFTP_ATTR_PERMISSIONS = 0x00000004,
	NACRE_SFTP_ATTR_TIMES = 0x00000008,
	NACRE_SFTP_ATTR_EXTENDED = 0x80000000
};

struct nacre_sftp_attributes {
	uint32_t flags; /* NACRE_SFTP_ATTR_... */
	uint64_t size;  /* bytes */
	uint32_t uid, gid;
	uint32_t permissions;  /* st_mode, type included */
	uint32_t atime, mtime; /* seconds since 1970 */
};

/* What limits@openssh.com told, or the defaults; bytes, and open handles (0: not told). */
struct nacre_sftp_limits {
	uint64_t message, read, write, handles;
};

/* "Success", "End of file", ...: OpenSSH's wording; never NULL. */
const char *nacre_sftp_status_string(uint32_t status);
/* Reads attributes; extended pairs are checked and skipped. */
void nacre_sftp_get_attributes(
    struct nacre_reader *reader, struct nacre_sftp_attributes *attributes);
/* Writes them; extended pairs are never sent. */
void nacre_sftp_put_attributes(
    struct nacre_buffer *buffer, const struct nacre_sftp_attributes *attributes);
/* All fields from a stat structure; times before 1970 and after 2106 are clamped. */
void nacre_sftp_attributes_of_stat(
    const struct stat *status, struct nacre_sftp_attributes *attributes);

#ifdef __cplusplus
}
#endif
#endif
