/* sftp: a command that is being run. */
#ifndef SCP_SFTP_CALL_H
#define SCP_SFTP_CALL_H

#include <scp/sftp_plan.h>

/* What stands behind a command's name: flags, and words. */
struct call {
	struct sftp *sftp;
	const struct command *command;
	unsigned flags; /* bit i: the i-th letter of the command's flags */
	char **words;
	size_t count;
};

/* What a command touches that others might touch, too. */
enum touches {
	TOUCHES_ALONE = 1, /* whatever comes before it must be done, and nothing else begins */
	TOUCHES_NOTHING,
	TOUCHES_LOOK,   /* looks at its first word, or the remote directory */
	TOUCHES_FIRST,  /* changes its first word */
	TOUCHES_SECOND, /* its second */
	TOUCHES_PAIR,   /* both */
	TOUCHES_GET,
	TOUCHES_PUT
};

struct command {
	const char *name;
	int (*run)(const struct call *call);
	enum touches touches;
	const char *flags;     /* letters; those in front of a bar exclude each other */
	size_t least;          /* words; what is too many is passed over, as OpenSSH does */
	const char *too_few;   /* what is said of fewer words */
	bool remote, local;    /* what its words are, for completion */
	const char *arguments; /* of the help text */
	const char *help;
};

/* sftp_call.c */
bool call_has(const struct call *call, char letter);
/* The command's result: -1 when the connection is gone. */
int call_status(const struct call *call, bool good);
/* The first word as a number; false after a message. */
bool call_number(const struct call *call, int base, unsigned long most, uint32_t *number);
bool call_server_has(const struct call *call, enum nacre_sftp_extension extension);
/* A word as a plain name, seen from the remote directory. */
char *call_remote_name(const struct call *call, size_t word);

/* sftp_plan.c */
void plan_of_call(const struct call *call, struct plan *plan);

/* sftp_local.c: NULL: a shell to type into. */
int shell_run(const char *command);

/* Commands of other files than sftp_commands.c. */
int run_cd(const struct call *call);
int run_chmod(const struct call *call);
int run_chown(const struct call *call);
int run_copy(const struct call *call);
int run_df(const struct call *call);
int run_lcd(const struct call *call);
int run_lls(const struct call *call);
int run_lmkdir(const struct call *call);
int run_ln(const struct call *call);
int run_lpwd(const struct call *call);
int run_lumask(const struct call *call);
int run_mkdir(const struct call *call);
int run_pwd(const struct call *call);
int run_rename(const struct call *call);
int run_rm(const struct call *call);
int run_rmdir(const struct call *call);
int run_symlink(const struct call *call);

#endif
