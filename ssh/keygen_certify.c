/* ssh-keygen -s: certificates of users' and hosts' keys. */
#include "keygen.h"

#include <nacre/log.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRINCIPALS_MAX 256

/* "rsa-sha2-256" and so on with an RSA authority; NULL: its best. */
static const char *
signature_algorithm(const struct keygen *keygen, const struct nacre_key *authority)
{
	const struct nacre_span name = nacre_span_of(keygen->type != NULL ? keygen->type : "");

	if (keygen->type == NULL)
		return NULL;
	if (nacre_key_type(authority) != NACRE_KEY_RSA ||
	    !nacre_signature_algorithm_fits(name, authority))
		nacre_fatal("CA key type %s doesn't match specified %s",
		    nacre_key_format(authority), keygen->type);
	return keygen->type;
}

static void
check_principals(const char *names)
{
	size_t count = 1;

	if (names == NULL)
		return;
	for (const char *at = names; *at != '\0'; at++)
		if (*at == ',')
			count++;
	if (count > PRINCIPALS_MAX)
		nacre_fatal("Too many certificate principals specified");
	if (*names == '\0' || *names == ',' || names[strlen(names) - 1] == ',' ||
	    strstr(names, ",,") != NULL)
		nacre_fatal("Empty principal name");
}

/* The certificate of KEY.pub goes to KEY-cert.pub. */
static char *
certificate_path(const char *path)
{
	const size_t length = strlen(path);
	const bool ends = length > 4 && strcmp(path + length - 4, ".pub") == 0;
	char *made;

	if (asprintf(&made, "%.*s-cert.pub", (int)(ends ? length - 4 : length), path) < 0)
		nacre_fatal("out of memory");
	return made;
}

/* What is needed for each of the keys. */
struct certification {
	const struct keygen *keygen;
	struct nacre_key *authority;
	const char *algorithm;
	struct nacre_certificate_body body;
};

static struct nacre_key *
certificate_make(const struct certification *job, const struct nacre_key *key, const char *path)
{
	struct nacre_buffer blob = {0}, signature = {0};
	struct nacre_key *certificate = NULL;
	int error = nacre_certificate_put_body(key, job->authority, &job->body, &blob);

	if (error == 0)
		error = nacre_key_sign(
		    job->authority, job->algorithm, nacre_buffer_span(&blob), &signature);
	if (error != 0)
		nacre_fatal("Couldn't certify key %s: %s", path, keygen_reason(error));
	nacre_put_string_span(&blob, nacre_buffer_span(&signature));
	/* Reading it verifies what a token, an agent or faulty hardware has signed. */
	error = nacre_key_from_blob(nacre_buffer_span(&blob), &certificate);
	if (error != 0)
		nacre_fatal("Couldn't certify key %s: %s", path, nacre_error_string(error));
	nacre_buffer_free(&blob);
	nacre_buffer_free(&signature);
	return certificate;
}

static void
tell(const struct certification *job, const char *path)
{
	const struct nacre_certificate_body *body = &job->body;
	struct nacre_buffer text = {0};

	keygen_put_validity(&text, body->valid_after, body->valid_before);
	nacre_log(NACRE_LOG_INFO, "Signed %s key %s: id \"%s\" serial %llu%s%s valid %.*s",
	    body->type == NACRE_CERTIFICATE_HOST ? "host" : "user", path, body->key_id,
	    (unsigned long long)body->serial, body->principals != NULL ? " for " : "",
	    body->principals != NULL ? body->principals : "", (int)nacre_buffer_length(&text),
	    (const char *)text.data);
	nacre_buffer_free(&text);
}

static void
certify(const struct certification *job, const char *path)
{
	char *comment, *to = certificate_path(path);
	struct nacre_key *key, *certificate;
	int error;

	key = keygen_load_public(path, &comment, "load pubkey \"%s\"", path);

	if (nacre_key_is_certificate(key))
		nacre_fatal("do_ca_sign: key \"%s\" type %s cannot be certified", path,
		    nacre_key_type_label(key));
	certificate = certificate_make(job, key, path);
	if ((error = keygen_save_public(to, certificate, comment)) != 0)
		nacre_fatal("Unable to save public key to %s: %s", to, keygen_reason(error));
	if (!job->keygen->quiet)
		tell(job, to);
	nacre_key_free(certificate);
	nacre_key_free(key);
	free(comment);
	free(to);
}

int
keygen_certify(const struct keygen *keygen)
{
	struct nacre_buffer critical = {0}, extensions = {0};
	struct certification job = {.keygen = keygen};

	if (keygen->identity == NULL)
		nacre_fatal("Must specify key id (-I) when certifying");
	keygen_certificate_options(keygen, &critical, &extensions);
	check_principals(keygen->names);
	job.body = (struct nacre_certificate_body){
	    .type = keygen->host_certificate ? NACRE_CERTIFICATE_HOST : NACRE_CERTIFICATE_USER,
	    .serial = keygen->serial,
	    .key_id = keygen->identity,
	    .principals = keygen->names,
	    .valid_before = UINT64_MAX,
	    .critical_options = nacre_buffer_span(&critical),
	    .extensions = nacre_buffer_span(&extensions),
	};
	if (keygen->validity != NULL)
		keygen_validity_parse(
		    keygen->validity, &job.body.valid_after, &job.body.valid_before);
	job.authority = keygen_load_authority(keygen);
	job.algorithm = signature_algorithm(keygen, job.authority);
	for (size_t i = 0; i < keygen->file_count; i++) {
		certify(&job, keygen->files[i]);
		job.body.serial += keygen->serial_counts;
	}
	nacre_key_free(job.authority);
	nacre_buffer_free(&critical);
	nacre_buffer_free(&extensions);
	return EXIT_SUCCESS;
}
