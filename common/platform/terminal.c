/* Raw mode and back, and the size of a terminal. */
#include <nacre/terminal.h>

#include <errno.h>
#include <sys/ioctl.h>
#include <termios.h>

static struct termios saved;
static volatile int raw_fd = -1;

int
nacre_terminal_raw(int fd)
{
	struct termios raw;

	if (raw_fd >= 0)
		return 0;
	if (tcgetattr(fd, &saved) != 0)
		return NACRE_ERROR_SYSTEM;
	raw = saved;
	cfmakeraw(&raw);
	/* cfmakeraw() leaves these alone, and they would eat a keystroke. */
	raw.c_iflag &= ~(tcflag_t)(IXOFF | IXANY | IUCLC);
	raw.c_lflag &= ~(tcflag_t)(ECHOE | ECHOK);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	raw_fd = fd;
	if (tcsetattr(fd, TCSADRAIN, &raw) == 0)
		return 0;
	raw_fd = -1;
	return NACRE_ERROR_SYSTEM;
}

void
nacre_terminal_restore(void)
{
	const int fd = raw_fd;
	const int error = errno;

	if (fd < 0)
		return;
	tcsetattr(fd, TCSADRAIN, &saved);
	raw_fd = -1;
	errno = error;
}

bool
nacre_terminal_is_raw(void)
{
	return raw_fd >= 0;
}

int
nacre_terminal_size(int fd, struct nacre_window_size *size)
{
	struct winsize window;

	*size = (struct nacre_window_size){0};
	if (ioctl(fd, TIOCGWINSZ, &window) != 0)
		return NACRE_ERROR_SYSTEM;
	size->columns = window.ws_col;
	size->rows = window.ws_row;
	size->width = window.ws_xpixel;
	size->height = window.ws_ypixel;
	return 0;
}

int
nacre_terminal_settings(int fd, struct termios *settings)
{
	if (raw_fd >= 0) {
		*settings = saved;
		return 0;
	}
	return tcgetattr(fd, settings) == 0 ? 0 : NACRE_ERROR_SYSTEM;
}
