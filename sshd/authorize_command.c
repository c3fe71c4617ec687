/*
 * AuthorizedKeysCommand and AuthorizedPrincipalsCommand: a program of the administrator's that tells
 * which keys or principals to believe. It runs as a user of its own with nothing of ours open; how
 * much it writes and how long it takes is bounded.
 */
#include "authorize.h"

#include <nacre/config.h>
#include <nacre/log.h>
#include <nacre/poller.h>
#include <nacre/process.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MOST ((size_t)4 * 1024 * 1024)
#define TIME_MOST   ((uint64_t)60 * 1000) /* milliseconds; LoginGraceTime may end it sooner */

/* Tokens ----------------------------------------------------------------------------------- */

/* What the tokens stand for; all texts end with a NUL. */
struct tokens {
	char uid[24], serial[24], connection[200];
	struct nacre_buffer fingerprint, blob, authority_fingerprint, authority_blob, key_id;
};

static void
put_blob(const struct nacre_key *key, struct nacre_buffer *text)
{
	struct nacre_buffer blob = {0};

	if (nacre_key_put_blob(key, false, &blob) == 0)
		nacre_put_base64(text, nacre_buffer_span(&blob));
	nacre_put_byte(text, 0);
	nacre_buffer_free(&blob);
}

static void
tokens_make(const struct login *login, const struct nacre_key *key, struct tokens *tokens)
{
	const struct nacre_certificate *certificate = nacre_key_certificate(key);
	const struct peer *peer = &login->peer;

	snprintf(tokens->uid, sizeof tokens->uid, "%ld", (long)login->account.uid);
	snprintf(tokens->connection, sizeof tokens->connection, "%s %d %s %d", peer->address,
	    peer->port, peer->local_address, peer->local_port);
	put_fingerprint(login, key, &tokens->fingerprint);
	put_blob(key, &tokens->blob);
	if (certificate == NULL)
		return;
	snprintf(
	    tokens->serial, sizeof tokens->serial, "%llu", (unsigned long long)certificate->serial);
	put_fingerprint(login, certificate->authority, &tokens->authority_fingerprint);
	put_blob(certificate->authority, &tokens->authority_blob);
	nacre_put_span(&tokens->key_id, certificate->key_id);
	nacre_put_byte(&tokens->key_id, 0);
}

static void
tokens_free(struct tokens *tokens)
{
	nacre_buffer_free(&tokens->fingerprint);
	nacre_buffer_free(&tokens->blob);
	nacre_buffer_free(&tokens->authority_fingerprint);
	nacre_buffer_free(&tokens->authority_blob);
	nacre_buffer_free(&tokens->key_id);
}

/* Replaces the tokens in each word. Those of a certificate are only known with one. */
static int
expand_words(const struct login *login, const struct nacre_key *key, const struct tokens *tokens,
    struct nacre_words *words)
{
	const struct nacre_certificate *certificate = nacre_key_certificate(key);
	const char *authority_type =
	    certificate != NULL ? nacre_key_format(certificate->authority) : NULL;
	const struct nacre_token list[] = {{'C', tokens->connection}, {'D', ""},
	    {'f', (const char *)tokens->fingerprint.data}, {'h', login->account.home},
	    {'k', (const char *)tokens->blob.data}, {'t', nacre_key_format(key)},
	    {'U', tokens->uid}, {'u', login->account.name},
	    {'F', (const char *)tokens->authority_fingerprint.data},
	    {'K', (const char *)tokens->authority_blob.data}, {'T', authority_type},
	    {'i', (const char *)tokens->key_id.data},
	    {'s', certificate != NULL ? tokens->serial : NULL}};

	for (size_t i = 0; i < words->count; i++) {
		struct nacre_buffer text = {0};
		int error =
		    nacre_expand_tokens(words->words[i], list, MEMBERS(list), false, &text, NULL);
		char *word = error == 0 ? nacre_span_to_string(nacre_buffer_span(&text)) : NULL;

		nacre_buffer_free(&text);
		if (word == NULL)
			return error != 0 ? error : NACRE_ERROR_MEMORY;
		free(words->words[i]);
		words->words[i] = word;
	}
	return 0;
}

/* Without arguments the program gets the user's name. */
static int
add_user_name(const struct login *login, struct nacre_words *words)
{
	char **grown = words->count > 1 ? words->words : calloc(3, sizeof *grown);

	if (words->count > 1)
		return 0;
	if (grown == NULL || (grown[1] = strdup(login->account.name)) == NULL) {
		free(grown);
		return NACRE_ERROR_MEMORY;
	}
	grown[0] = words->words[0];
	free(words->words);
	words->words = grown;
	words->count = 2;
	return 0;
}

static int
make_arguments(const struct login *login, const struct authorize_command *command,
    const struct nacre_key *key, struct nacre_words *words)
{
	struct tokens tokens = {0};
	int error = nacre_words_split(command->command, words);

	if (error == 0) {
		tokens_make(login, key, &tokens);
		error = expand_words(login, key, &tokens, words);
	}
	tokens_free(&tokens);
	if (error == 0)
		error = add_user_name(login, words);
	if (error != 0)
		nacre_log(NACRE_LOG_ERROR, "%s \"%s\": %s", command->keyword, command->command,
		    nacre_error_string(error));
	return error;
}

/* The program ------------------------------------------------------------------------------ */

/* A program that somebody else than root can change would make them root's adviser. */
static bool
program_is_safe(const struct authorize_command *command, const char *path)
{
	struct nacre_buffer message = {0};
	struct stat status;
	int fd = path[0] == '/' ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
	bool safe = false;

	if (path[0] != '/')
		nacre_log(NACRE_LOG_ERROR, "%s path is not absolute: %s", command->keyword, path);
	else if (fd < 0)
		nacre_log(NACRE_LOG_ERROR, "Could not stat %s \"%s\": %s", command->keyword, path,
		    strerror(errno));
	else if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
		nacre_log(NACRE_LOG_ERROR, "Unsafe %s \"%s\": not a regular file", command->keyword,
		    path);
	else if (nacre_secure_path(fd, path, NULL, 0, &message) != 0)
		nacre_log(NACRE_LOG_ERROR, "Unsafe %s \"%s\": %.*s", command->keyword, path,
		    (int)nacre_buffer_length(&message), (const char *)message.data);
	else
		safe = true;
	if (fd >= 0)
		close(fd);
	nacre_buffer_free(&message);
	return safe;
}

static pid_t
start(const struct nacre_account *account, char *const *arguments, int output)
{
	char user[300], log_name[300], home[4200];
	char path[] = "PATH=/usr/bin:/bin:/usr/sbin:/sbin";
	char *environment[] = {path, user, log_name, home, NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct nacre_process_start how = {.path = arguments[0],
	    .arguments = arguments,
	    .environment = environment,
	    .directory = "/",
	    .input = null,
	    .output = output,
	    .error = null,
	    .new_session = true,
	    .keep = -1,
	    .account = account};

	snprintf(user, sizeof user, "USER=%s", account->name);
	snprintf(log_name, sizeof log_name, "LOGNAME=%s", account->name);
	snprintf(home, sizeof home, "HOME=%s", account->home);
	pid_t pid = null >= 0 ? nacre_process_start(&how) : NACRE_ERROR_SYSTEM;
	int error = errno;
	if (null >= 0)
		close(null);
	errno = error;
	return pid;
}

/* Waits until there is something to read. The end of the network process, be it for
 * LoginGraceTime, ends the waiting. NULL, or why it is over. */
static const char *
wait_for(int fd, int network, uint64_t end)
{
	for (;;) {
		struct pollfd polled[2] = {{.fd = fd, .events = POLLIN}, {.fd = network}};
		uint64_t now = nacre_clock_ms();
		if (now >= end)
			return "takes too long";
		if (poll(polled, 2, (int)(end - now)) <= 0)
			continue;
		return polled[1].revents != 0 ? "the connection has ended" : NULL;
	}
}

static const char *
read_output(int fd, int network, uint64_t end, struct nacre_buffer *output)
{
	for (;;) {
		const char *problem = wait_for(fd, network, end);
		if (problem != NULL)
			return problem;
		uint8_t *room = nacre_buffer_room(output, 4096);
		ssize_t count = room != NULL ? read(fd, room, 4096) : -1;
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return "cannot read its output";
		if (count == 0)
			return NULL;
		nacre_buffer_added(output, (size_t)count);
		if (nacre_buffer_length(output) > OUTPUT_MOST)
			return "writes too much";
	}
}

static bool
ended_well(const struct authorize_command *command, const char *path, int status)
{
	if (WIFSIGNALED(status))
		nacre_log(NACRE_LOG_ERROR, "%s %s exited on signal %d", command->keyword, path,
		    WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		nacre_log(NACRE_LOG_INFO, "%s %s failed, status %d", command->keyword, path,
		    WEXITSTATUS(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Its output is closed; the program itself may take its time yet. */
static const char *
wait_for_end(pid_t pid, int network, uint64_t end)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	const char *problem = fd >= 0 ? wait_for(fd, network, end) : NULL;

	if (fd >= 0)
		close(fd);
	return problem;
}

static int
run(const struct login *login, const struct authorize_command *command,
    const struct nacre_account *account, char *const *arguments, struct nacre_buffer *output)
{
	uint64_t end = nacre_clock_ms() + TIME_MOST;
	int ends[2], status = 0;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return NACRE_ERROR_SYSTEM;
	pid_t pid = start(account, arguments, ends[1]);
	close(ends[1]);
	const char *problem =
	    pid > 0 ? read_output(ends[0], login->network, end, output) : strerror(errno);
	if (problem == NULL)
		problem = wait_for_end(pid, login->network, end);
	close(ends[0]);
	if (problem != NULL)
		nacre_log(NACRE_LOG_ERROR, "%s %s: %s", command->keyword, arguments[0], problem);
	if (problem != NULL && pid > 0)
		kill(-pid, SIGKILL);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (problem != NULL || !ended_well(command, arguments[0], status))
		return NACRE_ERROR_REFUSED;
	return 0;
}

int
authorize_command_run(const struct login *login, const struct authorize_command *command,
    const struct nacre_key *key, struct nacre_buffer *output)
{
	struct nacre_account account = {0};
	struct nacre_words words = {0};
	int error = nacre_account_find(command->user, &account);

	if (error != 0)
		nacre_log(NACRE_LOG_ERROR, "%sUser \"%s\" not found: %s", command->keyword,
		    command->user, nacre_error_string(error));
	if (error == 0)
		error = make_arguments(login, command, key, &words);
	if (error == 0 && !program_is_safe(command, words.words[0]))
		error = NACRE_ERROR_PERMISSION;
	if (error == 0)
		error = run(login, command, &account, words.words, output);
	nacre_words_free(&words);
	nacre_account_clear(&account);
	return error;
}
