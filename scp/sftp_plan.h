/* sftp: what a line of a batch is going to touch, which tells whether it may overlap with others. */
#ifndef SCP_SFTP_PLAN_H
#define SCP_SFTP_PLAN_H

#include <scp/sftp.h>

#define CLAIMS_MOST 2

/* A path, and all below it. */
struct claim {
	char *path; /* absolute */
	bool remote, changes;
};

struct plan {
	bool alone;   /* it overlaps with nothing */
	bool changes; /* something, there or here */
	struct claim claims[CLAIMS_MOST];
	size_t count;
};

/* sftp_commands.c: of a line without its prefixes, seen from the directories that are current. */
void command_plan(struct sftp *sftp, const char *line, struct plan *plan);
/* True when both touch something of which one of them changes it. */
bool plans_meet(const struct plan *a, const struct plan *b);
void plan_free(struct plan *plan);

#endif
