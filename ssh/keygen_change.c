/* ssh-keygen: changing a private key file (-p, -c) and showing its public half (-y). */
#include "keygen.h"

#include <nacre/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHERE "Enter file in which the key is"

static char *
failure_text(const char *before, const char *path, const char *after)
{
	char *text;

	if (asprintf(&text, "%s%s%s", before, path, after) < 0)
		nacre_fatal("out of memory");
	return text;
}

/* A private key that was read, with what opened it. */
struct loaded {
	char *path, *comment;
	struct nacre_key *key;
	struct nacre_buffer passphrase;
};

static void
loaded_open(struct loaded *loaded, const struct keygen *keygen, const char *prompt,
    const char *before, const char *after)
{
	char *failure;

	*loaded = (struct loaded){.path = keygen_ask_file(keygen, WHERE, "ed25519")};
	failure = failure_text(before, loaded->path, after);
	loaded->key = keygen_load_private(
	    keygen, loaded->path, prompt, failure, &loaded->passphrase, &loaded->comment);
	free(failure);
}

static void
loaded_close(struct loaded *loaded)
{
	nacre_buffer_free(&loaded->passphrase);
	nacre_key_free(loaded->key);
	free(loaded->comment);
	free(loaded->path);
}

int
keygen_passphrase(const struct keygen *keygen)
{
	struct nacre_buffer new = {0};
	struct loaded old;
	int error;

	loaded_open(&old, keygen, "Enter old passphrase: ", "Failed to load key ", "");
	if (old.comment != NULL && *old.comment != '\0')
		printf("Key has comment '%s'\n", old.comment);
	keygen_new_passphrase(keygen, "Enter new passphrase (empty for no passphrase): ", &new);
	error =
	    keygen_save_private(keygen, old.path, old.key, old.comment, nacre_buffer_span(&new));
	if (error != 0)
		nacre_log(NACRE_LOG_ERROR, "Saving key \"%s\" failed: %s", old.path,
		    keygen_reason(error));
	else
		puts("Your identification has been saved with the new passphrase.");
	nacre_buffer_free(&new);
	loaded_close(&old);
	return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* -C, or a line of standard input. */
static char *
new_comment(const struct keygen *keygen)
{
	char *line = NULL;
	size_t capacity = 0;

	if (keygen->comment != NULL)
		return strdup(keygen->comment);
	printf("New comment: ");
	fflush(stdout);
	if (getline(&line, &capacity, stdin) < 0)
		exit(EXIT_FAILURE);
	line[strcspn(line, "\n")] = '\0';
	return line;
}

static int
comment_save(const struct keygen *keygen, const char *path, const struct nacre_key *key,
    const char *comment, struct nacre_span passphrase)
{
	int error = keygen_save_private(keygen, path, key, comment, passphrase);
	char *public_path;

	if (asprintf(&public_path, "%s.pub", path) < 0)
		nacre_fatal("out of memory");
	if (error != 0)
		nacre_log(
		    NACRE_LOG_ERROR, "Saving key \"%s\" failed: %s", path, keygen_reason(error));
	else if ((error = keygen_save_public(public_path, key, comment)) != 0)
		nacre_log(NACRE_LOG_ERROR, "Unable to save public key to %s: %s", public_path,
		    keygen_reason(error));
	free(public_path);
	return error;
}

int
keygen_comment(const struct keygen *keygen)
{
	struct loaded old;
	char *new;
	int error = 0;

	loaded_open(&old, keygen, "Enter passphrase: ", "Cannot load private key \"", "\"");
	if (old.comment != NULL)
		printf("Old comment: %s\n", old.comment);
	else
		puts("No existing comment");
	if ((new = new_comment(keygen)) == NULL)
		nacre_fatal("out of memory");
	if (old.comment != NULL && strcmp(old.comment, new) == 0) {
		puts("No change to comment");
	} else {
		error = comment_save(
		    keygen, old.path, old.key, new, nacre_buffer_span(&old.passphrase));
		if (error == 0)
			printf(
			    *new != '\0' ? "Comment '%s' applied\n" : "Comment removed%s\n", new);
	}
	loaded_close(&old);
	free(new);
	return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
keygen_public(const struct keygen *keygen)
{
	struct nacre_buffer text = {0};
	struct loaded private;
	int error;

	loaded_open(&private, keygen, "Enter passphrase: ", "Load key \"", "\"");
	error = nacre_key_put_line(private.key, private.comment, &text);
	if (error != 0)
		nacre_fatal("Could not save your public key: %s", nacre_error_string(error));
	nacre_put_byte(&text, '\n');
	keygen_print(&text);
	nacre_buffer_free(&text);
	loaded_close(&private);
	return EXIT_SUCCESS;
}
