/* Requests for signatures: permitted or not, with consent, here or by who has the private half. */
#include <agent/keyring.h>

#include <stdlib.h>
#include <string.h>

#define PIN_TRIES 3

/* RSA keys sign with the hash that the flags name, and with SHA-1 as the protocol had it first. */
static const char *
signature_algorithm(const struct nacre_key *key, uint32_t flags)
{
	if (nacre_key_type(key) != NACRE_KEY_RSA)
		return NULL;
	if ((flags & NACRE_AGENT_RSA_SHA2_256) != 0)
		return "rsa-sha2-256";
	return (flags & NACRE_AGENT_RSA_SHA2_512) != 0 ? "rsa-sha2-512" : "ssh-rsa";
}

/* The private key lies open for the time of the signature. */
static int
sign_here(const struct nacre_keyring *keyring, const struct keyring_entry *entry,
    struct nacre_span data, uint32_t flags, struct nacre_buffer *answer)
{
	struct nacre_buffer signature = {0};
	int error = nacre_key_unshield(entry->key, keyring->shield);

	if (error == 0)
		error = nacre_key_sign(
		    entry->key, signature_algorithm(entry->key, flags), data, &signature);
	nacre_key_shield(entry->key, keyring->shield);
	if (error == 0) {
		nacre_put_byte(answer, AGENT_SIGN_RESPONSE);
		nacre_put_string_span(answer, nacre_buffer_span(&signature));
	}
	nacre_buffer_free(&signature);
	return error;
}

/* Keeps what a question is about: the entry may be gone when it is answered. */
static int
question_prepare(struct nacre_keyring_client *client, const struct keyring_entry *entry)
{
	if (client->question_key != NULL)
		return 0;
	client->question_comment = strdup(entry->comment);
	if (client->question_comment == NULL)
		return NACRE_ERROR_MEMORY;
	return nacre_key_copy_public(entry->key, &client->question_key);
}

static int
text_prepare(struct nacre_keyring_client *client, const char *format, const struct nacre_key *key,
    const char *end)
{
	nacre_buffer_clear(&client->text);
	nacre_put_format(&client->text, "%s%s key ", format, nacre_key_type_label(key));
	nacre_key_fingerprint(key, NACRE_FINGERPRINT_SHA256, &client->text);
	nacre_put_format(&client->text, "%s", end);
	nacre_put_byte(&client->text, '\0');
	return client->text.failed ? NACRE_ERROR_MEMORY : 0;
}

static int
token_errand(struct nacre_keyring_client *client, const struct keyring_entry *entry,
    struct nacre_span data, uint32_t flags)
{
	struct nacre_buffer *errand = &client->errand;
	struct nacre_buffer blob = {0};

	nacre_key_put_blob(entry->key, true, &blob);
	client->errand_kind = NACRE_PROVIDER_PKCS11;
	nacre_put_byte(errand, NACRE_PROVIDER_SIGN);
	nacre_put_string_span(errand, nacre_buffer_span(&blob));
	nacre_put_string_span(errand, data);
	nacre_put_u32(errand, flags);
	nacre_buffer_free(&blob);
	return errand->failed ? NACRE_ERROR_MEMORY : 0;
}

static int
authenticator_errand(
    struct nacre_keyring_client *client, const struct keyring_entry *entry, struct nacre_span data)
{
	const struct nacre_sk sk = {.provider = entry->provider,
	    .pin = nacre_buffer_length(&client->pin) > 0
		       ? (const char *)nacre_buffer_span(&client->pin).data
		       : NULL};

	client->errand_kind = NACRE_PROVIDER_SK;
	nacre_buffer_clear(&client->text);
	if (sk.pin == NULL && (nacre_key_sk_flags(entry->key) & NACRE_SK_USER_PRESENT) != 0) {
		nacre_put_format(&client->text, "Confirm user presence for key %s ",
		    nacre_key_type_label(entry->key));
		nacre_key_fingerprint(entry->key, NACRE_FINGERPRINT_SHA256, &client->text);
		nacre_put_byte(&client->text, '\0');
	}
	return nacre_sk_put_sign_request(&sk, entry->key, data, &client->errand);
}

static int
errand_begin(struct keyring_request *request, const struct keyring_entry *entry,
    struct nacre_span data, uint32_t flags)
{
	struct nacre_keyring_client *client = request->client;
	int error = question_prepare(client, entry);

	nacre_buffer_free(&client->errand);
	free(client->provider);
	client->provider = strdup(entry->provider);
	if (client->provider == NULL)
		return NACRE_ERROR_MEMORY;
	if (error == 0)
		error = entry->home == KEY_ON_TOKEN ? token_errand(client, entry, data, flags)
						    : authenticator_errand(client, entry, data);
	return error != 0 ? error : keyring_wait_for(request, WAIT_ERRAND);
}

/* The signature, or the wish for a PIN. */
static int
errand_end(struct keyring_request *request, const struct keyring_entry *entry)
{
	struct nacre_reader reply = nacre_reader_of(*request->reply);
	const uint8_t type = nacre_get_byte(&reply);
	struct nacre_span signature;
	int error;

	if (type == NACRE_PROVIDER_SIGNATURE) {
		signature = nacre_get_string(&reply);
		if (!nacre_reader_done(&reply))
			return NACRE_ERROR_PROTOCOL;
		nacre_put_byte(request->answer, AGENT_SIGN_RESPONSE);
		nacre_put_string_span(request->answer, signature);
		return 0;
	}
	if (type != NACRE_PROVIDER_EXTENSION_FAILURE ||
	    nacre_get_u32(&reply) != NACRE_PROVIDER_SK_PIN_REQUIRED ||
	    request->client->pin_tries++ == PIN_TRIES)
		return NACRE_ERROR_REFUSED;
	error = text_prepare(request->client,
	    (nacre_key_sk_flags(entry->key) & NACRE_SK_USER_PRESENT) != 0
		? "Enter PIN and confirm user presence for "
		: "Enter PIN for ",
	    entry->key, ": ");
	return error != 0 ? error : keyring_wait_for(request, WAIT_PIN);
}

static int
sign_permitted(struct keyring_request *request, const struct keyring_entry *entry,
    struct nacre_span data, uint32_t flags)
{
	struct nacre_keyring_client *client = request->client;
	int error;

	if (entry->confirm && !client->confirmed) {
		error = question_prepare(client, entry);
		return error != 0 ? error : keyring_wait_for(request, WAIT_CONFIRM);
	}
	if (entry->home == KEY_HERE)
		return sign_here(client->keyring, entry, data, flags, request->answer);
	return request->reply == NULL ? errand_begin(request, entry, data, flags)
				      : errand_end(request, entry);
}

int
keyring_sign(struct keyring_request *request)
{
	const struct nacre_span blob = nacre_get_string(&request->fields);
	const struct nacre_span data = nacre_get_string(&request->fields);
	const uint32_t flags = nacre_get_u32(&request->fields);
	struct keyring_purpose purpose;
	struct keyring_entry *entry;
	int result = NACRE_ERROR_REFUSED;

	if (!nacre_reader_done(&request->fields))
		return NACRE_ERROR_FORMAT;
	if ((entry = keyring_find(request->client->keyring, blob)) == NULL)
		return NACRE_ERROR_NOT_FOUND;
	if (keyring_may_sign(request->client, entry, data, &purpose))
		result = sign_permitted(request, entry, data, flags);
	if (result <= 0)
		keyring_use_note(request->client, entry, &purpose, result == 0);
	free(purpose.user);
	return result;
}

void
keyring_sign_refused(struct nacre_keyring_client *client)
{
	struct nacre_reader message = nacre_reader_of(nacre_buffer_span(&client->message));
	const uint8_t type = nacre_get_byte(&message);
	const struct nacre_span blob = nacre_get_string(&message);
	const struct nacre_span data = nacre_get_string(&message);
	struct keyring_entry *const entry = keyring_find(client->keyring, blob);
	struct keyring_purpose purpose;

	if (type != AGENT_SIGN_REQUEST || message.failed || entry == NULL)
		return;
	keyring_may_sign(client, entry, data, &purpose);
	keyring_use_note(client, entry, &purpose, false);
	free(purpose.user);
}
