/*
 * Inside of a transfer. transfer.c holds the frame and the schedule, transfer_tree.c finds what is
 * to be copied, transfer_glob.c expands remote patterns, transfer_file.c copies one file,
 * transfer_local.c does the local file system's part.
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
	TAG_ITEM_STAT, /* context is a file */
	TAG_SOURCE_OPEN,
	TAG_TARGET_OPEN,
	TAG_TARGET_SIZE,
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
	/* Listing of a local one: names, each with a NUL, in order. */
	char *names;
	uint32_t *offsets;
	size_t name_count, name_next;
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
	bool queued;            /* among the movers */
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

struct nacre_transfer {
	struct nacre_transfer_options options;
	struct nacre_sftp *ends[2]; /* by enum nacre_transfer_side */
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
	struct tracked *objects;  /* roots, globs, directories and files that exist */
	struct file_queue found;  /* to be opened */
	struct file_queue movers; /* whose data is to be asked for or sent */
	size_t in_flight, files_max;
	uint64_t next_number;
	/* Path */
	uint64_t window, read_bytes; /* READ bytes that may be, and are under way */
	uint32_t read_requests, write_requests;
	uint64_t cross_bytes;                /* between servers: asked for and not sent on yet */
	struct block *blocks, **blocks_tail; /* to be written, of all files */
	uint32_t read_block;                 /* what the server gives at once, once it gave less */
	struct file *current;                /* whose data moved last */
	uint64_t least_delay;                /* ms */
	uint64_t rate_time;                  /* ms: when the bytes so far are paid for */
	/* Result */
	struct event_node *events, **events_tail, *taken;
	struct nacre_transfer_progress progress;
	uint64_t errors;
};

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
void file_schedule_reads(struct nacre_transfer *transfer);
/* Puts one WRITE into "room"; returns its length, 0: none now. When "whole_room" is too small for
 * one, it is queued to go in pieces. */
size_t file_produce_write(
    struct nacre_transfer *transfer, uint8_t *room, size_t length, bool whole_room);

/* transfer_local.c: false after an error event. */
bool local_open_source(struct nacre_transfer *transfer, struct file *file);
bool local_open_target(struct nacre_transfer *transfer, struct file *file);
bool local_write(
    struct nacre_transfer *transfer, struct file *file, struct nacre_span data, uint64_t offset);
bool local_finish(struct nacre_transfer *transfer, struct file *file);
bool local_mkdir(struct nacre_transfer *transfer, struct directory *directory);
void local_finish_directory(struct nacre_transfer *transfer, struct directory *directory);
bool local_list(struct nacre_transfer *transfer, struct directory *directory);

#endif
