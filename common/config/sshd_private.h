/* Inside of the server's configuration. */
#ifndef CONFIG_SSHD_PRIVATE_H
#define CONFIG_SSHD_PRIVATE_H

#include "keyword.h"

#include <nacre/sshd_config.h>

#include <stddef.h>

/*
 * The configuration as it was read, includes in their places, so that it can be evaluated anew for
 * each connection. The lines of an included file stand between a BEGIN and an END.
 */
enum statement_kind { STATEMENT_LINE, STATEMENT_BEGIN, STATEMENT_END };

struct statement {
	enum statement_kind kind;
	const char *file;
	unsigned line;
	char *text;
};

struct statements {
	struct statement *statements;
	size_t count;
};

struct nacre_sshd_config_private {
	struct reading reading;
	struct statements statements; /* -o options first */
	struct nacre_words listen;    /* ListenAddress as written */
	char *path;
	bool has_match;
	bool kept[KEYWORDS_MAX]; /* further lines do not count */
};

/* Whether lines belong to a Match block, and whether that applies. */
struct scope {
	bool in_match;
	bool active;
	bool enclosing; /* the block around the file we are in applies */
	bool enclosed;  /* the file we are in was included from within a Match block */
};

enum sshd_pass {
	SSHD_CHECK,  /* all lines are checked, the global ones kept */
	SSHD_MATCH,  /* only lines in Match blocks that apply are kept */
	SSHD_GLOBAL, /* only lines outside of Match, for what no block has set */
};

struct sshd_parse {
	struct parse parse; /* first: value types are given a pointer to it */
	struct nacre_sshd_config *config;
	const struct nacre_connection_spec *connection; /* in SSHD_MATCH */
	enum sshd_pass pass;
	bool option; /* the line is no file's */
	struct scope scope;
	bool by_match[KEYWORDS_MAX]; /* set by a Match block: global lines add nothing */
};

extern const struct keyword sshd_keywords[];
extern const size_t sshd_keyword_count;

extern const struct value_type value_sshd_match, value_sshd_include;

#endif
