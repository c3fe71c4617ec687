/* What the SFTP targets share: an empty folder to work in, where no file becomes large. */
#ifndef SFTP_FUZZ_H
#define SFTP_FUZZ_H

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static int fuzz_home = -1; /* where the program was started: its inputs' names are relative */

static inline int
fuzz_remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status;
	(void)kind;
	return place->level > 0 ? remove(path) : 0;
}

static inline void
fuzz_enter_folder(void)
{
	static char folder[] = "/tmp/nacre-fuzz-XXXXXX";
	/* Requests name sizes freely. */
	const struct rlimit size = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};

	if (fuzz_home < 0) {
		fuzz_home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fuzz_home < 0 || mkdtemp(folder) == NULL || setrlimit(RLIMIT_FSIZE, &size) != 0)
			abort();
		signal(SIGXFSZ, SIG_IGN);
	}
	if (chdir(folder) != 0)
		abort();
}

static inline void
fuzz_leave_folder(void)
{
	nftw(".", fuzz_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	if (fchdir(fuzz_home) != 0)
		abort();
}

#endif
