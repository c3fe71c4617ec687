/*
 * The hostbased method (RFC 4252 section 9): the client's host vouches for its user with its host
 * key. Whether it may is for rhosts.c, whether it is that host for the known_hosts files.
 */
#include "authorize.h"
#include "record.h"

#include <nacre/known_hosts.h>
#include <nacre/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define MESSAGE_REQUEST 50 /* SSH_MSG_USERAUTH_REQUEST */

/* What the peer has sent. */
struct offered_host {
	struct nacre_span algorithm, blob, host, user, signature;
	char *host_name, *user_name; /* the host without a dot at its end */
};

static void
put_signed_data(
    const struct login *login, const struct offered_host *offered, struct nacre_buffer *data)
{
	nacre_put_string_span(data, nacre_buffer_span(&login->session_identifier));
	nacre_put_byte(data, MESSAGE_REQUEST);
	nacre_put_cstring(data, login->authentication.user);
	nacre_put_cstring(data, AUTHENTICATION_SERVICE);
	nacre_put_cstring(data, "hostbased");
	nacre_put_string_span(data, offered->algorithm);
	nacre_put_string_span(data, offered->blob);
	nacre_put_string_span(data, offered->host);
	nacre_put_string_span(data, offered->user);
}

static bool
signature_is_right(
    const struct login *login, const struct nacre_key *key, const struct offered_host *offered)
{
	struct nacre_buffer data = {0};
	char *name = nacre_span_to_string(offered->algorithm);

	put_signed_data(login, offered, &data);
	bool right = name != NULL && !data.failed &&
		     nacre_key_verify(key, name, offered->signature, nacre_buffer_span(&data)) == 0;
	free(name);
	nacre_buffer_free(&data);
	return right;
}

/* Known hosts -------------------------------------------------------------------------------- */

/* The user's own file, read with the user's rights and checked. */
static void
load_user_file(const struct login *login, struct nacre_known_hosts *known, const char *name)
{
	struct nacre_buffer path = {0}, text = {0};

	if (user_file_path(login, ".ssh/known_hosts", &path) == 0 &&
	    user_file_read(login, (const char *)path.data, "known hosts", &text) == 0)
		(void)nacre_known_hosts_load_text(
		    known, nacre_buffer_span(&text), (const char *)path.data, name, NULL);
	nacre_buffer_free(&path);
	nacre_buffer_free(&text);
}

/* NULL when a file cannot be read, which might hold a line that revokes the key. */
static struct nacre_known_hosts *
load_known(const struct login *login, const char *name)
{
	static const char *const files[] = {
	    NACRE_SYSCONFDIR "/ssh_known_hosts", NACRE_SYSCONFDIR "/ssh_known_hosts2"};
	struct nacre_known_hosts *known = NULL;
	int error = nacre_known_hosts_new(&known);

	for (size_t i = 0; i < MEMBERS(files) && error == 0; i++) {
		error = nacre_known_hosts_load(known, files[i], name, NULL);
		if (error == NACRE_ERROR_SYSTEM && errno == ENOENT)
			error = 0;
	}
	if (error == 0 && !login->config->ignore_user_known_hosts)
		load_user_file(login, known, name);
	if (error == 0)
		return known;
	nacre_log(NACRE_LOG_ERROR, "hostbased: known hosts: %s", nacre_error_string(error));
	nacre_known_hosts_free(known);
	return NULL;
}

static bool
certificate_fits_host(const struct nacre_certificate *certificate, const char *host)
{
	const char *reason = NULL;

	if (certificate->critical_options.length > 0)
		reason = "Certificate has critical options that are not for hosts";
	else if (nacre_certificate_check_host(certificate, host, (uint64_t)time(NULL), &reason) ==
		 0)
		return true;
	nacre_log(NACRE_LOG_ERROR, "%s", reason);
	return false;
}

static bool
host_has_key(const struct login *login, const struct nacre_key *key, const char *host)
{
	const struct nacre_certificate *certificate = nacre_key_certificate(key);
	char *name = nacre_known_hosts_name(host, 22);
	struct nacre_known_hosts *known = name != NULL ? load_known(login, name) : NULL;
	bool found = known != NULL && nacre_known_hosts_check(known, key,
					  certificate != NULL ? certificate->authority : NULL,
					  false, NULL) == NACRE_HOST_OK;

	nacre_known_hosts_free(known);
	free(name);
	return found && (certificate == NULL || certificate_fits_host(certificate, host));
}

/* The decision ------------------------------------------------------------------------------- */

static void
log_accepted(
    const struct login *login, const struct nacre_key *key, const char *user, const char *host)
{
	struct nacre_buffer fingerprint = {0};

	put_fingerprint(login, key, &fingerprint);
	nacre_log(NACRE_LOG_VERBOSE, "Accepted %s public key %s from %s@%s",
	    nacre_key_type_label(key), (const char *)fingerprint.data, user, host);
	nacre_buffer_free(&fingerprint);
}

/* Which host it is: the one that the address belongs to, or the one that it says it is. */
static bool
host_is_allowed(
    struct login *login, const struct nacre_key *key, const struct offered_host *offered)
{
	const char *address = login->peer.address;
	const char *host = offered->host_name;

	if (login->config->hostbased_uses_name_from_packet_only) {
		address = host;
	} else {
		host = login_remote_name(login);
		if (strcasecmp(host, offered->host_name) != 0)
			nacre_log(NACRE_LOG_INFO,
			    "userauth_hostbased mismatch: client sends %s, but we resolve %s to %s",
			    offered->host_name, address, host);
	}
	if (key_is_revoked(login, key) || !rhosts_allow(login, host, address, offered->user_name) ||
	    !host_has_key(login, key, host))
		return false;
	log_accepted(login, key, offered->user_name, host);
	return true;
}

/* Failures name whom the client's host has spoken for. */
static void
describe_client(struct login *login, const struct offered_host *offered)
{
	struct nacre_buffer *text = &login->authentication.key_text;

	if (nacre_buffer_length(text) == 0)
		return;
	nacre_buffer_truncate(text, nacre_buffer_length(text) - 1);
	nacre_put_format(text, ", client user \"%.100s\", client host \"%.100s\"",
	    offered->user_name, offered->host_name);
	nacre_put_byte(text, 0);
}

static enum answer_kind
try_host(struct login *login, const struct nacre_key *key, const struct offered_host *offered)
{
	bool right;

	record_key(login, key);
	if (!host_key_is_acceptable(login, offered->algorithm, key))
		return ANSWER_FAILURE;
	right = signature_is_right(login, key, offered);
	if (right && login->authentication.allowed && host_is_allowed(login, key, offered))
		return ANSWER_SUCCESS;
	describe_client(login, offered);
	return ANSWER_FAILURE;
}

static char *
copy_host_name(struct nacre_span host)
{
	if (host.length > 1 && host.data[host.length - 1] == '.')
		host.length--;
	return nacre_span_to_string(host);
}

enum answer_kind
authenticate_hostbased(struct login *login, struct nacre_reader *fields, struct answer *answer)
{
	struct offered_host offered;
	struct nacre_key *key = NULL;
	enum answer_kind kind = ANSWER_FAILURE;

	(void)answer;
	offered.algorithm = nacre_get_string(fields);
	offered.blob = nacre_get_string(fields);
	offered.host = nacre_get_string(fields);
	offered.user = nacre_get_string(fields);
	offered.signature = nacre_get_string(fields);
	record_key(login, NULL);
	offered.host_name = copy_host_name(offered.host);
	offered.user_name = nacre_span_to_string(offered.user);
	if (!fields->failed && offered.host_name != NULL && offered.user_name != NULL &&
	    nacre_key_from_blob(offered.blob, &key) == 0)
		kind = try_host(login, key, &offered);
	nacre_key_free(key);
	free(offered.host_name);
	free(offered.user_name);
	return kind;
}
