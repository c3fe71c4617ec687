/* Whether a public key is one of the user's: AuthorizedKeysFile, RevokedKeys, what is accepted. */
#include "login.h"

#include <nacre/config.h>
#include <nacre/log.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool
key_is_acceptable(
    const struct login *login, struct nacre_span algorithm, const struct nacre_key *key)
{
	const struct nacre_sshd_config *config = login->config;
	const char *accepted = config->pubkey_accepted_algorithms != NULL
				   ? config->pubkey_accepted_algorithms
				   : nacre_signature_algorithms_default();

	if (!nacre_list_contains(nacre_span_of(accepted), algorithm)) {
		nacre_log(NACRE_LOG_VERBOSE,
		    "userauth_pubkey: signature algorithm %.*s not in PubkeyAcceptedAlgorithms",
		    (int)algorithm.length, (const char *)algorithm.data);
		return false;
	}
	if (!nacre_signature_algorithm_fits(algorithm, key))
		return false;
	if (nacre_key_type(key) == NACRE_KEY_RSA &&
	    (int)nacre_key_bits(key) < config->required_rsa_size) {
		nacre_log(NACRE_LOG_INFO, "refusing RSA key: Invalid key length (%u bits)",
		    nacre_key_bits(key));
		return false;
	}
	return true;
}

/* The whole text of a file without checks of who owns it: the administrator named it. */
static int
read_list(const char *path, struct nacre_buffer *text)
{
	return nacre_read_trusted_file(path, NULL, 0, false, 0, text, NULL);
}

/* RevokedKeys as a list of public keys. What cannot be read revokes everything. */
static bool
key_is_revoked(const struct login *login, const struct nacre_key *key)
{
	const char *path = login->config->revoked_keys;
	struct nacre_buffer text = {0};
	struct nacre_authorized_key found = {0};
	size_t offset = 0;
	unsigned line = 0;
	bool revoked = false;

	if (path == NULL)
		return false;
	if (read_list(path, &text) != 0 ||
	    nacre_span_equal(
		(struct nacre_span){text.data + text.start, nacre_buffer_length(&text) < 6 ? 0 : 6},
		nacre_span_of("SSHKRL"))) {
		nacre_log(NACRE_LOG_ERROR,
		    "Error checking authentication key against revoked keys file %s: no list of "
		    "public keys there; all keys are refused",
		    path);
		revoked = true;
	} else if (nacre_authorized_keys_find(
		       nacre_buffer_span(&text), &offset, &line, key, false, &found, NULL) == 0) {
		nacre_log(NACRE_LOG_ERROR, "Authentication key %s revoked by file %s",
		    nacre_key_type_label(key), path);
		nacre_authorized_key_free(&found);
		revoked = true;
	}
	nacre_buffer_free(&text);
	return revoked;
}

static int
expand_path(const struct login *login, const char *pattern, struct nacre_buffer *path)
{
	char uid[24];
	const struct nacre_account *account = &login->account;
	const struct nacre_token tokens[] = {
	    {'h', account->home}, {'u', account->name}, {'U', uid}};

	snprintf(uid, sizeof uid, "%ld", (long)account->uid);
	if (pattern[0] != '/' && pattern[0] != '%')
		nacre_put_format(path, "%s/", account->home);
	int error = nacre_expand_tokens(pattern, tokens, MEMBERS(tokens), false, path, NULL);
	nacre_put_byte(path, 0);
	return error != 0 ? error : path->failed ? NACRE_ERROR_MEMORY : 0;
}

static bool
options_let_in(struct login *login, const struct nacre_authorized_key *found, const char *path)
{
	const char *reason = NULL;

	if (nacre_key_options_allow(&found->options, login->peer.address, login->peer.address,
		time(NULL), &reason) == 0)
		return true;
	nacre_log(NACRE_LOG_INFO,
	    "Authentication tried for %.100s with correct key but not from a permitted host or "
	    "time (host=%.200s, ip=%.200s, %s:%u: %s)",
	    login->account.name, login->peer.address, login->peer.address, path, found->line,
	    reason);
	return false;
}

/* Lines with the key that is offered which cannot be used: who looks for the reason finds it
 * here. */
static void
log_notes(const char *path, struct nacre_span notes)
{
	while (notes.length > 0) {
		const uint8_t *end = memchr(notes.data, '\n', notes.length);
		size_t length = end != NULL ? (size_t)(end - notes.data) : notes.length;

		nacre_log(NACRE_LOG_INFO, "%s: %.*s", path, (int)length, (const char *)notes.data);
		length += end != NULL;
		notes.data += length;
		notes.length -= length;
	}
}

static bool
found_in(struct login *login, struct nacre_span text, const char *path, const struct nacre_key *key,
    struct nacre_key_options *options)
{
	struct nacre_authorized_key found = {0};
	struct nacre_buffer notes = {0};
	size_t offset = 0;
	unsigned line = 0;
	bool good = false;

	while (!good &&
	       nacre_authorized_keys_find(text, &offset, &line, key, false, &found, &notes) == 0) {
		good = options_let_in(login, &found, path);
		if (good) {
			*options = found.options;
			found.options = (struct nacre_key_options){0};
			nacre_log(NACRE_LOG_VERBOSE, "Accepted key %s found at %s:%u",
			    (const char *)login->authentication.key_text.data, path, found.line);
		}
		nacre_authorized_key_free(&found);
	}
	log_notes(path, nacre_buffer_span(&notes));
	nacre_buffer_free(&notes);
	return good;
}

static bool
file_has(struct login *login, const char *path, const struct nacre_key *key,
    struct nacre_key_options *options)
{
	struct nacre_buffer text = {0}, message = {0};
	const struct nacre_account *account = &login->account;
	bool found = false;
	int error = NACRE_ERROR_SYSTEM;

	/* With the user's rights: a file that the user cannot read is not the user's word. */
	if (nacre_account_act_as(account) == 0) {
		error = nacre_read_trusted_file(path, account->home, account->uid,
		    login->config->strict_modes, 0, &text, &message);
		nacre_account_act_end();
	}
	if (error == 0)
		found = found_in(login, nacre_buffer_span(&text), path, key, options);
	else if (error == NACRE_ERROR_PERMISSION)
		nacre_log(NACRE_LOG_INFO, "Authentication refused: %.*s",
		    (int)nacre_buffer_length(&message), (const char *)message.data + message.start);
	else
		nacre_log(NACRE_LOG_DEBUG1, "Could not open user '%s' authorized keys '%s'",
		    account->name, path);
	nacre_buffer_free(&text);
	nacre_buffer_free(&message);
	return found;
}

bool
key_is_authorized(
    struct login *login, const struct nacre_key *key, struct nacre_key_options *options)
{
	const struct nacre_words *files = &login->config->authorized_keys_file;
	bool found = false;

	if (key_is_revoked(login, key))
		return false;
	for (size_t i = 0; i < files->count && !found; i++) {
		struct nacre_buffer path = {0};
		if (expand_path(login, files->words[i], &path) == 0)
			found = file_has(login, (const char *)path.data + path.start, key, options);
		nacre_buffer_free(&path);
	}
	return found;
}
