/*
 * The parts of ssh-pkcs11-helper, the process in which PKCS#11 modules are loaded: modules and
 * tokens (pkcs11_module.c), their public keys (pkcs11_key.c), signatures (pkcs11_sign.c), requests
 * (pkcs11_helper.c).
 */
#ifndef SSH_PKCS11_H
#define SSH_PKCS11_H

#include <nacre/key.h>
#include <nacre/wire.h>

#include <p11-kit-1/p11-kit/pkcs11.h>

#include <stdbool.h>
#include <stddef.h>

#define TOKEN_LABEL_LENGTH 32
#define PIN_MAX            255

struct module;

struct token {
	struct module *module;
	CK_SLOT_ID slot;
	CK_SESSION_HANDLE session;
	bool open;
	CK_FLAGS flags;
	char label[TOKEN_LABEL_LENGTH + 1];
	bool logged_in;
	/* What was given for it; empty: none. "pin_once": for the next signature alone. */
	struct nacre_buffer pin;
	bool pin_once;
};

struct module {
	struct module *next;
	char *path;
	void *handle;
	CK_FUNCTION_LIST *functions;
	struct token *tokens;
	size_t token_count;
};

struct token_key {
	struct token_key *next;
	struct token *token;
	struct nacre_key *key;
	struct nacre_buffer blob;
	struct nacre_buffer identifier; /* CKA_ID */
	char *label;
};

/* pkcs11_module.c -------------------------------------------------------------------------- */

/* Loads the module at "path" and opens a session with each token; NULL after a message. */
struct module *module_load(const char *path);
/* Ends it; keys of its tokens must be gone. NULL is allowed. */
void module_free(struct module *module);
/* Opens the session again, after the token was away. False when it still is. */
bool token_reopen(struct token *token);
/* The user's PIN is needed before private keys can be used. */
bool token_wants_login(const struct token *token);
/* True when nobody needs to type a PIN here: one is stored, or the reader has keys of its own. */
bool token_has_pin(const struct token *token);
/* Logs in with what is stored, as the user or for one operation (CKU_CONTEXT_SPECIFIC). A wrong PIN
 * is forgotten. Logs what failed. */
CK_RV token_login(struct token *token, CK_USER_TYPE user);
void token_pin_forget(struct token *token);

/* pkcs11_key.c ------------------------------------------------------------------------------ */

/* Reads one attribute of an object; false when there is none, or it is empty or too large. */
bool attribute_read(const struct token *token, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
    struct nacre_buffer *value);
/* Appends the token's public keys, and those of its certificates, to the list. */
void token_keys_collect(struct token *token, struct token_key **list);
/* Frees the keys of a module, or all ("module" NULL). */
void token_keys_free(struct token_key **list, const struct module *module);

/* pkcs11_sign.c ----------------------------------------------------------------------------- */

enum sign_result { SIGN_DONE, SIGN_FAILED, SIGN_PIN_NEEDED };
/* Appends a signature blob. "flags": those of the agent protocol. */
enum sign_result token_key_sign(const struct token_key *key, struct nacre_span data, uint32_t flags,
    struct nacre_buffer *signature);

#endif
