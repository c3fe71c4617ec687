/* Finds the modules of the backend for the shared library: files in the folder that it is in. */
#include <crypto/backend.h>

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *file, *table;
} modules[BACKEND_MODULES] = {
    [BACKEND_OPENSSL] = {"libnacre-crypto.so.0", "nacre_openssl_backend"},
    [BACKEND_NETTLE] = {"libnacre-nettle.so.0", "nacre_nettle_backend"},
};

/* The whole path is given, for the loader would look a name up by the RUNPATH of whoever calls
 * dlopen(), which is not us when a sanitizer stands between. */
const struct backend_module *
backend_load(enum backend_library which)
{
	Dl_info library;
	const char *slash;
	char path[PATH_MAX];
	void *handle;

	if (dladdr((const void *)&backend_load, &library) == 0 ||
	    (slash = strrchr(library.dli_fname, '/')) == NULL ||
	    (size_t)snprintf(path, sizeof path, "%.*s/%s", (int)(slash - library.dli_fname),
		library.dli_fname, modules[which].file) >= sizeof path)
		return NULL;
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	return handle != NULL ? dlsym(handle, modules[which].table) : NULL;
}
