/* The name of the peer's address, where UseDNS asks for it. */
#include "login.h"

#include <nacre/log.h>

#include <ctype.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct addrinfo *
look_up(const char *name, int flags)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
	struct addrinfo *found = NULL;

	return getaddrinfo(name, NULL, &hints, &found) == 0 ? found : NULL;
}

static bool
holds_address(const struct addrinfo *list, const char *address)
{
	char text[NI_MAXHOST];

	for (; list != NULL; list = list->ai_next)
		if (getnameinfo(list->ai_addr, list->ai_addrlen, text, sizeof text, NULL, 0,
			NI_NUMERICHOST) == 0 &&
		    strcmp(text, address) == 0)
			return true;
	return false;
}

/* A name counts when it leads back to the address; whoever owns the address writes its name. */
static bool
name_is_honest(const char *name, const char *address)
{
	struct addrinfo *numeric = look_up(name, AI_NUMERICHOST);

	if (numeric != NULL) {
		freeaddrinfo(numeric);
		nacre_log(NACRE_LOG_INFO, "Nasty PTR record \"%s\" is set up for %s, ignoring",
		    name, address);
		return false;
	}
	struct addrinfo *forward = look_up(name, 0);
	bool honest = holds_address(forward, address);
	if (forward == NULL)
		nacre_log(NACRE_LOG_INFO,
		    "reverse mapping checking getaddrinfo for %.700s [%s] failed.", name, address);
	else if (!honest)
		nacre_log(NACRE_LOG_INFO,
		    "Address %.100s maps to %.600s, but this does not map back to the address.",
		    address, name);
	if (forward != NULL)
		freeaddrinfo(forward);
	return honest;
}

static char *
resolve(const char *address)
{
	struct addrinfo *numeric = look_up(address, AI_NUMERICHOST);
	char name[NI_MAXHOST];
	bool found = numeric != NULL && getnameinfo(numeric->ai_addr, numeric->ai_addrlen, name,
					    sizeof name, NULL, 0, NI_NAMEREQD) == 0;

	if (numeric != NULL)
		freeaddrinfo(numeric);
	if (!found)
		return NULL;
	for (char *byte = name; *byte != '\0'; byte++)
		*byte = (char)tolower((unsigned char)*byte);
	return name_is_honest(name, address) ? strdup(name) : NULL;
}

const char *
login_remote_name(struct login *login)
{
	if (!login->server->config->use_dns)
		return login->peer.address;
	if (!login->remote_name_known)
		login->remote_name = resolve(login->peer.address);
	login->remote_name_known = true;
	return login->remote_name != NULL ? login->remote_name : login->peer.address;
}
