/* Destinations as users type them: "[user@]host" and "ssh://[user@]host[:port]". */
#include <nacre/config.h>

#include <stdlib.h>
#include <string.h>

struct destination {
	char *user, *host, *path;
	int port;
};

static void
destination_free(struct destination *destination)
{
	free(destination->user);
	free(destination->host);
	free(destination->path);
}

static int
hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit |= 0x20;
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* "%41" to "A", in place; false for bad escapes and for NUL. */
static bool
percent_decode(char *text)
{
	char *out = text;

	for (; *text != '\0'; text++) {
		int high, low;

		if (*text != '%') {
			*out++ = *text;
			continue;
		}
		if ((high = hex_value(text[1])) < 0 || (low = hex_value(text[2])) < 0 ||
		    high + low == 0)
			return false;
		*out++ = (char)(high << 4 | low);
		text += 2;
	}
	*out = '\0';
	return true;
}

/* "host", "[host]", "host:port" or "[host]:port", in place. */
static bool
host_port_split(char *text, bool colons_are_port, char **host, int *port)
{
	char *colon = NULL;

	*host = text;
	if (text[0] == '[') {
		char *end = strchr(text, ']');

		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return false;
		*host = text + 1;
		*end = '\0';
		colon = end[1] == ':' ? end + 1 : NULL;
	} else if (colons_are_port) {
		colon = strchr(text, ':');
		if (colon != NULL && strchr(colon + 1, ':') != NULL)
			colon = NULL; /* a bare IPv6 address */
	}
	if (colon != NULL) {
		*colon = '\0';
		if (nacre_parse_port(colon + 1, port) != 0 || *port == 0)
			return false;
	}
	return **host != '\0';
}

static bool
destination_take(char *text, bool uri, bool with_port, struct destination *out)
{
	char *at = strrchr(text, '@'), *host;

	if (at != NULL) {
		*at = '\0';
		if (uri && strchr(text, ';') != NULL)
			*strchr(text, ';') = '\0';
		if (at == text || (uri && !percent_decode(text)))
			return false;
		out->user = strdup(text);
		text = at + 1;
	}
	if (!host_port_split(text, with_port, &host, &out->port))
		return false;
	out->host = strdup(host);
	return out->host != NULL && (at == NULL || out->user != NULL);
}

static bool
destination_parse(char *text, const char *scheme, struct destination *out)
{
	size_t length = strlen(scheme);
	bool uri = strncmp(text, scheme, length) == 0 && strncmp(text + length, "://", 3) == 0;
	char *slash;

	if (!uri)
		return destination_take(text, false, true, out);
	text += length + 3;
	slash = strchr(text, '/');
	if (slash != NULL) {
		*slash = '\0';
		out->path = strdup(slash + 1);
		if (out->path == NULL || !percent_decode(out->path))
			return false;
	}
	return destination_take(text, true, true, out);
}

int
nacre_parse_destination(
    const char *text, const char *scheme, char **user, char **host, int *port, char **path)
{
	struct destination out = {.port = -1};
	char *copy = strdup(text);
	bool good = copy != NULL && destination_parse(copy, scheme, &out);

	free(copy);
	*user = *host = NULL;
	if (path != NULL)
		*path = NULL;
	if (!good) {
		destination_free(&out);
		return NACRE_ERROR_FORMAT;
	}
	*user = out.user;
	*host = out.host;
	*port = out.port;
	if (path != NULL)
		*path = out.path;
	else
		free(out.path);
	return 0;
}

static bool
has_control_character(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

bool
nacre_user_name_is_safe(const char *user)
{
	const size_t length = strlen(user);

	/* What begins with a dash, also as a word of its own, is an option to somebody. */
	for (const char *dash = user; (dash = strchr(dash, '-')) != NULL; dash++)
		if (dash == user || dash[-1] == ' ')
			return false;
	return strpbrk(user, "'`\";&<>|(){}") == NULL && !has_control_character(user) &&
	       (length == 0 || user[length - 1] != '\\');
}

bool
nacre_host_name_is_safe(const char *host)
{
	return *host != '-' && strpbrk(host, "'`\"$\\;&<>|(){}, ") == NULL &&
	       !has_control_character(host);
}
