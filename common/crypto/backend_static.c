/* Finds the modules of the backend for the static library: they are linked in. */
#include <crypto/backend.h>

const struct backend_module *
backend_load(enum backend_library which)
{
	static const struct backend_module *const modules[BACKEND_MODULES] = {
	    [BACKEND_OPENSSL] = &nacre_openssl_backend.module,
	    [BACKEND_NETTLE] = &nacre_nettle_backend.module,
	};

	return modules[which];
}
