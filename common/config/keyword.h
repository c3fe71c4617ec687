/*
 * Keyword tables: a row says how a keyword's value is read, where it is kept and how it is printed.
 * ssh_config and sshd_config have a table each; what is common to values of both is in value.c.
 */
#ifndef CONFIG_KEYWORD_H
#define CONFIG_KEYWORD_H

#include "arena.h"
#include "lexer.h"

#include <nacre/config.h>
#include <nacre/pattern.h>

/* What a keyword may be called, and what that means. Ends with a NULL name; of several names for
 * one value the first is printed. */
struct choice {
	const char *name;
	int value;
};

struct keyword;
struct parse;

struct value_type {
	/* Reads parse->line's arguments; keeps them when parse->store. 0 or an error, said with
	 * parse_fail(). */
	int (*read)(struct parse *parse, const struct keyword *keyword);
	/* Appends the lines that -G and -T print. */
	void (*print)(const void *config, const struct keyword *keyword, struct nacre_buffer *text);
};

enum keyword_flags {
	KEYWORD_NONE = 1,         /* the word "none" means not set */
	KEYWORD_APPENDS = 2,      /* every line adds to the list */
	KEYWORD_PRINT_NONE = 4,   /* prints "none" when not set */
	KEYWORD_IN_MATCH = 8,     /* sshd: allowed behind Match */
	KEYWORD_ABSOLUTE = 16,    /* an absolute path */
	KEYWORD_ALONE = 32,       /* "none" must be the only word */
	KEYWORD_LOWER = 64,       /* kept in lower case */
	KEYWORD_QUIET = 128,      /* IGNORED: without a note */
	KEYWORD_TOKENS = 256,     /* ssh: expanded while loading */
	KEYWORD_TILDE = 512,      /* a leading ~ is expanded, too */
	KEYWORD_FROM_HERE = 2048, /* sshd: a relative path is made absolute */
	KEYWORD_UNIQUE = 1024     /* with APPENDS: a word stands once */
};

#define KEYWORD_INDEX_SIZE ((size_t)512)
#define KEYWORDS_MAX       ((size_t)192)

struct keyword {
	const char *name;
	const struct value_type *type;
	size_t offset;       /* of the member */
	size_t second;       /* of a second member, where the type has one */
	const void *details; /* choices, range, name of an alias: the type knows */
	unsigned flags;
	const char *fallback; /* the default as it would be written, or NULL */
	/* ssh: NULL when the client does what the keyword says. Otherwise the keyword's values
	 * other than its default and these (comma-separated) are refused by
	 * nacre_ssh_config_check(). */
	const char *not_yet;
};

/* What a configuration keeps for itself: the memory of its values, an index over its keywords, and
 * which of them were set. */
struct reading {
	struct arena arena;
	uint16_t index[KEYWORD_INDEX_SIZE]; /* hash table over the names */
	bool seen[KEYWORDS_MAX];            /* a value was kept, by row */
	nacre_config_assemble assemble;
};

/* The state while lines are read. */
struct parse {
	void *config;
	struct arena *arena;
	const struct keyword *table;
	size_t count;
	const uint16_t *index;
	bool *seen;
	struct line line;
	const char *file;
	unsigned number;
	bool store; /* the value is wanted */
	bool server;
	bool is_default; /* the line is a row's fallback */
	unsigned depth;  /* of Include */
	nacre_config_assemble assemble;
	struct nacre_buffer *error, *warnings, *notes;
	unsigned bad;
};

/* Fills the index of a reading that is all zero. */
void reading_begin(struct reading *reading, const struct keyword *table, size_t count);
/* Frees its memory, and what was said. */
void reading_end(struct reading *reading, struct nacre_buffer *error, struct nacre_buffer *warnings,
    struct nacre_buffer *notes);
/* A run that keeps values in "reading"; its configuration and texts are the caller's to set. */
struct parse parse_begin(struct reading *reading, const struct keyword *table, size_t count);
/* The row of a name in any case, aliases resolved; NULL. */
const struct keyword *keyword_find(const struct parse *parse, const char *name);

/* Adds "FILE line N: ..." to the errors; returns NACRE_ERROR_FORMAT. */
int parse_fail(struct parse *parse, const char *format, ...) __attribute__((format(printf, 2, 3)));
void parse_warn(struct parse *parse, const char *format, ...) __attribute__((format(printf, 2, 3)));
void parse_note(struct parse *parse, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The number of arguments behind the keyword. */
size_t parse_arguments(const struct parse *parse);
/* The only argument; NULL after parse_fail() when there is none or more. */
const char *parse_one(struct parse *parse);
const char *parse_first(struct parse *parse);
/* The keyword as it stands on the line, in the case that complaints use. */
const char *parse_keyword(const struct parse *parse);

/* Members at a row's offsets. */
#define MEMBER(config, keyword, type) ((type *)(void *)((char *)(config) + (keyword)->offset))
#define MEMBER_CONST(config, keyword, type) \
	((const type *)(const void *)((const char *)(config) + (keyword)->offset))
#define SECOND(config, keyword, type) ((type *)(void *)((char *)(config) + (keyword)->second))
#define SECOND_CONST(config, keyword, type) \
	((const type *)(const void *)((const char *)(config) + (keyword)->second))

/* Puts the keyword's name in lower case and a space. */
void print_name(const struct keyword *keyword, struct nacre_buffer *text);
void print_text(const struct keyword *keyword, const char *value, struct nacre_buffer *text);

/* Finds a choice in any case; NULL. */
const struct choice *choice_find(const struct choice *choices, const char *name);
const char *choice_name(const struct choice *choices, int value);
extern const struct choice choices_yes_no[], choices_log_level[], choices_facility[],
    choices_address_family[], choices_fingerprint_hash[], choices_tunnel[];

/* Printers that several types share. */
void integer_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text);
void string_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text);
void words_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text);
void lines_print(const void *config, const struct keyword *keyword, struct nacre_buffer *text);

/* Types that both tables use. */
extern const struct value_type value_boolean;         /* bool */
extern const struct value_type value_boolean_or_text; /* bool, true with a char * */
extern const struct value_type value_choice;          /* int; details: choices */
extern const struct value_type value_integer;         /* int */
extern const struct value_type value_time;   /* int, seconds; "none" is -1 (client), 0 (server) */
extern const struct value_type value_string; /* char * */
extern const struct value_type value_rest;   /* char *, the rest of the line */
extern const struct value_type value_words;  /* struct nacre_words, printed on one line */
extern const struct value_type value_lines;  /* struct nacre_words, printed one a line */
extern const struct value_type value_files;  /* the same, one a line */
extern const struct value_type value_environment; /* struct nacre_words, NAME=VALUE */
extern const struct value_type value_algorithms;  /* char *; details: struct algorithm_list */
extern const struct value_type value_ipqos;       /* int and int */
extern const struct value_type value_rekey;       /* uint64_t and int */
extern const struct value_type value_mask;        /* int, octal */
extern const struct value_type value_log_verbose; /* struct nacre_words */
/* Rows without a member. */
extern const struct value_type value_alias;       /* details: the other keyword's name */
extern const struct value_type value_ignored;     /* nothing is said, or a note */
extern const struct value_type value_deprecated;  /* "Deprecated option" */
extern const struct value_type value_unsupported; /* "Unsupported option" */

struct algorithm_list {
	enum nacre_config_algorithms algorithms;
};
extern const struct algorithm_list list_ciphers, list_macs, list_kex, list_host_keys,
    list_hostbased, list_pubkey, list_ca_signatures;

/* "type=interval": the length of the type; 0 when it is malformed. */
size_t timeout_split(const char *word, int *seconds);
/* "host:port" with wildcards, as in PermitOpen; "port" alone with "listen". */
bool open_pattern_valid(const char *word, bool listen);
/* Forwardings as the configuration file writes them, in two words; "target" may be NULL. */
int forward_read(struct arena *arena, const char *listen, const char *target, bool dynamic,
    bool remote, struct nacre_forward *forward);
void forward_print(
    const char *name, const struct nacre_forward *forward, struct nacre_buffer *text);

/* Reads the lines of a text from number 1 on; a mistake in one was said already and does not keep
 * us from the next. */
int parse_lines(struct parse *parse, struct nacre_span text,
    int (*read_line)(struct parse *parse, struct nacre_span line));
/* Splits a line into parse->line; complains of what cannot be. */
int parse_split(struct parse *parse, struct nacre_span text);
/* Makes what is in force of each list of algorithms. */
int parse_assemble(struct parse *parse);
/* Prints all rows that can be. */
int keywords_print(
    const struct keyword *table, size_t count, const void *config, struct nacre_buffer *text);

/* Reads a file whole, at most LEXER_FILE_MAX bytes. With "owner_checked" it must belong to root or
 * the caller and be writable by nobody else. 0, NACRE_ERROR_SYSTEM (errno), NACRE_ERROR_PERMISSION,
 * NACRE_ERROR_MEMORY. */
int file_read(const char *path, bool owner_checked, struct nacre_buffer *text);
/* Names that match "pattern" (glob), sorted, into "words". */
void file_glob(struct arena *arena, const char *pattern, struct nacre_words *words);

/* Include, with at most INCLUDE_DEPTH_MAX files within one another: "pattern" makes a word of the
 * line a pattern of absolute paths, in arena memory (NULL after a complaint), and "file" reads a
 * file that matches. */
#define INCLUDE_DEPTH_MAX 16
int include_read_all(struct parse *parse, char *(*pattern)(struct parse *parse, const char *word),
    int (*file)(struct parse *parse, const char *path));

/* Match, a line of criteria: the next name, without a "!" before it and without "=value" behind,
 * which is in *value then (otherwise NULL). */
char *match_name(struct parse *parse, size_t *at, bool *negated, char **value);
/* The value of criterion "name": the one that came with the name, or the next word. NULL after a
 * complaint. */
char *match_value(struct parse *parse, size_t *at, const char *name, char *value);
/* Complains of a criterion: "format" takes one string. Returns NACRE_ERROR_FORMAT. */
int match_bad(struct parse *parse, const char *format, const char *name)
    __attribute__((format(printf, 2, 0)));
/* Whether a text that may be unknown (NULL) is in a list of patterns. */
bool match_list(const char *text, const char *list, bool host);

/* Marks another keyword as set, so that later lines do not change it. */
void parse_mark_seen(struct parse *parse, const char *name);
/* Reads one line "Keyword arguments" that has been split: looks the keyword up, decides by "active"
 * and what was seen whether to keep the value, reads it. *found is the row; NULL and
 * NACRE_ERROR_NOT_FOUND, without a complaint, when there is none. */
int parse_keyword_line(struct parse *parse, bool active, const struct keyword **found);
/* Fills in the defaults of all rows that were not seen. */
int parse_defaults(struct parse *parse);

#endif
