/* Host names for the session, which must not wait for them: the library's resolver in its loop. */
#include "user_session.h"

#include <nacre/log.h>

#include <errno.h>
#include <netdb.h>
#include <string.h>

static void
answers_ready(struct user_session *user, struct endpoint *endpoint, unsigned what)
{
	(void)endpoint;
	(void)what;
	nacre_resolver_ready(user->resolver);
}

static bool
prepare(struct user_session *user)
{
	if (user->resolver != NULL)
		return true;
	if ((user->resolver = nacre_resolver_new(user->config->address_family)) == NULL)
		return false;
	endpoint_init(&user->resolving);
	user->resolving.fd = nacre_resolver_fd(user->resolver);
	user->resolving.ready = answers_ready;
	endpoint_want(user, &user->resolving, NACRE_POLL_READ);
	return true;
}

void
resolver_ask(struct user_session *user, const char *host, unsigned port, bool passive,
    nacre_resolver_done *done, void *context)
{
	if (prepare(user))
		nacre_resolver_ask(user->resolver, host, port, passive, done, context);
	else
		done(context, EAI_SYSTEM, NULL);
}
