/*
 * A connection once the server has let us in: any number of channels over one loop. A kind of
 * channel is a table of functions; descriptors are watches of the connection's poller.
 */
#ifndef SSH_CONNECTION_H
#define SSH_CONNECTION_H

#include "ssh/ssh.h"

#include <nacre/poller.h>
#include <nacre/relay.h>

#include <poll.h>
#include <signal.h>

#define EXIT_OWN_ERROR 255

struct connection;
struct channel;

/* What happens to a channel. NULL where nothing is to be done. */
struct channel_kind {
	const char *name;         /* as ~# lists it */
	const char *timeout_type; /* for ChannelTimeout; NULL: as the name */
	void (*opened)(struct channel *channel);
	/* Of ours; the channel is freed afterwards. */
	void (*refused)(struct channel *channel, const struct nacre_event *event);
	void (*data)(struct channel *channel, enum nacre_stream stream);
	void (*room)(struct channel *channel);
	void (*eof)(struct channel *channel);
	/* A request of the server; true: it is known and was done. */
	bool (*request)(struct channel *channel, const struct nacre_event *event);
	/* The answer to our oldest request that wanted one. */
	void (*reply)(struct channel *channel, bool success);
	/* By both sides; the channel is freed afterwards. */
	void (*closed)(struct channel *channel);
	/* It has been idle for too long; NULL: nacre_channel_close() is enough. */
	void (*close)(struct channel *channel);
	/* Frees the channel and what it holds; never NULL. */
	void (*release)(struct channel *channel);
};

/* The beginning of every channel's own struct. */
struct channel {
	struct channel *next;
	const struct channel_kind *kind;
	struct connection *connection;
	uint32_t number;
	char *description; /* as ~# lists it, from malloc(); NULL: the kind's name */
	bool opening;      /* ours, not confirmed yet */
	bool idle;         /* nobody uses it: the process does not stay for it */
	bool gone;         /* to be freed when nothing refers to it any more */
	bool idle_closed;
	uint64_t idle_limit;      /* ChannelTimeout, milliseconds; 0: none */
	const uint64_t *activity; /* when something last went over it: last_active, or a relay's */
	uint64_t last_active;     /* milliseconds */
};

/* Who waits for the answer to a global request of ours. */
struct reply {
	struct reply *next;
	void (*done)(
	    struct connection *connection, void *context, bool success, struct nacre_span payload);
	void *context;
};

/* Something that is due at a time. Whoever sets it keeps it until it is over. */
struct timer {
	struct timer *next;
	uint64_t when; /* milliseconds; 0: not set */
	void (*due)(struct connection *connection, struct timer *timer);
};

struct listener;
struct remote_forward;
struct socks_client;
struct connecting;
struct nacre_resolver;

struct connection {
	struct nacre_client *client;
	struct nacre_session *session;
	const struct session_plan *plan;
	struct nacre_relay_host host; /* its poller is made by connection_host() */
	struct channel *channels;     /* the newest first */
	struct session_channel *own;  /* the channel of the plan; NULL: there is none */
	struct mux_master *master;    /* of those who share it; NULL: nobody can */
	struct reply *replies, **replies_end;
	struct listener *listeners;
	struct remote_forward *remote_forwards;
	unsigned forwards_pending; /* of the configuration: the server has not answered yet */
	struct socks_client *socks_clients;
	struct connecting *connecting;
	struct nacre_resolver *resolver; /* made by connection_resolver() */
	struct nacre_watch resolver_watch;
	struct timer *timers;
	struct nacre_buffer retired; /* pointers: see connection_retire() */
	bool own_over; /* it has ended: the process does with the last of the others */
	bool finished;
	bool settled;
	bool something_gone;
	int status; /* of the process; -1: not known yet */
};

/* connection.c ------------------------------------------------------------------------------ */

/* Makes the channel one of the connection's; "number" is an open or opening channel of the session,
 * or one that the server asks for and that was accepted. */
void connection_add(struct connection *connection, struct channel *channel,
    const struct channel_kind *kind, uint32_t number, bool opening);
/* What relays need, and the poller for watches. */
struct nacre_relay_host *connection_host(struct connection *connection);
/* For host names that must be looked up. */
struct nacre_resolver *connection_resolver(struct connection *connection);
/* free()s a pointer once no descriptor is being served: nothing that has a watch may go before. */
void connection_retire(struct connection *connection, void *pointer);
/* Has timer->due called once at "when", in nacre_clock_ms(); again: at another time. 0: not at all. */
void connection_timer_set(struct connection *connection, struct timer *timer, uint64_t when);
/* The loop ends after this turn; the first status that is told counts. */
void connection_finish(struct connection *connection, int status);
/* To be called right after a global request of ours that wants an answer. */
void connection_expect_reply(struct connection *connection,
    void (*done)(
	struct connection *connection, void *context, bool success, struct nacre_span payload),
    void *context);
/* Says why the server refused a channel of ours, in the words of ssh(1). */
void channel_log_refusal(const struct channel *channel, const struct nacre_event *event);
/* Asks for a window-change at the next turn. */
void connection_check_window_size(void);

/* idle.c: has ChannelTimeout count for a channel that was added. */
void idle_begin(struct channel *channel);

/* command_line.c: what ~C opens; the terminal is as its owner left it. */
void escape_command_line(struct connection *connection);

/* relayed.c: channels that are joined to a socket and know nothing more. -------------------- */

struct relayed {
	struct channel channel;
	struct nacre_relay relay;
};
/* Takes the descriptor over (-1: there is none yet). Ours: data flows once it is open. The first is
 * for a struct that begins with a struct relayed, all zero; the second allocates one. */
void relayed_begin(struct relayed *relayed, struct connection *connection,
    const struct channel_kind *kind, uint32_t number, int fd, bool opening);
struct relayed *relayed_add(struct connection *connection, const struct channel_kind *kind,
    uint32_t number, int fd, bool opening);
void relayed_opened(struct channel *channel);
void relayed_data(struct channel *channel, enum nacre_stream stream);
void relayed_room(struct channel *channel);
void relayed_eof(struct channel *channel);
void relayed_close(struct channel *channel);
void relayed_release(struct channel *channel);
#define RELAYED                                                                            \
	.opened = relayed_opened, .refused = channel_log_refusal_of, .data = relayed_data, \
	.room = relayed_room, .eof = relayed_eof, .close = relayed_close,                  \
	.release = relayed_release
/* channel_log_refusal() as a kind's "refused". */
void channel_log_refusal_of(struct channel *channel, const struct nacre_event *event);

/* agent_channel.c: auth-agent@openssh.com, which the server opens. */
void agent_channel_open(struct connection *connection, const struct nacre_event *event);

/* session.c: the plan's channel on the standard descriptors. -------------------------------- */

enum expected_reply { REPLY_X11, REPLY_PTY, REPLY_START, REPLY_BREAK };
#define REPLIES_MAX 32
#define TYPED_MAX   8192
#define WAITS_MAX   5 /* the network, the poller, and the standard descriptors */

struct session_channel {
	struct channel channel;
	bool open, started;
	struct stream input, streams[2]; /* by enum nacre_stream */
	bool input_over;                 /* nothing more is read from it */
	bool output_lost;                /* it could not be written */
	struct escape escape;
	uint8_t typed[TYPED_MAX + 1]; /* filtered, not sent yet */
	size_t typed_start, typed_end;
	enum expected_reply replies[REPLIES_MAX];
	size_t reply_count;
	bool raw;
	/* ObscureKeystrokeTiming. */
	bool obscures, beating;
	uint64_t next_beat, chaff_until; /* milliseconds */
};

/* Opens the plan's channel. 0 or an error; connection->own stays NULL where there is none. */
int session_open(struct connection *connection);
/* While the server opens it: takes over the standard descriptors. */
void session_take_streams(struct session_channel *own);
/* Reads and sends while that goes without waiting. True when it went to its bound. */
bool session_pump_input(struct session_channel *own);
/* Sends what was typed; false while some of it waits for the server. */
bool session_send_typed(struct session_channel *own);
/* Writes what was received. */
void session_pump_output(struct session_channel *own);
/* Appends what is to be waited for; how many entries. */
size_t session_waits(const struct session_channel *own, bool network_full, struct pollfd *waits);
/* The size of the terminal has changed. */
void session_send_window_size(struct session_channel *own);
/* Raw mode, where the session has a terminal. */
void session_enter_raw(struct session_channel *own);
void session_expect_reply(struct session_channel *own, enum expected_reply reply);

/* session_escape.c: does what an escape sequence says. */
void session_escape(struct session_channel *own, enum escape_action action);

#endif
