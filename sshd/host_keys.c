/*
 * Host keys and their certificates. The listener reads and checks the files; a worker gets the
 * public halves and a sealed memory file with the private ones. Signing is in host_key_sign.c.
 */
#include "server.h"

#include <nacre/agent.h>
#include <nacre/certificate.h>
#include <nacre/crypto.h>
#include <nacre/log.h>
#include <nacre/process.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_FILE_BYTES ((size_t)1024 * 1024)
#define DEFAULT_PREFIX "/etc/ssh/ssh_host_"

static void
complain_open(const char *path, unsigned mode)
{
	nacre_log(NACRE_LOG_ERROR, "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@");
	nacre_log(NACRE_LOG_ERROR, "@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @");
	nacre_log(NACRE_LOG_ERROR, "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@");
	nacre_log(NACRE_LOG_ERROR, "Permissions 0%3.3o for '%s' are too open.", mode, path);
	nacre_log(NACRE_LOG_ERROR,
	    "It is required that your private key files are NOT accessible by others.");
	nacre_log(NACRE_LOG_ERROR, "This private key will be ignored.");
}

static int
read_key_file(const char *path, bool in_agent, struct nacre_buffer *text)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0) {
		/* Nobody asked for the default keys by name. */
		bool quiet = in_agent || (errno == ENOENT && strncmp(path, DEFAULT_PREFIX,
								 strlen(DEFAULT_PREFIX)) == 0);
		nacre_log(quiet ? NACRE_LOG_DEBUG1 : NACRE_LOG_ERROR,
		    "Unable to load host key \"%s\": %s", path, strerror(errno));
		return NACRE_ERROR_NOT_FOUND;
	}
	int error = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? 0 : NACRE_ERROR_SYSTEM;
	if (error == 0 && status.st_uid == getuid() && (status.st_mode & 077) != 0) {
		if (!in_agent)
			complain_open(path, status.st_mode & 0777);
		error = NACRE_ERROR_PERMISSION;
	}
	if (error == 0)
		error = nacre_process_read_file(fd, KEY_FILE_BYTES, text);
	close(fd);
	if (error != 0 && !in_agent)
		nacre_log(NACRE_LOG_ERROR, "Unable to load host key \"%s\": %s", path,
		    nacre_error_string(error));
	return error;
}

static bool
known_already(const struct server *server, const struct nacre_key *key)
{
	for (size_t i = 0; i < server->host_key_count; i++)
		if (nacre_key_equal(server->host_keys[i].public_key, key))
			return true;
	return false;
}

/* "text": that of the private key file; empty for a key that is in the agent. */
static int
keep_key(struct server *server, const char *path, const struct nacre_key *loaded,
    struct nacre_span text, struct nacre_buffer *all)
{
	struct host_key *keys =
	    reallocarray(server->host_keys, server->host_key_count + 1, sizeof *server->host_keys);

	if (keys == NULL)
		return NACRE_ERROR_MEMORY;
	server->host_keys = keys;
	struct host_key *key = &keys[server->host_key_count];
	*key = (struct host_key){.path = strdup(path),
	    .text_offset = nacre_buffer_length(all),
	    .text_length = text.length};
	int error = nacre_key_put_blob(loaded, true, &key->blob);
	if (error == 0)
		error = nacre_key_from_blob(nacre_buffer_span(&key->blob), &key->public_key);
	nacre_put_span(all, text);
	server->host_key_count++;
	return all->failed ? NACRE_ERROR_MEMORY : error;
}

static void
add_key(struct server *server, const char *path, const struct nacre_key *key,
    struct nacre_span text, struct nacre_buffer *all)
{
	int error = 0;

	if (known_already(server, key))
		nacre_log(NACRE_LOG_DEBUG1, "Host key \"%s\" is there already", path);
	else if ((error = keep_key(server, path, key, text, all)) != 0)
		nacre_log(NACRE_LOG_ERROR, "Unable to load host key \"%s\": %s", path,
		    nacre_error_string(error));
}

static bool
agent_is_there(const char *path)
{
	struct nacre_agent *agent = NULL;
	int error = nacre_agent_connect(strcmp(path, "SSH_AUTH_SOCK") == 0 ? NULL : path, &agent);

	nacre_agent_free(agent);
	if (error != 0)
		nacre_log(NACRE_LOG_ERROR, "Could not connect to agent \"%s\": %s", path,
		    error == NACRE_ERROR_SYSTEM ? strerror(errno) : nacre_error_string(error));
	return error == 0;
}

/* The public half alone will do when the agent has the other. */
static bool
load_for_agent(struct server *server, const char *path, struct nacre_buffer *all)
{
	const struct nacre_span none = {NULL, 0};
	struct nacre_key *key = NULL;

	if (server->config->host_key_agent == NULL ||
	    !agent_is_there(server->config->host_key_agent) ||
	    nacre_key_load_public(path, &key, NULL) != 0)
		return false;
	nacre_log(NACRE_LOG_DEBUG1, "will rely on agent for hostkey %s", path);
	add_key(server, path, key, none, all);
	nacre_key_free(key);
	return true;
}

static bool
load_private(struct server *server, const char *path, struct nacre_buffer *all)
{
	bool quiet = server->config->host_key_agent != NULL;
	struct nacre_buffer text = {0};
	struct nacre_key *key = NULL;
	int error = read_key_file(path, quiet, &text);

	if (error == 0) {
		error = nacre_key_parse_private(
		    nacre_buffer_span(&text), (struct nacre_span){NULL, 0}, &key, NULL);
		if (error != 0 && !quiet)
			nacre_log(NACRE_LOG_ERROR, "Unable to load host key \"%s\": %s", path,
			    nacre_error_string(error));
	}
	if (error == 0 && (nacre_key_type(key) == NACRE_KEY_ED25519_SK ||
			      nacre_key_type(key) == NACRE_KEY_ECDSA_SK)) {
		nacre_log(NACRE_LOG_ERROR,
		    "Unable to load host key \"%s\": it is in a security key, which cannot sign "
		    "for "
		    "a host here; use a key in a file or in an agent (HostKeyAgent)",
		    path);
		error = NACRE_ERROR_UNSUPPORTED;
	}
	if (error == 0)
		add_key(server, path, key, nacre_buffer_span(&text), all);
	nacre_key_free(key);
	nacre_buffer_free(&text);
	return error == 0;
}

static void
load_one(struct server *server, const char *path, struct nacre_buffer *all)
{
	if (!load_private(server, path, all) && !load_for_agent(server, path, all) &&
	    server->config->host_key_agent != NULL)
		nacre_log(NACRE_LOG_ERROR, "Unable to load host key: %s", path);
}

static struct host_key *
key_of_certificate(struct server *server, const struct nacre_key *certificate)
{
	for (size_t i = 0; i < server->host_key_count; i++)
		if (nacre_key_equal(server->host_keys[i].public_key, certificate))
			return &server->host_keys[i];
	return NULL;
}

static int
keep_certificate(struct host_key *key, const struct nacre_key *certificate)
{
	nacre_buffer_clear(&key->certificate);
	int error = nacre_key_put_blob(certificate, false, &key->certificate);
	return error != 0 ? error : nacre_key_attach_certificate(key->public_key, certificate);
}

/* HostCertificate. */
static void
load_certificate(struct server *server, const char *path)
{
	struct nacre_key *certificate = NULL;
	struct host_key *key;
	int error = nacre_key_load_public(path, &certificate, NULL);

	if (error != 0)
		nacre_log(NACRE_LOG_ERROR, "Could not load host certificate \"%s\": %s", path,
		    error == NACRE_ERROR_SYSTEM ? strerror(errno) : nacre_error_string(error));
	else if (!nacre_key_is_certificate(certificate))
		nacre_log(NACRE_LOG_ERROR, "Certificate file is not a certificate: %s", path);
	else if (nacre_key_certificate(certificate)->type != NACRE_CERTIFICATE_HOST)
		nacre_log(NACRE_LOG_ERROR,
		    "Certificate file is not a host certificate (ssh-keygen -h): %s", path);
	else if ((key = key_of_certificate(server, certificate)) == NULL)
		nacre_log(NACRE_LOG_ERROR, "No matching private key for certificate: %s", path);
	else if ((error = keep_certificate(key, certificate)) != 0)
		nacre_log(NACRE_LOG_ERROR, "Could not load host certificate \"%s\": %s", path,
		    nacre_error_string(error));
	nacre_key_free(certificate);
}

static bool
some_key_fits(const struct server *server, struct nacre_span algorithm)
{
	for (size_t i = 0; i < server->host_key_count; i++)
		if (nacre_signature_algorithm_fits(algorithm, server->host_keys[i].public_key))
			return true;
	return false;
}

/* Of the configured algorithms those that our keys can sign with. */
static int
choose_algorithms(struct server *server)
{
	const char *configured = server->config->host_key_algorithms;
	struct nacre_span list = nacre_span_of(
	    configured != NULL ? configured
			       : nacre_algorithms_default(NACRE_LIST_KEY_ALGORITHMS, true));
	struct nacre_span name;
	struct nacre_buffer chosen = {0};

	while ((name = nacre_list_next(&list)).length > 0)
		if (some_key_fits(server, name)) {
			if (nacre_buffer_length(&chosen) > 0)
				nacre_put_byte(&chosen, ',');
			nacre_put_span(&chosen, name);
		}
	server->host_key_algorithms = nacre_span_to_string(nacre_buffer_span(&chosen));
	nacre_buffer_free(&chosen);
	if (server->host_key_algorithms != NULL && server->host_key_algorithms[0] != '\0')
		return 0;
	nacre_log(NACRE_LOG_FATAL,
	    "HostKeyAlgorithms %s: none of the host keys can sign so; add a HostKey of that kind "
	    "or "
	    "another algorithm",
	    configured != NULL ? configured : "");
	return NACRE_ERROR_NOT_FOUND;
}

int
host_keys_load(struct server *server)
{
	struct nacre_buffer all = {0};
	const struct nacre_words *paths = &server->config->host_key;
	const struct nacre_words *certificates = &server->config->host_certificate;

	for (size_t i = 0; i < paths->count; i++)
		load_one(server, paths->words[i], &all);
	for (size_t i = 0; i < certificates->count; i++)
		load_certificate(server, certificates->words[i]);
	if (server->host_key_count == 0) {
		nacre_log(NACRE_LOG_FATAL,
		    "sshd: no hostkeys available -- exiting. Make one with: ssh-keygen -t ed25519 "
		    "-N '' -f %s",
		    paths->count > 0 ? paths->words[paths->count - 1]
				     : DEFAULT_PREFIX "ed25519_key");
		return NACRE_ERROR_NOT_FOUND;
	}
	int error =
	    nacre_process_memory_file("host-keys", nacre_buffer_span(&all), &server->key_file);
	nacre_buffer_free(&all);
	return error != 0 ? error : choose_algorithms(server);
}

void
host_keys_forget(struct server *server)
{
	for (size_t i = 0; i < server->host_key_count; i++) {
		nacre_key_free(server->host_keys[i].private_key);
		server->host_keys[i].private_key = NULL;
	}
	if (server->key_file >= 0)
		close(server->key_file);
	server->key_file = -1;
}

void
host_keys_free(struct server *server)
{
	host_keys_forget(server);
	for (size_t i = 0; i < server->host_key_count; i++) {
		nacre_key_free(server->host_keys[i].public_key);
		nacre_buffer_free(&server->host_keys[i].blob);
		nacre_buffer_free(&server->host_keys[i].certificate);
		free(server->host_keys[i].path);
	}
	free(server->host_keys);
	server->host_keys = NULL;
	server->host_key_count = 0;
}
