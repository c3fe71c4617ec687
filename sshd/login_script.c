/* The script that runs before a user's program: the user's own, or the administrator's. */
#include "user_session.h"

#include <nacre/process.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SYSTEM_SCRIPT NACRE_SYSCONFDIR "/sshrc"

static bool
exists(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0;
}

/* The path as one word of a shell. */
static void
put_quoted(struct nacre_buffer *text, const char *path)
{
	nacre_put_byte(text, '\'');
	for (; *path != '\0'; path++)
		if (*path == '\'')
			nacre_put_format(text, "'\\''");
		else
			nacre_put_byte(text, (uint8_t)*path);
	nacre_put_byte(text, '\'');
}

/* A user's own script does not run where the administrator has said what does. */
static bool
own_script(const struct channel *channel, bool subsystem, char *path, size_t room)
{
	const struct login *login = channel->user->login;
	const struct authentication *authentication = &login->authentication;

	if (subsystem || login->config->force_command != NULL || !login->config->permit_user_rc ||
	    (authentication->has_options && !authentication->options.permit_user_rc))
		return false;
	return (size_t)snprintf(path, room, "%s/.ssh/rc", login->account.home) < room &&
	       exists(path);
}

bool
login_script_command(const struct channel *channel, bool subsystem, struct nacre_buffer *command)
{
	char own[4096];
	bool has_own = own_script(channel, subsystem, own, sizeof own);

	if (!has_own && !exists(SYSTEM_SCRIPT))
		return false;
	nacre_put_format(command, "/bin/sh ");
	put_quoted(command, has_own ? own : SYSTEM_SCRIPT);
	nacre_put_byte(command, 0);
	return !command->failed;
}
