/* Finds the modules that are installed beside the library: shared objects with one table each. */
#include <nacre/module.h>

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The whole path is given, for the loader would look a name up by the RUNPATH of whoever calls
 * dlopen(), which is not us when a sanitizer stands between. */
const void *
nacre_module_table(const char *file, const char *table)
{
	Dl_info library;
	const char *slash;
	char path[PATH_MAX];
	void *handle;

	if (dladdr((const void *)&nacre_module_table, &library) == 0 ||
	    (slash = strrchr(library.dli_fname, '/')) == NULL ||
	    (size_t)snprintf(path, sizeof path, "%.*s/%s", (int)(slash - library.dli_fname),
		library.dli_fname, file) >= sizeof path)
		return NULL;
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	return handle != NULL ? dlsym(handle, table) : NULL;
}
