/*
 * User authentication as the monitor decides it (RFC 4252): methods, AuthenticationMethods, limits,
 * and the log lines. It believes nothing that the network process says but that a peer said so.
 */
#include "login.h"
#include "pam.h"
#include "record.h"

#include <nacre/log.h>
#include <nacre/process.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SERVICE      AUTHENTICATION_SERVICE
#define BANNER_BYTES ((size_t)200 * 1024) /* it is one packet */
/* An attempt that fails takes this long, or twice, four times and so on as long. A password is
 * hashed, but by some modules of PAM only for users that exist. */
#define KEY_FAILURE_US      1000
#define PASSWORD_FAILURE_US 64000
#define FAILURE_MOST_US     1000000

static bool
publickey_enabled(const struct login *login)
{
	return login->config->pubkey_authentication;
}

/* Without root nobody's password can be looked at. */
static bool
password_enabled(const struct login *login)
{
	return login->config->password_authentication && login->server->privileged &&
	       pam_may_ask(login);
}

static bool
interactive_enabled(const struct login *login)
{
	return login->config->kbd_interactive_authentication && pam_in_use(login) &&
	       pam_may_ask(login);
}

static enum answer_kind
try_interactive(struct login *login, struct nacre_reader *fields, struct answer *answer)
{
	(void)fields;
	return pam_ask(login, answer);
}

static bool
hostbased_enabled(const struct login *login)
{
	return login->config->hostbased_authentication;
}

static const struct method {
	enum nacre_auth_method method;
	const char *name;
	bool (*enabled)(const struct login *login);
	enum answer_kind (*attempt)(
	    struct login *login, struct nacre_reader *fields, struct answer *answer);
} methods[] = {
    {NACRE_METHOD_PUBLICKEY, "publickey", publickey_enabled, authenticate_publickey},
    {NACRE_METHOD_PASSWORD, "password", password_enabled, authenticate_password},
    {NACRE_METHOD_KEYBOARD_INTERACTIVE, "keyboard-interactive", interactive_enabled,
	try_interactive},
    {NACRE_METHOD_HOSTBASED, "hostbased", hostbased_enabled, authenticate_hostbased},
    {NACRE_METHOD_NONE, "none", NULL, authenticate_none},
};

/* AuthenticationMethods ------------------------------------------------------------------------ */

/* The first method of a list, without the only device that there is. */
static struct nacre_span
first_method(const char *list)
{
	static const char device[] = ":pam";
	struct nacre_span method = {(const uint8_t *)list, strcspn(list, ",")};
	size_t length = strlen(device);

	if (method.length > length &&
	    memcmp(method.data + method.length - length, device, length) == 0)
		method.length -= length;
	return method;
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

bool
authenticate_may_use(const struct login *login, const char *name)
{
	return password_enabled(login) && may_begin_with(&login->authentication, name);
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

static bool
method_enabled(const struct login *login, struct nacre_span name)
{
	if (nacre_span_equals(name, "none"))
		return login->config->permit_empty_passwords && password_enabled(login);
	for (size_t i = 0; i < MEMBERS(methods); i++)
		if (nacre_span_equals(name, methods[i].name) && methods[i].enabled != NULL)
			return methods[i].enabled(login);
	return false;
}

/* Whether all methods of a list can be had. */
static bool
list_enabled(const struct login *login, const char *list)
{
	while (list != NULL && method_enabled(login, first_method(list))) {
		const char *comma = strchr(list, ',');
		list = comma != NULL ? comma + 1 : NULL;
	}
	return list == NULL;
}

/* False when AuthenticationMethods leaves no way in. */
static bool
copy_lists(struct login *login)
{
	const struct nacre_words *lists = &login->config->authentication_methods;
	struct authentication *authentication = &login->authentication;
	bool any = lists->count == 0;

	authentication->remaining = calloc(lists->count + 1, sizeof(char *));
	if (authentication->remaining == NULL)
		nacre_fatal("out of memory");
	for (size_t i = 0; i < lists->count; i++)
		if (strcmp(lists->words[i], "any") == 0)
			any = true;
		else if (list_enabled(login, lists->words[i]))
			authentication->remaining[authentication->remaining_count++] =
			    strdup(lists->words[i]);
	if (any || authentication->remaining_count > 0)
		return true;
	nacre_log(
	    NACRE_LOG_ERROR, "no AuthenticationMethods left after eliminating disabled methods");
	return false;
}

/* The user --------------------------------------------------------------------------------- */

static void
apply_match(struct login *login)
{
	const struct peer *peer = &login->peer;
	struct nacre_connection_spec connection = {
	    .user = login->authentication.user,
	    .invalid_user = !login->account.exists,
	    .host = login_remote_name(login),
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
	nacre_log_verbose_set(matched->log_verbose.words, matched->log_verbose.count);
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
disconnect(struct answer *answer, uint32_t reason, const char *text)
{
	answer->kind = ANSWER_DISCONNECT;
	answer->reason = reason;
	nacre_buffer_clear(&answer->text);
	nacre_put_format(&answer->text, "%s", text);
}

static void
begin(struct login *login, struct answer *answer)
{
	struct authentication *authentication = &login->authentication;

	authentication->started = true;
	(void)nacre_account_find(authentication->user, &login->account);
	apply_match(login);
	if (!login->account.exists) {
		nacre_log(NACRE_LOG_INFO, "Invalid user %.100s from %.100s port %d",
		    authentication->user, login->peer.address, login->peer.port);
		accounting_failure(login);
	}
	authentication->allowed = policy_allows(login);
	put_banner(login, answer);
	if (!copy_lists(login))
		disconnect(answer, NACRE_DISCONNECT_NO_MORE_AUTH_METHODS,
		    "no authentication methods enabled");
}

/* The outcome ------------------------------------------------------------------------------ */

static void
remember_method(struct authentication *authentication, const char *method)
{
	struct nacre_buffer *text = &authentication->methods_text;

	nacre_put_format(text, "%s", method);
	if (strcmp(method, "publickey") == 0) {
		nacre_put_byte(text, ' ');
		nacre_put_span(text, nacre_buffer_span(&authentication->key_line));
	}
	nacre_put_byte(text, '\n');
}

/* The last word on an account, once everything else is proved. */
static void
check_account(struct login *login, const char *method, struct answer *answer)
{
	char text[300];

	if (!pam_in_use(login) || pam_account_allows(login, answer))
		return;
	answer->kind = ANSWER_FAILURE;
	record_attempt(login, method, answer, true);
	snprintf(text, sizeof text, "Access denied for user %.100s by PAM account configuration",
	    login->authentication.user);
	nacre_log(NACRE_LOG_FATAL, "%s [preauth]", text);
	login->authentication.failures++;
	disconnect(answer, NACRE_DISCONNECT_BY_APPLICATION, text);
}

static void
count_failure(struct login *login, const char *method, struct answer *answer)
{
	struct authentication *authentication = &login->authentication;
	char user[300];

	/* The first request of most clients only asks which methods there are. */
	if (strcmp(method, "none") != 0 || authentication->attempts > 1)
		authentication->failures++;
	if (strcmp(method, "password") == 0 || strcmp(method, "keyboard-interactive") == 0)
		accounting_failure(login);
	if ((int)authentication->failures < login->config->max_auth_tries)
		return;
	nacre_log(NACRE_LOG_ERROR,
	    "maximum authentication attempts exceeded for %s from %.200s port %d ssh2 [preauth]",
	    login_user_text(login, user, sizeof user), login->peer.address, login->peer.port);
	disconnect(answer, NACRE_DISCONNECT_PROTOCOL_ERROR, "Too many authentication failures");
}

/* "method" as in the lists, "name" with the device. */
static void
finish(
    struct login *login, const char *method, const char *name, bool usable, struct answer *answer)
{
	struct authentication *authentication = &login->authentication;

	if (answer->kind == ANSWER_SUCCESS && !policy_allows_root(login, method))
		answer->kind = ANSWER_FAILURE;
	if (answer->kind == ANSWER_SUCCESS) {
		remember_method(authentication, name);
		answer->partial = !lists_complete(authentication, method);
	}
	if (answer->partial)
		answer->kind = ANSWER_FAILURE;
	else if (answer->kind == ANSWER_SUCCESS)
		check_account(login, name, answer);
	if (answer->kind == ANSWER_DISCONNECT)
		return;
	record_attempt(login, name, answer, usable);
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

/* The first request names the user. False when the connection ends here. */
static bool
begin_with(struct login *login, struct nacre_span user, struct answer *answer)
{
	struct authentication *authentication = &login->authentication;

	authentication->user = nacre_span_to_string(user);
	begin(login, answer);
	if (login->config->refuse_connection) {
		authentication->refused = true;
		nacre_log(NACRE_LOG_INFO,
		    "administratively prohibited connection for %.100s from %s port %d",
		    authentication->user, login->peer.address, login->peer.port);
		disconnect(
		    answer, NACRE_DISCONNECT_BY_APPLICATION, "Connection refused by configuration");
	}
	return answer->kind != ANSWER_DISCONNECT;
}

static uint64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* What takes a little longer for an account that exists is over before the answer is sent. A
 * request for the list of methods is not kept waiting: most clients begin with one. */
static void
even_out(uint64_t begin_us, const struct answer *answer, uint8_t method)
{
	uint64_t spent = now_us() - begin_us;
	bool hashed =
	    method == NACRE_METHOD_PASSWORD || method == NACRE_METHOD_KEYBOARD_INTERACTIVE;
	uint64_t step = hashed ? PASSWORD_FAILURE_US : KEY_FAILURE_US;

	if (answer->kind != ANSWER_FAILURE || answer->partial || method == NACRE_METHOD_NONE)
		return;
	while (step < spent && step < FAILURE_MOST_US)
		step *= 2;
	if (step > spent)
		usleep((unsigned)(step - spent));
}

static int
attempt(struct login *login, uint8_t number, struct nacre_span name, struct nacre_reader *fields,
    struct answer *answer)
{
	const struct method *method = find_method(login, number);
	uint64_t begin_us = now_us();
	char text[64];

	snprintf(text, sizeof text, "%.*s", (int)(name.length < 60 ? name.length : 60),
	    (const char *)name.data);
	answer->kind = method != NULL ? method->attempt(login, fields, answer) : ANSWER_FAILURE;
	if (fields->failed)
		return NACRE_ERROR_PROTOCOL;
	finish(login, method != NULL ? method->name : text, method != NULL ? method->name : text,
	    method != NULL, answer);
	even_out(begin_us, answer, number);
	return 0;
}

/* Keeps the name as it came; what is behind a colon asks for a style of authentication, of which we
 * have none. The name of the account is left. */
static struct nacre_span
take_user(struct authentication *authentication, struct nacre_span user)
{
	const uint8_t *colon = user.length > 0 ? memchr(user.data, ':', user.length) : NULL;

	free(authentication->requested);
	authentication->requested = nacre_span_to_string(user);
	if (authentication->requested == NULL)
		nacre_fatal("out of memory");
	if (colon != NULL)
		user.length = (size_t)(colon - user.data);
	return user;
}

int
authenticate(struct login *login, struct nacre_reader *request, struct answer *answer)
{
	struct authentication *authentication = &login->authentication;
	struct nacre_span user = nacre_get_string(request);
	struct nacre_span service = nacre_get_string(request);
	uint8_t number = nacre_get_byte(request);
	struct nacre_span name = nacre_get_string(request);

	if (request->failed || !nacre_span_equals(service, SERVICE) ||
	    memchr(user.data, 0, user.length) != NULL)
		return NACRE_ERROR_PROTOCOL;
	user = take_user(authentication, user);
	authentication->attempts++;
	if (authentication->asking)
		pam_cancel(login->pam);
	authentication->asking = false;
	if (user_changed(login, user, answer) ||
	    (!authentication->started && !begin_with(login, user, answer)))
		return 0;
	return attempt(login, number, name, request, answer);
}

int
authenticate_respond(struct login *login, struct nacre_reader *request, struct answer *answer)
{
	uint64_t begin_us = now_us();

	if (!login->authentication.asking)
		return NACRE_ERROR_STATE;
	answer->kind = pam_respond(login, request, answer);
	finish(login, "keyboard-interactive", "keyboard-interactive/pam", true, answer);
	even_out(begin_us, answer, NACRE_METHOD_KEYBOARD_INTERACTIVE);
	return 0;
}

void
authentication_free(struct authentication *authentication)
{
	free(authentication->user);
	free(authentication->requested);
	free(authentication->method);
	for (size_t i = 0; i < authentication->remaining_count; i++)
		free(authentication->remaining[i]);
	free(authentication->remaining);
	for (size_t i = 0; i < authentication->used_key_count; i++)
		free(authentication->used_keys[i]);
	free(authentication->used_keys);
	nacre_buffer_free(&authentication->key_text);
	record_key_free(&authentication->key_record);
	nacre_buffer_free(&authentication->key_line);
	nacre_buffer_free(&authentication->methods_text);
	if (authentication->has_options)
		nacre_key_options_free(&authentication->options);
	*authentication = (struct authentication){0};
}
