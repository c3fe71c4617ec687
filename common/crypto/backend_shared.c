/* Finds the backend for the shared library: a module, in the folder that the library is in. */
#include <crypto/backend.h>

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define MODULE "libnacre-crypto.so.0"

/* The module stands beside this library. Its whole path is given, for the loader would look it up
 * by the RUNPATH of whoever calls dlopen(), which is not us when a sanitizer stands between. */
const struct backend *
backend_load(void)
{
	Dl_info library;
	const char *slash;
	char path[PATH_MAX];
	void *handle;

	if (dladdr((const void *)&backend_load, &library) == 0 ||
	    (slash = strrchr(library.dli_fname, '/')) == NULL ||
	    (size_t)snprintf(path, sizeof path, "%.*s/" MODULE, (int)(slash - library.dli_fname),
		library.dli_fname) >= sizeof path)
		return NULL;
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	return handle != NULL ? dlsym(handle, "nacre_crypto_backend") : NULL;
}
