/* The first field of a known_hosts line: names, patterns, hashed names. */
#ifndef TRUST_HOST_NAME_H
#define TRUST_HOST_NAME_H

#include <nacre/error.h>
#include <nacre/known_hosts.h>
#include <nacre/wire.h>

/* A line, cut into its fields. */
struct known_line {
	enum nacre_known_host_marker marker;
	struct nacre_span marker_text; /* "@revoked", or empty */
	struct nacre_span names;
	struct nacre_span key; /* type, base64 and comment */
	bool hashed;
};

enum known_line_kind { KNOWN_LINE_BLANK, KNOWN_LINE_HOST, KNOWN_LINE_INVALID };

enum known_line_kind known_line_parse(struct nacre_span text, struct known_line *line);
/* Whether the line can be compared at all: 0, or NACRE_ERROR_LIBRARY when it is hashed and there is
 * no SHA-1. */
int known_line_ready(const struct known_line *line);
/* True when the line names "name" (lower case). */
bool known_line_matches(const struct known_line *line, struct nacre_span name);
/* Appends "|1|salt|hash" for a name, with a salt of its own; "failed" is set when there is no
 * SHA-1. */
void host_name_put_hashed(struct nacre_span name, struct nacre_buffer *text);
/* Appends ASCII letters in lower case. */
void host_name_put_lower(struct nacre_span name, struct nacre_buffer *text);

#endif
