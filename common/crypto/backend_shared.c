/* Finds the backend for the shared library: a module, in the folder that the library is in. */
#include <crypto/backend.h>

#include <dlfcn.h>

const struct backend *
backend_load(void)
{
	/* Without a slash in the name the loader looks where this library's RUNPATH ($ORIGIN) says.
	 */
	void *handle = dlopen("libnacre-crypto.so.0", RTLD_NOW | RTLD_LOCAL);

	return handle != NULL ? dlsym(handle, "nacre_crypto_backend") : NULL;
}
