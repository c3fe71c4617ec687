/* ssh-keygen -Y: signatures of files, made and verified. */
#include "keygen.h"

#include <nacre/allowed_signers.h>
#include <nacre/authorized_keys.h>
#include <nacre/config.h>
#include <nacre/file.h>
#include <nacre/log.h>
#include <nacre/pattern.h>
#include <nacre/sshsig.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define SIGNATURE_MAX ((size_t)1024 * 1024)
#define SIGNERS_MAX   ((size_t)64 * 1024 * 1024)

/* What the last search of a file says where nothing was found, to scripts that look at it. */
enum { STATUS_NOT_FOUND = 210, STATUS_FILE = 232, STATUS_LINE = 252 };

/* The options of -O. */
struct settings {
	const char *hash;
	bool print_key;
	uint64_t time; /* of verifying */
};

/* Signing ---------------------------------------------------------------------------------- */

static bool
signing_options(const struct keygen *keygen, struct settings *settings)
{
	for (size_t i = 0; i < keygen->option_count; i++) {
		const char *value = keygen_option_value(keygen->options[i], "hashalg");

		if (value == NULL) {
			nacre_log(NACRE_LOG_ERROR, "Invalid option \"%s\"", keygen->options[i]);
			return false;
		}
		settings->hash = value;
	}
	return true;
}

/* The signature of what a descriptor gives, as text. "name" is for complaints. */
static bool
message_sign(const struct keygen *keygen, struct nacre_key *key, const char *hash, int fd,
    const char *name, struct nacre_buffer *text)
{
	uint8_t digest[NACRE_SSHSIG_DIGEST_MAX];
	struct nacre_buffer data = {0}, signature = {0};
	struct nacre_span algorithm = nacre_span_of(hash);
	size_t length;
	int error = nacre_sshsig_digest(fd, algorithm, digest, &length);

	if (error == NACRE_ERROR_UNSUPPORTED)
		nacre_log(NACRE_LOG_ERROR, "Unsupported hash algorithm \"%s\"", hash);
	if (error == 0)
		error = nacre_sshsig_put_signed(nacre_span_of(keygen->names), algorithm,
		    (struct nacre_span){digest, length}, &data);
	if (error == 0)
		error = nacre_key_sign(key, NULL, nacre_buffer_span(&data), &signature);
	if (error == 0)
		error =
		    nacre_sshsig_put(key, keygen->names, hash, nacre_buffer_span(&signature), text);
	if (error != 0)
		nacre_log(NACRE_LOG_ERROR, "Signing %s failed: %s", name, keygen_reason(error));
	nacre_buffer_free(&data);
	nacre_buffer_free(&signature);
	return error == 0;
}

static bool
sign_input(const struct keygen *keygen, struct nacre_key *key, const char *hash)
{
	struct nacre_buffer text = {0};
	bool done;

	if (!keygen->quiet)
		fputs("Signing data on standard input\n", stderr);
	done = message_sign(keygen, key, hash, STDIN_FILENO, "(stdin)", &text);
	keygen_print(&text);
	nacre_buffer_free(&text);
	return done;
}

static bool
signature_save(const struct keygen *keygen, const char *path, const struct nacre_buffer *text)
{
	if (!keygen_may_overwrite(path))
		return true;
	if (!keygen->quiet)
		fprintf(stderr, "Write signature to %s\n", path);
	if (keygen_replace_file(path, 0666, text) == 0)
		return true;
	nacre_log(NACRE_LOG_ERROR, "Unable to write %s: %s", path, strerror(errno));
	return false;
}

static bool
sign_file(const struct keygen *keygen, struct nacre_key *key, const char *hash, const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct nacre_buffer text = {0};
	char *to;
	bool done;

	if (fd < 0) {
		nacre_log(NACRE_LOG_ERROR, "Cannot open %s for signing: %s", path, strerror(errno));
		return false;
	}
	if (asprintf(&to, "%s.sig", path) < 0)
		nacre_fatal("out of memory");
	if (!keygen->quiet)
		fprintf(stderr, "Signing file %s\n", path);
	done =
	    message_sign(keygen, key, hash, fd, path, &text) && signature_save(keygen, to, &text);
	close(fd);
	nacre_buffer_free(&text);
	free(to);
	return done;
}

static int
sign(const struct keygen *keygen)
{
	struct settings settings = {.hash = "sha512"};
	struct nacre_key *key;
	bool done = true;

	if (!signing_options(keygen, &settings))
		return EXIT_FATAL;
	key = keygen_load_signer(keygen);
	if (keygen->file_count == 0)
		done = sign_input(keygen, key, settings.hash);
	for (size_t i = 0; i < keygen->file_count && done; i++)
		done = strcmp(keygen->files[i], "-") == 0
			   ? sign_input(keygen, key, settings.hash)
			   : sign_file(keygen, key, settings.hash, keygen->files[i]);
	nacre_key_free(key);
	return done ? EXIT_SUCCESS : EXIT_FATAL;
}

/* Verifying -------------------------------------------------------------------------------- */

static bool
verifying_options(const struct keygen *keygen, bool may_print, struct settings *settings)
{
	settings->time = (uint64_t)time(NULL);
	for (size_t i = 0; i < keygen->option_count; i++) {
		const char *option = keygen->options[i];
		const char *value = keygen_option_value(option, "verify-time");

		if (value != NULL) {
			if (nacre_parse_date(value, &settings->time) != 0) {
				nacre_log(NACRE_LOG_ERROR, "Invalid \"verify-time\" option");
				return false;
			}
		} else if (may_print && strcasecmp(option, "print-pubkey") == 0) {
			settings->print_key = true;
		} else {
			nacre_log(NACRE_LOG_ERROR, "Invalid option \"%s\"", option);
			return false;
		}
	}
	return true;
}

static bool
signature_load(const char *path, struct nacre_sshsig *signature)
{
	struct nacre_buffer text = {0};
	const char *reason = NULL;
	int error = nacre_file_read(path, SIGNATURE_MAX, &text);

	if (error != 0)
		nacre_log(
		    NACRE_LOG_ERROR, "Couldn't read signature file: %s", keygen_reason(error));
	else if ((error = nacre_sshsig_read(nacre_buffer_span(&text), signature, &reason)) != 0)
		nacre_log(NACRE_LOG_ERROR, "Couldn't parse signature: %s",
		    reason != NULL ? reason : nacre_error_string(error));
	nacre_buffer_free(&text);
	return error == 0;
}

/* Does the signature cover what standard input gives, in this namespace? */
static bool
message_verify(const struct keygen *keygen, const struct nacre_sshsig *signature)
{
	uint8_t digest[NACRE_SSHSIG_DIGEST_MAX];
	size_t length;
	int error;

	if (!nacre_span_equals(signature->name_space, keygen->names)) {
		nacre_log(NACRE_LOG_ERROR, "Couldn't verify signature: namespace does not match");
		return false;
	}
	error = nacre_sshsig_digest(STDIN_FILENO, signature->hash, digest, &length);
	if (error == NACRE_ERROR_UNSUPPORTED)
		nacre_log(NACRE_LOG_ERROR, "Unsupported hash algorithm \"%.*s\"",
		    (int)signature->hash.length, (const char *)signature->hash.data);
	else if (error != 0)
		nacre_log(NACRE_LOG_ERROR, "Couldn't read message: %s", keygen_reason(error));
	if (error != 0)
		return false;
	error = nacre_sshsig_verify(signature, (struct nacre_span){digest, length});
	if (error != 0)
		nacre_log(NACRE_LOG_ERROR, "Signature verification failed: %s",
		    nacre_error_string(error));
	return error == 0;
}

static bool
is_revoked(const struct keygen *keygen, const struct nacre_key *key)
{
	struct nacre_buffer message = {0};
	bool revoked;

	if (keygen->record_name == NULL)
		return false;
	revoked = nacre_key_is_revoked(
	    keygen->record_name, key, "signing key", NACRE_FINGERPRINT_SHA256, &message);
	if (revoked)
		nacre_log_lines(NACRE_LOG_DEBUG3, nacre_buffer_span(&message));
	nacre_buffer_free(&message);
	return revoked;
}

/* A file of allowed signers, read line by line. */
struct signers {
	const char *path;
	unsigned number;
	struct nacre_span rest;
	struct nacre_buffer content, message;
};

static bool
signers_open(struct signers *signers, const char *path)
{
	int error = nacre_file_read(path, SIGNERS_MAX, &signers->content);

	signers->path = path;
	signers->rest = nacre_buffer_span(&signers->content);
	if (error != 0)
		nacre_log(NACRE_LOG_ERROR, "Unable to open allowed keys file \"%s\": %s", path,
		    keygen_reason(error));
	return error == 0;
}

static bool
signers_next(struct signers *signers, struct nacre_span *line)
{
	signers->number++;
	return nacre_line_next(&signers->rest, line);
}

/* What there is to say about the line. */
static void
signers_complain(struct signers *signers)
{
	const struct nacre_span message = nacre_buffer_span(&signers->message);

	if (message.length > 0)
		nacre_log(NACRE_LOG_ERROR, "%s:%u: %.*s", signers->path, signers->number,
		    (int)message.length, (const char *)message.data);
	nacre_buffer_clear(&signers->message);
}

static void
signers_close(struct signers *signers)
{
	nacre_buffer_free(&signers->content);
	nacre_buffer_free(&signers->message);
}

static bool
line_allows(const struct keygen *keygen, struct signers *signers, struct nacre_span line,
    const struct nacre_key *key, uint64_t now)
{
	struct nacre_allowed_signer signer;
	int error = nacre_allowed_signer_read(line, keygen->identity, &signer, &signers->message);

	if (error == 0) {
		error = nacre_allowed_signer_check(
		    &signer, key, keygen->identity, keygen->names, now, &signers->message);
		nacre_allowed_signer_free(&signer);
	}
	signers_complain(signers);
	return error == 0;
}

static bool
is_allowed(const struct keygen *keygen, const struct nacre_key *key, uint64_t now)
{
	struct signers signers = {0};
	struct nacre_span line;
	bool allowed = false;

	if (signers_open(&signers, keygen->file))
		while (!allowed && signers_next(&signers, &line))
			allowed = line_allows(keygen, &signers, line, key, now);
	signers_close(&signers);
	return allowed;
}

static void
tell(const struct keygen *keygen, const struct nacre_key *key, bool print_key)
{
	const char *who = keygen->identity;
	struct nacre_buffer text = {0};

	if (!keygen->quiet) {
		nacre_put_format(&text, "Good \"%s\" signature %s%s%swith %s key ", keygen->names,
		    who != NULL ? "for " : "", who != NULL ? who : "", who != NULL ? " " : "",
		    nacre_key_type_label(key));
		nacre_key_fingerprint(key, keygen->fingerprint_hash, &text);
		nacre_put_byte(&text, '\n');
	}
	if (print_key) {
		nacre_key_put_line(key, NULL, &text);
		nacre_put_byte(&text, '\n');
	}
	keygen_print(&text);
	nacre_buffer_free(&text);
}

/* With allowed signers, or without them. */
static int
verify_with(const struct keygen *keygen, bool validate)
{
	struct settings settings = {0};
	struct nacre_sshsig signature = {0};
	bool good = verifying_options(keygen, true, &settings) &&
		    signature_load(keygen->authority, &signature) &&
		    message_verify(keygen, &signature) &&
		    (!validate || (!is_revoked(keygen, signature.key) &&
				      is_allowed(keygen, signature.key, settings.time)));

	if (good)
		tell(keygen, signature.key, settings.print_key);
	else
		fputs("Could not verify signature.\n", stdout);
	nacre_sshsig_free(&signature);
	return good ? EXIT_SUCCESS : EXIT_FATAL;
}

static int
verify(const struct keygen *keygen)
{
	return verify_with(keygen, true);
}

static int
check_novalidate(const struct keygen *keygen)
{
	struct keygen nobody = *keygen;

	nobody.identity = NULL;
	return verify_with(&nobody, false);
}

/* Principals ------------------------------------------------------------------------------- */

/* Those of the patterns that there are. */
static void
print_patterns(const char *patterns)
{
	struct nacre_span list = nacre_span_of(patterns), name;

	while ((name = nacre_list_next(&list)).length > 0)
		printf("%.*s\n", (int)name.length, (const char *)name.data);
}

/* Those of the certificate that the line's patterns fit; false when there is none. */
static bool
print_certified(const struct nacre_allowed_signer *signer,
    const struct nacre_certificate *certificate, uint64_t now)
{
	struct nacre_reader reader = nacre_reader_of(certificate->principals);
	struct nacre_span name;
	const char *reason;
	bool any = false;

	if (nacre_certificate_check(certificate, NACRE_CERTIFICATE_USER, NULL, now, &reason) != 0)
		return false;
	while (nacre_certificate_next_principal(&reader, &name))
		if (nacre_pattern_list(name, nacre_span_of(signer->principals), false) ==
		    NACRE_MATCH_FOUND) {
			printf("%.*s\n", (int)name.length, (const char *)name.data);
			any = true;
		}
	return any;
}

/* A line without a principal that fits is passed over like one about another key. */
static bool
line_names(
    struct signers *signers, struct nacre_span line, const struct nacre_key *key, uint64_t now)
{
	const struct nacre_certificate *certificate = nacre_key_certificate(key);
	struct nacre_allowed_signer signer;
	int error = nacre_allowed_signer_read(line, NULL, &signer, &signers->message);

	if (error == 0) {
		error =
		    nacre_allowed_signer_check(&signer, key, NULL, NULL, now, &signers->message);
		if (error == 0 && !signer.authority) {
			print_patterns(signer.principals);
		} else if (error == 0 && !print_certified(&signer, certificate, now)) {
			error = NACRE_ERROR_REFUSED;
			nacre_put_format(&signers->message, "no valid principals found");
		}
		nacre_allowed_signer_free(&signer);
	}
	signers_complain(signers);
	return error == 0;
}

static int
find_principals(const struct keygen *keygen)
{
	struct settings settings = {0};
	struct nacre_sshsig signature = {0};
	struct signers signers = {0};
	struct nacre_span line;
	bool found = false;

	if (verifying_options(keygen, false, &settings) &&
	    signature_load(keygen->authority, &signature) && signers_open(&signers, keygen->file))
		while (!found && signers_next(&signers, &line))
			found = line_names(&signers, line, signature.key, settings.time);
	if (!found)
		fputs("No principal matched.\n", stderr);
	signers_close(&signers);
	nacre_sshsig_free(&signature);
	return found ? EXIT_SUCCESS : EXIT_FATAL;
}

/* 0: the line's patterns fit the identity. */
static int
line_matches(const struct keygen *keygen, struct signers *signers, struct nacre_span line,
    struct nacre_buffer *found)
{
	struct nacre_allowed_signer signer;
	int error = nacre_allowed_signer_read(line, keygen->identity, &signer, &signers->message);

	signers_complain(signers);
	if (error != 0)
		return error;
	nacre_put_format(found, "%s\n", signer.principals);
	nacre_allowed_signer_free(&signer);
	return 0;
}

/* Lines before one that is broken do not count. */
static int
match_principals(const struct keygen *keygen)
{
	int status = STATUS_FILE, error = NACRE_ERROR_NOT_FOUND;
	struct signers signers = {0};
	struct nacre_buffer found = {0};
	struct nacre_span line;

	if (signers_open(&signers, keygen->file)) {
		while (error != NACRE_ERROR_FORMAT && signers_next(&signers, &line))
			error = line_matches(keygen, &signers, line, &found);
		status = error == NACRE_ERROR_FORMAT        ? STATUS_LINE
			 : nacre_buffer_length(&found) == 0 ? STATUS_NOT_FOUND
							    : EXIT_SUCCESS;
	}
	if (status != EXIT_SUCCESS)
		fputs("No principal matched.\n", stderr);
	else
		keygen_print(&found);
	signers_close(&signers);
	nacre_buffer_free(&found);
	return status;
}

/* The command line -------------------------------------------------------------------------- */

/* What an operation cannot do without, in the order in which it is missed. */
enum need { NEED_END, NEED_NAMESPACE, NEED_KEY, NEED_SIGNATURE, NEED_SIGNERS, NEED_IDENTITY };

static const struct operation {
	const char *name;
	int (*run)(const struct keygen *keygen);
	const char *separator; /* in the complaint */
	enum need needs[5];
} operations[] = {
    {"find-principals", find_principals, ":", {NEED_SIGNATURE, NEED_SIGNERS}},
    {"match-principals", match_principals, ":", {NEED_SIGNERS, NEED_IDENTITY}},
    {"sign", sign, ": ", {NEED_NAMESPACE, NEED_KEY}},
    {"check-novalidate", check_novalidate, ": ", {NEED_NAMESPACE, NEED_SIGNATURE}},
    {"verify", verify, ": ", {NEED_NAMESPACE, NEED_SIGNATURE, NEED_SIGNERS, NEED_IDENTITY}},
};

/* What is missing, or NULL. */
static const char *
missing(const struct keygen *keygen, enum need need)
{
	const char *const values[] = {
	    "", keygen->names, keygen->file, keygen->authority, keygen->file, keygen->identity};
	static const char *const texts[] = {
	    "", "namespace", "key", "signature file", "allowed keys file", "principal identity"};

	return values[need] == NULL || (need == NEED_NAMESPACE && *values[need] == '\0')
		   ? texts[need]
		   : NULL;
}

static void
check_needs(const struct keygen *keygen, const struct operation *operation)
{
	for (const enum need *need = operation->needs; *need != NEED_END; need++) {
		const char *what = missing(keygen, *need);

		if (what == NULL)
			continue;
		if (operation->run == match_principals && *need == NEED_IDENTITY)
			nacre_log(NACRE_LOG_ERROR,
			    "Too few arguments for match-principals: missing principal ID");
		else
			nacre_log(NACRE_LOG_ERROR, "Too few arguments for %s%smissing %s",
			    operation->name, operation->separator, what);
		exit(EXIT_FAILURE);
	}
}

int
keygen_signature(const struct keygen *keygen)
{
	for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
		if (strcmp(keygen->operation, operations[i].name) != 0)
			continue;
		check_needs(keygen, &operations[i]);
		return operations[i].run(keygen);
	}
	nacre_log(NACRE_LOG_ERROR, "Unsupported operation for -Y: \"%s\"", keygen->operation);
	keygen_usage();
}
