/* ssh-keygen: making keys, one for the user or those of a host (-A). */
#include "keygen.h"

#include <nacre/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define RSA_BITS_MIN 1024
#define RSA_BITS_MAX 16384

/* The types of -t; ECDSA's differ by -b. */
static const struct key_name {
	const char *name;
	enum nacre_key_type type;
	unsigned bits;
} key_names[] = {
    {"ed25519", NACRE_KEY_ED25519, 0},
    {"ecdsa", NACRE_KEY_ECDSA_P256, 256},
    {"ecdsa", NACRE_KEY_ECDSA_P384, 384},
    {"ecdsa", NACRE_KEY_ECDSA_P521, 521},
    {"ed25519-sk", NACRE_KEY_ED25519_SK, 0},
    {"ecdsa-sk", NACRE_KEY_ECDSA_SK, 0},
    {"rsa", NACRE_KEY_RSA, 0},
};

/* Types that others make, and why we do not. */
static const struct {
	const char *name, *reason;
} refused[] = {
    {"dsa", "DSA is too weak for any use; take ed25519"},
    {"ssh-dss", "DSA is too weak for any use; take ed25519"},
    {"mldsa44-ed25519", "this build has no ML-DSA; take ed25519"},
    {"ssh-mldsa44-ed25519@openssh.com", "this build has no ML-DSA; take ed25519"},
};

#define KEY_NAMES (sizeof key_names / sizeof key_names[0])

/* Host keys in the order in which -A makes them. */
static const struct host_key {
	const char *name, *label;
} host_keys[] = {
    {"rsa", "RSA"},
    {"ecdsa", "ECDSA"},
    {"ed25519", "ED25519"},
};

static void
rsa_bits_check(unsigned bits)
{
	if (bits > 0 && bits < RSA_BITS_MIN)
		nacre_fatal("Invalid RSA key length: minimum is %d bits", RSA_BITS_MIN);
	if (bits > RSA_BITS_MAX)
		nacre_fatal("Invalid RSA key length: maximum is %d bits", RSA_BITS_MAX);
}

/* "ssh-ed25519", "ecdsa-sha2-nistp384" and so on say it all. */
static bool
type_of_format(const char *name, unsigned bits, enum nacre_key_type *type)
{
	if (nacre_key_type_of_name(nacre_span_of(name), type) != 0)
		return false;
	if (*type == NACRE_KEY_RSA)
		rsa_bits_check(bits);
	return true;
}

static enum nacre_key_type
key_type_of(const char *name, unsigned bits)
{
	enum nacre_key_type type;
	bool known = false;

	for (size_t i = 0; i < KEY_NAMES; i++) {
		if (strcasecmp(name, key_names[i].name) != 0)
			continue;
		known = true;
		if (key_names[i].type == NACRE_KEY_RSA)
			rsa_bits_check(bits);
		if (bits == 0 || key_names[i].bits == 0 || key_names[i].bits == bits)
			return key_names[i].type;
	}
	if (type_of_format(name, bits, &type))
		return type;
	if (known)
		nacre_fatal("Invalid ECDSA key length: valid lengths are 256, 384 or 521 bits");
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		if (strcasecmp(name, refused[i].name) == 0)
			nacre_fatal("Keys of type %s cannot be made: %s.", name, refused[i].reason);
	nacre_fatal("unknown key type %s", name);
}

/* Makes ~/.ssh for a first key. */
static void
directory_make(const char *path)
{
	char *directory = keygen_home_file("");
	size_t length = strlen(directory);

	if (strncmp(path, directory, length) == 0) {
		directory[length - 1] = '\0';
		if (mkdir(directory, 0700) == 0)
			printf("Created directory '%s'.\n", directory);
		else if (errno != EEXIST)
			nacre_log(NACRE_LOG_ERROR, "Could not create directory '%s': %s", directory,
			    strerror(errno));
	}
	free(directory);
}

static void
fingerprint_show(const struct nacre_key *key, const struct keygen *keygen, const char *comment)
{
	struct nacre_buffer text = {0};

	nacre_put_format(&text, "The key fingerprint is:\n");
	nacre_key_fingerprint(key, keygen->fingerprint_hash, &text);
	nacre_put_format(&text, " %s\nThe key's randomart image is:\n", comment);
	nacre_key_randomart(key, keygen->fingerprint_hash, &text);
	nacre_put_byte(&text, '\n');
	keygen_print(&text);
	nacre_buffer_free(&text);
}

/* Writes both files; says why when that fails. */
static bool
key_save(const struct keygen *keygen, const char *path, const struct nacre_key *key,
    const char *comment, struct nacre_span passphrase)
{
	int error = keygen_save_private(keygen, path, key, comment, passphrase);
	char *public_path;
	bool saved;

	if (error != 0) {
		nacre_log(
		    NACRE_LOG_ERROR, "Saving key \"%s\" failed: %s", path, keygen_reason(error));
		return false;
	}
	if (asprintf(&public_path, "%s.pub", path) < 0)
		nacre_fatal("out of memory");
	saved = (error = keygen_save_public(public_path, key, comment)) == 0;
	if (!saved)
		nacre_log(NACRE_LOG_ERROR, "Unable to save public key to %s: %s", public_path,
		    keygen_reason(error));
	free(public_path);
	return saved;
}

static bool
is_security_key(enum nacre_key_type type)
{
	return type == NACRE_KEY_ED25519_SK || type == NACRE_KEY_ECDSA_SK;
}

static struct nacre_key *
key_make(const struct keygen *keygen, const char *type)
{
	const enum nacre_key_type kind = key_type_of(type, keygen->bits);
	struct nacre_key *key;
	int error;

	if (is_security_key(kind))
		return keygen_enroll(keygen, kind);
	error = nacre_key_generate(kind, keygen->bits, &key);

	if (error != 0)
		nacre_fatal("failed to generate key: %s", nacre_error_string(error));
	return key;
}

static int
key_finish(const struct keygen *keygen, const char *path, const struct nacre_key *key)
{
	struct nacre_buffer passphrase = {0}, user = {0};
	const char *comment;
	bool saved;

	keygen_user_at_host(&user);
	comment = keygen->comment != NULL ? keygen->comment : (const char *)user.data + user.start;
	keygen_new_passphrase(keygen, "Enter passphrase (empty for no passphrase): ", &passphrase);
	saved = key_save(keygen, path, key, comment, nacre_buffer_span(&passphrase));
	if (saved && !keygen->quiet) {
		printf("Your identification has been saved in %s\n"
		       "Your public key has been saved in %s.pub\n",
		    path, path);
		fingerprint_show(key, keygen, comment);
	}
	nacre_buffer_free(&passphrase);
	nacre_buffer_free(&user);
	return saved ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
keygen_generate(const struct keygen *keygen)
{
	const char *type = keygen->type != NULL ? keygen->type : "ed25519";
	struct nacre_key *key;
	char *path;
	int status = EXIT_FAILURE;

	if (is_security_key(key_type_of(type, keygen->bits)))
		keygen_enroll_check(keygen);
	if (!keygen->quiet)
		printf("Generating public/private %s key pair.\n", type);
	fflush(stdout);
	key = key_make(keygen, type);
	path = keygen_ask_file(keygen, "Enter file in which to save the key", type);
	directory_make(path);
	if (keygen_may_overwrite(path))
		status = key_finish(keygen, path, key);
	free(path);
	nacre_key_free(key);
	return status;
}

static bool
host_key_missing(const char *path)
{
	struct stat status;

	return stat(path, &status) != 0 || status.st_size == 0;
}

/* One host key, where there is none; host keys have no passphrase. */
static bool
host_key_make(const struct keygen *keygen, const struct host_key *host_key, bool first)
{
	struct nacre_buffer user = {0};
	struct nacre_key *key;
	char *path;
	bool done = true;

	if (asprintf(&path, "%s%s/ssh_host_%s_key", keygen->file != NULL ? keygen->file : "",
		NACRE_SYSCONFDIR, host_key->name) < 0)
		nacre_fatal("out of memory");
	if (host_key_missing(path)) {
		printf("%s%s ", first ? "ssh-keygen: generating new host keys: " : "",
		    host_key->label);
		fflush(stdout);
		keygen_user_at_host(&user);
		key = key_make(keygen, host_key->name);
		done = key_save(keygen, path, key,
		    keygen->comment != NULL ? keygen->comment : (const char *)user.data,
		    (struct nacre_span){NULL, 0});
		nacre_key_free(key);
		nacre_buffer_free(&user);
	} else {
		free(path);
		return false;
	}
	free(path);
	if (!done)
		exit(EXIT_FATAL);
	return true;
}

int
keygen_host_keys(const struct keygen *keygen)
{
	struct keygen defaults = *keygen;
	bool first = true;

	defaults.bits = 0;
	for (size_t i = 0; i < sizeof host_keys / sizeof host_keys[0]; i++)
		if (host_key_make(&defaults, &host_keys[i], first))
			first = false;
	if (!first)
		putchar('\n');
	return EXIT_SUCCESS;
}
