/* Is this the server that we know? The decision about a host key. */
#include <client/host_key.h>
#include <nacre/authorized_keys.h>
#include <nacre/certificate.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define TEXT(buffer) (int)nacre_buffer_length(buffer), (const char *)nacre_buffer_span(buffer).data

/* Adds the lines of the files of one keyword. */
static int
load_files(struct nacre_client *client, const char *keyword, const struct nacre_words *files,
    const char *name, const char *address)
{
	for (size_t i = 0; i < files->count; i++) {
		char *const path =
		    nacre_ssh_config_expand(client->config, keyword, files->words[i], NULL, 0);

		if (path == NULL) {
			nacre_log_lines(NACRE_LOG_ERROR, nacre_buffer_span(&client->config->error));
			return NACRE_ERROR_FORMAT;
		}
		const int error = nacre_known_hosts_load(client->known, path, name, address);
		nacre_log_lines(NACRE_LOG_INFO, nacre_buffer_span(&client->known->notes));
		nacre_buffer_clear(&client->known->notes);
		if (error != 0)
			nacre_log(NACRE_LOG_DEBUG1, "load_hostkeys: %s: %s", path,
			    error == NACRE_ERROR_SYSTEM ? strerror(errno)
							: nacre_error_string(error));
		/* Going on might pass over the line that revokes the key. */
		if (error == NACRE_ERROR_LIBRARY)
			nacre_log(NACRE_LOG_ERROR,
			    "%s: hashed host names cannot be compared: libnacre-nettle.so.0 is not "
			    "installed beside libnacre.so.0",
			    path);
		free(path);
		if (error == NACRE_ERROR_LIBRARY)
			return error;
	}
	return 0;
}

/* Lines for a name, or for an address alone. */
static int
load_all(struct nacre_client *client, const char *name, const char *address)
{
	const struct nacre_ssh_config *const config = client->config;
	int error =
	    load_files(client, "UserKnownHostsFile", &config->user_known_hosts_file, name, address);

	if (error == 0)
		error = load_files(client, "GlobalKnownHostsFile", &config->global_known_hosts_file,
		    name, address);
	return error;
}

int
host_key_load_known(struct nacre_client *client)
{
	struct nacre_ssh_config *const config = client->config;
	int error;

	client->known_name = config->host_key_alias != NULL
				 ? strdup(config->host_key_alias)
				 : nacre_known_hosts_name(config->hostname, config->port);
	if (client->known_name == NULL || nacre_known_hosts_new(&client->known) != 0)
		return NACRE_ERROR_MEMORY;
	if (config->user_known_hosts_file.count > 0)
		client->user_known_hosts = nacre_ssh_config_expand(
		    config, "UserKnownHostsFile", config->user_known_hosts_file.words[0], NULL, 0);
	error = load_all(client, client->known_name, NULL);
	if (error == 0 && !nacre_ssh_config_is_set(config, "HostKeyAlgorithms"))
		error = host_key_ask_command(client, "ORDER", client->known_name, NULL, false);
	return error;
}

static int
candidate_read(
    const struct nacre_client *client, struct nacre_span blob, struct candidate *candidate)
{
	struct nacre_buffer plain = {0};
	int error = nacre_key_from_blob(blob, &candidate->key);

	if (error != 0)
		return error;
	candidate->plain = candidate->key;
	if (nacre_key_is_certificate(candidate->key)) {
		candidate->plain = NULL;
		if ((error = nacre_key_put_blob(candidate->key, true, &plain)) == 0)
			error = nacre_key_from_blob(nacre_buffer_span(&plain), &candidate->plain);
		nacre_buffer_free(&plain);
	}
	if (error != 0)
		return error;
	candidate->label = nacre_key_type_label(candidate->plain);
	return nacre_key_fingerprint(candidate->plain,
	    (enum nacre_fingerprint_hash)client->config->fingerprint_hash, &candidate->fingerprint);
}

static void
candidate_free(struct candidate *candidate)
{
	if (candidate->plain != candidate->key)
		nacre_key_free(candidate->plain);
	nacre_key_free(candidate->key);
	nacre_buffer_free(&candidate->fingerprint);
}

/* Adds a line for one name or more. */
static bool
remember_key(struct nacre_client *client, const char *names, const struct candidate *candidate)
{
	const char *const file = client->user_known_hosts;

	if (file == NULL)
		return false;
	if (nacre_known_hosts_append(
		file, names, candidate->plain, client->config->hash_known_hosts) == 0)
		return true;
	nacre_log(NACRE_LOG_INFO, "Failed to add the host to the list of known hosts (%s).", file);
	nacre_log(NACRE_LOG_INFO, "hint: %s. See: ls -ld %s", strerror(errno), file);
	return false;
}

static void
add_key(struct nacre_client *client, const struct candidate *candidate,
    const struct address_line *address)
{
	char *names = NULL;

	if (asprintf(&names, "%s%s%s", client->known_name, address->name != NULL ? "," : "",
		address->name != NULL ? address->name : "") < 0)
		return;
	if (remember_key(client, names, candidate)) {
		client->host_key_may_update = true;
		nacre_log(NACRE_LOG_INFO,
		    "Warning: Permanently added '%s' (%s) to the list of known hosts.", names,
		    candidate->label);
	}
	free(names);
}

static bool
trust_new(struct nacre_client *client, const struct candidate *candidate,
    const struct address_line *address)
{
	const int strict = client->config->strict_host_key_checking;

	if (strict == NACRE_YES || (strict == NACRE_ASK && client->config->batch_mode)) {
		if (strict == NACRE_YES)
			nacre_log(NACRE_LOG_ERROR,
			    "No %s host key is known for %s and you have requested strict "
			    "checking.",
			    candidate->label, client->known_name);
		client->host_key_unknown = true;
		return false;
	}
	if (strict == NACRE_ASK && !ask_unknown(client, candidate))
		return false;
	add_key(client, candidate, address);
	return true;
}

/* A certificate counts when an authority that the lines name vouches for it, for this name, now. */
static bool
certificate_trusted(struct nacre_client *client, const struct candidate *candidate, bool *revoked)
{
	const struct nacre_certificate *const certificate = nacre_key_certificate(candidate->key);
	const char *const name = client->config->host_key_alias != NULL
				     ? client->config->host_key_alias
				     : client->config->hostname;
	const struct nacre_known_host *found = NULL;
	const char *reason = NULL;

	if (certificate == NULL || !nacre_known_hosts_has_authority(client->known))
		return false;
	const enum nacre_host_verdict verdict = nacre_known_hosts_check(
	    client->known, candidate->key, certificate->authority, false, &found);
	*revoked = verdict == NACRE_HOST_REVOKED;
	if (verdict != NACRE_HOST_OK)
		return false;
	if (!algorithms_allowed(
		client->config->ca_signature_algorithms, certificate->signature_algorithm) ||
	    certificate->critical_options.length > 0 ||
	    nacre_certificate_check_host(certificate, name, (uint64_t)time(NULL), &reason) != 0) {
		nacre_log(NACRE_LOG_ERROR, "%s",
		    reason != NULL ? reason : "Certificate invalid: not acceptable");
		return false;
	}
	nacre_log(NACRE_LOG_DEBUG1, "Host '%s' is known and matches the %s host certificate.",
	    client->known_name, nacre_key_type_label(candidate->key));
	return true;
}

static bool
is_loopback(const char *address)
{
	return address != NULL && (strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0);
}

static bool
in_user_file(const struct nacre_client *client, const struct nacre_known_host *found)
{
	return found != NULL && client->user_known_hosts != NULL &&
	       strcmp(found->file, client->user_known_hosts) == 0;
}

/* CheckHostIP: the lines of the server's address, where they can say more than the name's. */
static int
look_at_address(
    struct nacre_client *client, const struct candidate *candidate, struct address_line *address)
{
	const struct nacre_ssh_config *const config = client->config;
	int error;

	if (!config->check_host_ip || client->address == NULL || is_loopback(client->address) ||
	    strcmp(client->address, config->hostname) == 0)
		return 0;
	address->name = nacre_known_hosts_name(client->address, config->port);
	if (address->name == NULL)
		return NACRE_ERROR_MEMORY;
	error = load_all(client, "", address->name);
	if (error == 0)
		error =
		    host_key_ask_command(client, "ADDRESS", address->name, candidate->key, true);
	address->verdict =
	    nacre_known_hosts_check(client->known, candidate->plain, NULL, true, &address->found);
	return error;
}

/* The name's key is right; the address may be new, or must not say otherwise. */
static bool
address_agrees(struct nacre_client *client, const struct candidate *candidate,
    const struct nacre_known_host *found, const struct address_line *address)
{
	const int strict = client->config->strict_host_key_checking;

	if (address->name == NULL || address->verdict == NACRE_HOST_OK)
		return true;
	if (address->verdict == NACRE_HOST_NEW) {
		if (!in_user_file(client, found))
			nacre_log(NACRE_LOG_INFO,
			    "%s host key for IP address '%s' not in list of known hosts.",
			    candidate->label, address->name);
		else if (remember_key(client, address->name, candidate))
			nacre_log(NACRE_LOG_INFO,
			    "Warning: Permanently added the %s host key for IP address '%s' to the "
			    "list of known hosts.",
			    candidate->label, address->name);
		return true;
	}
	if (strict == NACRE_ASK)
		return ask_to_go_on(client, candidate, found, address);
	say_address_differs(client, candidate, found, address);
	if (strict == NACRE_OFF)
		return true;
	nacre_log(NACRE_LOG_ERROR, "Exiting, you have requested strict checking.");
	return false;
}

static bool
judge_plain(struct nacre_client *client, const struct candidate *candidate,
    const struct address_line *address)
{
	const struct nacre_known_host *found = NULL;

	switch (nacre_known_hosts_check(client->known, candidate->plain, NULL, false, &found)) {
	case NACRE_HOST_OK:
		nacre_log(NACRE_LOG_DEBUG1, "Host '%s' is known and matches the %s host key.",
		    client->known_name, candidate->label);
		nacre_log(NACRE_LOG_DEBUG1, "Found key in %s:%u", found->file, found->line);
		client->host_key_may_update = in_user_file(client, found);
		client->host_key_known = true;
		say_picture(client, candidate);
		return address_agrees(client, candidate, found, address);
	case NACRE_HOST_NEW:
		return trust_new(client, candidate, address);
	case NACRE_HOST_CHANGED:
		/* Whatever StrictHostKeyChecking says: who took the server's place is not served. */
		say_changed(client, candidate, found, address);
		return false;
	case NACRE_HOST_REVOKED:
		break;
	}
	say_revoked(client, candidate);
	return false;
}

/* True when the DNS decides, by a fingerprint that the resolver vouches for. */
static bool
vouched_by_dns(struct nacre_client *client, struct candidate *candidate)
{
	if (client->config->verify_host_key_dns == NACRE_NO)
		return false;
	host_key_dns_ask(client, candidate->plain, &candidate->dns);
	if (candidate->dns.found && !candidate->dns.match)
		say_dns_differs(candidate);
	return candidate->dns.match && candidate->dns.secure &&
	       client->config->verify_host_key_dns == NACRE_YES;
}

static bool
judge(struct nacre_client *client, struct candidate *candidate)
{
	struct address_line address = {0};
	bool revoked = false, trusted;

	if (client->config->no_host_authentication_for_localhost && is_loopback(client->address)) {
		nacre_log(
		    NACRE_LOG_DEBUG1, "Forcing accepting of host key for loopback/localhost.");
		client->config->update_host_keys = NACRE_NO;
		return client->host_key_known = true;
	}
	/* What the command said of the order of algorithms is no word about a key. */
	nacre_known_hosts_forget(client->known, KNOWN_HOSTS_COMMAND);
	if (host_key_ask_command(client, "HOSTNAME", client->known_name, candidate->key, false) !=
	    0)
		return false;
	if (vouched_by_dns(client, candidate) || certificate_trusted(client, candidate, &revoked))
		return client->host_key_known = true;
	if (revoked) {
		say_revoked(client, candidate);
		return false;
	}
	trusted = look_at_address(client, candidate, &address) == 0 &&
		  judge_plain(client, candidate, &address);
	free(address.name);
	return trusted;
}

/* RevokedHostKeys is asked before anything else. */
static bool
is_revoked(struct nacre_client *client, const struct nacre_key *key)
{
	struct nacre_ssh_config *const config = client->config;
	struct nacre_buffer message = {0};

	if (config->revoked_host_keys == NULL)
		return false;
	char *const path =
	    nacre_ssh_config_expand(config, "RevokedHostKeys", config->revoked_host_keys, NULL, 0);
	const bool revoked =
	    path == NULL || nacre_key_is_revoked(path, key, "host key",
				(enum nacre_fingerprint_hash)config->fingerprint_hash, &message);
	nacre_log_lines(
	    NACRE_LOG_ERROR, nacre_buffer_span(path == NULL ? &config->error : &message));
	nacre_buffer_free(&message);
	free(path);
	return revoked;
}

/* In a rekey the key that was trusted once is the only one that is. */
static bool
same_as_before(const struct nacre_client *client, struct nacre_span blob)
{
	if (nacre_span_equal(nacre_buffer_span(&client->host_key), blob))
		return true;
	nacre_log(NACRE_LOG_ERROR, "Host key of %s changed during rekeying", client->peer);
	return false;
}

bool
host_key_trusted(struct nacre_client *client, struct nacre_span blob)
{
	struct candidate candidate = {0};
	bool trusted = false;

	if (nacre_buffer_length(&client->host_key) > 0)
		return same_as_before(client, blob);
	if (candidate_read(client, blob, &candidate) == 0) {
		trusted = !is_revoked(client, candidate.key) && judge(client, &candidate);
	}
	if (trusted) {
		nacre_put_span(&client->host_key, blob);
	} else {
		nacre_log(NACRE_LOG_ERROR, "Host key verification failed.");
		say_hint(client, &candidate);
	}
	candidate_free(&candidate);
	return trusted && !client->host_key.failed;
}
