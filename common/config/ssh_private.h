/* Inside of the client's configuration: the state that reading it needs. */
#ifndef CONFIG_SSH_PRIVATE_H
#define CONFIG_SSH_PRIVATE_H

#include "keyword.h"

#include <nacre/ssh_config.h>

/* Where a keyword got its value, for rows that the client does not follow yet. */
struct origin {
	char *file;
	unsigned line;
};

struct nacre_ssh_config_private {
	struct reading reading;
	struct origin origin[KEYWORDS_MAX];
	nacre_config_canonicalize canonicalize;
	/* Copies of the request. */
	char *home, *local_user, *command, *session_type, *version;
	bool no_exec;
};

/* A run over a file. */
struct ssh_parse {
	struct parse parse; /* first: value types are given a pointer to it */
	struct nacre_ssh_config *config;
	const char *host; /* that Host patterns see */
	bool user_file;   /* relative includes are in ~/.ssh */
	bool active;      /* the block we are in applies */
	bool enclosing;   /* the block around the Include that we are in applies */
	bool canonical, final;
	bool want_final; /* "Match final" was met */
};

extern const struct keyword ssh_keywords[];
extern const size_t ssh_keyword_count;

/* Rows that steer reading; in ssh_config.c and ssh_match.c. */
extern const struct value_type value_ssh_host, value_ssh_match, value_ssh_include;
/* Prepares a run: the parse state over a configuration. */
struct ssh_parse ssh_parse_begin(struct nacre_ssh_config *config);
void ssh_parse_end(struct ssh_parse *parse);
/*
 * The name to connect to as far as it is known now, tokens expanded. Arena memory; NULL on error.
 */
char *ssh_hostname(struct nacre_ssh_config *config, const char *host);
/* Tokens for the expansion of "text" (those that any keyword may use; %C costs a hash and is there
 * when the text has it); values in arena memory. */
#define SSH_TOKENS_MAX ((size_t)24)
size_t ssh_tokens(struct nacre_ssh_config *config, const char *text, struct nacre_token *tokens);

#endif
