/* Message numbers of the agent protocol, RFC 9987 section "Protocol numbers". */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <nacre/agent.h>
#include <nacre/provider.h>

enum agent_message {
	AGENT_FAILURE = 5,
	AGENT_SUCCESS = 6,
	AGENT_REQUEST_IDENTITIES = 11,
	AGENT_IDENTITIES_ANSWER = 12,
	AGENT_SIGN_REQUEST = 13,
	AGENT_SIGN_RESPONSE = 14,
	AGENT_ADD_IDENTITY = 17,
	AGENT_REMOVE_IDENTITY = 18,
	AGENT_REMOVE_ALL_IDENTITIES = 19,
	AGENT_ADD_TOKEN = 20,
	AGENT_REMOVE_TOKEN = 21,
	AGENT_LOCK = 22,
	AGENT_UNLOCK = 23,
	AGENT_ADD_ID_CONSTRAINED = 25,
	AGENT_ADD_TOKEN_CONSTRAINED = 26,
	AGENT_EXTENSION = 27,
	AGENT_EXTENSION_FAILURE = 28,
	AGENT_EXTENSION_RESPONSE = 29
};

enum agent_constraint {
	AGENT_CONSTRAIN_LIFETIME = 1,
	AGENT_CONSTRAIN_CONFIRM = 2,
	AGENT_CONSTRAIN_EXTENSION = 255
};

#define AGENT_RESTRICT_DESTINATION "restrict-destination-v00@openssh.com"
#define AGENT_SESSION_BIND         "session-bind@openssh.com"
#define AGENT_QUERY                "query"
#define AGENT_SK_PROVIDER          "sk-provider@openssh.com"
#define AGENT_ASSOCIATED_CERTS     "associated-certs-v00@openssh.com"

/* security_key.c: what requests to ssh-sk-helper begin with, and how they name a type of keys. */
void sk_request_begin(struct nacre_buffer *request, const char *name, const struct nacre_sk *sk);
uint32_t sk_algorithm_number(enum nacre_key_type type);

#endif
