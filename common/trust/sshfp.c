/*
 * Fingerprints of host keys in the DNS: SSHFP records (RFC 4255) in the answer of a resolver (RFC
 * 1035 section 4).
 */
#include <crypto/hash.h>
#include <nacre/known_hosts.h>

#include <string.h>

#define TYPE_SSHFP 44
#define CLASS_IN   1

#define FLAG_AUTHENTIC 0x20 /* AD, in the second byte of the flags; RFC 4035 section 3.2.3 */

/* RFC 4255 section 3.1.1, RFC 6594, RFC 7479. */
static const struct sshfp_algorithm {
	uint8_t number;
	const char *format; /* of the key, or its beginning */
} sshfp_algorithms[] = {{1, "ssh-rsa"}, {3, "ecdsa-sha2-"}, {4, "ssh-ed25519"}};

/* RFC 4255 section 3.1.2, RFC 6594. */
static const struct sshfp_hash {
	uint8_t number;
	const struct hash_algorithm *hash;
} sshfp_hashes[] = {{1, &hash_sha1}, {2, &hash_sha256}};

static uint8_t
algorithm_number(const char *format)
{
	for (size_t i = 0; i < sizeof sshfp_algorithms / sizeof *sshfp_algorithms; i++)
		if (strncmp(format, sshfp_algorithms[i].format,
			strlen(sshfp_algorithms[i].format)) == 0)
			return sshfp_algorithms[i].number;
	return 0;
}

static bool
algorithm_known(uint8_t number)
{
	for (size_t i = 0; i < sizeof sshfp_algorithms / sizeof *sshfp_algorithms; i++)
		if (sshfp_algorithms[i].number == number)
			return true;
	return false;
}

static void
compare(struct nacre_span fingerprint, const struct hash_algorithm *hash, struct nacre_span blob,
    struct nacre_sshfp_votes *votes)
{
	uint8_t digest[HASH_LENGTH_MAX];

	if (hash_spans(hash, &blob, 1, digest) != 0)
		return;
	if (memcmp(digest, fingerprint.data, hash->length) == 0)
		votes->same = true;
	else
		votes->other = true;
}

/* What one record says. One of an algorithm or a hash that nobody knows says nothing. */
static void
judge_record(struct nacre_span record, const char *format, struct nacre_span blob,
    struct nacre_sshfp *result)
{
	if (record.length < 3 || !algorithm_known(record.data[0]))
		return;
	for (size_t i = 0; i < sizeof sshfp_hashes / sizeof *sshfp_hashes; i++) {
		const struct hash_algorithm *const hash = sshfp_hashes[i].hash;

		if (record.data[1] != sshfp_hashes[i].number || record.length - 2 != hash->length)
			continue;
		result->found = true;
		if (record.data[0] == algorithm_number(format))
			compare((struct nacre_span){record.data + 2, record.length - 2}, hash, blob,
			    hash == &hash_sha256 ? &result->sha256 : &result->sha1);
	}
}

/* Names end with an empty label or with a pointer to the rest, which nobody here needs. */
static void
skip_name(struct nacre_reader *reader)
{
	while (!reader->failed) {
		const uint8_t length = nacre_get_byte(reader);

		if (length >= 0xc0)
			nacre_get_byte(reader);
		if (length == 0 || length >= 0xc0)
			return;
		nacre_get_bytes(reader, length);
	}
}

static unsigned
get_u16(struct nacre_reader *reader)
{
	const unsigned high = nacre_get_byte(reader);

	return high << 8 | nacre_get_byte(reader);
}

static void
judge_answer(struct nacre_reader *reader, const char *format, struct nacre_span blob,
    struct nacre_sshfp *result)
{
	skip_name(reader);
	const unsigned type = get_u16(reader), class = get_u16(reader);

	nacre_get_u32(reader); /* time to live */
	const struct nacre_span record = nacre_get_bytes(reader, get_u16(reader));
	if (reader->failed || type != TYPE_SSHFP || class != CLASS_IN)
		return;
	judge_record(record, format, blob, result);
}

void
nacre_sshfp_judge(struct nacre_span answer, const char *format, struct nacre_span blob,
    struct nacre_sshfp *result)
{
	struct nacre_reader reader = nacre_reader_of(answer);

	*result = (struct nacre_sshfp){0};
	get_u16(&reader); /* identifier */
	const unsigned flags = get_u16(&reader), questions = get_u16(&reader),
		       answers = get_u16(&reader);
	get_u16(&reader); /* authorities */
	get_u16(&reader); /* additional records */
	for (unsigned i = 0; i < questions && !reader.failed; i++) {
		skip_name(&reader);
		nacre_get_u32(&reader); /* type and class */
	}
	for (unsigned i = 0; i < answers && !reader.failed; i++)
		judge_answer(&reader, format, blob, result);
	/* What is cut short is no answer. */
	if (reader.failed)
		*result = (struct nacre_sshfp){0};
	result->secure = result->found && (flags & FLAG_AUTHENTIC) != 0;
	/* SHA-1 does not outweigh a SHA-256 that says otherwise (RFC 6594 section 4.1). */
	const struct nacre_sshfp_votes *const votes =
	    result->sha256.same || result->sha256.other ? &result->sha256 : &result->sha1;
	result->match = votes->same && !votes->other;
}
