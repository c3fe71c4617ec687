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
/* What an agent's refusal is called. */
const char *agent_error(int error);

#endif
