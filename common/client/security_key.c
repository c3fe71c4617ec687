/* Keys in FIDO authenticators, asked for by way of a process of its own: made, listed, signed with. */
#include <agent/agent.h>
#include <nacre/crypto.h>
#include <nacre/log.h>
#include <nacre/prompt.h>
#include <nacre/provider.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCOPED_BUFFER    __attribute__((cleanup(nacre_buffer_free)))
#define CHALLENGE_LENGTH 32
#define RESIDENTS_MAX    256
#define PIN_TRIES        3

/* What an answer's error is called here. */
static int
error_of(struct nacre_reader *reader)
{
	static const int errors[] = {
	    [NACRE_PROVIDER_SK_GENERAL] = NACRE_ERROR_REFUSED,
	    [NACRE_PROVIDER_SK_UNSUPPORTED] = NACRE_ERROR_UNSUPPORTED,
	    [NACRE_PROVIDER_SK_PIN_REQUIRED] = NACRE_ERROR_PASSPHRASE,
	    [NACRE_PROVIDER_SK_NO_DEVICE] = NACRE_ERROR_NOT_FOUND,
	    [NACRE_PROVIDER_SK_EXISTS] = NACRE_ERROR_STATE,
	};
	const uint32_t number = nacre_get_u32(reader);

	if (reader->failed || number == 0 || number >= sizeof errors / sizeof *errors)
		return NACRE_ERROR_REFUSED;
	return errors[number];
}

/* Starts the process, asks it, lets it end. *reader is set behind the answer's type, which must be
 * "wanted". */
static int
ask(const struct nacre_buffer *request, enum nacre_provider_message wanted,
    struct nacre_buffer *answer, struct nacre_reader *reader)
{
	struct nacre_agent *process;
	int fd, error, status;
	uint8_t type;
	pid_t pid;

	if (request->failed)
		return NACRE_ERROR_MEMORY;
	if ((error = nacre_provider_start(NACRE_PROVIDER_SK, &fd, &pid)) != 0)
		return error;
	if ((error = nacre_agent_of_fd(fd, &process)) == 0) {
		error = nacre_agent_request(process, nacre_buffer_span(request), answer);
		nacre_agent_free(process);
	} else {
		close(fd);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (error != 0)
		return error;
	*reader = nacre_reader_of(nacre_buffer_span(answer));
	type = nacre_get_byte(reader);
	if (type == wanted)
		return 0;
	return type == NACRE_PROVIDER_EXTENSION_FAILURE ? error_of(reader) : NACRE_ERROR_REFUSED;
}

int
nacre_sk_enroll(const struct nacre_sk *sk, const struct nacre_sk_enrollment *enrollment,
    struct nacre_key **key, struct nacre_buffer *attestation)
{
	SCOPED_BUFFER struct nacre_buffer request = {0}, answer = {0};
	uint8_t challenge[CHALLENGE_LENGTH];
	struct nacre_reader reader;
	struct nacre_span told;
	int error;

	sk_request_begin(&request, NACRE_PROVIDER_SK_ENROLL, sk);
	nacre_put_u32(&request, sk_algorithm_number(enrollment->type));
	nacre_put_cstring(
	    &request, enrollment->application != NULL ? enrollment->application : "ssh:");
	nacre_put_byte(&request, enrollment->flags);
	if (enrollment->challenge.length == 0) {
		nacre_random(challenge, sizeof challenge);
		nacre_put_string(&request, challenge, sizeof challenge);
	} else {
		nacre_put_string_span(&request, enrollment->challenge);
	}
	nacre_put_cstring(&request, enrollment->user != NULL ? enrollment->user : "");
	if ((error = ask(&request, NACRE_PROVIDER_ANSWER, &answer, &reader)) != 0)
		return error;
	if (!nacre_span_equals(nacre_get_string(&reader), NACRE_PROVIDER_SK_ENROLL))
		return NACRE_ERROR_PROTOCOL;
	if ((error = nacre_key_read_private(&reader, key)) != 0)
		return error;
	told = nacre_get_string(&reader);
	if (attestation != NULL)
		nacre_put_span(attestation, told);
	if (nacre_reader_done(&reader) && (attestation == NULL || !attestation->failed))
		return 0;
	nacre_key_free(*key);
	*key = NULL;
	return NACRE_ERROR_PROTOCOL;
}

static int
residents_read(struct nacre_reader *reader, struct nacre_sk_residents *residents)
{
	struct nacre_sk_resident *resident;
	uint32_t count;
	int error;

	if (!nacre_span_equals(nacre_get_string(reader), NACRE_PROVIDER_SK_RESIDENT))
		return NACRE_ERROR_PROTOCOL;
	count = nacre_get_u32(reader);
	if (reader->failed || count > RESIDENTS_MAX)
		return NACRE_ERROR_PROTOCOL;
	if ((residents->list = calloc((size_t)count + 1, sizeof *residents->list)) == NULL)
		return NACRE_ERROR_MEMORY;
	while (residents->count < count) {
		resident = &residents->list[residents->count];
		if ((error = nacre_key_read_private(reader, &resident->key)) != 0)
			return error;
		residents->count++;
		nacre_put_span(&resident->user, nacre_get_string(reader));
		if (resident->user.failed)
			return NACRE_ERROR_MEMORY;
	}
	return nacre_reader_done(reader) ? 0 : NACRE_ERROR_PROTOCOL;
}

int
nacre_sk_load_resident(const struct nacre_sk *sk, struct nacre_sk_residents *residents)
{
	SCOPED_BUFFER struct nacre_buffer request = {0}, answer = {0};
	struct nacre_reader reader;
	int error;

	*residents = (struct nacre_sk_residents){0};
	sk_request_begin(&request, NACRE_PROVIDER_SK_RESIDENT, sk);
	error = ask(&request, NACRE_PROVIDER_ANSWER, &answer, &reader);
	if (error == 0)
		error = residents_read(&reader, residents);
	if (error != 0)
		nacre_sk_residents_free(residents);
	return error;
}

void
nacre_sk_residents_free(struct nacre_sk_residents *residents)
{
	for (size_t i = 0; i < residents->count; i++) {
		nacre_key_free(residents->list[i].key);
		nacre_buffer_free(&residents->list[i].user);
	}
	free(residents->list);
	*residents = (struct nacre_sk_residents){0};
}

/* Signing ------------------------------------------------------------------------------------- */

struct delegate {
	char *provider, *device, *pin, *name;
	unsigned flags;
};

static void
delegate_free(void *context)
{
	struct delegate *const delegate = context;

	if (delegate->pin != NULL)
		explicit_bzero(delegate->pin, strlen(delegate->pin));
	free(delegate->provider);
	free(delegate->device);
	free(delegate->pin);
	free(delegate->name);
	free(delegate);
}

static int
sign_once(const struct nacre_sk *sk, const struct nacre_key *key, struct nacre_span data,
    struct nacre_buffer *signature)
{
	SCOPED_BUFFER struct nacre_buffer request = {0}, answer = {0};
	struct nacre_reader reader;
	struct nacre_span blob;
	int error = nacre_sk_put_sign_request(sk, key, data, &request);

	if (error == 0)
		error = ask(&request, NACRE_PROVIDER_SIGNATURE, &answer, &reader);
	if (error != 0)
		return error;
	blob = nacre_get_string(&reader);
	if (!nacre_reader_done(&reader))
		return NACRE_ERROR_PROTOCOL;
	nacre_put_span(signature, blob);
	return signature->failed ? NACRE_ERROR_MEMORY : 0;
}

static int
pin_ask(const struct delegate *delegate, const struct nacre_key *key, struct nacre_buffer *pin)
{
	SCOPED_BUFFER struct nacre_buffer prompt = {0};

	nacre_buffer_clear(pin);
	nacre_put_format(
	    &prompt, "Enter PIN for %s key %s: ", nacre_key_type_label(key), delegate->name);
	nacre_put_byte(&prompt, '\0');
	if (prompt.failed || nacre_prompt((const char *)prompt.data, 0, pin) != 0 ||
	    nacre_buffer_length(pin) == 0)
		return NACRE_ERROR_PASSPHRASE;
	nacre_put_byte(pin, '\0');
	return pin->failed ? NACRE_ERROR_MEMORY : 0;
}

static int
sign_with_notice(const struct nacre_sk *sk, const struct nacre_key *key, struct nacre_span data,
    struct nacre_buffer *signature)
{
	SCOPED_BUFFER struct nacre_buffer text = {0};
	struct nacre_notice notice;
	int error;

	if ((nacre_key_sk_flags(key) & NACRE_SK_USER_PRESENT) == 0)
		return sign_once(sk, key, data, signature);
	nacre_put_format(&text, "Confirm user presence for key %s ", nacre_key_type_label(key));
	nacre_key_fingerprint(key, NACRE_FINGERPRINT_SHA256, &text);
	nacre_put_byte(&text, '\0');
	if (text.failed)
		return NACRE_ERROR_MEMORY;
	nacre_notice_begin(&notice, (const char *)text.data);
	error = sign_once(sk, key, data, signature);
	nacre_notice_end(&notice, error == 0 ? "User presence confirmed" : NULL);
	return error;
}

/* An authenticator may know the person by a finger: a PIN is asked for when it says that it wants
 * one. */
static int
delegate_sign(void *context, const struct nacre_key *key, const char *algorithm,
    struct nacre_span data, struct nacre_buffer *signature)
{
	const struct delegate *const delegate = context;
	struct nacre_sk sk = {delegate->provider, delegate->device, delegate->pin};
	SCOPED_BUFFER struct nacre_buffer pin = {0};
	int error = sign_with_notice(&sk, key, data, signature);

	(void)algorithm;
	for (int i = 0; i < PIN_TRIES && error == NACRE_ERROR_PASSPHRASE &&
			(delegate->flags & NACRE_PROVIDER_ASK) != 0;
	     i++) {
		if (pin_ask(delegate, key, &pin) != 0)
			break;
		sk.pin = (const char *)nacre_buffer_span(&pin).data;
		error = sign_with_notice(&sk, key, data, signature);
	}
	return error;
}

static char *
copy_or_null(const char *text)
{
	return text != NULL ? strdup(text) : NULL;
}

int
nacre_sk_delegate(
    struct nacre_key *key, const struct nacre_sk *sk, unsigned flags, const char *name)
{
	SCOPED_BUFFER struct nacre_buffer fingerprint = {0};
	struct delegate *delegate;

	if (nacre_key_sk_handle(key).length == 0)
		return NACRE_ERROR_ARGUMENT;
	nacre_key_fingerprint(key, NACRE_FINGERPRINT_SHA256, &fingerprint);
	nacre_put_byte(&fingerprint, '\0');
	if (fingerprint.failed || (delegate = calloc(1, sizeof *delegate)) == NULL)
		return NACRE_ERROR_MEMORY;
	*delegate = (struct delegate){copy_or_null(sk->provider), copy_or_null(sk->device),
	    copy_or_null(sk->pin), strdup(name != NULL ? name : (const char *)fingerprint.data),
	    flags};
	nacre_key_delegate(key, &(struct nacre_key_signer){delegate_sign, delegate_free, delegate});
	return 0;
}
