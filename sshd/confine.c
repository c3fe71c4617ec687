/* What the processes that strangers can reach have in common: no identity, an empty root directory,
 * no descriptors but their own, and the sandbox. */
#include "server.h"

#include <nacre/log.h>
#include <nacre/process.h>
#include <nacre/sandbox.h>

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* An empty directory that only root can change; it becomes our root. */
static const char *
empty_root(void)
{
	static const char *const candidates[] = {"/run/sshd", "/var/empty"};
	struct stat status;

	for (size_t i = 0; i < MEMBERS(candidates); i++)
		if (stat(candidates[i], &status) == 0 && S_ISDIR(status.st_mode) &&
		    status.st_uid == 0 && (status.st_mode & 022) == 0)
			return candidates[i];
	if (mkdir(candidates[0], 0755) == 0)
		return candidates[0];
	nacre_fatal("Missing privilege separation directory: %s", candidates[0]);
}

void
confine_for_good(struct nacre_sandbox *sandbox, bool privileged)
{
	const char *step;

	if (privileged) {
		const struct passwd *entry = getpwnam("sshd");
		if (entry == NULL)
			entry = getpwnam("nobody");
		if (entry == NULL)
			nacre_fatal("Privilege separation user sshd does not exist");
		sandbox->root = empty_root();
		sandbox->drop = true;
		sandbox->uid = entry->pw_uid;
		sandbox->gid = entry->pw_gid;
	}
	if (nacre_sandbox_enter(sandbox, &step) != 0)
		nacre_fatal("sandbox: %s: %s", step, strerror(errno));
}

void
confine_descriptors(int fd, int number, bool silent)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd != number)
		dup2(fd, number);
	for (int standard = 0; standard <= 2 && silent; standard++)
		dup2(null, standard);
	nacre_process_close_from(number + 1);
}
