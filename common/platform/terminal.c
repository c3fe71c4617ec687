/*
 * Raw mode, size and encoded modes of terminals. One table ties the opcodes of RFC 4254 section 8
 * to termios; both directions read it.
 */
#include <nacre/terminal.h>

#include <errno.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved;
static volatile int raw_fd = -1;

enum mode_place { MODE_CHARACTER, MODE_INPUT, MODE_OUTPUT, MODE_CONTROL, MODE_LOCAL, MODE_SPEED };

enum { OPCODE_END = 0, OPCODE_INPUT_SPEED = 128, OPCODE_OUTPUT_SPEED = 129, OPCODE_LIMIT = 160 };

/* In RFC 4254 an unset control character is 255. */
#define CHARACTER_UNSET 255

static const struct mode {
	uint8_t opcode;
	enum mode_place place;
	tcflag_t value; /* index of the control character, or flag */
	tcflag_t mask;  /* for CSIZE: the field that the flag is one value of */
} modes_table[] = {
    {1, MODE_CHARACTER, VINTR, 0},
    {2, MODE_CHARACTER, VQUIT, 0},
    {3, MODE_CHARACTER, VERASE, 0},
    {4, MODE_CHARACTER, VKILL, 0},
    {5, MODE_CHARACTER, VEOF, 0},
    {6, MODE_CHARACTER, VEOL, 0},
    {7, MODE_CHARACTER, VEOL2, 0},
    {8, MODE_CHARACTER, VSTART, 0},
    {9, MODE_CHARACTER, VSTOP, 0},
    {10, MODE_CHARACTER, VSUSP, 0},
    {12, MODE_CHARACTER, VREPRINT, 0},
    {13, MODE_CHARACTER, VWERASE, 0},
    {14, MODE_CHARACTER, VLNEXT, 0},
    {18, MODE_CHARACTER, VDISCARD, 0},
    {30, MODE_INPUT, IGNPAR, 0},
    {31, MODE_INPUT, PARMRK, 0},
    {32, MODE_INPUT, INPCK, 0},
    {33, MODE_INPUT, ISTRIP, 0},
    {34, MODE_INPUT, INLCR, 0},
    {35, MODE_INPUT, IGNCR, 0},
    {36, MODE_INPUT, ICRNL, 0},
    {37, MODE_INPUT, IUCLC, 0},
    {38, MODE_INPUT, IXON, 0},
    {39, MODE_INPUT, IXANY, 0},
    {40, MODE_INPUT, IXOFF, 0},
    {41, MODE_INPUT, IMAXBEL, 0},
    {42, MODE_INPUT, IUTF8, 0},
    {50, MODE_LOCAL, ISIG, 0},
    {51, MODE_LOCAL, ICANON, 0},
    {52, MODE_LOCAL, XCASE, 0},
    {53, MODE_LOCAL, ECHO, 0},
    {54, MODE_LOCAL, ECHOE, 0},
    {55, MODE_LOCAL, ECHOK, 0},
    {56, MODE_LOCAL, ECHONL, 0},
    {57, MODE_LOCAL, NOFLSH, 0},
    {58, MODE_LOCAL, TOSTOP, 0},
    {59, MODE_LOCAL, IEXTEN, 0},
    {60, MODE_LOCAL, ECHOCTL, 0},
    {61, MODE_LOCAL, ECHOKE, 0},
    {62, MODE_LOCAL, PENDIN, 0},
    {70, MODE_OUTPUT, OPOST, 0},
    {71, MODE_OUTPUT, OLCUC, 0},
    {72, MODE_OUTPUT, ONLCR, 0},
    {73, MODE_OUTPUT, OCRNL, 0},
    {74, MODE_OUTPUT, ONOCR, 0},
    {75, MODE_OUTPUT, ONLRET, 0},
    {90, MODE_CONTROL, CS7, CSIZE},
    {91, MODE_CONTROL, CS8, CSIZE},
    {92, MODE_CONTROL, PARENB, 0},
    {93, MODE_CONTROL, PARODD, 0},
    {OPCODE_INPUT_SPEED, MODE_SPEED, 0, 0},
    {OPCODE_OUTPUT_SPEED, MODE_SPEED, 0, 0},
};

#define MODES_COUNT (sizeof modes_table / sizeof *modes_table)

static const struct speed {
	speed_t value;
	uint32_t bits; /* per second */
} speeds[] = {
    {B0, 0},
    {B50, 50},
    {B75, 75},
    {B110, 110},
    {B134, 134},
    {B150, 150},
    {B200, 200},
    {B300, 300},
    {B600, 600},
    {B1200, 1200},
    {B1800, 1800},
    {B2400, 2400},
    {B4800, 4800},
    {B9600, 9600},
    {B19200, 19200},
    {B38400, 38400},
    {B57600, 57600},
    {B115200, 115200},
    {B230400, 230400},
};

#define SPEEDS_COUNT (sizeof speeds / sizeof *speeds)

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

static tcflag_t *
mode_flags(struct termios *settings, enum mode_place place)
{
	switch (place) {
	case MODE_INPUT:
		return &settings->c_iflag;
	case MODE_OUTPUT:
		return &settings->c_oflag;
	case MODE_CONTROL:
		return &settings->c_cflag;
	default:
		return &settings->c_lflag;
	}
}

static uint32_t
speed_to_bits(speed_t value)
{
	for (size_t i = 0; i < SPEEDS_COUNT; i++)
		if (speeds[i].value == value)
			return speeds[i].bits;
	return 9600;
}

static speed_t
speed_from_bits(uint32_t bits)
{
	for (size_t i = 0; i < SPEEDS_COUNT; i++)
		if (speeds[i].bits == bits)
			return speeds[i].value;
	return B9600;
}

static uint32_t
mode_get(struct termios *settings, const struct mode *mode)
{
	if (mode->place == MODE_SPEED)
		return speed_to_bits(mode->opcode == OPCODE_INPUT_SPEED ? cfgetispeed(settings)
									: cfgetospeed(settings));
	if (mode->place == MODE_CHARACTER) {
		const cc_t character = settings->c_cc[mode->value];
		return character == _POSIX_VDISABLE ? CHARACTER_UNSET : character;
	}
	const tcflag_t mask = mode->mask != 0 ? mode->mask : mode->value;
	return (*mode_flags(settings, mode->place) & mask) == mode->value;
}

static void
mode_put(struct termios *settings, const struct mode *mode, uint32_t argument)
{
	if (mode->opcode == OPCODE_INPUT_SPEED) {
		cfsetispeed(settings, speed_from_bits(argument));
	} else if (mode->opcode == OPCODE_OUTPUT_SPEED) {
		cfsetospeed(settings, speed_from_bits(argument));
	} else if (mode->place == MODE_CHARACTER) {
		settings->c_cc[mode->value] =
		    argument == CHARACTER_UNSET ? _POSIX_VDISABLE : (cc_t)argument;
	} else {
		tcflag_t *const flags = mode_flags(settings, mode->place);

		/* One value of a field is set by "true"; its "false" says nothing. */
		if (argument != 0)
			*flags = (*flags & ~mode->mask) | mode->value;
		else if (mode->mask == 0)
			*flags &= ~mode->value;
	}
}

int
nacre_terminal_modes_encode(int fd, struct nacre_buffer *modes)
{
	struct termios settings = saved;

	if (raw_fd >= 0 || tcgetattr(fd, &settings) == 0)
		for (size_t i = 0; i < MODES_COUNT; i++) {
			nacre_put_byte(modes, modes_table[i].opcode);
			nacre_put_u32(modes, mode_get(&settings, &modes_table[i]));
		}
	nacre_put_byte(modes, OPCODE_END);
	return modes->failed ? NACRE_ERROR_MEMORY : 0;
}

static const struct mode *
mode_find(uint8_t opcode)
{
	for (size_t i = 0; i < MODES_COUNT; i++)
		if (modes_table[i].opcode == opcode)
			return &modes_table[i];
	return NULL;
}

int
nacre_terminal_modes_apply(int fd, struct nacre_span modes)
{
	struct nacre_reader reader = nacre_reader_of(modes);
	struct termios settings;

	if (tcgetattr(fd, &settings) != 0)
		return NACRE_ERROR_SYSTEM;
	while (reader.length > 0) {
		const uint8_t opcode = nacre_get_byte(&reader);

		/* Opcodes 160 to 255 have arguments of unknown size and end the list. */
		if (opcode == OPCODE_END || opcode >= OPCODE_LIMIT)
			break;
		const uint32_t argument = nacre_get_u32(&reader);
		const struct mode *const mode = mode_find(opcode);
		if (mode != NULL && !reader.failed)
			mode_put(&settings, mode, argument);
	}
	if (tcsetattr(fd, TCSANOW, &settings) != 0)
		return NACRE_ERROR_SYSTEM;
	return reader.failed ? NACRE_ERROR_FORMAT : 0;
}
