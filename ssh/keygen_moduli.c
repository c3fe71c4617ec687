/* ssh-keygen -M: groups for Diffie-Hellman group exchange, in the form of moduli(5): candidates are
 * generated, and screened for safe primes. */
#include "keygen.h"

#include <nacre/log.h>
#include <nacre/moduli.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FILE_MAX           ((size_t)1024 * 1024 * 1024)
#define MEBIBYTE           ((size_t)1024 * 1024)
#define MEMORY             4 /* MiB */
#define MEMORY_MOST        1024
#define TRIALS             100
#define TRIALS_LEAST       4
#define CHECKPOINT_SECONDS 60
#define NUMBER_LENGTH      2048 /* bytes */

/* Fields of a line. */
enum { TYPE_SAFE = 2, TYPE_SOPHIE_GERMAIN = 4 };
enum { TEST_COMPOSITE = 1, TEST_SIEVE = 2, TEST_MILLER_RABIN = 4 };

struct settings {
	unsigned bits, memory, trials, generator;
	unsigned long lines, start_line;
	const char *start, *checkpoint;
};

static unsigned long
number(const char *text)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno == ERANGE)
		nacre_fatal("Invalid number: %s (invalid)", text);
	return value;
}

/* Takes one option of generating, or of screening; false when it is none. */
static bool
take_generating(struct settings *settings, const char *option)
{
	const char *value;

	if ((value = keygen_option_value(option, "bits")) != NULL)
		settings->bits = (unsigned)number(value);
	else if ((value = keygen_option_value(option, "start")) != NULL)
		settings->start = value;
	else if ((value = keygen_option_value(option, "memory")) == NULL)
		return false;
	else if ((settings->memory = (unsigned)number(value)) == 0 ||
		 settings->memory > MEMORY_MOST)
		nacre_fatal("Memory limit is invalid: %s", value);
	return true;
}

static bool
take_screening(struct settings *settings, const char *option)
{
	const char *value;

	if ((value = keygen_option_value(option, "lines")) != NULL)
		settings->lines = number(value);
	else if ((value = keygen_option_value(option, "start-line")) != NULL)
		settings->start_line = number(value);
	else if ((value = keygen_option_value(option, "checkpoint")) != NULL)
		settings->checkpoint = value;
	else if ((value = keygen_option_value(option, "generator")) != NULL)
		settings->generator = (unsigned)number(value);
	else if ((value = keygen_option_value(option, "prime-tests")) != NULL)
		settings->trials = (unsigned)number(value);
	else
		return false;
	return true;
}

static void
take_options(const struct keygen *keygen, struct settings *settings,
    bool (*take)(struct settings *settings, const char *option), const char *what)
{
	*settings = (struct settings){.bits = keygen->bits, .memory = MEMORY, .trials = TRIALS};
	for (size_t i = 0; i < keygen->option_count; i++)
		if (!take(settings, keygen->options[i]))
			nacre_fatal(
			    "Option \"%s\" is unsupported for moduli %s", keygen->options[i], what);
}

/* "TIME TYPE TESTS TRIALS SIZE GENERATOR MODULUS" */
static void
put_line(FILE *out, unsigned type, unsigned tests, unsigned long trials, unsigned size,
    unsigned generator, struct nacre_span modulus)
{
	const time_t now = time(NULL);
	char date[32] = "";
	struct tm when;

	if (gmtime_r(&now, &when) != NULL)
		strftime(date, sizeof date, "%Y%m%d%H%M%S", &when);
	fprintf(out, "%s %u %u %lu %u %x ", date, type, tests, trials, size, generator);
	for (size_t i = 0; i < modulus.length; i++)
		fprintf(out, "%02X", modulus.data[i]);
	fputc('\n', out);
	fflush(out);
}

/* The date, as the messages of this job begin with it. */
static void
tell_date(void)
{
	const time_t now = time(NULL);
	char date[64] = "";
	struct tm when;

	if (localtime_r(&now, &when) != NULL)
		strftime(date, sizeof date, "%a %b %e %H:%M:%S %Y", &when);
	fprintf(stderr, "%s ", date);
}

static int
digit_value(char digit)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = digit != '\0' ? strchr(digits, digit | 0x20) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

/* Hexadecimal digits, an odd number of them allowed; false when there are others. */
static bool
put_hexadecimal(struct nacre_buffer *bytes, const char *text)
{
	const size_t length = strlen(text);
	unsigned byte = 0;

	for (size_t i = 0; i < length; i++) {
		const int digit = digit_value(text[i]);

		if (digit < 0)
			return false;
		byte = byte << 4 | (unsigned)digit;
		if ((length - i) % 2 == 1)
			nacre_put_byte(bytes, (uint8_t)byte);
	}
	return length > 0 && !bytes->failed;
}

static FILE *
open_output(const struct keygen *keygen, const char *mode)
{
	FILE *out;

	if (keygen->file_count != 1)
		nacre_fatal("No output file specified");
	if (strcmp(keygen->files[0], "-") == 0)
		return stdout;
	if ((out = fopen(keygen->files[0], mode)) == NULL)
		nacre_fatal(
		    "Couldn't open \"%s\" for writing: %s", keygen->files[0], strerror(errno));
	return out;
}

static void
close_output(FILE *out)
{
	const bool failed = ferror(out) != 0;

	if (fclose(out) != 0 || failed)
		nacre_fatal("Couldn't write moduli: %s", strerror(errno));
}

/* Candidates -------------------------------------------------------------------------------- */

static int
generate(const struct keygen *keygen)
{
	struct nacre_buffer start = {0}, q = {0};
	struct nacre_moduli_sieve *sieve;
	struct settings settings;
	unsigned long count = 0;
	FILE *out;
	int error;

	take_options(keygen, &settings, take_generating, "generation");
	if (settings.bits == 0)
		settings.bits = 3072;
	if (settings.bits < NACRE_MODULI_BITS_MIN || settings.bits > NACRE_MODULI_BITS_MAX)
		nacre_fatal("Moduli have between %d and %d bits, not %u.", NACRE_MODULI_BITS_MIN,
		    NACRE_MODULI_BITS_MAX, settings.bits);
	if (settings.start != NULL && !put_hexadecimal(&start, settings.start))
		nacre_fatal("Invalid start point.");
	out = open_output(keygen, "w");
	error = nacre_moduli_sieve_new(
	    settings.bits, nacre_buffer_span(&start), settings.memory * MEBIBYTE, &sieve);
	if (error == NACRE_ERROR_ARGUMENT)
		nacre_fatal("Invalid start point.");
	if (error != 0)
		nacre_fatal("modulus candidate generation failed: %s", nacre_error_string(error));
	for (; nacre_moduli_sieve_next(sieve, &q); nacre_buffer_clear(&q), count++)
		put_line(out, TYPE_SOPHIE_GERMAIN, TEST_SIEVE, 0, settings.bits - 2, 0,
		    nacre_buffer_span(&q));
	close_output(out);
	tell_date();
	fprintf(stderr, "Found %lu candidates\n", count);
	nacre_moduli_sieve_free(sieve);
	nacre_buffer_free(&start);
	nacre_buffer_free(&q);
	return EXIT_SUCCESS;
}

/* Screening --------------------------------------------------------------------------------- */

/* A line that may hold a candidate. */
struct candidate {
	unsigned type, tests, size, generator;
	unsigned long trials;
	struct nacre_buffer q, p;
};

/* Doubled, and one more, or halved. */
static void
put_double(struct nacre_buffer *p, struct nacre_span q)
{
	if (q.length > 0 && q.data[0] >= 0x80)
		nacre_put_byte(p, 1);
	for (size_t i = 0; i < q.length; i++)
		nacre_put_byte(
		    p, (uint8_t)(q.data[i] << 1 | (i + 1 < q.length ? q.data[i + 1] >> 7 : 1)));
}

static void
put_half(struct nacre_buffer *q, struct nacre_span p)
{
	for (size_t i = p.length > 0 && p.data[0] <= 1 ? 1 : 0; i < p.length; i++)
		nacre_put_byte(q, (uint8_t)((i > 0 ? p.data[i - 1] << 7 : 0) | p.data[i] >> 1));
}

static unsigned
bits_of(struct nacre_span number)
{
	unsigned bits = (unsigned)number.length * 8;

	for (unsigned mask = 0x80; number.length > 0 && mask != 0 && (number.data[0] & mask) == 0;
	     mask >>= 1)
		bits--;
	return bits;
}

static unsigned
remainder_of(struct nacre_span number, unsigned divisor)
{
	unsigned rest = 0;

	for (size_t i = 0; i < number.length; i++)
		rest = (rest << 8 | number.data[i]) % divisor;
	return rest;
}

/* A generator of the subgroup of order q, or of the whole group; 0: none of the small ones. */
static unsigned
generator_of(struct nacre_span p)
{
	if (remainder_of(p, 24) == 11)
		return 2;
	if (remainder_of(p, 12) == 5)
		return 3;
	return remainder_of(p, 10) == 3 || remainder_of(p, 10) == 7 ? 5 : 0;
}

/* Fills both numbers from the modulus field. False when the line is not worth a test. */
static bool
candidate_read(struct nacre_span line, struct candidate *candidate)
{
	char text[2 * NUMBER_LENGTH + 160], modulus[2 * NUMBER_LENGTH + 1];
	unsigned generator;

	nacre_buffer_clear(&candidate->q);
	nacre_buffer_clear(&candidate->p);
	if (line.length == 0 || line.data[0] == '#' || line.length >= sizeof text)
		return false;
	memcpy(text, line.data, line.length);
	text[line.length] = '\0';
	if (sscanf(text, "%*14s %u %u %lu %u %x %4096s", &candidate->type, &candidate->tests,
		&candidate->trials, &candidate->size, &generator, modulus) != 6 ||
	    (candidate->tests & TEST_COMPOSITE) != 0)
		return false;
	if (candidate->type == TYPE_SAFE && put_hexadecimal(&candidate->p, modulus))
		put_half(&candidate->q, nacre_buffer_span(&candidate->p));
	else if (candidate->type == TYPE_SOPHIE_GERMAIN && put_hexadecimal(&candidate->q, modulus))
		put_double(&candidate->p, nacre_buffer_span(&candidate->q));
	else
		return false;
	candidate->generator = generator_of(nacre_buffer_span(&candidate->p));
	return bits_of(nacre_buffer_span(&candidate->p)) >= NACRE_MODULI_BITS_MIN &&
	       candidate->generator != 0;
}

/* True when it is a safe prime, which is then written. */
static bool
candidate_test(const struct settings *settings, const struct candidate *candidate, FILE *out)
{
	const struct nacre_span p = nacre_buffer_span(&candidate->p);
	const int safe = nacre_moduli_is_safe(nacre_buffer_span(&candidate->q), settings->trials);

	if (safe < 0)
		nacre_fatal("modulus screening failed: %s", nacre_error_string(safe));
	if (safe == 1)
		put_line(out, TYPE_SAFE, candidate->tests | TEST_MILLER_RABIN,
		    candidate->trials + settings->trials, bits_of(p) - 1, candidate->generator, p);
	return safe == 1;
}

/* The number of the line that was screened last, by an earlier run. */
static unsigned long
checkpoint_read(const char *path)
{
	struct nacre_buffer text = {0};
	unsigned long line = 0;

	if (path != NULL && keygen_read_file(path, 64, &text) == 0) {
		nacre_put_byte(&text, '\0');
		line = strtoul((const char *)text.data + text.start, NULL, 10);
	}
	nacre_buffer_free(&text);
	return line;
}

static void
checkpoint_write(const char *path, unsigned long line)
{
	struct nacre_buffer text = {0};

	if (path == NULL)
		return;
	nacre_put_format(&text, "%lu\n", line);
	if (keygen_replace_file(path, 0644, &text) != 0)
		nacre_log(
		    NACRE_LOG_ERROR, "Couldn't write the checkpoint %s: %s", path, strerror(errno));
	nacre_buffer_free(&text);
}

static void
check_screening(const struct settings *settings)
{
	if (settings->trials < TRIALS_LEAST)
		nacre_fatal(
		    "Minimum primality trials is %d\nmodulus screening failed", TRIALS_LEAST);
	if (settings->generator != 0 && settings->generator != 2 && settings->generator != 3 &&
	    settings->generator != 5)
		nacre_fatal("Generator %u is not one of 2, 3 and 5", settings->generator);
}

struct tally {
	unsigned long tested, found;
};

static void
screen_lines(
    const struct settings *settings, struct nacre_span text, FILE *out, struct tally *tally)
{
	const unsigned long done = checkpoint_read(settings->checkpoint);
	/* Lines are counted from 0 by -O start-line. */
	const unsigned long first = 1 + (settings->start_line > done ? settings->start_line : done);
	struct candidate candidate = {0};
	unsigned long screened = done;
	time_t written = time(NULL);

	for (unsigned long line = 1; text.length > 0; line++) {
		const struct nacre_span content = keygen_next_line(&text);

		if (line < first)
			continue;
		if (settings->lines > 0 && line >= first + settings->lines)
			break;
		if (candidate_read(content, &candidate) &&
		    (settings->generator == 0 || settings->generator == candidate.generator)) {
			tally->tested++;
			tally->found += candidate_test(settings, &candidate, out);
		}
		screened = line;
		if (time(NULL) >= written + CHECKPOINT_SECONDS) {
			checkpoint_write(settings->checkpoint, line);
			written = time(NULL);
		}
	}
	checkpoint_write(settings->checkpoint, screened);
	nacre_buffer_free(&candidate.q);
	nacre_buffer_free(&candidate.p);
}

static int
screen(const struct keygen *keygen)
{
	const char *path = keygen->file != NULL ? keygen->file : "-";
	struct nacre_buffer content = {.limit = FILE_MAX};
	const time_t begin = time(NULL);
	struct settings settings;
	struct tally tally = {0};
	FILE *out;
	int error;

	take_options(keygen, &settings, take_screening, "screening");
	check_screening(&settings);
	if (keygen->file_count != 1)
		nacre_fatal("No output file specified");
	if ((error = keygen_read_file(path, FILE_MAX, &content)) != 0)
		nacre_fatal(
		    "Couldn't open modulus candidate file \"%s\": %s", path, keygen_reason(error));
	out = open_output(keygen, "a");
	screen_lines(&settings, nacre_buffer_span(&content), out, &tally);
	close_output(out);
	/* All was done: the next run begins anew. */
	if (settings.checkpoint != NULL && settings.lines == 0)
		unlink(settings.checkpoint);
	tell_date();
	fprintf(stderr, "Found %lu safe primes of %lu candidates in %ld seconds\n", tally.found,
	    tally.tested, (long)(time(NULL) - begin));
	nacre_buffer_free(&content);
	return EXIT_SUCCESS;
}

int
keygen_moduli(const struct keygen *keygen)
{
	if (strcmp(keygen->moduli, "generate") == 0)
		return generate(keygen);
	if (strcmp(keygen->moduli, "screen") == 0)
		return screen(keygen);
	nacre_fatal("Unsupported moduli option %s", keygen->moduli);
}
