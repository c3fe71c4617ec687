/* ssh-keygen: to and from the key formats of other programs (-e, -i). */
#include "keygen.h"

#include <nacre/file.h>
#include <nacre/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)1024 * 1024)
#define WHERE    "Enter file in which the key is"

/* The public key of a file, after the passphrase where the file does not show it. */
static struct nacre_key *
public_load(const struct keygen *keygen, const char *path)
{
	struct nacre_buffer passphrase = {0};
	struct nacre_key *key;
	char *comment = NULL;

	keygen_must_exist(path);
	if (nacre_key_load_public(path, &key, &comment) != 0)
		key = keygen_load_private(
		    keygen, path, "Enter passphrase: ", path, &passphrase, &comment);
	nacre_buffer_free(&passphrase);
	free(comment);
	return key;
}

static int
export_rfc4716(const struct nacre_key *key, struct nacre_buffer *text)
{
	struct nacre_buffer user = {0}, comment = {0};
	int error;

	keygen_user_at_host(&user);
	nacre_put_format(&comment, "%u-bit %s, converted by %s from OpenSSH", nacre_key_bits(key),
	    nacre_key_type_label(key), (const char *)user.data);
	nacre_put_byte(&comment, '\0');
	error = nacre_key_put_rfc4716(key, (const char *)comment.data, text);
	nacre_buffer_free(&user);
	nacre_buffer_free(&comment);
	return error;
}

int
keygen_export(const struct keygen *keygen)
{
	char *path = keygen_ask_file(keygen, WHERE, "ed25519");
	struct nacre_key *key = public_load(keygen, path);
	struct nacre_buffer text = {0};
	bool rfc4716 = keygen->rfc4716 || keygen->format == NACRE_KEY_FILE_OPENSSH;
	int error;

	if (rfc4716)
		error = export_rfc4716(key, &text);
	else if (keygen->format == NACRE_KEY_FILE_PEM && nacre_key_type(key) == NACRE_KEY_ED25519)
		error = NACRE_ERROR_UNSUPPORTED; /* there is no such format */
	else
		error = nacre_key_put_pem(key, keygen->format, &text);
	if (error == NACRE_ERROR_UNSUPPORTED)
		nacre_fatal("do_convert_to_%s: unsupported key type %s",
		    keygen->format == NACRE_KEY_FILE_PEM ? "pem" : "pkcs8",
		    nacre_key_type_label(key));
	if (error != 0)
		nacre_fatal("%s: %s", path, nacre_error_string(error));
	keygen_print(&text);
	nacre_buffer_free(&text);
	nacre_key_free(key);
	free(path);
	return EXIT_SUCCESS;
}

/* Prints a public key, or a private one that is not encrypted. */
static int
import_put(const struct keygen *keygen, struct nacre_span file, struct nacre_buffer *text)
{
	bool rfc4716 = keygen->rfc4716 || keygen->format == NACRE_KEY_FILE_OPENSSH;
	struct nacre_key_file_options options = {.format = NACRE_KEY_FILE_OPENSSH};
	struct nacre_key *key = NULL;
	int error =
	    rfc4716 ? nacre_key_from_rfc4716(file, &key, NULL) : nacre_key_from_pem(file, &key);

	if (error == 0) {
		error = nacre_key_put_line(key, NULL, text);
		nacre_put_byte(text, '\n');
	} else if (!rfc4716) {
		error = nacre_key_parse_private(file, (struct nacre_span){NULL, 0}, &key, NULL);
		if (error == 0)
			error = nacre_key_put_private(key, &options, text);
	}
	nacre_key_free(key);
	return error;
}

int
keygen_import(const struct keygen *keygen)
{
	char *path = keygen_ask_file(keygen, WHERE, "ed25519");
	struct nacre_buffer content = {0}, text = {0};
	int error;

	error = nacre_file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, FILE_MAX, &content);
	if (error == NACRE_ERROR_SYSTEM)
		nacre_fatal("ssh-keygen: %s: %s", path, strerror(errno));
	if (error == 0)
		error = import_put(keygen, nacre_buffer_span(&content), &text);
	if (error != 0)
		nacre_fatal("%s is not a recognised public key format: %s", path,
		    nacre_error_string(error));
	keygen_print(&text);
	nacre_buffer_free(&content);
	nacre_buffer_free(&text);
	free(path);
	return EXIT_SUCCESS;
}
