/*
 * The keys that we may log in with: from the agent and from files, in OpenSSH's order. Keys of the
 * agent that the configuration names come first, then its others, then those that are only files.
 */
#include <client/client.h>
#include <nacre/certificate.h>
#include <nacre/prompt.h>
#include <nacre/provider.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDENTITIES_MAX 256
#define TEXT(buffer)   (int)nacre_buffer_length(buffer), (const char *)nacre_buffer_span(buffer).data

static const char *
agent_variable(const char *name)
{
	const char *const value = getenv(name);

	return value != NULL && *value != '\0' ? value : NULL;
}

/* The socket that IdentityAgent means; NULL: none. */
static char *
agent_path(struct nacre_client *client)
{
	const char *const configured = client->config->identity_agent;
	const char *value;

	if (configured == NULL || strcmp(configured, "SSH_AUTH_SOCK") == 0)
		value = agent_variable("SSH_AUTH_SOCK");
	else if (strcmp(configured, "none") == 0)
		value = NULL;
	else if (*configured == '$' && configured[1] != '{')
		value = agent_variable(configured + 1);
	else
		return nacre_ssh_config_expand(
		    client->config, "IdentityAgent", configured, NULL, 0);
	return value != NULL ? strdup(value) : NULL;
}

bool
identity_is_agents(const struct identity *identity)
{
	return identity->in_agent && nacre_buffer_length(&identity->agent_blob) == 0;
}

/* Makes room for one more; NULL when the bound is reached or memory is out. */
static struct identity *
identity_add(struct identities *identities)
{
	if (identities->list == NULL)
		identities->list = calloc(IDENTITIES_MAX, sizeof *identities->list);
	if (identities->list == NULL || identities->count == IDENTITIES_MAX)
		return NULL;
	return &identities->list[identities->count++];
}

static void
identity_clear(struct identity *identity)
{
	nacre_key_free(identity->key);
	nacre_buffer_free(&identity->blob);
	nacre_buffer_free(&identity->agent_blob);
	free(identity->file);
	free(identity->comment);
	free(identity->algorithm);
	*identity = (struct identity){0};
}

/* A key that a file names: its public half, if that can be had without asking for a passphrase. */
static void
add_file(struct identities *files, const char *path, const char *public_path, bool configured)
{
	struct nacre_key *key = NULL;
	const int error = nacre_key_load_public(public_path, &key, NULL);

	nacre_log(NACRE_LOG_DEBUG1, "identity file %s type %s", public_path,
	    error == 0 ? nacre_key_format(key) : "-1");
	/* The file is there but does not show its public half: asked for when its turn comes. */
	if (error != 0 && (error == NACRE_ERROR_SYSTEM || path != public_path))
		return;
	struct identity *const identity = identity_add(files);
	if (identity == NULL) {
		nacre_key_free(key);
		return;
	}
	identity->key = key;
	identity->file = strdup(path);
	identity->comment = strdup(path);
	identity->configured = configured;
	if (key != NULL)
		nacre_key_put_blob(key, false, &identity->blob);
}

/* The certificate "PATH-cert.pub" is tried after the key, unless certificates are named. */
static void
add_file_and_certificate(
    struct identities *files, const char *path, bool configured, bool with_certificate)
{
	const size_t count = files->count;
	char *certificate = NULL;

	add_file(files, path, path, configured);
	if (files->count == count || !with_certificate ||
	    asprintf(&certificate, "%s-cert.pub", path) < 0)
		return;
	add_file(files, path, certificate, configured);
	free(certificate);
}

static void
load_files(struct nacre_client *client, struct identities *files)
{
	struct nacre_ssh_config *const config = client->config;
	const bool configured = nacre_ssh_config_is_set(config, "IdentityFile");

	for (size_t i = 0; i < config->identity_file.count; i++) {
		char *const path = nacre_ssh_config_expand(
		    config, "IdentityFile", config->identity_file.words[i], NULL, 0);

		if (path == NULL)
			nacre_log_lines(NACRE_LOG_ERROR, nacre_buffer_span(&config->error));
		else if (strcmp(path, "none") != 0)
			add_file_and_certificate(
			    files, path, configured, config->certificate_file.count == 0);
		free(path);
	}
}

/* PKCS11Provider: the keys of its tokens come before those of files. */
static void
load_tokens(struct nacre_client *client, struct identities *files)
{
	const char *const provider = client->config->pkcs11_provider;
	struct nacre_pkcs11_keys keys;

	if (provider == NULL || strcmp(provider, "none") == 0)
		return;
	if (nacre_pkcs11_load(
		provider, NULL, client->config->batch_mode ? 0 : NACRE_PROVIDER_ASK, &keys) != 0)
		return;
	for (size_t i = 0; i < keys.count; i++) {
		struct identity *const identity = identity_add(files);

		if (identity == NULL)
			break;
		identity->key = keys.list[i].key;
		identity->comment = keys.list[i].label;
		identity->file = strdup(provider);
		identity->configured = identity->on_token = true;
		nacre_key_put_blob(identity->key, false, &identity->blob);
		keys.list[i] = (struct nacre_pkcs11_key){0};
	}
	nacre_pkcs11_keys_free(&keys);
}

/* The file of the private key that a certificate is for; NULL if it is not among ours. */
static const char *
file_of_key(const struct identities *files, const struct nacre_key *key)
{
	for (size_t i = 0; i < files->count; i++)
		if (files->list[i].key != NULL && nacre_key_equal(files->list[i].key, key))
			return files->list[i].file;
	return NULL;
}

/* CertificateFile: goes with the identity whose key it certifies. */
static void
load_certificates(
    struct nacre_client *client, const struct identities *files, struct identities *certificates)
{
	struct nacre_ssh_config *const config = client->config;

	for (size_t i = 0; i < config->certificate_file.count; i++) {
		struct nacre_key *key = NULL;
		char *const path = nacre_ssh_config_expand(
		    config, "CertificateFile", config->certificate_file.words[i], NULL, 0);
		struct identity *identity;

		if (path == NULL || nacre_key_load_public(path, &key, NULL) != 0)
			nacre_log(NACRE_LOG_DEBUG1, "certificate file %s: cannot be read",
			    path != NULL ? path : config->certificate_file.words[i]);
		if (key != NULL && nacre_key_is_certificate(key) &&
		    (identity = identity_add(certificates)) != NULL) {
			const char *const file = file_of_key(files, key);

			identity->key = key;
			identity->file = strdup(file != NULL ? file : path);
			identity->comment = strdup(path);
			identity->configured = true;
			nacre_key_put_blob(key, false, &identity->blob);
			key = NULL;
		}
		nacre_key_free(key);
		free(path);
	}
}

static void
connect_agent(struct nacre_client *client)
{
	if ((client->agent_path = agent_path(client)) == NULL)
		return;
	if (nacre_agent_connect(client->agent_path, &client->identities.agent) == 0)
		return;
	client->identities.agent_errno = errno;
	nacre_log(NACRE_LOG_DEBUG1, "Could not connect to the agent at %s: %s", client->agent_path,
	    strerror(errno));
}

/* The agent learns which session it signs for, and shows the keys that are allowed there. */
static void
list_agent(struct nacre_client *client, struct nacre_agent_identities *held)
{
	struct nacre_session *const session = client->session;
	struct identities *const identities = &client->identities;
	int error;

	if (identities->agent == NULL)
		return;
	error = nacre_agent_bind_and_list(identities->agent, nacre_session_host_key(session),
	    nacre_session_identifier(session), nacre_session_host_key_signature(session), held);
	if (error == 0)
		return;
	nacre_log(
	    NACRE_LOG_DEBUG1, "The agent does not list its keys: %s", nacre_error_string(error));
	nacre_agent_free(identities->agent);
	identities->agent = NULL;
}

static struct identity *
find_file(struct identities *files, struct nacre_span blob)
{
	for (size_t i = 0; i < files->count; i++)
		if (nacre_span_equal(nacre_buffer_span(&files->list[i].blob), blob))
			return &files->list[i];
	return NULL;
}

/* A certificate file's key may be in the agent without the certificate. */
static bool
agent_holds_key(const struct nacre_agent_identities *held, struct identity *certificate)
{
	for (size_t i = 0; i < held->count; i++)
		if (held->list[i].key != NULL &&
		    nacre_key_equal(held->list[i].key, certificate->key)) {
			nacre_put_span(&certificate->agent_blob, held->list[i].blob);
			return !certificate->agent_blob.failed;
		}
	return false;
}

static void
take_file(struct identities *identities, struct identity *file, bool in_agent)
{
	struct identity *const identity = identity_add(identities);

	if (identity == NULL)
		return;
	*identity = *file;
	identity->in_agent = in_agent;
	*file = (struct identity){0};
}

static void
take_agent_key(struct identities *identities, const struct nacre_agent_identity *held)
{
	struct identity *const identity = identity_add(identities);

	if (identity == NULL)
		return;
	nacre_put_span(&identity->blob, held->blob);
	if (identity->blob.failed || nacre_key_from_blob(held->blob, &identity->key) != 0) {
		identity_clear(identity);
		identities->count--;
		return;
	}
	identity->comment = strdup(held->comment != NULL ? held->comment : "");
	identity->in_agent = true;
}

/* Certificates that are named come first, then keys of the agent that are named, its others, then
 * what is only in files. */
static void
merge(struct nacre_client *client, struct identities *files, struct identities *certificates,
    const struct nacre_agent_identities *held)
{
	struct identities *const identities = &client->identities;

	for (size_t i = 0; i < certificates->count; i++)
		take_file(identities, &certificates->list[i],
		    agent_holds_key(held, &certificates->list[i]));
	for (size_t i = 0; i < held->count; i++) {
		struct identity *const file = find_file(files, held->list[i].blob);

		if (file != NULL)
			take_file(identities, file, true);
	}
	if (!client->config->identities_only)
		for (size_t i = 0; i < held->count; i++)
			if (held->list[i].key != NULL &&
			    find_file(identities, held->list[i].blob) == NULL)
				take_agent_key(identities, &held->list[i]);
	for (size_t i = 0; i < files->count; i++)
		if (files->list[i].file != NULL)
			take_file(identities, &files->list[i],
			    files->list[i].key != NULL &&
				nacre_key_is_certificate(files->list[i].key) &&
				agent_holds_key(held, &files->list[i]));
}

static void
log_identities(const struct nacre_client *client)
{
	if (nacre_log_level_get() < NACRE_LOG_DEBUG1)
		return;
	for (size_t i = 0; i < client->identities.count; i++) {
		const struct identity *const identity = &client->identities.list[i];
		struct nacre_buffer fingerprint = {0};

		if (identity->key != NULL)
			nacre_key_fingerprint(
			    identity->key, NACRE_FINGERPRINT_SHA256, &fingerprint);
		nacre_log(NACRE_LOG_DEBUG1, "Will attempt key: %s %s %.*s%s%s", identity->comment,
		    identity->key != NULL ? nacre_key_type_label(identity->key) : "",
		    TEXT(&fingerprint), identity->configured ? " explicit" : "",
		    identity_is_agents(identity) ? " agent" : "");
		nacre_buffer_free(&fingerprint);
	}
}

int
identities_load(struct nacre_client *client)
{
	load_tokens(client, &client->files);
	load_files(client, &client->files);
	load_certificates(client, &client->files, &client->certificates);
	connect_agent(client);
	return 0;
}

static void
list_free(struct identities *identities)
{
	for (size_t i = 0; i < identities->count; i++)
		identity_clear(&identities->list[i]);
	free(identities->list);
	*identities = (struct identities){0};
}

void
identities_settle(struct nacre_client *client)
{
	struct nacre_agent_identities held = {0};

	list_agent(client, &held);
	merge(client, &client->files, &client->certificates, &held);
	nacre_agent_identities_free(&held);
	list_free(&client->files);
	list_free(&client->certificates);
	log_identities(client);
}

void
identities_free(struct nacre_client *client)
{
	nacre_agent_free(client->identities.agent);
	list_free(&client->identities);
	list_free(&client->files);
	list_free(&client->certificates);
}

static void
warn_unprotected(const char *path, unsigned mode)
{
	struct nacre_buffer text = {0};

	nacre_key_put_unprotected(path, mode, &text);
	nacre_log_lines(NACRE_LOG_ERROR, nacre_buffer_span(&text));
	nacre_buffer_free(&text);
	nacre_log(NACRE_LOG_INFO, "hint: chmod 600 %s", path);
}

static void
report_load(const char *path, int error, unsigned mode)
{
	if (error == NACRE_ERROR_PERMISSION)
		warn_unprotected(path, mode);
	else if (error == NACRE_ERROR_SYSTEM && errno == ENOENT)
		nacre_log(NACRE_LOG_DEBUG1, "no such identity: %s: %s", path, strerror(errno));
	else
		nacre_log(NACRE_LOG_ERROR, "Load key \"%s\": %s", path,
		    error == NACRE_ERROR_SYSTEM       ? strerror(errno)
		    : error == NACRE_ERROR_PASSPHRASE ? "incorrect passphrase supplied to "
							"decrypt private key"
						      : nacre_error_string(error));
	if (error == NACRE_ERROR_PASSPHRASE)
		nacre_log(NACRE_LOG_INFO,
		    "hint: ssh-keygen -y -f %s tells whether a passphrase is right; a lost one "
		    "cannot be "
		    "found again, only a new key made: ssh-keygen",
		    path);
}

/* Asks for the passphrase up to NumberOfPasswordPrompts times; an empty one passes to the next
 * key. */
static int
load_with_passphrase(struct nacre_client *client, const char *path, struct nacre_key **key)
{
	struct nacre_buffer passphrase = {0};
	char *prompt = NULL;
	int error = NACRE_ERROR_PASSPHRASE;

	if (client->config->batch_mode ||
	    asprintf(&prompt, "Enter passphrase for key '%.100s': ", path) < 0)
		return NACRE_ERROR_PASSPHRASE;
	for (int i = 0;
	     i < client->config->number_of_password_prompts && error == NACRE_ERROR_PASSPHRASE;
	     i++) {
		nacre_buffer_clear(&passphrase);
		if (nacre_prompt(prompt, 0, &passphrase) != 0 ||
		    nacre_buffer_length(&passphrase) == 0) {
			nacre_log(NACRE_LOG_DEBUG2, "no passphrase given, try next key");
			break;
		}
		error =
		    nacre_key_load_private(path, nacre_buffer_span(&passphrase), key, NULL, NULL);
		if (error == NACRE_ERROR_PASSPHRASE)
			nacre_log(NACRE_LOG_DEBUG2, "bad passphrase given, try again...");
	}
	nacre_buffer_free(&passphrase);
	free(prompt);
	return error;
}

static void
add_to_agent(struct nacre_client *client, const struct identity *identity)
{
	const struct nacre_ssh_config *const config = client->config;
	const struct nacre_agent_constraints constraints = {
	    .lifetime = (uint32_t)config->add_keys_to_agent_lifespan,
	    .confirm = config->add_keys_to_agent == NACRE_CONFIRM};

	if (config->add_keys_to_agent == NACRE_NO || client->identities.agent == NULL)
		return;
	if (config->add_keys_to_agent == NACRE_ASK) {
		struct nacre_buffer question = {0};

		nacre_put_format(&question, "Add key %s to agent?", identity->file);
		nacre_put_byte(&question, '\0');
		const bool agreed =
		    !question.failed && nacre_prompt_confirm((const char *)question.data);
		nacre_buffer_free(&question);
		if (!agreed)
			return;
	}
	if (nacre_agent_add(
		client->identities.agent, identity->key, identity->comment, &constraints) == 0)
		nacre_log(NACRE_LOG_DEBUG1, "identity added to agent: %s", identity->file);
	else
		nacre_log(NACRE_LOG_DEBUG1, "could not add identity to agent: %s", identity->file);
}

/* What signs for the identity: its own key, or for a certificate the same key without it. NULL when
 * that is not here yet. */
static const struct nacre_key *
signing_key(const struct nacre_client *client, const struct identity *identity)
{
	if (identity->key == NULL || nacre_key_is_private(identity->key))
		return identity->key;
	for (size_t i = 0; i < client->identities.count; i++) {
		const struct nacre_key *const key = client->identities.list[i].key;

		if (key != NULL && nacre_key_is_private(key) && nacre_key_equal(key, identity->key))
			return key;
	}
	return NULL;
}

/* The library that speaks with authenticators; "$NAME" is a variable of the environment. */
static const char *
security_key_provider(const struct nacre_client *client)
{
	const char *const configured = client->config->security_key_provider;

	if (configured == NULL || *configured != '$')
		return configured;
	return agent_variable(configured + 1);
}

/* The private half of a security key is only what its authenticator knows it by. */
static int
delegate(
    const struct nacre_client *client, const struct identity *identity, struct nacre_key *private)
{
	const struct nacre_sk sk = {.provider = security_key_provider(client)};

	return nacre_sk_delegate(
	    private, &sk, client->config->batch_mode ? 0 : NACRE_PROVIDER_ASK, identity->file);
}

bool
identity_wants_person(const struct identity *identity)
{
	return identity->on_token ||
	       (identity->key != NULL && nacre_key_application(identity->key).length > 0);
}

int
identity_unlock(struct nacre_client *client, struct identity *identity, bool ask)
{
	struct nacre_key *private = NULL;
	unsigned mode = 0;
	int error;

	if (identity->in_agent || signing_key(client, identity) != NULL)
		return 0;
	error =
	    nacre_key_load_private(identity->file, (struct nacre_span){0}, &private, NULL, &mode);
	if (error != 0 && !ask)
		return error;
	if (error == NACRE_ERROR_PASSPHRASE)
		error = load_with_passphrase(client, identity->file, &private);
	if (error != 0) {
		report_load(identity->file, error, mode);
		return error;
	}
	if (identity->key != NULL && !nacre_key_equal(identity->key, private)) {
		nacre_log(NACRE_LOG_ERROR,
		    "identity %s: its private key does not match its public key", identity->file);
		nacre_key_free(private);
		return NACRE_ERROR_ARGUMENT;
	}
	if (nacre_key_application(private).length > 0 &&
	    (error = delegate(client, identity, private)) != 0) {
		nacre_key_free(private);
		return error;
	}
	/* A certificate stays what is shown; the private key signs. */
	if (identity->key != NULL && nacre_key_is_certificate(identity->key))
		nacre_key_attach_certificate(private, identity->key);
	else if (identity->key == NULL)
		nacre_key_put_blob(private, false, &identity->blob);
	nacre_key_free(identity->key);
	identity->key = private;
	add_to_agent(client, identity);
	return identity->blob.failed ? NACRE_ERROR_MEMORY : 0;
}

int
identity_sign(struct nacre_client *client, struct identity *identity, struct nacre_span data,
    struct nacre_buffer *signature)
{
	int error;

	if (!identity->in_agent) {
		if ((error = identity_unlock(client, identity, true)) != 0)
			return error;
		return nacre_key_sign(signing_key(client, identity),
		    nacre_signature_algorithm_plain(nacre_span_of(identity->algorithm)), data,
		    signature);
	}
	const struct nacre_buffer *const blob = nacre_buffer_length(&identity->agent_blob) > 0
						    ? &identity->agent_blob
						    : &identity->blob;
	trace_stage(client->trace, "signature by the agent", NULL);
	error = nacre_agent_sign(client->identities.agent, nacre_buffer_span(blob), data,
	    nacre_agent_sign_flags(nacre_span_of(identity->algorithm)), signature);
	if (error != 0)
		nacre_log(NACRE_LOG_ERROR,
		    "sign_and_send_pubkey: signing failed for %s \"%s\" from agent: %s",
		    nacre_key_type_label(identity->key), identity->comment,
		    error == NACRE_ERROR_REFUSED ? "agent refused operation"
						 : nacre_error_string(error));
	return error;
}
