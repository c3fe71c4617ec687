/* Who may log in at all: shells, AllowUsers and its kin, PermitRootLogin, the state of accounts. */
#include "login.h"

#include <nacre/log.h>
#include <nacre/pattern.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "pattern" or "pattern@host-pattern", as in AllowUsers. */
static bool
user_matches(struct login *login, const char *word)
{
	struct nacre_span user = nacre_span_of(login->account.name);
	const char *at = strrchr(word, '@');

	if (at == NULL)
		return nacre_pattern_match(user, nacre_span_of(word));
	struct nacre_span name = {(const uint8_t *)word, (size_t)(at - word)};
	return nacre_pattern_match(user, name) &&
	       nacre_host_and_address_list(login_remote_name(login), login->peer.address,
		   nacre_span_of(at + 1)) == NACRE_MATCH_FOUND;
}

static bool
any_user(struct login *login, const struct nacre_words *words)
{
	for (size_t i = 0; i < words->count; i++)
		if (user_matches(login, words->words[i]))
			return true;
	return false;
}

static bool
group_matches(const char *group, void *context)
{
	const struct nacre_words *words = context;

	for (size_t i = 0; i < words->count; i++)
		if (nacre_pattern_match(nacre_span_of(group), nacre_span_of(words->words[i])))
			return true;
	return false;
}

static bool
any_group(const struct login *login, struct nacre_words *words)
{
	return nacre_account_any_group(&login->account, group_matches, words);
}

static bool
refuse(struct login *login, const char *because)
{
	nacre_log(NACRE_LOG_INFO, "User %.100s from %.100s not allowed because %s",
	    login->account.name, login_remote_name(login), because);
	return false;
}

static bool
lists_allow(struct login *login)
{
	struct nacre_sshd_config *config = login->config;

	if (any_user(login, &config->deny_users))
		return refuse(login, "listed in DenyUsers");
	if (config->allow_users.count > 0 && !any_user(login, &config->allow_users))
		return refuse(login, "not listed in AllowUsers");
	if (config->deny_groups.count > 0 && any_group(login, &config->deny_groups))
		return refuse(login, "a group is listed in DenyGroups");
	if (config->allow_groups.count > 0 && !any_group(login, &config->allow_groups))
		return refuse(login, "none of user's groups are listed in AllowGroups");
	return true;
}

static bool
shell_allows(const struct login *login)
{
	const char *shell = login->account.shell;
	struct stat status;

	if (login->config->chroot_directory != NULL)
		return true;
	if (stat(shell, &status) != 0) {
		nacre_log(NACRE_LOG_INFO,
		    "User %.100s not allowed because shell %.100s does not exist",
		    login->account.name, shell);
		return false;
	}
	if (!S_ISREG(status.st_mode) || (status.st_mode & 0111) == 0) {
		nacre_log(NACRE_LOG_INFO,
		    "User %.100s not allowed because shell %.100s is not executable",
		    login->account.name, shell);
		return false;
	}
	return true;
}

/* Without PAM, whose modules say it otherwise. */
static bool
shadow_allows(struct login *login)
{
	enum nacre_account_state state;

	if (!login->server->privileged || login->config->use_pam)
		return true;
	state = nacre_account_state(&login->account);
	if (state == NACRE_ACCOUNT_EXPIRED)
		nacre_log(NACRE_LOG_INFO, "Account %.100s has expired", login->account.name);
	if (state == NACRE_ACCOUNT_LOCKED)
		nacre_log(NACRE_LOG_INFO, "User %.100s not allowed because account is locked",
		    login->account.name);
	nacre_account_warn(&login->account, &login->messages);
	return state != NACRE_ACCOUNT_EXPIRED && state != NACRE_ACCOUNT_LOCKED;
}

bool
policy_allows(struct login *login)
{
	bool known = shadow_allows(login);

	if (!login->account.exists)
		return false;
	if (!login->server->privileged && login->account.uid != getuid())
		return refuse(login, "this sshd serves only the user who runs it");
	return known && shell_allows(login) && lists_allow(login);
}

bool
policy_allows_root(const struct login *login, const char *method)
{
	const struct authentication *authentication = &login->authentication;
	bool by_password = strcmp(method, "password") == 0 ||
			   strncmp(method, "keyboard-", 9) == 0 || strcmp(method, "none") == 0;
	bool allowed = true;

	if (login->account.uid != 0)
		return true;
	switch (login->config->permit_root_login) {
	case NACRE_ROOT_NO:
		allowed = false;
		break;
	case NACRE_ROOT_PROHIBIT_PASSWORD:
		allowed = !by_password;
		break;
	case NACRE_ROOT_FORCED_COMMANDS_ONLY:
		allowed = authentication->has_options && authentication->options.command != NULL;
		break;
	default:
		break;
	}
	if (!allowed)
		nacre_log(NACRE_LOG_INFO, "ROOT LOGIN REFUSED FROM %.200s port %d",
		    login->peer.address, login->peer.port);
	return allowed;
}
