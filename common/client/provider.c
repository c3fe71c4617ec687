/* Starting the processes in which providers' libraries are loaded. */
#include <nacre/log.h>
#include <nacre/process.h>
#include <nacre/provider.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

extern char **environ;

static const struct {
	const char *variable, *name;
} programs[] = {
    [NACRE_PROVIDER_PKCS11] = {"SSH_PKCS11_HELPER", "ssh-pkcs11-helper"},
    [NACRE_PROVIDER_SK] = {"SSH_SK_HELPER", "ssh-sk-helper"},
};

/* Beside our own program in a build folder; of an installation it is elsewhere. */
static void
program_path(enum nacre_provider_kind kind, char path[PATH_MAX])
{
	const char *const named = getenv(programs[kind].variable);
	const ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash;

	if (named != NULL && named[0] != '\0') {
		snprintf(path, PATH_MAX, "%s", named);
		return;
	}
	if (length > 0) {
		path[length] = '\0';
		if ((slash = strrchr(path, '/')) != NULL) {
			snprintf(slash + 1, PATH_MAX - (size_t)(slash + 1 - path), "%s",
			    programs[kind].name);
			if (access(path, X_OK) == 0)
				return;
		}
	}
	snprintf(path, PATH_MAX, "%s/%s", NACRE_LIBEXECDIR, programs[kind].name);
}

int
nacre_provider_start(enum nacre_provider_kind kind, int *fd, pid_t *pid)
{
	char path[PATH_MAX];
	int ends[2];

	program_path(kind, path);
	if (access(path, X_OK) != 0) {
		nacre_log(NACRE_LOG_ERROR, "%s: %s", path, strerror(errno));
		return NACRE_ERROR_SYSTEM;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
		nacre_log(NACRE_LOG_ERROR, "%s: socketpair: %s", path, strerror(errno));
		return NACRE_ERROR_SYSTEM;
	}
	char verbosity[2] = {(char)('0' + (int)nacre_log_level_get()), '\0'};
	char name[32];
	snprintf(name, sizeof name, "%s", programs[kind].name);
	char *const arguments[] = {name, "-l", verbosity, NULL};
	const struct nacre_process_start start = {
	    .path = path,
	    .arguments = arguments,
	    .environment = environ,
	    .input = ends[1],
	    .output = STDERR_FILENO, /* what a module prints must not be taken for ours */
	    .error = -1,
	    .keep = -1,
	};
	*pid = nacre_process_start(&start);
	close(ends[1]);
	if (*pid < 0) {
		nacre_log(NACRE_LOG_ERROR, "%s: %s", path, strerror(errno));
		close(ends[0]);
		return NACRE_ERROR_SYSTEM;
	}
	*fd = ends[0];
	return 0;
}
