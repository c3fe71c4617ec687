/* Signing and verifying: signature blobs (RFC 4253 section 6.6) around what the families do. */
#include <key/key.h>

/* The algorithm to sign with: the named one, or the first of the key's list. */
static const struct signature_algorithm *
signing_algorithm(const struct nacre_key *key, const char *name)
{
	struct nacre_span list = nacre_span_of(key->kind->algorithms);
	struct nacre_span wanted = name != NULL ? nacre_span_of(name) : nacre_list_next(&list);
	bool certified;

	if (!nacre_signature_algorithm_fits(wanted, key))
		return NULL;
	return signature_algorithm_find(wanted, &certified);
}

int
nacre_key_sign(const struct nacre_key *key, const char *algorithm, struct nacre_span data,
    struct nacre_buffer *signature)
{
	const struct signature_algorithm *chosen = signing_algorithm(key, algorithm);
	SCOPED_BUFFER struct nacre_buffer blob = {0};
	int error;

	if (key->delegate.sign != NULL && chosen != NULL)
		return key->delegate.sign(
		    key->delegate.context, key, chosen->name, data, signature);
	if (key->secret_memory == NULL || key->shielded)
		return NACRE_ERROR_STATE;
	if (chosen == NULL || key->kind->functions->sign == NULL)
		return NACRE_ERROR_UNSUPPORTED;
	nacre_put_cstring(&blob, chosen->name);
	error = key->kind->functions->sign(key, chosen, data, &blob);
	if (error != 0)
		return error;
	if (blob.failed)
		return NACRE_ERROR_MEMORY;
	nacre_put_span(signature, nacre_buffer_span(&blob));
	return signature->failed ? NACRE_ERROR_MEMORY : 0;
}

/* The algorithm a signature blob names, if the key has it and the caller wants it. */
static const struct signature_algorithm *
verifying_algorithm(const struct nacre_key *key, const char *wanted, struct nacre_span named)
{
	const struct signature_algorithm *algorithm;
	bool certified;

	algorithm = signature_algorithm_find(named, &certified);
	if (algorithm == NULL || certified || !nacre_signature_algorithm_fits(named, key))
		return NULL;
	if (wanted == NULL)
		return algorithm->by_default ? algorithm : NULL;
	return algorithm == signature_algorithm_find(nacre_span_of(wanted), &certified) ? algorithm
											: NULL;
}

int
nacre_key_verify_details(const struct nacre_key *key, const char *algorithm,
    struct nacre_span signature, struct nacre_span data, struct nacre_signature_details *details)
{
	struct nacre_reader reader = nacre_reader_of(signature);
	const struct signature_algorithm *chosen =
	    verifying_algorithm(key, algorithm, nacre_get_string(&reader));

	*details = (struct nacre_signature_details){0};
	if (reader.failed)
		return NACRE_ERROR_FORMAT;
	if (chosen == NULL)
		return NACRE_ERROR_SIGNATURE;
	return key->kind->functions->verify(key, chosen, &reader, data, details);
}

int
nacre_key_verify(const struct nacre_key *key, const char *algorithm, struct nacre_span signature,
    struct nacre_span data)
{
	struct nacre_signature_details details;
	int error = nacre_key_verify_details(key, algorithm, signature, data, &details);

	if (error == 0 && key->kind->functions == &security_key_functions &&
	    (details.flags & NACRE_SK_USER_PRESENT) == 0)
		return NACRE_ERROR_SIGNATURE;
	return error;
}
