/* scp: what its files share. */
#ifndef SCP_SCP_H
#define SCP_SCP_H

#include <nacre/transfer.h>
#include <nacre/wire.h>

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#define JOBS_MAX 16

/* A list of words that grows; NULL at its end. */
struct words {
	char **items;
	size_t count;
};

struct options {
	bool recursive, preserve, quiet, legacy, direct, trust_names;
	/* This is the remote end of the old protocol: -f, -t, and -d, the target is a directory. */
	bool source, sink, to_directory;
	/* The long options. */
	bool resume, sync, checksum, prune, atomic, keep, dry_run;
	struct words excluded;
	unsigned jobs; /* connections at once, 1 at least */
	unsigned verbose;
	uint64_t rate; /* bytes per second, 0: no bound */
	uint32_t requests, block;
	const char *program;     /* -S */
	const char *sftp_server; /* -D */
	const char *subsystem;   /* sftp's -s: its name, or the server's path; NULL: sftp */
	const char *user_file;   /* -F */
	struct words settings;   /* "Keyword=value" for the configuration */
	struct words arguments;  /* the same as options of ssh, for -S and -R */
};

/* An operand. A local one has only its path. */
struct location {
	bool remote;
	char *user, *host, *path;
	int port; /* -1: the usual */
};

/* message.c: a line on standard output, or on standard error; die() ends the program with status
 * 255. Control characters are shown in octal, but for a newline at the end. */
void message_prefix(const char *text);
/* Bytes that a terminal would act on become '?', in place, but for a newline at the end; returns
 * "text". */
char *make_visible(char *text);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* What is said goes to a transcript from now on, NULL: to the streams; returns the one before. */
struct nacre_buffer *message_divert(struct nacre_buffer *to);
/* Says what a transcript holds. */
void message_replay(const struct nacre_buffer *from);

/* words.c */
void words_add(struct words *words, const char *text);
void words_free(struct words *words);

/* connection_options.c: what the options of the same letters do. */
/* An option that is ssh's, too; false for others. */
bool option_pass(struct options *options, int option, const char *value);
uint64_t option_number(const char *text, uint64_t most, const char *what);
void option_set_transfer_option(struct options *options, const char *text); /* -X */
void option_be_verbose(struct options *options, const char *unused);
void option_set_limit(struct options *options, const char *text);     /* -l */
void option_set_user_file(struct options *options, const char *path); /* -F */
void option_be_quiet(struct options *options, const char *unused);
void option_refuse_version_1(struct options *options, const char *unused); /* -1 */
void option_accept_version_2(struct options *options, const char *unused); /* -2 */

/* options.c */
void usage(void) __attribute__((noreturn));
/* Reads the options; returns where in "argv" the operands begin. */
int options_read(struct options *options, int argc, char **argv);
/* True with long options that the old protocol and cp(1) know nothing of. */
bool options_need_sftp(const struct options *options);

/* location.c: dies when the text is an URI that makes no sense. */
void location_parse(struct location *location, const char *text);
/* Dies of names that a configuration must not hand to a shell. */
void location_check(const struct location *location);
void location_free(struct location *location);
bool location_same_host(const struct location *a, const struct location *b);

/* link.c: bytes to and from a remote program, through a session of our own or a child. */
struct link;
/* A child that serves SFTP on its standard input and output. */
struct link *link_open_program(const char *path);
/* A connection to the location's host: the subsystem "sftp", or a command. NULL after a message. */
struct link *link_open(
    const struct options *options, const struct location *location, const char *command);
/* Where bytes for the peer go; NULL while there is no room. */
uint8_t *link_room(struct link *link, size_t *length);
void link_commit(struct link *link, size_t length);
/* The oldest received bytes; false when there are none. */
bool link_data(struct link *link, struct nacre_span *data);
void link_consumed(struct link *link, size_t length);
/* Waits until one of the links can do something, "timeout" milliseconds at most (negative: for
 * ever); from those with "wants_input" bytes are read. */
void link_wait(struct link *const *links, const bool *wants_input, size_t count, int64_t timeout);
/* Sends what was committed, as far as that goes without waiting. */
void link_flush(struct link *link);
/* The peer sends nothing more and all was taken. */
bool link_ended(const struct link *link);
void link_end_output(struct link *link);
/* Blocking: exactly "length" bytes, or false at the end. */
bool link_read(struct link *link, void *bytes, size_t length);
bool link_write(struct link *link, const void *bytes, size_t length);
/* Ends it; returns the remote program's exit status, 255 when there is none. */
int link_close(struct link *link);

/* meter.c */
struct meter;
struct meter *meter_new(void); /* NULL when standard output is no terminal of ours */
void meter_start(struct meter *meter, const char *name, uint64_t size);
/* Draws at most every so often; "copied" in bytes. */
void meter_update(struct meter *meter, uint64_t copied);
void meter_finish(struct meter *meter, const char *name, uint64_t size, uint64_t copied);
/* The line of a tree: files and bytes that were found and that are done. */
void meter_show_tree(
    struct meter *meter, const struct nacre_transfer_progress *progress, bool finished);
void meter_free(struct meter *meter);

/* pump.c */
struct pump {
	struct link *source, *target; /* NULL: local */
	/* More connections like these, for lanes 1 and up of the transfer. */
	struct link *more_sources[JOBS_MAX - 1], *more_targets[JOBS_MAX - 1];
	size_t more_count;
	struct meter *meter;   /* or NULL */
	const char *directory; /* what is said of each directory, in front of its name, or NULL */
	const volatile sig_atomic_t *interrupted; /* by the person: the rest is given up; or NULL */
	bool lost;                                /* a connection; it was said */
	bool whole;                               /* the meter is for all files together */
	bool accounts;                            /* what was given up is named */
	uint64_t metered;                         /* the file whose line is drawn */
};
/* Tells the person what a transfer has to tell. */
void pump_show_events(struct pump *pump, struct nacre_transfer *transfer);
/* Runs a transfer to its end. */
void pump_run(struct pump *pump, struct nacre_transfer *transfer);

/* copy.c: SFTP. Returns an exit status. */
int copy_by_sftp(
    const struct options *options, struct location *sources, size_t count, struct location *target);

/* brace.c: adds what a shell makes of the braces in "text"; false when that is too much. */
bool brace_expand(const char *text, struct words *words);

/* legacy.c: the rcp protocol. Returns an exit status. */
int copy_by_rcp(
    const struct options *options, struct location *sources, size_t count, struct location *target);
/* scp -t and scp -f, called by an scp at the other end. */
int serve_rcp(const struct options *options, bool source, char **paths, size_t count);

#endif
