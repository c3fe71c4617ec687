/* RevokedKeys: a list of public keys, or a key revocation list in OpenSSH's binary form. */
#include "authorize.h"

#include <nacre/krl.h>
#include <nacre/log.h>

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

	if (error == 0)
		error = nacre_krl_is(nacre_buffer_span(&text))
			    ? nacre_krl_find(nacre_buffer_span(&text), key)
			    : list_find(nacre_buffer_span(&text), key, line);
	int reason = errno;
	nacre_buffer_free(&text);
	errno = reason;
	return error;
}

bool
key_is_revoked(const struct login *login, const struct nacre_key *key)
{
	const char *path = login->config->revoked_keys;
	struct nacre_buffer fingerprint = {0};
	unsigned line = 0;

	if (path == NULL)
		return false;
	int error = find_in_file(path, key, &line);
	if (error == NACRE_ERROR_NOT_FOUND)
		return false;
	const char *reason =
	    error == NACRE_ERROR_SYSTEM ? strerror(errno) : nacre_error_string(error);
	put_fingerprint(login, key, &fingerprint);
	const char *hash = (const char *)fingerprint.data;
	if (error == 0)
		nacre_log(NACRE_LOG_ERROR, "Authentication key %s %s revoked by file %s",
		    nacre_key_type_label(key), hash, path);
	else if (line > 0)
		nacre_log(NACRE_LOG_ERROR,
		    "Error checking authentication key %s %s in revoked keys file %s: line %u: %s",
		    nacre_key_type_label(key), hash, path, line, reason);
	else
		nacre_log(NACRE_LOG_ERROR,
		    "Error checking authentication key %s %s in revoked keys file %s: %s",
		    nacre_key_type_label(key), hash, path, reason);
	nacre_buffer_free(&fingerprint);
	return true;
}
