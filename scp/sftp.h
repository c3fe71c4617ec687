/* sftp: what its files share. */
#ifndef SCP_SFTP_H
#define SCP_SFTP_H

#include <scp/scp.h>

#include <nacre/transfer.h>

/* Which lines of a batch may overlap: those that are marked with "-", all, or none. */
enum overlap { OVERLAP_MARKED, OVERLAP_ALL, OVERLAP_NONE };

/* sftp_options.c */
struct sftp_options {
	struct options connection; /* what scp's are */
	const char *batch_file;    /* -b; "-": standard input */
	bool recursive, preserve, resume, flush;
	enum overlap overlap; /* -X overlap= */
	bool quiet;           /* -q, or a batch */
	bool talkative;       /* -N: not even then */
	char *host, *user, *path;
	const char *target; /* where the file at "path" goes, here; NULL: its own name */
	int port;
};
void sftp_options_read(struct sftp_options *options, int argc, char **argv);

/* A path that was found, with what the directory said of it. */
struct found {
	char *path;
	struct nacre_sftp_attributes attributes;
	char *long_name; /* the server's line of ls -l; NULL: not told */
};
struct found_list {
	struct found *items;
	size_t count;
};

/* A transfer that shares the session with others. */
struct remote_transfer {
	struct remote_transfer *next;
	struct nacre_transfer *transfer;
	enum nacre_transfer_side side; /* which of its ends the server is */
};

/* The session with the server. */
struct remote {
	struct link *link;
	struct nacre_sftp *sftp;
	bool lost;       /* nothing comes any more; it was said */
	char *directory; /* absolute */
	struct remote_transfer *transfers;
	struct nacre_buffer *last_words; /* where what is said of its end goes; NULL: it is said */
	const volatile sig_atomic_t *interrupted; /* by the person; NULL: nobody can */
};

/* sftp_remote.c: requests that are waited for. */
struct answer {
	enum nacre_sftp_message message; /* 0: not there yet */
	uint32_t status;
	struct nacre_sftp_attributes attributes;
	struct nacre_buffer content; /* a handle, names, or an extended reply */
	uint32_t count;              /* of names */
};
/* The tag that leads a reply to "answer", which must live until then. */
struct nacre_sftp_tag answer_tag(struct answer *answer);
/* Waits for it; false when the connection is gone or the person does not want to wait. Frees
 * nothing. */
bool remote_await(struct remote *remote, struct answer *answer);
/* The same for whatever "ready" tells of "what". */
bool remote_wait(struct remote *remote, bool (*ready)(const void *what), const void *what);
bool remote_interrupted(const struct remote *remote);
/* Sends what is to be sent, waits so many milliseconds at most (negative: for ever), takes what has
 * come. */
void remote_move(struct remote *remote, int64_t timeout);
/* The same until something comes, and lets tasks go on whose time has come. */
void remote_turn(struct remote *remote);
/* Runs a transfer to its end beside others; what it has to tell stays in its events. */
void remote_run_transfer(
    struct remote *remote, struct nacre_transfer *transfer, enum nacre_transfer_side side);
void answer_free(struct answer *answer);
/* True for success; else complains: the words of "doing", and why. */
bool answer_ok(const struct answer *answer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Opens the connection's SFTP end and learns where it begins. */
bool remote_start(struct remote *remote);
void remote_end(struct remote *remote);
/* STAT or LSTAT; an error status without a word. */
bool remote_stat(struct remote *remote, const char *path, bool follow, struct answer *answer);
/* The canonical path, or NULL after a message. */
char *remote_real_path(struct remote *remote, const char *path);
/* All entries of a directory, "." and ".." too; false after a message. */
bool remote_list(struct remote *remote, const char *path, struct found_list *list);
/* "path" as seen from the remote directory. */
char *remote_absolute(const struct remote *remote, const char *path);

/* Takes the strings over. */
void found_add(struct found_list *list, char *path, const struct nacre_sftp_attributes *attributes,
    char *long_name);
void found_free(struct found_list *list);

/* sftp_glob.c: remote paths that a pattern names, sorted; a path without wildcards is looked at
 * only when "must_exist". False when there is none. */
bool remote_glob(
    struct remote *remote, const char *pattern, bool must_exist, struct found_list *list);
/* Puts in place of the links in a list what they lead to, where there is such a thing. */
void remote_follow(struct remote *remote, struct found_list *list);
/* "pattern" as seen from the remote directory, whose own name is quoted. */
char *remote_pattern(const struct remote *remote, const char *pattern);
/* "base", a slash unless it is there or "base" is empty, and "name". */
char *path_join(const char *base, const char *name);
/* Without the backslashes that quote. */
char *glob_unquote(const char *pattern);
/* With backslashes before wildcards. */
char *glob_quote(const char *path);
bool glob_has_wildcards(const char *pattern);

/* sftp_line.c: words of a command line; wildcards that were quoted have a backslash before them.
 * 0, or -1 after a message. */
int line_split(const char *line, struct words *words);
/* The state at the end of a line that is being typed: its last word begins at *start, within
 * "quote" (0: none). */
void line_last_word(const char *line, size_t length, size_t *start, char *quote);

/* sftp_commands.c */
struct sftp {
	struct sftp_options *options;
	struct remote remote;
	bool show_progress, interactive;
	bool finished;
};
/* Runs a line: 0, 1 after an error, -1 when the connection is gone. */
int command_run(struct sftp *sftp, const char *line);
/* The name of the command of that number, NULL behind the last; *remote: its arguments are remote
 * paths, *local: local ones. For completion. */
const char *command_name(size_t number, bool *remote, bool *local);

/* sftp_batch.c: runs the lines of a file; "strict": the first failure is the end. 0, or the exit
 * status. */
int batch_run(struct sftp *sftp, int fd, bool strict);

/* sftp_copy.c */
struct copy_flags {
	bool recursive, preserve, resume, flush;
};
int copy_get(
    struct sftp *sftp, const struct copy_flags *flags, const char *source, const char *target);
int copy_put(
    struct sftp *sftp, const struct copy_flags *flags, const char *source, const char *target);

/* sftp_list.c: ls. */
enum list_flags {
	LIST_LONG = 1,
	LIST_ONE_COLUMN = 2,
	LIST_ALL = 4,
	LIST_NUMERIC = 8,
	LIST_REVERSE = 16,
	LIST_BY_SIZE = 32,
	LIST_BY_TIME = 64,
	LIST_UNSORTED = 128,
	LIST_HUMAN = 256
};
int list_remote(struct sftp *sftp, const char *pattern, unsigned flags);
/* "12.3K" and so on; "full": "12.3KB". */
void format_bytes(uint64_t bytes, bool full, char *text, size_t room);

/* sftp_edit.c: a person types. */
/* Reads and runs lines until the end; returns the last status. */
int edit_run(struct sftp *sftp);

#endif
