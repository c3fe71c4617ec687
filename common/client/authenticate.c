/*
 * Which authentication request is sent next (RFC 4252): public keys without asking first where one
 * key is likely, several asked about in one flight else, then keyboard-interactive and passwords.
 */
#include <client/client.h>
#include <nacre/prompt.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every refused query counts as a failure; servers allow six (MaxAuthTries). */
#define QUERIES_AT_ONCE 5

#define PREFERRED_DEFAULT "gssapi-with-mic,hostbased,publickey,keyboard-interactive,password"

#define TEXT(span) (int)(span).length, (const char *)(span).data

/* Public keys ------------------------------------------------------------------------------- */

static void
log_identity(const char *what, const struct identity *identity)
{
	struct nacre_buffer fingerprint = {0};

	if (nacre_log_level_get() < NACRE_LOG_DEBUG1)
		return;
	nacre_key_fingerprint(identity->key, NACRE_FINGERPRINT_SHA256, &fingerprint);
	nacre_log(NACRE_LOG_DEBUG1, "%s: %s %s %.*s%s%s", what, identity->comment,
	    nacre_key_type_label(identity->key), TEXT(nacre_buffer_span(&fingerprint)),
	    identity->configured ? " explicit" : "", identity_is_agents(identity) ? " agent" : "");
	nacre_buffer_free(&fingerprint);
}

/* "rsa-sha2-512-cert-v01@openssh.com" is announced in server-sig-algs as "rsa-sha2-512". */
static bool
server_takes(struct nacre_span list, struct nacre_span name)
{
	const char *plain = nacre_signature_algorithm_plain(name);

	return list.length == 0 || nacre_list_contains(list, name) ||
	       (plain != NULL && nacre_list_contains(list, nacre_span_of(plain)));
}

/* Allowed here and, as far as it told, by the server. */
static bool
algorithm_usable(const struct nacre_client *client, struct nacre_span name)
{
	const struct nacre_span server = nacre_session_server_signature_algorithms(client->session);

	return algorithms_allowed(client->config->pubkey_accepted_algorithms, name) &&
	       server_takes(server, name);
}

/* What the identity signs with; empty if with nothing. An RSA key's format names its signature with
 * SHA-1 as well, which is taken where the configuration names it. */
static struct nacre_span
usable_algorithm(const struct nacre_client *client, const struct nacre_key *key)
{
	const bool by_name = client->config->pubkey_accepted_algorithms != NULL;
	const struct nacre_span format = nacre_span_of(nacre_key_format(key));
	struct nacre_span left = nacre_span_of(nacre_key_signature_algorithms(key)), name;

	while ((name = nacre_list_next(&left)).length > 0)
		if (algorithm_usable(client, name))
			return name;
	return by_name && algorithm_usable(client, format) ? format : (struct nacre_span){NULL, 0};
}

static bool
choose_algorithm(const struct nacre_client *client, struct identity *identity)
{
	const struct nacre_span name = usable_algorithm(client, identity->key);

	if (name.length > 0) {
		free(identity->algorithm);
		identity->algorithm = nacre_span_to_string(name);
		return identity->algorithm != NULL;
	}
	identity->outcome = "its algorithm is not allowed here (PubkeyAcceptedAlgorithms) or there";
	nacre_log(NACRE_LOG_DEBUG1,
	    "Skipping %s key %s - corresponding algorithm not supported by the server or not in "
	    "PubkeyAcceptedAlgorithms",
	    nacre_key_type_label(identity->key), identity->comment);
	return false;
}

/* Sends a signed request; the signature is asked for by an event. 1, 0 or an error. */
static int
offer(struct nacre_client *client, struct identity *identity)
{
	identity->state = IDENTITY_FINISHED;
	identity->outcome = "it could not be unlocked: ssh-add FILE asks for its passphrase";
	if (identity_unlock(client, identity, true) != 0 || !choose_algorithm(client, identity))
		return 0;
	identity->outcome = "the server did not take it";
	const int error = nacre_auth_publickey(client->session, identity->algorithm,
	    nacre_buffer_span(&identity->blob), &identity->request);
	if (error != 0)
		return error;
	log_identity("Offering public key", identity);
	identity->state = IDENTITY_OFFERED;
	client->authentication.outstanding++;
	return 1;
}

static int
query(struct nacre_client *client, struct identity *identity)
{
	identity->state = IDENTITY_FINISHED;
	if (!choose_algorithm(client, identity))
		return 0;
	identity->outcome = "the server does not know it";
	const int error = nacre_auth_query_publickey(client->session, identity->algorithm,
	    nacre_buffer_span(&identity->blob), &identity->request);
	if (error != 0)
		return error;
	log_identity("Offering public key", identity);
	identity->state = IDENTITY_ASKED;
	client->authentication.outstanding++;
	return 1;
}

static bool
waits(const struct identity *identity, bool with_public_key)
{
	return identity->state == IDENTITY_UNTRIED && (identity->key != NULL) == with_public_key;
}

/* The one key that will do, if that can be told: the one that did last time, or the only one. */
static struct identity *
likely_identity(const struct nacre_client *client)
{
	struct identity *only = NULL;
	size_t count = 0;

	for (size_t i = 0; i < client->identities.count; i++) {
		struct identity *const identity = &client->identities.list[i];

		if (!waits(identity, true))
			continue;
		if (preference_remembers(client, identity))
			return identity;
		only = identity;
		count++;
	}
	return count == 1 ? only : NULL;
}

static int
query_several(struct nacre_client *client)
{
	int sent = 0;

	for (size_t i = 0; i < client->identities.count && sent < QUERIES_AT_ONCE; i++)
		if (waits(&client->identities.list[i], true)) {
			const int result = query(client, &client->identities.list[i]);

			if (result < 0)
				return result;
			sent += result;
		}
	return sent > 0;
}

/* The first identity in a state, or NULL. */
static struct identity *
in_state(const struct nacre_client *client, enum identity_state state)
{
	for (size_t i = 0; i < client->identities.count; i++)
		if (client->identities.list[i].state == state)
			return &client->identities.list[i];
	return NULL;
}

/* Files that do not show their public half: unlocked, which may ask, and offered one by one. */
static int
offer_unknown(struct nacre_client *client)
{
	for (size_t i = 0; i < client->identities.count; i++)
		if (waits(&client->identities.list[i], false)) {
			const int result = offer(client, &client->identities.list[i]);

			if (result != 0)
				return result;
		}
	return 0;
}

static int
publickey_next(struct nacre_client *client)
{
	struct identity *identity;
	int result;

	while ((identity = in_state(client, IDENTITY_WELCOME)) != NULL)
		if ((result = offer(client, identity)) != 0)
			return result;
	/* A key that needs no passphrase is signed with at once. */
	identity = likely_identity(client);
	if (identity != NULL && !identity_wants_person(identity) &&
	    identity_unlock(client, identity, false) == 0 &&
	    (result = offer(client, identity)) != 0)
		return result;
	if ((result = query_several(client)) != 0)
		return result;
	return offer_unknown(client);
}

static bool
publickey_usable(const struct nacre_client *client)
{
	return client->config->pubkey_authentication != NACRE_PUBKEY_NO &&
	       (in_state(client, IDENTITY_UNTRIED) != NULL ||
		   in_state(client, IDENTITY_WELCOME) != NULL);
}

/* Passwords ---------------------------------------------------------------------------------- */

/* Asks; the answer and its NUL are in "answer". False when the person gave up. */
static bool
ask(const struct nacre_client *client, const char *format, unsigned flags,
    struct nacre_buffer *answer)
{
	struct nacre_buffer text = {0};

	nacre_put_format(&text, "%s@%s%s", client->config->user, client->config->hostname, format);
	nacre_put_byte(&text, '\0');
	const bool given =
	    !text.failed && nacre_prompt((const char *)text.data, flags, answer) == 0;
	nacre_put_byte(answer, '\0');
	nacre_buffer_free(&text);
	return given && !answer->failed;
}

static int
send_password(struct nacre_client *client, const char *password, const char *new_password)
{
	const int error = nacre_auth_password(client->session, password, new_password, NULL);

	if (error == NACRE_ERROR_STATE)
		nacre_log(NACRE_LOG_ERROR,
		    "Password authentication needs an encrypted connection; not sent.");
	if (error == 0)
		client->authentication.outstanding++;
	return error == 0 ? 1 : error;
}

static int
password_next(struct nacre_client *client)
{
	struct nacre_buffer password = {0};
	int result = 0;

	if (client->authentication.password_prompts++ > 0)
		nacre_log(NACRE_LOG_ERROR, "Permission denied, please try again.");
	if (ask(client, "'s password: ", 0, &password))
		result = send_password(client, (const char *)password.data, NULL);
	else
		client->authentication.password_over = true;
	nacre_buffer_free(&password);
	return result;
}

static bool
password_usable(const struct nacre_client *client)
{
	const struct nacre_ssh_config *const config = client->config;

	return config->password_authentication && !config->batch_mode &&
	       !client->authentication.password_over &&
	       client->authentication.password_prompts <
		   (unsigned)config->number_of_password_prompts;
}

static void
show_text(struct nacre_span text)
{
	if (text.length > 0)
		nacre_log(NACRE_LOG_INFO, "%.*s", TEXT(text));
}

/* The server wants a new password. */
static int
change_password(struct nacre_client *client, struct nacre_span prompt)
{
	struct nacre_buffer old = {0}, new = {0}, again = {0};
	int result = 0;

	show_text(prompt);
	if (ask(client, "'s old password: ", 0, &old)) {
		bool same = false;

		while (!same) {
			nacre_buffer_clear(&new);
			nacre_buffer_clear(&again);
			if (!ask(client, "'s new password: ", 0, &new) ||
			    !ask(client, "'s new password (again): ", 0, &again))
				break;
			same = nacre_span_equal(nacre_buffer_span(&new), nacre_buffer_span(&again));
			if (!same)
				nacre_log(NACRE_LOG_INFO, "Mismatch; try again, EOF to quit.");
		}
		if (same)
			result =
			    send_password(client, (const char *)old.data, (const char *)new.data);
	}
	client->authentication.password_over = result == 0;
	nacre_buffer_free(&old);
	nacre_buffer_free(&new);
	nacre_buffer_free(&again);
	return result;
}

/* keyboard-interactive ------------------------------------------------------------------------ */

static int
interactive_next(struct nacre_client *client)
{
	struct authentication *const authentication = &client->authentication;

	/* A try in which the server asked nothing will not ask anything in the next. */
	if (authentication->interactive_prompts > 0 && !authentication->interactive_answered) {
		authentication->interactive_over = true;
		return 0;
	}
	authentication->interactive_prompts++;
	authentication->interactive_answered = false;
	const int error = nacre_auth_keyboard_interactive(
	    client->session, client->config->kbd_interactive_devices, NULL);
	if (error != 0)
		return error;
	authentication->outstanding++;
	return 1;
}

static bool
interactive_usable(const struct nacre_client *client)
{
	const struct nacre_ssh_config *const config = client->config;

	return config->kbd_interactive_authentication && !config->batch_mode &&
	       !client->authentication.interactive_over &&
	       client->authentication.interactive_prompts <
		   (unsigned)config->number_of_password_prompts;
}

/* Appends hostile text without control characters. */
static void
put_safe(struct nacre_buffer *text, struct nacre_span hostile)
{
	for (size_t i = 0; i < hostile.length; i++) {
		const uint8_t byte = hostile.data[i];

		if ((byte < ' ' && byte != '\n' && byte != '\t') || byte == 0x7f)
			nacre_put_format(text, "\\%03o", byte);
		else
			nacre_put_byte(text, byte);
	}
}

static bool
ask_interactive(const struct nacre_client *client, const struct nacre_auth_prompt *prompt,
    struct nacre_buffer *answer)
{
	struct nacre_buffer text = {0};

	nacre_put_format(&text, "(%s@%s) ", client->config->user, client->config->hostname);
	put_safe(&text, prompt->text);
	nacre_put_byte(&text, '\0');
	const bool given = !text.failed && nacre_prompt((const char *)text.data,
					       prompt->echo ? NACRE_PROMPT_ECHO : 0, answer) == 0;
	nacre_buffer_free(&text);
	return given;
}

static int
answer_interactive(struct nacre_client *client, const struct nacre_event *event)
{
	const size_t count = event->u.auth_reply.prompt_count;
	struct nacre_buffer answers[NACRE_AUTH_PROMPTS] = {0};
	struct nacre_span spans[NACRE_AUTH_PROMPTS];
	int result = 1;

	show_text(event->u.auth_reply.name);
	show_text(event->u.auth_reply.instruction);
	client->authentication.interactive_answered |= count > 0;
	for (size_t i = 0; i < count && i < NACRE_AUTH_PROMPTS && result == 1; i++) {
		if (!ask_interactive(client, &event->u.auth_reply.prompts[i], &answers[i]))
			result = 0;
		spans[i] = nacre_buffer_span(&answers[i]);
	}
	/* Who gives up answers nothing, and the server refuses. */
	client->authentication.interactive_over |= result == 0;
	const int error = nacre_auth_respond(client->session, spans, result == 1 ? count : 0);
	client->authentication.outstanding += error == 0;
	for (size_t i = 0; i < NACRE_AUTH_PROMPTS; i++)
		nacre_buffer_free(&answers[i]);
	return error == 0 ? 1 : error;
}

/* The order of methods ------------------------------------------------------------------------- */

static const struct authentication_method methods[] = {
    {"publickey", publickey_usable, publickey_next},
    {"keyboard-interactive", interactive_usable, interactive_next},
    {"password", password_usable, password_next},
    {"hostbased", hostbased_usable, hostbased_next},
};

static const struct authentication_method *
find_method(struct nacre_span name)
{
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		if (nacre_span_equals(name, methods[i].name))
			return &methods[i];
	return NULL;
}

/* The first method that we prefer, that the server allows ("allowed" NULL: not known) and that has
 * something left to try. */
static const struct authentication_method *
preferred_method(const struct nacre_client *client, const char *allowed)
{
	const char *const preferred = client->config->preferred_authentications;
	struct nacre_span left = nacre_span_of(preferred != NULL ? preferred : PREFERRED_DEFAULT);
	struct nacre_span name;

	while ((name = nacre_list_next(&left)).length > 0) {
		const struct authentication_method *const method = find_method(name);

		if (method != NULL && method->usable(client) &&
		    (allowed == NULL || nacre_list_contains(nacre_span_of(allowed), name)))
			return method;
	}
	return NULL;
}

static int
report_denied(const struct nacre_client *client)
{
	const char *const allowed = client->authentication.methods;

	nacre_log(NACRE_LOG_ERROR, "%s@%s: Permission denied (%s).", client->config->user,
	    client->config->hostname, allowed != NULL ? allowed : "");
	hint_denied(client);
	return NACRE_ERROR_REFUSED;
}

int
authenticate_advance(struct nacre_client *client)
{
	struct authentication *const authentication = &client->authentication;
	const struct authentication_method *method;

	while ((method = preferred_method(client, authentication->methods)) != NULL) {
		if (method != authentication->current)
			nacre_log(NACRE_LOG_DEBUG1, "Next authentication method: %s", method->name);
		authentication->current = method;
		trace_stage(client->trace, "authentication", method->name);
		const int result = method->next(client);
		if (result != 0)
			return result < 0 ? result : 0;
	}
	nacre_log(NACRE_LOG_DEBUG1, "No more authentication methods to try.");
	return report_denied(client);
}

int
authenticate_start(struct nacre_client *client)
{
	int error = nacre_auth_user(client->session, client->config->user);

	if (error != 0)
		return error;
	/* With keys to try nobody needs to be asked whether they may be tried. */
	if (preferred_method(client, NULL) == &methods[0]) {
		client->authentication.current = &methods[0];
		trace_stage(client->trace, "authentication", methods[0].name);
		const int result = publickey_next(client);
		if (result != 0)
			return result < 0 ? result : 0;
	}
	trace_stage(client->trace, "authentication", "none");
	if ((error = nacre_auth_none(client->session, NULL)) == 0)
		client->authentication.outstanding++;
	return error;
}

static struct identity *
identity_of_request(const struct nacre_client *client, uint32_t request)
{
	for (size_t i = 0; i < client->identities.count; i++) {
		struct identity *const identity = &client->identities.list[i];

		if ((identity->state == IDENTITY_ASKED || identity->state == IDENTITY_OFFERED) &&
		    identity->request == request)
			return identity;
	}
	return NULL;
}

static int
reply_failure(struct nacre_client *client, const struct nacre_event *event)
{
	struct authentication *const authentication = &client->authentication;
	struct identity *const identity = identity_of_request(client, event->u.auth_reply.request);

	if (identity != NULL)
		identity->state = IDENTITY_FINISHED;
	/* A request that could not be signed fails here, without a word from the server. */
	if (event->u.auth_reply.methods.length > 0 || identity == NULL) {
		free(authentication->methods);
		authentication->methods = nacre_span_to_string(event->u.auth_reply.methods);
		nacre_log(NACRE_LOG_DEBUG1, "Authentications that can continue: %.*s",
		    TEXT(event->u.auth_reply.methods));
	}
	if (event->u.auth_reply.partial_success) {
		nacre_log(NACRE_LOG_VERBOSE, "Authenticated using \"%s\" with partial success.",
		    authentication->current != NULL ? authentication->current->name : "none");
		authentication->partial = true;
		authentication->password_prompts = authentication->interactive_prompts = 0;
		authentication->password_over = authentication->interactive_over = false;
	}
	return 0;
}

static int
reply_publickey_ok(struct nacre_client *client, const struct nacre_event *event)
{
	struct identity *const identity = identity_of_request(client, event->u.auth_reply.request);

	if (identity == NULL || identity->state != IDENTITY_ASKED)
		return 0;
	log_identity("Server accepts key", identity);
	identity->state = IDENTITY_WELCOME;
	if (in_state(client, IDENTITY_OFFERED) != NULL)
		return 0;
	const int result = offer(client, identity);
	return result < 0 ? result : 0;
}

static int
reply_change_password(struct nacre_client *client, const struct nacre_event *event)
{
	const int result = change_password(client, event->u.auth_reply.prompt);

	return result < 0 ? result : 0;
}

static int
reply_info_request(struct nacre_client *client, const struct nacre_event *event)
{
	const int result = answer_interactive(client, event);

	return result < 0 ? result : 0;
}

static int
reply_success(struct nacre_client *client, const struct nacre_event *event)
{
	client->authentication.accepted = identity_of_request(client, event->u.auth_reply.request);
	return 0;
}

static int (*const replies[])(struct nacre_client *, const struct nacre_event *) = {
    [NACRE_AUTH_SUCCESS] = reply_success,
    [NACRE_AUTH_FAILURE] = reply_failure,
    [NACRE_AUTH_PUBLICKEY_OK] = reply_publickey_ok,
    [NACRE_AUTH_CHANGE_PASSWORD] = reply_change_password,
    [NACRE_AUTH_INFO_REQUEST] = reply_info_request,
};

int
authenticate_reply(struct nacre_client *client, const struct nacre_event *event)
{
	const enum nacre_auth_result result = event->u.auth_reply.result;

	if (client->authentication.outstanding > 0)
		client->authentication.outstanding--;
	const int error = replies[result](client, event);
	if (error != 0 || result == NACRE_AUTH_SUCCESS || client->authentication.outstanding > 0 ||
	    early_undecided(client))
		return error;
	return authenticate_advance(client);
}

int
authenticate_sign(struct nacre_client *client, const struct nacre_event *event)
{
	struct nacre_buffer signature = {0};

	const bool by_host = hostbased_sign(client, event, &signature);

	for (size_t i = 0; !by_host && i < client->identities.count; i++) {
		struct identity *const identity = &client->identities.list[i];

		if (identity->state != IDENTITY_OFFERED ||
		    !nacre_span_equal(nacre_buffer_span(&identity->blob), event->u.sign.blob))
			continue;
		if (identity_sign(client, identity, event->u.sign.data, &signature) != 0) {
			nacre_buffer_clear(&signature);
			identity->outcome = identity->in_agent ? "the agent did not sign with it"
							       : "it could not sign";
		}
		break;
	}
	trace_stage(client->trace, "authentication",
	    client->authentication.current != NULL ? client->authentication.current->name : NULL);
	const int error = nacre_session_signature(client->session, nacre_buffer_span(&signature));
	nacre_buffer_free(&signature);
	return error;
}

void
authenticate_free(struct nacre_client *client)
{
	free(client->authentication.methods);
	client->authentication = (struct authentication){0};
}
