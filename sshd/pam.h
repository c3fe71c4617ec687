/*
 * PAM as the monitor uses it, with UsePAM. Everything that may wait for a module or for the peer
 * runs on a thread of its own, one step at a time: while it runs, the monitor waits for it and for
 * the end of the network process, so that LoginGraceTime holds.
 */
#ifndef SSHD_PAM_H
#define SSHD_PAM_H

#include "login.h"

/* Whether PAM decides about this login. */
bool pam_in_use(const struct login *login);
/* Loads PAM and the service's modules before there is a connection. */
void pam_preload(const struct server *server);
/* Whether the methods that ask PAM may still be tried. */
bool pam_may_ask(const struct login *login);

/* pam_authenticate.c: one method each; the answer's text, prompt or banner is filled. */
enum answer_kind pam_check_password(
    struct login *login, const char *password, struct answer *answer);
enum answer_kind pam_ask(struct login *login, struct answer *answer);
enum answer_kind pam_respond(
    struct login *login, struct nacre_reader *request, struct answer *answer);
/* Whether the account may be used now, after any method has succeeded. */
bool pam_account_allows(struct login *login, struct answer *answer);

/* pam.c: the session, opened once the peer was told that it is in. The login's environment,
 * messages and groups are then complete. */
void pam_start_session(struct login *login);
/* Closes the session, if there is one, and lets the modules clean up. */
void pam_end_login(struct login *login);

/* Between the two files. */
enum pam_talk {
	PAM_TALK_SILENT,   /* nobody answers prompts */
	PAM_TALK_PASSWORD, /* "password" is the answer to every prompt that is not echoed */
	PAM_TALK_ASK       /* the peer is asked */
};

struct pam_login {
	struct login *login;
	void *handle;
	enum pam_talk talk;
	const char *password;
	struct nacre_buffer text; /* what modules say, not yet shown to the peer */
	struct nacre_buffer prompt;
	bool echo;
	char *response;
	bool cancelled;       /* nobody will answer any more */
	bool exhausted;       /* a module has had enough */
	bool authenticated;   /* by PAM */
	bool account_allowed; /* the account was checked */
	bool session_open;
	/* The thread, between whose steps the two events alternate. */
	int (*task)(struct pam_login *pam);
	int result;
	bool running, finished;
	unsigned long thread;
	int paused, resumed; /* eventfds */
};

/* The PAM transaction of a login, made when it is first needed; NULL when that fails. */
struct pam_login *pam_of(struct login *login);
/* Runs a task to its end, or until it asks (then "finished" is false). */
void pam_begin(struct pam_login *pam, int (*task)(struct pam_login *pam), enum pam_talk talk);
void pam_resume(struct pam_login *pam);
/* Ends a task that waits for an answer. */
void pam_cancel(struct pam_login *pam);
const struct pam_library *pam_library(void);
const char *pam_reason(struct pam_login *pam, int status);

#endif
