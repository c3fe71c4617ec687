/* Forwardings: "[bind_address:]port:host:hostport", sockets' paths, and what -G prints of them. */
#include "keyword.h"

#include <stdlib.h>
#include <string.h>

#define FORWARD_FIELDS_MAX ((size_t)4)

struct fields {
	char *copy;
	char *field[FORWARD_FIELDS_MAX];
	bool path[FORWARD_FIELDS_MAX];
	size_t count;
};

/* Cuts at ':' outside of brackets, in place; "\:" stands for a colon. Brackets around a host go. */
static char *
field_cut(char *text, bool *path)
{
	char *in = text, *out = text;
	bool bracketed = text[0] == '[';

	*path = strchr(text, '/') != NULL && strchr(text, '/') < text + strcspn(text, ":");
	if (bracketed) {
		char *end = strchr(text, ']');

		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return NULL;
		memmove(text, text + 1, (size_t)(end - text - 1));
		end[-1] = '\0';
		*path = strchr(text, '/') != NULL;
		return end + 1;
	}
	for (; *in != '\0' && *in != ':'; in++) {
		if (in[0] == '\\' && in[1] == ':')
			in++;
		*out++ = *in;
	}
	if (out != in && *in == ':') {
		*out = '\0';
		return in;
	}
	if (out != in)
		*out = '\0';
	return in;
}

static bool
fields_split(struct fields *fields, const char *text)
{
	char *at;

	*fields = (struct fields){.copy = strdup(text)};
	for (at = fields->copy; at != NULL;) {
		char *end, last;

		if (fields->count == FORWARD_FIELDS_MAX)
			return false;
		fields->field[fields->count] = at;
		end = field_cut(at, &fields->path[fields->count]);
		if (end == NULL)
			return false;
		fields->count++;
		last = *end;
		*end = '\0';
		if (last == '\0')
			return true;
		at = end + 1;
	}
	return false;
}

/* Takes "[host:]port" or a path; "host" says whether a host stands before the port. */
static bool
endpoint_take(struct fields *fields, size_t *at, bool host, int least, struct nacre_endpoint *end)
{
	size_t need = host ? 2 : 1;

	if (*at + need > fields->count)
		return false;
	if (fields->path[*at]) {
		end->path = strdup(fields->field[(*at)++]);
		end->port = -1;
		return end->path != NULL && !host;
	}
	if (host) {
		end->host = strdup(fields->field[(*at)++]);
		if (end->host == NULL)
			return false;
	}
	return nacre_parse_port(fields->field[(*at)++], &end->port) == 0 && end->port >= least;
}

/* How many fields the target has: one for a path, two for host and port, none for a proxy. */
static bool
forward_take(struct fields *fields, bool dynamic, bool remote, struct nacre_forward *forward)
{
	size_t last = fields->count - 1;
	bool target_path = fields->count > 1 && fields->path[last];
	size_t target = target_path ? 1 : 2, listen, at = 0;

	forward->dynamic = dynamic || (remote && !target_path && fields->count <= 2);
	if (forward->dynamic)
		target = 0;
	if (fields->count <= target)
		return false;
	listen = fields->count - target;
	if (listen > 2 ||
	    !endpoint_take(fields, &at, listen == 2, remote ? 0 : 1, &forward->listen))
		return false;
	if (forward->dynamic)
		return at == fields->count && (remote || forward->listen.path == NULL);
	if (!endpoint_take(fields, &at, !target_path, 1, &forward->connect))
		return false;
	return at == fields->count &&
	       (forward->connect.host == NULL || forward->connect.host[0] != '\0');
}

int
nacre_forward_parse(const char *text, bool dynamic, bool remote, struct nacre_forward *forward)
{
	struct fields fields;
	bool good;

	*forward = (struct nacre_forward){0};
	good = fields_split(&fields, text) && forward_take(&fields, dynamic, remote, forward);
	free(fields.copy);
	if (good)
		return 0;
	nacre_forward_free(forward);
	return NACRE_ERROR_FORMAT;
}

void
nacre_forward_free(struct nacre_forward *forward)
{
	free(forward->listen.host);
	free(forward->listen.path);
	free(forward->connect.host);
	free(forward->connect.path);
	*forward = (struct nacre_forward){0};
}

static struct nacre_endpoint
endpoint_copy(struct arena *arena, const struct nacre_endpoint *from)
{
	struct nacre_endpoint copy = {.port = from->port};

	if (from->host != NULL)
		copy.host = arena_string(arena, from->host);
	if (from->path != NULL)
		copy.path = arena_string(arena, from->path);
	return copy;
}

int
forward_read(struct arena *arena, const char *listen, const char *target, bool dynamic, bool remote,
    struct nacre_forward *forward)
{
	struct nacre_buffer text = {0};
	struct nacre_forward parsed;
	char *joined;
	int error = NACRE_ERROR_MEMORY;

	nacre_put_format(&text, target != NULL ? "%s:%s" : "%s", listen, target);
	joined = nacre_span_to_string(nacre_buffer_span(&text));
	nacre_buffer_free(&text);
	if (joined != NULL)
		error = nacre_forward_parse(joined, dynamic, remote, &parsed);
	free(joined);
	if (error != 0)
		return error;
	forward->listen = endpoint_copy(arena, &parsed.listen);
	forward->connect = endpoint_copy(arena, &parsed.connect);
	forward->dynamic = parsed.dynamic;
	nacre_forward_free(&parsed);
	return 0;
}

static void
endpoint_print(const struct nacre_endpoint *end, struct nacre_buffer *text)
{
	if (end->path != NULL)
		nacre_put_format(text, " %s", end->path);
	else if (end->host == NULL)
		nacre_put_format(text, " %d", end->port);
	else
		nacre_put_format(text, " [%s]:%d", end->host, end->port);
}

void
forward_print(const char *name, const struct nacre_forward *forward, struct nacre_buffer *text)
{
	nacre_put_format(text, "%s", name);
	endpoint_print(&forward->listen, text);
	if (!forward->dynamic)
		endpoint_print(&forward->connect, text);
	else if (strcmp(name, "remoteforward") == 0)
		nacre_put_format(text, " [socks]:0");
	nacre_put_byte(text, '\n');
}
