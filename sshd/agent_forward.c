/* Agent forwarding: a socket in a private directory, each connection of which is a channel. */
#include "user_session.h"

#include <nacre/log.h>
#include <nacre/socket.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
agent_open(struct user_session *user, const struct acceptor *acceptor, const char *originator,
    unsigned originator_port, uint32_t *number)
{
	(void)acceptor;
	(void)originator;
	(void)originator_port;
	return nacre_channel_open_agent(user->session, number);
}

static bool
make_directory(struct user_session *user)
{
	snprintf(user->agent_directory, sizeof user->agent_directory, "/tmp/ssh-XXXXXX");
	if (mkdtemp(user->agent_directory) == NULL) {
		user->agent_directory[0] = '\0';
		return false;
	}
	snprintf(user->agent_path, sizeof user->agent_path, "%s/agent.%ld", user->agent_directory,
	    (long)getpid());
	return true;
}

bool
agent_listen(struct user_session *user)
{
	if (!user->permit_agent) {
		nacre_log(NACRE_LOG_DEBUG1, "agent forwarding is not permitted");
		return false;
	}
	if (user->agent_path[0] != '\0')
		return true;
	if (!make_directory(user)) {
		nacre_log(NACRE_LOG_ERROR, "Agent forwarding disabled: mkdtemp() failed: %s",
		    strerror(errno));
		return false;
	}
	int fd = nacre_socket_listen_path(user->agent_path, 0177, NACRE_LISTEN_BACKLOG);
	if (fd < 0) {
		nacre_log(
		    NACRE_LOG_ERROR, "cannot listen at %s: %s", user->agent_path, strerror(errno));
		agent_remove_directory(user);
		return false;
	}
	struct acceptor *acceptor = acceptor_add(user, fd, user->agent_path, 0);
	acceptor->open = agent_open;
	acceptor->agent = true;
	acceptor->channel_type = "agent-connection";
	acceptor_own_path(acceptor);
	return true;
}

void
agent_remove_directory(struct user_session *user)
{
	if (user->agent_directory[0] != '\0')
		rmdir(user->agent_directory);
	user->agent_directory[0] = user->agent_path[0] = '\0';
}
