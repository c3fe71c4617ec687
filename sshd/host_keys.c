/*
 * Host keys. The listener reads and checks the files; a worker gets the public halves and a sealed
 * memory file with the private ones, which only its monitor reads, each when it first signs.
 */
#include "server.h"

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
read_key_file(const char *path, struct nacre_buffer *text)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0) {
		/* Nobody asked for the default keys by name. */
		bool quiet =
		    errno == ENOENT && strncmp(path, DEFAULT_PREFIX, strlen(DEFAULT_PREFIX)) == 0;
		nacre_log(quiet ? NACRE_LOG_DEBUG1 : NACRE_LOG_ERROR,
		    "Unable to load host key \"%s\": %s", path, strerror(errno));
		return NACRE_ERROR_NOT_FOUND;
	}
	int error = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? 0 : NACRE_ERROR_SYSTEM;
	if (error == 0 && status.st_uid == getuid() && (status.st_mode & 077) != 0) {
		complain_open(path, status.st_mode & 0777);
		error = NACRE_ERROR_PERMISSION;
	}
	if (error == 0)
		error = nacre_process_read_file(fd, KEY_FILE_BYTES, text);
	close(fd);
	if (error != 0)
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

static int
keep_key(struct server *server, const char *path, struct nacre_key *private_key,
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
	int error = nacre_key_put_blob(private_key, true, &key->blob);
	if (error == 0)
		error = nacre_key_from_blob(nacre_buffer_span(&key->blob), &key->public_key);
	nacre_put_span(all, text);
	if (error == 0)
		server->host_key_count++;
	return all->failed ? NACRE_ERROR_MEMORY : error;
}

static void
load_one(struct server *server, const char *path, struct nacre_buffer *all)
{
	struct nacre_buffer text = {0};
	struct nacre_key *key = NULL;

	if (read_key_file(path, &text) == 0) {
		int error = nacre_key_parse_private(
		    nacre_buffer_span(&text), (struct nacre_span){NULL, 0}, &key, NULL);
		if (error == 0 && known_already(server, key))
			error = NACRE_ERROR_ARGUMENT;
		if (error == 0)
			error = keep_key(server, path, key, nacre_buffer_span(&text), all);
		if (error == NACRE_ERROR_ARGUMENT)
			nacre_log(NACRE_LOG_DEBUG1, "Host key \"%s\" is there already", path);
		else if (error != 0)
			nacre_log(NACRE_LOG_ERROR, "Unable to load host key \"%s\": %s", path,
			    nacre_error_string(error));
	}
	nacre_key_free(key);
	nacre_buffer_free(&text);
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
	return server->host_key_algorithms != NULL && server->host_key_algorithms[0] != '\0'
		   ? 0
		   : NACRE_ERROR_NOT_FOUND;
}

int
host_keys_load(struct server *server)
{
	struct nacre_buffer all = {0};
	const struct nacre_words *paths = &server->config->host_key;

	for (size_t i = 0; i < paths->count; i++)
		load_one(server, paths->words[i], &all);
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

static int
read_private(struct server *server, struct host_key *key)
{
	struct nacre_buffer text = {0};
	uint8_t *room = nacre_buffer_room(&text, key->text_length);
	ssize_t count =
	    room != NULL && server->key_file >= 0
		? pread(server->key_file, room, key->text_length, (off_t)key->text_offset)
		: -1;
	int error = NACRE_ERROR_SYSTEM;

	if (count == (ssize_t)key->text_length) {
		nacre_buffer_added(&text, key->text_length);
		error = nacre_key_parse_private(nacre_buffer_span(&text),
		    (struct nacre_span){NULL, 0}, &key->private_key, NULL);
	}
	nacre_buffer_free(&text);
	return error;
}

const struct nacre_key *
host_keys_private(struct server *server, struct nacre_span blob)
{
	for (size_t i = 0; i < server->host_key_count; i++) {
		struct host_key *key = &server->host_keys[i];
		if (!nacre_span_equal(nacre_buffer_span(&key->blob), blob))
			continue;
		if (key->private_key == NULL && read_private(server, key) != 0) {
			nacre_log(NACRE_LOG_ERROR, "Host key %s cannot be read", key->path);
			return NULL;
		}
		return key->private_key;
	}
	return NULL;
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
		free(server->host_keys[i].path);
	}
	free(server->host_keys);
	server->host_keys = NULL;
	server->host_key_count = 0;
}
