/* ssh-keygen: keys in FIDO authenticators, made (-t ed25519-sk, ecdsa-sk) and downloaded (-K). */
#include "keygen.h"

#include <nacre/crypto.h>
#include <nacre/file.h>
#include <nacre/log.h>
#include <nacre/provider.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define APPLICATION   "ssh:"
#define CHALLENGE_MAX ((size_t)64 * 1024)
#define PIN_TRIES     3

/* What -O asks for. */
struct wishes {
	struct nacre_sk_enrollment enrollment;
	struct nacre_buffer challenge;
	const char *device, *attestation; /* or NULL */
};

static const char *
provider_of(const struct keygen *keygen)
{
	return keygen->key_provider != NULL ? keygen->key_provider : getenv("SSH_SK_PROVIDER");
}

void
keygen_have_touched(const struct keygen *keygen, struct nacre_key *key)
{
	const struct nacre_sk sk = {.provider = provider_of(keygen)};

	if (nacre_key_sk_handle(key).length > 0 &&
	    nacre_sk_delegate(key, &sk, NACRE_PROVIDER_ASK, NULL) != 0)
		nacre_fatal("out of memory");
}

static const struct {
	const char *name;
	uint8_t set, clear;
} flags[] = {
    {"no-touch-required", 0, NACRE_SK_USER_PRESENT},
    {"verify-required", NACRE_SK_USER_VERIFIED, 0},
    {"resident", NACRE_SK_RESIDENT, 0},
};

static bool
take_flag(struct wishes *wishes, const char *option)
{
	uint8_t *value = &wishes->enrollment.flags;

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (strcasecmp(option, flags[i].name) == 0) {
			*value = (uint8_t)((*value | flags[i].set) & ~flags[i].clear);
			return true;
		}
	return false;
}

static void
take_challenge(struct wishes *wishes, const char *path)
{
	int error = nacre_file_read(path, CHALLENGE_MAX, &wishes->challenge);

	if (error != 0)
		nacre_fatal("Unable to load FIDO enrollment challenge \"%s\": %s", path,
		    keygen_reason(error));
	wishes->enrollment.challenge = nacre_buffer_span(&wishes->challenge);
}

static void
take_application(struct wishes *wishes, const char *application)
{
	if (strncmp(application, APPLICATION, sizeof APPLICATION - 1) != 0)
		nacre_fatal("FIDO application string must begin with \"" APPLICATION "\"");
	wishes->enrollment.application = application;
}

static void
wishes_read(const struct keygen *keygen, struct wishes *wishes)
{
	*wishes = (struct wishes){
	    .enrollment = {.application = APPLICATION, .flags = NACRE_SK_USER_PRESENT}};
	for (size_t i = 0; i < keygen->option_count; i++) {
		const char *option = keygen->options[i], *value;

		if (take_flag(wishes, option))
			continue;
		if ((value = keygen_option_value(option, "application")) != NULL)
			take_application(wishes, value);
		else if ((value = keygen_option_value(option, "challenge")) != NULL)
			take_challenge(wishes, value);
		else if ((value = keygen_option_value(option, "device")) != NULL)
			wishes->device = value;
		else if ((value = keygen_option_value(option, "user")) != NULL)
			wishes->enrollment.user = value;
		else if ((value = keygen_option_value(option, "write-attestation")) != NULL)
			wishes->attestation = value;
		else
			nacre_fatal(
			    "Option \"%s\" is unsupported for FIDO authenticator enrollment",
			    option);
	}
}

void
keygen_enroll_check(const struct keygen *keygen)
{
	struct wishes wishes;

	wishes_read(keygen, &wishes);
	nacre_buffer_free(&wishes.challenge);
}

/* The PIN as a string in "pin"; the authenticator's structure borrows it. */
static void
ask_pin(struct nacre_sk *sk, struct nacre_buffer *pin)
{
	nacre_buffer_clear(pin);
	keygen_ask_passphrase("Enter PIN for authenticator: ", pin);
	nacre_put_byte(pin, '\0');
	if (pin->failed)
		nacre_fatal("out of memory");
	sk->pin = (const char *)pin->data + pin->start;
}

static const char *
enrollment_reason(int error)
{
	return error == NACRE_ERROR_NOT_FOUND    ? "device not found"
	       : error == NACRE_ERROR_PASSPHRASE ? "incorrect passphrase supplied to decrypt "
						   "private key"
						 : keygen_reason(error);
}

/* A resident key of the same name may go; false when it shall stay. */
static bool
may_replace(const struct wishes *wishes)
{
	char line[16] = "";

	printf("A resident key scoped to '%s' with user id '%s' already exists.\n"
	       "Overwrite key in token (y/n)? ",
	    wishes->enrollment.application,
	    wishes->enrollment.user != NULL ? wishes->enrollment.user : "null");
	fflush(stdout);
	return fgets(line, sizeof line, stdin) != NULL && (line[0] == 'y' || line[0] == 'Y');
}

static struct nacre_key *
enroll(const struct keygen *keygen, struct wishes *wishes, struct nacre_buffer *attestation)
{
	struct nacre_sk sk = {.provider = provider_of(keygen), .device = wishes->device};
	struct nacre_buffer pin = {0};
	struct nacre_key *key = NULL;
	int error = NACRE_ERROR_PASSPHRASE;

	for (unsigned i = 0; i <= PIN_TRIES && key == NULL; i++) {
		if (i > 0 && error == NACRE_ERROR_PASSPHRASE)
			ask_pin(&sk, &pin);
		else if (i > 0 && error == NACRE_ERROR_STATE && may_replace(wishes))
			wishes->enrollment.flags |= NACRE_SK_FORCE;
		else if (i > 0)
			break;
		if (!keygen->quiet)
			puts("You may need to touch your authenticator to authorize key "
			     "generation.");
		fflush(stdout);
		error = nacre_sk_enroll(&sk, &wishes->enrollment, &key, attestation);
	}
	if (error != 0)
		nacre_fatal("Key enrollment failed: %s", enrollment_reason(error));
	nacre_buffer_free(&pin);
	return key;
}

struct nacre_key *
keygen_enroll(const struct keygen *keygen, enum nacre_key_type type)
{
	struct nacre_buffer attestation = {0};
	struct wishes wishes;
	struct nacre_key *key;

	wishes_read(keygen, &wishes);
	wishes.enrollment.type = type;
	key = enroll(keygen, &wishes, wishes.attestation != NULL ? &attestation : NULL);
	if (wishes.attestation != NULL) {
		if (keygen_replace_file(wishes.attestation, 0644, &attestation) != 0)
			nacre_fatal("Unable to save attestation to %s: %s", wishes.attestation,
			    strerror(errno));
		if (!keygen->quiet)
			printf("Your FIDO attestation certificate has been saved in %s\n",
			    wishes.attestation);
	}
	nacre_buffer_free(&attestation);
	nacre_buffer_free(&wishes.challenge);
	return key;
}

/* Resident keys ----------------------------------------------------------------------------- */

/* Appends "_TEXT", with what does not belong into a file's name as "_". */
static void
put_part(struct nacre_buffer *name, struct nacre_span text)
{
	if (text.length == 0 || text.data[0] == '\0')
		return;
	nacre_put_byte(name, '_');
	for (size_t i = 0; i < text.length && text.data[i] != '\0'; i++) {
		const uint8_t byte = text.data[i];
		const bool plain = byte > ' ' && byte < 0x7f && byte != '/' && byte != '\\';

		nacre_put_byte(name, plain ? byte : '_');
	}
}

/* id_ed25519_sk_rk, behind it the rest of the application and the user. */
static void
put_file_name(struct nacre_buffer *name, const struct nacre_sk_resident *resident)
{
	struct nacre_span application = nacre_key_application(resident->key);

	nacre_put_format(name, "id_%s_rk",
	    nacre_key_type(resident->key) == NACRE_KEY_ED25519_SK ? "ed25519_sk" : "ecdsa_sk");
	if (application.length > sizeof APPLICATION - 1)
		put_part(name, (struct nacre_span){application.data + sizeof APPLICATION - 1,
				   application.length - (sizeof APPLICATION - 1)});
	put_part(name, nacre_buffer_span(&resident->user));
	nacre_put_byte(name, '\0');
}

static bool
resident_save(const struct keygen *keygen, const struct nacre_sk_resident *resident,
    struct nacre_span passphrase)
{
	const struct nacre_span application = nacre_key_application(resident->key);
	char *comment = nacre_span_to_string(application), *public;
	struct nacre_buffer name = {0};
	const char *path;
	bool saved = false;
	int error;

	put_file_name(&name, resident);
	if (name.failed || comment == NULL)
		nacre_fatal("out of memory");
	path = (const char *)name.data + name.start;
	if (asprintf(&public, "%s.pub", path) < 0)
		nacre_fatal("out of memory");
	if (!keygen_may_overwrite(path))
		saved = true;
	else if ((error = keygen_save_private(keygen, path, resident->key, comment, passphrase)) !=
		 0)
		nacre_log(
		    NACRE_LOG_ERROR, "Saving key \"%s\" failed: %s", path, keygen_reason(error));
	else if ((error = keygen_save_public(public, resident->key, comment)) != 0)
		nacre_log(NACRE_LOG_ERROR, "Unable to save public key to %s: %s", public,
		    keygen_reason(error));
	else
		saved = printf("Saved %s key%s%s to %s\n", nacre_key_type_label(resident->key),
			    *comment != '\0' ? " " : "", comment, path) > 0;
	free(public);
	free(comment);
	nacre_buffer_free(&name);
	return saved;
}

int
keygen_download(const struct keygen *keygen)
{
	struct nacre_sk sk = {.provider = provider_of(keygen)};
	struct nacre_sk_residents residents = {0};
	struct nacre_buffer pin = {0}, passphrase = {0};
	bool saved = true;
	int error;

	ask_pin(&sk, &pin);
	puts("You may need to touch your authenticator to authorize key download.");
	fflush(stdout);
	if ((error = nacre_sk_load_resident(&sk, &residents)) != 0)
		nacre_fatal("Unable to load resident keys: %s", enrollment_reason(error));
	if (residents.count == 0)
		nacre_log(NACRE_LOG_INFO, "No keys to download");
	else
		keygen_new_passphrase(
		    keygen, "Enter passphrase (empty for no passphrase): ", &passphrase);
	for (size_t i = 0; i < residents.count && saved; i++)
		saved = resident_save(keygen, &residents.list[i], nacre_buffer_span(&passphrase));
	nacre_sk_residents_free(&residents);
	nacre_buffer_free(&pin);
	nacre_buffer_free(&passphrase);
	return saved ? EXIT_SUCCESS : EXIT_FAILURE;
}
