/* The master of a shared connection: what its files have in common. */
#ifndef SSH_MUX_MASTER_H
#define SSH_MUX_MASTER_H

#include "ssh/connection.h"

#include <nacre/listen.h>
#include <nacre/mux.h>

struct mux_passenger;

/* A process that shares the connection. */
struct mux_peer {
	struct mux_peer *next;
	struct mux_master *master;
	struct nacre_watch watch;
	struct nacre_mux_socket socket;
	struct nacre_buffer output;
	struct mux_passenger *passenger; /* its session or forwarding; NULL: none */
	uint64_t serial;                 /* tells it from those before and after */
	bool greeted;
	bool ending; /* to be closed when the output is sent */
	bool gone;
};

struct mux_master {
	struct connection *connection;
	char *path;
	struct nacre_socket_file file;
	struct nacre_watch listener;
	struct mux_peer *peers;
	uint64_t peer_count;   /* ever */
	struct channel *spare; /* a session that is open and does nothing; NULL: none */
	bool spare_refused;
	bool asks;
	bool something_gone;
	uint64_t started;    /* milliseconds */
	uint64_t idle_since; /* UINT64_MAX: not idle */
};

/* mux_master.c ------------------------------------------------------------------------------ */

/* What the connection's loop does for its master. Takes clients from now on. */
void mux_master_start(struct mux_master *master, struct connection *connection);
/* At each turn; "busy": somebody uses the connection. */
void mux_master_tend(struct mux_master *master, bool busy);
/* When it wants to be tended, in nacre_clock_ms(); UINT64_MAX: not. */
uint64_t mux_master_deadline(const struct mux_master *master);
/* The sizes of terminals may have changed. */
void mux_master_check_windows(const struct mux_master *master);
/* Stops to listen, leaves its clients, and frees. */
void mux_master_end(struct mux_master *master);

/* Queues a message, and sends it as far as that goes at once. */
void mux_answer(struct mux_peer *peer, const struct nacre_mux_message *message);
void mux_answer_ok(struct mux_peer *peer, uint32_t id);
void mux_answer_text(struct mux_peer *peer, uint32_t id, uint32_t kind, const char *text);
/* The one with this number; NULL: it is gone. */
struct mux_peer *mux_peer_find(const struct mux_master *master, uint64_t serial);
/* Nothing more is said to it. */
void mux_peer_end(struct mux_peer *peer);
/* False after "no" was answered, where ControlMaster wants a person to agree. */
bool mux_permitted(
    struct mux_peer *peer, const struct nacre_mux_message *message, const char *question);

/* mux_session.c ----------------------------------------------------------------------------- */

/* NEW_SESSION and STDIO_FORWARD; they take the descriptors over. */
void mux_session_new(
    struct mux_peer *peer, const struct nacre_mux_message *message, const int *descriptors);
void mux_session_stdio(
    struct mux_peer *peer, const struct nacre_mux_message *message, const int *descriptors);
/* The peer is gone: what it wanted ends. */
void mux_session_abandon(struct mux_passenger *passenger);
/* Opens a session in reserve, where that is wise. */
void mux_spare_open(struct mux_master *master);
/* The login has opened one. */
void mux_spare_adopt(struct mux_master *master, uint32_t number);
void mux_passenger_check_window(struct mux_passenger *passenger);

/* mux_forward.c: OPEN_FORWARD and CLOSE_FORWARD. ------------------------------------------- */

void mux_forward_open(
    struct mux_peer *peer, const struct nacre_mux_message *message, const int *descriptors);
void mux_forward_close(
    struct mux_peer *peer, const struct nacre_mux_message *message, const int *descriptors);

/* mux_report.c: what -O conninfo and -O channels print, appended. False: there is no such report. */
bool mux_report(const struct mux_master *master, struct nacre_span what, struct nacre_buffer *text);

#endif
