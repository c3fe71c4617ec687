/*
 * Certificates of keys (OpenSSH's PROTOCOL.certkeys): read, verified against their authority's key,
 * looked into. Trust in the authority is decided above.
 */
#include <key/key.h>

#include <stdlib.h>
#include <string.h>

/* The structure that the public view is the first member of. */
struct certificate {
	struct nacre_certificate view;
	struct nacre_key *authority;
	uint8_t *blob;
};

void
certificate_free(struct nacre_certificate *view)
{
	struct certificate *certificate = (struct certificate *)view;

	if (certificate == NULL)
		return;
	nacre_key_free(certificate->authority);
	free(certificate->blob);
	free(certificate);
}

static struct certificate *
certificate_new(struct nacre_span blob)
{
	struct certificate *certificate = calloc(1, sizeof *certificate);

	if (certificate == NULL)
		return NULL;
	if ((certificate->blob = malloc(blob.length)) == NULL) {
		free(certificate);
		return NULL;
	}
	memcpy(certificate->blob, blob.data, blob.length);
	certificate->view.blob = (struct nacre_span){certificate->blob, blob.length};
	return certificate;
}

/* The fields behind the public key, and the signature with what it covers. */
struct certificate_end {
	struct nacre_span authority, signature, signed_part;
};

static void
certificate_read_fields(
    struct nacre_certificate *view, struct nacre_reader *reader, struct certificate_end *end)
{
	view->serial = nacre_get_u64(reader);
	view->type = nacre_get_u32(reader);
	view->key_id = nacre_get_string(reader);
	view->principals = nacre_get_string(reader);
	view->valid_after = nacre_get_u64(reader);
	view->valid_before = nacre_get_u64(reader);
	view->critical_options = nacre_get_string(reader);
	view->extensions = nacre_get_string(reader);
	nacre_get_string(reader); /* reserved */
	end->authority = nacre_get_string(reader);
	end->signed_part = (struct nacre_span){view->blob.data, view->blob.length - reader->length};
	end->signature = nacre_get_string(reader);
}

/* True when a string of principals or options holds whole items only. */
static bool
principals_are_whole(struct nacre_span principals)
{
	struct nacre_reader reader = nacre_reader_of(principals);
	struct nacre_span name;

	while (nacre_certificate_next_principal(&reader, &name))
		if (name.length > 0 && memchr(name.data, '\0', name.length) != NULL)
			return false;
	return nacre_reader_done(&reader);
}

static bool
options_are_whole(struct nacre_span options)
{
	struct nacre_reader reader = nacre_reader_of(options);
	struct nacre_span name, value;

	while (nacre_certificate_next_option(&reader, &name, &value))
		;
	return nacre_reader_done(&reader);
}

static bool
certificate_is_sane(const struct nacre_certificate *view)
{
	return (view->type == NACRE_CERTIFICATE_USER || view->type == NACRE_CERTIFICATE_HOST) &&
	       principals_are_whole(view->principals) &&
	       options_are_whole(view->critical_options) && options_are_whole(view->extensions);
}

/* The authority signs with a plain key; ssh-rsa signatures are verified here and left to the
 * caller's policy by their name. */
static int
certificate_verify(struct certificate *certificate, const struct certificate_end *end)
{
	struct nacre_reader reader = nacre_reader_of(end->signature);
	char *name;
	int error = nacre_key_from_blob(end->authority, &certificate->authority);

	if (error != 0)
		return error;
	if (certificate->authority->certificate != NULL)
		return NACRE_ERROR_FORMAT;
	certificate->view.authority = certificate->authority;
	certificate->view.signature_algorithm = nacre_get_string(&reader);
	if ((name = nacre_span_to_string(certificate->view.signature_algorithm)) == NULL)
		return NACRE_ERROR_FORMAT;
	error = nacre_key_verify(certificate->authority, name, end->signature, end->signed_part);
	free(name);
	return error;
}

/* The authority of a certificate can itself be a certificate only by being malformed, so refuse
 * before reading it: that bounds the depth of reading. */
static bool
authority_is_plain(struct nacre_span blob)
{
	struct nacre_reader reader = nacre_reader_of(blob);
	bool certified = true;

	key_kind_of_format(nacre_get_string(&reader), &certified);
	return !reader.failed && !certified;
}

int
certificate_read(struct nacre_key *key, struct nacre_span blob, struct nacre_reader *reader)
{
	struct certificate *certificate = certificate_new(blob);
	size_t consumed = blob.length - reader->length;
	struct nacre_reader own;
	struct certificate_end end;
	int error;

	if (certificate == NULL)
		return NACRE_ERROR_MEMORY;
	key->certificate = &certificate->view;
	own = nacre_reader_of(certificate->view.blob);
	nacre_get_bytes(&own, consumed);
	nacre_get_string(&own); /* nonce */
	if ((error = key->kind->functions->read_public(key, &own)) != 0)
		return error;
	certificate_read_fields(&certificate->view, &own, &end);
	nacre_get_rest(reader);
	if (!nacre_reader_done(&own) || !certificate_is_sane(&certificate->view) ||
	    !authority_is_plain(end.authority))
		return NACRE_ERROR_FORMAT;
	return certificate_verify(certificate, &end);
}

int
certificate_copy(struct nacre_key *key, const struct nacre_certificate *from)
{
	struct certificate *certificate = certificate_new(from->blob);
	struct nacre_reader reader;
	struct certificate_end end;
	SCOPED_KEY struct nacre_key *skipped = key_new(key->kind);
	int error;

	if (certificate == NULL || skipped == NULL) {
		certificate_free(certificate == NULL ? NULL : &certificate->view);
		return NACRE_ERROR_MEMORY;
	}
	reader = nacre_reader_of(certificate->view.blob);
	nacre_get_string(&reader); /* name */
	nacre_get_string(&reader); /* nonce */
	error = key->kind->functions->read_public(skipped, &reader);
	if (error == 0) {
		certificate_read_fields(&certificate->view, &reader, &end);
		reader = nacre_reader_of(end.signature);
		certificate->view.signature_algorithm = nacre_get_string(&reader);
		error = nacre_key_copy_public(from->authority, &certificate->authority);
	}
	if (error != 0) {
		certificate_free(&certificate->view);
		return error;
	}
	certificate->view.authority = certificate->authority;
	certificate_free(key->certificate);
	key->certificate = &certificate->view;
	return 0;
}

const struct nacre_certificate *
nacre_key_certificate(const struct nacre_key *key)
{
	return key->certificate;
}

int
nacre_key_attach_certificate(struct nacre_key *key, const struct nacre_key *certificate)
{
	if (certificate->certificate == NULL || !nacre_key_equal(key, certificate))
		return NACRE_ERROR_ARGUMENT;
	return certificate_copy(key, certificate->certificate);
}

bool
nacre_certificate_next_principal(struct nacre_reader *reader, struct nacre_span *principal)
{
	if (reader->failed || reader->length == 0)
		return false;
	*principal = nacre_get_string(reader);
	return !reader->failed;
}

bool
nacre_certificate_next_option(
    struct nacre_reader *reader, struct nacre_span *name, struct nacre_span *value)
{
	struct nacre_reader inner;

	if (reader->failed || reader->length == 0)
		return false;
	*name = nacre_get_string(reader);
	*value = nacre_get_string(reader);
	if (value->length > 0) {
		inner = nacre_reader_of(*value);
		*value = nacre_get_string(&inner);
		reader->failed = reader->failed || !nacre_reader_done(&inner);
	}
	return !reader->failed;
}

bool
nacre_certificate_option(struct nacre_span options, const char *name, struct nacre_span *value)
{
	struct nacre_reader reader = nacre_reader_of(options);
	struct nacre_span found_name, found_value;

	while (nacre_certificate_next_option(&reader, &found_name, &found_value)) {
		if (!nacre_span_equals(found_name, name))
			continue;
		if (value != NULL)
			*value = found_value;
		return true;
	}
	return false;
}

static bool
certificate_names(const struct nacre_certificate *certificate, const char *principal)
{
	struct nacre_reader reader = nacre_reader_of(certificate->principals);
	struct nacre_span name;

	while (nacre_certificate_next_principal(&reader, &name))
		if (nacre_span_equals(name, principal))
			return true;
	return false;
}

int
nacre_certificate_check(const struct nacre_certificate *certificate,
    enum nacre_certificate_type type, const char *principal, uint64_t now, const char **reason)
{
	*reason = NULL;
	if (certificate->type != type)
		*reason = type == NACRE_CERTIFICATE_HOST
			      ? "Certificate invalid: not a host certificate"
			      : "Certificate invalid: not a user certificate";
	else if (now < certificate->valid_after)
		*reason = "Certificate invalid: not yet valid";
	else if (now >= certificate->valid_before)
		*reason = "Certificate invalid: expired";
	else if (certificate->principals.length == 0)
		*reason = "Certificate lacks principal list";
	else if (principal != NULL && !certificate_names(certificate, principal))
		*reason = "Certificate invalid: name is not a listed principal";
	return *reason == NULL ? 0 : NACRE_ERROR_REFUSED;
}
