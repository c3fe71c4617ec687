/* What the configuration and the options of the key let a client forward: AllowTcpForwarding,
 * AllowStreamLocalForwarding, PermitOpen, PermitListen, permitopen= and permitlisten=. */
#include "user_session.h"

#include <nacre/config.h>

static bool
list_permits(char *const *words, size_t count, bool (*fits)(const char *, const char *, unsigned),
    const char *host, unsigned port)
{
	for (size_t i = 0; i < count; i++)
		if (fits(words[i], host, port))
			return true;
	return count == 0;
}

/* AllowTcpForwarding and the options of the key: whether a direction is open at all. */
static bool
direction_open(const struct user_session *user, enum nacre_allow_forwarding direction)
{
	return user->permit_forwarding &&
	       (user->config->allow_tcp_forwarding & (int)direction) != 0;
}

static bool
lists_permit_open(const struct user_session *user,
    bool (*fits)(const char *, const char *, unsigned), const char *host, unsigned port)
{
	const struct nacre_words *words = &user->config->permit_open;
	const struct nacre_key_options *options = &user->login->authentication.options;

	return list_permits(words->words, words->count, fits, host, port) &&
	       list_permits(options->permit_open, options->permit_open_count, fits, host, port);
}

bool
forward_permits_open(const struct user_session *user, const char *host, unsigned port)
{
	return direction_open(user, NACRE_FORWARD_LOCAL) &&
	       lists_permit_open(user, nacre_permit_open_fits, host, port);
}

bool
forward_permits_listen(const struct user_session *user, const char *host, unsigned port)
{
	const struct nacre_words *words = &user->config->permit_listen;
	const struct nacre_key_options *options = &user->login->authentication.options;

	return direction_open(user, NACRE_FORWARD_REMOTE) &&
	       list_permits(words->words, words->count, nacre_permit_listen_fits, host, port) &&
	       list_permits(options->permit_listen, options->permit_listen_count,
		   nacre_permit_listen_fits, host, port);
}

bool
forward_permits_open_path(const struct user_session *user, const char *path)
{
	return direction_open(user, NACRE_FORWARD_LOCAL) &&
	       (user->config->allow_stream_local_forwarding & NACRE_FORWARD_LOCAL) != 0 &&
	       lists_permit_open(user, nacre_permit_path_fits, path, 0);
}

bool
forward_permits_listen_path(const struct user_session *user)
{
	return direction_open(user, NACRE_FORWARD_REMOTE) &&
	       (user->config->allow_stream_local_forwarding & NACRE_FORWARD_REMOTE) != 0;
}
