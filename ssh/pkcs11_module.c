/* PKCS#11 modules and the tokens behind them: loaded, opened, logged in to, closed. */
#include <ssh/pkcs11.h>

#include <nacre/log.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRY_POINT "C_GetFunctionList"
#define SLOTS_MAX   64

/* Loading a library runs its code: one that does not even mention the entry point is left alone. */
static bool
mentions_entry_point(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	void *content = MAP_FAILED;
	bool found = false;

	if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0)
		content = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	else if (fd < 0)
		nacre_log(NACRE_LOG_ERROR, "provider %s: %s", path, strerror(errno));
	if (content != MAP_FAILED) {
		found = memmem(content, (size_t)status.st_size, ENTRY_POINT, strlen(ENTRY_POINT)) !=
			NULL;
		munmap(content, (size_t)status.st_size);
	}
	if (fd >= 0)
		close(fd);
	return found;
}

static bool
functions_get(struct module *module)
{
	CK_C_GetFunctionList get = NULL;

	*(void **)&get = dlsym(module->handle, ENTRY_POINT);
	return get != NULL && get(&module->functions) == CKR_OK && module->functions != NULL;
}

static void
token_label(struct token *token, const CK_TOKEN_INFO *info)
{
	size_t length = TOKEN_LABEL_LENGTH;

	while (length > 0 && info->label[length - 1] == ' ')
		length--;
	memcpy(token->label, info->label, length);
	token->label[length] = '\0';
	for (char *c = token->label; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
}

/* Without an initialised token there is nothing to be had from a slot. */
static bool
token_open(struct token *token)
{
	CK_FUNCTION_LIST *functions = token->module->functions;
	CK_TOKEN_INFO info;
	CK_RV result;

	if (functions->C_GetTokenInfo(token->slot, &info) != CKR_OK ||
	    (info.flags & CKF_TOKEN_INITIALIZED) == 0)
		return false;
	token->flags = info.flags;
	token_label(token, &info);
	result =
	    functions->C_OpenSession(token->slot, CKF_SERIAL_SESSION, NULL, NULL, &token->session);
	if (result != CKR_OK)
		nacre_log(NACRE_LOG_ERROR, "provider %s slot %lu: C_OpenSession failed: %lu",
		    token->module->path, token->slot, result);
	token->open = result == CKR_OK;
	token->logged_in = false;
	return token->open;
}

bool
token_reopen(struct token *token)
{
	if (token->open)
		token->module->functions->C_CloseSession(token->session);
	token->open = false;
	return token_open(token);
}

static bool
tokens_open(struct module *module)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG count = SLOTS_MAX;
	CK_RV result = module->functions->C_GetSlotList(CK_TRUE, slots, &count);

	if (result != CKR_OK) {
		nacre_log(NACRE_LOG_ERROR, "provider %s: C_GetSlotList failed: %lu", module->path,
		    result);
		return false;
	}
	if ((module->tokens = calloc(SLOTS_MAX, sizeof *module->tokens)) == NULL)
		return false;
	for (CK_ULONG i = 0; i < count && i < SLOTS_MAX; i++) {
		struct token *token = &module->tokens[module->token_count];

		*token = (struct token){.module = module, .slot = slots[i]};
		if (token_open(token))
			module->token_count++;
	}
	if (module->token_count == 0)
		nacre_log(NACRE_LOG_ERROR, "provider %s returned no slots", module->path);
	return module->token_count > 0;
}

static bool
module_start(struct module *module)
{
	CK_RV result;

	if (!mentions_entry_point(module->path)) {
		nacre_log(NACRE_LOG_ERROR, "provider %s is not a PKCS11 library", module->path);
		return false;
	}
	module->handle = dlopen(module->path, RTLD_NOW | RTLD_LOCAL);
	if (module->handle == NULL || !functions_get(module)) {
		const char *reason = module->handle == NULL ? dlerror() : NULL;

		nacre_log(NACRE_LOG_ERROR, "provider %s cannot be loaded: %s", module->path,
		    reason != NULL ? reason : "it has no list of functions");
		module->functions = NULL;
		return false;
	}
	result = module->functions->C_Initialize(NULL);
	if (result != CKR_OK) {
		nacre_log(
		    NACRE_LOG_ERROR, "provider %s: C_Initialize failed: %lu", module->path, result);
		module->functions = NULL;
		return false;
	}
	return tokens_open(module);
}

struct module *
module_load(const char *path)
{
	struct module *module = calloc(1, sizeof *module);

	if (module == NULL || (module->path = strdup(path)) == NULL || !module_start(module)) {
		module_free(module);
		return NULL;
	}
	return module;
}

void
module_free(struct module *module)
{
	if (module == NULL)
		return;
	for (size_t i = 0; i < module->token_count; i++) {
		nacre_buffer_free(&module->tokens[i].pin);
		if (module->functions != NULL && module->tokens[i].open)
			module->functions->C_CloseSession(module->tokens[i].session);
	}
	if (module->functions != NULL)
		module->functions->C_Finalize(NULL);
	if (module->handle != NULL)
		dlclose(module->handle);
	free(module->tokens);
	free(module->path);
	free(module);
}

bool
token_wants_login(const struct token *token)
{
	return (token->flags & CKF_LOGIN_REQUIRED) != 0 && !token->logged_in;
}

bool
token_has_pin(const struct token *token)
{
	return nacre_buffer_length(&token->pin) > 0 ||
	       (token->flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0;
}

void
token_pin_forget(struct token *token)
{
	nacre_buffer_free(&token->pin);
	token->pin_once = false;
}

static void
login_report(const struct token *token, CK_RV result)
{
	nacre_log(NACRE_LOG_ERROR, "token \"%s\": login failed: %s", token->label,
	    result == CKR_PIN_INCORRECT || result == CKR_PIN_LEN_RANGE ? "wrong PIN"
	    : result == CKR_PIN_LOCKED                                 ? "the PIN is locked"
								       : "C_Login");
}

CK_RV
token_login(struct token *token, CK_USER_TYPE user)
{
	size_t length = nacre_buffer_length(&token->pin);
	CK_RV result;

	/* A reader with keys of its own asks for the PIN itself, which NULL says. */
	result = token->module->functions->C_Login(
	    token->session, user, length > 0 ? token->pin.data + token->pin.start : NULL, length);
	if (result == CKR_USER_ALREADY_LOGGED_IN)
		result = CKR_OK;
	if (result != CKR_OK) {
		login_report(token, result);
		/* Never tried again by itself: tokens count wrong PINs. */
		token_pin_forget(token);
	} else if (user == CKU_USER) {
		token->logged_in = true;
	}
	return result;
}
