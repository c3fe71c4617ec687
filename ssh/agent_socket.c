/*
 * The socket of ssh-agent: under ~/.ssh/agent, with the host's name in its own (home directories
 * are shared by hosts), or in a directory of its own under the temporary directory, or where -a
 * says.
 */
#include <ssh/agent.h>

#include <nacre/crypto.h>
#include <nacre/log.h>
#include <nacre/socket.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128
/* Of a service manager's descriptors, sd_listen_fds(3). */
#define FIRST_INHERITED 3
#define NAME_LENGTH     10
#define SOCKET_PREFIX   "s."
#define PATH_TOO_LONG   "use -T or -a to place the socket elsewhere"

/* FNV-1a over the host's name, in letters: it only has to tell hosts apart. */
static void
host_mark(char mark[NAME_LENGTH + 1])
{
	char name[256] = "";
	uint64_t hash = 14695981039346656037U;

	gethostname(name, sizeof name - 1);
	for (const char *c = name; *c != '\0'; c++)
		hash = (hash ^ (uint8_t)*c) * 1099511628211U;
	for (size_t i = 0; i < NAME_LENGTH; i++, hash /= 26)
		mark[i] = (char)('a' + hash % 26);
	mark[NAME_LENGTH] = '\0';
}

static void
random_name(char name[NAME_LENGTH + 1])
{
	static const char letters[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ab";
	uint8_t bytes[NAME_LENGTH];

	nacre_random(bytes, sizeof bytes);
	for (size_t i = 0; i < NAME_LENGTH; i++)
		name[i] = letters[bytes[i] % 64];
	name[NAME_LENGTH] = '\0';
}

static void
directory_make(const char *path)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		nacre_fatal("cannot create directory %s: %s", path, strerror(errno));
}

/* ~/.ssh/agent, made on the way. */
static void
agent_directory(char *path, size_t size, bool make)
{
	const char *home = getenv("HOME");
	struct passwd *entry;

	if (home == NULL || home[0] == '\0') {
		entry = getpwuid(getuid());
		home = entry != NULL ? entry->pw_dir : "/";
	}
	if ((size_t)snprintf(path, size, "%s/.ssh", home) >= size)
		nacre_fatal("%s/.ssh: path too long, " PATH_TOO_LONG, home);
	if (make)
		directory_make(path);
	if ((size_t)snprintf(path, size, "%s/.ssh/agent", home) >= size)
		nacre_fatal("%s/.ssh/agent: path too long, " PATH_TOO_LONG, home);
	if (make)
		directory_make(path);
}

static void
temporary_path(struct agent_socket *listener)
{
	const char *directory = getenv("TMPDIR");
	size_t size = sizeof listener->directory;
	char name[NAME_LENGTH + 1];

	if (directory == NULL || directory[0] == '\0')
		directory = "/tmp";
	random_name(name);
	if ((size_t)snprintf(listener->directory, size, "%s/ssh-%s", directory, name) >= size)
		nacre_fatal("TMPDIR %s: path too long, use -a", directory);
	if (mkdir(listener->directory, 0700) != 0)
		nacre_fatal("cannot create directory %s: %s", listener->directory, strerror(errno));
	if ((size_t)snprintf(listener->path, sizeof listener->path, "%s/agent.%ld",
		listener->directory, (long)getpid()) >= sizeof listener->path) {
		rmdir(listener->directory);
		nacre_fatal("TMPDIR %s: path too long, use -a", directory);
	}
}

static void
home_path(struct agent_socket *listener)
{
	char directory[PATH_MAX], name[NAME_LENGTH + 1], mark[NAME_LENGTH + 1];
	size_t size = sizeof listener->path;

	agent_directory(directory, sizeof directory, true);
	random_name(name);
	host_mark(mark);
	if ((size_t)snprintf(listener->path, size, "%s/" SOCKET_PREFIX "%s.agent.%s", directory,
		name, mark) >= size)
		nacre_fatal("%s: path too long, " PATH_TOO_LONG, directory);
}

void
agent_socket_create(const struct agent_options *options, struct agent_socket *listener)
{
	*listener = (struct agent_socket){.fd = -1};
	if (options->socket_path != NULL) {
		if (strlen(options->socket_path) >= sizeof listener->path)
			nacre_fatal("unix_listener: path \"%s\" too long for Unix domain socket",
			    options->socket_path);
		memcpy(listener->path, options->socket_path, strlen(options->socket_path) + 1);
	} else if (options->in_temporary_directory) {
		temporary_path(listener);
	} else {
		home_path(listener);
	}
	if ((listener->fd = nacre_socket_listen_path(listener->path, 0177, BACKLOG)) < 0) {
		int saved = errno;

		if (listener->directory[0] != '\0')
			rmdir(listener->directory);
		nacre_fatal(
		    "unix_listener: cannot bind to path %s: %s", listener->path, strerror(saved));
	}
}

bool
agent_socket_inherit(struct agent_socket *listener)
{
	const char *count = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
	struct sockaddr_un address = {0};
	socklen_t length = sizeof address;
	int accepting = 0;
	socklen_t accepting_length = sizeof accepting;

	if (count == NULL || pid == NULL || strtol(pid, NULL, 10) != getpid())
		return false;
	if (strcmp(count, "1") != 0)
		nacre_fatal("LISTEN_FDS is %s: one socket is needed", count);
	if (getsockopt(FIRST_INHERITED, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &accepting_length) !=
		0 ||
	    accepting == 0 ||
	    getsockname(FIRST_INHERITED, (struct sockaddr *)&address, &length) != 0 ||
	    address.sun_family != AF_UNIX)
		nacre_fatal("descriptor %d is not a Unix socket that listens", FIRST_INHERITED);
	*listener = (struct agent_socket){.fd = FIRST_INHERITED, .inherited = true};
	snprintf(listener->path, sizeof listener->path, "%s", address.sun_path);
	fcntl(listener->fd, F_SETFD, FD_CLOEXEC);
	fcntl(listener->fd, F_SETFL, O_NONBLOCK);
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	return true;
}

void
agent_socket_remove(const struct agent_socket *listener)
{
	if (listener->inherited)
		return;
	unlink(listener->path);
	if (listener->directory[0] != '\0')
		rmdir(listener->directory);
}

/* "s.RANDOM.PROGRAM.HOST", of this host unless all count. */
static bool
is_socket_name(const char *name, const char *mark, bool all_hosts)
{
	const char *end = strrchr(name, '.');

	return strncmp(name, SOCKET_PREFIX, strlen(SOCKET_PREFIX)) == 0 && end != NULL &&
	       end > name + strlen(SOCKET_PREFIX) && (all_hosts || strcmp(end + 1, mark) == 0);
}

static bool
nobody_listens(const char *path)
{
	const int fd = nacre_socket_connect_path(path, SOCK_NONBLOCK);

	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == ECONNREFUSED;
}

void
agent_socket_clean(bool all_hosts)
{
	char directory[PATH_MAX], path[PATH_MAX], mark[NAME_LENGTH + 1];
	struct dirent *entry;
	struct stat status;
	DIR *list;

	agent_directory(directory, sizeof directory, false);
	host_mark(mark);
	if ((list = opendir(directory)) == NULL)
		return;
	while ((entry = readdir(list)) != NULL) {
		if (!is_socket_name(entry->d_name, mark, all_hosts) ||
		    (size_t)snprintf(path, sizeof path, "%s/%s", directory, entry->d_name) >=
			sizeof path ||
		    lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode) || !nobody_listens(path))
			continue;
		nacre_log(NACRE_LOG_DEBUG1, "removing stale socket %s", path);
		unlink(path);
	}
	closedir(list);
}
