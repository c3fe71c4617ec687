/* ssh-keygen -O: what a certificate permits, forces and demands. */
#include "keygen.h"

#include <nacre/log.h>
#include <nacre/pattern.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Extensions that users' certificates have unless an option says otherwise. */
static struct permission {
	const char *name, *off;
	bool granted;
} permissions[] = {
    {"permit-X11-forwarding", "no-X11-forwarding", true},
    {"permit-agent-forwarding", "no-agent-forwarding", true},
    {"permit-port-forwarding", "no-port-forwarding", true},
    {"permit-pty", "no-pty", true},
    {"permit-user-rc", "no-user-rc", true},
    {"no-touch-required", "touch-required", false},
};
#define PERMISSIONS (sizeof permissions / sizeof *permissions)

struct option {
	const char *name, *value; /* NULL: a flag */
	bool critical;
};

struct options {
	struct option *list;
	size_t count;
};

static void
add(struct options *options, const char *name, const char *value, bool critical)
{
	struct option *grown = reallocarray(options->list, options->count + 1, sizeof *grown);

	if (grown == NULL)
		nacre_fatal("out of memory");
	options->list = grown;
	grown[options->count++] = (struct option){name, value, critical};
}

static bool
permission_set(const char *text)
{
	for (size_t i = 0; i < PERMISSIONS; i++) {
		const bool grants = strcasecmp(text, permissions[i].name) == 0;

		if (!grants && strcasecmp(text, permissions[i].off) != 0)
			continue;
		permissions[i].granted = grants;
		return true;
	}
	return false;
}

static void
permissions_clear(void)
{
	for (size_t i = 0; i < PERMISSIONS; i++)
		permissions[i].granted = false;
}

/* What is wrong with an entry of a list of networks. */
static void
network_complain(const char *entry)
{
	const bool odd = entry[strspn(entry, "0123456789abcdefABCDEF.:/")] != '\0';
	const char *slash = strchr(entry, '/');
	char *address = strndup(entry, slash != NULL ? (size_t)(slash - entry) : strlen(entry));
	const bool inconsistent =
	    slash != NULL && slash[1] != '\0' && address != NULL && !odd &&
	    nacre_address_list_strict(NULL, nacre_span_of(address)) != NACRE_ERROR_FORMAT;

	if (odd)
		nacre_log(NACRE_LOG_ERROR,
		    "addr_match_cidr_list: list entry \"%s\" contains invalid characters", entry);
	nacre_log(NACRE_LOG_ERROR,
	    inconsistent ? "Inconsistent mask length for network \"%s\""
			 : "Invalid network entry \"%s\"",
	    entry);
	free(address);
}

/* Ends the program unless this is a list of addresses and networks. */
static void
networks_check(const char *list)
{
	const char *begin = list, *end;

	for (;; begin = end + 1) {
		end = strchrnul(begin, ',');
		char *entry = strndup(begin, (size_t)(end - begin));

		if (entry == NULL)
			nacre_fatal("out of memory");
		if (*entry == '\0')
			nacre_log(NACRE_LOG_ERROR,
			    "addr_match_cidr_list: empty entry in list \"%.*s\"",
			    begin > list ? (int)(begin - list - 1) : 0, list);
		else if (nacre_address_list_strict(NULL, nacre_span_of(entry)) ==
			 NACRE_ERROR_FORMAT)
			network_complain(entry);
		else if (*end == '\0')
			return free(entry);
		else {
			free(entry);
			continue;
		}
		nacre_fatal("Invalid source-address list");
	}
}

static void
add_once(struct options *options, const char *name, const char *value)
{
	if (*value == '\0')
		nacre_fatal("Empty %s option", name);
	for (size_t i = 0; i < options->count; i++)
		if (strcmp(options->list[i].name, name) == 0)
			nacre_fatal("%s already specified", name);
	add(options, name, value, true);
}

/* "NAME" or "NAME=CONTENT" of -O critical: and -O extension: */
static void
add_named(struct options *options, const char *text, bool critical)
{
	const char *equals = strchr(text, '=');
	char *name = strndup(text, equals != NULL ? (size_t)(equals - text) : strlen(text));

	if (name == NULL)
		nacre_fatal("out of memory");
	add(options, name, equals != NULL ? equals + 1 : NULL, critical);
}

static bool
begins(const char *text, const char *with)
{
	return strncasecmp(text, with, strlen(with)) == 0;
}

static void
take(struct options *options, const char *text)
{
	if (strcasecmp(text, "clear") == 0) {
		permissions_clear();
	} else if (begins(text, "force-command=")) {
		add_once(options, "force-command", strchr(text, '=') + 1);
	} else if (begins(text, "source-address=")) {
		add_once(options, "source-address", strchr(text, '=') + 1);
		networks_check(strchr(text, '=') + 1);
	} else if (strcasecmp(text, "verify-required") == 0) {
		add(options, "verify-required", NULL, true);
	} else if (begins(text, "critical:") || begins(text, "extension:")) {
		add_named(options, strchr(text, ':') + 1, begins(text, "critical:"));
	} else if (!permission_set(text)) {
		nacre_fatal("Unsupported certificate option \"%s\"", text);
	}
}

static int
compare(const void *left, const void *right)
{
	const struct option *a = left, *b = right;

	return strcmp(a->name, b->name);
}

void
keygen_certificate_options(
    const struct keygen *keygen, struct nacre_buffer *critical, struct nacre_buffer *extensions)
{
	struct options options = {0};

	if (keygen->host_certificate)
		permissions_clear();
	for (size_t i = 0; i < keygen->option_count; i++)
		take(&options, keygen->options[i]);
	for (size_t i = 0; i < PERMISSIONS; i++)
		if (permissions[i].granted)
			add(&options, permissions[i].name, NULL, false);
	if (options.count > 0)
		qsort(options.list, options.count, sizeof *options.list, compare);
	for (size_t i = 0; i < options.count; i++)
		nacre_certificate_put_option(options.list[i].critical ? critical : extensions,
		    options.list[i].name, options.list[i].value);
	free(options.list);
}
