/* The words of PermitOpen, PermitListen, PermitRemoteOpen and the options of keys like them: what fits. */
#include <nacre/config.h>
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
bool
nacre_permit_open_fits(const char *word, const char *host, unsigned port)
{
	struct place place = place_of(word);

	return port_fits(place.port, port) &&
	       (nacre_span_equals(place.host, "*") || nacre_span_equals(place.host, host));
}

bool
nacre_permit_listen_fits(const char *word, const char *host, unsigned port)
{
	struct place place = place_of(word);

	return port_fits(place.port, port) &&
	       (place.host.length == 0 ||
		   nacre_pattern_match_host(nacre_span_of(host), place.host));
}

/* A list that names hosts and ports names no path, unless it leaves both open. */
bool
nacre_permit_path_fits(const char *word, const char *path, unsigned port)
{
	struct place place = place_of(word);

	(void)port;
	return strcmp(place.port, "*") == 0 &&
	       (nacre_span_equals(place.host, "*") || nacre_span_equals(place.host, path));
}
