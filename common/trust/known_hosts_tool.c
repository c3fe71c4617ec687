/* Upkeep of known_hosts files for ssh-keygen: -F finds, -R removes, -H hashes. */
#include "file.h"
#include "host_name.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A job under way. */
struct upkeep {
	const struct nacre_known_hosts_job *job;
	struct nacre_buffer *out, *messages;
	struct nacre_buffer name; /* lower case */
	struct nacre_buffer text; /* the new content */
	unsigned number;
	bool found, invalid, had_plain;
};

typedef void upkeep_line(
    struct upkeep *upkeep, const struct known_line *line, struct nacre_span text);

static void
keep_line(struct upkeep *upkeep, struct nacre_span text)
{
	nacre_put_span(&upkeep->text, text);
	nacre_put_byte(&upkeep->text, '\n');
}

static bool
line_valid(const struct known_line *line)
{
	struct nacre_key *key = NULL;
	int error = nacre_key_from_line(line->key, &key, NULL);

	nacre_key_free(key);
	return error == 0 || error == NACRE_ERROR_UNSUPPORTED;
}

static int
upkeep_run(struct upkeep *upkeep, upkeep_line *each)
{
	struct nacre_buffer old = {0};
	struct nacre_span rest, text;
	int error = nacre_file_read(upkeep->job->file, TRUST_FILE_MAX, &old);

	if (error == NACRE_ERROR_SYSTEM)
		nacre_put_format(
		    upkeep->messages, "Cannot stat %s: %s\n", upkeep->job->file, strerror(errno));
	if (upkeep->job->name != NULL)
		host_name_put_lower(nacre_span_of(upkeep->job->name), &upkeep->name);
	rest = nacre_buffer_span(&old);
	while (error == 0 && nacre_line_next(&rest, &text)) {
		struct known_line line;
		enum known_line_kind kind = known_line_parse(text, &line);

		upkeep->number++;
		if (kind == KNOWN_LINE_BLANK) {
			keep_line(upkeep, text);
		} else if (kind == KNOWN_LINE_INVALID || !line_valid(&line)) {
			nacre_put_format(upkeep->messages, "%s:%u: invalid line\n",
			    upkeep->job->file, upkeep->number);
			upkeep->invalid = true;
		} else {
			each(upkeep, &line, text);
		}
	}
	nacre_buffer_free(&old);
	if (upkeep->text.failed || upkeep->out->failed || upkeep->messages->failed)
		error = NACRE_ERROR_MEMORY;
	return error;
}

static void
upkeep_free(struct upkeep *upkeep)
{
	nacre_buffer_free(&upkeep->name);
	nacre_buffer_free(&upkeep->text);
}

/* The new text takes the file's place, unless the old one was damaged. */
static int
upkeep_write(struct upkeep *upkeep)
{
	const char *file = upkeep->job->file;
	int error;

	if (upkeep->invalid) {
		nacre_put_format(upkeep->messages,
		    "%s is not a valid known_hosts file.\n"
		    "Not replacing existing known_hosts file because of errors\n",
		    file);
		return NACRE_ERROR_FORMAT;
	}
	error = trust_rewrite_file(file, nacre_buffer_span(&upkeep->text), true);
	if (error != 0) {
		nacre_put_format(
		    upkeep->messages, "Cannot replace %s: %s\n", file, strerror(errno));
		return error;
	}
	nacre_put_format(
	    upkeep->out, "%s updated.\nOriginal contents retained as %s.old\n", file, file);
	return 0;
}

static void
put_found_fingerprint(struct upkeep *upkeep, const struct known_line *line)
{
	const struct nacre_known_hosts_job *job = upkeep->job;
	struct nacre_span comment;
	struct nacre_key *key;

	if (nacre_key_from_line(line->key, &key, &comment) != 0)
		return;
	nacre_put_format(upkeep->out, "%s %s ", job->name, nacre_key_type_label(key));
	nacre_key_fingerprint(key, job->fingerprint_hash, upkeep->out);
	nacre_put_format(upkeep->out, "%s%.*s\n", comment.length > 0 ? " " : "",
	    (int)comment.length, (const char *)comment.data);
	if (job->randomart) {
		nacre_key_randomart(key, job->fingerprint_hash, upkeep->out);
		nacre_put_byte(upkeep->out, '\n');
	}
	nacre_key_free(key);
}

/* Each name on a line of its own, hashed. Patterns cannot be hashed: the line stays. */
static void
put_hashed(struct nacre_span names, struct nacre_span key, struct nacre_buffer *text)
{
	while (names.length > 0) {
		host_name_put_hashed(nacre_list_next(&names), text);
		nacre_put_byte(text, ' ');
		nacre_put_span(text, key);
		nacre_put_byte(text, '\n');
	}
}

static bool
has_wildcard(struct nacre_span names)
{
	for (size_t i = 0; i < names.length; i++)
		if (strchr("*?!", names.data[i]) != NULL)
			return true;
	return false;
}

static void
find_line(struct upkeep *upkeep, const struct known_line *line, struct nacre_span text)
{
	static const char *const notes[] = {"", "CA", "REVOKED"};
	bool whole = line->marker != NACRE_KNOWN_HOST_PLAIN || line->hashed;

	if (!known_line_matches(line, nacre_buffer_span(&upkeep->name)))
		return;
	upkeep->found = true;
	if (!upkeep->job->quiet)
		nacre_put_format(upkeep->out, "# Host %s found: line %u %s\n", upkeep->job->name,
		    upkeep->number, notes[line->marker]);
	if (upkeep->job->fingerprints) {
		put_found_fingerprint(upkeep, line);
	} else if (upkeep->job->hash && !whole && !has_wildcard(line->names)) {
		put_hashed(line->names, line->key, upkeep->out);
	} else {
		nacre_put_span(upkeep->out, text_trim(text));
		nacre_put_byte(upkeep->out, '\n');
	}
}

int
nacre_known_hosts_find(const struct nacre_known_hosts_job *job, struct nacre_buffer *out,
    struct nacre_buffer *messages)
{
	struct upkeep upkeep = {.job = job, .out = out, .messages = messages};
	int error = upkeep_run(&upkeep, find_line);

	if (error == 0 && !upkeep.found)
		error = NACRE_ERROR_NOT_FOUND;
	upkeep_free(&upkeep);
	return error;
}

static void
remove_line(struct upkeep *upkeep, const struct known_line *line, struct nacre_span text)
{
	if (line->marker != NACRE_KNOWN_HOST_PLAIN ||
	    !known_line_matches(line, nacre_buffer_span(&upkeep->name))) {
		keep_line(upkeep, text);
		return;
	}
	upkeep->found = true;
	if (!upkeep->job->quiet)
		nacre_put_format(
		    upkeep->out, "# Host %s found: line %u\n", upkeep->job->name, upkeep->number);
}

int
nacre_known_hosts_remove(const struct nacre_known_hosts_job *job, struct nacre_buffer *out,
    struct nacre_buffer *messages)
{
	struct upkeep upkeep = {.job = job, .out = out, .messages = messages};
	int error = upkeep_run(&upkeep, remove_line);

	if (error == 0 && !upkeep.found && !upkeep.invalid)
		nacre_put_format(messages, "Host %s not found in %s\n", job->name, job->file);
	else if (error == 0)
		error = upkeep_write(&upkeep);
	upkeep_free(&upkeep);
	return error;
}

static void
hash_line(struct upkeep *upkeep, const struct known_line *line, struct nacre_span text)
{
	if (line->hashed ||
	    (line->marker != NACRE_KNOWN_HOST_PLAIN && !has_wildcard(line->names))) {
		keep_line(upkeep, text);
		return;
	}
	if (has_wildcard(line->names)) {
		nacre_put_format(upkeep->messages,
		    "%s:%u: ignoring host name with wildcard: %.*s\n", upkeep->job->file,
		    upkeep->number, (int)line->names.length, (const char *)line->names.data);
		keep_line(upkeep, text);
		return;
	}
	upkeep->had_plain = true;
	put_hashed(line->names, line->key, &upkeep->text);
}

int
nacre_known_hosts_hash(const struct nacre_known_hosts_job *job, struct nacre_buffer *out,
    struct nacre_buffer *messages)
{
	struct upkeep upkeep = {.job = job, .out = out, .messages = messages};
	int error = upkeep_run(&upkeep, hash_line);

	if (error == 0)
		error = upkeep_write(&upkeep);
	if (error == 0 && upkeep.had_plain)
		nacre_put_format(messages,
		    "WARNING: %s.old contains unhashed entries\n"
		    "Delete this file to ensure privacy of hostnames\n",
		    job->file);
	upkeep_free(&upkeep);
	return error;
}

void
nacre_known_hosts_put_names(const char *file, const struct nacre_key *key, size_t most,
    size_t *count, struct nacre_buffer *text)
{
	struct nacre_buffer content = {0}, wanted = {0};
	struct nacre_span rest, line;

	if (nacre_key_put_line(key, NULL, &wanted) != 0 ||
	    nacre_file_read(file, TRUST_FILE_MAX, &content) != 0)
		nacre_buffer_clear(&content);
	rest = nacre_buffer_span(&content);
	for (unsigned number = 1; nacre_line_next(&rest, &line); number++) {
		const struct nacre_span key_text = nacre_buffer_span(&wanted);
		struct known_line known;

		if (known_line_parse(line, &known) != KNOWN_LINE_HOST ||
		    known.marker != NACRE_KNOWN_HOST_PLAIN || known.key.length < key_text.length ||
		    memcmp(known.key.data, key_text.data, key_text.length) != 0)
			continue;
		if ((*count)++ >= most)
			continue;
		nacre_put_format(text, "    %s:%u: ", file, number);
		if (known.hashed)
			nacre_put_format(text, "[hashed name]\n");
		else
			nacre_put_format(text, "%.*s\n", (int)known.names.length,
			    (const char *)known.names.data);
	}
	nacre_buffer_free(&content);
	nacre_buffer_free(&wanted);
}
