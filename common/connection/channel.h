/* A channel, the table of channels, and what the files of connection/ do for each other. */
#ifndef CONNECTION_CHANNEL_H
#define CONNECTION_CHANNEL_H

#include <connection/connection.h>

enum {
	MESSAGE_GLOBAL_REQUEST = 80,
	MESSAGE_REQUEST_SUCCESS = 81,
	MESSAGE_REQUEST_FAILURE = 82,
	MESSAGE_CHANNEL_OPEN = 90,
	MESSAGE_CHANNEL_OPEN_CONFIRMATION = 91,
	MESSAGE_CHANNEL_OPEN_FAILURE = 92,
	MESSAGE_CHANNEL_WINDOW_ADJUST = 93,
	MESSAGE_CHANNEL_DATA = 94,
	MESSAGE_CHANNEL_EXTENDED_DATA = 95,
	MESSAGE_CHANNEL_EOF = 96,
	MESSAGE_CHANNEL_CLOSE = 97,
	MESSAGE_CHANNEL_REQUEST = 98,
	MESSAGE_CHANNEL_SUCCESS = 99,
	MESSAGE_CHANNEL_FAILURE = 100
};

#define EXTENDED_DATA_STDERR 1
#define STREAMS              2

/* Data in one message: what we tell the peer to send at most, and what we send at most. 32 KiB
 * stay in the cache on their way through the cipher. */
#define PACKET_DATA_MAX 32768u
/* Requests of the peer that the program has not answered, for a channel and for the session. */
#define REQUESTS_UNANSWERED_MAX 1024

enum channel_state {
	CHANNEL_OPENING, /* ours, not confirmed */
	CHANNEL_ASKED,   /* the peer's, not answered by the program */
	CHANNEL_OPEN,    /* until both have closed and CLOSED was told */
	CHANNEL_GONE     /* the program was told: freed when it calls again */
};

/* A channel is in a list when ... */
enum channel_list_kind {
	LIST_WORK,    /* an event is due for it */
	LIST_STALLED, /* its program waits for room, and its window has some */
	LIST_GONE,
	CHANNEL_LISTS
};

struct channel;

struct channel_list {
	struct channel *first, *last;
};

struct channel {
	uint32_t number, peer_number;
	enum channel_state state;
	bool by_peer; /* it opened the channel */
	bool wants_room;
	bool eof_sent, eof_received, eof_told;
	bool close_wanted; /* by our program */
	bool close_sent, close_received;
	bool refused; /* our open */
	bool early;   /* opened before we were told that authentication succeeded: peer_number is a
			 guess until it is confirmed */
	bool discard;
	uint32_t send_window, send_packet_max;
	uint32_t receive_window; /* what the peer may still send */
	uint32_t window_size;    /* what it may send while nothing is unread */
	uint32_t window_first;   /* window_size in the beginning */
	uint32_t granted;        /* the channel's part of what all windows may hold */
	uint64_t epoch_start;    /* of the measurement of its rate, ms */
	uint64_t epoch_bytes;
	uint64_t drain_start; /* of the measurement of our program's, ms */
	uint64_t drain_bytes;
	struct nacre_buffer kept[STREAMS]; /* unread data of earlier messages */
	uint32_t unread;                   /* bytes, both streams, the newest message included */
	uint32_t requests_sent, requests_received; /* with want_reply, unanswered */
	void *context;
	struct channel *previous[CHANNEL_LISTS], *next[CHANNEL_LISTS];
	bool listed[CHANNEL_LISTS];
};

struct connection {
	struct transport *transport;
	bool server;
	uint32_t channel_limit, window_limit;
	struct channel **channels; /* by number; NULL where the number is free */
	uint32_t *free_numbers;    /* a stack; as long as "channels" */
	size_t slots, capacity, free_count;
	size_t count, peer_count;
	struct channel_list lists[CHANNEL_LISTS];
	uint64_t granted; /* sum of the channels' */
	size_t unread;
	/* Data of the newest message, in the receive buffer. */
	struct channel *fresh_channel;
	enum nacre_stream fresh_stream;
	struct nacre_span fresh;
	/* Between room and commit. */
	struct channel *room_channel;
	enum nacre_stream room_stream;
	uint8_t *room;
	size_t room_length;
	struct nacre_buffer scratch;               /* room while compression is on */
	uint32_t requests_sent, requests_received; /* global ones */
	bool no_more_sessions;
	uint64_t wake_at;      /* close_wake_peer() is due, ms; UINT64_MAX: not */
	uint32_t early_number; /* of the newest channel that was opened early */
};

/* table.c: numbers and lists. */
int channel_new(struct connection *connection, enum channel_state state, struct channel **channel);
void channel_free(struct connection *connection, struct channel *channel);
void channel_list_add(
    struct connection *connection, enum channel_list_kind kind, struct channel *channel);
void channel_list_remove(
    struct connection *connection, enum channel_list_kind kind, struct channel *channel);
/* The channel of a call of the program: NULL if there is none. */
struct channel *channel_find(const struct connection *connection, uint32_t number);
/* The open channel that a message of the peer is for, its number taken from the payload. NULL
 * after transport_fail(). */
struct channel *channel_of_message(
    struct connection *connection, struct nacre_reader *payload, const char *message);
/* Ends the connection: the message is malformed or breaks a rule, said in "problem". */
int channel_fail(
    struct connection *connection, uint32_t number, const char *message, const char *problem);
int connection_malformed(struct connection *connection, const char *message);
/* Starts a message to the channel's peer: type and recipient channel. */
struct nacre_buffer *channel_begin(
    struct connection *connection, const struct channel *channel, uint8_t message);

/* request.c, for its table and that of forwarding.c: messages with no fields, and with any. */
void decode_nothing(struct nacre_reader *reader, struct nacre_event *event);
void decode_other(struct nacre_reader *reader, struct nacre_event *event);

/* forwarding.c: what the payload of an open or a global request says, into its event. False when it
 * is malformed. */
bool open_decode(struct nacre_event *event);
bool global_decode(struct nacre_event *event);

/* window.c: flow control. */
/* Bytes that all windows together may hold, but for the least that each channel needs. */
uint64_t window_session_limit(const struct connection *connection);
void window_open(struct connection *connection, struct channel *channel);
void window_close(struct connection *connection, const struct channel *channel);
/* "length" bytes arrived: false when the window did not have them. */
bool window_take(struct connection *connection, struct channel *channel, size_t length);
/* "length" unread bytes were consumed. */
int window_drained(struct connection *connection, struct channel *channel, size_t length);
/* Tells the peer when enough has become free. */
int window_update(struct connection *connection, struct channel *channel);
int window_adjust_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event);

/* open.c */
int open_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event);
int open_confirmation_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event);
int open_failure_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event);

/* data.c */
int data_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event);
int extended_data_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event);
/* Drops what is unread. */
void data_drop(struct connection *connection, struct channel *channel);
int data_settle(struct connection *connection);

/* close.c: EOF, CLOSE, and the events that wait until data was read. */
int eof_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event);
int close_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event);
int close_send(struct connection *connection, struct channel *channel);
/* Sends the packet that some peers need to notice the end of their channel, when it is due. */
int close_wake_peer(struct connection *connection);
/* Something changed: puts the channel among those with work if an event is due. */
void channel_changed(struct connection *connection, struct channel *channel);
/* Fills *event with what is due and takes the channel out of that list if it was the last. */
bool channel_due(struct connection *connection, struct channel *channel, struct nacre_event *event);

/* request.c, global.c */
int request_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event);
int request_success_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event);
int request_failure_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event);
int global_request_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event);
int global_success_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event);
int global_failure_message(
    struct connection *connection, struct nacre_reader *payload, struct nacre_event *event);

#endif
