/* What an operand names: [user@]host:path, scp://[user@]host[:port]/path, or a local path. */
#include <scp/scp.h>

#include <nacre/ssh_config.h>

#include <stdlib.h>
#include <string.h>

/* The colon that ends a host: none when a slash comes first, when it is the first character, or in
 * brackets. */
static const char *
host_colon(const char *text)
{
	bool bracket = text[0] == '[';

	if (text[0] == ':')
		return NULL;
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '@' && p[1] == '[')
			bracket = true;
		if (*p == ']' && p[1] == ':' && bracket)
			return p + 1;
		if (*p == ':' && !bracket)
			return p;
		if (*p == '/')
			return NULL;
	}
	return NULL;
}

static void
parse_uri(struct location *location, const char *text)
{
	if (nacre_parse_destination(text, "scp", &location->user, &location->host, &location->port,
		&location->path) != 0)
		die("%s: invalid uri", text);
	if (location->path == NULL || location->path[0] == '\0') {
		free(location->path);
		location->path = strdup(".");
	}
	if (location->host == NULL || location->path == NULL)
		die("%s: invalid uri", text);
	location->remote = true;
}

void
location_parse(struct location *location, const char *text)
{
	const char *colon = host_colon(text), *at, *host = text;
	size_t length;

	*location = (struct location){.port = -1};
	if (strncmp(text, "scp://", 6) == 0) {
		parse_uri(location, text);
		return;
	}
	if (colon == NULL) {
		location->path = strdup(text);
		return;
	}
	location->remote = true;
	at = memrchr(text, '@', (size_t)(colon - text));
	if (at != NULL) {
		location->user = strndup(text, (size_t)(at - text));
		host = at + 1;
	}
	length = (size_t)(colon - host);
	if (length > 1 && host[0] == '[' && host[length - 1] == ']') {
		host++;
		length -= 2;
	}
	location->host = strndup(host, length);
	location->path = strdup(colon[1] != '\0' ? colon + 1 : ".");
	if (location->host == NULL || location->host[0] == '\0')
		die("%s: no host name", text);
}

void
location_check(const struct location *location)
{
	if (location->user != NULL && !nacre_user_name_is_safe(location->user))
		die("%s: invalid user name", location->user);
	if (location->host != NULL && !nacre_host_name_is_safe(location->host))
		die("%s: invalid host name", location->host);
}

void
location_free(struct location *location)
{
	free(location->user);
	free(location->host);
	free(location->path);
}

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool
location_same_host(const struct location *a, const struct location *b)
{
	return a->remote == b->remote && same_text(a->user, b->user) &&
	       same_text(a->host, b->host) && a->port == b->port;
}
