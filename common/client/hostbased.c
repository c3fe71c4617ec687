/*
 * Logging in by the word of this machine (HostbasedAuthentication): its host keys are offered, and
 * the program ssh-keysign, which may read them, signs.
 */
#include <client/client.h>
#include <nacre/file.h>
#include <nacre/keysign.h>
#include <nacre/process.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIGNATURE_MAX ((size_t)64 * 1024)

extern char **environ;

/* Public halves, in the order in which they are offered. */
static const char *const key_files[] = {
    NACRE_SYSCONFDIR "/ssh_host_ecdsa_key-cert.pub",
    NACRE_SYSCONFDIR "/ssh_host_ed25519_key-cert.pub",
    NACRE_SYSCONFDIR "/ssh_host_rsa_key-cert.pub",
    NACRE_SYSCONFDIR "/ssh_host_ecdsa_key.pub",
    NACRE_SYSCONFDIR "/ssh_host_ed25519_key.pub",
    NACRE_SYSCONFDIR "/ssh_host_rsa_key.pub",
};
_Static_assert(sizeof key_files / sizeof *key_files == HOSTBASED_KEYS, "a key for each file");

int
nacre_keysign_local_name(int socket, char **name)
{
	struct sockaddr_storage local;
	socklen_t length = sizeof local;
	char host[NI_MAXHOST] = "";

	if (getsockname(socket, (struct sockaddr *)&local, &length) != 0 ||
	    (local.ss_family != AF_INET && local.ss_family != AF_INET6) ||
	    getnameinfo((struct sockaddr *)&local, length, host, sizeof host - 1, NULL, 0,
		NI_NAMEREQD) != 0)
		gethostname(host, sizeof host - 2);
	for (char *at = host; *at != '\0'; at++)
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at + 32);
	strcat(host, ".");
	*name = strdup(host);
	return *name == NULL ? NACRE_ERROR_MEMORY : 0;
}

static void
load(struct hostbased *hostbased)
{
	hostbased->loaded = true;
	for (size_t i = 0; i < HOSTBASED_KEYS; i++) {
		struct nacre_key *key;

		if (nacre_key_load_public(key_files[i], &key, NULL) != 0)
			continue;
		nacre_log(NACRE_LOG_DEBUG2, "hostbased key %zu: %s key from \"%s\"", i,
		    nacre_key_type_label(key), key_files[i]);
		hostbased->keys[i] = key;
	}
	nacre_keysign_local_name(hostbased->fd, &hostbased->host);
}

bool
hostbased_usable(const struct nacre_client *client)
{
	return client->config->hostbased_authentication && !client->hostbased.over;
}

/* The algorithm that a key is offered with, as HostbasedAcceptedAlgorithms likes it best. */
static struct nacre_span
choose_algorithm(const struct nacre_client *client, const struct nacre_key *key)
{
	struct nacre_span left = nacre_span_of(nacre_key_signature_algorithms(key)), name;

	while ((name = nacre_list_next(&left)).length > 0)
		if (algorithms_allowed(client->config->hostbased_accepted_algorithms, name))
			return name;
	return (struct nacre_span){NULL, 0};
}

static int
offer(struct nacre_client *client, struct nacre_key *key, struct nacre_span algorithm)
{
	struct hostbased *const hostbased = &client->hostbased;
	char *const name = nacre_span_to_string(algorithm);
	int error = name == NULL ? NACRE_ERROR_MEMORY : 0;

	nacre_buffer_clear(&hostbased->blob);
	if (error == 0)
		error = nacre_key_put_blob(key, false, &hostbased->blob);
	if (error == 0)
		error =
		    nacre_auth_hostbased(client->session, name, nacre_buffer_span(&hostbased->blob),
			hostbased->host, nacre_ssh_config_local_user(client->config), NULL);
	if (error == 0) {
		nacre_log(NACRE_LOG_DEBUG1, "userauth_hostbased: trying hostkey %s using sigalg %s",
		    nacre_key_type_label(key), name);
		client->authentication.outstanding++;
	}
	free(name);
	return error != 0 ? error : 1;
}

int
hostbased_next(struct nacre_client *client)
{
	struct hostbased *const hostbased = &client->hostbased;

	hostbased->fd = client->fd;
	if (!hostbased->loaded)
		load(hostbased);
	for (size_t i = 0; i < HOSTBASED_KEYS && hostbased->host != NULL; i++) {
		struct nacre_key *const key = hostbased->keys[i];
		const struct nacre_span algorithm =
		    key != NULL ? choose_algorithm(client, key) : (struct nacre_span){NULL, 0};

		hostbased->keys[i] = NULL;
		const int result = algorithm.length > 0 ? offer(client, key, algorithm) : 0;
		nacre_key_free(key);
		if (result != 0)
			return result;
	}
	nacre_log(NACRE_LOG_DEBUG1, "No more client hostkeys for hostbased authentication.");
	hostbased->over = true;
	return 0;
}

/* The program beside this one, or where it is installed. */
static char *
keysign_program(void)
{
	char path[4096];
	const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 16);

	if (length > 0) {
		path[length] = '\0';
		char *const slash = strrchr(path, '/');

		snprintf(slash, sizeof path - (size_t)(slash - path), "/ssh-keysign");
		if (access(path, X_OK) == 0)
			return strdup(path);
	}
	return strdup(NACRE_LIBEXECDIR "/ssh-keysign");
}

/* Starts it with the connection as descriptor 3; *fds are its input and its output. */
static pid_t
start(const struct nacre_client *client, int fds[2])
{
	char *const program = keysign_program();
	char *const arguments[] = {program, NULL};
	int in[2] = {-1, -1}, out[2] = {-1, -1};
	pid_t child = NACRE_ERROR_SYSTEM;

	if (program != NULL && pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0) {
		const struct nacre_process_start start = {.path = program,
		    .arguments = arguments,
		    .environment = environ,
		    .input = in[0],
		    .output = out[1],
		    .error = -1,
		    .keep = client->fd};

		child = nacre_process_start(&start);
	}
	close(in[0]);
	close(out[1]);
	fds[0] = in[1];
	fds[1] = out[0];
	free(program);
	return child;
}

bool
hostbased_sign(
    struct nacre_client *client, const struct nacre_event *event, struct nacre_buffer *signature)
{
	struct nacre_buffer request = {0};
	int fds[2], status = -1;

	if (nacre_buffer_length(&client->hostbased.blob) == 0 ||
	    !nacre_span_equal(nacre_buffer_span(&client->hostbased.blob), event->u.sign.blob))
		return false;
	const pid_t child = start(client, fds);
	nacre_put_string_span(&request, event->u.sign.data);
	if (child > 0 && !request.failed)
		nacre_write_all(fds[0], nacre_buffer_span(&request));
	close(fds[0]);
	if (child > 0)
		nacre_file_read_descriptor(fds[1], SIGNATURE_MAX, signature);
	close(fds[1]);
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		nacre_buffer_clear(signature);
		nacre_log(NACRE_LOG_ERROR, "sign using hostkey %.*s failed",
		    (int)event->u.sign.algorithm.length,
		    (const char *)event->u.sign.algorithm.data);
	}
	nacre_buffer_free(&request);
	return true;
}

void
hostbased_free(struct nacre_client *client)
{
	for (size_t i = 0; i < HOSTBASED_KEYS; i++)
		nacre_key_free(client->hostbased.keys[i]);
	nacre_buffer_free(&client->hostbased.blob);
	free(client->hostbased.host);
	client->hostbased = (struct hostbased){0};
}
