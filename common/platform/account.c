/* Accounts: the password database, and becoming a user. Passwords are in password.c. */
#include <nacre/account.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GROUPS_MAX 65536

/* All groups of a name, which need not exist, so that asking takes as long. */
static int
find_groups(struct nacre_account *account)
{
	int count = 64;

	for (;;) {
		gid_t *groups = calloc((size_t)count, sizeof *groups);
		int room = count;
		if (groups == NULL)
			return NACRE_ERROR_MEMORY;
		if (getgrouplist(account->name, account->gid, groups, &count) >= 0) {
			account->groups = groups;
			account->group_count = (size_t)count;
			return 0;
		}
		free(groups);
		if (count <= room)
			count = room * 2;
		if (count > GROUPS_MAX)
			return NACRE_ERROR_MEMORY;
	}
}

static int
account_fill(struct nacre_account *account, const char *name, const struct passwd *entry)
{
	const char *shell = entry != NULL && entry->pw_shell[0] != '\0' ? entry->pw_shell : NULL;

	*account = (struct nacre_account){
	    .exists = entry != NULL,
	    .name = strdup(name),
	    .uid = entry != NULL ? entry->pw_uid : (uid_t)-1,
	    .gid = entry != NULL ? entry->pw_gid : (gid_t)-1,
	    .home = strdup(entry != NULL ? entry->pw_dir : "/nonexistent"),
	    .shell = strdup(shell != NULL ? shell : "/bin/sh"),
	};
	if (account->name != NULL && account->home != NULL && account->shell != NULL &&
	    find_groups(account) == 0)
		return entry != NULL ? 0 : NACRE_ERROR_NOT_FOUND;
	nacre_account_clear(account);
	return NACRE_ERROR_MEMORY;
}

int
nacre_account_find(const char *name, struct nacre_account *account)
{
	return account_fill(account, name, getpwnam(name));
}

int
nacre_account_self(struct nacre_account *account)
{
	const struct passwd *entry = getpwuid(getuid());

	return account_fill(account, entry != NULL ? entry->pw_name : "unknown", entry);
}

void
nacre_account_clear(struct nacre_account *account)
{
	free(account->name);
	free(account->home);
	free(account->shell);
	free(account->groups);
	*account = (struct nacre_account){.uid = (uid_t)-1, .gid = (gid_t)-1};
}

bool
nacre_account_any_group(const struct nacre_account *account,
    bool (*each)(const char *group, void *context), void *context)
{
	bool found = false;

	for (size_t i = 0; account->exists && i < account->group_count && !found; i++) {
		const struct group *entry = getgrgid(account->groups[i]);
		found = entry != NULL && each(entry->gr_name, context);
	}
	return found;
}

static int
no_way_back(uid_t uid, gid_t gid)
{
	uid_t real, effective, saved;
	gid_t real_group, effective_group, saved_group;

	if (getresuid(&real, &effective, &saved) != 0 ||
	    getresgid(&real_group, &effective_group, &saved_group) != 0)
		return NACRE_ERROR_SYSTEM;
	bool exact = real == uid && effective == uid && saved == uid && real_group == gid &&
		     effective_group == gid && saved_group == gid;
	if (!exact || (uid != 0 && (setuid(0) == 0 || seteuid(0) == 0))) {
		errno = EPERM;
		return NACRE_ERROR_SYSTEM;
	}
	return 0;
}

int
nacre_account_become(const struct nacre_account *account, const char *root)
{
	if (!account->exists || (root != NULL && geteuid() != 0)) {
		errno = EPERM;
		return NACRE_ERROR_SYSTEM;
	}
	if (geteuid() != 0)
		return no_way_back(account->uid, getgid());
	if (setgroups(account->group_count, account->groups) != 0 ||
	    setresgid(account->gid, account->gid, account->gid) != 0 ||
	    (root != NULL && (chroot(root) != 0 || chdir("/") != 0)) ||
	    setresuid(account->uid, account->uid, account->uid) != 0)
		return NACRE_ERROR_SYSTEM;
	return no_way_back(account->uid, account->gid);
}

int
nacre_account_drop(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 ||
	    setresuid(uid, uid, uid) != 0)
		return NACRE_ERROR_SYSTEM;
	return no_way_back(uid, gid);
}

static bool acting;

int
nacre_account_act_as(const struct nacre_account *account)
{
	if (geteuid() != 0)
		return 0;
	acting = true;
	if (setgroups(account->group_count, account->groups) == 0 && setegid(account->gid) == 0 &&
	    seteuid(account->uid) == 0)
		return 0;
	int error = errno;
	nacre_account_act_end();
	errno = error;
	return NACRE_ERROR_SYSTEM;
}

void
nacre_account_act_end(void)
{
	if (!acting)
		return;
	acting = false;
	if (seteuid(getuid()) != 0 || setegid(getgid()) != 0 || setgroups(0, NULL) != 0)
		_exit(255);
}
