/*
 * Taking rights away from a process that parses what strangers send: root directory, identity,
 * new privileges, resources, system calls. Each step cannot be undone.
 */
#ifndef NACRE_SANDBOX_H
#define NACRE_SANDBOX_H

#include <nacre/error.h>

#include <stdbool.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nacre_sandbox {
	const char *root; /* directory to chroot to; NULL: none (needs root) */
	bool drop;        /* become uid and gid, without other groups (needs root) */
	uid_t uid;
	gid_t gid;
	bool accepts;         /* takes connections from a socket that listens */
	int descriptor_limit; /* no descriptor number at or above this can come to be */
	size_t memory_limit;  /* bytes of data (heap and private mappings); 0: unlimited */
};

/* Applies all of it, no_new_privs, no core dumps, no files, no processes, the end of the parent as
 * its own, and a seccomp filter that
 * kills the process at a system call other than what a program that talks over its open descriptors
 * needs. 0, or NACRE_ERROR_SYSTEM with errno and *step naming what failed (static). */
int nacre_sandbox_enter(const struct nacre_sandbox *sandbox, const char **step);
/* Whether there is such a filter for this architecture; the rest is done without it, too. */
bool nacre_sandbox_filters(void);
/* Forbids core dumps and attaching by other processes of the same user. */
void nacre_sandbox_protect_memory(void);

#ifdef __cplusplus
}
#endif
#endif
