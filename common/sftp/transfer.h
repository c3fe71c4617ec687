/*
 * Inside of a transfer. transfer.c holds the frame and the schedule, transfer_tree.c finds what is
 * to be copied, transfer_glob.c expands remote patterns, transfer_file.c copies one file,
 * transfer_local.c does the local file system's part. What is asked of a file's target before it
 * is written is in transfer_examine.c and transfer_verify.c, how it comes to its name in
 * transfer_atomic.c and transfer_stage.c, and what goes away in transfer_remove.c.
 */
#ifndef SFTP_TRANSFER_H
#define SFTP_TRANSFER_H

#include <nacre/transfer.h>

#include <sys/types.h>

/* Kinds of tags, in the low byte; READ has the length that was asked for above it. */
enum tag_kind {
	TAG_TARGET_EXPAND = 1, /* expand-path of the target */
	TAG_TARGET_STAT,
	TAG_TARGET_MKDIR,
	TAG_GLOB, /* the rest of the glob tags: context is a glob */
	TAG_GLOB_READDIR,
	TAG_GLOB_STAT,
	TAG_GLOB_EXPAND,
	TAG_LIST, /* context is a directory */
	TAG_LIST_READDIR,
	TAG_MKDIR,
	TAG_MKDIR_STAT,
	TAG_DIRECTORY_SETSTAT,
	TAG_STAGE_SWAP,
	TAG_REMOVAL_OPEN, /* context is a removal */
	TAG_REMOVAL_READ,
	TAG_REMOVAL_ENTRY,
	TAG_REMOVAL_SELF,
	TAG_ITEM_STAT, /* context is a file */
	TAG_EXAMINE,
	TAG_EXAMINE_PART,
	TAG_CHECK_OPEN,
	TAG_CHECK_HASH,
	TAG_CHECK_READ,
	TAG_SETTLE,
	TAG_RENAME,
	TAG_SOURCE_OPEN,
	TAG_TARGET_OPEN,
	TAG_TARGET_SIZE,
	TAG_PART_STAT,
	TAG_READ,
	TAG_WRITE,
	TAG_FILE_TRUNCATE,
	TAG_FILE_SETSTAT,
	TAG_FILE_FLUSH,
	TAG_FILE_CLOSE
};

#define TAG_LENGTH_SHIFT 8

struct handle {
	uint8_t bytes[NACRE_SFTP_HANDLE_MAX];
	uint16_t length;
	bool open;
};

/* What a transfer frees at its end, whatever request it was waiting for. First in its structure. */
struct tracked {
	struct tracked *next, **link;
	void (*destroy)(struct tracked *object);
};

/* Names in one block of memory. */
struct names {
	char *bytes; /* each with a NUL */
	uint32_t *offsets;
	size_t length, capacity, count, offset_capacity;
};

/* How a directory comes to its place: transfer_stage.c. */
struct stage {
	char *final_path; /* where it belongs */
	char *away_path;  /* where what was there goes to on its way out */
	char *kept_path;  /* or where it stays, or NULL */
	uint64_t errors;  /* before it was begun */
	unsigned step;
	const char *failure[2]; /* of the last two renamings: why, or NULL */
	bool displaced;         /* what was there has been moved away */
};

/* What is known of a file's target before it is written, and the comparison of what is there with
 * the source: transfer_examine.c and transfer_verify.c. */
struct check {
	struct nacre_sftp_attributes there, part; /* flags 0: it does not exist */
	char *path;                               /* that is compared */
	struct handle handle;
	int fd;
	uint64_t next, end; /* bytes still to be asked about */
	uint64_t differs;   /* where the first difference lies, UINT64_MAX: none */
	unsigned pending;
	uint8_t *hashes; /* between servers: those of the source that came first */
	bool hashing;    /* by the servers' hashes, else by reading back */
	bool whole;      /* the question is whether all is the same */
};

/* A directory of the tree; it lives as long as something in it is under way. */
struct directory {
	struct tracked tracked;
	struct directory *parent, *next;
	char *source_path, *target_path;
	size_t references; /* its listing, its children, requests about it */
	struct nacre_sftp_attributes attributes;
	unsigned depth;
	bool creating; /* MKDIR is not answered yet */
	bool fresh;    /* made by us: nothing was in it */
	bool failed, finishing;
	size_t relative; /* where the path below the source begins in source_path */
	/* In order: of a local one, and of any whose target is to be pruned. */
	struct names names;
	size_t name_next;
	bool pruning;        /* begun */
	bool incomplete;     /* it could not be listed: not all names are known */
	struct stage *stage; /* of a source that is to take its target's place as a whole */
	bool staged;         /* it is in such a one, or one itself */
	/* Listing of a remote one. */
	struct handle *handle;
	unsigned readdirs;
	bool listed;
};

/* A block between two servers. */
struct block {
	struct block *next;
	struct file *file;
	uint64_t offset;
	size_t length, sent;
	uint8_t data[];
};

struct file {
	struct tracked tracked;
	struct file *next; /* in the queue that its state puts it in */
	uint64_t number;
	struct directory *directory; /* NULL for a source of its own */
	char *source_path, *target_path;
	struct nacre_sftp_attributes attributes; /* of the source */
	int fd;                                  /* local end, or -1 */
	struct handle source, target;
	uint64_t next_offset; /* of the next READ or WRITE */
	uint64_t copied, end; /* bytes; where the source ends, UINT64_MAX: not seen yet */
	uint64_t local_size;  /* of the local file before */
	unsigned pending;     /* requests under way */
	unsigned reads;       /* READs of them */
	bool failed, finishing, retried, opened_early, begun;
	bool queued;         /* among the movers */
	size_t lane;         /* which of the connections it goes through */
	char *part_path;     /* where it is written to until it is complete, or NULL */
	struct check *check; /* or NULL */
	bool examined;       /* nothing more is to be asked before it is copied */
	bool renamed;        /* it has its name */
	bool part_there;     /* part_path is a file of an earlier copy */
	/* Of a large file that several connections copy, each its range: those but the first have
	 * a master, which ends after them. */
	struct file *master;
	uint64_t limit; /* where the range ends */
	unsigned ranges;
	struct block *incoming; /* between servers: READs that are not complete */
	unsigned block_count;   /* and blocks that wait to be written */
};

struct file_queue {
	struct file *first, **tail;
	size_t count;
};

struct event_node {
	struct event_node *next;
	struct nacre_transfer_event event;
	char text[];
};

/* A remote source and its expansion. */
struct root {
	struct tracked tracked;
	struct root *next;
	char *path;
	size_t pending, matches;
	bool literal; /* a name, not a pattern */
	bool known;   /* and what it is */
	struct nacre_sftp_attributes attributes;
};

struct glob {
	struct tracked tracked;
	struct root *root;
	char *base; /* expanded part, with a slash at its end, or empty */
	char *rest; /* pattern */
	struct handle handle;
	unsigned readdirs;
	bool listed;
	/* matches of its first component */
	struct match *matches;
	size_t match_count;
};

#define LANES_MAX 16

struct lane {
	struct nacre_sftp *ends[2];          /* by enum nacre_transfer_side */
	struct file_queue movers;            /* whose data is to be asked for or sent */
	struct block *blocks, **blocks_tail; /* to be written, of all files */
	size_t in_flight;                    /* files */
	/* Bytes of WRITEs that are under way, and that may be: as the answers come. */
	uint64_t written, write_window, least_write_delay;
};

struct nacre_transfer {
	struct nacre_transfer_options options;
	struct nacre_sftp *ends[2]; /* of the first lane, which all but files go through */
	struct lane lanes[LANES_MAX];
	size_t lane_count;
	uint64_t now;
	/* Target */
	char *target_path;
	bool target_asked, target_known, target_is_directory, target_exists;
	bool fatal;
	bool cancelled;
	bool hopeless; /* an error that OpenSSH's scp ends with status 255 for */
	/* Sources */
	struct root *roots, **roots_tail;
	struct directory *walk; /* innermost local directory; its parents by "next" */
	struct directory *to_list, **to_list_tail;
	struct directory *parked, **parked_tail; /* listings that wait for room */
	size_t listings;
	struct tracked *objects; /* roots, globs, directories and files that exist */
	struct file_queue found; /* to be opened */
	size_t in_flight, files_max;
	uint64_t next_number;
	/* Path */
	uint64_t window, read_bytes; /* READ bytes that may be, and are under way */
	uint32_t read_requests, write_requests;
	uint64_t cross_bytes; /* between servers: asked for and not sent on yet */
	uint32_t read_block;  /* what the server gives at once, once it gave less */
	struct file *current; /* whose data moved last */
	uint64_t least_delay; /* ms */
	uint64_t rate_time;   /* ms: when the bytes so far are paid for */
	/* Result */
	struct event_node *events, **events_tail, *taken;
	struct nacre_transfer_progress progress;
	uint64_t errors;
};

#define WRITE_WINDOW_START ((uint64_t)2 * 1024 * 1024)

#define CROSS_BOUND ((uint64_t)16 * 1024 * 1024)

/* transfer.c */
__attribute__((format(printf, 2, 3))) void transfer_error(
    struct nacre_transfer *transfer, const char *format, ...);
/* The same, which does not count as a failure. */
__attribute__((format(printf, 2, 3))) void transfer_warning(
    struct nacre_transfer *transfer, const char *format, ...);
void transfer_event(struct nacre_transfer *transfer, enum nacre_transfer_event_kind kind,
    const struct file *file, const char *text, bool ok);
/* Memory or the connection is gone: nothing goes on. */
void transfer_fatal(struct nacre_transfer *transfer, const char *text);
const char *transfer_status_text(const struct nacre_sftp_reply *reply);
struct nacre_sftp_tag transfer_tag(uint32_t kind, void *context, uint64_t value);
/* Checks the result of a request call. */
bool transfer_sent(struct nacre_transfer *transfer, int result);
void object_track(struct nacre_transfer *transfer, struct tracked *object,
    void (*destroy)(struct tracked *object));
void object_free(struct tracked *object);
void queue_init(struct file_queue *queue);
void queue_push(struct file_queue *queue, struct file *file);
void queue_push_front(struct file_queue *queue, struct file *file);
struct file *queue_pop(struct file_queue *queue);
/* True while more bytes may be moved under -l; counts "bytes" when it is. */
bool transfer_rate_allows(const struct nacre_transfer *transfer);
void transfer_rate_count(struct nacre_transfer *transfer, uint64_t bytes);
/* The connection of a file at one side, NULL: it is local. */
struct nacre_sftp *file_end(
    const struct nacre_transfer *transfer, const struct file *file, enum nacre_transfer_side side);
/* True when times are set, and modes only with "preserve". */
bool transfer_sets_times(const struct nacre_transfer *transfer);
/* A PLAN event. */
__attribute__((format(printf, 2, 3))) void transfer_plan(
    struct nacre_transfer *transfer, const char *format, ...);
struct nacre_span handle_span(const struct handle *handle);
bool handle_set(struct handle *handle, struct nacre_span bytes);

/* transfer_tree.c */
char *path_join(const char *directory, const char *name);
/* Last component of a path, slashes at the end ignored; the caller frees. */
char *path_base(const char *path);
bool name_is_safe(struct nacre_span name);
void tree_target_resolve(struct nacre_transfer *transfer);
void tree_target_reply(
    struct nacre_transfer *transfer, enum tag_kind kind, struct nacre_sftp_reply *reply);
/* Several sources go to one target: a missing one becomes a directory; false after an error. */
bool tree_target_for_many(struct nacre_transfer *transfer);
/* Takes an existing source of its own into the tree. */
void tree_add_root(struct nacre_transfer *transfer, const char *path,
    const struct nacre_sftp_attributes *attributes);
void tree_add_item(struct nacre_transfer *transfer, struct directory *parent, char *source_path,
    char *target_path, const struct nacre_sftp_attributes *attributes);
void tree_item_reply(struct nacre_transfer *transfer, struct nacre_sftp_reply *reply);
void tree_directory_reply(
    struct nacre_transfer *transfer, enum tag_kind kind, struct nacre_sftp_reply *reply);
void tree_start_listings(struct nacre_transfer *transfer);
void directory_release(struct nacre_transfer *transfer, struct directory *directory);
/* True while requests ahead of the channels are few. */
bool transfer_has_room(const struct nacre_transfer *transfer);
/* Walks local directories until some files are found; false when nothing is left to walk. */
bool tree_walk_local(struct nacre_transfer *transfer);

/* transfer_glob.c */
void glob_start(struct nacre_transfer *transfer, struct root *root);
void glob_reply(
    struct nacre_transfer *transfer, enum tag_kind kind, struct nacre_sftp_reply *reply);

/* transfer_file.c */
struct file *file_new(struct nacre_transfer *transfer, struct directory *directory,
    char *source_path, char *target_path, const struct nacre_sftp_attributes *attributes);
void file_start(struct nacre_transfer *transfer, struct file *file);
void file_reply(
    struct nacre_transfer *transfer, enum tag_kind kind, struct nacre_sftp_reply *reply);
/* Asks for data of the files that move, as far as the window allows. */
void file_schedule_reads(struct nacre_transfer *transfer, struct lane *lane);
/* Puts one WRITE into "room"; returns its length, 0: none now. When "whole_room" is too small for
 * one, it is queued to go in pieces. */
size_t file_produce_write(struct nacre_transfer *transfer, struct lane *lane, uint8_t *room,
    size_t length, bool whole_room);
/* The file is through with nothing copied; an error was reported when "failed". */
void file_settled(struct nacre_transfer *transfer, struct file *file, bool failed);
/* Copies it, from "offset" on. */
void file_copy(struct nacre_transfer *transfer, struct file *file, uint64_t offset);
/* The path that is opened for writing. */
const char *file_write_path(const struct file *file);
void file_fail(struct nacre_transfer *transfer, struct file *file);
const char *file_name(const char *path);
/* What the target's size is to be, once the source was seen to its end. */
uint64_t file_final_size(const struct nacre_transfer *transfer, const struct file *file);

/* transfer_names.c */
bool names_add(struct names *names, const char *name);
void names_sort(struct names *names);
/* Of names that are sorted. */
bool names_has(const struct names *names, const char *name);
const char *names_at(const struct names *names, size_t index);
void names_free(struct names *names);

/* transfer_exclude.c */
bool exclude_matches(
    const struct nacre_transfer *transfer, const struct directory *directory, const char *name);

/* transfer_examine.c: what a file's target is like before it is written. */
/* True when the file is taken over: it comes back by file_copy() or file_settled(). */
bool examine_start(struct nacre_transfer *transfer, struct file *file);
void examine_reply(
    struct nacre_transfer *transfer, enum tag_kind kind, struct nacre_sftp_reply *reply);
/* The comparison is through: file->check->differs tells. */
void examine_compared(struct nacre_transfer *transfer, struct file *file);
void check_free(struct file *file);

/* transfer_verify.c */
/* False when there is no way to compare but copying. */
bool verify_start(struct nacre_transfer *transfer, struct file *file, const char *path,
    uint64_t begin, uint64_t end);
void verify_reply(
    struct nacre_transfer *transfer, enum tag_kind kind, struct nacre_sftp_reply *reply);
bool verify_can_hash(const struct nacre_transfer *transfer, const struct file *file);

/* transfer_atomic.c */
/* Gives a file its name for the time until it is complete; false without memory. */
bool atomic_prepare(struct nacre_transfer *transfer, struct file *file);
/* Moves a complete file to its name: TAG_RENAME answers when the target is remote. */
void atomic_rename(struct nacre_transfer *transfer, struct file *file);
void atomic_reply(
    struct nacre_transfer *transfer, struct file *file, const struct nacre_sftp_reply *reply);
bool atomic_flush_directory(struct nacre_transfer *transfer, const char *path);

/* transfer_stage.c */
/* Directs a source's directory to a place beside its own; false after an error. */
bool stage_prepare(struct nacre_transfer *transfer, struct directory *directory);
/* The place beside is taken. */
void stage_refuse(struct nacre_transfer *transfer, const struct directory *directory);
void stage_free(struct directory *directory);
/* The next step to its own place, when all in it is complete. True while it goes on: the directory
 * is released once more at the end. */
bool stage_continue(struct nacre_transfer *transfer, struct directory *directory);
void stage_reply(struct nacre_transfer *transfer, struct directory *directory,
    const struct nacre_sftp_reply *reply);

/* transfer_remove.c */
/* Removes what the source does not have from the directory's target. True while that goes on. */
bool remove_others(struct nacre_transfer *transfer, struct directory *directory);
/* Removes a tree if it is there; the directory is held meanwhile. True while that goes on. */
bool remove_tree(struct nacre_transfer *transfer, struct directory *directory, const char *path);
void remove_reply(
    struct nacre_transfer *transfer, enum tag_kind kind, struct nacre_sftp_reply *reply);

/* transfer_local.c: false after an error event. */
bool local_open_source(struct nacre_transfer *transfer, struct file *file);
bool local_open_target(struct nacre_transfer *transfer, struct file *file);
bool local_write(
    struct nacre_transfer *transfer, struct file *file, struct nacre_span data, uint64_t offset);
bool local_finish(struct nacre_transfer *transfer, struct file *file);
bool local_mkdir(struct nacre_transfer *transfer, struct directory *directory);
void local_finish_directory(struct nacre_transfer *transfer, struct directory *directory);
bool local_set_attributes(struct nacre_transfer *transfer, struct file *file, int fd);
bool local_list(struct nacre_transfer *transfer, struct directory *directory);

#endif
