/*
 * The process of a user who has logged in: its channels, and what they are joined to. Everything is
 * driven by one poller; an endpoint is a descriptor in it.
 */
#ifndef SSHD_USER_SESSION_H
#define SSHD_USER_SESSION_H

#include "login.h"
#include "metrics.h"

#include <nacre/listen.h>
#include <nacre/poller.h>
#include <nacre/pty.h>
#include <nacre/resolver.h>
#include <nacre/session.h>
#include <nacre/sftp_server.h>

#include <sys/resource.h>
#include <sys/types.h>

struct user_session;
struct channel;
struct acceptor;
struct x11;
struct global_reply;
struct addrinfo;

struct endpoint {
	int fd; /* -1: none */
	unsigned wanted;
	struct channel *channel;   /* NULL: not of a channel */
	struct acceptor *acceptor; /* NULL: not of an acceptor */
	void (*ready)(struct user_session *user, struct endpoint *endpoint, unsigned what);
	/* Of a channel: data that is read from it is sent, data that is received is written. */
	bool source, sink;
	enum nacre_stream stream;
};

struct environment {
	char **entries; /* "NAME=VALUE", ended by NULL */
	size_t count;
};

/* A channel and its endpoints: 0 takes what the peer sends (and gives, for sockets and terminals),
 * 1 and 2 are standard output and error of a program without a terminal. */
#define CHANNEL_ENDPOINTS 3
struct channel {
	struct channel *next;
	struct user_session *user;
	uint32_t number;
	bool is_session; /* type "session", counted for MaxSessions */
	bool connecting; /* forwarding: connect() has not finished */
	bool opened;     /* data may flow */
	bool peer_eof;
	bool stalled; /* its program was waited for in vain and has not caught up since */
	bool eof_sent;
	bool closing; /* we have closed it, the peer has not yet */
	bool gone;    /* to be freed when nothing refers to it any more */
	struct endpoint endpoints[CHANNEL_ENDPOINTS];
	uint64_t idle_limit;  /* ChannelTimeout, milliseconds; 0: none */
	uint64_t last_active; /* milliseconds */
	bool bulk;            /* one of the user's bulk_channels */
	/* A session's program. */
	bool started;
	pid_t child;  /* -1: none */
	int terminal; /* the program's side of the pty until it is started, or -1 */
	bool has_terminal;
	bool terminal_held; /* the monitor keeps account of it */
	char terminal_name[NACRE_PTY_NAME_LENGTH];
	char *term;
	struct environment environment; /* from env requests */
	struct x11 *x11;                /* NULL: no display is forwarded for it */
	uint32_t tunnel_mode;           /* enum nacre_tunnel_mode; 0: it is no tunnel */
	struct nacre_sftp_thread *sftp;
	int sftp_status;
	/* Forwarding: addresses that are left to try, and why the last one did not do. */
	struct addrinfo *addresses, *next_address;
	int connect_error;
	char *target; /* "HOST port PORT" */
};

/* A socket that programs here connect to: each connection becomes a channel. */
struct acceptor {
	struct acceptor *next;
	struct endpoint endpoint;
	/* Opens the channel for a connection; "originator" is numeric, "" for Unix sockets. */
	int (*open)(struct user_session *user, const struct acceptor *acceptor,
	    const char *originator, unsigned originator_port, uint32_t *number);
	const char *channel_type; /* as ChannelTimeout names it */
	char *host;               /* as the client asked for it, or the path of a Unix socket */
	unsigned port;
	const struct channel *owner;   /* X11: the session whose display it is; else NULL */
	struct nacre_socket_file file; /* at the path, to be removed in the end */
	bool agent;                    /* little comes from there */
	bool gone;                     /* to be freed when nothing refers to it any more */
};

struct user_session {
	struct login *login;
	const struct nacre_sshd_config *config;
	struct nacre_session *session;
	struct nacre_poller *poller;
	int monitor_fd;
	struct endpoint input, output, monitor, signals;
	struct channel *channels;
	struct acceptor *acceptors;
	struct nacre_resolver *resolver; /* NULL until a name is looked up */
	struct endpoint resolving;
	struct global_reply *replies;
	int session_count;
	bool permit_pty, permit_agent, permit_forwarding, permit_x11, permit_tunnel;
	char auth_info_path[64]; /* of the file of ExposeAuthInfo; empty: none */
	uint64_t sent, received; /* bytes on the connection since login */
	uint64_t rekeys, channels_opened;
	struct metrics_totals totals_told;
	uint64_t totals_due;                      /* milliseconds */
	char agent_directory[64], agent_path[96]; /* "": no agent is forwarded */
	uint64_t now;                             /* milliseconds, of this turn of the loop */
	uint64_t last_heard;
	int unanswered;                   /* keepalives */
	uint64_t idle_limit, last_active; /* as of a channel, for all of them together */
	uint64_t unused_since;            /* no channel is open; UINT64_MAX: some are */
	uint64_t next_idle_check;  /* of the channels with a limit; UINT64_MAX: none has one */
	uint64_t acceptors_paused; /* until then, for want of descriptors; 0: not */
	size_t bulk_channels;      /* for anything but terminals and the agent */
	int marked;                /* the packets, so; -1: as the system does */
	bool something_gone;       /* a channel or acceptor waits to be freed */
	struct rlimit descriptors; /* as programs of the user get it */
	bool input_blocked;
	bool released; /* memory, since something last happened */
};

/* session_totals.c: for the metrics. With "at_once" it is the end, and no channel is open. */
void totals_tell(struct user_session *user, bool at_once);
/* When it is due next; UINT64_MAX: nothing is new. */
uint64_t totals_deadline(const struct user_session *user);

/* user_session.c */
/* Ends the process, and with it the session. */
_Noreturn void user_leave(struct user_session *user, int status);
void endpoint_init(struct endpoint *endpoint);
/* Starts to wait for "what" on the endpoint's descriptor (0: for nothing). */
void endpoint_want(struct user_session *user, struct endpoint *endpoint, unsigned what);
/* Stops waiting and closes. */
void endpoint_close(struct user_session *user, struct endpoint *endpoint);
/* Stops waiting for a descriptor that somebody else closes. */
void endpoint_forget(struct user_session *user, struct endpoint *endpoint);
/* Writes unsent output to the socket as far as it takes it. */
void user_flush(struct user_session *user);

/* channel.c: between descriptors and a channel. */
struct channel *channel_add(struct user_session *user, uint32_t number);
void channel_free_gone(struct user_session *user);
/* The peer has closed, or nobody needs it any more. */
void channel_remove(struct channel *channel);
/* Data may flow: waits for what the endpoints give. */
void channel_start(struct channel *channel);
void channel_received(struct channel *channel);
void channel_writable(struct channel *channel);
void channel_peer_eof(struct channel *channel);
/* Closes the channel now, whatever is under way. */
void channel_close(struct channel *channel);
/* "ready" of an endpoint that is joined to its channel. */
void channel_endpoint_ready(struct user_session *user, struct endpoint *endpoint, unsigned what);
/* Closes the channel when nothing can come any more. */
void channel_settle(struct channel *channel);
struct channel *channel_by_child(struct user_session *user, pid_t child);

/* Marks the connection's packets as IPQoS says: for terminals, or for others while one is open. */
void user_mark_packets(struct user_session *user);
/* The channel is for something else than a terminal. */
void channel_is_bulk(struct channel *channel);

/* session_channel.c: requests in a session channel, and the end of its program. */
bool session_request(struct channel *channel, const struct nacre_event *event);
void session_child_ended(struct channel *channel, int status);

/* program.c: starts what was asked for. "command" NULL: a login shell. */
bool program_start(struct channel *channel, const char *command, const char *subsystem);

/* greeting.c */
/* Says something before or in place of a program: on the terminal, else on the stream. */
void greeting_say(struct channel *channel, struct nacre_span text, enum nacre_stream stream);
/* What stands above a login shell. Records the login, if there is a terminal. */
void greeting_show(struct channel *channel);
/* Whether there is no session to be had; then it has been said why. */
bool greeting_refuses(struct channel *channel);
/* Tells of the password that has expired; false when it cannot be changed here. */
bool greeting_asks_for_password(struct channel *channel);

/* session_terminal.c */
/* Gets a terminal for the channel. */
bool terminal_request(struct channel *channel);
/* Records the login on it; *last becomes a line about the one before, or stays empty. */
void terminal_record(struct channel *channel, struct nacre_buffer *last);
/* It is needed no longer. */
void terminal_release(struct channel *channel);

/* login_script.c: the shell command of the script that runs first; false when there is none. */
bool login_script_command(
    const struct channel *channel, bool subsystem, struct nacre_buffer *command);

/* environment.c */
void environment_put(struct environment *environment, const char *name, const char *value);
bool environment_has(const struct environment *environment, const char *name);
void environment_free(struct environment *environment);
/* What a program of the channel gets. */
void environment_make(
    struct channel *channel, const char *original_command, struct environment *environment);

/* timeout.c: ChannelTimeout, UnusedConnectionTimeout and ClientAliveInterval. */
/* The channel's type as ChannelTimeout names it ("session:shell", "direct-tcpip", ...). */
void timeout_set(struct channel *channel, const char *type);
/* Something was sent or received. */
void timeout_reset(struct channel *channel);
void timeout_begin(struct user_session *user);
/* When the loop must look again; UINT64_MAX: never. */
uint64_t timeout_next(const struct user_session *user);
/* Does what is due. False when the connection is to be given up. */
bool timeout_check(struct user_session *user);

/* forward_permit.c: what the configuration and the key let a client forward. */
bool forward_permits_open(const struct user_session *user, const char *host, unsigned port);
bool forward_permits_listen(const struct user_session *user, const char *host, unsigned port);
bool forward_permits_open_path(const struct user_session *user, const char *path);
bool forward_permits_listen_path(const struct user_session *user);

/* forward.c: direct-tcpip and direct-streamlocal@openssh.com. */
void forward_open(struct user_session *user, const struct nacre_event *event);

/* forward_listen.c: tcpip-forward and streamlocal-forward@openssh.com, and their ends. */
void forward_request(
    struct user_session *user, const struct nacre_event *event, struct global_reply *reply);

/* acceptor.c: sockets whose connections become channels. */
/* Takes a listening socket over. "host" is copied. */
struct acceptor *acceptor_add(struct user_session *user, int fd, const char *host, unsigned port);
/* The file at the acceptor's path is its own, and removed with it. */
void acceptor_own_path(struct acceptor *acceptor);
/* Stops listening. */
void acceptor_remove(struct user_session *user, struct acceptor *acceptor);
void acceptor_free_gone(struct user_session *user);
/* Accepts again after a pause for want of descriptors. */
void acceptor_resume(struct user_session *user);
/* Removes the files of all Unix sockets: the process ends. */
void acceptor_remove_files(const struct user_session *user);

/* resolver.c: host names, without holding up the session. */
/* As nacre_resolver_ask(). */
void resolver_ask(struct user_session *user, const char *host, unsigned port, bool passive,
    nacre_resolver_done *done, void *context);

/* global_request.c: requests of the client that are not about a channel. */
void global_request(struct user_session *user, const struct nacre_event *event);
/* Answers; the client gets the answers in the order of its requests. NULL: none is wanted. */
void global_reply(
    struct user_session *user, struct global_reply *reply, bool success, struct nacre_span payload);

/* auth_info.c: writes the file of ExposeAuthInfo, if it is wanted, and takes it away again. */
void auth_info_expose(struct user_session *user);
void auth_info_remove(struct user_session *user);

/* x11.c */
bool x11_request(struct channel *channel, const struct nacre_event *event);
/* The session ends, and with it its display. */
void x11_end(struct channel *channel);
/* For DISPLAY; NULL: there is none. */
const char *x11_display(const struct channel *channel);
/* What a login script reads: protocol and cookie. Nothing where no display is forwarded. */
void x11_for_script(const struct channel *channel, struct nacre_buffer *text);
/* What xauth reads. */
void x11_for_xauth(const struct channel *channel, struct nacre_buffer *text);

/* tunnel.c: tun@openssh.com. */
void tunnel_open(struct user_session *user, const struct nacre_event *event);
void tunnel_received(struct channel *channel);
void tunnel_writable(struct channel *channel);

/* agent_forward.c */
bool agent_listen(struct user_session *user);
void agent_remove_directory(struct user_session *user);

/* sftp_channel.c */
bool sftp_start(struct channel *channel, const char *command);
void sftp_received(struct channel *channel);
void sftp_writable(struct channel *channel);

#endif
