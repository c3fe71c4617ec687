/* ssh-keygen: to and from the key formats of other programs (-e, -i). */
#include "keygen.h"

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
	struct nacre_key *key;

	keygen_must_exist(path);
	if (nacre_key_load_public(path, &key, NULL) != 0)
		key = keygen_load_whole(keygen, path);
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

static bool
has_label(struct nacre_span file, const char *label)
{
	return file.length > 0 && memmem(file.data, file.length, label, strlen(label)) != NULL;
}

/* A public key as a line, or a private one that is not encrypted in OpenSSH's format. */
static int
pem_put(const struct keygen *keygen, struct nacre_span file, struct nacre_buffer *text)
{
	struct nacre_key_file_options options = {.format = NACRE_KEY_FILE_OPENSSH};
	const bool traditional = has_label(file, "-----BEGIN RSA PUBLIC KEY-----");
	struct nacre_key *key = NULL;
	int error = NACRE_ERROR_FORMAT;

	if (keygen->format == NACRE_KEY_FILE_PKCS8 || traditional)
		error = nacre_key_from_pem(file, &key);
	if (error == 0) {
		error = nacre_key_put_line(key, NULL, text);
		nacre_put_byte(text, '\n');
	} else if (!has_label(file, "-----BEGIN OPENSSH PRIVATE KEY-----")) {
		error = nacre_key_parse_private(file, (struct nacre_span){NULL, 0}, &key, NULL);
		if (error == 0)
			error = nacre_key_put_private(key, &options, text);
	}
	nacre_key_free(key);
	return error;
}

static void
import_pem(const struct keygen *keygen, const char *path, struct nacre_span file,
    struct nacre_buffer *text)
{
	if (pem_put(keygen, file, text) == 0)
		return;
	if (keygen->format == NACRE_KEY_FILE_PKCS8)
		nacre_fatal(
		    "do_convert_from_pkcs8: %s is not a recognised public key format", path);
	nacre_fatal("do_convert_from_pem: unrecognised raw private key format");
}

static void
import_rfc4716(struct nacre_span file, struct nacre_buffer *text)
{
	struct nacre_key *key = NULL;
	int error = nacre_key_from_rfc4716(file, &key, NULL);

	if (error != 0)
		nacre_fatal("do_convert_from_ssh2: parse key: %s", nacre_error_string(error));
	if (nacre_key_put_line(key, NULL, text) != 0)
		nacre_fatal("out of memory");
	nacre_put_byte(text, '\n');
	nacre_key_free(key);
}

int
keygen_import(const struct keygen *keygen)
{
	bool rfc4716 = keygen->rfc4716 || keygen->format == NACRE_KEY_FILE_OPENSSH;
	char *path = keygen_ask_file(keygen, WHERE, "ed25519");
	struct nacre_buffer content = {0}, text = {0};
	int error = keygen_read_file(path, FILE_MAX, &content);

	if (error != 0)
		nacre_fatal("ssh-keygen: %s: %s", path, keygen_reason(error));
	if (rfc4716)
		import_rfc4716(nacre_buffer_span(&content), &text);
	else
		import_pem(keygen, path, nacre_buffer_span(&content), &text);
	keygen_print(&text);
	nacre_buffer_free(&content);
	nacre_buffer_free(&text);
	free(path);
	return EXIT_SUCCESS;
}
