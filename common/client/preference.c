/*
 * What servers showed to prefer, in a small file (nacre_hosts beside known_hosts): their first key
 * exchange and host key algorithm, the round trip, and which user key they took. With it the next
 * login guesses right and saves a round trip or two. It changes the order in which we offer and try
 * things, and what we send before an answer (early.c): a wrong, old or hostile file costs time, not
 * safety. Servers and keys appear as salted hashes, so that the file tells as little as a hashed known_hosts.
 *
 * First line "nacre-hosts 1 SALT", then lines "SERVER KEX HOSTKEY ROUNDTRIP IDENTITY [EARLY]", the
 * newest at the end; hexadecimal but for the names, "-" for none. EARLY is what early.c needs: eight
 * digits of the number that the server gave to our first channel (all ones: it did not keep to it),
 * sixteen of the mark of whom it was given to.
 */
#include <client/client.h>
#include <crypto/hash.h>
#include <crypto/kex.h>
#include <nacre/crypto.h>
#include <nacre/file.h>
#include <nacre/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX      65536 /* bytes; the oldest lines go when it would grow beyond */
#define LINE_LIMIT    256   /* bytes; ours are far shorter */
#define EARLY_LENGTH  24    /* digits */
#define HEADER        "nacre-hosts 1 "
#define HEADER_LENGTH (sizeof HEADER - 1)

/* Changes of the round trip below this factor are not worth a write. */
#define ROUND_TRIP_FACTOR 2

static uint64_t
mark(const struct nacre_client *client, struct nacre_span data)
{
	const struct nacre_span salt = {client->preferences.salt, PREFERENCE_SALT_LENGTH};
	uint8_t digest[HASH_LENGTH_MAX];
	uint64_t value = 0;

	if (hash_hmac(&hash_sha256, salt, data, digest) != 0)
		return 0;
	memcpy(&value, digest, sizeof value);
	return value;
}

/* Beside the first of the user's known_hosts files; nowhere when that is not to be kept either. */
static char *
file_path(const struct nacre_client *client)
{
	const char *const known =
	    client->config->remember_servers ? client->user_known_hosts : NULL;
	const char *const slash = known != NULL ? strrchr(known, '/') : NULL;
	char *path = NULL;

	if (slash == NULL || strncmp(known, "/dev/", 5) == 0 ||
	    asprintf(&path, "%.*s/nacre_hosts", (int)(slash - known), known) < 0)
		return NULL;
	return path;
}

/* Reads a regular file of ours; what is not one is left alone. */
static bool
read_file(const char *path, struct nacre_buffer *text)
{
	struct stat status;
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	bool good = false;

	if (fd < 0)
		return false;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
	    status.st_size > 0)
		good = nacre_file_read_descriptor(fd, FILE_MAX, text) == 0 &&
		       nacre_buffer_length(text) > 0;
	close(fd);
	return good;
}

static struct nacre_span
next_line(struct nacre_span *text)
{
	const uint8_t *const end = text->length > 0 ? memchr(text->data, '\n', text->length) : NULL;
	struct nacre_span line = {text->data, 0};

	if (end == NULL) {
		*text = (struct nacre_span){0};
		return (struct nacre_span){0};
	}
	line.length = (size_t)(end - text->data);
	text->data = end + 1;
	text->length -= line.length + 1;
	return line;
}

static bool
parse_header(struct nacre_client *client, struct nacre_span line)
{
	size_t length;

	return line.length == HEADER_LENGTH + 2 * (size_t)PREFERENCE_SALT_LENGTH &&
	       memcmp(line.data, HEADER, HEADER_LENGTH) == 0 &&
	       sodium_hex2bin(client->preferences.salt, PREFERENCE_SALT_LENGTH,
		   (const char *)line.data + HEADER_LENGTH, line.length - HEADER_LENGTH, NULL,
		   &length, NULL) == 0 &&
	       length == PREFERENCE_SALT_LENGTH;
}

/* The next word up to a space or the end; empty when there is none. */
static struct nacre_span
next_word(struct nacre_span *line)
{
	struct nacre_span word = {line->data, 0};

	while (word.length < line->length && line->data[word.length] != ' ')
		word.length++;
	const size_t step = word.length < line->length ? word.length + 1 : word.length;
	line->data += step;
	line->length -= step;
	return word;
}

static const char hex_digits[16] = "0123456789abcdef";

/* A number in hexadecimal of at most "digits" digits. */
static bool
parse_number(struct nacre_span word, size_t digits, uint64_t *number)
{
	*number = 0;
	for (size_t i = 0; i < word.length; i++) {
		const char *const digit = memchr(hex_digits, word.data[i], sizeof hex_digits);

		if (digit == NULL)
			return false;
		*number = *number << 4 | (uint64_t)(digit - hex_digits);
	}
	return word.length > 0 && word.length <= digits;
}

static void
copy_name(char *to, struct nacre_span name)
{
	if (name.length == 0 || name.length >= PREFERENCE_NAME_MAX ||
	    memchr(name.data, '\0', name.length) != NULL)
		return;
	memcpy(to, name.data, name.length);
	to[name.length] = '\0';
}

/* An algorithm's name, or "-" for none. */
static bool
parse_name(struct nacre_span word, char *name)
{
	if (word.length == 0 || word.length >= PREFERENCE_NAME_MAX)
		return false;
	*name = '\0';
	if (!nacre_span_equals(word, "-"))
		copy_name(name, word);
	return true;
}

/* Missing where there is nothing to remember. */
static bool
parse_early(struct nacre_span word, struct preference *preference)
{
	uint64_t number;

	preference->early = 0;
	preference->channel = 0;
	if (word.length == 0)
		return true;
	if (word.length != EARLY_LENGTH ||
	    !parse_number((struct nacre_span){word.data, 8}, 8, &number) ||
	    !parse_number((struct nacre_span){word.data + 8, 16}, 16, &preference->early))
		return false;
	preference->channel = (uint32_t)number;
	return true;
}

/* The server's mark and what is remembered of it; false for anything that we did not write. */
static bool
parse_line(struct nacre_span line, uint64_t *server, struct preference *preference)
{
	uint64_t round_trip;

	if (line.length == 0 || line.length >= LINE_LIMIT || line.data[line.length - 1] == ' ' ||
	    !parse_number(next_word(&line), 16, server) ||
	    !parse_name(next_word(&line), preference->kex) ||
	    !parse_name(next_word(&line), preference->host_key) ||
	    !parse_number(next_word(&line), 8, &round_trip) ||
	    !parse_number(next_word(&line), 16, &preference->identity) ||
	    !parse_early(next_word(&line), preference))
		return false;
	preference->round_trip = (uint32_t)round_trip;
	return line.length == 0;
}

static void
new_salt(struct nacre_client *client)
{
	nacre_random(client->preferences.salt, PREFERENCE_SALT_LENGTH);
	nacre_buffer_clear(&client->preferences.text);
}

void
preference_load(struct nacre_client *client)
{
	struct preferences *const preferences = &client->preferences;
	struct preference found;
	uint64_t server;

	if ((preferences->path = file_path(client)) == NULL)
		return;
	if (!read_file(preferences->path, &preferences->text)) {
		new_salt(client);
	} else {
		struct nacre_span rest = nacre_buffer_span(&preferences->text);

		if (!parse_header(client, next_line(&rest)))
			new_salt(client);
	}
	preferences->name = mark(client, nacre_span_of(client->known_name));
	struct nacre_span rest = nacre_buffer_span(&preferences->text);
	next_line(&rest);
	while (rest.length > 0)
		if (parse_line(next_line(&rest), &server, &found) && server == preferences->name)
			client->preference = found;
}

bool
preference_remembers(const struct nacre_client *client, const struct identity *identity)
{
	return client->preferences.path != NULL && client->preference.identity != 0 &&
	       mark(client, nacre_buffer_span(&identity->blob)) == client->preference.identity;
}

uint64_t
preference_early_mark(const struct nacre_client *client)
{
	struct nacre_buffer text = {0};

	nacre_put_string_span(&text, nacre_buffer_span(&client->host_key));
	nacre_put_string_span(&text, nacre_span_of(client->early.identification));
	nacre_put_string_span(&text, nacre_span_of(client->config->user));
	const uint64_t value = text.failed ? 0 : mark(client, nacre_buffer_span(&text));
	nacre_buffer_free(&text);
	return value;
}

/* A server that did not keep to a number once is not relied on again. A login without a channel
 * tells nothing new. */
static void
observe_channel(const struct nacre_client *client, struct preference *seen)
{
	const struct preference *const old = &client->preference;

	if (client->early.identification == NULL)
		return;
	const uint64_t who = preference_early_mark(client);
	const bool same = who == old->early;
	const bool taken =
	    client->authentication.accepted != NULL && !client->authentication.partial;

	if (taken && client->early.number_known &&
	    !(same && old->channel == PREFERENCE_CHANNEL_UNSTEADY))
		seen->channel = client->early.number;
	else if (same && (taken || old->channel == PREFERENCE_CHANNEL_REFUSED))
		seen->channel = old->channel;
	else
		return;
	seen->early = who;
}

/*
 * The server's first key exchange method, if offering it first changes nothing for the worse: it
 * is what we agreed on, or it resists quantum computers like what we would have preferred.
 */
static void
observe_kex(const struct nacre_client *client, struct preference *seen)
{
	struct nacre_session_algorithms agreed;
	struct nacre_span list = nacre_session_peer_kex_algorithms(client->session);
	const struct nacre_span first = nacre_list_next(&list);
	const struct kex_method *const method = kex_find(first);

	nacre_session_algorithms(client->session, &agreed);
	if (method != NULL && (nacre_span_equals(first, agreed.kex) || method->post_quantum))
		copy_name(seen->kex, first);
}

/* The kernel measures the path itself; a proxy hides it, and the session sees answers only. */
static uint32_t
observe_round_trip(const struct nacre_client *client)
{
	const uint32_t seen = nacre_session_round_trip(client->session);
	const uint32_t measured =
	    client->proxy == 0 ? nacre_socket_round_trip(client->fd) : UINT32_MAX;

	if (measured != UINT32_MAX)
		return measured / 1000;
	return seen != UINT32_MAX ? seen : 0;
}

static void
observe(const struct nacre_client *client, const struct identity *accepted, struct preference *seen)
{
	struct nacre_span list = nacre_session_peer_host_key_algorithms(client->session);

	observe_kex(client, seen);
	copy_name(seen->host_key, nacre_list_next(&list));
	seen->round_trip = observe_round_trip(client);
	if (accepted != NULL)
		seen->identity = mark(client, nacre_buffer_span(&accepted->blob));
	observe_channel(client, seen);
}

static bool
worth_writing(const struct preference *old, const struct preference *seen)
{
	const uint32_t low =
	    old->round_trip < seen->round_trip ? old->round_trip : seen->round_trip;
	const uint32_t high =
	    old->round_trip < seen->round_trip ? seen->round_trip : old->round_trip;

	return strcmp(old->kex, seen->kex) != 0 || strcmp(old->host_key, seen->host_key) != 0 ||
	       old->identity != seen->identity || old->early != seen->early ||
	       old->channel != seen->channel || (high > 10 && high / ROUND_TRIP_FACTOR > low);
}

static const char *
or_dash(const char *name)
{
	return *name != '\0' ? name : "-";
}

static void
put_line(
    const struct nacre_client *client, const struct preference *seen, struct nacre_buffer *text)
{
	nacre_put_format(text, "%016llx %s %s %x %016llx",
	    (unsigned long long)client->preferences.name, or_dash(seen->kex),
	    or_dash(seen->host_key), seen->round_trip, (unsigned long long)seen->identity);
	if (seen->early != 0)
		nacre_put_format(
		    text, " %08x%016llx", seen->channel, (unsigned long long)seen->early);
	nacre_put_byte(text, '\n');
}

/* The whole new file: header, the other servers' lines as far as they fit, ours. */
static void
compose(const struct nacre_client *client, const struct preference *seen, struct nacre_buffer *text)
{
	struct nacre_span rest = nacre_buffer_span(&client->preferences.text);
	char salt[2 * PREFERENCE_SALT_LENGTH + 1];
	struct preference other;
	uint64_t server;

	sodium_bin2hex(salt, sizeof salt, client->preferences.salt, PREFERENCE_SALT_LENGTH);
	nacre_put_format(text, "%s%s\n", HEADER, salt);
	next_line(&rest);
	while (rest.length > 0) {
		const bool fits = rest.length + 2 * (size_t)LINE_LIMIT < FILE_MAX;
		const struct nacre_span line = next_line(&rest);

		if (!fits || !parse_line(line, &server, &other) ||
		    server == client->preferences.name)
			continue;
		nacre_put_span(text, line);
		nacre_put_byte(text, '\n');
	}
	put_line(client, seen, text);
}

static bool
write_file(const char *path, struct nacre_span text)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return false;
	const bool good = nacre_write_all(fd, text) == 0;
	close(fd);
	return good;
}

static void
store(const struct nacre_client *client, const struct preference *seen)
{
	struct nacre_buffer text = {0};
	char *temporary = NULL;

	if (!worth_writing(&client->preference, seen) ||
	    asprintf(&temporary, "%s.%ld", client->preferences.path, (long)getpid()) < 0)
		return;
	compose(client, seen, &text);
	/* Nothing is said when it fails: it is a convenience, and ~/.ssh need not exist. */
	if (!text.failed && write_file(temporary, nacre_buffer_span(&text)))
		rename(temporary, client->preferences.path);
	else if (errno != EEXIST)
		unlink(temporary);
	nacre_buffer_free(&text);
	free(temporary);
}

void
preference_store(struct nacre_client *client, const struct identity *accepted)
{
	struct preference seen = {0};

	if (client->preferences.path == NULL)
		return;
	observe(client, accepted, &seen);
	store(client, &seen);
}

void
preference_forget_early(struct nacre_client *client, bool unsteady)
{
	struct preference less = client->preference;

	less.early = preference_early_mark(client);
	less.channel = unsteady ? PREFERENCE_CHANNEL_UNSTEADY : PREFERENCE_CHANNEL_REFUSED;
	store(client, &less);
	client->preference = less;
}

void
preference_free(struct nacre_client *client)
{
	nacre_buffer_free(&client->preferences.text);
	free(client->preferences.path);
	client->preferences.path = NULL;
}
