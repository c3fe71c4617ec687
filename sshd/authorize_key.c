/* Whether a public key is one of the user's: what is accepted at all, and where it is found. */
#include "authorize.h"

#include <nacre/log.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A certificate comes under the name of a certificate algorithm, a plain key under that of a plain
 * one. */
static bool
algorithm_fits(struct nacre_span algorithm, const struct nacre_key *key)
{
	bool certified = algorithm.length > 0 &&
			 memmem(algorithm.data, algorithm.length, "-cert-v01@", 10) != NULL;

	return certified == nacre_key_is_certificate(key) &&
	       nacre_signature_algorithm_fits(algorithm, key);
}

/* CASignatureAlgorithms. */
static bool
authority_signature_accepted(
    const struct login *login, const struct nacre_key *key, const char *method)
{
	const struct nacre_certificate *certificate = nacre_key_certificate(key);
	const char *accepted = login->config->ca_signature_algorithms;

	if (certificate == NULL ||
	    nacre_list_contains(
		nacre_span_of(accepted != NULL ? accepted : nacre_signature_algorithms_default()),
		certificate->signature_algorithm))
		return true;
	nacre_log(NACRE_LOG_INFO,
	    "userauth_%s: certificate signature algorithm %.*s: signature algorithm not supported",
	    method, (int)certificate->signature_algorithm.length,
	    (const char *)certificate->signature_algorithm.data);
	return false;
}

static bool
size_is_accepted(const struct login *login, const struct nacre_key *key)
{
	if (nacre_key_type(key) != NACRE_KEY_RSA ||
	    (int)nacre_key_bits(key) >= login->config->required_rsa_size)
		return true;
	nacre_log(
	    NACRE_LOG_INFO, "refusing RSA key: Invalid key length (%u bits)", nacre_key_bits(key));
	return false;
}

static bool
is_acceptable(const struct login *login, struct nacre_span algorithm, const struct nacre_key *key,
    const char *accepted, const char *method, const char *keyword)
{
	if (accepted == NULL)
		accepted = nacre_signature_algorithms_default();
	if (!nacre_list_contains(nacre_span_of(accepted), algorithm)) {
		nacre_log(NACRE_LOG_VERBOSE, "userauth_%s: signature algorithm %.*s not in %s",
		    method, (int)algorithm.length, (const char *)algorithm.data, keyword);
		return false;
	}
	return algorithm_fits(algorithm, key) && size_is_accepted(login, key) &&
	       authority_signature_accepted(login, key, method);
}

bool
key_is_acceptable(
    const struct login *login, struct nacre_span algorithm, const struct nacre_key *key)
{
	return is_acceptable(login, algorithm, key, login->config->pubkey_accepted_algorithms,
	    "pubkey", "PubkeyAcceptedAlgorithms");
}

bool
host_key_is_acceptable(
    const struct login *login, struct nacre_span algorithm, const struct nacre_key *key)
{
	return is_acceptable(login, algorithm, key, login->config->hostbased_accepted_algorithms,
	    "hostbased", "HostbasedAcceptedAlgorithms");
}

static bool
plain_key_fits_line(const struct login *login, const struct nacre_key *key, const char *where)
{
	struct nacre_buffer fingerprint = {0};

	put_fingerprint(login, key, &fingerprint);
	nacre_log(NACRE_LOG_VERBOSE, "Accepted key %s %s found at %s", nacre_key_type_label(key),
	    (const char *)fingerprint.data, where);
	nacre_buffer_free(&fingerprint);
	return true;
}

static bool
line_lets_in(struct login *login, const struct nacre_key *key, struct nacre_key_options *options,
    const char *where)
{
	if (!options_let_in(login, options, where)) {
		nacre_log(NACRE_LOG_ERROR, "Refused by key options");
		return false;
	}
	return nacre_key_is_certificate(key) ? certificate_fits_line(login, key, options, where)
					     : plain_key_fits_line(login, key, where);
}

/* Lines with the key that is offered which cannot be used: who looks for the reason finds it
 * here. */
static void
log_notes(const char *path, struct nacre_span notes)
{
	struct nacre_span line;

	while (nacre_line_next(&notes, &line))
		nacre_log(
		    NACRE_LOG_INFO, "%s: %.*s", path, (int)line.length, (const char *)line.data);
}

/* Looks through the text of "path" for the key or, for a certificate, for its authority. */
static bool
found_in(struct login *login, struct nacre_span text, const char *path, const struct nacre_key *key,
    struct nacre_key_options *options)
{
	const struct nacre_certificate *certificate = nacre_key_certificate(key);
	const struct nacre_key *wanted = certificate != NULL ? certificate->authority : key;
	struct nacre_authorized_key found = {0};
	struct nacre_buffer notes = {0};
	size_t offset = 0;
	unsigned line = 0;
	char where[4200];
	bool good = false;

	while (!good && nacre_authorized_keys_find(text, &offset, &line, wanted,
			    certificate != NULL, &found, &notes) == 0) {
		snprintf(where, sizeof where, "%s:%u", path, found.line);
		good = line_lets_in(login, key, &found.options, where);
		if (good) {
			*options = found.options;
			found.options = (struct nacre_key_options){0};
		}
		nacre_authorized_key_free(&found);
	}
	log_notes(path, nacre_buffer_span(&notes));
	nacre_buffer_free(&notes);
	return good;
}

static bool
found_in_file(struct login *login, const char *pattern, const struct nacre_key *key,
    struct nacre_key_options *options)
{
	struct nacre_buffer text = {0}, path = {0};
	bool found = false;

	if (user_file_path(login, pattern, &path) == 0) {
		const char *name = (const char *)path.data + path.start;
		found = user_file_read(login, name, "authorized keys", &text) == 0 &&
			found_in(login, nacre_buffer_span(&text), name, key, options);
	}
	nacre_buffer_free(&text);
	nacre_buffer_free(&path);
	return found;
}

static bool
found_by_command(
    struct login *login, const struct nacre_key *key, struct nacre_key_options *options)
{
	const struct authorize_command command = {.keyword = "AuthorizedKeysCommand",
	    .command = login->config->authorized_keys_command,
	    .user = login->config->authorized_keys_command_user};
	struct nacre_buffer text = {0};
	bool found = command.command != NULL &&
		     authorize_command_run(login, &command, key, &text) == 0 &&
		     found_in(login, nacre_buffer_span(&text), command.keyword, key, options);

	nacre_buffer_free(&text);
	return found;
}

bool
key_is_authorized(
    struct login *login, const struct nacre_key *key, struct nacre_key_options *options)
{
	const struct nacre_words *files = &login->config->authorized_keys_file;
	bool found;

	if (key_is_revoked(login, key))
		return false;
	found = (nacre_key_is_certificate(key) && certificate_is_trusted(login, key, options)) ||
		found_by_command(login, key, options);
	for (size_t i = 0; i < files->count && !found; i++)
		found = found_in_file(login, files->words[i], key, options);
	return found;
}
