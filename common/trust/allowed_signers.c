/* Lines of allowed signers files: read, and held against a key that has signed. */
#include <nacre/allowed_signers.h>
#include <nacre/config.h>
#include <nacre/pattern.h>

#include "file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static bool
is_blank(uint8_t byte)
{
	return byte == ' ' || byte == '\t';
}

static void
skip(struct nacre_span *text, size_t length)
{
	text->data += length;
	text->length -= length;
}

static void
skip_blanks(struct nacre_span *text)
{
	while (text->length > 0 && is_blank(text->data[0]))
		skip(text, 1);
}

/* The length of a quoted string, both quotes included; 0 when it does not end. */
static size_t
quoted_length(struct nacre_span text)
{
	for (size_t at = 1; at < text.length; at++) {
		if (text.data[at] == '\\' && at + 1 < text.length && text.data[at + 1] == '"')
			at++;
		else if (text.data[at] == '"')
			return at + 1;
	}
	return 0;
}

/* The principals: a word, or a quoted string. */
static int
take_principals(struct nacre_span *line, struct nacre_span *principals)
{
	size_t length = 0;

	if (line->data[0] == '"') {
		if ((length = quoted_length(*line)) == 0)
			return NACRE_ERROR_FORMAT;
		*principals = (struct nacre_span){line->data + 1, length - 2};
	} else {
		while (length < line->length && !is_blank(line->data[length]) &&
		       line->data[length] != '"')
			length++;
		if (length < line->length && line->data[length] == '"')
			return NACRE_ERROR_FORMAT;
		*principals = (struct nacre_span){line->data, length};
	}
	skip(line, length);
	skip_blanks(line);
	return 0;
}

/* The options: up to the first blank that is not in quotes. */
static int
take_options(struct nacre_span *line, struct nacre_span *options)
{
	size_t length = 0;

	while (length < line->length && !is_blank(line->data[length])) {
		struct nacre_span rest = {line->data + length, line->length - length};
		const size_t quoted = rest.data[0] == '"' ? quoted_length(rest) : 1;

		if (quoted == 0)
			return NACRE_ERROR_FORMAT;
		length += quoted;
	}
	*options = (struct nacre_span){line->data, length};
	skip(line, length);
	skip_blanks(line);
	return 0;
}

static const char *
take_namespaces(struct nacre_allowed_signer *signer, char *value)
{
	if (signer->namespaces != NULL) {
		free(value);
		return "multiple \"namespaces\" clauses";
	}
	signer->namespaces = value;
	return NULL;
}

static const char *
take_valid_after(struct nacre_allowed_signer *signer, char *value)
{
	const bool again = signer->valid_after != 0;
	const bool good = nacre_parse_date(value, &signer->valid_after) == 0;

	free(value);
	if (again)
		return "multiple \"valid-after\" clauses";
	return good ? NULL : "invalid \"valid-after\" time";
}

static const char *
take_valid_before(struct nacre_allowed_signer *signer, char *value)
{
	const bool again = signer->valid_before != UINT64_MAX;
	const bool good = nacre_parse_date(value, &signer->valid_before) == 0;

	free(value);
	if (again)
		return "multiple \"valid-before\" clauses";
	return good ? NULL : "invalid \"valid-before\" time";
}

static const struct {
	const char *name;
	/* Owns the value; returns the reason of a refusal or NULL. */
	const char *(*take)(struct nacre_allowed_signer *signer, char *value);
} values[] = {{"namespaces=", take_namespaces}, {"valid-after=", take_valid_after},
    {"valid-before=", take_valid_before}};

static bool
begins(struct nacre_span text, const char *with)
{
	const size_t length = strlen(with);

	return text.length >= length && strncasecmp((const char *)text.data, with, length) == 0;
}

/* A quoted value off the front, without its quotes, \" being a quote. */
static const char *
take_quoted(struct nacre_span *text, char **value)
{
	size_t length;
	char *out;

	if (text->length == 0 || text->data[0] != '"')
		return "missing start quote";
	if ((length = quoted_length(*text)) == 0)
		return "missing end quote";
	if (memchr(text->data, '\0', length) != NULL)
		return "invalid value";
	if ((out = *value = malloc(length)) == NULL)
		return "out of memory";
	for (size_t at = 1; at < length - 1; at++) {
		if (text->data[at] == '\\' && text->data[at + 1] == '"')
			at++;
		*out++ = (char)text->data[at];
	}
	*out = '\0';
	skip(text, length);
	return NULL;
}

static const char *
take_option(struct nacre_allowed_signer *signer, struct nacre_span *options)
{
	static const char authority[] = "cert-authority";
	const char *reason;
	char *value;

	if (begins(*options, authority)) {
		skip(options, sizeof authority - 1);
		signer->authority = true;
		return NULL;
	}
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		if (!begins(*options, values[i].name))
			continue;
		skip(options, strlen(values[i].name));
		reason = take_quoted(options, &value);
		return reason != NULL ? reason : values[i].take(signer, value);
	}
	return "unknown key option";
}

/* What is wrong with the options; NULL: nothing. */
static const char *
options_read(struct nacre_allowed_signer *signer, struct nacre_span options)
{
	const char *reason;

	while (options.length > 0) {
		if ((reason = take_option(signer, &options)) != NULL)
			return reason;
		if (options.length == 0)
			break;
		if (options.data[0] != ',')
			return "unknown key option";
		skip(&options, 1);
		if (options.length == 0)
			return "unexpected end-of-options";
	}
	if (signer->valid_before != UINT64_MAX && signer->valid_before <= signer->valid_after)
		return "\"valid-before\" time is before \"valid-after\"";
	return NULL;
}

static int
complain(struct nacre_buffer *message, const char *text)
{
	nacre_put_format(message, "%s", text);
	return NACRE_ERROR_FORMAT;
}

/* What follows the principals: a key, or options and a key. */
static int
rest_read(struct nacre_span rest, struct nacre_allowed_signer *signer, struct nacre_buffer *message)
{
	struct nacre_span options = {NULL, 0};
	const char *reason;

	if (rest.length == 0)
		return complain(message, "missing key");
	if (nacre_key_from_line(rest, &signer->key, NULL) != 0) {
		if (take_options(&rest, &options) != 0)
			return complain(message, "invalid options");
		if (rest.length == 0)
			return complain(message, "missing key");
		if (nacre_key_from_line(rest, &signer->key, NULL) != 0)
			return complain(message, "invalid key");
	}
	if ((reason = options_read(signer, options)) == NULL)
		return 0;
	nacre_put_format(message, "bad options: ");
	return complain(message, reason);
}

/* The principals off the front of a line; NACRE_ERROR_NOT_FOUND when it holds none. */
static int
begin(struct nacre_span *line, char **principals, struct nacre_buffer *message)
{
	struct nacre_span names;

	*line = text_trim(*line);
	if (line->length == 0 || line->data[0] == '#')
		return NACRE_ERROR_NOT_FOUND;
	if (line->length > TRUST_LINE_MAX || take_principals(line, &names) != 0 ||
	    (*principals = nacre_span_to_string(names)) == NULL)
		return complain(message, "invalid line");
	return 0;
}

static bool
fits(const char *principal, const char *patterns)
{
	return nacre_pattern_list(nacre_span_of(principal), nacre_span_of(patterns), false) ==
	       NACRE_MATCH_FOUND;
}

int
nacre_allowed_signer_read(struct nacre_span line, const char *principal,
    struct nacre_allowed_signer *signer, struct nacre_buffer *message)
{
	int error;

	*signer = (struct nacre_allowed_signer){.valid_before = UINT64_MAX};
	if ((error = begin(&line, &signer->principals, message)) != 0)
		return error;
	if (principal != NULL && !fits(principal, signer->principals))
		error = NACRE_ERROR_NOT_FOUND;
	else
		error = rest_read(line, signer, message);
	if (error != 0)
		nacre_allowed_signer_free(signer);
	return error;
}

void
nacre_allowed_signer_free(struct nacre_allowed_signer *signer)
{
	nacre_key_free(signer->key);
	free(signer->principals);
	free(signer->namespaces);
	*signer = (struct nacre_allowed_signer){0};
}

static void
put_date(struct nacre_buffer *text, uint64_t seconds)
{
	const time_t moment = (time_t)seconds;
	char date[48] = "?";
	struct tm when;

	if (localtime_r(&moment, &when) != NULL)
		strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &when);
	nacre_put_format(text, "%s", date);
}

static int
check_time(const struct nacre_allowed_signer *signer, uint64_t now, struct nacre_buffer *message)
{
	const bool early = now < signer->valid_after;

	if (!early && now <= signer->valid_before)
		return 0;
	nacre_put_format(message,
	    early ? "key is not yet valid: verify time " : "key has expired: verify time ");
	put_date(message, now);
	nacre_put_format(message, early ? " < valid-after " : " > valid-before ");
	put_date(message, early ? signer->valid_after : signer->valid_before);
	return NACRE_ERROR_REFUSED;
}

/* A certificate on a line stands for itself, not for its key. */
static bool
same_key(const struct nacre_key *listed, const struct nacre_key *key)
{
	const struct nacre_certificate *one = nacre_key_certificate(listed);
	const struct nacre_certificate *other = nacre_key_certificate(key);

	if (one == NULL || other == NULL)
		return one == other && nacre_key_equal(listed, key);
	return nacre_span_equal(one->blob, other->blob);
}

/* 0 when the line's key is the one that signed, or certified it. */
static int
check_key(const struct nacre_allowed_signer *signer, const struct nacre_key *key,
    const char *principal, uint64_t now, struct nacre_buffer *message)
{
	const struct nacre_certificate *certificate = nacre_key_certificate(key);
	const char *reason;

	if (!signer->authority)
		return same_key(signer->key, key) ? 0 : NACRE_ERROR_NOT_FOUND;
	if (certificate == NULL || !nacre_key_equal(certificate->authority, signer->key))
		return NACRE_ERROR_NOT_FOUND;
	if (principal == NULL || nacre_certificate_check(certificate, NACRE_CERTIFICATE_USER,
				     principal, now, &reason) == 0)
		return 0;
	nacre_put_format(message, "certificate not authorized: %s", reason);
	return NACRE_ERROR_REFUSED;
}

int
nacre_allowed_signer_check(const struct nacre_allowed_signer *signer, const struct nacre_key *key,
    const char *principal, const char *name_space, uint64_t now, struct nacre_buffer *message)
{
	int error = check_key(signer, key, principal, now, message);

	if (error != 0)
		return error;
	if (name_space != NULL && signer->namespaces != NULL &&
	    !fits(name_space, signer->namespaces)) {
		nacre_put_format(message,
		    "key is not permitted for use in signature namespace \"%s\"", name_space);
		return NACRE_ERROR_REFUSED;
	}
	return check_time(signer, now, message);
}
