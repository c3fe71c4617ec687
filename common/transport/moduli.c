/*
 * Groups for a server's group exchange (RFC 4419): chosen at random from the text of a moduli(5)
 * file, or the built-in primes of RFC 3526.
 */
#include <crypto/random.h>
#include <transport/state.h>

#include <sodium.h>
#include <string.h>

#define MODULUS_MAX    2048 /* bytes */
#define TYPE_SAFE      2
#define TEST_COMPOSITE 1

/* One usable line. */
struct modulus {
	uint32_t bits;
	uint32_t generator;
	struct nacre_span hex;
};

static struct nacre_span
next_line(struct nacre_span *text)
{
	struct nacre_span line = *text;
	const uint8_t *end = text->length > 0 ? memchr(text->data, '\n', text->length) : NULL;

	if (end == NULL) {
		text->length = 0;
		return line;
	}
	line.length = (size_t)(end - line.data);
	text->data += line.length + 1;
	text->length -= line.length + 1;
	return line;
}

static struct nacre_span
next_field(struct nacre_span *line)
{
	struct nacre_span field;

	while (line->length > 0 && (line->data[0] == ' ' || line->data[0] == '\t')) {
		line->data++;
		line->length--;
	}
	field = (struct nacre_span){line->data, 0};
	while (line->length > 0 && line->data[0] != ' ' && line->data[0] != '\t' &&
	       line->data[0] != '\r') {
		field.length++;
		line->data++;
		line->length--;
	}
	return field;
}

static uint32_t
field_number(struct nacre_span field, unsigned base)
{
	uint32_t value = 0;

	for (size_t i = 0; i < field.length && i < 7; i++) {
		uint8_t c = field.data[i];
		unsigned digit = c >= '0' && c <= '9'   ? c - (unsigned)'0'
				 : c >= 'a' && c <= 'f' ? c - (unsigned)'a' + 10
				 : c >= 'A' && c <= 'F' ? c - (unsigned)'A' + 10
							: 16;

		if (digit >= base)
			return 0;
		value = value * base + digit;
	}
	return value;
}

/* Time Type Tests Tries Size Generator Modulus; Size is one less than the modulus' bits. */
static bool
modulus_parse(struct nacre_span line, struct modulus *modulus)
{
	uint32_t type, tests;

	next_field(&line);
	type = field_number(next_field(&line), 10);
	tests = field_number(next_field(&line), 10);
	next_field(&line);
	modulus->bits = field_number(next_field(&line), 10) + 1;
	modulus->generator = field_number(next_field(&line), 16);
	modulus->hex = next_field(&line);
	return type == TYPE_SAFE && (tests & TEST_COMPOSITE) == 0 &&
	       (tests & ~(uint32_t)TEST_COMPOSITE) != 0 && modulus->generator > 1 &&
	       (modulus->bits + 3) / 4 == modulus->hex.length;
}

/* Is "bits" a better size than "best" (0: none yet): the smallest that is large enough, else the
 * largest. */
static bool
size_is_better(uint32_t bits, uint32_t best, uint32_t wanted)
{
	if (best == 0)
		return true;
	if (bits >= wanted)
		return best < wanted || bits < best;
	return best < wanted && bits > best;
}

/* Picks uniformly among the lines of the best size in one pass. */
static bool
modulus_pick(struct nacre_span moduli, uint32_t least, uint32_t wanted, uint32_t most,
    struct modulus *picked)
{
	uint32_t count = 0;

	while (moduli.length > 0) {
		struct modulus modulus;

		if (!modulus_parse(next_line(&moduli), &modulus) || modulus.bits < least ||
		    modulus.bits > most)
			continue;
		if (modulus.bits != picked->bits &&
		    !size_is_better(modulus.bits, picked->bits, wanted))
			continue;
		if (modulus.bits != picked->bits)
			count = 0;
		if (random_below(++count) == 0)
			*picked = modulus;
	}
	return count > 0;
}

static int
modulus_decode(
    const struct modulus *modulus, struct nacre_buffer *prime, struct nacre_buffer *generator)
{
	uint8_t bytes[MODULUS_MAX];
	size_t length = 0;
	uint8_t g[4] = {(uint8_t)(modulus->generator >> 24), (uint8_t)(modulus->generator >> 16),
	    (uint8_t)(modulus->generator >> 8), (uint8_t)modulus->generator};
	size_t zeros = 0;

	if (modulus->hex.length % 2 != 0 ||
	    sodium_hex2bin(bytes, sizeof bytes, (const char *)modulus->hex.data,
		modulus->hex.length, NULL, &length, NULL) != 0 ||
	    length != modulus->hex.length / 2)
		return NACRE_ERROR_FORMAT;
	while (zeros < 3 && g[zeros] == 0)
		zeros++;
	nacre_put_bytes(prime, bytes, length);
	nacre_put_bytes(generator, g + zeros, sizeof g - zeros);
	return prime->failed || generator->failed ? NACRE_ERROR_MEMORY : 0;
}

int
moduli_choose(struct nacre_span moduli, uint32_t least, uint32_t bits, uint32_t most,
    struct nacre_buffer *prime, struct nacre_buffer *generator)
{
	static const unsigned sizes[] = {8192, 6144, 4096, 3072, 2048};
	struct modulus picked = {0};
	unsigned size = 0;

	if (modulus_pick(moduli, least, bits, most, &picked))
		return modulus_decode(&picked, prime, generator);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		if (sizes[i] >= least && sizes[i] <= most && size_is_better(sizes[i], size, bits))
			size = sizes[i];
	if (size == 0)
		return NACRE_ERROR_NOT_FOUND;
	nacre_put_span(prime, kex_builtin_prime(size));
	nacre_put_byte(generator, 2);
	return prime->failed || generator->failed ? NACRE_ERROR_MEMORY : 0;
}
