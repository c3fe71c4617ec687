/* ssh-keygen -k and -Q: key revocation lists, made and asked. */
#include "keygen.h"

#include <nacre/file.h>
#include <nacre/krl.h>
#include <nacre/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define FILE_MAX ((size_t)256 * 1024 * 1024)

/* A line of a specification, and where it goes. */
struct entry {
	struct nacre_krl *krl;
	const struct nacre_key *authority; /* of serial numbers and key ids; NULL: any */
	bool has_authority;
	const char *path;
	unsigned line;
	struct nacre_span text; /* behind the word that says what it is */
};

static _Noreturn void
revoke_failed(const char *what, int error)
{
	nacre_fatal("update_krl_from_file: revoke %s failed%s%s", what, error != 0 ? ": " : "",
	    error != 0 ? nacre_error_string(error) : "");
}

/* A number in decimal, hexadecimal or octal off the front of the text. */
static uint64_t
serial_take(const struct entry *entry, char **text)
{
	char *begin = *text;
	uint64_t value;

	errno = 0;
	value = strtoull(begin, text, 0);
	if (*text == begin || *begin < '0' || *begin > '9' || (**text != '\0' && **text != '-'))
		nacre_fatal("%s:%u: invalid serial \"%s\"", entry->path, entry->line, begin);
	if (errno == ERANGE)
		nacre_fatal("%s:%u: serial out of range", entry->path, entry->line);
	return value;
}

static void
revoke_serials(const struct entry *entry)
{
	char *text = nacre_span_to_string(entry->text), *at = text;
	uint64_t first, last;

	if (!entry->has_authority)
		nacre_fatal("revoking certificates by serial number requires specification of a CA "
			    "key");
	if (text == NULL)
		nacre_fatal("%s:%u: invalid serial \"\"", entry->path, entry->line);
	if (*at == '-')
		nacre_fatal("%s:%u: invalid serial \"\"", entry->path, entry->line);
	first = last = serial_take(entry, &at);
	if (*at == '-') {
		at++;
		last = serial_take(entry, &at);
		if (*at != '\0')
			nacre_fatal("%s:%u: invalid serial \"%s\"", entry->path, entry->line, at);
	}
	if (first > last)
		nacre_fatal("%s:%u: invalid serial range %llu:%llu", entry->path, entry->line,
		    (unsigned long long)first, (unsigned long long)last);
	if (nacre_krl_revoke_serials(entry->krl, entry->authority, first, last) != 0)
		revoke_failed("serial", 0);
	free(text);
}

static void
revoke_key_id(const struct entry *entry)
{
	if (!entry->has_authority)
		nacre_fatal("revoking certificates by key ID requires specification of a CA key");
	if (nacre_krl_revoke_key_id(entry->krl, entry->authority, entry->text) != 0)
		revoke_failed("key ID", 0);
}

static struct nacre_key *
key_of(const struct entry *entry)
{
	struct nacre_key *key = NULL;
	int error = nacre_key_from_line(entry->text, &key, NULL);

	if (error != 0)
		nacre_fatal("%s:%u: invalid key: %s", entry->path, entry->line,
		    nacre_error_string(
			error == NACRE_ERROR_UNSUPPORTED ? NACRE_ERROR_FORMAT : error));
	return key;
}

static void
revoke_key(const struct entry *entry)
{
	struct nacre_key *key = key_of(entry);
	int error = nacre_krl_revoke_key(entry->krl, key);

	nacre_key_free(key);
	if (error != 0)
		revoke_failed("key", error);
}

static void
revoke_digest(const struct entry *entry, enum nacre_krl_hash hash)
{
	struct nacre_key *key = key_of(entry);
	int error = nacre_krl_revoke_key_hash(entry->krl, hash, key);

	nacre_key_free(key);
	if (error != 0)
		revoke_failed("key", error);
}

static void
revoke_sha1(const struct entry *entry)
{
	revoke_digest(entry, NACRE_KRL_SHA1);
}

static void
revoke_sha256(const struct entry *entry)
{
	revoke_digest(entry, NACRE_KRL_SHA256);
}

/* "SHA256:..." as ssh-keygen -l shows it; the padding of base64 may be there. */
static void
revoke_fingerprint(const struct entry *entry)
{
	static const char prefix[] = "SHA256:";
	struct nacre_buffer text = {0}, digest = {0};
	struct nacre_span base64 = entry->text;
	int error;

	if (base64.length < sizeof prefix - 1 ||
	    strncasecmp((const char *)base64.data, prefix, sizeof prefix - 1) != 0)
		nacre_fatal("%s:%u: unsupported hash algorithm", entry->path, entry->line);
	nacre_put_bytes(
	    &text, base64.data + sizeof prefix - 1, base64.length - (sizeof prefix - 1));
	while (nacre_buffer_length(&text) % 4 != 0)
		nacre_put_byte(&text, '=');
	if (nacre_get_base64(nacre_buffer_span(&text), &digest) != 0)
		nacre_fatal("%s:%u: decode hash failed: %s", entry->path, entry->line,
		    nacre_error_string(NACRE_ERROR_FORMAT));
	error = nacre_krl_revoke_hash(entry->krl, NACRE_KRL_SHA256, nacre_buffer_span(&digest));
	if (error != 0)
		revoke_failed("key", NACRE_ERROR_FORMAT);
	nacre_buffer_free(&text);
	nacre_buffer_free(&digest);
}

/* A line that is a key. Certificates are revoked by their serial number, without one by key id. */
static void
revoke_as_it_is(const struct entry *entry)
{
	struct nacre_key *key = key_of(entry);
	const struct nacre_certificate *certificate = nacre_key_certificate(key);
	int error;

	if (certificate == NULL)
		error = nacre_krl_revoke_key(entry->krl, key);
	else if (certificate->serial != 0)
		error = nacre_krl_revoke_serials(
		    entry->krl, certificate->authority, certificate->serial, certificate->serial);
	else
		error = nacre_krl_revoke_key_id(
		    entry->krl, certificate->authority, certificate->key_id);
	nacre_key_free(key);
	if (error != 0)
		revoke_failed("key", error);
}

static const struct {
	const char *word;
	void (*revoke)(const struct entry *entry);
} directives[] = {
    {"serial:", revoke_serials},
    {"id:", revoke_key_id},
    {"key:", revoke_key},
    {"sha1:", revoke_sha1},
    {"sha256:", revoke_sha256},
    {"hash:", revoke_fingerprint},
    {"", revoke_as_it_is},
};

/* What stands before a "#", without the blanks around it. */
static struct nacre_span
without_comment(struct nacre_span line)
{
	const uint8_t *hash = line.length > 0 ? memchr(line.data, '#', line.length) : NULL;

	if (hash != NULL)
		line.length = (size_t)(hash - line.data);
	return keygen_next_line(&line);
}

static void
revoke_line(struct entry *entry, struct nacre_span line)
{
	size_t i = 0, length;

	if ((line = without_comment(line)).length == 0)
		return;
	while ((length = strlen(directives[i].word)) > line.length ||
	       strncasecmp((const char *)line.data, directives[i].word, length) != 0)
		i++;
	entry->text = (struct nacre_span){line.data + length, line.length - length};
	entry->text = keygen_next_line(&entry->text);
	directives[i].revoke(entry);
}

static void
revoke_file(const struct keygen *keygen, struct entry *entry, const char *path)
{
	struct nacre_buffer content = {0};
	struct nacre_span text;
	int error;

	entry->path = strcmp(path, "-") == 0 ? "(standard input)" : path;
	if ((error = keygen_read_file(path, FILE_MAX, &content)) != 0)
		nacre_fatal("fopen %s: %s", path, keygen_reason(error));
	if (!keygen->quiet)
		printf("Revoking from %s\n", entry->path);
	fflush(stdout);
	text = nacre_buffer_span(&content);
	for (entry->line = 1; text.length > 0; entry->line++)
		revoke_line(entry, keygen_next_line(&text));
	nacre_buffer_free(&content);
}

/* Takes over what a file says; ends the program when that is no list. */
static void
load(struct nacre_krl *krl, const char *path, struct nacre_span file)
{
	int error;

	if (!nacre_krl_is(file))
		nacre_fatal("Invalid KRL file %s: KRL file has invalid magic number", path);
	if ((error = nacre_krl_load(krl, file)) != 0)
		nacre_fatal("Invalid KRL file %s: %s", path, nacre_error_string(error));
}

/* What is in the file that -u adds to. */
static void
load_old(const struct keygen *keygen, struct nacre_krl *krl)
{
	struct nacre_buffer content = {0};
	int error = nacre_file_read(keygen->file, FILE_MAX, &content);

	if (error == NACRE_ERROR_SYSTEM && errno == ENOENT)
		nacre_fatal("KRL \"%s\" does not exist", keygen->file);
	if (error != 0)
		nacre_fatal("Unable to load KRL %s: %s", keygen->file, keygen_reason(error));
	load(krl, keygen->file, nacre_buffer_span(&content));
	nacre_buffer_free(&content);
}

static void
describe(const struct keygen *keygen, struct nacre_krl *krl)
{
	const uint64_t version =
	    keygen->serial_given || !keygen->update ? keygen->serial : nacre_krl_version(krl);

	if (nacre_krl_describe(krl, version, (uint64_t)time(NULL),
		keygen->comment != NULL ? keygen->comment : nacre_krl_comment(krl)) != 0)
		nacre_fatal("out of memory");
}

int
keygen_make_krl(const struct keygen *keygen)
{
	struct nacre_key *authority = NULL;
	struct nacre_buffer file = {0};
	struct entry entry = {.has_authority = keygen->authority != NULL};

	if (keygen->file == NULL)
		nacre_fatal("KRL generation requires an output file");
	if (nacre_krl_new(&entry.krl) != 0)
		nacre_fatal("out of memory");
	if (keygen->update)
		load_old(keygen, entry.krl);
	if (keygen->authority != NULL && strcasecmp(keygen->authority, "none") != 0)
		authority = keygen_load_public(
		    keygen->authority, NULL, "Cannot load CA public key %s", keygen->authority);
	entry.authority = authority;
	describe(keygen, entry.krl);
	for (size_t i = 0; i < keygen->file_count; i++)
		revoke_file(keygen, &entry, keygen->files[i]);
	if (nacre_krl_encode(entry.krl, &file) != 0)
		nacre_fatal("Couldn't generate KRL: out of memory");
	if (keygen_replace_file(keygen->file, 0644, &file) != 0)
		nacre_fatal("write %s: %s", keygen->file, strerror(errno));
	nacre_key_free(authority);
	nacre_krl_free(entry.krl);
	nacre_buffer_free(&file);
	return EXIT_SUCCESS;
}

/* Reads all of the list, which tells whether it is one, and shows it. */
static void
check(const char *path, struct nacre_span file, bool show)
{
	struct nacre_buffer text = {0};
	struct nacre_krl *krl;

	if (nacre_krl_new(&krl) != 0)
		nacre_fatal("out of memory");
	load(krl, path, file);
	if (show && nacre_krl_put_text(krl, &text) != 0)
		nacre_fatal("out of memory");
	keygen_print(&text);
	nacre_krl_free(krl);
	nacre_buffer_free(&text);
}

static bool
is_revoked(struct nacre_span file, const char *path)
{
	char *comment;
	struct nacre_key *key =
	    keygen_load_public(path, &comment, "Cannot load public key %s", path);
	const bool revoked = nacre_krl_find(file, key) == 0;
	const char *name = comment != NULL && *comment != '\0' ? comment : path;

	printf("%s (%s): %s\n", path, name, revoked ? "REVOKED" : "ok");
	fflush(stdout);
	nacre_key_free(key);
	free(comment);
	return revoked;
}

int
keygen_ask_krl(const struct keygen *keygen)
{
	struct nacre_buffer content = {0};
	bool revoked = false;
	int error;

	if (keygen->file == NULL)
		nacre_fatal("KRL checking requires an input file");
	if ((error = nacre_file_read(keygen->file, FILE_MAX, &content)) != 0)
		nacre_fatal("Unable to load KRL %s: %s", keygen->file, keygen_reason(error));
	check(keygen->file, nacre_buffer_span(&content), keygen->fingerprints);
	for (size_t i = 0; i < keygen->file_count; i++)
		revoked |= is_revoked(nacre_buffer_span(&content), keygen->files[i]);
	nacre_buffer_free(&content);
	return revoked ? EXIT_FAILURE : EXIT_SUCCESS;
}
