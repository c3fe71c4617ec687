/* Host keys as DNS resource records: SSHFP (RFC 4255, 6594, 7479). */
#include <key/key.h>

#include <string.h>

/* The numbers of the IANA registry. */
static const struct {
	enum nacre_key_type type;
	unsigned number;
} algorithms[] = {
    {NACRE_KEY_RSA, 1},
    {NACRE_KEY_ECDSA_P256, 3},
    {NACRE_KEY_ECDSA_P384, 3},
    {NACRE_KEY_ECDSA_P521, 3},
    {NACRE_KEY_ED25519, 4},
};

static const struct {
	const char *name;
	enum nacre_sshfp_hash flag;
	unsigned number;
	const struct hash_algorithm *hash;
} digests[] = {
    {"sha1", NACRE_SSHFP_SHA1, 1, &hash_sha1},
    {"sha256", NACRE_SSHFP_SHA256, 2, &hash_sha256},
};

bool
nacre_sshfp_hash_find(const char *name, unsigned *hash)
{
	for (size_t i = 0; i < sizeof digests / sizeof *digests; i++)
		if (strcmp(digests[i].name, name) == 0) {
			*hash = digests[i].flag;
			return true;
		}
	return false;
}

static unsigned
algorithm_number(enum nacre_key_type type)
{
	for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
		if (algorithms[i].type == type)
			return algorithms[i].number;
	return 0;
}

/* In the generic form (RFC 3597), for servers of names that do not know the type. */
static void
put_head(struct nacre_buffer *text, const char *name, bool generic, unsigned algorithm, size_t i)
{
	if (generic)
		nacre_put_format(text, "%s IN TYPE44 \\# %zu %02x %02x ", name,
		    digests[i].hash->length + 2, algorithm, digests[i].number);
	else
		nacre_put_format(text, "%s IN SSHFP %u %u ", name, algorithm, digests[i].number);
}

int
nacre_key_put_sshfp(const struct nacre_key *key, const char *name, unsigned hashes, bool generic,
    struct nacre_buffer *text)
{
	SCOPED_BUFFER struct nacre_buffer blob = {0};
	const unsigned algorithm = algorithm_number(nacre_key_type(key));
	uint8_t digest[HASH_LENGTH_MAX];
	int error = algorithm == 0 ? NACRE_ERROR_UNSUPPORTED : nacre_key_put_blob(key, true, &blob);

	for (size_t i = 0; error == 0 && i < sizeof digests / sizeof *digests; i++) {
		if ((hashes & digests[i].flag) == 0)
			continue;
		error = hash_span(digests[i].hash, nacre_buffer_span(&blob), digest);
		if (error != 0)
			break;
		put_head(text, name, generic, algorithm, i);
		for (size_t byte = 0; byte < digests[i].hash->length; byte++)
			nacre_put_format(text, "%02x", digest[byte]);
		nacre_put_byte(text, '\n');
	}
	return error != 0 ? error : text->failed ? NACRE_ERROR_MEMORY : 0;
}
