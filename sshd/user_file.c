/* Files that users may write and the monitor believes: AuthorizedKeysFile, .shosts and their kin. */
#include "authorize.h"

#include <nacre/config.h>
#include <nacre/log.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

int
user_file_path(const struct login *login, const char *pattern, struct nacre_buffer *path)
{
	char uid[24];
	const struct nacre_account *account = &login->account;
	const struct nacre_token tokens[] = {
	    {'h', account->home}, {'u', account->name}, {'U', uid}};

	struct nacre_buffer expanded = {0};

	snprintf(uid, sizeof uid, "%ld", (long)account->uid);
	int error = nacre_expand_tokens(pattern, tokens, MEMBERS(tokens), false, &expanded, NULL);
	struct nacre_span name = nacre_buffer_span(&expanded);
	if (name.length == 0 || name.data[0] != '/')
		nacre_put_format(path, "%s/", account->home);
	nacre_put_span(path, name);
	nacre_put_byte(path, 0);
	bool failed = expanded.failed || path->failed;
	nacre_buffer_free(&expanded);
	return error != 0 ? error : failed ? NACRE_ERROR_MEMORY : 0;
}

int
user_file_read(
    const struct login *login, const char *path, const char *what, struct nacre_buffer *text)
{
	const struct nacre_account *account = &login->account;
	struct nacre_buffer message = {0};
	int error = NACRE_ERROR_SYSTEM;

	if (nacre_account_act_as(account) == 0) {
		error = nacre_read_trusted_file(path, account->home, account->uid,
		    login->config->strict_modes, 0, text, &message);
		int reason = errno;
		nacre_account_act_end();
		errno = reason;
	}
	if (error == NACRE_ERROR_SYSTEM)
		nacre_log(NACRE_LOG_DEBUG1, "Could not open user '%s' %s '%s': %s", account->name,
		    what, path, strerror(errno));
	else if (error != 0)
		nacre_log(NACRE_LOG_INFO, "Authentication refused: %.*s",
		    (int)nacre_buffer_length(&message), (const char *)message.data + message.start);
	nacre_buffer_free(&message);
	return error;
}
