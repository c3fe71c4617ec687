/*
 * Accounts of this host: who a name is, whether it may log in, whether a password is right, and
 * becoming that user. Used by servers; nothing of the protocol is here.
 */
#ifndef NACRE_ACCOUNT_H
#define NACRE_ACCOUNT_H

#include <nacre/error.h>
#include <nacre/wire.h>

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A line of the password database. All zero is a valid empty account. */
struct nacre_account {
	bool exists; /* false: a stand-in, so that a caller takes the same path */
	char *name;
	uid_t uid;
	gid_t gid;
	char *home;
	char *shell;   /* never empty: /bin/sh when the database says nothing */
	gid_t *groups; /* all of them, "gid" included; asking for them is slow: it is done once */
	size_t group_count;
};

/* Finds an account by name. For a name that nobody has, *account is a stand-in without rights
 * (uid and gid -1) and NACRE_ERROR_NOT_FOUND is returned. Free with nacre_account_clear(). */
int nacre_account_find(const char *name, struct nacre_account *account);
/* The account of the calling process's real user. */
int nacre_account_self(struct nacre_account *account);
/* Frees what the account holds; it is empty and usable again. */
void nacre_account_clear(struct nacre_account *account);

/* What the shadow file says of an account on this day. */
enum nacre_account_state {
	NACRE_ACCOUNT_GOOD,
	NACRE_ACCOUNT_LOCKED,           /* the password field begins with "!" */
	NACRE_ACCOUNT_EXPIRED,          /* past its expiry date */
	NACRE_ACCOUNT_PASSWORD_EXPIRED, /* past its age */
	NACRE_ACCOUNT_PASSWORD_FORCED   /* to be changed at the next login */
};
/* Needs root where there is a shadow file; without it, the answer is GOOD. */
enum nacre_account_state nacre_account_state(const struct nacre_account *account);
/* Appends a line that says how many days are left, when the account or its password expires soon. */
void nacre_account_warn(const struct nacre_account *account, struct nacre_buffer *text);
void nacre_account_warn_password(const struct nacre_account *account, struct nacre_buffer *text);

/*
 * Compares a password with the shadow entry by crypt(3). 0 or NACRE_ERROR_REFUSED. Takes the same
 * path for a stand-in and for an account without a usable password, by hashing against a made-up
 * entry of the system's default method. "permit_empty": an empty password field may match the empty
 * password.
 */
int nacre_account_check_password(
    const struct nacre_account *account, const char *password, bool permit_empty);

/* Calls "each" with the name of each of the account's groups, and with "context", until it returns
 * true. True when it did. */
bool nacre_account_any_group(const struct nacre_account *account,
    bool (*each)(const char *group, void *context), void *context);

/* Becomes the account for good: groups, gid, uid, and proves that there is no way back. "root" (may
 * be NULL) becomes the root directory. 0 or NACRE_ERROR_SYSTEM. Without root only the caller's own
 * account works, and no change of the root directory. */
int nacre_account_become(const struct nacre_account *account, const char *root);
/* Drops to uid and gid without supplementary groups, for good. */
int nacre_account_drop(uid_t uid, gid_t gid);
/* Acts as the account (effective ids and groups) until nacre_account_act_end(). No-ops without
 * root. 0 or NACRE_ERROR_SYSTEM; nacre_account_act_end() ends the process if it fails. */
int nacre_account_act_as(const struct nacre_account *account);
/* Takes back nacre_account_act_as(). */
void nacre_account_act_end(void);

#ifdef __cplusplus
}
#endif
#endif
