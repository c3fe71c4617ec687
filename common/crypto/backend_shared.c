/* Finds the modules of the backend for the shared library: files in the folder that it is in. */
#include <crypto/backend.h>
#include <nacre/module.h>

static const struct {
	const char *file, *table;
} modules[BACKEND_MODULES] = {
    [BACKEND_OPENSSL] = {"libnacre-crypto.so.0", "nacre_openssl_backend"},
    [BACKEND_NETTLE] = {"libnacre-nettle.so.0", "nacre_nettle_backend"},
};

const struct backend_module *
backend_load(enum backend_library which)
{
	return nacre_module_table(modules[which].file, modules[which].table);
}
