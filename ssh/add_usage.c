/* ssh-add -l -v: what each key was last used for, which our agent tells. */
#include <ssh/add.h>

#include <nacre/file.h>
#include <nacre/log.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KNOWN_HOSTS_MAX ((size_t)16 * 1024 * 1024)

void
usage_load(struct add_options *options)
{
	int error = nacre_agent_extension(
	    options->agent, NACRE_AGENT_KEY_USAGE, (struct nacre_span){NULL, 0}, &options->usage);

	options->usage_known = error == 0;
	if (error != 0)
		nacre_log(NACRE_LOG_DEBUG1, "the agent does not tell what keys were used for: %s",
		    agent_error(error));
}

struct use {
	struct nacre_span blob, user, host, host_key, process;
	uint64_t time;
	uint32_t count, pid;
};

static bool
use_find(const struct add_options *options, struct nacre_span blob, struct use *use)
{
	struct nacre_reader reader = nacre_reader_of(nacre_buffer_span(&options->usage));

	while (reader.length > 0 && !reader.failed) {
		use->blob = nacre_get_string(&reader);
		use->time = nacre_get_u64(&reader);
		use->count = nacre_get_u32(&reader);
		use->user = nacre_get_string(&reader);
		use->host = nacre_get_string(&reader);
		use->host_key = nacre_get_string(&reader);
		use->process = nacre_get_string(&reader);
		use->pid = nacre_get_u32(&reader);
		if (!reader.failed && nacre_span_equal(use->blob, blob))
			return true;
	}
	return false;
}

/* The names on the line of known_hosts that has this key, if they can be read. */
static bool
known_name(struct nacre_span key, struct nacre_buffer *name)
{
	struct nacre_buffer path = {0}, file = {0}, wanted = {0};
	const char *home = getenv("HOME");
	struct nacre_span text, line;
	bool found = false;

	nacre_put_base64(&wanted, key);
	nacre_put_format(&path, "%s/.ssh/known_hosts", home != NULL ? home : "");
	nacre_put_byte(&path, '\0');
	if (nacre_file_read((const char *)nacre_buffer_span(&path).data, KNOWN_HOSTS_MAX, &file) ==
	    0) {
		text = nacre_buffer_span(&file);
		while (!found && nacre_line_next(&text, &line)) {
			const uint8_t *space =
			    line.length > 0 ? memchr(line.data, ' ', line.length) : NULL;

			if (space == NULL || line.data[0] == '|' || line.data[0] == '@' ||
			    memmem(line.data, line.length, nacre_buffer_span(&wanted).data,
				nacre_buffer_length(&wanted)) == NULL)
				continue;
			nacre_put_bytes(name, line.data, (size_t)(space - line.data));
			found = true;
		}
	}
	nacre_buffer_free(&path);
	nacre_buffer_free(&file);
	nacre_buffer_free(&wanted);
	return found;
}

/* Texts of others, on a terminal. */
static void
put_clean(struct nacre_buffer *text, struct nacre_span foreign)
{
	for (size_t i = 0; i < foreign.length; i++) {
		const uint8_t c = foreign.data[i];

		if (c < ' ' || c == 0x7f)
			nacre_put_format(text, "\\%03o", c);
		else
			nacre_put_byte(text, c);
	}
}

static void
put_host(const struct add_options *options, const struct use *use, struct nacre_buffer *text)
{
	struct nacre_buffer name = {0};
	struct nacre_key *key;

	if (use->host.length > 0)
		nacre_put_span(&name, use->host);
	else
		known_name(use->host_key, &name);
	if (nacre_buffer_length(&name) > 0)
		put_clean(text, nacre_buffer_span(&name));
	if (nacre_key_from_blob(use->host_key, &key) == 0) {
		nacre_put_format(text, "%s", nacre_buffer_length(&name) > 0 ? " (" : "host key ");
		nacre_key_fingerprint(key, options->fingerprint_hash, text);
		nacre_put_format(text, "%s", nacre_buffer_length(&name) > 0 ? ")" : "");
		nacre_key_free(key);
	}
	nacre_buffer_free(&name);
}

static void
put_time(uint64_t seconds, struct nacre_buffer *text)
{
	const time_t time = (time_t)seconds;
	struct tm parts;
	char words[64];

	localtime_r(&time, &parts);
	strftime(words, sizeof words, "%Y-%m-%d %H:%M:%S", &parts);
	nacre_put_format(text, "%s", words);
}

void
usage_put(const struct add_options *options, struct nacre_span blob, struct nacre_buffer *text)
{
	struct use use;

	if (!options->usage_known)
		return;
	if (!use_find(options, blob, &use)) {
		nacre_put_format(text, "\tnever used\n");
		return;
	}
	nacre_put_format(text, "\tlast used ");
	put_time(use.time, text);
	if (use.user.length > 0) {
		nacre_put_format(text, " to log in as ");
		put_clean(text, use.user);
	}
	if (use.host.length > 0 || use.host_key.length > 0) {
		nacre_put_format(text, " at ");
		put_host(options, &use, text);
	}
	if (use.process.length > 0) {
		nacre_put_format(text, " by ");
		put_clean(text, use.process);
		nacre_put_format(text, " (process %u)", use.pid);
	}
	nacre_put_format(text, ", %u time%s\n", use.count, use.count == 1 ? "" : "s");
}
