/*
 * KnownHostsCommand: lines of known hosts from a program, which is asked once for the order of
 * algorithms, and once a name when there is a key to judge.
 */
#include <client/client.h>
#include <nacre/file.h>
#include <nacre/process.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX ((size_t)16 * 1024 * 1024)

extern char **environ;

/* Runs it; its output, if it ends well. */
static int
run(char *const *arguments, struct nacre_buffer *output)
{
	int ends[2], status = -1;
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || pipe2(ends, O_CLOEXEC) != 0) {
		close(null);
		return NACRE_ERROR_SYSTEM;
	}
	const struct nacre_process_start start = {.path = arguments[0],
	    .arguments = arguments,
	    .environment = environ,
	    .input = null,
	    .output = ends[1],
	    .error = -1,
	    .keep = -1};
	const pid_t child = nacre_process_start(&start);

	close(null);
	close(ends[1]);
	int error = child < 0 ? NACRE_ERROR_SYSTEM
			      : nacre_file_read_descriptor(ends[0], OUTPUT_MAX, output);
	close(ends[0]);
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (error == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
		nacre_log(NACRE_LOG_ERROR, "KnownHostsCommand %s failed, status %d", arguments[0],
		    WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
		error = NACRE_ERROR_REFUSED;
	}
	return error;
}

/* The words of the command with the tokens replaced in each, so that no value becomes two words. */
static int
expand(struct nacre_client *client, const struct nacre_token *tokens, size_t count,
    struct nacre_words *words)
{
	struct nacre_ssh_config *const config = client->config;
	int error = nacre_words_split(config->known_hosts_command, words);

	if (error != 0)
		nacre_log(NACRE_LOG_ERROR, "KnownHostsCommand \"%s\" contains invalid quotes",
		    config->known_hosts_command);
	for (size_t i = 0; error == 0 && i < words->count; i++) {
		char *const word = nacre_ssh_config_expand(
		    config, "KnownHostsCommand", words->words[i], tokens, count);

		if (word == NULL) {
			nacre_log_lines(NACRE_LOG_ERROR, nacre_buffer_span(&config->error));
			error = NACRE_ERROR_FORMAT;
		} else {
			free(words->words[i]);
			words->words[i] = word;
		}
	}
	if (error == 0 && words->words[0][0] != '/') {
		nacre_log(NACRE_LOG_ERROR, "KnownHostsCommand path is not absolute");
		error = NACRE_ERROR_FORMAT;
	}
	return error;
}

int
host_key_ask_command(struct nacre_client *client, const char *reason, const char *name,
    const struct nacre_key *key, bool by_address)
{
	struct nacre_buffer output = {0}, fingerprint = {0}, blob = {0}, text = {0};
	struct nacre_words words = {0};

	if (client->config->known_hosts_command == NULL)
		return 0;
	if (key != NULL) {
		nacre_key_fingerprint(key,
		    (enum nacre_fingerprint_hash)client->config->fingerprint_hash, &fingerprint);
		if (nacre_key_put_blob(key, false, &blob) == 0)
			nacre_put_base64(&text, nacre_buffer_span(&blob));
	}
	nacre_put_byte(&fingerprint, '\0');
	nacre_put_byte(&text, '\0');
	int error = fingerprint.failed || text.failed ? NACRE_ERROR_MEMORY : 0;
	if (error == 0) {
		const struct nacre_token tokens[] = {
		    {'f', key != NULL ? (const char *)fingerprint.data : "NONE"},
		    {'H', key != NULL ? name : client->config->hostname},
		    {'I', reason},
		    {'K', key != NULL ? (const char *)text.data : "NONE"},
		    {'t', key != NULL ? nacre_key_format(key) : "NONE"},
		};
		error = expand(client, tokens, sizeof tokens / sizeof *tokens, &words);
	}
	if (error == 0)
		error = run(words.words, &output);
	if (error == 0)
		error = nacre_known_hosts_load_text(client->known, nacre_buffer_span(&output),
		    KNOWN_HOSTS_COMMAND, by_address ? "" : name, by_address ? name : NULL);
	nacre_words_free(&words);
	nacre_buffer_free(&output);
	nacre_buffer_free(&fingerprint);
	nacre_buffer_free(&blob);
	nacre_buffer_free(&text);
	return error;
}
