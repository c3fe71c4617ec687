/* ssh-keygen: reading and writing key files. */
#include "keygen.h"

#include <nacre/file.h>
#include <nacre/log.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static _Noreturn void
load_failed(const char *path, const char *failure, int error, unsigned mode)
{
	struct nacre_buffer text = {0};

	if (error == NACRE_ERROR_SYSTEM)
		nacre_fatal("%s: %s", path, strerror(errno));
	if (error == NACRE_ERROR_PERMISSION) {
		nacre_key_put_unprotected(path, mode, &text);
		keygen_complain(&text);
	}
	nacre_fatal("%s: %s", failure, nacre_error_string(error));
}

struct nacre_key *
keygen_load_private(const struct keygen *keygen, const char *path, const char *prompt,
    const char *failure, struct nacre_buffer *passphrase, char **comment)
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
		load_failed(path, failure, error, mode);
	return key;
}

/* Fills the new file and puts it in the place of the old one. */
static bool
file_finish(
    int fd, const char *temporary, const char *path, mode_t mode, const struct nacre_buffer *text)
{
	bool done = fchmod(fd, mode) == 0 && nacre_write_all(fd, nacre_buffer_span(text)) == 0 &&
		    fsync(fd) == 0;
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
static int
file_replace(const char *path, mode_t mode, const struct nacre_buffer *text)
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
	result = nacre_key_put_private(key, &options, &text);
	if (result == 0)
		result = file_replace(path, 0600, &text);
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
		result = file_replace(path, 0644, &text);
	nacre_buffer_free(&text);
	return result;
}

void
keygen_print(const struct nacre_buffer *text)
{
	if (nacre_buffer_length(text) > 0)
		fwrite(text->data + text->start, 1, nacre_buffer_length(text), stdout);
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
