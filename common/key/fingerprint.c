/* Fingerprints as ssh-keygen -l prints them, and the picture of a fingerprint, "randomart". */
#include <key/key.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *name;
	const struct hash_algorithm *hash;
} fingerprints[] = {
    [NACRE_FINGERPRINT_SHA256] = {"SHA256", &hash_sha256},
    [NACRE_FINGERPRINT_MD5] = {"MD5", &hash_md5},
};

bool
nacre_fingerprint_hash_find(const char *name, enum nacre_fingerprint_hash *hash)
{
	for (size_t i = 0; i < sizeof fingerprints / sizeof fingerprints[0]; i++) {
		if (strcasecmp(fingerprints[i].name, name) != 0)
			continue;
		*hash = (enum nacre_fingerprint_hash)i;
		return true;
	}
	return false;
}

/* The digest of the plain public key: a certificate has the fingerprint of what it certifies. */
static int
fingerprint_digest(const struct nacre_key *key, enum nacre_fingerprint_hash hash, uint8_t *digest)
{
	SCOPED_BUFFER struct nacre_buffer blob = {0};
	int error = nacre_key_put_blob(key, true, &blob);

	return error != 0 ? error
			  : hash_span(fingerprints[hash].hash, nacre_buffer_span(&blob), digest);
}

static void
put_base64_unpadded(struct nacre_buffer *text, struct nacre_span bytes)
{
	struct nacre_span whole;

	nacre_put_base64(text, bytes);
	whole = nacre_buffer_span(text);
	while (whole.length > 0 && whole.data[whole.length - 1] == '=')
		whole.length--;
	nacre_buffer_truncate(text, whole.length);
}

int
nacre_key_fingerprint(
    const struct nacre_key *key, enum nacre_fingerprint_hash hash, struct nacre_buffer *text)
{
	uint8_t digest[HASH_LENGTH_MAX];
	size_t length = fingerprints[hash].hash->length;
	int error = fingerprint_digest(key, hash, digest);

	if (error != 0)
		return error;
	nacre_put_format(text, "%s", fingerprints[hash].name);
	if (hash == NACRE_FINGERPRINT_MD5) {
		for (size_t i = 0; i < length; i++)
			nacre_put_format(text, ":%02x", digest[i]);
	} else {
		nacre_put_byte(text, ':');
		put_base64_unpadded(text, (struct nacre_span){digest, length});
	}
	return text->failed ? NACRE_ERROR_MEMORY : 0;
}

/*
 * BubbleBabble: two bytes become five letters, vowels and consonants in turn, the vowels also holding
 * a checksum of what was before.
 */
static const char vowels[] = "aeiouy", consonants[] = "bcdfghklmnprstvzx";

/* "sum" modulo 6 goes to the first vowel, its sixth to the second. */
static void
put_half(struct nacre_buffer *text, unsigned byte, unsigned sum)
{
	nacre_put_byte(text, (uint8_t)vowels[((byte >> 6) + sum) % 6]);
	nacre_put_byte(text, (uint8_t)consonants[byte >> 2 & 15]);
	nacre_put_byte(text, (uint8_t)vowels[((byte & 3) + sum / 6) % 6]);
}

static void
put_bubblebabble(struct nacre_buffer *text, const uint8_t *bytes, size_t length)
{
	unsigned sum = 1;
	size_t i = 0;

	nacre_put_byte(text, 'x');
	for (; i + 1 < length; i += 2) {
		put_half(text, bytes[i], sum);
		nacre_put_byte(text, (uint8_t)consonants[bytes[i + 1] >> 4]);
		nacre_put_byte(text, '-');
		nacre_put_byte(text, (uint8_t)consonants[bytes[i + 1] & 15]);
		sum = (sum * 5 + bytes[i] * 7U + bytes[i + 1]) % 36;
	}
	if (i < length)
		put_half(text, bytes[i], sum);
	else
		nacre_put_format(text, "%cx%c", vowels[sum % 6], vowels[sum / 6]);
	nacre_put_byte(text, 'x');
}

int
nacre_key_bubblebabble(const struct nacre_key *key, struct nacre_buffer *text)
{
	SCOPED_BUFFER struct nacre_buffer blob = {0};
	uint8_t digest[HASH_LENGTH_MAX];
	int error = nacre_key_put_blob(key, true, &blob);

	if (error == 0)
		error = hash_span(&hash_sha1, nacre_buffer_span(&blob), digest);
	if (error != 0)
		return error;
	put_bubblebabble(text, digest, hash_sha1.length);
	return text->failed ? NACRE_ERROR_MEMORY : 0;
}

/*
 * The drunken bishop: a walk on a field of 17 by 9 places from its middle, two bits of the digest a
 * step (low bits first; bit 0 right or left, bit 1 down or up), stopping at the walls. A place
 * shows how often it was visited.
 */
enum { FIELD_WIDTH = 17, FIELD_HEIGHT = 9 };
static const char marks[] = " .o+=*BOX@%&#/^SE";
enum { MARK_START = sizeof marks - 3, MARK_END = sizeof marks - 2 };

struct field {
	uint8_t visits[FIELD_HEIGHT][FIELD_WIDTH];
	int x, y;
};

static int
clamp(int value, int most)
{
	return value < 0 ? 0 : value > most ? most : value;
}

static void
field_step(struct field *field, unsigned bits)
{
	uint8_t *visits;

	field->x = clamp(field->x + ((bits & 1) != 0 ? 1 : -1), FIELD_WIDTH - 1);
	field->y = clamp(field->y + ((bits & 2) != 0 ? 1 : -1), FIELD_HEIGHT - 1);
	visits = &field->visits[field->y][field->x];
	if (*visits < MARK_START - 1)
		++*visits;
}

static void
field_walk(struct field *field, struct nacre_span digest)
{
	*field = (struct field){.x = FIELD_WIDTH / 2, .y = FIELD_HEIGHT / 2};
	for (size_t i = 0; i < digest.length; i++)
		for (unsigned shift = 0; shift < 8; shift += 2)
			field_step(field, (unsigned)digest.data[i] >> shift);
	field->visits[FIELD_HEIGHT / 2][FIELD_WIDTH / 2] = MARK_START;
	field->visits[field->y][field->x] = MARK_END;
}

/* A border with "[title]" in its middle. */
static void
put_border(struct nacre_buffer *text, const char *title)
{
	int length = (int)strlen(title);
	int before = (FIELD_WIDTH - length) / 2;

	nacre_put_byte(text, '+');
	for (int i = 0; i < before; i++)
		nacre_put_byte(text, '-');
	nacre_put_format(text, "%s", title);
	for (int i = before + length; i < FIELD_WIDTH; i++)
		nacre_put_byte(text, '-');
	nacre_put_byte(text, '+');
}

/* "[ED25519 256]", without the size when that would not fit. */
static void
title_write(const struct nacre_key *key, char *title, size_t size)
{
	const char *label = nacre_key_type_label(key);
	int length = snprintf(title, size, "[%s %u]", label, nacre_key_bits(key));

	if (length < 0 || length > FIELD_WIDTH)
		snprintf(title, size, "[%s]", label);
}

int
nacre_key_randomart(
    const struct nacre_key *key, enum nacre_fingerprint_hash hash, struct nacre_buffer *text)
{
	uint8_t digest[HASH_LENGTH_MAX];
	struct field field;
	char title[64];
	int error = fingerprint_digest(key, hash, digest);

	if (error != 0)
		return error;
	field_walk(&field, (struct nacre_span){digest, fingerprints[hash].hash->length});
	title_write(key, title, sizeof title);
	put_border(text, title);
	for (int y = 0; y < FIELD_HEIGHT; y++) {
		nacre_put_format(text, "\n|");
		for (int x = 0; x < FIELD_WIDTH; x++)
			nacre_put_byte(text, (uint8_t)marks[field.visits[y][x]]);
		nacre_put_byte(text, '|');
	}
	nacre_put_byte(text, '\n');
	snprintf(title, sizeof title, "[%s]", fingerprints[hash].name);
	put_border(text, title);
	return text->failed ? NACRE_ERROR_MEMORY : 0;
}
