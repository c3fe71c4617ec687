/* RevokedKeys and RevokedHostKeys: a list of public keys, or a key revocation list. */
#include <nacre/authorized_keys.h>
#include <nacre/krl.h>

#include <errno.h>
#include <string.h>

#define REVOKED_BYTES ((size_t)64 * 1024 * 1024)

/* 0: revoked; NACRE_ERROR_NOT_FOUND; or what is wrong with the list. */
static int
list_find(struct nacre_span text, const struct nacre_key *key, unsigned *line)
{
	const struct nacre_certificate *certificate = nacre_key_certificate(key);
	int error = nacre_key_list_find(text, key, line);

	if (error == NACRE_ERROR_NOT_FOUND && certificate != NULL)
		error = nacre_key_list_find(text, certificate->authority, line);
	return error;
}

static int
find_in_file(const char *path, const struct nacre_key *key, unsigned *line)
{
	struct nacre_buffer text = {0};
	int error = nacre_read_trusted_file(path, NULL, 0, false, REVOKED_BYTES, &text, NULL);

	*line = 0;
	if (error == 0)
		error = nacre_krl_is(nacre_buffer_span(&text))
			    ? nacre_krl_find(nacre_buffer_span(&text), key)
			    : list_find(nacre_buffer_span(&text), key, line);
	int reason = errno;
	nacre_buffer_free(&text);
	errno = reason;
	return error;
}

/* "TYPE FINGERPRINT" */
static void
put_key(const struct nacre_key *key, enum nacre_fingerprint_hash hash, struct nacre_buffer *message)
{
	nacre_put_format(message, "%s ", nacre_key_type_label(key));
	(void)nacre_key_fingerprint(key, hash, message);
}

bool
nacre_key_is_revoked(const char *path, const struct nacre_key *key, const char *what,
    enum nacre_fingerprint_hash hash, struct nacre_buffer *message)
{
	unsigned line = 0;
	int error = find_in_file(path, key, &line);
	const char *reason =
	    error == NACRE_ERROR_SYSTEM ? strerror(errno) : nacre_error_string(error);

	if (error == NACRE_ERROR_NOT_FOUND)
		return false;
	if (error == 0) {
		nacre_put_format(message, "%c%s ", what[0] - 'a' + 'A', what + 1);
		put_key(key, hash, message);
		nacre_put_format(message, " revoked by file %s", path);
		return true;
	}
	nacre_put_format(message, "Error checking %s ", what);
	put_key(key, hash, message);
	nacre_put_format(message, " in revoked keys file %s: ", path);
	if (line > 0)
		nacre_put_format(message, "line %u: ", line);
	nacre_put_format(message, "%s", reason);
	return true;
}
