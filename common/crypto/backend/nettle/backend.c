/* The table of the module over nettle, which has nothing to initialise. */
#include <crypto/backend/nettle/functions.h>

#include <nettle/version.h>
#include <stdio.h>

static int
initialise(void)
{
	return 0;
}

static const char *
libraries(void)
{
	static char text[32];

	snprintf(text, sizeof text, "nettle %d.%d", nettle_version_major(), nettle_version_minor());
	return text;
}

const struct backend_nettle nacre_nettle_backend = {
    .module = {.version = NACRE_VERSION, .initialise = initialise, .libraries = libraries},
    .umac = &nettle_umac,
    .sha1 = sha1_digest_spans,
    .hmac_sha1 = hmac_sha1_once,
};
