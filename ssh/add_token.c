/* ssh-add's work on keys that are in devices: PKCS#11 tokens, and authenticators' resident keys. */
#include <ssh/add.h>

#include <nacre/certificate.h>
#include <nacre/log.h>
#include <nacre/prompt.h>
#include <nacre/provider.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Certificates for keys of the token, from files. */
static int
certificates_load(char **files, struct nacre_buffer *certificates)
{
	struct nacre_buffer blob = {0};
	struct nacre_key *key;
	int error;

	for (; *files != NULL; files++) {
		key = NULL;
		error = nacre_key_load_public(*files, &key, NULL);
		if (error == 0 && !nacre_key_is_certificate(key))
			error = NACRE_ERROR_ARGUMENT;
		if (error != 0) {
			fprintf(stderr, "Unable to load certificate %s: %s\n", *files,
			    error == NACRE_ERROR_SYSTEM     ? strerror(errno)
			    : error == NACRE_ERROR_ARGUMENT ? "not a certificate"
							    : nacre_error_string(error));
			nacre_key_free(key);
			nacre_buffer_free(&blob);
			return 1;
		}
		nacre_buffer_clear(&blob);
		nacre_key_put_blob(key, false, &blob);
		nacre_put_string_span(certificates, nacre_buffer_span(&blob));
		nacre_key_free(key);
	}
	nacre_buffer_free(&blob);
	return certificates->failed;
}

int
add_token(struct add_options *options, char **files)
{
	struct nacre_agent_constraints constraints = options->constraints;
	struct nacre_buffer pin = {0}, certificates = {0};
	int error = certificates_load(files, &certificates);

	if (error == 0 &&
	    nacre_prompt("Enter passphrase for PKCS#11: ", NACRE_PROMPT_STDIN, &pin) != 0)
		nacre_buffer_clear(&pin);
	if (error == 0) {
		constraints.certificates = nacre_buffer_span(&certificates);
		constraints.certificates_only = options->certificates_only;
		error = nacre_agent_add_token(
		    options->agent, options->token, nacre_buffer_span(&pin), &constraints);
		if (error == 0)
			fprintf(stderr, "Card added: %s\n", options->token);
		else
			fprintf(stderr, "Could not add card \"%s\": %s\n", options->token,
			    agent_error(error));
	}
	nacre_buffer_free(&pin);
	nacre_buffer_free(&certificates);
	return error != 0 ? 1 : 0;
}

int
remove_token(struct add_options *options)
{
	int error =
	    nacre_agent_remove_token(options->agent, options->token, (struct nacre_span){NULL, 0});

	if (error == 0)
		fprintf(stderr, "Card removed: %s\n", options->token);
	else
		fprintf(stderr, "Could not remove card \"%s\": %s\n", options->token,
		    agent_error(error));
	return error != 0 ? 1 : 0;
}

static int
resident_add(struct add_options *options, const struct nacre_sk_resident *resident)
{
	struct nacre_buffer fingerprint = {0};
	struct nacre_agent_constraints constraints = options->constraints;
	int error;

	constraints.sk_provider = sk_provider(options);
	error = nacre_agent_add(options->agent, resident->key, "", &constraints);

	nacre_key_fingerprint(resident->key, options->fingerprint_hash, &fingerprint);
	nacre_put_byte(&fingerprint, '\0');
	if (error != 0)
		fprintf(stderr, "Unable to add key %s %s: %s\n",
		    nacre_key_type_label(resident->key),
		    (const char *)nacre_buffer_span(&fingerprint).data, agent_error(error));
	else if (!options->quiet) {
		fprintf(stderr, "Resident identity added: %s %s\n",
		    nacre_key_type_label(resident->key),
		    (const char *)nacre_buffer_span(&fingerprint).data);
		tell_constraints(options);
	}
	nacre_buffer_free(&fingerprint);
	return error != 0;
}

static const char *
resident_error(int error)
{
	if (error == NACRE_ERROR_PASSPHRASE)
		return "incorrect passphrase supplied to decrypt private key";
	if (error == NACRE_ERROR_NOT_FOUND)
		return "device not found";
	if (error == NACRE_ERROR_REFUSED)
		return "invalid format";
	return nacre_error_string(error);
}

int
add_residents(struct add_options *options)
{
	struct nacre_sk sk = {.provider = options->sk_provider};
	struct nacre_sk_residents residents;
	struct nacre_buffer pin = {0};
	int error, failed = 0;

	if (nacre_prompt("Enter PIN for authenticator: ", NACRE_PROMPT_STDIN, &pin) != 0)
		nacre_buffer_clear(&pin);
	nacre_put_byte(&pin, '\0');
	sk.pin = (const char *)nacre_buffer_span(&pin).data;
	error = nacre_sk_load_resident(&sk, &residents);
	nacre_buffer_free(&pin);
	if (error != 0) {
		fprintf(stderr, "Unable to load resident keys: %s\n", resident_error(error));
		return 1;
	}
	if (residents.count == 0) {
		fprintf(stderr, "No keys to download\n");
		failed = 1;
	}
	for (size_t i = 0; i < residents.count; i++)
		failed |= resident_add(options, &residents.list[i]);
	nacre_sk_residents_free(&residents);
	return failed;
}
