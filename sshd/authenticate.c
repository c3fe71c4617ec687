/*
 * User authentication as the monitor decides it (RFC 4252): methods, AuthenticationMethods, limits,
 * and the log lines. It believes nothing that the network process says but that a peer said so.
 */
#include "login.h"
#include "record.h"

#include <nacre/log.h>
#include <nacre/process.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SERVICE      AUTHENTICATION_SERVICE
#define BANNER_BYTES ((size_t)64 * 1024)

static bool
publickey_enabled(const struct login *login)
{
	return login->config->pubkey_authentication;
}

/* Without root nobody's password can be looked at. */
static bool
password_enabled(const struct login *login)
{
	return login->config->password_authentication && login->server->privileged;
}

static bool
interactive_enabled(const struct login *login)
{
	return login->config->kbd_interactive_authentication && login->config->use_pam &&
	       login->server->privileged;
}

static enum answer_kind try_none(struct login *, struct nacre_reader *, struct answer *);
static enum answer_kind try_password(struct login *, struct nacre_reader *, struct answer *);
static enum answer_kind try_interactive(struct login *, struct nacre_reader *, struct answer *);

static const struct method {
	enum nacre_auth_method method;
	const char *name;
	bool (*enabled)(const struct login *login);
	enum answer_kind (*attempt)(
	    struct login *login, struct nacre_reader *fields, struct answer *answer);
} methods[] = {
    {NACRE_METHOD_PUBLICKEY, "publickey", publickey_enabled, authenticate_publickey},
    {NACRE_METHOD_PASSWORD, "password", password_enabled, try_password},
    {NACRE_METHOD_KEYBOARD_INTERACTIVE, "keyboard-interactive", interactive_enabled,
	try_interactive},
    {NACRE_METHOD_NONE, "none", NULL, try_none},
};

/* AuthenticationMethods ------------------------------------------------------------------------ */

/* The first method of a list, without a ":submethod". */
static struct nacre_span
first_method(const char *list)
{
	return (struct nacre_span){(const uint8_t *)list, strcspn(list, ",:")};
}

static bool
may_begin_with(const struct authentication *authentication, const char *name)
{
	if (authentication->remaining_count == 0)
		return true;
	for (size_t i = 0; i < authentication->remaining_count; i++)
		if (nacre_span_equals(first_method(authentication->remaining[i]), name))
			return true;
	return false;
}

static bool
method_usable(const struct login *login, const struct method *method)
{
	return method->enabled != NULL && method->enabled(login) &&
	       may_begin_with(&login->authentication, method->name);
}

static void
list_methods(const struct login *login, struct nacre_buffer *list)
{
	for (size_t i = 0; i < MEMBERS(methods); i++)
		if (method_usable(login, &methods[i]))
			nacre_put_format(list, "%s%s", nacre_buffer_length(list) > 0 ? "," : "",
			    methods[i].name);
}

/* A method has succeeded: true when one of the lists is complete. */
static bool
lists_complete(struct authentication *authentication, const char *name)
{
	bool complete = authentication->remaining_count == 0;

	for (size_t i = 0; i < authentication->remaining_count; i++) {
		char *list = authentication->remaining[i];
		if (!nacre_span_equals(first_method(list), name))
			continue;
		const char *rest = strchr(list, ',');
		if (rest == NULL)
			complete = true;
		else
			memmove(list, rest + 1, strlen(rest + 1) + 1);
	}
	return complete;
}

static void
copy_lists(struct login *login)
{
	const struct nacre_words *lists = &login->config->authentication_methods;
	struct authentication *authentication = &login->authentication;

	authentication->remaining = calloc(lists->count + 1, sizeof(char *));
	if (authentication->remaining == NULL)
		nacre_fatal("out of memory");
	for (size_t i = 0; i < lists->count; i++)
		if (strcmp(lists->words[i], "any") != 0)
			authentication->remaining[authentication->remaining_count++] =
			    strdup(lists->words[i]);
}

/* The user --------------------------------------------------------------------------------- */

static void
apply_match(struct login *login)
{
	const struct peer *peer = &login->peer;
	struct nacre_connection_spec connection = {
	    .user = login->authentication.user,
	    .invalid_user = !login->account.exists,
	    .host = peer->address,
	    .address = peer->address,
	    .local_address = peer->local_address,
	    .local_port = peer->local_port,
	    .version = SERVER_SOFTWARE,
	};
	struct nacre_sshd_config *matched = NULL;

	if (!nacre_sshd_config_has_match(login->server->config))
		return;
	if (nacre_sshd_config_match(login->server->config, &connection, &matched) != 0)
		nacre_fatal(
		    "the configuration cannot be applied to user %s", login->authentication.user);
	login->config = matched;
	if (login->server->command_line.debug == 0 && !login->server->command_line.quiet)
		nacre_log_level_set((enum nacre_log_level)matched->log_level);
}

static void
put_banner(const struct login *login, struct answer *answer)
{
	const char *path = login->config->banner;
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : -1;

	if (fd < 0)
		return;
	if (nacre_process_read_file(fd, BANNER_BYTES, &answer->banner) != 0)
		nacre_buffer_clear(&answer->banner);
	close(fd);
}

static void
begin(struct login *login, struct answer *answer)
{
	struct authentication *authentication = &login->authentication;

	authentication->started = true;
	(void)nacre_account_find(authentication->user, &login->account);
	apply_match(login);
	copy_lists(login);
	if (!login->account.exists)
		nacre_log(NACRE_LOG_INFO, "Invalid user %.100s from %.100s port %d",
		    authentication->user, login->peer.address, login->peer.port);
	authentication->allowed = policy_allows(login);
	put_banner(login, answer);
}

static void
disconnect(struct answer *answer, uint32_t reason, const char *text)
{
	answer->kind = ANSWER_DISCONNECT;
	answer->reason = reason;
	nacre_buffer_clear(&answer->text);
	nacre_put_format(&answer->text, "%s", text);
}

/* Methods ---------------------------------------------------------------------------------- */

static enum answer_kind
try_none(struct login *login, struct nacre_reader *fields, struct answer *answer)
{
	const struct authentication *authentication = &login->authentication;

	(void)fields;
	(void)answer;
	if (!authentication->allowed || !login->config->permit_empty_passwords ||
	    !password_enabled(login) || authentication->remaining_count > 0)
		return ANSWER_FAILURE;
	return nacre_account_check_password(&login->account, "", true) == 0 ? ANSWER_SUCCESS
									    : ANSWER_FAILURE;
}

static enum answer_kind
check_password(struct login *login, const char *password)
{
	bool right = nacre_account_check_password(
			 &login->account, password, login->config->permit_empty_passwords) == 0;

	if (!right || !login->authentication.allowed)
		return ANSWER_FAILURE;
	if (nacre_account_state(&login->account) == NACRE_ACCOUNT_PASSWORD_EXPIRED) {
		nacre_log(NACRE_LOG_INFO, "User %.100s password has expired (password aged)",
		    login->account.name);
		return ANSWER_FAILURE;
	}
	return ANSWER_SUCCESS;
}

static enum answer_kind
check_password_span(struct login *login, struct nacre_span span)
{
	char *password = span.length < 1024 ? nacre_span_to_string(span) : NULL;

	if (password == NULL)
		return ANSWER_FAILURE;
	enum answer_kind kind = check_password(login, password);
	explicit_bzero(password, span.length);
	free(password);
	return kind;
}

static enum answer_kind
try_password(struct login *login, struct nacre_reader *fields, struct answer *answer)
{
	bool change = nacre_get_boolean(fields);
	struct nacre_span password = nacre_get_string(fields);

	(void)answer;
	nacre_get_string(fields);
	if (change)
		nacre_log(NACRE_LOG_INFO, "password change not supported");
	return check_password_span(login, password);
}

static enum answer_kind
try_interactive(struct login *login, struct nacre_reader *fields, struct answer *answer)
{
	(void)fields;
	login->authentication.asking = true;
	nacre_put_format(&answer->text, "Password: ");
	return ANSWER_ASK;
}

/* The outcome ------------------------------------------------------------------------------ */

static void
count_failure(struct login *login, const char *method, struct answer *answer)
{
	struct authentication *authentication = &login->authentication;
	char user[300];

	/* The first request of most clients only asks which methods there are. */
	if (strcmp(method, "none") != 0 || authentication->attempts > 1)
		authentication->failures++;
	if ((int)authentication->failures < login->config->max_auth_tries)
		return;
	nacre_log(NACRE_LOG_ERROR,
	    "maximum authentication attempts exceeded for %s from %.200s port %d ssh2 [preauth]",
	    login_user_text(login, user, sizeof user), login->peer.address, login->peer.port);
	disconnect(answer, NACRE_DISCONNECT_PROTOCOL_ERROR, "Too many authentication failures");
}

static void
finish(struct login *login, const char *method, bool usable, struct answer *answer)
{
	struct authentication *authentication = &login->authentication;

	if (answer->kind == ANSWER_SUCCESS && !policy_allows_root(login, method))
		answer->kind = ANSWER_FAILURE;
	if (answer->kind == ANSWER_SUCCESS && !lists_complete(authentication, method)) {
		answer->kind = ANSWER_FAILURE;
		answer->partial = true;
	}
	record_attempt(login, method, answer, usable);
	if (answer->kind == ANSWER_SUCCESS)
		authentication->method = strdup(method);
	if (answer->kind == ANSWER_FAILURE && !answer->partial)
		count_failure(login, method, answer);
	if (answer->kind == ANSWER_FAILURE)
		list_methods(login, &answer->methods);
}

static bool
user_changed(struct login *login, struct nacre_span user, struct answer *answer)
{
	const struct authentication *authentication = &login->authentication;
	char text[600];

	if (!authentication->started || nacre_span_equals(user, authentication->user))
		return false;
	snprintf(text, sizeof text,
	    "Change of username or service not allowed: (%.200s," SERVICE ") -> (%.*s," SERVICE ")",
	    authentication->user, (int)(user.length < 200 ? user.length : 200),
	    (const char *)user.data);
	disconnect(answer, NACRE_DISCONNECT_PROTOCOL_ERROR, text);
	return true;
}

static const struct method *
find_method(const struct login *login, uint8_t method)
{
	for (size_t i = 0; i < MEMBERS(methods); i++)
		if (methods[i].method == method &&
		    (methods[i].enabled == NULL || method_usable(login, &methods[i])))
			return &methods[i];
	return NULL;
}

int
authenticate(struct login *login, struct nacre_reader *request, struct answer *answer)
{
	struct authentication *authentication = &login->authentication;
	struct nacre_span user = nacre_get_string(request);
	struct nacre_span service = nacre_get_string(request);
	uint8_t number = nacre_get_byte(request);
	struct nacre_span name = nacre_get_string(request);

	if (request->failed || !nacre_span_equals(service, SERVICE))
		return NACRE_ERROR_PROTOCOL;
	authentication->attempts++;
	authentication->asking = false;
	if (user_changed(login, user, answer))
		return 0;
	if (!authentication->started) {
		authentication->user = nacre_span_to_string(user);
		if (authentication->user == NULL)
			return NACRE_ERROR_PROTOCOL;
		begin(login, answer);
		if (login->config->refuse_connection) {
			authentication->refused = true;
			nacre_log(NACRE_LOG_INFO, "administratively prohibited connection");
			disconnect(answer, NACRE_DISCONNECT_BY_APPLICATION,
			    "Connection refused by configuration");
			return 0;
		}
	}
	char method_name[64];
	snprintf(method_name, sizeof method_name, "%.*s",
	    (int)(name.length < 60 ? name.length : 60), (const char *)name.data);
	const struct method *method = find_method(login, number);
	answer->kind = method != NULL ? method->attempt(login, request, answer) : ANSWER_FAILURE;
	if (request->failed)
		return NACRE_ERROR_PROTOCOL;
	finish(login, method != NULL ? method->name : method_name, method != NULL, answer);
	return 0;
}

int
authenticate_respond(struct login *login, struct nacre_reader *request, struct answer *answer)
{
	uint32_t count = nacre_get_u32(request);
	struct nacre_span response = nacre_get_string(request);

	if (!login->authentication.asking)
		return NACRE_ERROR_STATE;
	login->authentication.asking = false;
	answer->kind = ANSWER_FAILURE;
	if (count == 1 && nacre_reader_done(request))
		answer->kind = check_password_span(login, response);
	finish(login, "keyboard-interactive", true, answer);
	return 0;
}

void
authentication_free(struct authentication *authentication)
{
	free(authentication->user);
	free(authentication->method);
	for (size_t i = 0; i < authentication->remaining_count; i++)
		free(authentication->remaining[i]);
	free(authentication->remaining);
	for (size_t i = 0; i < authentication->used_key_count; i++)
		free(authentication->used_keys[i]);
	free(authentication->used_keys);
	nacre_buffer_free(&authentication->key_text);
	record_key_free(&authentication->key_record);
	if (authentication->has_options)
		nacre_key_options_free(&authentication->options);
	*authentication = (struct authentication){0};
}
