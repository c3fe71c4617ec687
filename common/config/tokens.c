/* Expansion of "%x" tokens, "${NAME}" variables and a leading "~" in values. */
#include <nacre/config.h>

#include <pwd.h>
#include <stdlib.h>
#include <string.h>

static const char *
token_find(char letter, const struct nacre_token *tokens, size_t count)
{
	if (letter == '%')
		return "%";
	for (size_t i = 0; i < count; i++)
		if (tokens[i].letter == letter && tokens[i].value != NULL)
			return tokens[i].value;
	return NULL;
}

/* "${NAME}" at *text, which moves to its last byte. */
static int
variable_put(const char **text, struct nacre_buffer *out)
{
	const char *start = *text + 2;
	const char *end = strchr(start, '}');
	char *name, *value;

	if (end == NULL || end == start)
		return NACRE_ERROR_FORMAT;
	name = nacre_span_to_string(
	    (struct nacre_span){(const uint8_t *)start, (size_t)(end - start)});
	if (name == NULL)
		return NACRE_ERROR_MEMORY;
	value = getenv(name);
	free(name);
	if (value == NULL)
		return NACRE_ERROR_NOT_FOUND;
	nacre_put_bytes(out, value, strlen(value));
	*text = end;
	return 0;
}

static int
token_put(
    const char **text, const struct nacre_token *tokens, size_t count, struct nacre_buffer *out)
{
	const char *value;

	if ((*text)[1] == '\0')
		return NACRE_ERROR_FORMAT;
	value = token_find((*text)[1], tokens, count);
	if (value == NULL)
		return NACRE_ERROR_NOT_FOUND;
	nacre_put_bytes(out, value, strlen(value));
	++*text;
	return 0;
}

int
nacre_expand_tokens(const char *text, const struct nacre_token *tokens, size_t count,
    bool environment, struct nacre_buffer *out, const char **problem)
{
	int error = 0;

	for (; *text != '\0' && error == 0; text++) {
		if (problem != NULL)
			*problem = text;
		if (environment && text[0] == '$' && text[1] == '{')
			error = variable_put(&text, out);
		else if (text[0] == '%')
			error = token_put(&text, tokens, count, out);
		else
			nacre_put_byte(out, (uint8_t)*text);
	}
	if (error == 0 && out->failed)
		return NACRE_ERROR_MEMORY;
	return error;
}

int
nacre_expand_tilde(const char *path, const char *home, struct nacre_buffer *out)
{
	const char *rest = path + strcspn(path, "/");
	struct passwd *account;
	char *name;

	if (path[0] != '~') {
		nacre_put_bytes(out, path, strlen(path));
		return out->failed ? NACRE_ERROR_MEMORY : 0;
	}
	if (rest != path + 1) {
		name = nacre_span_to_string(
		    (struct nacre_span){(const uint8_t *)path + 1, (size_t)(rest - path - 1)});
		account = name == NULL ? NULL : getpwnam(name);
		free(name);
		if (account == NULL)
			return NACRE_ERROR_NOT_FOUND;
		home = account->pw_dir;
	}
	if (home == NULL)
		return NACRE_ERROR_NOT_FOUND;
	nacre_put_bytes(out, home, strlen(home));
	nacre_put_bytes(out, rest, strlen(rest));
	return out->failed ? NACRE_ERROR_MEMORY : 0;
}
