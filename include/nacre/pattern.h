/*
 * Patterns with wildcards, negated pattern lists and address patterns with CIDR masks, as the
 * PATTERNS section of ssh_config(5) describes them. Used by configuration files, known_hosts and
 * authorized_keys.
 */
#ifndef NACRE_PATTERN_H
#define NACRE_PATTERN_H

#include <nacre/error.h>
#include <nacre/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

/* True when "text" matches "pattern" with its wildcards '*' and '?'. Time is bounded by the
 * product of the lengths, whatever the pattern. Case counts. */
bool nacre_pattern_match(struct nacre_span text, struct nacre_span pattern);
/* The same for host names: ASCII letters match in either case. */
bool nacre_pattern_match_host(struct nacre_span text, struct nacre_span pattern);

enum nacre_match {
	/* A negated pattern matched: the answer is no, whatever else is there. */
	NACRE_MATCH_NEGATED = -1,
	NACRE_MATCH_NONE = 0,
	NACRE_MATCH_FOUND = 1
};

/* "text" against comma-separated patterns, of which those that begin with '!' are negated. With
 * "host" ASCII letters match in either case. */
enum nacre_match nacre_pattern_list(struct nacre_span text, struct nacre_span list, bool host);

/*
 * A numeric address against comma-separated patterns: wildcards, or ADDRESS/MASKLEN (CIDR).
 * "address" may be NULL: then the list is only checked. NACRE_MATCH_..., or NACRE_ERROR_FORMAT
 * (-3) when the list holds a mask that does not fit its address.
 */
int nacre_address_list(const char *address, struct nacre_span list);
/* The same for lists that may hold ADDRESS/MASKLEN and plain addresses only, no wildcards. */
int nacre_address_list_strict(const char *address, struct nacre_span list);

/*
 * A host given by name and numeric address against a list of patterns of either, as in from= and
 * Match Host of a server: found when one of the two is found and none is negated.
 * NACRE_ERROR_FORMAT for a bad mask.
 */
int nacre_host_and_address_list(const char *host, const char *address, struct nacre_span list);

#ifdef __cplusplus
}
#endif
#endif
