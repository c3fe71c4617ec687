/* The client's requests and what it makes of the answers. */
#include <agent/agent.h>

#include <stdlib.h>
#include <string.h>

#define SCOPED_BUFFER __attribute__((cleanup(nacre_buffer_free)))
/* A blob and a comment take 8 bytes at least: so many identities fit in a message. */
#define IDENTITIES_MAX (NACRE_AGENT_MESSAGE_MAX / 8)

/* Sends a request that was put together and takes the type off the answer. */
static int
agent_ask(struct nacre_agent *agent, const struct nacre_buffer *request,
    struct nacre_buffer *answer, uint8_t *type)
{
	int error;

	if (request->failed)
		return NACRE_ERROR_MEMORY;
	if ((error = nacre_agent_request(agent, nacre_buffer_span(request), answer)) != 0)
		return error;
	*type = nacre_buffer_span(answer).data[0];
	nacre_buffer_consume(answer, 1);
	return 0;
}

/* For requests that are answered by success or failure. */
static int
agent_command(struct nacre_agent *agent, const struct nacre_buffer *request)
{
	SCOPED_BUFFER struct nacre_buffer answer = {0};
	uint8_t type;
	int error = agent_ask(agent, request, &answer, &type);

	if (error != 0 || type == AGENT_SUCCESS)
		return error;
	return type == AGENT_FAILURE ? NACRE_ERROR_REFUSED : NACRE_ERROR_PROTOCOL;
}

void
nacre_agent_identities_free(struct nacre_agent_identities *identities)
{
	for (size_t i = 0; i < identities->count; i++) {
		nacre_key_free(identities->list[i].key);
		free(identities->list[i].comment);
	}
	free(identities->list);
	nacre_buffer_free(&identities->answer);
	*identities = (struct nacre_agent_identities){0};
}

/* A comment may be anything: at its first NUL it ends. */
static char *
comment_copy(struct nacre_span comment)
{
	return strndup(comment.length > 0 ? (const char *)comment.data : "", comment.length);
}

static int
identities_read(struct nacre_reader *reader, struct nacre_agent_identities *identities)
{
	uint32_t count = nacre_get_u32(reader);
	struct nacre_agent_identity *identity;

	if (reader->failed || count > IDENTITIES_MAX || count > reader->length / 8)
		return NACRE_ERROR_PROTOCOL;
	identities->list = calloc((size_t)count + 1, sizeof *identities->list);
	if (identities->list == NULL)
		return NACRE_ERROR_MEMORY;
	for (uint32_t i = 0; i < count; i++) {
		identity = &identities->list[identities->count++];
		identity->blob = nacre_get_string(reader);
		identity->comment = comment_copy(nacre_get_string(reader));
		if (identity->comment == NULL)
			return NACRE_ERROR_MEMORY;
		if (nacre_key_from_blob(identity->blob, &identity->key) != 0)
			identity->key = NULL;
	}
	return nacre_reader_done(reader) ? 0 : NACRE_ERROR_PROTOCOL;
}

/* What an answer to a request for the list holds; frees it after an error. */
static int
list_take(struct nacre_agent_identities *identities)
{
	struct nacre_reader reader = nacre_reader_of(nacre_buffer_span(&identities->answer));
	const uint8_t type = nacre_get_byte(&reader);
	int error;

	if (type == AGENT_IDENTITIES_ANSWER)
		error = identities_read(&reader, identities);
	else
		error = type == AGENT_FAILURE ? NACRE_ERROR_REFUSED : NACRE_ERROR_PROTOCOL;
	if (error != 0)
		nacre_agent_identities_free(identities);
	return error;
}

static const struct nacre_span list_request = {(const uint8_t[]){AGENT_REQUEST_IDENTITIES}, 1};

int
nacre_agent_list(struct nacre_agent *agent, struct nacre_agent_identities *identities)
{
	int error;

	*identities = (struct nacre_agent_identities){0};
	error = nacre_agent_request(agent, list_request, &identities->answer);
	if (error == 0)
		return list_take(identities);
	nacre_agent_identities_free(identities);
	return error;
}

int
nacre_agent_sign(struct nacre_agent *agent, struct nacre_span key_blob, struct nacre_span data,
    uint32_t flags, struct nacre_buffer *signature)
{
	SCOPED_BUFFER struct nacre_buffer request = {0}, answer = {0};
	struct nacre_reader reader;
	struct nacre_span blob;
	uint8_t type;
	int error;

	nacre_put_byte(&request, AGENT_SIGN_REQUEST);
	nacre_put_string_span(&request, key_blob);
	nacre_put_string_span(&request, data);
	nacre_put_u32(&request, flags);
	if ((error = agent_ask(agent, &request, &answer, &type)) != 0)
		return error;
	if (type != AGENT_SIGN_RESPONSE)
		return type == AGENT_FAILURE ? NACRE_ERROR_REFUSED : NACRE_ERROR_PROTOCOL;
	reader = nacre_reader_of(nacre_buffer_span(&answer));
	blob = nacre_get_string(&reader);
	if (!nacre_reader_done(&reader))
		return NACRE_ERROR_PROTOCOL;
	nacre_put_span(signature, blob);
	return signature->failed ? NACRE_ERROR_MEMORY : 0;
}

uint32_t
nacre_agent_sign_flags(struct nacre_span algorithm)
{
	static const struct {
		const char *name;
		uint32_t flags;
	} table[] = {
	    {"rsa-sha2-256", NACRE_AGENT_RSA_SHA2_256},
	    {"rsa-sha2-256-cert-v01@openssh.com", NACRE_AGENT_RSA_SHA2_256},
	    {"rsa-sha2-512", NACRE_AGENT_RSA_SHA2_512},
	    {"rsa-sha2-512-cert-v01@openssh.com", NACRE_AGENT_RSA_SHA2_512},
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (nacre_span_equals(algorithm, table[i].name))
			return table[i].flags;
	return 0;
}

static void
extension_put(struct nacre_buffer *request, const char *name)
{
	nacre_put_byte(request, AGENT_CONSTRAIN_EXTENSION);
	nacre_put_cstring(request, name);
}

static void
constraints_put(struct nacre_buffer *request, const struct nacre_agent_constraints *constraints)
{
	if (constraints->lifetime > 0) {
		nacre_put_byte(request, AGENT_CONSTRAIN_LIFETIME);
		nacre_put_u32(request, constraints->lifetime);
	}
	if (constraints->confirm)
		nacre_put_byte(request, AGENT_CONSTRAIN_CONFIRM);
	if (constraints->sk_provider != NULL) {
		extension_put(request, AGENT_SK_PROVIDER);
		nacre_put_cstring(request, constraints->sk_provider);
	}
	if (constraints->destinations.length > 0) {
		extension_put(request, AGENT_RESTRICT_DESTINATION);
		nacre_put_string_span(request, constraints->destinations);
	}
	if (constraints->certificates.length > 0) {
		extension_put(request, AGENT_ASSOCIATED_CERTS);
		nacre_put_boolean(request, constraints->certificates_only);
		nacre_put_string_span(request, constraints->certificates);
	}
}

static bool
is_constrained(const struct nacre_agent_constraints *constraints)
{
	return constraints != NULL &&
	       (constraints->lifetime > 0 || constraints->confirm ||
		   constraints->destinations.length > 0 || constraints->sk_provider != NULL ||
		   constraints->certificates.length > 0);
}

int
nacre_agent_add(struct nacre_agent *agent, const struct nacre_key *key, const char *comment,
    const struct nacre_agent_constraints *constraints)
{
	SCOPED_BUFFER struct nacre_buffer request = {0};
	const bool constrained = is_constrained(constraints);
	int error;

	nacre_put_byte(&request, constrained ? AGENT_ADD_ID_CONSTRAINED : AGENT_ADD_IDENTITY);
	if ((error = nacre_key_write_private(key, &request)) != 0)
		return error;
	nacre_put_cstring(&request, comment != NULL ? comment : "");
	if (constrained)
		constraints_put(&request, constraints);
	return agent_command(agent, &request);
}

int
nacre_agent_add_token(struct nacre_agent *agent, const char *module, struct nacre_span pin,
    const struct nacre_agent_constraints *constraints)
{
	SCOPED_BUFFER struct nacre_buffer request = {0};
	const bool constrained = is_constrained(constraints);

	nacre_put_byte(&request, constrained ? AGENT_ADD_TOKEN_CONSTRAINED : AGENT_ADD_TOKEN);
	nacre_put_cstring(&request, module);
	nacre_put_string_span(&request, pin);
	if (constrained)
		constraints_put(&request, constraints);
	return agent_command(agent, &request);
}

int
nacre_agent_remove_token(struct nacre_agent *agent, const char *module, struct nacre_span pin)
{
	SCOPED_BUFFER struct nacre_buffer request = {0};

	nacre_put_byte(&request, AGENT_REMOVE_TOKEN);
	nacre_put_cstring(&request, module);
	nacre_put_string_span(&request, pin);
	return agent_command(agent, &request);
}

/* A command with one string, or none when "content" is NULL. */
static int
agent_string_command(struct nacre_agent *agent, uint8_t type, const struct nacre_span *content)
{
	SCOPED_BUFFER struct nacre_buffer request = {0};

	nacre_put_byte(&request, type);
	if (content != NULL)
		nacre_put_string_span(&request, *content);
	return agent_command(agent, &request);
}

int
nacre_agent_remove(struct nacre_agent *agent, struct nacre_span key_blob)
{
	return agent_string_command(agent, AGENT_REMOVE_IDENTITY, &key_blob);
}

int
nacre_agent_remove_all(struct nacre_agent *agent)
{
	return agent_string_command(agent, AGENT_REMOVE_ALL_IDENTITIES, NULL);
}

int
nacre_agent_lock(struct nacre_agent *agent, struct nacre_span passphrase)
{
	return agent_string_command(agent, AGENT_LOCK, &passphrase);
}

int
nacre_agent_unlock(struct nacre_agent *agent, struct nacre_span passphrase)
{
	return agent_string_command(agent, AGENT_UNLOCK, &passphrase);
}

/* The content of a good answer: behind success, or behind the repeated name of the extension. */
static int
extension_content(uint8_t type, const char *name, struct nacre_reader *reader)
{
	if (type == AGENT_SUCCESS)
		return 0;
	if (type == AGENT_EXTENSION_RESPONSE)
		return nacre_span_equals(nacre_get_string(reader), name) ? 0 : NACRE_ERROR_PROTOCOL;
	if (type == AGENT_EXTENSION_FAILURE)
		return NACRE_ERROR_REFUSED;
	return type == AGENT_FAILURE ? NACRE_ERROR_UNSUPPORTED : NACRE_ERROR_PROTOCOL;
}

int
nacre_agent_extension(struct nacre_agent *agent, const char *name, struct nacre_span content,
    struct nacre_buffer *answer)
{
	SCOPED_BUFFER struct nacre_buffer request = {0}, received = {0};
	struct nacre_reader reader;
	uint8_t type;
	int error;

	nacre_put_byte(&request, AGENT_EXTENSION);
	nacre_put_cstring(&request, name);
	nacre_put_span(&request, content);
	if ((error = agent_ask(agent, &request, &received, &type)) != 0)
		return error;
	reader = nacre_reader_of(nacre_buffer_span(&received));
	error = extension_content(type, name, &reader);
	if (error == 0 && answer != NULL)
		nacre_put_span(answer, nacre_get_rest(&reader));
	return error;
}

static void
bind_put(struct nacre_buffer *request, struct nacre_span host_key_blob,
    struct nacre_span session_identifier, struct nacre_span signature, bool forwarding)
{
	nacre_put_byte(request, AGENT_EXTENSION);
	nacre_put_cstring(request, AGENT_SESSION_BIND);
	nacre_put_string_span(request, host_key_blob);
	nacre_put_string_span(request, session_identifier);
	nacre_put_string_span(request, signature);
	nacre_put_boolean(request, forwarding);
}

int
nacre_agent_session_bind(struct nacre_agent *agent, struct nacre_span host_key_blob,
    struct nacre_span session_identifier, struct nacre_span signature, bool forwarding)
{
	SCOPED_BUFFER struct nacre_buffer request = {0}, answer = {0};
	uint8_t type;
	int error;

	bind_put(&request, host_key_blob, session_identifier, signature, forwarding);
	if ((error = agent_ask(agent, &request, &answer, &type)) != 0 || type == AGENT_SUCCESS)
		return error;
	return type == AGENT_EXTENSION_FAILURE ? NACRE_ERROR_REFUSED
	       : type == AGENT_FAILURE         ? NACRE_ERROR_UNSUPPORTED
					       : NACRE_ERROR_PROTOCOL;
}

int
nacre_agent_bind_and_list(struct nacre_agent *agent, struct nacre_span host_key_blob,
    struct nacre_span session_identifier, struct nacre_span signature,
    struct nacre_agent_identities *identities)
{
	SCOPED_BUFFER struct nacre_buffer request = {0};
	struct nacre_buffer answers[2] = {{0}, {0}};
	int error;

	*identities = (struct nacre_agent_identities){0};
	bind_put(&request, host_key_blob, session_identifier, signature, false);
	if (request.failed)
		return NACRE_ERROR_MEMORY;
	error = nacre_agent_requests(agent,
	    (const struct nacre_span[]){nacre_buffer_span(&request), list_request}, 2, answers);
	nacre_buffer_free(&answers[0]);
	identities->answer = answers[1];
	if (error == 0)
		return list_take(identities);
	nacre_agent_identities_free(identities);
	return error;
}
