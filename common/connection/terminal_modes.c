/* Terminal modes, RFC 4254 section 8 and RFC 8160: one row an opcode. */
#include <nacre/terminal_modes.h>

#include <unistd.h>

#define OPCODE_END       0
#define OPCODE_ISPEED    128
#define OPCODE_OSPEED    129
#define OPCODE_NO_LONGER 160  /* from here on arguments have no known size */
#define CHARACTER_NONE   255u /* on the wire: this function has no character */
#define SPEED_ROWS       (sizeof speeds / sizeof speeds[0])
#define MODE_ROWS        (sizeof modes_known / sizeof modes_known[0])

enum place { CHARACTER, INPUT, OUTPUT, CONTROL, LOCAL };

/* "value" is an index into c_cc, or the bits within "mask" of a flag word. */
struct mode {
	uint8_t opcode;
	enum place place;
	tcflag_t value, mask;
};

#define FLAG(opcode, place, bits)         \
	{                                 \
		opcode, place, bits, bits \
	}

static const struct mode modes_known[] = {
    {1, CHARACTER, VINTR, 0},
    {2, CHARACTER, VQUIT, 0},
    {3, CHARACTER, VERASE, 0},
    {4, CHARACTER, VKILL, 0},
    {5, CHARACTER, VEOF, 0},
    {6, CHARACTER, VEOL, 0},
#ifdef VEOL2
    {7, CHARACTER, VEOL2, 0},
#endif
    {8, CHARACTER, VSTART, 0},
    {9, CHARACTER, VSTOP, 0},
    {10, CHARACTER, VSUSP, 0},
#ifdef VDSUSP
    {11, CHARACTER, VDSUSP, 0},
#endif
#ifdef VREPRINT
    {12, CHARACTER, VREPRINT, 0},
#endif
#ifdef VWERASE
    {13, CHARACTER, VWERASE, 0},
#endif
#ifdef VLNEXT
    {14, CHARACTER, VLNEXT, 0},
#endif
#ifdef VFLUSH
    {15, CHARACTER, VFLUSH, 0},
#endif
#ifdef VSWTC
    {16, CHARACTER, VSWTC, 0},
#endif
#ifdef VSTATUS
    {17, CHARACTER, VSTATUS, 0},
#endif
#ifdef VDISCARD
    {18, CHARACTER, VDISCARD, 0},
#endif
    FLAG(30, INPUT, IGNPAR),
    FLAG(31, INPUT, PARMRK),
    FLAG(32, INPUT, INPCK),
    FLAG(33, INPUT, ISTRIP),
    FLAG(34, INPUT, INLCR),
    FLAG(35, INPUT, IGNCR),
    FLAG(36, INPUT, ICRNL),
#ifdef IUCLC
    FLAG(37, INPUT, IUCLC),
#endif
    FLAG(38, INPUT, IXON),
    FLAG(39, INPUT, IXANY),
    FLAG(40, INPUT, IXOFF),
#ifdef IMAXBEL
    FLAG(41, INPUT, IMAXBEL),
#endif
#ifdef IUTF8
    FLAG(42, INPUT, IUTF8),
#endif
    FLAG(50, LOCAL, ISIG),
    FLAG(51, LOCAL, ICANON),
#ifdef XCASE
    FLAG(52, LOCAL, XCASE),
#endif
    FLAG(53, LOCAL, ECHO),
    FLAG(54, LOCAL, ECHOE),
    FLAG(55, LOCAL, ECHOK),
    FLAG(56, LOCAL, ECHONL),
    FLAG(57, LOCAL, NOFLSH),
    FLAG(58, LOCAL, TOSTOP),
    FLAG(59, LOCAL, IEXTEN),
#ifdef ECHOCTL
    FLAG(60, LOCAL, ECHOCTL),
#endif
#ifdef ECHOKE
    FLAG(61, LOCAL, ECHOKE),
#endif
#ifdef PENDIN
    FLAG(62, LOCAL, PENDIN),
#endif
    FLAG(70, OUTPUT, OPOST),
#ifdef OLCUC
    FLAG(71, OUTPUT, OLCUC),
#endif
    FLAG(72, OUTPUT, ONLCR),
    FLAG(73, OUTPUT, OCRNL),
    FLAG(74, OUTPUT, ONOCR),
    FLAG(75, OUTPUT, ONLRET),
    {90, CONTROL, CS7, CSIZE},
    {91, CONTROL, CS8, CSIZE},
    FLAG(92, CONTROL, PARENB),
    FLAG(93, CONTROL, PARODD),
};

static const struct {
	speed_t speed;
	uint32_t bits_per_second;
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
#ifdef B460800
    {B460800, 460800},
#endif
#ifdef B921600
    {B921600, 921600},
#endif
};

static tcflag_t *
flags_of(struct termios *termios, enum place place)
{
	tcflag_t *const words[] = {
	    [INPUT] = &termios->c_iflag,
	    [OUTPUT] = &termios->c_oflag,
	    [CONTROL] = &termios->c_cflag,
	    [LOCAL] = &termios->c_lflag,
	};

	return words[place];
}

static uint32_t
mode_get(const struct termios *termios, const struct mode *mode)
{
	struct termios copy = *termios;

	if (mode->place != CHARACTER)
		return (*flags_of(&copy, mode->place) & mode->mask) == mode->value;
	if (termios->c_cc[mode->value] == _POSIX_VDISABLE)
		return CHARACTER_NONE;
	return termios->c_cc[mode->value];
}

static void
mode_set(struct termios *termios, const struct mode *mode, uint32_t argument)
{
	tcflag_t *flags;

	if (mode->place == CHARACTER) {
		termios->c_cc[mode->value] =
		    argument >= CHARACTER_NONE ? _POSIX_VDISABLE : (cc_t)argument;
		return;
	}
	flags = flags_of(termios, mode->place);
	if (argument != 0)
		*flags = (*flags & ~mode->mask) | mode->value;
	else if (mode->mask != CSIZE) /* "not CS7" does not say which size it is */
		*flags &= ~mode->mask;
}

static uint32_t
speed_get(speed_t speed)
{
	for (size_t i = 0; i < SPEED_ROWS; i++)
		if (speeds[i].speed == speed)
			return speeds[i].bits_per_second;
	return 38400;
}

/* The fastest speed we have that is not above the one wanted. */
static speed_t
speed_of(uint32_t bits_per_second)
{
	size_t row = 0;

	while (row + 1 < SPEED_ROWS && speeds[row + 1].bits_per_second <= bits_per_second)
		row++;
	return speeds[row].speed;
}

void
nacre_terminal_modes_encode(const struct termios *termios, struct nacre_buffer *modes)
{
	nacre_put_byte(modes, OPCODE_OSPEED);
	nacre_put_u32(modes, speed_get(cfgetospeed(termios)));
	nacre_put_byte(modes, OPCODE_ISPEED);
	nacre_put_u32(modes, speed_get(cfgetispeed(termios)));
	for (size_t i = 0; i < MODE_ROWS; i++) {
		nacre_put_byte(modes, modes_known[i].opcode);
		nacre_put_u32(modes, mode_get(termios, &modes_known[i]));
	}
	nacre_put_byte(modes, OPCODE_END);
}

static void
mode_apply(struct termios *termios, uint8_t opcode, uint32_t argument)
{
	if (opcode == OPCODE_ISPEED)
		cfsetispeed(termios, speed_of(argument));
	if (opcode == OPCODE_OSPEED)
		cfsetospeed(termios, speed_of(argument));
	for (size_t i = 0; i < MODE_ROWS; i++)
		if (modes_known[i].opcode == opcode)
			mode_set(termios, &modes_known[i], argument);
}

int
nacre_terminal_modes_apply(struct nacre_span modes, struct termios *termios)
{
	struct nacre_reader reader = nacre_reader_of(modes);

	while (reader.length > 0) {
		uint8_t opcode = nacre_get_byte(&reader);
		uint32_t argument;

		if (opcode == OPCODE_END || opcode >= OPCODE_NO_LONGER)
			return 0;
		argument = nacre_get_u32(&reader);
		if (reader.failed)
			return NACRE_ERROR_FORMAT;
		mode_apply(termios, opcode, argument);
	}
	return 0;
}
