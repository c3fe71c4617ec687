/* The options of keys, certificates and principals that say from where and until when. */
#include "authorize.h"

#include <nacre/log.h>

#include <time.h>

bool
options_let_in(struct login *login, const struct nacre_key_options *options, const char *where)
{
	const char *host = login_remote_name(login);
	const char *address = login->peer.address;

	switch (nacre_key_options_allow(options, host, address, time(NULL))) {
	case NACRE_KEY_ALLOWED:
		return true;
	case NACRE_KEY_EXPIRED:
		nacre_log(NACRE_LOG_DEBUG1, "%s: entry expired", where);
		break;
	case NACRE_KEY_NOT_FROM_HOST:
		nacre_log(NACRE_LOG_INFO,
		    "%s: Authentication tried for %.100s with correct key but not from a permitted "
		    "host (host=%.200s, ip=%.200s, required=%.200s).",
		    where, login->account.name, host, address, options->from);
		break;
	case NACRE_KEY_NOT_FROM_ADDRESS:
		nacre_log(NACRE_LOG_INFO,
		    "%s: Authentication tried for %.100s with valid certificate but not from a "
		    "permitted source address (%.200s).",
		    where, login->account.name, address);
		break;
	}
	return false;
}
