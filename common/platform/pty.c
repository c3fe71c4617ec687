/* Pseudo-terminals. */
#include <nacre/pty.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int
open_terminal(int master, char name[NACRE_PTY_NAME_LENGTH])
{
	struct stat status;

	if (grantpt(master) != 0 || unlockpt(master) != 0 ||
	    ptsname_r(master, name, NACRE_PTY_NAME_LENGTH) != 0)
		return -1;
	int terminal = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal < 0)
		return -1;
	/* Without a group tty on the file system nobody else may write to it. */
	if (fstat(terminal, &status) == 0 && status.st_uid == geteuid() &&
	    status.st_gid == getegid())
		fchmod(terminal, 0600);
	return terminal;
}

int
nacre_pty_open(int *master, int *terminal, char name[NACRE_PTY_NAME_LENGTH])
{
	*master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*master < 0)
		return NACRE_ERROR_SYSTEM;
	*terminal = open_terminal(*master, name);
	if (*terminal >= 0)
		return 0;
	int error = errno;
	close(*master);
	errno = error;
	*master = -1;
	return NACRE_ERROR_SYSTEM;
}

static unsigned short
clamp(uint32_t value)
{
	return (unsigned short)(value > 65535 ? 65535 : value);
}

int
nacre_pty_set_size(int fd, const struct nacre_window_size *size)
{
	struct winsize window = {.ws_row = clamp(size->rows),
	    .ws_col = clamp(size->columns),
	    .ws_xpixel = clamp(size->width),
	    .ws_ypixel = clamp(size->height)};

	return ioctl(fd, TIOCSWINSZ, &window) == 0 ? 0 : NACRE_ERROR_SYSTEM;
}
