/*
 * Processes that speak with tokens and authenticators on behalf of clients. That of a PKCS#11 module
 * lives as long as there are keys of it; for each signature by an authenticator there is a new one,
 * since one that waits for a touch hears nothing else.
 */
#include <ssh/agent_serve.h>

#include <nacre/log.h>
#include <nacre/pattern.h>
#include <nacre/provider.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ERRANDS_MOST 256 /* that wait for one process */

struct errand {
	struct errand *next;
	struct client *client; /* NULL: gone */
};

struct provider {
	enum source source;
	struct provider *next;
	enum nacre_provider_kind kind;
	char *path;
	int fd;
	pid_t pid;
	struct errand *errands; /* in the order in which they are answered */
	size_t errand_count;
	struct nacre_buffer input, output;
	bool ended; /* freed when the round is over */
};

char *
provider_judge(const struct agent_options *options, const char *path)
{
	char *canonical = realpath(path, NULL);

	if (canonical == NULL) {
		nacre_log(NACRE_LOG_ERROR, "provider %s: %s", path, strerror(errno));
		return NULL;
	}
	if (nacre_pattern_list(nacre_span_of(canonical), nacre_span_of(options->providers),
		false) == NACRE_MATCH_FOUND)
		return canonical;
	nacre_log(NACRE_LOG_ERROR,
	    "refusing provider %s: its path is not one of those allowed (ssh-agent -P)", canonical);
	free(canonical);
	return NULL;
}

static struct provider *
provider_start(struct server *server, enum nacre_provider_kind kind, const char *path)
{
	struct provider *provider = calloc(1, sizeof *provider);

	if (provider == NULL)
		return NULL;
	*provider = (struct provider){
	    .source = SOURCE_PROVIDER, .kind = kind, .path = strdup(path), .fd = -1};
	provider->input.limit = provider->output.limit =
	    2 * (NACRE_AGENT_MESSAGE_MAX + HEADER_LENGTH);
	if (provider->path == NULL ||
	    nacre_provider_start(kind, &provider->fd, &provider->pid) != 0) {
		free(provider->path);
		free(provider);
		return NULL;
	}
	fcntl(provider->fd, F_SETFL, O_NONBLOCK);
	provider->next = server->providers;
	server->providers = provider;
	return provider;
}

static struct provider *
provider_get(struct server *server, enum nacre_provider_kind kind, const char *path)
{
	struct provider *provider = server->providers;

	while (
	    provider != NULL && (provider->ended || provider->kind != kind ||
				    kind == NACRE_PROVIDER_SK || strcmp(provider->path, path) != 0))
		provider = provider->next;
	return provider != NULL ? provider : provider_start(server, kind, path);
}

static void
provider_watch(struct server *server, struct provider *provider)
{
	unsigned what = NACRE_POLL_READ;

	if (nacre_buffer_length(&provider->output) > 0)
		what |= NACRE_POLL_WRITE;
	nacre_poller_set(server->poller, provider->fd, what, provider);
}

int
provider_ask(struct server *server, struct client *client, const struct nacre_keyring_wait *wait)
{
	struct provider *provider = provider_get(server, wait->kind, wait->provider);
	struct errand **link, *errand;

	if (provider == NULL || provider->errand_count == ERRANDS_MOST)
		return NACRE_ERROR_SYSTEM;
	if ((errand = calloc(1, sizeof *errand)) == NULL)
		return NACRE_ERROR_MEMORY;
	nacre_put_string_span(&provider->output, wait->request);
	if (provider->output.failed) {
		free(errand);
		return NACRE_ERROR_MEMORY;
	}
	errand->client = client;
	for (link = &provider->errands; *link != NULL; link = &(*link)->next)
		;
	*link = errand;
	provider->errand_count++;
	client->provider = provider;
	if (wait->text != NULL)
		notice_begin(client, wait->text);
	nacre_poller_set(server->poller, client->fd, 0, NULL);
	provider_watch(server, provider);
	return 0;
}

/* Takes the first errand off and gives its client the reply. */
static void
errand_answer(struct server *server, struct provider *provider, struct nacre_span reply)
{
	struct errand *errand = provider->errands;
	struct client *client = errand->client;
	uint64_t now = nacre_clock_ms();
	size_t before;
	int result;

	provider->errands = errand->next;
	provider->errand_count--;
	free(errand);
	if (client == NULL)
		return;
	client->provider = NULL;
	notice_end(server, client);
	before = nacre_buffer_length(&client->output);
	result = nacre_keyring_errand_done(client->keyring_client, reply, now, &client->output);
	client_outcome(server, client, result, before, now);
}

static void
provider_end(struct server *server, struct provider *provider)
{
	if (provider->ended)
		return;
	provider->ended = true;
	nacre_poller_set(server->poller, provider->fd, 0, NULL);
	close(provider->fd);
	child_end(server, provider->pid, SIGTERM);
	while (provider->errands != NULL)
		errand_answer(server, provider, (struct nacre_span){NULL, 0});
}

static bool
provider_write(struct provider *provider)
{
	struct nacre_span span = nacre_buffer_span(&provider->output);
	ssize_t count;

	while (span.length > 0) {
		count = send(provider->fd, span.data, span.length, MSG_NOSIGNAL);
		if (count < 0)
			return errno == EAGAIN || errno == EINTR;
		nacre_buffer_consume(&provider->output, (size_t)count);
		span = nacre_buffer_span(&provider->output);
	}
	nacre_buffer_free(&provider->output); /* a PIN may have been in it: wiped */
	return true;
}

static bool
provider_read(struct provider *provider)
{
	uint8_t *room = nacre_buffer_room(&provider->input, READ_SIZE);
	ssize_t count = room != NULL ? recv(provider->fd, room, READ_SIZE, 0) : 0;

	if (count > 0)
		nacre_buffer_added(&provider->input, (size_t)count);
	return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Hands out the replies that are complete; false when one is malformed, or nobody's. */
static bool
replies_take(struct server *server, struct provider *provider)
{
	struct nacre_reader reader;
	uint32_t length;

	for (;;) {
		reader = nacre_reader_of(nacre_buffer_span(&provider->input));
		length = nacre_get_u32(&reader);
		if (reader.failed)
			return true;
		if (length == 0 || length > NACRE_AGENT_MESSAGE_MAX || provider->errands == NULL)
			return false;
		if (reader.length < length)
			return true;
		errand_answer(server, provider, nacre_get_bytes(&reader, length));
		nacre_buffer_consume(&provider->input, HEADER_LENGTH + length);
	}
}

void
provider_ready(struct server *server, struct provider *provider, unsigned what)
{
	bool alive = true;

	if (provider->ended)
		return;
	if ((what & NACRE_POLL_WRITE) != 0)
		alive = provider_write(provider);
	if (alive && (what & NACRE_POLL_READ) != 0)
		alive = provider_read(provider) && replies_take(server, provider);
	if (!alive || (provider->kind == NACRE_PROVIDER_SK && provider->errands == NULL))
		provider_end(server, provider);
	else
		provider_watch(server, provider);
}

void
provider_forget(struct server *server, struct client *client)
{
	struct provider *provider = client->provider;

	if (provider == NULL)
		return;
	for (struct errand *errand = provider->errands; errand != NULL; errand = errand->next)
		if (errand->client == client)
			errand->client = NULL;
	client->provider = NULL;
	notice_end(server, client);
	/* Nobody needs to touch anything any more. */
	if (provider->kind == NACRE_PROVIDER_SK)
		provider_end(server, provider);
}

void
providers_reap(struct server *server)
{
	struct provider **link = &server->providers, *provider;

	while ((provider = *link) != NULL) {
		if (!provider->ended && provider->kind == NACRE_PROVIDER_PKCS11 &&
		    provider->errands == NULL &&
		    !nacre_keyring_has_provider(server->keyring, provider->path))
			provider_end(server, provider);
		if (!provider->ended) {
			link = &provider->next;
			continue;
		}
		*link = provider->next;
		nacre_buffer_free(&provider->input);
		nacre_buffer_free(&provider->output);
		free(provider->path);
		free(provider);
	}
}

void
providers_free(struct server *server)
{
	for (struct provider *provider = server->providers; provider != NULL;
	     provider = provider->next)
		provider_end(server, provider);
	providers_reap(server);
}
