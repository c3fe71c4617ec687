/*
 * One client: what the files of this folder share. The order of a login is in client.c.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <client/trace.h>
#include <nacre/agent.h>
#include <nacre/client.h>
#include <nacre/known_hosts.h>
#include <nacre/log.h>

#include <netdb.h>
#include <sys/socket.h>

/* connect.c: sockets that are on their way to the server, one a family of addresses (RFC 8305). */
struct connect_lane {
	const struct addrinfo *next;    /* to be tried after the current; NULL: none */
	const struct addrinfo *current; /* of "fd" */
	int fd;                         /* -1: none */
	uint64_t deadline;              /* of the current */
};
#define CONNECT_LANES 2
struct connect_state {
	struct addrinfo *resolved;   /* all addresses, to be freed; or NULL */
	struct addrinfo numeric;     /* the only one, when the host is an address */
	struct sockaddr_storage own; /* storage of "numeric" */
	struct connect_lane lanes[CONNECT_LANES];
	uint64_t second_start; /* when the second is started at the latest */
	bool second_started;
	int attempts_left;
	int error; /* errno of the newest failure */
};

/* preference.c: what a server showed to prefer when it was last seen. */
#define PREFERENCE_NAME_MAX 64
struct preference {
	char kex[PREFERENCE_NAME_MAX];
	char host_key[PREFERENCE_NAME_MAX];
	uint32_t round_trip; /* milliseconds */
	uint64_t identity;   /* mark of the user key that it accepted; 0: none */
	uint64_t early;      /* preference_early_mark() of that login; 0: nothing known */
	uint32_t channel;    /* its number for our first channel then */
};
#define PREFERENCE_CHANNEL_UNSTEADY UINT32_MAX       /* not to be relied on */
#define PREFERENCE_CHANNEL_REFUSED  (UINT32_MAX - 1) /* nor until the server takes a key again */

#define PREFERENCE_SALT_LENGTH 16
struct preferences {
	char *path;               /* NULL: nothing is remembered */
	struct nacre_buffer text; /* the file's lines as they were read */
	uint8_t salt[PREFERENCE_SALT_LENGTH];
	uint64_t name; /* mark of the server */
};

/* identity.c: a key that we may log in with. */
enum identity_state {
	IDENTITY_UNTRIED,
	IDENTITY_ASKED,    /* queried, no answer yet */
	IDENTITY_WELCOME,  /* the server would accept it */
	IDENTITY_OFFERED,  /* a signed request is on its way */
	IDENTITY_FINISHED, /* refused, used or unusable */
};
struct identity {
	struct nacre_key *key; /* public half, or the private key; NULL: not known yet */
	struct nacre_buffer blob;
	struct nacre_buffer agent_blob; /* what the agent knows it by, if that is not "blob" */
	char *file;                     /* of the private key; NULL: only the agent knows it */
	char *comment;                  /* from the agent, or the file's name */
	bool in_agent;
	bool on_token;   /* PKCS#11 */
	bool configured; /* named in the configuration, not a default */
	char *algorithm; /* to sign with */
	enum identity_state state;
	uint32_t request;    /* number of the newest request about it */
	const char *outcome; /* why it did not log in, static; NULL: not tried */
};
struct identities {
	struct identity *list;
	size_t count;
	struct nacre_agent *agent;
	int agent_errno; /* why it could not be reached; 0: it was, or there is none */
};

/* authenticate.c */

/* A method says whether it has anything left to try, and sends its next request(s): 1 when it did,
 * 0 when there is nothing left, or an error. */
struct authentication_method {
	const char *name;
	bool (*usable)(const struct nacre_client *client);
	int (*next)(struct nacre_client *client);
};

struct authentication {
	char *methods;        /* what the server lets us try next; NULL: not told yet */
	uint32_t outstanding; /* requests without an answer */
	const struct authentication_method *current;
	const struct identity *accepted; /* whose signature let us in */
	unsigned password_prompts, interactive_prompts;
	bool interactive_answered; /* the newest try came with questions */
	bool password_over, interactive_over;
	bool partial; /* more than one method was asked for */
};

/* hostbased.c */
#define HOSTBASED_KEYS ((size_t)6)
struct hostbased {
	bool loaded, over;
	int fd;                                 /* of the connection; borrowed */
	struct nacre_key *keys[HOSTBASED_KEYS]; /* not offered yet; NULL: not there */
	char *host;                             /* our name */
	struct nacre_buffer blob;               /* of the key that is offered */
};

/* early.c: a session channel that is opened together with the signed request. */
struct early {
	void (*request)(void *context, struct nacre_client *client, uint32_t channel);
	void *context;
	char *identification; /* of the server */
	bool sent, opened;
	bool
	    refused; /* authentication was: what becomes of the channel's messages is not known yet */
	uint32_t channel; /* ours */
	bool number_known;
	uint32_t number; /* what the server called our first channel */
};

/* What a further try of a login does without, after the server stumbled over it. */
enum without { WITHOUT_NOTHING, WITHOUT_GUESS, WITHOUT_EARLY };

/* host_key.c: learning all keys of a server. */
struct host_key_update {
	struct nacre_key **offered;
	size_t offered_count;
	struct nacre_key **unknown; /* borrowed from "offered" */
	size_t unknown_count;
	bool asked;
};

/* Whose a global request was. */
enum reply_to { REPLY_TO_KEEPALIVE, REPLY_TO_PROOF, REPLY_TO_PROGRAM };

struct nacre_client {
	struct nacre_ssh_config *config;
	const char *ssh_program, *user_file;
	bool interactive;

	int fd;
	pid_t proxy;
	struct connect_state connect;
	char *address; /* numeric; NULL behind a proxy */
	char *peer;
	uint64_t handshake_deadline; /* UINT64_MAX: none */

	struct nacre_session *session;
	bool keys_exchanged, authentication_started, authenticated;
	bool failed;          /* for a reason of ours that was logged */
	bool closed, reset;   /* by the peer */
	bool disconnect_seen; /* and logged */
	bool openssh_like;    /* the server knows OpenSSH's global requests */
	bool guess;           /* a key exchange guess may be sent */
	enum without retry;   /* another try may do better without this */
	bool settled;

	char *known_name;       /* as known_hosts names the server */
	char *user_known_hosts; /* the file that new keys go to; NULL: none */
	struct nacre_known_hosts *known;
	struct nacre_buffer host_key; /* the one that was trusted */
	bool host_key_may_update;     /* it was trusted by a plain line of the user's file */
	bool host_key_known;          /* nobody needed to be asked */
	bool host_key_unknown;        /* and nobody might be */
	struct host_key_update update;

	struct login_trace *trace; /* NULL: LoginTrace is off */
	struct preferences preferences;
	struct preference preference; /* as remembered; empty names: nothing */
	struct identities identities;
	struct identities files, certificates; /* until they are in order */
	struct authentication authentication;
	struct hostbased hostbased;
	struct early early;

	uint64_t last_received, next_keepalive;
	unsigned keepalives_unanswered;
	struct nacre_buffer replies; /* to global requests, due in this order: enum reply_to */
	char *agent_path, *forward_agent_path;
};

/* client.c: to be called after a global request that wants an answer. */
void client_expect_reply(struct nacre_client *client, enum reply_to whose);

/* connect.c -------------------------------------------------------------------------------- */

/* ConnectTimeout counts from now. */
void connect_deadline(struct nacre_client *client);
/* Resolves the host and starts to connect; no wait for the network but for the resolver's. */
int connect_start(struct nacre_client *client);
/* Waits until the connection stands, trying the other addresses and attempts. */
int connect_finish(struct nacre_client *client);
void connect_free(struct nacre_client *client);

/* proxy.c: starts ProxyCommand or the ssh of ProxyJump and puts its socket into client->fd. */
int proxy_start(struct nacre_client *client);
/* We do not need it any more. */
void proxy_end(struct nacre_client *client);

/* algorithms.c ----------------------------------------------------------------------------- */

/* The offers for our KEXINIT, in an order that suits what is known of the server. */
int algorithms_kex(const struct nacre_client *client, struct nacre_buffer *list);
int algorithms_host_key(const struct nacre_client *client, struct nacre_buffer *list);
/* True when an exact name or pattern of "list" ("*" and "?") covers "name". */
bool algorithms_allowed(const char *list, struct nacre_span name);

/* host_key.c, host_key_update.c ------------------------------------------------------------- */

int host_key_load_known(struct nacre_client *client);
/* Decides about a host key, asking where the configuration wants that; logs what it refuses. */
bool host_key_trusted(struct nacre_client *client, struct nacre_span blob);
/* hostkeys-00@openssh.com arrived; its proof arrived. */
void host_key_update_offered(struct nacre_client *client, struct nacre_span payload);
void host_key_update_proved(struct nacre_client *client, bool success, struct nacre_span payload);
void host_key_update_free(struct nacre_client *client);

/* The file of lines that KnownHostsCommand printed. */
#define KNOWN_HOSTS_COMMAND "KnownHostsCommand"
/* host_key_command.c: adds the lines that KnownHostsCommand, if there is one, has for "name" (an
 * address when "by_address"); "reason" is its %I, "key" (may be NULL) the key in question. 0, or an
 * error that was logged. */
int host_key_ask_command(struct nacre_client *client, const char *reason, const char *name,
    const struct nacre_key *key, bool by_address);

/* host_key_dns.c: asks for the SSHFP records of the server's name, and compares them with the plain
 * key. */
void host_key_dns_ask(
    const struct nacre_client *client, const struct nacre_key *key, struct nacre_sshfp *result);

/* preference.c ------------------------------------------------------------------------------ */

void preference_load(struct nacre_client *client);
/* Writes what was seen now, if it differs; "accepted" (may be NULL) is the key that logged in. */
void preference_store(struct nacre_client *client, const struct identity *accepted);
/* True when the server accepted this key last time. */
bool preference_remembers(const struct nacre_client *client, const struct identity *identity);
/* Says which server (host key and identification) and user were met. */
uint64_t preference_early_mark(const struct nacre_client *client);
/* Writes that nothing is to be sent early to this server until it has taken a key; "unsteady": nor
 * then. */
void preference_forget_early(struct nacre_client *client, bool unsteady);
void preference_free(struct nacre_client *client);

/* identity.c -------------------------------------------------------------------------------- */

/* Reads what is in files and connects to the agent. */
int identities_load(struct nacre_client *client);
/* Once the session has its identifier: tells the agent which it is, and puts the keys in order. */
void identities_settle(struct nacre_client *client);
/* The agent knows it as what it is; false for a certificate that only its key is there for. */
bool identity_is_agents(const struct identity *identity);
/* A signature may take a PIN or a touch: not made before the server said that it wants the key. */
bool identity_wants_person(const struct identity *identity);
void identities_free(struct nacre_client *client);
/* Makes sure that the identity can sign, asking for a passphrase if "ask" allows that. */
int identity_unlock(struct nacre_client *client, struct identity *identity, bool ask);
int identity_sign(struct nacre_client *client, struct identity *identity, struct nacre_span data,
    struct nacre_buffer *signature);

/* authenticate.c ---------------------------------------------------------------------------- */

int authenticate_start(struct nacre_client *client);
int authenticate_reply(struct nacre_client *client, const struct nacre_event *event);
/* The next request(s), after all answers. */
int authenticate_advance(struct nacre_client *client);
int authenticate_sign(struct nacre_client *client, const struct nacre_event *event);
void authenticate_free(struct nacre_client *client);

/* hostbased.c: a method, and the signature of its request: false when the event is not of it. */
bool hostbased_usable(const struct nacre_client *client);
int hostbased_next(struct nacre_client *client);
bool hostbased_sign(
    struct nacre_client *client, const struct nacre_event *event, struct nacre_buffer *signature);
void hostbased_free(struct nacre_client *client);

/* hint.c: the likely cause of a failure and what to type next, behind the lines that OpenSSH has. */
void hint_denied(const struct nacre_client *client);
void hint_disconnected(const struct nacre_client *client, struct nacre_span reason);

/* early.c ----------------------------------------------------------------------------------- */

/* Opens the channel and has its requests sent, if all of that is as good as certain to be welcome;
 * to be called when the first authentication request is in the output. */
void early_send(struct nacre_client *client);
/* True while the login waits for that channel. */
bool early_waits(const struct nacre_client *client);
/* Events that concern the channel; what a login does with those of the connection protocol. */
void early_event(struct nacre_client *client, const struct nacre_event *event);
/* Authentication was refused. */
void early_refused(struct nacre_client *client);
/* True while it is not known whether the server goes on nevertheless. */
bool early_undecided(const struct nacre_client *client);
/* The connection ended: true when another try is to be made, without. */
bool early_lost(struct nacre_client *client, const struct nacre_event *event);
void early_free(struct nacre_client *client);

#endif
