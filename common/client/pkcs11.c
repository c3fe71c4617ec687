/* The keys of PKCS#11 tokens, as keys that sign like others: each asks the process that has them. */
#include <nacre/agent.h>
#include <nacre/log.h>
#include <nacre/prompt.h>
#include <nacre/provider.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCOPED_BUFFER __attribute__((cleanup(nacre_buffer_free)))
#define KEYS_MAX      1024
#define PIN_TRIES     3

/* One process, shared by the keys that came from it. */
struct provider {
	unsigned references;
	unsigned flags;
	struct nacre_agent *process;
	pid_t pid;
};

static void
provider_release(void *context)
{
	struct provider *const provider = context;
	int status;

	if (--provider->references > 0)
		return;
	/* It ends when its socket is closed. */
	nacre_agent_free(provider->process);
	while (waitpid(provider->pid, &status, 0) < 0)
		if (errno != EINTR)
			break;
	free(provider);
}

static int
provider_new(unsigned flags, struct provider **provider)
{
	struct provider *const made = calloc(1, sizeof *made);
	int fd, error;

	if (made == NULL)
		return NACRE_ERROR_MEMORY;
	*made = (struct provider){.references = 1, .flags = flags};
	if ((error = nacre_provider_start(NACRE_PROVIDER_PKCS11, &fd, &made->pid)) != 0) {
		free(made);
		return error;
	}
	if ((error = nacre_agent_of_fd(fd, &made->process)) != 0) {
		close(fd);
		free(made);
		return error;
	}
	*provider = made;
	return 0;
}

/* Sends what was put together; takes the type off the answer. */
static int
provider_ask(const struct provider *provider, const struct nacre_buffer *request,
    struct nacre_buffer *answer, uint8_t *type)
{
	int error;

	if (request->failed)
		return NACRE_ERROR_MEMORY;
	error = nacre_agent_request(provider->process, nacre_buffer_span(request), answer);
	if (error != 0) {
		nacre_log(NACRE_LOG_ERROR, "the process with the PKCS#11 module failed: %s",
		    nacre_error_string(error));
		return error;
	}
	*type = nacre_buffer_span(answer).data[0];
	nacre_buffer_consume(answer, 1);
	return 0;
}

/* True when the answer is that a PIN is needed; *label (may be NULL in need of memory) is freed by
 * the caller. */
static bool
pin_is_needed(uint8_t type, const struct nacre_buffer *answer, char **label)
{
	struct nacre_reader reader = nacre_reader_of(nacre_buffer_span(answer));

	if (type != NACRE_PROVIDER_ANSWER ||
	    !nacre_span_equals(nacre_get_string(&reader), NACRE_PROVIDER_PIN))
		return false;
	*label = nacre_span_to_string(nacre_get_string(&reader));
	return true;
}

static int
pin_ask(const struct provider *provider, const char *label, struct nacre_buffer *pin)
{
	char prompt[128];

	if ((provider->flags & NACRE_PROVIDER_ASK) == 0)
		return NACRE_ERROR_PASSPHRASE;
	snprintf(prompt, sizeof prompt, "Enter PIN for '%s': ", label != NULL ? label : "");
	return nacre_prompt(prompt, NACRE_PROMPT_STDIN, pin);
}

static int
pin_give(const struct provider *provider, struct nacre_span blob, struct nacre_span pin)
{
	SCOPED_BUFFER struct nacre_buffer request = {0}, answer = {0};
	uint8_t type;
	int error;

	nacre_put_byte(&request, NACRE_PROVIDER_EXTENSION);
	nacre_put_cstring(&request, NACRE_PROVIDER_PIN);
	nacre_put_string_span(&request, blob);
	nacre_put_string_span(&request, pin);
	error = provider_ask(provider, &request, &answer, &type);
	if (error != 0)
		return error;
	return type == NACRE_PROVIDER_SUCCESS ? 0 : NACRE_ERROR_PASSPHRASE;
}

static int
signature_take(const struct nacre_buffer *answer, struct nacre_buffer *signature)
{
	struct nacre_reader reader = nacre_reader_of(nacre_buffer_span(answer));
	const struct nacre_span blob = nacre_get_string(&reader);

	if (!nacre_reader_done(&reader))
		return NACRE_ERROR_PROTOCOL;
	nacre_put_span(signature, blob);
	return signature->failed ? NACRE_ERROR_MEMORY : 0;
}

/* Asks the person for the PIN of the key's token, until it is the right one. */
static int
pin_settle(const struct provider *provider, struct nacre_span blob, const char *label)
{
	int error = NACRE_ERROR_PASSPHRASE;

	for (int i = 0; i < PIN_TRIES && error == NACRE_ERROR_PASSPHRASE; i++) {
		SCOPED_BUFFER struct nacre_buffer pin = {0};

		if (pin_ask(provider, label, &pin) != 0 || nacre_buffer_length(&pin) == 0)
			return NACRE_ERROR_PASSPHRASE;
		error = pin_give(provider, blob, nacre_buffer_span(&pin));
	}
	return error;
}

static int
sign_once(const struct provider *provider, const struct nacre_buffer *request,
    struct nacre_span blob, struct nacre_buffer *signature, bool *again)
{
	SCOPED_BUFFER struct nacre_buffer answer = {0};
	char *label = NULL;
	uint8_t type;
	int error = provider_ask(provider, request, &answer, &type);

	*again = false;
	if (error != 0)
		return error;
	if (type == NACRE_PROVIDER_SIGNATURE)
		return signature_take(&answer, signature);
	if (!pin_is_needed(type, &answer, &label))
		return NACRE_ERROR_REFUSED;
	error = pin_settle(provider, blob, label);
	free(label);
	*again = error == 0;
	return error;
}

static int
provider_sign(void *context, const struct nacre_key *key, const char *algorithm,
    struct nacre_span data, struct nacre_buffer *signature)
{
	SCOPED_BUFFER struct nacre_buffer request = {0}, blob = {0};
	bool again;
	int error = nacre_key_put_blob(key, true, &blob);

	if (error != 0)
		return error;
	nacre_put_byte(&request, NACRE_PROVIDER_SIGN);
	nacre_put_string_span(&request, nacre_buffer_span(&blob));
	nacre_put_string_span(&request, data);
	nacre_put_u32(&request, nacre_agent_sign_flags(nacre_span_of(algorithm)));
	error = sign_once(context, &request, nacre_buffer_span(&blob), signature, &again);
	if (again)
		error = sign_once(context, &request, nacre_buffer_span(&blob), signature, &again);
	return again ? NACRE_ERROR_REFUSED : error;
}

static int
key_take(struct provider *provider, struct nacre_reader *reader, struct nacre_pkcs11_key *taken)
{
	const struct nacre_span blob = nacre_get_string(reader), label = nacre_get_string(reader);
	int error = NACRE_ERROR_PROTOCOL;

	if (!reader->failed)
		error = nacre_key_from_blob(blob, &taken->key);
	if (error != 0)
		return error;
	taken->label = strndup(label.length > 0 ? (const char *)label.data : "", label.length);
	if (taken->label == NULL) {
		nacre_key_free(taken->key);
		taken->key = NULL;
		return NACRE_ERROR_MEMORY;
	}
	provider->references++;
	nacre_key_delegate(
	    taken->key, &(struct nacre_key_signer){provider_sign, provider_release, provider});
	return 0;
}

static int
keys_take(
    struct provider *provider, const struct nacre_buffer *answer, struct nacre_pkcs11_keys *keys)
{
	struct nacre_reader reader = nacre_reader_of(nacre_buffer_span(answer));
	const uint32_t count = nacre_get_u32(&reader);
	int error = 0;

	if (reader.failed || count > KEYS_MAX)
		return NACRE_ERROR_PROTOCOL;
	if ((keys->list = calloc((size_t)count + 1, sizeof *keys->list)) == NULL)
		return NACRE_ERROR_MEMORY;
	while (keys->count < count && error == 0)
		if ((error = key_take(provider, &reader, &keys->list[keys->count])) == 0)
			keys->count++;
	return error;
}

/* *label is set when the tokens show nothing without a PIN. */
static int
load(struct provider *provider, const char *path, struct nacre_span pin,
    struct nacre_pkcs11_keys *keys, char **label)
{
	SCOPED_BUFFER struct nacre_buffer request = {0}, answer = {0};
	uint8_t type;
	int error;

	nacre_put_byte(&request, NACRE_PROVIDER_ADD);
	nacre_put_cstring(&request, path);
	nacre_put_string_span(&request, pin);
	if ((error = provider_ask(provider, &request, &answer, &type)) != 0)
		return error;
	if (type == NACRE_PROVIDER_KEYS)
		return keys_take(provider, &answer, keys);
	pin_is_needed(type, &answer, label);
	return NACRE_ERROR_REFUSED;
}

int
nacre_pkcs11_load(const char *path, const char *pin, unsigned flags, struct nacre_pkcs11_keys *keys)
{
	SCOPED_BUFFER struct nacre_buffer asked = {0};
	struct provider *provider;
	char *label = NULL;
	int error;

	*keys = (struct nacre_pkcs11_keys){0};
	if ((error = provider_new(flags, &provider)) != 0)
		return error;
	error = load(provider, path, nacre_span_of(pin != NULL ? pin : ""), keys, &label);
	if (label != NULL && pin_ask(provider, label, &asked) == 0) {
		free(label);
		label = NULL;
		error = load(provider, path, nacre_buffer_span(&asked), keys, &label);
	}
	free(label);
	if (error != 0)
		nacre_pkcs11_keys_free(keys);
	provider_release(provider);
	return error;
}

void
nacre_pkcs11_keys_free(struct nacre_pkcs11_keys *keys)
{
	for (size_t i = 0; i < keys->count; i++) {
		nacre_key_free(keys->list[i].key);
		free(keys->list[i].label);
	}
	free(keys->list);
	*keys = (struct nacre_pkcs11_keys){0};
}
