/* ssh-keygen -L: what certificates say. */
#include "keygen.h"

#include <nacre/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)64 * 1024 * 1024)
#define INDENT   "        "

/* Options whose value is text; NULL-terminated. */
static const char *const text_options[] = {"force-command", "source-address", NULL};
/* Options and extensions that are flags. */
static const char *const flag_options[] = {"verify-required", "no-touch-required",
    "permit-X11-forwarding", "permit-agent-forwarding", "permit-port-forwarding", "permit-pty",
    "permit-user-rc", NULL};

static bool
is_among(struct nacre_span name, const char *const *names)
{
	while (*names != NULL && !nacre_span_equals(name, *names))
		names++;
	return *names != NULL;
}

/* The value of an option that we do not know: its bytes, as they are in the certificate. */
static void
put_unknown(struct nacre_buffer *text, struct nacre_span raw)
{
	if (raw.length == 0) {
		nacre_put_format(text, " UNKNOWN FLAG OPTION");
		return;
	}
	nacre_put_format(text, " UNKNOWN OPTION: ");
	for (size_t i = 0; i < raw.length; i++)
		nacre_put_format(text, "%02x", raw.data[i]);
	nacre_put_format(text, " (len %zu)", raw.length);
}

static void
put_option(struct nacre_buffer *text, struct nacre_span name, struct nacre_span raw)
{
	struct nacre_reader inner = nacre_reader_of(raw);

	nacre_put_format(text, INDENT INDENT);
	keygen_put_safely(text, name);
	if (is_among(name, text_options)) {
		nacre_put_byte(text, ' ');
		keygen_put_safely(text, nacre_get_string(&inner));
	} else if (is_among(name, flag_options)) {
		if (raw.length > 0)
			nacre_fatal("Option corrupt: extra data at end");
	} else {
		put_unknown(text, raw);
	}
	nacre_put_byte(text, '\n');
}

static void
put_options(struct nacre_buffer *text, const char *title, struct nacre_span options)
{
	struct nacre_reader reader = nacre_reader_of(options);

	nacre_put_format(text, INDENT "%s: %s\n", title, options.length == 0 ? "(none)" : "");
	while (!reader.failed && reader.length > 0) {
		struct nacre_span name = nacre_get_string(&reader), raw = nacre_get_string(&reader);

		if (!reader.failed)
			put_option(text, name, raw);
	}
}

static void
put_principals(struct nacre_buffer *text, struct nacre_span principals)
{
	struct nacre_reader reader = nacre_reader_of(principals);
	struct nacre_span name;

	nacre_put_format(text, INDENT "Principals: %s\n", principals.length == 0 ? "(none)" : "");
	while (nacre_certificate_next_principal(&reader, &name)) {
		nacre_put_format(text, INDENT INDENT);
		keygen_put_safely(text, name);
		nacre_put_byte(text, '\n');
	}
}

static void
put_key(struct nacre_buffer *text, const struct keygen *keygen, const char *title,
    const struct nacre_key *key)
{
	nacre_put_format(text, INDENT "%s: %s ", title, nacre_key_type_label(key));
	nacre_key_fingerprint(key, keygen->fingerprint_hash, text);
}

static void
certificate_show(const struct keygen *keygen, const struct nacre_key *key)
{
	const struct nacre_certificate *certificate = nacre_key_certificate(key);
	struct nacre_buffer text = {0};

	nacre_put_format(&text, INDENT "Type: %s %s certificate\n", nacre_key_format(key),
	    certificate->type == NACRE_CERTIFICATE_HOST ? "host" : "user");
	put_key(&text, keygen, "Public key", key);
	nacre_put_byte(&text, '\n');
	put_key(&text, keygen, "Signing CA", certificate->authority);
	nacre_put_format(&text, " (using ");
	nacre_put_span(&text, certificate->signature_algorithm);
	nacre_put_format(&text, ")\n" INDENT "Key ID: \"");
	keygen_put_safely(&text, certificate->key_id);
	nacre_put_format(&text, "\"\n" INDENT "Serial: %llu\n" INDENT "Valid: ",
	    (unsigned long long)certificate->serial);
	keygen_put_validity(&text, certificate->valid_after, certificate->valid_before);
	nacre_put_byte(&text, '\n');
	put_principals(&text, certificate->principals);
	put_options(&text, "Critical Options", certificate->critical_options);
	put_options(&text, "Extensions", certificate->extensions);
	keygen_print(&text);
	nacre_buffer_free(&text);
}

/* Behind the first line each certificate is told with the number of its own. */
static bool
line_show(const struct keygen *keygen, const char *path, struct nacre_span line, unsigned number)
{
	struct nacre_key *key;
	bool shown = false;
	int error;

	if (line.length == 0 || line.data[0] == '#')
		return false;
	if ((error = nacre_key_from_line(line, &key, NULL)) != 0) {
		nacre_log(NACRE_LOG_ERROR, "%s:%u: invalid key: %s", path, number,
		    nacre_error_string(
			error == NACRE_ERROR_UNSUPPORTED ? NACRE_ERROR_FORMAT : error));
		return false;
	}
	if ((shown = nacre_key_is_certificate(key))) {
		if (number == 1)
			printf("%s:\n", path);
		else
			printf("%s:%u:\n", path, number);
		certificate_show(keygen, key);
	} else {
		nacre_log(NACRE_LOG_ERROR, "%s:%u is not a certificate", path, number);
	}
	nacre_key_free(key);
	return shown;
}

int
keygen_show_certificates(const struct keygen *keygen)
{
	char *path = keygen_ask_file(keygen, "Enter file in which the key is", "ed25519");
	const char *name = strcmp(path, "-") == 0 ? "(stdin)" : path;
	struct nacre_buffer content = {0};
	struct nacre_span text;
	bool any = false;
	int error = keygen_read_file(path, FILE_MAX, &content);

	if (error != 0)
		nacre_fatal("ssh-keygen: %s: %s", path, keygen_reason(error));
	text = nacre_buffer_span(&content);
	for (unsigned number = 1; text.length > 0; number++)
		any |= line_show(keygen, name, keygen_next_line(&text), number);
	nacre_buffer_free(&content);
	free(path);
	return any ? EXIT_SUCCESS : EXIT_FAILURE;
}
