/*
 * ExposeAuthInfo: which methods and keys have let the user in is left by
 * the session process in a file that only the user can read.
 */
#include "user_session.h"

#include <nacre/file.h>
#include <nacre/log.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
auth_info_expose(struct user_session *user)
{
	static const char template[] = "/tmp/sshauth.XXXXXXXXXXXXXXX";
	struct nacre_span info = nacre_buffer_span(&user->login->authentication.methods_text);

	if (!user->config->expose_auth_info)
		return;
	snprintf(user->auth_info_path, sizeof user->auth_info_path, "%s", template);
	int fd = mkostemp(user->auth_info_path, O_CLOEXEC);
	if (fd < 0) {
		nacre_log(NACRE_LOG_ERROR, "ExposeAuthInfo: %s: %s", template, strerror(errno));
		user->auth_info_path[0] = '\0';
		return;
	}
	if (nacre_write_all(fd, info) != 0) {
		nacre_log(NACRE_LOG_ERROR, "ExposeAuthInfo: %s: %s", user->auth_info_path,
		    strerror(errno));
		auth_info_remove(user);
	}
	close(fd);
}

void
auth_info_remove(struct user_session *user)
{
	if (user->auth_info_path[0] != '\0')
		(void)unlink(user->auth_info_path);
	user->auth_info_path[0] = '\0';
}
