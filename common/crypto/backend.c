/* Loads and initialises the modules of the backend, each once a process. */
#include <crypto/backend.h>
#include <nacre/crypto.h>

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* What has been tried is not tried again, whether it worked or not; the lock guards all but
 * "current", which never changes once it is set. */
static struct library {
	bool load_tried, initialise_tried;
	const struct backend_module *loaded;
	_Atomic(const struct backend_module *) current; /* initialised, too */
} libraries[BACKEND_MODULES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void
library_load(enum backend_library which)
{
	struct library *const library = &libraries[which];
	const struct backend_module *module;

	if (library->load_tried)
		return;
	library->load_tried = true;
	module = backend_load(which);
	if (module != NULL && strcmp(module->version, NACRE_VERSION) == 0)
		library->loaded = module;
}

static void
library_initialise(enum backend_library which)
{
	struct library *const library = &libraries[which];

	library_load(which);
	if (library->loaded == NULL || library->initialise_tried)
		return;
	library->initialise_tried = true;
	if (library->loaded->initialise() == 0)
		atomic_store_explicit(&library->current, library->loaded, memory_order_release);
}

static const struct backend_module *
library_current(enum backend_library which)
{
	return atomic_load_explicit(&libraries[which].current, memory_order_acquire);
}

static const struct backend_module *
library_get(enum backend_library which)
{
	if (library_current(which) == NULL) {
		pthread_mutex_lock(&lock);
		library_initialise(which);
		pthread_mutex_unlock(&lock);
	}
	return library_current(which);
}

/* A module's table begins with what all have in common, so one pointer serves for the other. */
const struct backend *
backend_get(void)
{
	return (const struct backend *)library_get(BACKEND_OPENSSL);
}

const struct backend *
backend_loaded(void)
{
	return (const struct backend *)library_current(BACKEND_OPENSSL);
}

const struct backend_nettle *
backend_nettle_get(void)
{
	return (const struct backend_nettle *)library_get(BACKEND_NETTLE);
}

int
nacre_crypto_preload(bool use)
{
	bool all = true;

	pthread_mutex_lock(&lock);
	for (enum backend_library which = 0; which < BACKEND_MODULES; which++) {
		if (use)
			library_initialise(which);
		else
			library_load(which);
		all = all && (use ? library_current(which) : libraries[which].loaded) != NULL;
	}
	pthread_mutex_unlock(&lock);
	return all ? 0 : NACRE_ERROR_LIBRARY;
}

const char *
nacre_crypto_versions(bool load)
{
	static char text[160];
	size_t length;

	length = (size_t)snprintf(text, sizeof text, "libsodium %s", sodium_version_string());
	for (enum backend_library which = 0; which < BACKEND_MODULES; which++) {
		const struct backend_module *module =
		    load ? library_get(which) : library_current(which);

		if (module != NULL && length < sizeof text)
			length += (size_t)snprintf(
			    text + length, sizeof text - length, ", %s", module->libraries());
	}
	return text;
}
