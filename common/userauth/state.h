/* What the two roles of the authentication protocol share: its state, message numbers and the data
 * that a signature covers. Internal to userauth/. */
#ifndef USERAUTH_STATE_H
#define USERAUTH_STATE_H

#include <userauth/userauth.h>

enum {
	MESSAGE_SERVICE_REQUEST = 5,
	MESSAGE_SERVICE_ACCEPT = 6,
	MESSAGE_USERAUTH_REQUEST = 50,
	MESSAGE_USERAUTH_FAILURE = 51,
	MESSAGE_USERAUTH_SUCCESS = 52,
	MESSAGE_USERAUTH_BANNER = 53,
	/* What 60 and 61 mean depends on the method of the request. */
	MESSAGE_USERAUTH_PK_OK = 60,
	MESSAGE_USERAUTH_PASSWD_CHANGEREQ = 60,
	MESSAGE_USERAUTH_INFO_REQUEST = 60,
	MESSAGE_USERAUTH_INFO_RESPONSE = 61
};

#define SERVICE_USERAUTH   "ssh-userauth"
#define SERVICE_CONNECTION "ssh-connection"
#define METHOD_HOST_BOUND  "publickey-hostbound-v00@openssh.com"

/* Where a request of the client stands. */
enum request_state {
	REQUEST_WAITING, /* not sent: a signature or the cipher is missing */
	REQUEST_SIGNING, /* the program was asked for the signature */
	REQUEST_SIGNED,
	REQUEST_SENT,
	REQUEST_ASKED,  /* the program was given an INFO_REQUEST */
	REQUEST_DROPPED /* the program cannot sign: to be reported when its turn comes */
};

/* A request of the client that has no final answer yet; in a list, the oldest first. */
struct userauth_request {
	struct userauth_request *next;
	uint32_t number;
	enum nacre_auth_method method;
	enum request_state state;
	bool sign;
	char *algorithm;
	struct nacre_buffer blob;
	struct nacre_buffer fields;      /* what follows the name of the method, if not signed */
	struct nacre_buffer signed_data; /* with the session identifier in front */
	size_t identifier_length;        /* of that identifier with its own length */
	struct nacre_buffer signature;
};

/* What a server waits for. */
enum server_state {
	SERVER_IDLE,     /* a request */
	SERVER_QUESTION, /* the program's answer */
	SERVER_ASKED     /* the client's INFO_RESPONSE, or a new request */
};

struct userauth {
	struct transport *transport;
	bool server;
	bool service;              /* asked for (client) or given (server) */
	unsigned service_requests; /* that were answered */
	bool done;
	bool announce; /* AUTHENTICATED is owed to the program */
	char *user;
	struct nacre_auth_prompt prompts[NACRE_AUTH_PROMPTS];
	struct nacre_span responses[NACRE_AUTH_PROMPTS];
	size_t prompt_count;

	/* client */
	struct userauth_request *requests;
	uint32_t next_number;

	/* server */
	enum server_state state;
	enum nacre_auth_method method; /* of the request in question */
	/* That request has no signature or new password, so that it can be answered by
	 * PK_OK or by a request for a new one. */
	bool query;
	bool signed_request_refused; /* at least one, of a public key */
	struct nacre_buffer request; /* its fields, kept until the answer */
	struct nacre_buffer signed_data;
	struct nacre_span algorithm, blob;
};

/* What a publickey signature covers, RFC 4252 section 7: appended to *data. "host_key" is NULL but
 * for METHOD_HOST_BOUND. */
void userauth_put_signed_data(struct nacre_buffer *data, struct nacre_span identifier,
    struct nacre_span user, const char *method, struct nacre_span algorithm, struct nacre_span blob,
    const struct nacre_span *host_key);

int userauth_client_message(struct userauth *userauth, uint8_t message,
    struct nacre_reader *payload, struct nacre_event *event);
int userauth_client_pending(struct userauth *userauth, struct nacre_event *event);
void userauth_client_forget(struct userauth *userauth);
int userauth_server_message(struct userauth *userauth, uint8_t message,
    struct nacre_reader *payload, struct nacre_event *event);
/* Wipes what is kept of the request in question. */
void userauth_server_forget(struct userauth *userauth);
/* Both roles: the peer (client) or the program (server) said that authentication succeeded. */
int userauth_succeed(struct userauth *userauth);
/* Ends the connection: "message" was malformed or is not allowed now. */
int userauth_malformed(struct userauth *userauth, const char *message);
int userauth_unexpected(struct userauth *userauth, const char *message);

#endif
