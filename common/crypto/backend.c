/* Loads and initialises the backend, once a process. */
#include <crypto/backend.h>
#include <nacre/crypto.h>

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static pthread_once_t load_once = PTHREAD_ONCE_INIT, initialise_once = PTHREAD_ONCE_INIT;
static const struct backend *module;            /* loaded */
static _Atomic(const struct backend *) current; /* and initialised */

static void
load(void)
{
	const struct backend *table = backend_load();

	if (table != NULL && strcmp(table->version, NACRE_VERSION) == 0)
		module = table;
}

static void
initialise(void)
{
	pthread_once(&load_once, load);
	if (module != NULL && module->initialise() == 0)
		atomic_store_explicit(&current, module, memory_order_release);
}

const struct backend *
backend_loaded(void)
{
	return atomic_load_explicit(&current, memory_order_acquire);
}

const struct backend *
backend_get(void)
{
	const struct backend *backend = backend_loaded();

	if (backend != NULL)
		return backend;
	pthread_once(&initialise_once, initialise);
	return backend_loaded();
}

int
nacre_crypto_preload(bool use)
{
	if (use)
		return backend_get() != NULL ? 0 : NACRE_ERROR_LIBRARY;
	pthread_once(&load_once, load);
	return module != NULL ? 0 : NACRE_ERROR_LIBRARY;
}

const char *
nacre_crypto_versions(bool load_module)
{
	static char text[160];
	const struct backend *const backend = load_module ? backend_get() : backend_loaded();

	snprintf(text, sizeof text, "libsodium %s%s%s", sodium_version_string(),
	    backend != NULL ? ", " : "", backend != NULL ? backend->libraries() : "");
	return text;
}
