/* The first field of a known_hosts line. A hashed name is "|1|salt|HMAC-SHA1(salt, name)". */
#include "host_name.h"
#include "file.h"

#include <crypto/hash.h>
#include <crypto/random.h>
#include <nacre/pattern.h>

#include <string.h>

#define HASH_MAGIC  "|1|"
#define SHA1_LENGTH 20
/* The length of SHA1_LENGTH bytes in base64. */
#define HASH_TEXT_LENGTH ((size_t)28)

enum known_line_kind
known_line_parse(struct nacre_span text, struct known_line *line)
{
	struct nacre_span rest, word;

	*line = (struct known_line){.marker = NACRE_KNOWN_HOST_PLAIN};
	text = text_trim(text);
	if (text.length == 0 || text.data[0] == '#')
		return KNOWN_LINE_BLANK;
	if (text.length > TRUST_LINE_MAX)
		return KNOWN_LINE_INVALID;
	line->names = text_next_word(&text);
	if (line->names.data[0] == '@') {
		line->marker_text = line->names;
		if (nacre_span_equals(line->names, "@cert-authority"))
			line->marker = NACRE_KNOWN_HOST_AUTHORITY;
		else if (nacre_span_equals(line->names, "@revoked"))
			line->marker = NACRE_KNOWN_HOST_REVOKED;
		else
			return KNOWN_LINE_INVALID;
		line->names = text_next_word(&text);
	}
	line->key = rest = text_trim(text);
	word = text_next_word(&rest);
	if (word.length == 0 || text_next_word(&rest).length == 0)
		return KNOWN_LINE_INVALID;
	line->hashed = line->names.length > 3 && memcmp(line->names.data, HASH_MAGIC, 3) == 0;
	return KNOWN_LINE_HOST;
}

/* Values of base64 digits (RFC 4648 section 4) plus one; 0 where there is none. Looked up rather
 * than found by comparisons, which no processor can predict. */
static const uint8_t base64_values[256] = {['A'] = 1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
    13,
    14,
    15,
    16,
    17,
    18,
    19,
    20,
    21,
    22,
    23,
    24,
    25,
    26,
    ['a'] = 27,
    28,
    29,
    30,
    31,
    32,
    33,
    34,
    35,
    36,
    37,
    38,
    39,
    40,
    41,
    42,
    43,
    44,
    45,
    46,
    47,
    48,
    49,
    50,
    51,
    52,
    ['0'] = 53,
    54,
    55,
    56,
    57,
    58,
    59,
    60,
    61,
    62,
    ['+'] = 63,
    ['/'] = 64};

/* The 20 bytes that 28 characters stand for; without a buffer, for there are thousands of them. */
static bool
digest_decode(const uint8_t *text, uint8_t digest[SHA1_LENGTH])
{
	bool good = text[HASH_TEXT_LENGTH - 1] == '=';
	uint32_t bits = 0;
	size_t out = 0;

	for (size_t i = 0; i < HASH_TEXT_LENGTH - 1; i++) {
		uint8_t value = base64_values[text[i]];

		good &= value != 0;
		bits = bits << 6 | ((uint32_t)(value - 1) & 63);
		if (i % 4 != 3)
			continue;
		digest[out++] = (uint8_t)(bits >> 16);
		digest[out++] = (uint8_t)(bits >> 8);
		digest[out++] = (uint8_t)bits;
	}
	digest[out++] = (uint8_t)(bits >> 10);
	digest[out] = (uint8_t)(bits >> 2);
	return good;
}

static bool
hashed_matches(struct nacre_span names, struct nacre_span name)
{
	uint8_t salt[SHA1_LENGTH], wanted[SHA1_LENGTH], digest[SHA1_LENGTH];
	const uint8_t *text = names.data + 3;

	if (names.length != 3 + 2 * HASH_TEXT_LENGTH + 1 || text[HASH_TEXT_LENGTH] != '|' ||
	    !digest_decode(text, salt) || !digest_decode(text + HASH_TEXT_LENGTH + 1, wanted))
		return false;
	return hash_hmac(&hash_sha1, (struct nacre_span){salt, sizeof salt}, name, digest) == 0 &&
	       memcmp(digest, wanted, sizeof digest) == 0;
}

int
known_line_ready(const struct known_line *line)
{
	uint8_t digest[SHA1_LENGTH];

	return line->hashed ? hash_spans(&hash_sha1, NULL, 0, digest) : 0;
}

bool
known_line_matches(const struct known_line *line, struct nacre_span name)
{
	if (line->hashed)
		return hashed_matches(line->names, name);
	return nacre_pattern_list(name, line->names, true) == NACRE_MATCH_FOUND;
}

void
host_name_put_hashed(struct nacre_span name, struct nacre_buffer *text)
{
	uint8_t salt[SHA1_LENGTH], digest[SHA1_LENGTH];

	random_bytes(salt, sizeof salt);
	if (hash_hmac(&hash_sha1, (struct nacre_span){salt, sizeof salt}, name, digest) != 0) {
		text->failed = true;
		return;
	}
	nacre_put_format(text, HASH_MAGIC);
	nacre_put_base64(text, (struct nacre_span){salt, sizeof salt});
	nacre_put_byte(text, '|');
	nacre_put_base64(text, (struct nacre_span){digest, sizeof digest});
}

void
host_name_put_lower(struct nacre_span name, struct nacre_buffer *text)
{
	for (size_t i = 0; i < name.length; i++) {
		uint8_t byte = name.data[i];

		nacre_put_byte(text, byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte);
	}
}
