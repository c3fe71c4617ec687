/* Tokens, variables and ~ in the values of ssh_config(5), as each keyword allows them. */
#include "ssh_private.h"

#include <crypto/hash.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define COMMON_TOKENS "CdhijkLlnpru"

/* What a keyword allows. Keywords that are not named here take the common tokens. */
struct expansion {
	const char *keyword;
	const char *tokens; /* besides those that the caller adds */
	bool environment;
	bool tilde;
};

static const struct expansion expansions[] = {
    {"CertificateFile", COMMON_TOKENS, true, true},
    {"ControlPath", COMMON_TOKENS, true, true},
    {"IdentityAgent", COMMON_TOKENS, true, true},
    {"IdentityFile", COMMON_TOKENS, true, true},
    {"KnownHostsCommand", COMMON_TOKENS, true, false},
    {"UserKnownHostsFile", COMMON_TOKENS, true, true},
    {"GlobalKnownHostsFile", "", false, false},
    {"RevokedHostKeys", COMMON_TOKENS, true, true},
    {"LocalForward", COMMON_TOKENS, true, false},
    {"RemoteForward", COMMON_TOKENS, true, false},
    {"RemoteCommand", COMMON_TOKENS, false, false},
    {"LocalCommand", COMMON_TOKENS "T", false, false},
    {"Match exec", COMMON_TOKENS, false, false},
    {"Hostname", "h", false, false},
    {"ProxyCommand", "hnprk", false, false},
    {"ProxyJump", "hnpr", false, false},
    {"ForwardAgent", COMMON_TOKENS, true, true},
    {"XAuthLocation", "", false, false},
};

static const struct expansion *
expansion_find(const char *keyword)
{
	static const struct expansion plain = {"", COMMON_TOKENS, false, false};

	for (size_t i = 0; i < sizeof expansions / sizeof expansions[0]; i++)
		if (strcasecmp(expansions[i].keyword, keyword) == 0)
			return &expansions[i];
	return &plain;
}

/* %C: what tells connections apart, as a hash of %l%h%p%r%j. */
static char *
connection_hash(struct arena *arena, const char *const parts[5])
{
	static const char digits[] = "0123456789abcdef";
	struct nacre_span spans[5];
	uint8_t digest[HASH_LENGTH_MAX];
	char text[2 * HASH_LENGTH_MAX + 1], *out = text;

	for (size_t i = 0; i < 5; i++)
		spans[i] = nacre_span_of(parts[i]);
	if (hash_spans(&hash_sha1, spans, 5, digest) != 0)
		return NULL;
	for (size_t i = 0; i < hash_sha1.length; i++) {
		*out++ = digits[digest[i] >> 4];
		*out++ = digits[digest[i] & 15];
	}
	*out = '\0';
	return arena_string(arena, text);
}

size_t
ssh_tokens(struct nacre_ssh_config *config, const char *text, struct nacre_token *tokens)
{
	struct arena *arena = &config->internal->reading.arena;
	const char *original = config->host != NULL ? config->host : "";
	const char *hostname = config->hostname != NULL ? config->hostname : original;
	const char *user = config->user != NULL ? config->user : config->internal->local_user;
	const char *jump = config->proxy_jump != NULL ? config->proxy_jump : "";
	char local[256] = "", brief[256], port[16], uid[16];
	const char *connection = NULL;
	size_t count = 0;

	gethostname(local, sizeof local - 1);
	snprintf(brief, sizeof brief, "%.*s", (int)strcspn(local, "."), local);
	snprintf(port, sizeof port, "%d", config->port != 0 ? config->port : 22);
	snprintf(uid, sizeof uid, "%u", (unsigned)getuid());
	if (strstr(text, "%C") != NULL)
		connection = connection_hash(
		    arena, (const char *const[5]){local, hostname, port, user, jump});
	tokens[count++] = (struct nacre_token){'C', connection};
	tokens[count++] = (struct nacre_token){'d', config->internal->home};
	tokens[count++] = (struct nacre_token){'h', hostname};
	tokens[count++] = (struct nacre_token){'i', arena_string(arena, uid)};
	tokens[count++] = (struct nacre_token){'j', jump};
	tokens[count++] = (struct nacre_token){
	    'k', config->host_key_alias != NULL ? config->host_key_alias : original};
	tokens[count++] = (struct nacre_token){'L', arena_string(arena, brief)};
	tokens[count++] = (struct nacre_token){'l', arena_string(arena, local)};
	tokens[count++] = (struct nacre_token){'n', original};
	tokens[count++] = (struct nacre_token){'p', arena_string(arena, port)};
	tokens[count++] = (struct nacre_token){'r', user};
	tokens[count++] = (struct nacre_token){'u', config->internal->local_user};
	return count;
}

/* The tokens that are allowed: ours by the keyword, the caller's all. */
static size_t
tokens_select(struct nacre_ssh_config *config, const struct expansion *expansion, const char *text,
    const struct nacre_token *more, size_t count, struct nacre_token *tokens)
{
	size_t all = ssh_tokens(config, text, tokens), kept = 0;

	for (size_t i = 0; i < all; i++)
		if (strchr(expansion->tokens, tokens[i].letter) != NULL)
			tokens[kept++] = tokens[i];
	for (size_t i = 0; i < count && kept < SSH_TOKENS_MAX; i++)
		tokens[kept++] = more[i];
	return kept;
}

static void
expansion_fail(struct nacre_ssh_config *config, const char *keyword, const char *text,
    const char *problem, int error)
{
	if (problem[0] == '$')
		nacre_put_format(&config->error,
		    "%s: environment variable %.*s is not set in \"%s\"\n", keyword,
		    (int)strcspn(problem, "}") + 1, problem, text);
	else if (error == NACRE_ERROR_NOT_FOUND)
		nacre_put_format(
		    &config->error, "%s: unknown key %%%c in \"%s\"\n", keyword, problem[1], text);
	else
		nacre_put_format(&config->error, "%s: cannot expand \"%s\"\n", keyword, text);
}

char *
nacre_ssh_config_expand(struct nacre_ssh_config *config, const char *keyword, const char *text,
    const struct nacre_token *more, size_t count)
{
	const struct expansion *expansion = expansion_find(keyword);
	struct nacre_token tokens[SSH_TOKENS_MAX];
	struct nacre_buffer path = {0}, out = {0};
	const char *problem = text;
	char *result = NULL;
	int error = 0;

	if (expansion->tilde) {
		error = nacre_expand_tilde(text, config->internal->home, &path);
		nacre_put_byte(&path, 0);
		text = error == 0 && !path.failed ? (const char *)path.data : text;
	}
	if (error == 0 && strpbrk(text, "%$") == NULL) {
		nacre_put_bytes(&out, text, strlen(text));
	} else if (error == 0) {
		count = tokens_select(config, expansion, text, more, count, tokens);
		error = nacre_expand_tokens(
		    text, tokens, count, expansion->environment, &out, &problem);
	}
	if (error == 0)
		result = nacre_span_to_string(nacre_buffer_span(&out));
	else
		expansion_fail(config, keyword, text, problem, error);
	nacre_buffer_free(&path);
	nacre_buffer_free(&out);
	return result;
}

char *
ssh_hostname(struct nacre_ssh_config *config, const char *host)
{
	struct arena *arena = &config->internal->reading.arena;
	const struct nacre_token token = {'h', host};
	struct nacre_buffer out = {0};
	const char *problem;
	char *text;

	if (config->hostname == NULL)
		return arena_lower(arena, host);
	if (nacre_expand_tokens(config->hostname, &token, 1, false, &out, &problem) != 0) {
		nacre_buffer_free(&out);
		expansion_fail(
		    config, "Hostname", config->hostname, problem, NACRE_ERROR_NOT_FOUND);
		return NULL;
	}
	text = arena_buffer(arena, &out);
	return text != NULL ? arena_lower(arena, text) : NULL;
}
