/* Questions to the person at the desk, asked by child processes, so that nobody else waits. */
#include <ssh/agent_serve.h>

#include <nacre/process.h>
#include <nacre/prompt.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child: no keys, nothing of the agent's but the question. "output" -1: consent is asked
 * for, else a PIN, which goes there. Never returns. */
static _Noreturn void
child_ask(struct nacre_keyring *keyring, const char *text, int output)
{
	struct nacre_buffer answer = {0};
	struct nacre_span span;
	sigset_t none;

	nacre_keyring_remove_all(keyring);
	sigemptyset(&none);
	nacre_process_reset_signals();
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (output < 0)
		_exit(nacre_prompt_confirm(text) ? 0 : 1);
	if (nacre_prompt(text, NACRE_PROMPT_ASKPASS, &answer) != 0)
		_exit(1);
	span = nacre_buffer_span(&answer);
	if (write(output, span.data, span.length) != (ssize_t)span.length)
		_exit(1);
	nacre_buffer_free(&answer);
	_exit(0);
}

static int
text_make(
    const struct server *server, const struct nacre_keyring_wait *wait, struct nacre_buffer *text)
{
	if (wait->what == NACRE_KEYRING_PIN) {
		nacre_put_format(text, "%s", wait->text);
	} else {
		nacre_put_format(text, "Allow use of key %s?\nKey fingerprint ", wait->comment);
		nacre_key_fingerprint(wait->key, server->options->fingerprint_hash, text);
		nacre_put_format(text, ".");
	}
	nacre_put_byte(text, '\0');
	return text->failed ? NACRE_ERROR_MEMORY : 0;
}

static int
child_start(struct server *server, struct client *client, const char *text, bool pin)
{
	int ends[2] = {-1, -1};

	if (pin && pipe2(ends, O_CLOEXEC) != 0)
		return NACRE_ERROR_SYSTEM;
	client->asker = fork();
	if (client->asker == 0)
		child_ask(server->keyring, text, ends[1]);
	if (ends[1] >= 0)
		close(ends[1]);
	client->pin = ends[0];
	if (client->asker < 0)
		return NACRE_ERROR_SYSTEM;
	client->question = (int)syscall(SYS_pidfd_open, client->asker, 0);
	if (client->question < 0 ||
	    nacre_poller_set(server->poller, client->question, NACRE_POLL_READ, client) != 0)
		return NACRE_ERROR_SYSTEM;
	nacre_poller_set(server->poller, client->fd, 0, NULL);
	return 0;
}

int
ask_begin(struct server *server, struct client *client, const struct nacre_keyring_wait *wait)
{
	struct nacre_buffer text = {0};
	int error = text_make(server, wait, &text);

	if (error == 0)
		error = child_start(server, client, (const char *)nacre_buffer_span(&text).data,
		    wait->what == NACRE_KEYRING_PIN);
	nacre_buffer_free(&text);
	return error;
}

/* The child has ended, so that all it wrote is there. */
static void
pin_read(struct client *client, bool given, struct nacre_buffer *pin)
{
	uint8_t *room = nacre_buffer_room(pin, NACRE_PROMPT_ANSWER_MAX);
	ssize_t count = room != NULL ? read(client->pin, room, NACRE_PROMPT_ANSWER_MAX) : -1;

	if (count > 0 && given)
		nacre_buffer_added(pin, (size_t)count);
	close(client->pin);
	client->pin = -1;
}

void
ask_end(struct server *server, struct client *client, uint64_t now)
{
	size_t before = nacre_buffer_length(&client->output);
	struct nacre_buffer pin = {0};
	int status = 0, result;
	bool agreed;

	if (waitpid(client->asker, &status, WNOHANG) == 0)
		return;
	agreed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	nacre_poller_set(server->poller, client->question, 0, NULL);
	close(client->question);
	client->question = -1;
	if (client->pin >= 0) {
		pin_read(client, agreed, &pin);
		result = nacre_keyring_pin(
		    client->keyring_client, nacre_buffer_span(&pin), now, &client->output);
		nacre_buffer_free(&pin);
	} else {
		result =
		    nacre_keyring_confirm(client->keyring_client, agreed, now, &client->output);
	}
	client_outcome(server, client, result, before, now);
}

void
notice_begin(struct client *client, const char *text)
{
	struct nacre_notice notice;

	nacre_notice_begin(&notice, text);
	client->notice = notice.pid > 0 ? notice.pid : 0;
}

void
notice_end(struct server *server, struct client *client)
{
	if (client->notice > 0)
		child_end(server, client->notice, SIGTERM);
	client->notice = 0;
}
