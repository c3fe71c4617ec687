/* The options that stand before a key in authorized_keys. */
#include <nacre/authorized_keys.h>
#include <nacre/config.h>
#include <nacre/pattern.h>

#include "file.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define OPTION_LIST_MAX ((size_t)4096)

void
nacre_key_options_default(struct nacre_key_options *options)
{
	*options = (struct nacre_key_options){.permit_port_forwarding = true,
	    .permit_agent_forwarding = true,
	    .permit_x11_forwarding = true,
	    .permit_pty = true,
	    .permit_user_rc = true,
	    .tunnel = -1};
}

static void
strings_free(char **strings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(strings[i]);
	free(strings);
}

void
nacre_key_options_free(struct nacre_key_options *options)
{
	free(options->command);
	free(options->from);
	free(options->source_address);
	free(options->principals);
	strings_free(options->environment, options->environment_count);
	strings_free(options->permit_open, options->permit_open_count);
	strings_free(options->permit_listen, options->permit_listen_count);
	nacre_key_options_default(options);
}

/* A string joins a list; NULL (no memory) does not. */
static const char *
list_add(char ***list, size_t *count, char *text)
{
	char **grown = NULL;

	if (text != NULL && *count < OPTION_LIST_MAX)
		grown = realloc(*list, (*count + 1) * sizeof *grown);
	if (grown == NULL) {
		free(text);
		return "too many options";
	}
	*list = grown;
	grown[(*count)++] = text;
	return NULL;
}

/* Options with a value: the value is theirs to keep or to free. They return the reason of a refusal
 * or NULL. */

static const char *
once(char **member, char *value, const char *reason)
{
	if (*member != NULL) {
		free(value);
		return reason;
	}
	*member = value;
	return NULL;
}

static const char *
take_command(struct nacre_key_options *options, char *value)
{
	return once(&options->command, value, "multiple \"command\" clauses");
}

static const char *
take_principals(struct nacre_key_options *options, char *value)
{
	return once(&options->principals, value, "multiple \"principals\" clauses");
}

static const char *
take_from(struct nacre_key_options *options, char *value)
{
	const char *reason = once(&options->from, value, "multiple \"from\" clauses");

	if (reason == NULL && nacre_host_and_address_list(
				  NULL, NULL, nacre_span_of(options->from)) == NACRE_ERROR_FORMAT)
		reason = "invalid address in \"from\" clause";
	return reason;
}

static bool
is_name_byte(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || byte == '_';
}

/* The first assignment to a name counts. */
static const char *
take_environment(struct nacre_key_options *options, char *value)
{
	size_t length = 0;

	while (is_name_byte(value[length]))
		length++;
	if (length == 0 || value[length] != '=') {
		free(value);
		return "invalid environment string";
	}
	for (size_t i = 0; i < options->environment_count; i++) {
		if (strncmp(options->environment[i], value, length + 1) == 0) {
			free(value);
			return NULL;
		}
	}
	return list_add(&options->environment, &options->environment_count, value);
}

static bool
port_valid(const char *text)
{
	char *end;
	unsigned long port;

	if (strcmp(text, "*") == 0)
		return true;
	port = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && *end == '\0' && port > 0 && port <= 65535;
}

/* "host:port", "[address]:port"; with "listen" also "port". */
static bool
permission_valid(const char *text, bool listen)
{
	const char *port = strrchr(text, ':');

	if (text[0] == '[') {
		const char *end = strchr(text, ']');

		return end != NULL && end[1] == ':' && port_valid(end + 2);
	}
	if (port == NULL)
		return listen && port_valid(text);
	return port != text && port_valid(port + 1);
}

static const char *
take_permit_open(struct nacre_key_options *options, char *value)
{
	if (!permission_valid(value, false)) {
		free(value);
		return "invalid permission hostname";
	}
	return list_add(&options->permit_open, &options->permit_open_count, value);
}

static const char *
take_permit_listen(struct nacre_key_options *options, char *value)
{
	if (!permission_valid(value, true)) {
		free(value);
		return "invalid permission hostname";
	}
	return list_add(&options->permit_listen, &options->permit_listen_count, value);
}

static const char *
take_tunnel(struct nacre_key_options *options, char *value)
{
	bool any = strcasecmp(value, "any") == 0;
	char *end;
	unsigned long unit = strtoul(value, &end, 10);
	bool good = any || (*value >= '0' && *value <= '9' && *end == '\0' && unit < INT_MAX - 1);

	free(value);
	if (!good)
		return "invalid tun device";
	options->tunnel = any ? INT_MAX : (int)unit;
	return NULL;
}

/* The earliest of several counts. */
static const char *
take_expiry_time(struct nacre_key_options *options, char *value)
{
	uint64_t seconds;
	bool good = nacre_parse_date(value, &seconds) == 0;

	free(value);
	if (!good)
		return "invalid expires time";
	if (options->valid_before == 0 || seconds < options->valid_before)
		options->valid_before = seconds;
	return NULL;
}

#define AT(member) offsetof(struct nacre_key_options, member)

/* Options without a value: a flag, and what it becomes. */
static const struct {
	const char *name;
	size_t offset;
	bool value;
} flags[] = {{"agent-forwarding", AT(permit_agent_forwarding), true},
    {"no-agent-forwarding", AT(permit_agent_forwarding), false},
    {"port-forwarding", AT(permit_port_forwarding), true},
    {"no-port-forwarding", AT(permit_port_forwarding), false},
    {"X11-forwarding", AT(permit_x11_forwarding), true},
    {"no-X11-forwarding", AT(permit_x11_forwarding), false}, {"pty", AT(permit_pty), true},
    {"no-pty", AT(permit_pty), false}, {"user-rc", AT(permit_user_rc), true},
    {"no-user-rc", AT(permit_user_rc), false}, {"restrict", AT(restricted), true},
    {"cert-authority", AT(cert_authority), true},
    {"no-touch-required", AT(no_touch_required), true},
    {"touch-required", AT(no_touch_required), false},
    {"verify-required", AT(verify_required), true},
    {"no-verify-required", AT(verify_required), false}};

static const struct {
	const char *name;
	const char *(*take)(struct nacre_key_options *options, char *value);
} values[] = {{"command", take_command}, {"environment", take_environment},
    {"expiry-time", take_expiry_time}, {"from", take_from}, {"permitlisten", take_permit_listen},
    {"permitopen", take_permit_open}, {"principals", take_principals}, {"tunnel", take_tunnel}};

static bool
name_is(struct nacre_span name, const char *text)
{
	return strlen(text) == name.length &&
	       strncasecmp((const char *)name.data, text, name.length) == 0;
}

static void
restrict_all(struct nacre_key_options *options)
{
	options->permit_port_forwarding = options->permit_agent_forwarding = false;
	options->permit_x11_forwarding = options->permit_pty = false;
	options->permit_user_rc = false;
}

static const char *
apply_flag(struct nacre_key_options *options, struct nacre_span name)
{
	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
		if (!name_is(name, flags[i].name))
			continue;
		*(bool *)(void *)((char *)options + flags[i].offset) = flags[i].value;
		if (flags[i].offset == AT(restricted))
			restrict_all(options);
		return NULL;
	}
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
		if (name_is(name, values[i].name))
			return "option needs a value";
	return "unknown key option";
}

/* A quoted value at *text, without its quotes and with \" as a quote; NULL when it does not end. */
static char *
quoted_value(struct nacre_span *text)
{
	char *value = malloc(text->length + 1), *out = value;
	size_t at = 1;

	if (value == NULL || text->length == 0 || text->data[0] != '"') {
		free(value);
		return NULL;
	}
	for (; at < text->length && text->data[at] != '"'; at++) {
		if (text->data[at] == '\\' && at + 1 < text->length && text->data[at + 1] == '"')
			at++;
		*out++ = (char)text->data[at];
	}
	*out = '\0';
	if (at >= text->length || strlen(value) != (size_t)(out - value)) {
		free(value);
		return NULL;
	}
	text->data += at + 1;
	text->length -= at + 1;
	return value;
}

static const char *
apply_value(struct nacre_key_options *options, struct nacre_span name, struct nacre_span *text)
{
	char *value;

	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		if (!name_is(name, values[i].name))
			continue;
		value = quoted_value(text);
		return value == NULL ? "missing or open quote" : values[i].take(options, value);
	}
	return "unknown key option";
}

/* One option off the front of *text, with the comma behind it. */
static const char *
option_take(struct nacre_key_options *options, struct nacre_span *text)
{
	struct nacre_span name = {text->data, 0};
	const char *reason;

	while (name.length < text->length && text->data[name.length] != ',' &&
	       text->data[name.length] != '=')
		name.length++;
	text->data += name.length;
	text->length -= name.length;
	if (text->length > 0 && text->data[0] == '=') {
		text->data++;
		text->length--;
		reason = apply_value(options, name, text);
	} else {
		reason = apply_flag(options, name);
	}
	if (reason != NULL || text->length == 0)
		return reason;
	if (text->data[0] != ',' || text->length == 1)
		return "unexpected text behind an option";
	text->data++;
	text->length--;
	return NULL;
}

int
nacre_key_options_parse(
    struct nacre_span text, struct nacre_key_options *options, const char **reason)
{
	const char *problem = NULL;

	nacre_key_options_default(options);
	while (text.length > 0 && problem == NULL)
		problem = option_take(options, &text);
	if (problem == NULL)
		return 0;
	nacre_key_options_free(options);
	if (reason != NULL)
		*reason = problem;
	return NACRE_ERROR_FORMAT;
}

enum nacre_key_verdict
nacre_key_options_allow(
    const struct nacre_key_options *options, const char *host, const char *address, time_t now)
{
	if (options->valid_before != 0 && now > 0 && (uint64_t)now >= options->valid_before)
		return NACRE_KEY_EXPIRED;
	if (options->from != NULL && nacre_host_and_address_list(host, address,
					 nacre_span_of(options->from)) != NACRE_MATCH_FOUND)
		return NACRE_KEY_NOT_FROM_HOST;
	if (options->source_address != NULL &&
	    nacre_address_list_strict(address, nacre_span_of(options->source_address)) !=
		NACRE_MATCH_FOUND)
		return NACRE_KEY_NOT_FROM_ADDRESS;
	return NACRE_KEY_ALLOWED;
}

/* A copy of one side's list where the other side has none; both kept would widen what is permitted,
 * so our own list stays. */
static int
merge_list(char ***list, size_t *count, char *const *from, size_t from_count)
{
	if (*count > 0)
		return 0;
	for (size_t i = 0; i < from_count; i++)
		if (list_add(list, count, strdup(from[i])) != NULL)
			return NACRE_ERROR_MEMORY;
	return 0;
}

static int
merge_strings(struct nacre_key_options *options, const struct nacre_key_options *other)
{
	int error = merge_list(&options->permit_open, &options->permit_open_count,
	    other->permit_open, other->permit_open_count);

	if (error == 0)
		error = merge_list(&options->permit_listen, &options->permit_listen_count,
		    other->permit_listen, other->permit_listen_count);
	if (error == 0)
		error = merge_list(&options->environment, &options->environment_count,
		    other->environment, other->environment_count);
	if (error == 0 && options->command == NULL && other->command != NULL)
		error =
		    (options->command = strdup(other->command)) == NULL ? NACRE_ERROR_MEMORY : 0;
	if (error == 0 && options->from == NULL && other->from != NULL)
		error = (options->from = strdup(other->from)) == NULL ? NACRE_ERROR_MEMORY : 0;
	return error;
}

int
nacre_key_options_merge(struct nacre_key_options *options,
    const struct nacre_key_options *certificate, const char **reason)
{
	if (options->command != NULL && certificate->command != NULL &&
	    strcmp(options->command, certificate->command) != 0) {
		*reason = "forced command options do not match";
		return NACRE_ERROR_REFUSED;
	}
	options->permit_port_forwarding &= certificate->permit_port_forwarding;
	options->permit_agent_forwarding &= certificate->permit_agent_forwarding;
	options->permit_x11_forwarding &= certificate->permit_x11_forwarding;
	options->permit_pty &= certificate->permit_pty;
	options->permit_user_rc &= certificate->permit_user_rc;
	options->no_touch_required &= certificate->no_touch_required;
	options->verify_required |= certificate->verify_required;
	if (certificate->valid_before != 0 &&
	    (options->valid_before == 0 || certificate->valid_before < options->valid_before))
		options->valid_before = certificate->valid_before;
	if (options->tunnel == -1)
		options->tunnel = certificate->tunnel;
	*reason = "out of memory";
	return merge_strings(options, certificate);
}
