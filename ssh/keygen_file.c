/* ssh-keygen: reading and writing key files. */
#include "keygen.h"

#include <nacre/file.h>
#include <nacre/log.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the formats of PEM are protected with, at least. */
#define PASSPHRASE_MIN   5
#define PASSPHRASE_SHORT 1 /* beside the library's errors */

const char *
keygen_reason(int error)
{
	if (error == PASSPHRASE_SHORT)
		return "passphrase is too short (minimum five characters)";
	return error == NACRE_ERROR_SYSTEM ? strerror(errno) : nacre_error_string(error);
}

static _Noreturn void
load_failed(const char *path, const char *named, const char *failure, int error, unsigned mode)
{
	struct nacre_buffer text = {0};

	if (error == NACRE_ERROR_SYSTEM)
		nacre_fatal("%s: %s", named, strerror(errno));
	if (error == NACRE_ERROR_PERMISSION) {
		nacre_key_put_unprotected(path, mode, &text);
		keygen_complain(&text);
	}
	nacre_fatal("%s: %s", failure, nacre_error_string(error));
}

/* "named": what a message begins with when the file cannot be read. */
static struct nacre_key *
load(const struct keygen *keygen, const char *path, const char *prompt, const char *failure,
    const char *named, struct nacre_buffer *passphrase, char **comment)
{
	struct nacre_key *key = NULL;
	unsigned mode = 0;
	int error =
	    nacre_key_load_private(path, nacre_buffer_span(passphrase), &key, comment, &mode);

	if (error == NACRE_ERROR_PASSPHRASE) {
		if (keygen->passphrase != NULL)
			nacre_put_span(passphrase, nacre_span_of(keygen->passphrase));
		else
			keygen_ask_passphrase(prompt, passphrase);
		error = nacre_key_load_private(
		    path, nacre_buffer_span(passphrase), &key, comment, &mode);
	}
	if (error != 0)
		load_failed(path, named, failure, error, mode);
	return key;
}

struct nacre_key *
keygen_load_private(const struct keygen *keygen, const char *path, const char *prompt,
    const char *failure, struct nacre_buffer *passphrase, char **comment)
{
	return load(keygen, path, prompt, failure, path, passphrase, comment);
}

struct nacre_key *
keygen_load_whole(const struct keygen *keygen, const char *path)
{
	struct nacre_buffer passphrase = {0};
	struct nacre_key *key;
	char *failure;

	if (asprintf(&failure, "Load key \"%s\"", path) < 0)
		nacre_fatal("out of memory");
	key = load(keygen, path, "Enter passphrase: ", failure, failure, &passphrase, NULL);
	nacre_buffer_free(&passphrase);
	free(failure);
	keygen_have_touched(keygen, key);
	return key;
}

struct nacre_key *
keygen_load_public(const char *path, char **comment, const char *failure, ...)
{
	struct nacre_key *key = NULL;
	int error = nacre_key_load_public(path, &key, comment);
	va_list arguments;
	char *text;

	/* Where nothing is like a public key, that there is no PATH.pub is what is wrong. */
	if (error == NACRE_ERROR_FORMAT || error == NACRE_ERROR_UNSUPPORTED) {
		error = NACRE_ERROR_SYSTEM;
		errno = ENOENT;
	}
	if (error == 0)
		return key;
	const char *reason = keygen_reason(error);
	va_start(arguments, failure);
	if (vasprintf(&text, failure, arguments) < 0)
		nacre_fatal("out of memory");
	va_end(arguments);
	nacre_fatal("%s: %s", text, reason);
}

/* Fills the new file and puts it in the place of the old one. A private key is on the disk before that
 * goes; what is public can be made again, and who makes many does not wait for each. */
static bool
file_finish(
    int fd, const char *temporary, const char *path, mode_t mode, const struct nacre_buffer *text)
{
	bool done = fchmod(fd, mode) == 0 && nacre_write_all(fd, nacre_buffer_span(text)) == 0 &&
		    ((mode & 077) != 0 || fsync(fd) == 0);
	int error = errno;

	if (close(fd) != 0 && done) {
		done = false;
		error = errno;
	}
	if (done && rename(temporary, path) == 0)
		return true;
	if (done)
		error = errno;
	unlink(temporary);
	errno = error;
	return false;
}

/* A key file is never seen half written, and a failure leaves the old one. Links are followed. */
int
keygen_replace_file(const char *path, unsigned mode, const struct nacre_buffer *text)
{
	char *target = realpath(path, NULL), *temporary = NULL;
	int result = NACRE_ERROR_SYSTEM, fd;

	if (target == NULL && (errno != ENOENT || (target = strdup(path)) == NULL))
		return NACRE_ERROR_SYSTEM;
	if (*target == '\0') {
		errno = ENOENT;
	} else if (asprintf(&temporary, "%s.XXXXXXXXXX", target) >= 0) {
		fd = mkostemp(temporary, O_CLOEXEC);
		if (fd >= 0 && file_finish(fd, temporary, target, mode, text))
			result = 0;
	}
	free(temporary);
	free(target);
	return result;
}

int
keygen_save_private(const struct keygen *keygen, const char *path, const struct nacre_key *key,
    const char *comment, struct nacre_span passphrase)
{
	struct nacre_key_file_options options = {
	    .format = keygen->format,
	    .passphrase = passphrase,
	    .cipher = keygen->cipher,
	    .rounds = keygen->rounds,
	    .comment = comment,
	};
	struct nacre_buffer text = {0};
	int result;

	/* The old PEM formats have none for this type. */
	if (keygen->format == NACRE_KEY_FILE_PEM && nacre_key_type(key) == NACRE_KEY_ED25519)
		options.format = NACRE_KEY_FILE_OPENSSH;
	if (options.format != NACRE_KEY_FILE_OPENSSH && passphrase.length > 0 &&
	    passphrase.length < PASSPHRASE_MIN)
		return PASSPHRASE_SHORT;
	result = nacre_key_put_private(key, &options, &text);
	if (result == 0)
		result = keygen_replace_file(path, 0600, &text);
	nacre_buffer_free(&text);
	return result;
}

int
keygen_save_public(const char *path, const struct nacre_key *key, const char *comment)
{
	struct nacre_buffer text = {0};
	int result = nacre_key_put_line(key, comment, &text);

	nacre_put_byte(&text, '\n');
	if (result == 0 && text.failed)
		result = NACRE_ERROR_MEMORY;
	if (result == 0)
		result = keygen_replace_file(path, 0644, &text);
	nacre_buffer_free(&text);
	return result;
}

void
keygen_print(const struct nacre_buffer *text)
{
	if (nacre_buffer_length(text) > 0)
		fwrite(text->data + text->start, 1, nacre_buffer_length(text), stdout);
}

int
keygen_read_file(const char *path, size_t most, struct nacre_buffer *content)
{
	return strcmp(path, "-") == 0 ? nacre_file_read_descriptor(STDIN_FILENO, most, content)
				      : nacre_file_read(path, most, content);
}

void
keygen_put_safely(struct nacre_buffer *text, struct nacre_span span)
{
	for (size_t i = 0; i < span.length; i++) {
		if (span.data[i] < ' ' || span.data[i] == 0x7f)
			nacre_put_format(text, "\\%03o", span.data[i]);
		else
			nacre_put_byte(text, span.data[i]);
	}
}

static bool
is_blank(uint8_t byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r';
}

struct nacre_span
keygen_next_line(struct nacre_span *text)
{
	const uint8_t *end = text->length > 0 ? memchr(text->data, '\n', text->length) : NULL;
	struct nacre_span line = {
	    text->data, end != NULL ? (size_t)(end - text->data) : text->length};
	const size_t taken = line.length + (end != NULL ? 1 : 0);

	text->data += taken;
	text->length -= taken;
	while (line.length > 0 && is_blank(line.data[0])) {
		line.data++;
		line.length--;
	}
	while (line.length > 0 && is_blank(line.data[line.length - 1]))
		line.length--;
	return line;
}

const char *
keygen_option_value(const char *option, const char *name)
{
	const size_t length = strlen(name);

	return strncasecmp(option, name, length) == 0 && option[length] == '=' ? option + length + 1
									       : NULL;
}

void
keygen_complain(const struct nacre_buffer *text)
{
	struct nacre_span rest = nacre_buffer_span(text);

	for (size_t i = 0; i < rest.length; i++) {
		if (rest.data[i] == '\n')
			putc('\r', stderr);
		putc(rest.data[i], stderr);
	}
}

void
keygen_must_exist(const char *path)
{
	struct stat status;

	if (stat(path, &status) != 0)
		nacre_fatal("ssh-keygen: %s: %s", path, strerror(errno));
}
