/*
 * Copying of files and trees between this machine and an SFTP server, or between two servers, with
 * many files and many blocks of each under way at once. Work on the local file system is done
 * here, work on connections by the caller, who moves bytes between this and the channels.
 * Memory is bounded whatever the tree.
 */
#ifndef NACRE_TRANSFER_H
#define NACRE_TRANSFER_H

#include <nacre/sftp_client.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nacre_transfer;

enum nacre_transfer_side { NACRE_TRANSFER_SOURCE = 0, NACRE_TRANSFER_TARGET = 1 };

struct nacre_transfer_options {
	/* The two ends: NULL is the local file system. Not both; they may be two connections to one
	 * server. Borrowed until the transfer is freed; see nacre_transfer_reply() for sharing them. */
	struct nacre_sftp *source, *target;
	const char *target_path;  /* where to; "~" is expanded by the server */
	bool target_is_directory; /* it must be one (several sources) */
	bool exact;     /* one source, whose copy has just this path, a directory there or not */
	bool recursive; /* directories too; else they are errors */
	bool preserve;  /* times and all mode bits */
	bool resume;    /* files that are there in part are continued behind that, unseen */
	/* What a broken copy has left is continued from what is found to be right: see
	 * common/sftp/transfer_verify.c. Complete files are passed over. Sets times. */
	bool verify;
	bool sync;     /* files of the same size and time are passed over. Sets times */
	bool checksum; /* with verify and sync: the content decides, not size and time */
	bool prune;    /* with sync: what a directory's source does not have is removed */
	/* A file appears under its name when it is complete and flushed, a directory (without sync)
	 * takes the place of the one that was there as a whole. */
	bool atomic;
	bool keep;    /* with atomic: the directory that was there stays, as NAME.old */
	bool dry_run; /* only PLAN events; nothing is changed */
	/* fnmatch(3) patterns of what directories hold and is left out: with a slash, of the path
	 * below the source; without, of the last component. Borrowed. */
	char *const *excluded;
	size_t excluded_count;
	/* More connections like source and target, for --jobs; as many of each that is not NULL. */
	struct nacre_sftp *const *more_sources, *const *more_targets;
	size_t more_count;
	bool flush;        /* each file is written to the disk before it counts as done */
	bool brief;        /* of a file that cannot be uploaded, the cause is told and no more */
	uint64_t rate;     /* bytes per second at most; 0: no bound */
	uint32_t requests; /* most READs and WRITEs at once; 0: as the path carries */
	uint32_t block;    /* bytes of one READ or WRITE; 0: what the server takes */
};

/* Makes a transfer; strings of the options are copied. 0 or NACRE_ERROR_MEMORY. */
int nacre_transfer_new(
    const struct nacre_transfer_options *options, struct nacre_transfer **transfer);
/* Frees it, before its ends; files that were not complete stay so. NULL is allowed. */
void nacre_transfer_free(struct nacre_transfer *transfer);
/* Adds a source; its last component is the name in a target directory. Remote paths may hold
 * glob(7) patterns and begin with "~". All before the first nacre_transfer_output(). */
int nacre_transfer_add(struct nacre_transfer *transfer, const char *path);

/* The same for a remote source that was looked at before: "path" is its name and no pattern,
 * "attributes" say what it is. */
int nacre_transfer_add_known(struct nacre_transfer *transfer, const char *path,
    const struct nacre_sftp_attributes *attributes);

/* Patterns as glob(7) has them: whether the first "length" bytes hold a wildcard that no backslash
 * takes the meaning from, and a copy of them without the backslashes that quote (the caller frees;
 * NULL without memory). */
bool nacre_glob_has_wildcards(const char *pattern, size_t length);
char *nacre_glob_unquote(const char *pattern, size_t length);

/* Fills "room" with bytes for that side's channel; returns how many. 0: nothing until something is
 * received (or the deadline). "lane" is 0 for source and target, and counts on for the others. */
size_t nacre_transfer_output(struct nacre_transfer *transfer, size_t lane,
    enum nacre_transfer_side side, uint8_t *room, size_t length, uint64_t now);
/* Takes all of the received bytes. 0, or a negative error after which nothing goes on; the message
 * is an event. */
int nacre_transfer_receive(struct nacre_transfer *transfer, size_t lane,
    enum nacre_transfer_side side, struct nacre_span bytes, uint64_t now);
/* The same for one reply that the caller has received from nacre_sftp_receive(): where several
 * transfers, or other requests, share a connection, its replies tell by their owner, the transfer,
 * whose they are. */
int nacre_transfer_reply(struct nacre_transfer *transfer, enum nacre_transfer_side side,
    struct nacre_sftp_reply *reply, uint64_t now);
/* False while so much waits to be written to the other side that the caller must not read. */
bool nacre_transfer_wants_input(
    const struct nacre_transfer *transfer, enum nacre_transfer_side side);
/* When nacre_transfer_output() may give more though nothing came; UINT64_MAX: not. */
uint64_t nacre_transfer_deadline(const struct nacre_transfer *transfer);
/* Nothing further is begun, and what is under way is given up: files stay as they are, handles are
 * closed. The transfer is finished when all answers have come. */
void nacre_transfer_cancel(struct nacre_transfer *transfer);
/* True when all is done; the channels may be closed. */
bool nacre_transfer_finished(const struct nacre_transfer *transfer);

enum nacre_transfer_event_kind {
	NACRE_TRANSFER_BEGUN = 1, /* a file's copying begins: name, size */
	NACRE_TRANSFER_DONE,      /* it is complete (ok) or was given up */
	NACRE_TRANSFER_ERROR,     /* text: a line for the user, without "scp: " */
	NACRE_TRANSFER_NOTE,      /* text: a line for verbose mode */
	NACRE_TRANSFER_DIRECTORY, /* text: the source path of a directory whose turn it is */
	NACRE_TRANSFER_PLAN       /* text: what a dry run would do */
};

struct nacre_transfer_event {
	enum nacre_transfer_event_kind kind;
	const char *text;      /* or the name; until the next call */
	uint64_t file;         /* number of the file, from 1 in order of creation */
	uint64_t size, copied; /* bytes */
	bool ok;
};
/* Takes the next event; false when there is none. */
bool nacre_transfer_next_event(struct nacre_transfer *transfer, struct nacre_transfer_event *event);

struct nacre_transfer_progress {
	uint64_t files_found, files_done, files_failed;
	uint64_t files_same; /* of files_done: nothing was to be copied */
	uint64_t pruned;     /* files and directories that were removed */
	uint64_t bytes_found, bytes_done;
	/* The file whose data moved last; 0: none. */
	uint64_t file, file_size, file_copied;
};
/* How far it is: files and bytes found so far, and done. */
void nacre_transfer_progress(
    const struct nacre_transfer *transfer, struct nacre_transfer_progress *progress);
/* Number of errors reported so far: the exit status is 0 only without any. */
uint64_t nacre_transfer_errors(const struct nacre_transfer *transfer);
/* The exit status that scp(1) gives: 0, 1, or 255 where it goes no further. */
int nacre_transfer_status(const struct nacre_transfer *transfer);

#ifdef __cplusplus
}
#endif
#endif
