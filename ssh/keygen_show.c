/* ssh-keygen -l and -B: fingerprints of keys in files of every kind, and of lines with keys. */
#include "keygen.h"

#include <nacre/file.h>
#include <nacre/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)64 * 1024 * 1024)

static bool
is_blank(uint8_t byte)
{
	return byte == ' ' || byte == '\t';
}

void
keygen_show_key(const struct keygen *keygen, const struct nacre_key *key, struct nacre_span comment)
{
	struct nacre_buffer text = {0};

	nacre_put_format(&text, "%u ", nacre_key_bits(key));
	if (keygen->bubblebabble)
		nacre_key_bubblebabble(key, &text);
	else
		nacre_key_fingerprint(key, keygen->fingerprint_hash, &text);
	nacre_put_byte(&text, ' ');
	nacre_put_span(&text, comment.length > 0 ? comment : nacre_span_of("no comment"));
	nacre_put_format(&text, " (%s)\n", nacre_key_type_label(key));
	if (keygen->verbose) {
		nacre_key_randomart(key, keygen->fingerprint_hash, &text);
		nacre_put_byte(&text, '\n');
	}
	keygen_print(&text);
	nacre_buffer_free(&text);
}

/* The length of a line's first word; blanks in double quotes belong to it (authorized_keys). */
static size_t
word_length(struct nacre_span line)
{
	bool quoted = false;
	size_t i = 0;

	for (; i < line.length && (quoted || !is_blank(line.data[i])); i++) {
		if (line.data[i] == '\\' && i + 1 < line.length && line.data[i + 1] == '"')
			i++;
		else if (line.data[i] == '"')
			quoted = !quoted;
	}
	return i < line.length ? i : line.length;
}

/* A line of a public key file, or one with options or host names in front of the key. */
static bool
line_show(const struct keygen *keygen, struct nacre_span line)
{
	struct nacre_span first = {line.data, 0}, comment;
	struct nacre_key *key;

	if (line.length == 0 || line.data[0] == '#')
		return false;
	if (nacre_key_from_line(line, &key, &comment) != 0) {
		first.length = word_length(line);
		line.data += first.length;
		line.length -= first.length;
		while (line.length > 0 && is_blank(line.data[0])) {
			line.data++;
			line.length--;
		}
		if (nacre_key_from_line(line, &key, &comment) != 0)
			return false;
	}
	keygen_show_key(keygen, key, comment.length > 0 ? comment : first);
	nacre_key_free(key);
	return true;
}

static bool
lines_show(const struct keygen *keygen, struct nacre_span text)
{
	bool any = false;

	while (text.length > 0)
		any |= line_show(keygen, keygen_next_line(&text));
	return any;
}

/* A private key file, by the public key beside or in it, or by itself when it is not encrypted. */
static bool
private_show(const struct keygen *keygen, const char *path, struct nacre_span content)
{
	struct nacre_key *key = NULL, *whole = NULL;
	char *comment = NULL, *inner = NULL;
	const bool public = nacre_key_load_public(path, &key, &comment) == 0;

	/* The comment that is in the private part can be told when that is not encrypted. */
	if ((!public || comment == NULL || *comment == '\0') &&
	    nacre_key_parse_private(content, (struct nacre_span){NULL, 0}, &whole, &inner) == 0) {
		nacre_key_free(key);
		free(comment);
		key = whole;
		comment = inner;
	}
	if (key == NULL)
		return false;
	keygen_show_key(keygen, key, nacre_span_of(comment != NULL ? comment : ""));
	nacre_key_free(key);
	free(comment);
	return true;
}

static bool
looks_private(struct nacre_span content)
{
	struct nacre_span first = keygen_next_line(&content);

	return first.length > 5 && memcmp(first.data, "-----", 5) == 0;
}

int
keygen_fingerprint(const struct keygen *keygen)
{
	char *path = keygen_ask_file(keygen, "Enter file in which the key is", "ed25519");
	bool from_stdin = strcmp(path, "-") == 0;
	struct nacre_buffer content = {0};
	struct nacre_span text;
	int error;

	if ((error = keygen_read_file(path, FILE_MAX, &content)) != 0)
		nacre_fatal("ssh-keygen: %s: %s", path, keygen_reason(error));
	text = nacre_buffer_span(&content);
	if (!lines_show(keygen, text) && (from_stdin || !private_show(keygen, path, text)))
		nacre_fatal("%s is not a %skey file.", from_stdin ? "(stdin)" : path,
		    looks_private(text) ? "" : "public ");
	nacre_buffer_free(&content);
	free(path);
	return EXIT_SUCCESS;
}

int
keygen_bubblebabble(const struct keygen *keygen)
{
	struct keygen job = *keygen;

	job.bubblebabble = true;
	return keygen_fingerprint(&job);
}
