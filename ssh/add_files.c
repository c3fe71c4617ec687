/* ssh-add's work on key files: load, ask for passphrases, add, remove. */
#include <ssh/add.h>

#include <nacre/certificate.h>
#include <nacre/file.h>
#include <nacre/prompt.h>

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How long a key with an expired certificate stays, seconds: clocks differ. */
#define CERTIFICATE_GRACE  300
#define CERTIFICATE_ENDING "-cert.pub"

const char *
agent_error(int error)
{
	if (error == NACRE_ERROR_REFUSED)
		return "agent refused operation";
	if (error == NACRE_ERROR_CLOSED)
		return "communication with agent failed";
	if (error == NACRE_ERROR_SYSTEM)
		return strerror(errno);
	return nacre_error_string(error);
}

const char *
sk_provider(const struct add_options *options)
{
	return options->sk_provider != NULL && options->sk_provider[0] != '\0'
		   ? options->sk_provider
		   : "internal";
}

/* A file's name in messages. */
static const char *
file_name(const char *path)
{
	return strcmp(path, "-") == 0 ? "(stdin)" : path;
}

struct private_file {
	const char *path;
	struct nacre_key *key;
	char *comment;
};

static int
private_try(struct private_file *file, struct nacre_span passphrase)
{
	struct nacre_buffer text = {0};
	unsigned mode = 0;
	int error;

	if (strcmp(file->path, "-") == 0)
		return nacre_key_load_private_fd(
		    STDIN_FILENO, passphrase, &file->key, &file->comment, NULL);
	error = nacre_key_load_private(file->path, passphrase, &file->key, &file->comment, &mode);
	if (error == NACRE_ERROR_PERMISSION) {
		nacre_key_put_unprotected(file->path, mode, &text);
		fwrite(nacre_buffer_span(&text).data, 1, nacre_buffer_length(&text), stderr);
		nacre_buffer_free(&text);
	}
	return error;
}

/* Asks until a passphrase fits; an empty one gives up. */
static int
private_ask(struct add_options *options, struct private_file *file)
{
	const char *confirm = options->constraints.confirm ? " (will confirm each use)" : "";
	const char *question = "Enter passphrase for ";
	char prompt[PATH_MAX + 128];
	int error;

	do {
		snprintf(prompt, sizeof prompt, "%s%s%s: ", question, file->path, confirm);
		nacre_buffer_clear(&options->passphrase);
		if (nacre_prompt(prompt, NACRE_PROMPT_STDIN, &options->passphrase) != 0 ||
		    nacre_buffer_length(&options->passphrase) == 0)
			return NACRE_ERROR_PASSPHRASE;
		error = private_try(file, nacre_buffer_span(&options->passphrase));
		question = "Bad passphrase, try again for ";
	} while (error == NACRE_ERROR_PASSPHRASE);
	return error;
}

/* Standard input is read once, so it can be asked about only with a passphrase known before. */
static int
private_load(struct add_options *options, struct private_file *file)
{
	int error = private_try(file, nacre_buffer_span(&options->passphrase));

	if (error == NACRE_ERROR_PASSPHRASE && strcmp(file->path, "-") != 0)
		return private_ask(options, file);
	return error;
}

/* The comment in the file, else that of the public key beside it, else the path. */
static int
comment_settle(struct private_file *file)
{
	struct nacre_key *public = NULL;
	char *comment = NULL;

	if (file->comment != NULL && file->comment[0] != '\0')
		return 0;
	if (nacre_key_load_public(file->path, &public, &comment) == 0 &&
	    !nacre_key_equal(public, file->key)) {
		free(comment);
		comment = NULL;
	}
	nacre_key_free(public);
	free(file->comment);
	if (comment == NULL || comment[0] == '\0') {
		free(comment);
		comment = strdup(file_name(file->path));
	}
	file->comment = comment;
	return comment != NULL ? 0 : NACRE_ERROR_MEMORY;
}

void
tell_constraints(const struct add_options *options)
{
	if (options->quiet)
		return;
	if (options->constraints.lifetime != 0)
		fprintf(stderr, "Lifetime set to %u seconds\n", options->constraints.lifetime);
	if (options->constraints.confirm)
		fprintf(stderr, "The user must confirm each use of the key\n");
}

static int
add_plain(const struct add_options *options, const struct private_file *file)
{
	struct nacre_agent_constraints constraints = options->constraints;
	int error;

	if (nacre_key_application(file->key).length > 0)
		constraints.sk_provider = sk_provider(options);
	error = nacre_agent_add(options->agent, file->key, file->comment, &constraints);

	if (error != 0) {
		fprintf(
		    stderr, "Could not add identity \"%s\": %s\n", file->path, agent_error(error));
		return 1;
	}
	if (!options->quiet)
		fprintf(stderr, "Identity added: %s (%s)\n", file_name(file->path), file->comment);
	tell_constraints(options);
	return 0;
}

/* A certificate that ends leaves the agent soon after its end, unless a lifetime was asked for. */
static struct nacre_agent_constraints
certificate_constraints(
    const struct add_options *options, const struct nacre_certificate *certificate)
{
	struct nacre_agent_constraints constraints = options->constraints;
	uint64_t now = (uint64_t)time(NULL), left;

	if (constraints.lifetime != 0 || options->no_certificate_expiry ||
	    certificate->valid_before == UINT64_MAX)
		return constraints;
	left = certificate->valid_before > now ? certificate->valid_before - now : 0;
	left += CERTIFICATE_GRACE;
	constraints.lifetime = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
	return constraints;
}

static int
add_attached(const struct add_options *options, struct private_file *file, const char *path,
    const struct nacre_key *certificate)
{
	const struct nacre_certificate *fields = nacre_key_certificate(certificate);
	struct nacre_agent_constraints constraints;
	int error;

	if (fields == NULL || nacre_key_attach_certificate(file->key, certificate) != 0) {
		fprintf(stderr, "Certificate %s does not match private key %s\n", path, file->path);
		return 1;
	}
	constraints = certificate_constraints(options, fields);
	if (nacre_key_application(file->key).length > 0)
		constraints.sk_provider = sk_provider(options);
	error = nacre_agent_add(options->agent, file->key, file->comment, &constraints);
	if (error != 0) {
		fprintf(stderr, "Certificate %s (%.*s) add failed: %s\n", path,
		    (int)fields->key_id.length, (const char *)fields->key_id.data,
		    agent_error(error));
		return 1;
	}
	if (!options->quiet) {
		fprintf(stderr, "Certificate added: %s (%.*s)\n", path, (int)fields->key_id.length,
		    (const char *)fields->key_id.data);
		tell_constraints(options);
	}
	return 0;
}

/* The certificate beside a key, if there is one. */
static int
certificate_load(const char *path, char *certificate_path, struct nacre_key **certificate)
{
	int error;

	if ((size_t)snprintf(certificate_path, PATH_MAX, "%s" CERTIFICATE_ENDING, path) >= PATH_MAX)
		return NACRE_ERROR_NOT_FOUND;
	if (access(certificate_path, F_OK) != 0)
		return NACRE_ERROR_NOT_FOUND;
	error = nacre_key_load_public(certificate_path, certificate, NULL);
	if (error != 0)
		fprintf(stderr, "Failed to load certificate \"%s\": %s\n", certificate_path,
		    error == NACRE_ERROR_SYSTEM ? strerror(errno) : nacre_error_string(error));
	return error;
}

static int
add_loaded(struct add_options *options, struct private_file *file)
{
	struct nacre_key *certificate = NULL;
	char path[PATH_MAX];
	int result = 0, error;

	if (comment_settle(file) != 0)
		return 1;
	if (!options->certificates_only)
		result = add_plain(options, file);
	if (options->keys_only || strcmp(file->path, "-") == 0)
		return result;
	error = certificate_load(file->path, path, &certificate);
	if (error == 0 && add_attached(options, file, path, certificate) != 0)
		result = 1;
	nacre_key_free(certificate);
	return result;
}

int
add_file(struct add_options *options, const char *path)
{
	struct private_file file = {.path = path};
	int error, result = 1;

	if (strcmp(path, "-") != 0 && access(path, R_OK) != 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	error = private_load(options, &file);
	if (error == 0)
		result = add_loaded(options, &file);
	else if (error != NACRE_ERROR_PERMISSION && error != NACRE_ERROR_PASSPHRASE)
		fprintf(stderr, "Error loading key \"%s\": %s\n", file_name(path),
		    error == NACRE_ERROR_SYSTEM ? strerror(errno) : nacre_error_string(error));
	else if (error == NACRE_ERROR_PASSPHRASE && strcmp(path, "-") == 0)
		fprintf(stderr, "Error loading key \"(stdin)\": %s\n", nacre_error_string(error));
	nacre_key_free(file.key);
	free(file.comment);
	return result;
}

static int
remove_key(const struct add_options *options, const struct nacre_key *key, const char *path,
    const char *comment)
{
	struct nacre_buffer blob = {0};
	int error = nacre_key_put_blob(key, false, &blob);

	if (error == 0)
		error = nacre_agent_remove(options->agent, nacre_buffer_span(&blob));
	nacre_buffer_free(&blob);
	if (error != 0) {
		fprintf(stderr, "Could not remove identity \"%s\": %s\n", path, agent_error(error));
		return 1;
	}
	if (!options->quiet)
		fprintf(stderr, "Identity removed: %s %s (%s)\n", path, nacre_key_type_label(key),
		    comment != NULL ? comment : "");
	return 0;
}

/* A public key on standard input. */
static int
public_from_input(struct nacre_key **key, char **comment)
{
	struct nacre_buffer text = {0};
	struct nacre_span rest = {NULL, 0};
	int error = nacre_file_read("/dev/stdin", 65536, &text);

	if (error == 0)
		error = nacre_key_from_line(nacre_buffer_span(&text), key, &rest);
	if (error == 0)
		*comment = nacre_span_to_string(rest);
	nacre_buffer_free(&text);
	return error;
}

int
remove_file(struct add_options *options, const char *path)
{
	struct nacre_key *key = NULL, *certificate = NULL;
	char certificate_path[PATH_MAX], *comment = NULL;
	bool input = strcmp(path, "-") == 0;
	int error, result = 0;

	error =
	    input ? public_from_input(&key, &comment) : nacre_key_load_public(path, &key, &comment);
	if (error != 0) {
		fprintf(stderr, "Bad key file %s: %s\n", path,
		    error == NACRE_ERROR_SYSTEM ? strerror(errno) : nacre_error_string(error));
		return 1;
	}
	if (!options->certificates_only)
		result = remove_key(options, key, path, comment);
	if (!options->keys_only && !input &&
	    certificate_load(path, certificate_path, &certificate) == 0 &&
	    remove_key(options, certificate, certificate_path, comment) != 0)
		result = 1;
	nacre_key_free(key);
	nacre_key_free(certificate);
	free(comment);
	return result;
}

int
for_default_files(
    struct add_options *options, int (*each)(struct add_options *options, const char *path))
{
	static const char *const names[] = {
	    "id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"};
	const struct passwd *entry = getpwuid(getuid());
	const char *home = getenv("HOME");
	char path[PATH_MAX];
	bool found = false, failed = false;

	if (home == NULL || home[0] == '\0')
		home = entry != NULL ? entry->pw_dir : "/";
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if ((size_t)snprintf(path, sizeof path, "%s/.ssh/%s", home, names[i]) >=
			sizeof path ||
		    access(path, F_OK) != 0)
			continue;
		if (each(options, path) == 0)
			found = true;
		else
			failed = true;
	}
	return found && !failed ? 0 : 1;
}
