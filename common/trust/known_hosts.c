/* Looking a host up in known_hosts files, and what the lines found say about a key. */
#include <nacre/pattern.h>

#include "file.h"
#include "host_name.h"

#include <stdlib.h>
#include <string.h>

char *
nacre_known_hosts_name(const char *host, int port)
{
	struct nacre_buffer lower = {0}, name = {0};
	char *result = NULL;

	host_name_put_lower(nacre_span_of(host), &lower);
	nacre_put_byte(&lower, 0);
	if (!lower.failed)
		nacre_put_format(&name, port == 22 ? "%s" : "[%s]:%d", (char *)lower.data, port);
	if (!name.failed)
		result = nacre_span_to_string(nacre_buffer_span(&name));
	nacre_buffer_free(&lower);
	nacre_buffer_free(&name);
	return result;
}

int
nacre_known_hosts_new(struct nacre_known_hosts **known)
{
	*known = calloc(1, sizeof **known);
	return *known == NULL ? NACRE_ERROR_MEMORY : 0;
}

static void
known_host_clear(struct nacre_known_host *host)
{
	nacre_key_free(host->key);
	free(host->key_format);
	free(host->file);
	free(host->comment);
}

void
nacre_known_hosts_free(struct nacre_known_hosts *known)
{
	if (known == NULL)
		return;
	for (size_t i = 0; i < known->count; i++)
		known_host_clear(&known->hosts[i]);
	free(known->hosts);
	free(known->name);
	nacre_buffer_free(&known->notes);
	free(known);
}

/* The name of "[host]:port" alone; empty for a name without a port. */
static struct nacre_span
name_without_port(struct nacre_span name)
{
	const uint8_t *end;

	if (name.length == 0 || name.data[0] != '[')
		return (struct nacre_span){NULL, 0};
	end = memchr(name.data, ']', name.length);
	if (end == NULL)
		return (struct nacre_span){NULL, 0};
	return (struct nacre_span){name.data + 1, (size_t)(end - name.data - 1)};
}

/* What a line is compared with. */
struct lookup {
	const char *file;
	struct nacre_span name, address, plain_name;
	bool hashes_ready; /* a hashed line could be compared */
};

static bool
name_found(const struct known_line *line, struct nacre_span name)
{
	return name.length > 0 && known_line_matches(line, name);
}

static int
known_hosts_add(struct nacre_known_hosts *known, const struct known_line *line,
    const struct lookup *lookup, unsigned number, bool by_address, bool without_port)
{
	struct nacre_known_host *hosts, *host;
	struct nacre_span rest = line->key, comment;
	int error;

	hosts = realloc(known->hosts, (known->count + 1) * sizeof *hosts);
	if (hosts == NULL)
		return NACRE_ERROR_MEMORY;
	known->hosts = hosts;
	host = &hosts[known->count];
	*host = (struct nacre_known_host){.marker = line->marker,
	    .line = number,
	    .hashed = line->hashed,
	    .by_address = by_address,
	    .without_port = without_port,
	    .file = strdup(lookup->file),
	    .key_format = nacre_span_to_string(text_next_word(&rest))};
	text_next_word(&rest);
	error = nacre_key_from_line(line->key, &host->key, &comment);
	rest = text_trim(rest);
	if (rest.length > 0)
		host->comment = nacre_span_to_string(rest);
	if (host->file == NULL || error == NACRE_ERROR_MEMORY) {
		known_host_clear(host);
		return NACRE_ERROR_MEMORY;
	}
	/* A type that we do not have is kept, a damaged key is passed over. */
	if ((error != 0 && error != NACRE_ERROR_UNSUPPORTED) || host->key_format == NULL) {
		if (nacre_buffer_length(&known->notes) < TRUST_LINE_MAX)
			nacre_put_format(&known->notes, "%s:%u: the key cannot be read: %s\n",
			    lookup->file, number, nacre_error_string(error));
		known_host_clear(host);
		return 0;
	}
	known->count++;
	return 0;
}

static int
lookup_line(
    struct nacre_known_hosts *known, struct lookup *lookup, struct nacre_span text, unsigned number)
{
	struct known_line line;
	int error;

	if (known_line_parse(text, &line) != KNOWN_LINE_HOST)
		return 0;
	/* A line that cannot be compared might be the one that revokes the key. */
	if (!lookup->hashes_ready && (error = known_line_ready(&line)) != 0)
		return error;
	lookup->hashes_ready |= line.hashed;
	if (name_found(&line, lookup->name))
		return known_hosts_add(known, &line, lookup, number, false, false);
	if (name_found(&line, lookup->plain_name))
		return known_hosts_add(known, &line, lookup, number, false, true);
	if (name_found(&line, lookup->address))
		return known_hosts_add(known, &line, lookup, number, true, false);
	return 0;
}

int
nacre_known_hosts_load_text(struct nacre_known_hosts *known, struct nacre_span text,
    const char *file, const char *name, const char *address)
{
	struct nacre_buffer lower = {0};
	struct lookup lookup = {.file = file};
	struct nacre_span line;
	int error = 0;

	host_name_put_lower(nacre_span_of(name), &lower);
	lookup.name = nacre_buffer_span(&lower);
	lookup.plain_name = name_without_port(lookup.name);
	if (address != NULL)
		lookup.address = nacre_span_of(address);
	if (known->name == NULL)
		known->name = strdup(name);
	if (lower.failed || known->name == NULL)
		error = NACRE_ERROR_MEMORY;
	for (unsigned number = 1; error == 0 && nacre_line_next(&text, &line); number++)
		error = lookup_line(known, &lookup, line, number);
	nacre_buffer_free(&lower);
	return error;
}

int
nacre_known_hosts_load(
    struct nacre_known_hosts *known, const char *file, const char *name, const char *address)
{
	struct nacre_buffer text = {0};
	int error = nacre_file_read(file, TRUST_FILE_MAX, &text);

	if (error == 0)
		error = nacre_known_hosts_load_text(
		    known, nacre_buffer_span(&text), file, name, address);
	nacre_buffer_free(&text);
	return error;
}

void
nacre_known_hosts_forget(struct nacre_known_hosts *known, const char *file)
{
	size_t kept = 0;

	for (size_t i = 0; i < known->count; i++) {
		if (strcmp(known->hosts[i].file, file) == 0)
			known_host_clear(&known->hosts[i]);
		else
			known->hosts[kept++] = known->hosts[i];
	}
	known->count = kept;
}

static const struct nacre_known_host *
find_revoked(const struct nacre_known_hosts *known, const struct nacre_key *key)
{
	for (size_t i = 0; key != NULL && i < known->count; i++) {
		const struct nacre_known_host *host = &known->hosts[i];

		if (host->marker == NACRE_KNOWN_HOST_REVOKED && host->key != NULL &&
		    nacre_key_equal(host->key, key))
			return host;
	}
	return NULL;
}

/* Lines of the wanted marker and kind: the key itself goes first, then one of its type, then any. */
static const struct nacre_known_host *
find_key(const struct nacre_known_hosts *known, const struct nacre_key *key,
    enum nacre_known_host_marker marker, bool by_address, bool *equal)
{
	const struct nacre_known_host *same_type = NULL, *other = NULL;

	*equal = false;
	for (size_t i = 0; i < known->count; i++) {
		const struct nacre_known_host *host = &known->hosts[i];

		if (host->marker != marker || host->by_address != by_address || host->key == NULL)
			continue;
		if (nacre_key_equal(host->key, key)) {
			*equal = true;
			return host;
		}
		if (host->without_port)
			continue;
		if (same_type == NULL && nacre_key_type(host->key) == nacre_key_type(key))
			same_type = host;
		else if (other == NULL)
			other = host;
	}
	return same_type != NULL ? same_type : other;
}

enum nacre_host_verdict
nacre_known_hosts_check(const struct nacre_known_hosts *known, const struct nacre_key *key,
    const struct nacre_key *authority, bool by_address, const struct nacre_known_host **found)
{
	const struct nacre_known_host *host = find_revoked(known, key);
	enum nacre_host_verdict verdict = NACRE_HOST_REVOKED;
	bool equal;

	if (host == NULL)
		host = find_revoked(known, authority);
	if (host == NULL) {
		host = find_key(known, authority != NULL ? authority : key,
		    authority != NULL ? NACRE_KNOWN_HOST_AUTHORITY : NACRE_KNOWN_HOST_PLAIN,
		    by_address, &equal);
		verdict = equal ? NACRE_HOST_OK : NACRE_HOST_CHANGED;
		if (!equal && (host == NULL || authority != NULL)) {
			verdict = NACRE_HOST_NEW;
			host = NULL;
		}
	}
	if (found != NULL)
		*found = host;
	return verdict;
}

bool
nacre_known_hosts_has(const struct nacre_known_hosts *known, struct nacre_span key_format)
{
	for (size_t i = 0; i < known->count; i++) {
		const struct nacre_known_host *host = &known->hosts[i];

		if (host->marker == NACRE_KNOWN_HOST_PLAIN && !host->by_address &&
		    (key_format.length == 0 || nacre_span_equals(key_format, host->key_format)))
			return true;
	}
	return false;
}

bool
nacre_known_hosts_has_authority(const struct nacre_known_hosts *known)
{
	for (size_t i = 0; i < known->count; i++)
		if (known->hosts[i].marker == NACRE_KNOWN_HOST_AUTHORITY &&
		    !known->hosts[i].by_address)
			return true;
	return false;
}

int
nacre_certificate_check_host(const struct nacre_certificate *certificate, const char *host,
    uint64_t now, const char **reason)
{
	struct nacre_reader reader = nacre_reader_of(certificate->principals);
	struct nacre_span principal;
	int error = nacre_certificate_check(certificate, NACRE_CERTIFICATE_HOST, NULL, now, reason);

	if (error != 0)
		return error;
	while (nacre_certificate_next_principal(&reader, &principal))
		if (nacre_pattern_match_host(nacre_span_of(host), principal))
			return 0;
	*reason = "Certificate invalid: name is not a listed principal";
	return NACRE_ERROR_REFUSED;
}
