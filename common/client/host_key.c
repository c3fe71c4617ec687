/*
 * Is this the server that we know? The decision about a host key, with the questions and warnings
 * that users of OpenSSH know, word for word.
 */
#include <client/client.h>
#include <nacre/authorized_keys.h>
#include <nacre/certificate.h>
#include <nacre/prompt.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define TEXT(buffer) (int)nacre_buffer_length(buffer), (const char *)nacre_buffer_span(buffer).data

#define FRAME "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@"

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

int
host_key_load_known(struct nacre_client *client)
{
	struct nacre_ssh_config *const config = client->config;
	char *address = NULL;
	int error;

	client->known_name = config->host_key_alias != NULL
				 ? strdup(config->host_key_alias)
				 : nacre_known_hosts_name(config->hostname, config->port);
	if (client->known_name == NULL || nacre_known_hosts_new(&client->known) != 0)
		return NACRE_ERROR_MEMORY;
	if (config->user_known_hosts_file.count > 0)
		client->user_known_hosts = nacre_ssh_config_expand(
		    config, "UserKnownHostsFile", config->user_known_hosts_file.words[0], NULL, 0);
	if (config->check_host_ip && client->address != NULL &&
	    strcmp(client->address, config->hostname) != 0)
		address = nacre_known_hosts_name(client->address, config->port);
	error = load_files(client, "UserKnownHostsFile", &config->user_known_hosts_file,
	    client->known_name, address);
	if (error == 0)
		error = load_files(client, "GlobalKnownHostsFile", &config->global_known_hosts_file,
		    client->known_name, address);
	free(address);
	return error;
}

/* A host key with all that messages say of it. */
struct candidate {
	struct nacre_key *key;   /* as it came, perhaps a certificate */
	struct nacre_key *plain; /* without the certificate; the same object if there is none */
	const char *label;       /* "ED25519" */
	struct nacre_buffer fingerprint;
};

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

/* The host's name for questions and messages. */
static const char *
shown_name(const struct nacre_client *client)
{
	return client->known_name;
}

static void
log_picture(const struct nacre_client *client, const struct candidate *candidate)
{
	struct nacre_buffer picture = {0};

	if (client->config->visual_host_key &&
	    nacre_key_randomart(candidate->plain,
		(enum nacre_fingerprint_hash)client->config->fingerprint_hash, &picture) == 0) {
		nacre_log(
		    NACRE_LOG_INFO, "Host key fingerprint is %.*s", TEXT(&candidate->fingerprint));
		nacre_log_lines(NACRE_LOG_INFO, nacre_buffer_span(&picture));
	}
	nacre_buffer_free(&picture);
}

static bool
remember_key(struct nacre_client *client, const struct candidate *candidate)
{
	const char *const file = client->user_known_hosts;

	if (file == NULL)
		return false;
	if (nacre_known_hosts_append(
		file, client->known_name, candidate->plain, client->config->hash_known_hosts) == 0)
		return true;
	nacre_log(NACRE_LOG_INFO, "Failed to add the host to the list of known hosts (%s): %s",
	    file, strerror(errno));
	return false;
}

static void
add_key(struct nacre_client *client, const struct candidate *candidate)
{
	if (remember_key(client, candidate)) {
		client->host_key_may_update = true;
		nacre_log(NACRE_LOG_INFO,
		    "Warning: Permanently added '%s' (%s) to the list of known hosts.",
		    shown_name(client), candidate->label);
	}
}

/* Is this answer consent: "yes", or the fingerprint itself (any case in its hash's name)? */
static int
judge_answer(const struct candidate *candidate, struct nacre_span answer)
{
	const struct nacre_span fingerprint = nacre_buffer_span(&candidate->fingerprint);

	while (answer.length > 0 && (*answer.data == ' ' || *answer.data == '\t')) {
		answer.data++;
		answer.length--;
	}
	while (answer.length > 0 && answer.data[answer.length - 1] <= ' ')
		answer.length--;
	if (answer.length == 3 && strncasecmp((const char *)answer.data, "yes", 3) == 0)
		return NACRE_YES;
	if (answer.length == 0 ||
	    (answer.length == 2 && strncasecmp((const char *)answer.data, "no", 2) == 0))
		return NACRE_NO;
	return nacre_span_equal(answer, fingerprint) ? NACRE_YES : NACRE_ASK;
}

static void
compose_question(
    const struct nacre_client *client, const struct candidate *candidate, struct nacre_buffer *text)
{
	struct nacre_buffer picture = {0};
	char *const address = client->address != NULL
				  ? nacre_known_hosts_name(client->address, client->config->port)
				  : NULL;

	nacre_put_format(text, "The authenticity of host '%s (%s)' can't be established.\n",
	    shown_name(client), address != NULL ? address : "<no hostip for proxy command>");
	nacre_put_format(
	    text, "%s key fingerprint is %.*s.\n", candidate->label, TEXT(&candidate->fingerprint));
	if (client->config->visual_host_key &&
	    nacre_key_randomart(candidate->plain,
		(enum nacre_fingerprint_hash)client->config->fingerprint_hash, &picture) == 0)
		nacre_put_format(text, "%.*s\n", TEXT(&picture));
	nacre_put_format(text,
	    "This key is not known by any other names.\n"
	    "Are you sure you want to continue connecting (yes/no/[fingerprint])? ");
	nacre_put_byte(text, '\0');
	nacre_buffer_free(&picture);
	free(address);
}

static bool
ask(const struct nacre_client *client, const struct candidate *candidate)
{
	struct nacre_buffer question = {0}, answer = {0};
	int said = NACRE_ASK;

	compose_question(client, candidate, &question);
	const char *text = question.failed ? "" : (const char *)question.data;
	while (said == NACRE_ASK) {
		nacre_buffer_clear(&answer);
		if (nacre_prompt(text, NACRE_PROMPT_ECHO, &answer) != 0)
			said = NACRE_NO;
		else
			said = judge_answer(candidate, nacre_buffer_span(&answer));
		text = "Please type 'yes', 'no' or the fingerprint: ";
	}
	nacre_buffer_free(&question);
	nacre_buffer_free(&answer);
	return said == NACRE_YES;
}

static bool
trust_new(struct nacre_client *client, const struct candidate *candidate)
{
	const int strict = client->config->strict_host_key_checking;

	if (strict == NACRE_YES || (strict == NACRE_ASK && client->config->batch_mode)) {
		nacre_log(NACRE_LOG_ERROR,
		    "No %s host key is known for %s and you have requested strict checking.",
		    candidate->label, shown_name(client));
		nacre_log(NACRE_LOG_INFO,
		    "hint: compare the fingerprint %.*s with the server's, then: "
		    "ssh -o StrictHostKeyChecking=ask %s",
		    TEXT(&candidate->fingerprint), client->config->host);
		return false;
	}
	if (strict == NACRE_ASK && !ask(client, candidate))
		return false;
	add_key(client, candidate);
	return true;
}

static void
log_framed(const char *line)
{
	nacre_log(NACRE_LOG_ERROR, FRAME);
	nacre_log(NACRE_LOG_ERROR, "%s", line);
	nacre_log(NACRE_LOG_ERROR, FRAME);
}

static bool
refuse_revoked(const struct nacre_client *client, const struct candidate *candidate)
{
	log_framed("@       WARNING: REVOKED HOST KEY DETECTED!               @");
	nacre_log(NACRE_LOG_ERROR, "The %s host key for %s is marked as revoked.", candidate->label,
	    shown_name(client));
	nacre_log(NACRE_LOG_ERROR,
	    "This could mean that a stolen key is being used to impersonate this host.");
	if (client->config->strict_host_key_checking != NACRE_OFF)
		nacre_log(NACRE_LOG_ERROR,
		    "%s host key for %s was revoked and you have requested strict checking.",
		    candidate->label, shown_name(client));
	return false;
}

static void
log_changed(const struct nacre_client *client, const struct candidate *candidate,
    const struct nacre_known_host *found)
{
	log_framed("@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @");
	nacre_log(NACRE_LOG_ERROR, "IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!");
	nacre_log(NACRE_LOG_ERROR,
	    "Someone could be eavesdropping on you right now (man-in-the-middle attack)!");
	nacre_log(NACRE_LOG_ERROR, "It is also possible that a host key has just been changed.");
	nacre_log(NACRE_LOG_ERROR, "The fingerprint for the %s key sent by the remote host is",
	    candidate->label);
	nacre_log(NACRE_LOG_ERROR, "%.*s.", TEXT(&candidate->fingerprint));
	nacre_log(NACRE_LOG_ERROR, "Please contact your system administrator.");
	if (client->user_known_hosts != NULL)
		nacre_log(NACRE_LOG_ERROR, "Add correct host key in %s to get rid of this message.",
		    client->user_known_hosts);
	if (found == NULL)
		return;
	nacre_log(NACRE_LOG_ERROR, "Offending %s key in %s:%u",
	    found->key != NULL ? nacre_key_type_label(found->key) : found->key_format, found->file,
	    found->line);
	nacre_log(NACRE_LOG_ERROR, "  remove with:");
	nacre_log(
	    NACRE_LOG_ERROR, "  ssh-keygen -f \"%s\" -R \"%s\"", found->file, client->known_name);
}

/* StrictHostKeyChecking no goes on, but hands the stranger nothing to steal. */
static void
restrict_session(struct nacre_client *client)
{
	struct nacre_ssh_config *const config = client->config;

	client->host_key_doubtful = true;
	if (config->password_authentication)
		nacre_log(NACRE_LOG_ERROR, "Password authentication is disabled to avoid "
					   "man-in-the-middle attacks.");
	if (config->kbd_interactive_authentication)
		nacre_log(NACRE_LOG_ERROR, "Keyboard-interactive authentication is disabled to "
					   "avoid man-in-the-middle attacks.");
	if (config->forward_agent)
		nacre_log(NACRE_LOG_ERROR,
		    "Agent forwarding is disabled to avoid man-in-the-middle attacks.");
	config->password_authentication = false;
	config->kbd_interactive_authentication = false;
	config->forward_agent = false;
	config->forward_x11 = false;
	if (config->update_host_keys != NACRE_NO)
		nacre_log(NACRE_LOG_ERROR,
		    "UpdateHostkeys is disabled because the host key is not trusted.");
	config->update_host_keys = NACRE_NO;
}

static bool
judge_changed(struct nacre_client *client, const struct candidate *candidate,
    const struct nacre_known_host *found)
{
	log_changed(client, candidate, found);
	if (client->config->strict_host_key_checking != NACRE_OFF) {
		nacre_log(NACRE_LOG_ERROR,
		    "Host key for %s has changed and you have requested strict checking.",
		    shown_name(client));
		return false;
	}
	restrict_session(client);
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
	    shown_name(client), nacre_key_type_label(candidate->key));
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

/* The address has lines of its own (CheckHostIP): they must not say otherwise. */
static bool
address_agrees(struct nacre_client *client, const struct candidate *candidate)
{
	const struct nacre_known_host *found = NULL;

	if (!client->config->check_host_ip ||
	    nacre_known_hosts_check(client->known, candidate->plain, NULL, true, &found) !=
		NACRE_HOST_CHANGED)
		return true;
	nacre_log(NACRE_LOG_ERROR,
	    "Warning: the %s host key for '%s' differs from the key for the IP address '%s'",
	    candidate->label, shown_name(client), client->address);
	nacre_log(NACRE_LOG_ERROR, "Offending key for IP in %s:%u", found->file, found->line);
	if (client->config->strict_host_key_checking == NACRE_OFF)
		return true;
	nacre_log(NACRE_LOG_ERROR, "Exiting, you have requested strict checking.");
	return false;
}

static bool
judge(struct nacre_client *client, const struct candidate *candidate)
{
	const struct nacre_known_host *found = NULL;
	bool revoked = false;

	if (client->config->no_host_authentication_for_localhost && is_loopback(client->address)) {
		nacre_log(
		    NACRE_LOG_DEBUG1, "Forcing accepting of host key for loopback/localhost.");
		return client->host_key_known = true;
	}
	if (certificate_trusted(client, candidate, &revoked))
		return client->host_key_known = true;
	if (revoked)
		return refuse_revoked(client, candidate);
	switch (nacre_known_hosts_check(client->known, candidate->plain, NULL, false, &found)) {
	case NACRE_HOST_OK:
		nacre_log(NACRE_LOG_DEBUG1, "Host '%s' is known and matches the %s host key.",
		    shown_name(client), candidate->label);
		nacre_log(NACRE_LOG_DEBUG1, "Found key in %s:%u", found->file, found->line);
		client->host_key_may_update = in_user_file(client, found);
		return client->host_key_known = address_agrees(client, candidate);
	case NACRE_HOST_NEW:
		return trust_new(client, candidate);
	case NACRE_HOST_CHANGED:
		return judge_changed(client, candidate, found);
	case NACRE_HOST_REVOKED:
		break;
	}
	return refuse_revoked(client, candidate);
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
		log_picture(client, &candidate);
		nacre_put_span(&client->host_key, blob);
	} else {
		nacre_log(NACRE_LOG_ERROR, "Host key verification failed.");
	}
	candidate_free(&candidate);
	return trusted && !client->host_key.failed;
}
