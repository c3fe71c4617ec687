/* Agent forwarding: a socket in a private directory, each connection of which is a channel. */
#include "user_session.h"

#include <nacre/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

static void
agent_accept(struct user_session *user, struct endpoint *listener, unsigned what)
{
	uint32_t number;
	int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)what;
	if (fd < 0)
		return;
	if (nacre_channel_open(user->session, "auth-agent@openssh.com",
		(struct nacre_span){NULL, 0}, &number) != 0) {
		close(fd);
		return;
	}
	struct channel *channel = channel_add(user, number);
	channel->endpoints[0].fd = fd;
	channel->endpoints[0].sink = channel->endpoints[0].source = true;
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

static int
listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask = umask(0177);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	bool good = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
		    listen(fd, BACKLOG) == 0;
	umask(mask);
	if (good)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

bool
agent_listen(struct user_session *user)
{
	if (!user->permit_agent) {
		nacre_log(NACRE_LOG_DEBUG1, "agent forwarding is not permitted");
		return false;
	}
	if (user->agent.fd >= 0)
		return true;
	if (!make_directory(user)) {
		nacre_log(NACRE_LOG_ERROR, "Agent forwarding disabled: mkdtemp() failed: %s",
		    strerror(errno));
		return false;
	}
	user->agent.fd = listen_at(user->agent_path);
	if (user->agent.fd < 0) {
		nacre_log(
		    NACRE_LOG_ERROR, "cannot listen at %s: %s", user->agent_path, strerror(errno));
		agent_remove(user);
		return false;
	}
	user->agent.ready = agent_accept;
	endpoint_want(user, &user->agent, NACRE_POLL_READ);
	return true;
}

void
agent_remove(struct user_session *user)
{
	if (user->agent_directory[0] == '\0')
		return;
	unlink(user->agent_path);
	rmdir(user->agent_directory);
	user->agent_directory[0] = '\0';
}
