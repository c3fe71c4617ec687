/*
 * From a destination and a configuration to an authenticated session, with all the input and output
 * that takes: name resolution, connection, proxies, host key questions, identities, passwords.
 * Shared by ssh, scp and sftp. Messages go to the program's log (nacre/log.h) in the words of
 * ssh(1).
 *
 *	nacre_client_open(&options, &client);            blocks; asks the person where needed
 *	session = nacre_client_session(client);
 *	nacre_channel_open_session(session, &channel);
 *	for (;;) {
 *		while (nacre_session_next_event(session, nacre_clock_ms(), &event))
 *			if (!nacre_client_event(client, &event))
 *				... the program's own events ...
 *		nacre_client_flush(client);
 *		... wait for nacre_client_read_fd(), and for nacre_client_write_fd() while output
 *		    is left, until nacre_client_deadline(), when nacre_client_tick() is due ...
 *		nacre_client_receive(client);
 *	}
 *	nacre_client_close(client);
 */
#ifndef NACRE_CLIENT_H
#define NACRE_CLIENT_H

#include <nacre/error.h>
#include <nacre/session.h>
#include <nacre/ssh_config.h>

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nacre_client;

struct nacre_client_options {
	struct nacre_ssh_config *config; /* loaded; borrowed as long as the client lives */
	/* The ssh program that ProxyJump starts; NULL: "ssh" beside this program's own file. */
	const char *ssh_program;
	const char *user_file; /* -F of this program, passed on to it; or NULL */
	bool interactive;      /* a terminal is going to be used: which half of IPQoS applies */
	/*
	 * Makes the requests of a session channel, up to the one that starts something (NULL: this
	 * program wants no session at once). With a server that is known well it is called during
	 * the login, before the channel is open: a login then takes two round trips less. It may be
	 * called again for another try with a new client, and must not write to the person.
	 */
	void (*request)(void *context, struct nacre_client *client, uint32_t channel);
	void *context;
};

/* Connects and authenticates. 0, or an error that was logged in full (exit with status 255). */
int nacre_client_open(const struct nacre_client_options *options, struct nacre_client **client);
/* Sends DISCONNECT and closes, without waiting for anything, and frees; NULL is allowed. */
void nacre_client_close(struct nacre_client *client);
/* What can wait until the session is under way: what the server prefers is written down for the
 * next login, keys are wiped. To be called when nothing else is to be done, best when the first
 * channel is open; nacre_client_close() does it at the latest. */
void nacre_client_settle(struct nacre_client *client);
/* Frees without a word to the peer: for a child process that inherited the client. */
void nacre_client_free(struct nacre_client *client);

/* True with the number of the session channel when it is open already and options.request made its
 * requests; their replies are still to come. Else the program opens its channel. */
bool nacre_client_early_channel(const struct nacre_client *client, uint32_t *channel);

/* The session, which the client owns. */
struct nacre_session *nacre_client_session(const struct nacre_client *client);
/* What to wait for: bytes that come, room for bytes that go. Both are the socket, non-blocking. */
int nacre_client_read_fd(const struct nacre_client *client);
int nacre_client_write_fd(const struct nacre_client *client);
/* "ADDRESS port NUMBER" as messages name the peer; with a proxy "UNKNOWN port 65535". */
const char *nacre_client_peer(const struct nacre_client *client);
/* True when the server says that it is OpenSSH or Nacre and so knows OpenSSH's extensions that are
 * not announced. */
bool nacre_client_knows_openssh(const struct nacre_client *client);
/* The socket of the agent to forward (ForwardAgent), or NULL when there is none. */
const char *nacre_client_forward_agent_path(struct nacre_client *client);

/* Acts on events that concern every program (log lines, banners, host keys of a rekey, learning of
 * host keys, unknown global requests and channel opens, the end of the connection, which is
 * logged). True when the program need not look at it; DISCONNECTED and CHANNEL_OPEN of
 * "forwarded" types that the program wants to accept: false. */
bool nacre_client_event(struct nacre_client *client, const struct nacre_event *event);

/* The program has just made a global request that wants an answer: nacre_client_event() leaves that
 * answer to it. (It keeps answers to the library's own requests to itself; all come in order.) */
void nacre_client_expect_reply(struct nacre_client *client);

/* Writes what waits to be sent, as far as the socket takes it. 0: all; 1: the rest waits until the
 * socket is writable; or NACRE_ERROR_CLOSED. */
int nacre_client_flush(struct nacre_client *client);
/* One read from the socket into the session. Bytes read; 0: nothing there; NACRE_ERROR_CLOSED once
 * the peer is gone (the session then yields DISCONNECTED); NACRE_ERROR_STATE while the session
 * takes no more input. */
ssize_t nacre_client_receive(struct nacre_client *client);

/* When nacre_client_tick() wants to be called, in nacre_clock_ms(); UINT64_MAX: not. It sends
 * keepalives (ServerAliveInterval) and returns NACRE_ERROR_CLOSED, after logging it, when the
 * server has not answered ServerAliveCountMax of them. */
uint64_t nacre_client_deadline(const struct nacre_client *client);
int nacre_client_tick(struct nacre_client *client, uint64_t now);

/* The canonical form of a host's name (CanonicalizeHostname): this library's
 * nacre_config_canonicalize, see nacre/ssh_config.h. */
int nacre_client_canonicalize(struct nacre_ssh_config *config, char **name);

/* Algorithm lists for the configuration of a client or ("server") a server: this library's
 * nacre_config_assemble, see nacre/config.h. */
int nacre_client_assemble(enum nacre_config_algorithms algorithms, const char *specification,
    bool server, struct nacre_buffer *list);

#ifdef __cplusplus
}
#endif
#endif
