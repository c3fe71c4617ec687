/*
 * CanonicalizeHostname: which full name a short one stands for, and which aliases (CNAME) may take a
 * name's place. The resolver is asked; whether its answer is true is told by the host key.
 */
#include <client/client.h>
#include <nacre/pattern.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool
is_address(const char *name)
{
	struct in6_addr room;

	return inet_pton(AF_INET, name, &room) == 1 || inet_pton(AF_INET6, name, &room) == 1;
}

static int
count_dots(const char *name)
{
	int dots = 0;

	for (; *name != '\0'; name++)
		dots += *name == '.';
	return dots;
}

/* True when the name is known; *alias_of is the name that it is an alias of, without a dot at its
 * end, or NULL. */
static bool
look_up(const struct nacre_ssh_config *config, const char *name, char **alias_of, int *error)
{
	const struct addrinfo hints = {.ai_family = config->address_family,
	    .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_CANONNAME};
	struct addrinfo *found = NULL;

	*alias_of = NULL;
	*error = getaddrinfo(name, NULL, &hints, &found);
	if (*error != 0)
		return false;
	if (found->ai_canonname != NULL) {
		const size_t length = strlen(found->ai_canonname);
		const bool dot = length > 0 && found->ai_canonname[length - 1] == '.';

		*alias_of = strndup(found->ai_canonname, dot ? length - 1 : length);
	}
	freeaddrinfo(found);
	return true;
}

/* "sources:targets", two lists of patterns. */
static bool
rule_permits(const char *rule, const char *name, const char *target)
{
	const char *const colon = strchr(rule, ':');

	if (colon == NULL)
		return false;
	const struct nacre_span sources = {(const uint8_t *)rule, (size_t)(colon - rule)};

	return nacre_pattern_list(nacre_span_of(name), sources, true) == NACRE_MATCH_FOUND &&
	       nacre_pattern_list(nacre_span_of(target), nacre_span_of(colon + 1), true) ==
		   NACRE_MATCH_FOUND;
}

/* CanonicalizePermittedCNAMEs; *name may change to "target", which is taken over or freed. */
static void
follow_alias(struct nacre_ssh_config *config, char **name, char *target)
{
	const struct nacre_words *const rules = &config->canonicalize_permitted_cnames;

	if (target == NULL || strcasecmp(*name, target) == 0) {
		free(target);
		return;
	}
	for (size_t i = 0; i < rules->count; i++)
		if (rule_permits(rules->words[i], *name, target)) {
			nacre_put_format(&config->notes,
			    "Canonicalized DNS aliased hostname \"%s\" => \"%s\"\n", *name, target);
			free(*name);
			*name = target;
			return;
		}
	nacre_put_format(
	    &config->notes, "CNAME \"%s\" => \"%s\" is not permitted\n", *name, target);
	free(target);
}

/* The name in the first of CanonicalDomains that has it; NULL: in none. */
static char *
search_domains(struct nacre_ssh_config *config, const char *name)
{
	for (size_t i = 0; i < config->canonical_domains.count; i++) {
		char *full = NULL, *target;
		int error;

		/* The dot at the end keeps the resolver from searching on its own. */
		if (asprintf(&full, "%s.%s.", name, config->canonical_domains.words[i]) < 0)
			return NULL;
		if (look_up(config, full, &target, &error)) {
			full[strlen(full) - 1] = '\0';
			nacre_put_format(&config->notes,
			    "Canonicalized hostname \"%s\" => \"%s\"\n", name, full);
			follow_alias(config, &full, target);
			return full;
		}
		free(full);
	}
	return NULL;
}

/* A name that no domain has, or was not looked for: only its alias may take its place. */
static int
follow_own_alias(struct nacre_ssh_config *config, const char *host, char **name)
{
	char *own, *target;
	int error;

	if (config->canonicalize_permitted_cnames.count == 0)
		return 0;
	if (!look_up(config, host, &target, &error)) {
		nacre_put_format(&config->error, "ssh: Could not resolve hostname %s: %s\n", host,
		    error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
		return NACRE_ERROR_NOT_FOUND;
	}
	if ((own = strdup(host)) == NULL) {
		free(target);
		return NACRE_ERROR_MEMORY;
	}
	follow_alias(config, &own, target);
	*name = own;
	return 0;
}

/* "host." is complete as it is. */
static int
without_last_dot(const char *host, size_t length, char **name)
{
	*name = strndup(host, length - 1);
	return *name == NULL ? NACRE_ERROR_MEMORY : 0;
}

int
nacre_client_canonicalize(struct nacre_ssh_config *config, char **name)
{
	const char *const host = config->hostname;
	const size_t length = strlen(host);
	const bool proxied = config->proxy_command != NULL || config->proxy_jump != NULL;

	*name = NULL;
	if (is_address(host) || (proxied && config->canonicalize_hostname != NACRE_ALWAYS))
		return 0;
	if (length > 1 && host[length - 1] == '.')
		return without_last_dot(host, length, name);
	if (count_dots(host) <= config->canonicalize_max_dots) {
		if ((*name = search_domains(config, host)) != NULL)
			return 0;
		if (!config->canonicalize_fallback_local) {
			nacre_put_format(
			    &config->error, "ssh: Could not resolve host \"%s\"\n", host);
			return NACRE_ERROR_NOT_FOUND;
		}
	}
	return follow_own_alias(config, host, name);
}
