/*
 * ssh-pkcs11-helper: PKCS#11 modules, which are libraries of vendors, are loaded here and not into a
 * program that holds other keys. Standard input is a socket; what comes over it are requests of the
 * agent's protocol (nacre/provider.h), answered one after another.
 */
#include <ssh/pkcs11.h>
#include <ssh/provider_serve.h>

#include <nacre/provider.h>

#include <stdlib.h>
#include <string.h>

struct state {
	struct module *modules;
	struct token_key *keys;
};

static struct module *
module_find(const struct state *state, const char *path)
{
	struct module *module = state->modules;

	while (module != NULL && strcmp(module->path, path) != 0)
		module = module->next;
	return module;
}

static struct module *
module_get(struct state *state, const char *path)
{
	struct module *module = module_find(state, path);

	if (module != NULL || (module = module_load(path)) == NULL)
		return module;
	module->next = state->modules;
	state->modules = module;
	return module;
}

/* Logs in where that is asked for by a PIN. False when one is wrong. */
static bool
token_prepare(struct token *token, struct nacre_span pin)
{
	if (pin.length == 0 || (token->flags & CKF_LOGIN_REQUIRED) == 0)
		return true;
	token_pin_forget(token);
	nacre_put_span(&token->pin, pin);
	return !token_wants_login(token) || token_login(token, CKU_USER) == CKR_OK;
}

static void
put_pin_needed(const struct token *token, struct nacre_buffer *answer)
{
	nacre_put_byte(answer, NACRE_PROVIDER_ANSWER);
	nacre_put_cstring(answer, NACRE_PROVIDER_PIN);
	nacre_put_cstring(answer, token->label);
}

static void
put_keys(const struct state *state, const struct module *module, struct nacre_buffer *answer)
{
	uint32_t count = 0;

	for (const struct token_key *key = state->keys; key != NULL; key = key->next)
		count += key->token->module == module;
	nacre_put_byte(answer, NACRE_PROVIDER_KEYS);
	nacre_put_u32(answer, count);
	for (const struct token_key *key = state->keys; key != NULL; key = key->next) {
		if (key->token->module != module)
			continue;
		nacre_put_string_span(answer, nacre_buffer_span(&key->blob));
		nacre_put_cstring(answer, key->label != NULL ? key->label : "");
	}
}

/* The token whose keys show only after a login, when there are none without; else NULL. */
static const struct token *
token_that_hides(const struct state *state, const struct module *module)
{
	for (const struct token_key *key = state->keys; key != NULL; key = key->next)
		if (key->token->module == module)
			return NULL;
	for (size_t i = 0; i < module->token_count; i++)
		if (token_wants_login(&module->tokens[i]) && !token_has_pin(&module->tokens[i]))
			return &module->tokens[i];
	return NULL;
}

static void
handle_add(struct state *state, struct nacre_reader *request, struct nacre_buffer *answer)
{
	char *path = nacre_span_to_string(nacre_get_string(request));
	struct nacre_span pin = nacre_get_string(request);
	const struct token *hiding;
	struct module *module = NULL;
	bool good = false;

	if (nacre_reader_done(request) && path != NULL && pin.length <= PIN_MAX)
		module = module_get(state, path);
	if (module != NULL)
		token_keys_free(&state->keys, module);
	for (size_t i = 0; module != NULL && i < module->token_count; i++) {
		struct token *token = &module->tokens[i];

		if (!token_prepare(token, pin))
			continue;
		good = true;
		token_keys_collect(token, &state->keys);
	}
	free(path);
	if (!good)
		nacre_put_byte(answer, NACRE_PROVIDER_FAILURE);
	else if ((hiding = token_that_hides(state, module)) != NULL)
		put_pin_needed(hiding, answer);
	else
		put_keys(state, module, answer);
}

static void
handle_remove(struct state *state, struct nacre_reader *request, struct nacre_buffer *answer)
{
	char *path = nacre_span_to_string(nacre_get_string(request));
	struct module *module = path != NULL ? module_find(state, path) : NULL, **link;

	free(path);
	if (module == NULL) {
		nacre_put_byte(answer, NACRE_PROVIDER_FAILURE);
		return;
	}
	for (link = &state->modules; *link != module; link = &(*link)->next)
		;
	*link = module->next;
	token_keys_free(&state->keys, module);
	module_free(module);
	nacre_put_byte(answer, NACRE_PROVIDER_SUCCESS);
}

static struct token_key *
key_find(const struct state *state, struct nacre_span blob)
{
	struct token_key *key = state->keys;

	while (key != NULL && !nacre_span_equal(nacre_buffer_span(&key->blob), blob))
		key = key->next;
	return key;
}

static void
handle_sign(struct state *state, struct nacre_reader *request, struct nacre_buffer *answer)
{
	struct nacre_span blob = nacre_get_string(request), data = nacre_get_string(request);
	uint32_t flags = nacre_get_u32(request);
	struct token_key *key = key_find(state, blob);
	struct nacre_buffer signature = {0};
	enum sign_result result = SIGN_FAILED;

	if (nacre_reader_done(request) && key != NULL)
		result = token_key_sign(key, data, flags, &signature);
	if (result == SIGN_DONE) {
		nacre_put_byte(answer, NACRE_PROVIDER_SIGNATURE);
		nacre_put_string_span(answer, nacre_buffer_span(&signature));
	} else if (result == SIGN_PIN_NEEDED) {
		put_pin_needed(key->token, answer);
	} else {
		nacre_put_byte(answer, NACRE_PROVIDER_FAILURE);
	}
	nacre_buffer_free(&signature);
}

/* A PIN that was typed for one signature; it is tried at once, so that a wrong one can be told. */
static void
handle_extension(struct state *state, struct nacre_reader *request, struct nacre_buffer *answer)
{
	bool known = nacre_span_equals(nacre_get_string(request), NACRE_PROVIDER_PIN);
	struct token_key *key = key_find(state, nacre_get_string(request));
	struct nacre_span pin = nacre_get_string(request);
	bool good = known && nacre_reader_done(request) && key != NULL && pin.length > 0 &&
		    pin.length <= PIN_MAX;

	if (good) {
		good = token_prepare(key->token, pin);
		key->token->pin_once = true;
	}
	nacre_put_byte(answer, good ? NACRE_PROVIDER_SUCCESS : NACRE_PROVIDER_FAILURE);
}

static void
handle(void *context, struct nacre_span message, struct nacre_buffer *answer)
{
	static const struct {
		enum nacre_provider_message type;
		void (*handle)(struct state *, struct nacre_reader *, struct nacre_buffer *);
	} handlers[] = {
	    {NACRE_PROVIDER_ADD, handle_add},
	    {NACRE_PROVIDER_REMOVE, handle_remove},
	    {NACRE_PROVIDER_SIGN, handle_sign},
	    {NACRE_PROVIDER_EXTENSION, handle_extension},
	};
	struct nacre_reader request = nacre_reader_of(message);
	uint8_t type = nacre_get_byte(&request);

	for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++)
		if (handlers[i].type == type) {
			handlers[i].handle(context, &request, answer);
			return;
		}
	nacre_put_byte(answer, NACRE_PROVIDER_FAILURE);
}

int
main(int count, char **arguments)
{
	struct state state = {0};
	struct module *module;

	provider_begin("ssh-pkcs11-helper", count, arguments);
	while (provider_serve_one(handle, &state))
		;
	token_keys_free(&state.keys, NULL);
	while ((module = state.modules) != NULL) {
		state.modules = module->next;
		module_free(module);
	}
	return 0;
}
