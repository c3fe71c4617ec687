/* The parts of ssh-add: files that are added and removed (add_files.c), the rest (add.c). */
#ifndef SSH_ADD_H
#define SSH_ADD_H

#include <nacre/agent.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct add_options {
	struct nacre_agent *agent;
	struct nacre_agent_constraints constraints;
	enum nacre_fingerprint_hash fingerprint_hash;
	bool quiet;
	bool keys_only;             /* -k */
	bool certificates_only;     /* -C */
	bool no_certificate_expiry; /* -N */
	bool verbose;
	const char *sk_provider; /* -S; NULL: the agent's own library */
	const char *token;       /* -s, -e: a PKCS#11 module */
	/* -h and -H, and what they come to. */
	char **destinations, **host_files;
	size_t destination_count, host_file_count;
	struct nacre_buffer destination_text;
	/* What keys were used for, when the agent tells. */
	bool usage_known;
	struct nacre_buffer usage;
	/* The passphrase that opened the last file is tried on the next one. */
	struct nacre_buffer passphrase;
};

/* Adds, or removes, what a file holds and the certificate beside it. 0, or 1 after a message. */
int add_file(struct add_options *options, const char *path);
int remove_file(struct add_options *options, const char *path);
/* The files that are used when none is named and that exist: 0 when "each" returned 0 for one at
 * least and never something else. */
int for_default_files(
    struct add_options *options, int (*each)(struct add_options *options, const char *path));
/* add_token.c: the keys of a PKCS#11 module, with certificates from files; resident keys. */
int add_token(struct add_options *options, char **files);
int remove_token(struct add_options *options);
int add_residents(struct add_options *options);
/* add_destination.c: makes constraints of -h; exits with 255 after a message. */
void destinations_prepare(struct add_options *options);
/* add_usage.c: asks the agent; appends a line for a key, if it told. */
void usage_load(struct add_options *options);
void usage_put(
    const struct add_options *options, struct nacre_span blob, struct nacre_buffer *text);
/* The library that speaks with authenticators, as the agent is told. */
const char *sk_provider(const struct add_options *options);
/* Lifetime and confirmation, for who added a key. */
void tell_constraints(const struct add_options *options);
/* What an agent's refusal is called. */
const char *agent_error(int error);

#endif
