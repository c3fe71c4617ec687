/* What the configuration and the options of the key let a client forward: AllowTcpForwarding,
 * AllowStreamLocalForwarding, PermitOpen, PermitListen, permitopen= and permitlisten=. */
#include "user_session.h"

#include <nacre/pattern.h>

#include <stdio.h>
#include <string.h>

/* "host:port", "[host]:port", or "port" alone, of a list of what is permitted. */
struct place {
	struct nacre_span host; /* empty: any */
	const char *port;
};

static struct place
place_of(const char *word)
{
	const char *colon = strrchr(word, ':');
	struct place place = {.port = word};

	if (colon == NULL)
		return place;
	place.port = colon + 1;
	place.host = (struct nacre_span){(const uint8_t *)word, (size_t)(colon - word)};
	if (place.host.length >= 2 && word[0] == '[' && colon[-1] == ']') {
		place.host.data++;
		place.host.length -= 2;
	}
	return place;
}

static bool
port_fits(const char *written, unsigned port)
{
	char number[16];

	snprintf(number, sizeof number, "%u", port);
	return strcmp(written, "*") == 0 || strcmp(written, number) == 0;
}

/* Names are compared as they are written, nothing is looked up. */
static bool
open_fits(const char *word, const char *host, unsigned port)
{
	struct place place = place_of(word);

	return port_fits(place.port, port) &&
	       (nacre_span_equals(place.host, "*") || nacre_span_equals(place.host, host));
}

static bool
listen_fits(const char *word, const char *host, unsigned port)
{
	struct place place = place_of(word);

	return port_fits(place.port, port) &&
	       (place.host.length == 0 ||
		   nacre_pattern_match_host(nacre_span_of(host), place.host));
}

static bool
list_permits(char *const *words, size_t count, bool (*fits)(const char *, const char *, unsigned),
    const char *host, unsigned port)
{
	for (size_t i = 0; i < count; i++)
		if (fits(words[i], host, port))
			return true;
	return count == 0;
}

/* AllowTcpForwarding and the options of the key: whether a direction is open at all. */
static bool
direction_open(const struct user_session *user, enum nacre_allow_forwarding direction)
{
	return user->permit_forwarding &&
	       (user->config->allow_tcp_forwarding & (int)direction) != 0;
}

static bool
lists_permit_open(const struct user_session *user,
    bool (*fits)(const char *, const char *, unsigned), const char *host, unsigned port)
{
	const struct nacre_words *words = &user->config->permit_open;
	const struct nacre_key_options *options = &user->login->authentication.options;

	return list_permits(words->words, words->count, fits, host, port) &&
	       list_permits(options->permit_open, options->permit_open_count, fits, host, port);
}

bool
forward_permits_open(const struct user_session *user, const char *host, unsigned port)
{
	return direction_open(user, NACRE_FORWARD_LOCAL) &&
	       lists_permit_open(user, open_fits, host, port);
}

bool
forward_permits_listen(const struct user_session *user, const char *host, unsigned port)
{
	const struct nacre_words *words = &user->config->permit_listen;
	const struct nacre_key_options *options = &user->login->authentication.options;

	return direction_open(user, NACRE_FORWARD_REMOTE) &&
	       list_permits(words->words, words->count, listen_fits, host, port) &&
	       list_permits(
		   options->permit_listen, options->permit_listen_count, listen_fits, host, port);
}

/* A list that names hosts and ports names no path, unless it leaves both open. */
static bool
path_fits(const char *word, const char *path, unsigned port)
{
	struct place place = place_of(word);

	(void)port;
	return strcmp(place.port, "*") == 0 &&
	       (nacre_span_equals(place.host, "*") || nacre_span_equals(place.host, path));
}

bool
forward_permits_open_path(const struct user_session *user, const char *path)
{
	return direction_open(user, NACRE_FORWARD_LOCAL) &&
	       (user->config->allow_stream_local_forwarding & NACRE_FORWARD_LOCAL) != 0 &&
	       lists_permit_open(user, path_fits, path, 0);
}

bool
forward_permits_listen_path(const struct user_session *user)
{
	return direction_open(user, NACRE_FORWARD_REMOTE) &&
	       (user->config->allow_stream_local_forwarding & NACRE_FORWARD_REMOTE) != 0;
}
