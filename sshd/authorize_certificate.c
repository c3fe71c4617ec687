/*
 * User certificates (PROTOCOL.certkeys): whom a certificate may log in as, and what it allows. That
 * its authority has signed it was verified when it was read.
 */
#include "authorize.h"

#include <nacre/log.h>
#include <nacre/pattern.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool
names_principal(const struct nacre_certificate *certificate, struct nacre_span name)
{
	struct nacre_reader reader = nacre_reader_of(certificate->principals);
	struct nacre_span principal;

	while (nacre_certificate_next_principal(&reader, &principal))
		if (nacre_span_equal(principal, name))
			return true;
	return false;
}

/* One of the names of a principals= option. */
static bool
names_any_of(const struct nacre_certificate *certificate, const char *list)
{
	struct nacre_span names = nacre_span_of(list), name;

	while ((name = nacre_list_next(&names)).length > 0)
		if (names_principal(certificate, name))
			return true;
	return false;
}

static bool
refuse(const char *reason)
{
	nacre_log(NACRE_LOG_ERROR, "%s", reason);
	return false;
}

/* What the certificate itself says: its kind, validity, options. "user": the name that it must
 * list; NULL when a principal was found already. "options" are those of the line that vouches for
 * it, and become those of both. */
static bool
certificate_is_valid(struct login *login, const struct nacre_certificate *certificate,
    const char *user, struct nacre_key_options *options)
{
	struct nacre_key_options own;
	struct nacre_buffer notes = {0};
	const char *reason = NULL;

	int error = nacre_key_options_of_certificate(certificate, &own, &notes);
	nacre_log_lines(NACRE_LOG_ERROR, nacre_buffer_span(&notes));
	nacre_buffer_free(&notes);
	if (error != 0)
		return refuse("Invalid certificate options");
	bool good = options_let_in(login, &own, "cert");
	if (!good)
		reason = "Refused by certificate options";
	if (good)
		good = nacre_certificate_check(certificate, NACRE_CERTIFICATE_USER, user,
			   (uint64_t)time(NULL), &reason) == 0;
	if (good)
		good = nacre_key_options_merge(options, &own, &reason) == 0;
	nacre_key_options_free(&own);
	return good ? true : refuse(reason);
}

static void
log_accepted(const struct login *login, const struct nacre_certificate *certificate, bool by_line,
    const char *where)
{
	const char *label = nacre_key_type_label(certificate->authority);
	struct nacre_buffer fingerprint = {0};

	put_fingerprint(login, certificate->authority, &fingerprint);
	nacre_log(NACRE_LOG_VERBOSE,
	    "Accepted certificate ID \"%.*s\" (serial %llu) signed by %s %s %s %s %s",
	    (int)(certificate->key_id.length < 300 ? certificate->key_id.length : 300),
	    (const char *)certificate->key_id.data, (unsigned long long)certificate->serial,
	    by_line ? "CA" : label, by_line ? label : "CA", (const char *)fingerprint.data,
	    by_line ? "found at" : "via", where);
	nacre_buffer_free(&fingerprint);
}

bool
certificate_fits_line(struct login *login, const struct nacre_key *key,
    struct nacre_key_options *options, const char *where)
{
	const struct nacre_certificate *certificate = nacre_key_certificate(key);

	if (options->principals != NULL && !names_any_of(certificate, options->principals))
		return refuse("Certificate does not contain an authorized principal");
	if (!certificate_is_valid(login, certificate,
		options->principals == NULL ? login->account.name : NULL, options))
		return false;
	log_accepted(login, certificate, true, where);
	return true;
}

/* Principals ------------------------------------------------------------------------------- */

/* Looks through lines of "[options] principal" for one that the certificate names and whose options
 * let the peer in. "path" is for the log. */
static bool
principal_listed(struct login *login, const struct nacre_certificate *certificate,
    struct nacre_span text, const char *path, struct nacre_key_options *options)
{
	struct nacre_span line, name;
	const char *reason = NULL;

	for (unsigned number = 1; nacre_line_next(&text, &line); number++) {
		int error = nacre_authorized_principal_parse(line, options, &name, &reason);
		if (error == NACRE_ERROR_FORMAT)
			nacre_log(NACRE_LOG_INFO, "%s:%u: bad principals options: %s", path, number,
			    reason);
		if (error != 0)
			continue;
		if (names_principal(certificate, name)) {
			if (options_let_in(login, options, "principals"))
				return true;
			(void)refuse("Refused by certificate principals options");
		}
		nacre_key_options_free(options);
	}
	return false;
}

static bool
principal_in_file(struct login *login, const struct nacre_certificate *certificate,
    struct nacre_key_options *options)
{
	const char *pattern = login->config->authorized_principals_file;
	struct nacre_buffer path = {0}, text = {0};
	bool found = false;

	if (pattern != NULL && user_file_path(login, pattern, &path) == 0) {
		const char *name = (const char *)path.data + path.start;
		found =
		    user_file_read(login, name, "authorized principals", &text) == 0 &&
		    principal_listed(login, certificate, nacre_buffer_span(&text), name, options);
	}
	nacre_buffer_free(&path);
	nacre_buffer_free(&text);
	return found;
}

static bool
principal_from_command(
    struct login *login, const struct nacre_key *key, struct nacre_key_options *options)
{
	const struct authorize_command command = {.keyword = "AuthorizedPrincipalsCommand",
	    .command = login->config->authorized_principals_command,
	    .user = login->config->authorized_principals_command_user};
	struct nacre_buffer text = {0};
	bool found = command.command != NULL &&
		     authorize_command_run(login, &command, key, &text) == 0 &&
		     principal_listed(login, nacre_key_certificate(key), nacre_buffer_span(&text),
			 command.keyword, options);

	nacre_buffer_free(&text);
	return found;
}

/* TrustedUserCAKeys ------------------------------------------------------------------------ */

static bool
authority_is_trusted(const char *path, const struct nacre_key *authority)
{
	struct nacre_buffer text = {0};
	unsigned line = 0;
	int error = nacre_read_trusted_file(path, NULL, 0, false, 0, &text, NULL);

	if (error == NACRE_ERROR_SYSTEM)
		nacre_log(NACRE_LOG_ERROR, "Could not open TrustedUserCAKeys \"%s\": %s", path,
		    strerror(errno));
	else if (error != 0)
		nacre_log(NACRE_LOG_ERROR, "Could not read TrustedUserCAKeys \"%s\": %s", path,
		    nacre_error_string(error));
	else
		error = nacre_key_list_find(nacre_buffer_span(&text), authority, &line);
	if (error == NACRE_ERROR_FORMAT && line > 0)
		nacre_log(NACRE_LOG_ERROR, "%s:%u: not a public key", path, line);
	nacre_buffer_free(&text);
	return error == 0;
}

bool
certificate_is_trusted(
    struct login *login, const struct nacre_key *key, struct nacre_key_options *options)
{
	const struct nacre_certificate *certificate = nacre_key_certificate(key);
	const struct nacre_sshd_config *config = login->config;
	bool listed = config->authorized_principals_file != NULL ||
		      config->authorized_principals_command != NULL;

	if (config->trusted_user_ca_keys == NULL ||
	    !authority_is_trusted(config->trusted_user_ca_keys, certificate->authority))
		return false;
	nacre_key_options_default(options);
	if (!listed)
		options->no_touch_required = true; /* the certificate alone decides */
	if (listed && !principal_in_file(login, certificate, options) &&
	    !principal_from_command(login, key, options))
		return refuse("Certificate does not contain an authorized principal");
	if (!certificate_is_valid(
		login, certificate, listed ? NULL : login->account.name, options)) {
		nacre_key_options_free(options);
		return false;
	}
	log_accepted(login, certificate, false, config->trusted_user_ca_keys);
	return true;
}
