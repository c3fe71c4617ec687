/*
 * Passwords and the shadow file. crypt(3) comes from a library of its own that most logins never
 * need: it is loaded with the first password.
 */
#include <nacre/account.h>

#include <dlfcn.h>
#include <shadow.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECONDS_A_DAY 86400

typedef char *(*crypt_function)(const char *phrase, const char *setting);
typedef char *(*gensalt_function)(
    const char *prefix, unsigned long count, const char *random, int random_length);

static void *
crypt_library(void)
{
	static void *library;

	if (library == NULL)
		library = dlopen("libcrypt.so.1", RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
		library = dlopen("libcrypt.so.2", RTLD_NOW | RTLD_LOCAL);
	return library;
}

/* Conversions between an object and a function pointer are POSIX, but not ISO C. */
static void
find_function(const char *name, void *function)
{
	void *library = crypt_library();
	void *symbol = library != NULL ? dlsym(library, name) : NULL;

	memcpy(function, &symbol, sizeof symbol);
}

static long
today(void)
{
	return (long)(time(NULL) / SECONDS_A_DAY);
}

static bool
has_expired(const struct spwd *entry)
{
	return entry->sp_expire > 0 && today() > entry->sp_expire;
}

enum nacre_account_state
nacre_account_state(const struct nacre_account *account)
{
	/* Asked for a stand-in, too: it takes as long. */
	const struct spwd *entry = getspnam(account->name);

	if (entry == NULL || !account->exists)
		return NACRE_ACCOUNT_GOOD;
	if (entry->sp_pwdp != NULL && entry->sp_pwdp[0] == '!')
		return has_expired(entry) ? NACRE_ACCOUNT_EXPIRED : NACRE_ACCOUNT_LOCKED;
	if (has_expired(entry))
		return NACRE_ACCOUNT_EXPIRED;
	if (entry->sp_lstchg == 0)
		return NACRE_ACCOUNT_PASSWORD_FORCED;
	if (entry->sp_max >= 0 && entry->sp_lstchg > 0 &&
	    today() - entry->sp_lstchg > entry->sp_max)
		return NACRE_ACCOUNT_PASSWORD_EXPIRED;
	return NACRE_ACCOUNT_GOOD;
}

static void
put_days(struct nacre_buffer *text, const char *what, long days)
{
	nacre_put_format(
	    text, "Your %s will expire in %ld day%s.\n", what, days, days == 1 ? "" : "s");
}

void
nacre_account_warn(const struct nacre_account *account, struct nacre_buffer *text)
{
	const struct spwd *entry = account->exists ? getspnam(account->name) : NULL;

	if (entry != NULL && entry->sp_expire > 0 &&
	    entry->sp_expire - today() <= (entry->sp_warn > 0 ? entry->sp_warn : 0))
		put_days(text, "account", entry->sp_expire - today());
}

void
nacre_account_warn_password(const struct nacre_account *account, struct nacre_buffer *text)
{
	const struct spwd *entry = account->exists ? getspnam(account->name) : NULL;
	long left;

	if (entry == NULL || entry->sp_max < 0 || entry->sp_lstchg <= 0)
		return;
	left = entry->sp_lstchg + entry->sp_max - today();
	if (left <= (entry->sp_warn > 0 ? entry->sp_warn : 0))
		put_days(text, "password", left);
}

static bool
hash_usable(const char *hash)
{
	return hash != NULL && hash[0] != '\0' && hash[0] != '!' && hash[0] != '*';
}

/* For accounts without a password, what takes as long as for one that has: the first one's method
 * and cost. Else the default method. */
static const char *
stand_in_setting(void)
{
	static char found[256];
	gensalt_function gensalt;
	const struct spwd *entry;

	setspent();
	while ((entry = getspent()) != NULL && !hash_usable(entry->sp_pwdp))
		;
	if (entry != NULL && strlen(entry->sp_pwdp) < sizeof found)
		snprintf(found, sizeof found, "%s", entry->sp_pwdp);
	endspent();
	if (found[0] != '\0')
		return found;
	find_function("crypt_gensalt", &gensalt);
	const char *setting = gensalt != NULL ? gensalt(NULL, 0, NULL, 0) : NULL;
	return setting != NULL ? setting : "$6$nacrestandin$";
}

static bool
hashes_to(const char *password, const char *setting, const char *hash)
{
	crypt_function hash_password;

	find_function("crypt", &hash_password);
	const char *made = hash_password != NULL ? hash_password(password, setting) : NULL;
	if (made == NULL || made[0] == '*' || hash == NULL)
		return false;
	size_t length = strlen(hash);
	return strlen(made) == length && sodium_memcmp(made, hash, length) == 0;
}

int
nacre_account_check_password(
    const struct nacre_account *account, const char *password, bool permit_empty)
{
	const struct spwd *entry = getspnam(account->name);
	const char *hash = account->exists && entry != NULL ? entry->sp_pwdp : NULL;

	if (hash != NULL && hash[0] == '\0' && password[0] == '\0')
		return permit_empty ? 0 : NACRE_ERROR_REFUSED;
	if (password[0] == '\0' && !permit_empty)
		hash = NULL;
	bool usable = hash_usable(hash);
	bool right = hashes_to(password, usable ? hash : stand_in_setting(), usable ? hash : NULL);
	return usable && right ? 0 : NACRE_ERROR_REFUSED;
}
