/* ssh-add -h: destinations of keys, with the host keys that known_hosts files have for them. */
#include <ssh/add.h>

#include <nacre/known_hosts.h>
#include <nacre/log.h>

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYSTEM_FILE NACRE_SYSCONFDIR "/ssh_known_hosts"

static void
file_load(struct nacre_known_hosts *known, const char *path, const char *name)
{
	if (nacre_known_hosts_load(known, path, name, NULL) != 0 && errno != ENOENT)
		nacre_log(NACRE_LOG_ERROR, "%s: %s", path, strerror(errno));
}

static void
default_files_load(struct nacre_known_hosts *known, const char *name)
{
	static const char *const files[] = {"known_hosts", "known_hosts2"};
	const struct passwd *entry = getpwuid(getuid());
	const char *home = getenv("HOME");
	char path[4096];

	if (home == NULL || home[0] == '\0')
		home = entry != NULL ? entry->pw_dir : "/";
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(path, sizeof path, "%s/.ssh/%s", home, files[i]);
		file_load(known, path, name);
	}
	file_load(known, SYSTEM_FILE, name);
	file_load(known, SYSTEM_FILE "2", name);
}

/* Appends the keys of a host; how many. */
static size_t
host_keys_put(const struct add_options *options, const char *name, struct nacre_buffer *text)
{
	struct nacre_known_hosts *known;
	struct nacre_buffer blob = {0};
	size_t count = 0;

	if (nacre_known_hosts_new(&known) != 0)
		nacre_fatal("out of memory");
	for (size_t i = 0; i < options->host_file_count; i++)
		file_load(known, options->host_files[i], name);
	if (options->host_file_count == 0)
		default_files_load(known, name);
	for (size_t i = 0; i < known->count; i++) {
		const struct nacre_known_host *host = &known->hosts[i];

		if (host->key == NULL || host->marker == NACRE_KNOWN_HOST_REVOKED)
			continue;
		nacre_buffer_clear(&blob);
		nacre_key_put_blob(host->key, true, &blob);
		nacre_put_string_span(text, nacre_buffer_span(&blob));
		nacre_put_boolean(text, host->marker == NACRE_KNOWN_HOST_AUTHORITY);
		count++;
	}
	nacre_buffer_free(&blob);
	nacre_known_hosts_free(known);
	return count;
}

/* "[user@]host"; NULL: the host that the agent is on. */
static void
end_put(const struct add_options *options, char *text, bool from, struct nacre_buffer *content)
{
	char *at = text != NULL ? strrchr(text, '@') : NULL;
	char *host = at != NULL ? at + 1 : text;
	size_t mark = nacre_put_string_begin(content);

	if (text != NULL && host[0] == '\0')
		nacre_fatal("Invalid key destination constraint \"%s\": does not specify user or "
			    "host",
		    text);
	if (from && at != NULL)
		nacre_fatal("Invalid key constraint %s: cannot specify user on 'from' host", text);
	if (at != NULL)
		*at = '\0';
	nacre_put_cstring(content, at != NULL ? text : "");
	nacre_put_cstring(content, host != NULL ? host : "");
	nacre_put_cstring(content, "");
	if (host != NULL && host_keys_put(options, host, content) == 0)
		nacre_fatal("No host keys found for destination \"%s\"", host);
	nacre_put_string_end(content, mark);
}

/* "to", or "from>to". */
static void
destination_put(
    const struct add_options *options, const char *specification, struct nacre_buffer *content)
{
	char *text = strdup(specification), *arrow = text != NULL ? strchr(text, '>') : NULL;
	size_t mark = nacre_put_string_begin(content);

	if (text == NULL)
		nacre_fatal("out of memory");
	if (arrow != NULL)
		*arrow++ = '\0';
	end_put(options, arrow != NULL ? text : NULL, true, content);
	end_put(options, arrow != NULL ? arrow : text, false, content);
	nacre_put_cstring(content, "");
	nacre_put_string_end(content, mark);
	free(text);
}

void
destinations_prepare(struct add_options *options)
{
	for (size_t i = 0; i < options->destination_count; i++)
		destination_put(options, options->destinations[i], &options->destination_text);
	if (options->destination_text.failed)
		nacre_fatal("out of memory");
	options->constraints.destinations = nacre_buffer_span(&options->destination_text);
}
